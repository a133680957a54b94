"""Logins: who may put one into a session, when it was, and the Go application that shares it."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_scs import flash
from django_scs.backends.db import SessionStore
from django_scs.exceptions import ReservedKey
from django_scs.manager import session_class
from django_scs.testing import age
from tests.contracts.tools import A_MOMENT, HOUR, in_parallel, now
from tests.support import stored, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
KEY = "authenticatedUserID"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="secret")


@pytest.fixture
def go_key(settings: Any) -> None:
    settings.SCS_AUTH_USER_ID_KEY = KEY


@pytest.fixture
def go_login() -> Callable[..., str]:
    """Return what puts a user's id into a session as a Go application does, and gives the token."""

    def log_in(user_id: Any, token: str | None = None, **values: Any) -> str:
        session = SessionStore(token)
        session.update(values)
        # The guard is Django's side; Go writes into the table.
        session._get_session()[KEY] = user_id
        session.modified = True
        session.save()
        assert session.session_key
        return str(session.session_key)

    return log_in


def visit(token: str) -> Client:
    client = Client()
    client.cookies["sessionid"] = token
    return client


# The guard

WAYS: dict[str, Callable[[Any], Any]] = {
    "item": lambda session: session.__setitem__(KEY, "3"),
    "put": lambda session: session.put(KEY, "3"),
    "update": lambda session: session.update({"a": 1, KEY: "3"}),
    "update by name": lambda session: session.update(**{KEY: "3"}),
    "setdefault": lambda session: session.setdefault(KEY, "3"),
    "aset": lambda session: async_to_sync(session.aset)(KEY, "3"),
    "aput": lambda session: async_to_sync(session.aput)(KEY, "3"),
    "aupdate": lambda session: async_to_sync(session.aupdate)({KEY: "3"}),
    "asetdefault": lambda session: async_to_sync(session.asetdefault)(KEY, "3"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["default", "preferences"])
def test_go_key_is_refused_to_all_but_a_login(
    settings: Any, go_key: None, way: str, kind: str
) -> None:
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "preferences"}}
    session = session_class(kind)()
    with pytest.raises(ReservedKey, match=f"'{KEY}' is SCS_AUTH_USER_ID_KEY.*login"):
        WAYS[way](session)
    assert list(session.keys()) == []


def test_flash_of_the_go_keys_name_is_refused(go_key: None) -> None:
    request = HttpRequest()
    request.session = SessionStore()
    with pytest.raises(ValueError, match=KEY):
        flash.put(request, "3", key=KEY)


def test_merge_does_not_bring_a_login_along(go_key: None, go_login: Any, alice: User) -> None:
    token = go_login(alice.pk)
    mine = SessionStore()
    mine["a"] = 1
    with pytest.raises(ReservedKey):
        mine.merge_session(token)
    assert SessionStore().exists(token)
    assert KEY not in mine


def test_go_key_is_an_ordinary_one_without_the_setting() -> None:
    session = SessionStore()
    for use in WAYS.values():
        use(session)
    assert session[KEY] == "3"


def test_other_kinds_of_sessions_know_no_go_login(settings: Any, go_key: None, alice: User) -> None:
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "preferences"}}
    session = session_class("preferences")()
    session._get_session()[KEY] = alice.pk
    session.save()
    assert "_auth_user_id" not in session_class("preferences")(session.session_key)


# The shared login


def test_login_tells_go_and_logout_too(go_key: None, alice: User) -> None:
    client = Client()
    client.get("/log_in/")
    assert stored(token_of(client))[KEY] == alice.pk
    client.get("/log_out/")
    assert token_of(client) == ""


