"""What the session does above any store: see the contract for the rest."""

import copy
import gc
import pickle
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import RequestFactory

from django_scs import tokens
from django_scs.backends import db
from django_scs.backends.base import SessionStore
from django_scs.codecs.encrypted import EncryptedCodec
from django_scs.codecs.sealing import derive
from django_scs.exceptions import SessionTooLarge
from django_scs.signals import session_renewed
from django_scs.stores.base import Record
from django_scs.testing import age
from tests.support import statements


class FullStore:
    """A store whose sessions may have 40,000 bytes, a visitor's 38,976; it notes what it is sent."""

    max_data = 40_000

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def refuses(self, size: int) -> int | None:
        return self.max_data if size > self.max_data else None

    def find(self, key: str) -> Record | None:
        return None

    def insert(self, *args: Any) -> bool:
        self.sent.append(args)
        return True

    def fate(self) -> None:
        return None


@pytest.fixture
def store() -> FullStore:
    return FullStore()


@pytest.fixture
def session(store: FullStore) -> SessionStore:
    class Session(SessionStore):
        get_store = staticmethod(lambda: store)

    return Session()


def test_session_too_large_names_its_size_and_the_largest_keys(
    session: SessionStore, store: FullStore
) -> None:
    for number in range(5):
        session[f"key{number}"] = "x" * 4000 * (number + 1)
    with pytest.raises(SessionTooLarge) as refusal:
        session.save()
    error = refusal.value
    assert store.sent == []
    assert (error.limit, [key for key, _ in error.largest]) == (38_976, ["key4", "key3", "key2"])
    assert error.size > 60_000
    assert error.largest[0][1] >= 20_000
    for word in (str(error.size), "38976", "'key4'", str(error.largest[0][1])):
        assert word in str(error)


@pytest.mark.parametrize(("login", "limit"), [({}, 38_976), ({"_auth_user_id": "1"}, 40_000)])
def test_session_of_just_the_limit_is_sent(
    session: SessionStore, store: FullStore, login: dict[str, str], limit: int
) -> None:
    session.update({"a": "", **login})
    rest = limit - len(session.encode(dict(session.items())))
    session["a"] = "x" * rest
    session.save()
    assert len(store.sent[0][1]) == limit
    session["a"] += "x"
    with pytest.raises(SessionTooLarge):
        session.create()


def test_least_limit_leaves_a_visitor_three_quarters(
    session: SessionStore, store: FullStore, settings: Any
) -> None:
    settings.SCS_MAX_BYTES = 2048
    session["a"] = "x" * 2048
    with pytest.raises(SessionTooLarge) as refusal:
        session.save()
    assert refusal.value.limit == 1536
    session["a"] = ""
    session["a"] = "x" * (1536 - len(session.encode(dict(session.items()))))
    session.save()
    assert len(store.sent[0][1]) == 1536


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [{"SCS_MAX_BYTES": 2048}, {"SCS_MAX_BYTES": 8192}])
def test_session_that_was_larger_before_the_limit_can_be_used_and_made_smaller(
    settings: Any, limit: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = db.SessionStore()
    session.update({"big": "x" * 7500, "flash": "hi", "_auth_user_id": "1"})
    session.save()
    for name, value in limit.items():
        setattr(settings, name, value)
    again = db.SessionStore(session.session_key)
    assert again.take("flash") == "hi"
    age(100, session.session_key)
    user = db.SessionStore(session.session_key)
    assert user.user_id() == "1"
    user.commit()
    assert not caplog.records
    # Without a user, a login must fit in again.
    del user["_auth_user_id"]
    user.save()
    user["small"] = "x"
    with pytest.raises(SessionTooLarge):
        user.save()
    user["big"] = "x" * 7000
    user.save()


def test_new_session_asks_nobody_whether_its_token_is_free(
    session: SessionStore, store: FullStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "find", None)
    session["a"] = 1
    session.save()
    assert tokens.well_formed(session.session_key)
    assert store.sent[0][0] == session.session_key


def test_record_goes_to_the_store_as_the_contract_says(
    session: SessionStore, store: FullStore
) -> None:
    session.set_deadline(datetime.now(UTC) + timedelta(hours=1))
    session.save()
    key, data, ttl = store.sent[0]
    assert (type(key), type(data)) == (tokens.Key, bytes)
    assert 3590 < ttl <= 3600


def test_session_without_a_token_is_not_looked_for(
    session: SessionStore, store: FullStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "find", None)
    assert session.load() == {}
    # The store has no find_latest and no delete.
    assert not session.is_stored()
    assert not session.delete()


def test_class_without_a_store_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="get_store"):
        SessionStore.get_store()


