"""To sign a user out everywhere, also while that user's tokens are being renewed."""

from typing import Any

import pytest

from django_scs import backoff, tokens
from django_scs.backends.db import SessionStore
from django_scs.exceptions import SessionBusy
from django_scs.models import Session
from tests.database import in_autocommit
from tests.support import stored

pytestmark = in_autocommit


def create(**values: Any) -> str:
    session = SessionStore()
    session.update(values)
    session.save()
    return session.token()


def is_alices(session: SessionStore) -> bool:
    return session.get("user") == "alice"


def test_sessions_of_one_user_are_destroyed_and_counted() -> None:
    theirs = [create(user="alice") for _ in range(3)]
    others = create(user="bob")
    assert SessionStore.destroy_where(is_alices) == 3
    assert not any(SessionStore().exists(token) for token in theirs)
    assert stored(others) == {"user": "bob"}
    assert SessionStore.destroy_where(is_alices) == 0


@pytest.mark.parametrize("hashed", [False, True])
def test_session_renewed_between_read_and_flush_is_found_again(
    settings: Any, hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCS_HASH_TOKENS = hashed
    token, renewed = create(user="alice"), []
    destroy = SessionStore._destroy

    def late(self: SessionStore, reason: str) -> bool:
        if len(renewed) < 3:
            mine = SessionStore(renewed[-1] if renewed else token)
            mine.cycle_key()
            renewed.append(mine.token())
        return destroy(self, reason)

    monkeypatch.setattr(SessionStore, "_destroy", late)
    assert SessionStore.destroy_where(is_alices) == 1
    assert len(renewed) == 3
    assert not Session.objects.exists()


def test_session_renewed_while_others_are_looked_at_is_destroyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.05)
    tokens_of_alice, seen = [create(user="alice"), create(user="alice")], []

    def matches(session: SessionStore) -> bool:
        # Each look at one renews the other.
        seen.append(session.session_key)
        for place, token in enumerate(tokens_of_alice):
            other = SessionStore(token)
            if token != session.session_key and other.exists(token):
                other.cycle_key()
                tokens_of_alice[place] = other.token()
        return is_alices(session)

    assert SessionStore.destroy_where(matches) == 2
    assert len(seen) <= 4
    assert not Session.objects.exists()


def test_session_renewed_past_the_reader_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a token that sorts before the page that is read next."""
    token, moved = create(user="alice"), []
    iterate = SessionStore.iterate

    def hide() -> Any:
        if not moved:
            moved.append(token)
            return iter(())
        return iterate()

    monkeypatch.setattr(SessionStore, "iterate", hide)
    assert SessionStore.destroy_where(is_alices) == 1
    assert not Session.objects.exists()


def test_session_that_cannot_be_destroyed_is_no_endless_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replica that lags shows a session that is gone already."""
    monkeypatch.setattr("django_scs.backoff.LIMIT", 0.2)
    create(user="alice")
    ghost = next(SessionStore.iterate())
    monkeypatch.setattr(SessionStore, "_all", lambda tells: iter([ghost]))
    with pytest.raises(SessionBusy):
        SessionStore.destroy_where(lambda each: True)


def test_flush_and_delete_say_what_they_did() -> None:
    token = create(user="alice")
    session, other = SessionStore(token), SessionStore(token)
    assert is_alices(session)
    assert other.flush() is True
    assert session.flush() is False
    assert SessionStore().delete(token) is False
    assert SessionStore().delete(create()) is True
    assert SessionStore().flush() is False


# A hash is no token


def test_hash_read_from_the_table_opens_nothing(settings: Any) -> None:
    settings.SCS_HASH_TOKENS = True
    token = create(user="alice")
    key = Session.objects.get().token
    assert tokens.well_formed(key)
    assert key != token
    session = SessionStore(key)
    assert dict(session.items()) == {}
    assert not session.exists(key)
    assert session.delete(key) is False
    session.merge_session(key)
    assert dict(session.items()) == {}
    assert stored(token) == {"user": "alice"}


def test_key_of_another_kind_opens_nothing(settings: Any) -> None:
    from django_scs.manager import session_class

    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket"}}
    basket = session_class("basket")()
    basket["user"] = "alice"
    basket.save()
    key = basket.store_key(basket.token())
    for token in (key, basket.token()):
        assert dict(session_class("basket")(token).items()) == (
            {} if token == key else {"user": "alice"}
        )
    assert dict(SessionStore(basket.token()).items()) == {}