def test_login_of_channels_tells_go(go_key: None, alice: User) -> None:
    # Source: channels/auth.py login: no request, and the signal has request=None.
    session = SessionStore()
    session["color"] = "red"
    session.cycle_key()
    session["_auth_user_id"] = str(alice.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = alice.get_session_auth_hash()
    session.save()
    assert stored(session.session_key or "")[KEY] == alice.pk
    assert session.authenticated_at() is not None


def test_login_at_go_that_kept_the_token_gets_another(
    go_key: None, go_login: Any, alice: User
) -> None:
    client = Client()
    client.get("/put/")
    before = token_of(client)
    go_login(alice.pk, before)
    response = client.get("/read/")
    assert response.wsgi_request.user == alice
    assert token_of(client) != before
    assert not SessionStore().exists(before)
    after = token_of(client)
    assert client.get("/read/").wsgi_request.user == alice
    assert token_of(client) == after


def test_logout_at_go_leaves_nothing_of_the_login_and_keeps_the_token(
    go_key: None, alice: User
) -> None:
    client = Client()
    client.get("/log_in/")
    token = token_of(client)
    session = SessionStore(token)
    del session["signed_in_at"]
    # As Go does it, in the table.
    session._get_session().pop(KEY)
    session.modified = True
    session.save()
    assert client.get("/read/").wsgi_request.user.is_anonymous
    assert token_of(client) == token
    assert stored(token) == {}


def test_login_at_go_is_seen_by_parallel_requests(go_key: None, go_login: Any, alice: User) -> None:
    token = go_login(alice.pk)
    first, second = SessionStore(token), SessionStore(token)
    record = second._life.load(second.store_key(token))
    assert first["_auth_user_id"] == str(alice.pk)
    # The second had loaded before the first renewed the token.
    assert record is not None
    second._session_cache = second._adopt(*record)
    second._follow_go()
    assert second["_auth_user_id"] == str(alice.pk)
    assert second.token() == ""
    assert not second.commit().token
    assert first.commit().token


def test_iterating_over_sessions_renews_none(go_key: None, go_login: Any, alice: User) -> None:
    token = go_login(alice.pk)
    assert [session[KEY] for session in SessionStore.iterate()] == [alice.pk]
    assert SessionStore().exists(token)


@pytest.mark.parametrize(
    ("declared", "counts", "does_not"),
    [(None, int, str), ("int", int, str), ("int64", int, str), ("string", str, int)],
)
def test_only_the_declared_type_counts(
    settings: Any,
    go_key: None,
    go_login: Any,
    alice: User,
    declared: str | None,
    counts: type,
    does_not: type,
) -> None:
    settings.SCS_AUTH_USER_ID_TYPE = declared
    assert visit(go_login(counts(alice.pk))).get("/read/").wsgi_request.user == alice
    for wrong in (does_not(alice.pk), True, float(alice.pk), [alice.pk], None):
        client = visit(go_login(wrong))
        assert client.get("/read/").wsgi_request.user.is_anonymous


def test_time_of_a_login_at_go_is_that_of_its_renewal(
    settings: Any, go_key: None, go_login: Any, alice: User
) -> None:
    settings.SCS_LIFETIME = 10 * 3600
    token = go_login(alice.pk)
    age(3 * HOUR, token)
    session = SessionStore(token)
    moment = session.authenticated_at()
    assert moment is not None
    assert abs(moment - now() + 3 * HOUR) < A_MOMENT
    assert abs(session.deadline() - now() - 7 * HOUR) < A_MOMENT


@pytest.mark.django_db(transaction=True)
def test_login_at_go_with_ten_requests_at_once(go_key: None, go_login: Any, alice: User) -> None:
    token = go_login(alice.pk)

    def load() -> tuple[Any, str]:
        session = SessionStore(token)
        return session.get("_auth_user_id"), session.commit().token

    found = in_parallel(*[load] * 10)
    assert len([sent for _, sent in found if sent]) == 1
    assert len(list(SessionStore.iterate())) == 1


# What templates see


@pytest.mark.parametrize("kind", ["default", "preferences"])
def test_templates_call_nothing_that_writes(
    transactional_db: None, settings: Any, kind: str
) -> None:
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "preferences"}}
    session = session_class(kind)()
    session["color"] = "red"
    session.save()
    token = session.token()
    names = [name for name in dir(session) if not name.startswith("_")]
    # Nobody awaits what the async ones return, and the test cookie is Django's own.
    for name in (
        {*names} - {f"a{name}" for name in names} - {"set_test_cookie", "delete_test_cookie"}
    ):
        template = engines["django"].from_string(f"{{{{ session.{name} }}}}")
        with CaptureQueriesContext(connection) as found:
            template.render({"session": session})
        assert len(found) == 0, name
        assert session.token() == token, name
    assert session.commit().token == token


def test_templates_cannot_ask_for_the_time(alice: User) -> None:
    client = Client()
    client.get("/log_in/")
    response = client.get("/page/", {"template": "[{{ request.session.authenticated_at }}]"})
    assert response.content == b"[]"