def test_repr_shows_no_token(session: SessionStore) -> None:
    session["a"] = 1
    session.save()
    assert session.session_key not in repr(session)


# Requests


@pytest.fixture
def stored_token() -> str:
    session = db.SessionStore()
    session["color"] = "red"
    session.save()
    return session.token()


@pytest.mark.django_db
@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copy_of_a_request_has_a_session_that_works(stored_token: str, again: Any) -> None:
    request = RequestFactory().get("/")
    request.session = db.SessionStore.for_request([stored_token], request)
    request.session["size"] = 1
    session = again(request).session
    session["shape"] = "round"
    session.save()
    assert db.SessionStore(stored_token).load() == {"color": "red", "size": 1, "shape": "round"}


COPIES = [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]


@pytest.mark.django_db
@pytest.mark.parametrize("again", COPIES)
def test_copy_of_a_session_outlives_it_and_speaks_for_itself(stored_token: str, again: Any) -> None:
    original = db.SessionStore(stored_token)
    original["size"] = 1
    session = again(original)
    del original
    gc.collect()
    told: list[Any] = []

    def note(session: Any, **kwargs: Any) -> None:
        told.append(session)

    session_renewed.connect(note)
    session.cycle_key()
    session_renewed.disconnect(note)
    session.save()
    assert told[0].session_key == session.session_key
    assert db.SessionStore(session.session_key).load() == {"color": "red", "size": 1}


@pytest.mark.django_db
def test_shallow_copy_of_a_session_has_a_state_of_its_own(stored_token: str) -> None:
    original = db.SessionStore(stored_token)
    original.keys()
    session = copy.copy(original)
    session.flush()
    with pytest.raises(db.UpdateError):
        original.save()


@pytest.mark.django_db
def test_pickle_of_a_session_has_no_key_of_the_codec(stored_token: str, settings: Any) -> None:
    settings.SCS_CODEC = "django_scs.codecs.encrypted.EncryptedCodec"
    settings.SCS_CODEC_FALLBACKS = ["django_scs.codecs.json.JSONCodec"]
    session = db.SessionStore(stored_token)
    assert session["color"] == "red"
    assert derive(settings.SECRET_KEY, EncryptedCodec.LABEL) not in pickle.dumps(session)


def test_copy_of_a_session_takes_the_options_of_where_it_is_made(settings: Any) -> None:
    settings.SCS_LIFETIME = 60
    session = db.SessionStore()
    assert session.get_session_cookie_age() == 60
    state = session.__getstate__()
    assert "_options" not in state
    settings.SCS_LIFETIME = 90
    assert copy.deepcopy(session).get_session_cookie_age() == 90


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["flush", "delete"])
def test_live_session_of_two_cookies_is_the_one_that_is_destroyed(
    stored_token: str, way: str
) -> None:
    session = db.SessionStore.for_request([tokens.new(), stored_token])
    assert getattr(session, way)()
    assert not db.SessionStore().exists(stored_token)


@pytest.mark.django_db
def test_session_of_two_cookies_is_stored_if_one_of_them_is(stored_token: str) -> None:
    assert db.SessionStore.for_request([tokens.new(), stored_token]).is_stored()
    assert not db.SessionStore.for_request([tokens.new(), tokens.new()]).is_stored()


@pytest.mark.django_db
def test_destruction_counts_as_use_of_the_session(stored_token: str) -> None:
    session = db.SessionStore(stored_token)
    session.flush()
    assert (session.accessed, session.modified) == (True, True)


@pytest.mark.django_db
def test_statements_for_many_cookies_are_few(stored_token: str) -> None:
    unknown = [tokens.new() for _ in range(100)]
    with statements() as found:
        assert db.SessionStore.for_request([*unknown, stored_token]).get("color") is None
    assert len(found) == 5
    session = db.SessionStore.for_request([*unknown[:4], stored_token])
    assert session.get("color") == "red"
    assert session.session_key == stored_token


@pytest.mark.django_db
def test_session_leaves_nothing_to_the_garbage_collector() -> None:
    session = db.SessionStore()
    session["color"] = "green"
    session.save()
    alive = weakref.ref(session)
    gc.disable()
    try:
        del session
        assert alive() is None
    finally:
        gc.enable()
