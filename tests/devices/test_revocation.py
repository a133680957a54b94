"""Revoked sessions are dead, whatever they do meanwhile."""

from __future__ import annotations

import time
from contextvars import Context
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends import signed_cookies
from django.db import OperationalError, connection, transaction
from django.test import RequestFactory

from django_scs import devices, signals
from django_scs.backends.db import SessionStore
from django_scs.devices import follow, revocation
from django_scs.devices.models import Device
from django_scs.exceptions import SessionBusy
from django_scs.models import Session

from ..stores.test_sql import driver_error
from .conftest import is_alive, row_of, statements_of, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.urls"),
]


def request_of(client: Any) -> Any:
    return type("Request", (), {"session": SessionStore(token_of(client))})()


def test_revoke_ends_one(sign_in: Any, ada: User) -> None:
    first, second = sign_in(), sign_in()
    assert devices.revoke(row_of(first))
    assert [is_alive(first), is_alive(second)] == [False, True]
    assert [device.pk for device in devices.of(ada)] == [row_of(second).pk]


def test_revoke_says_when_it_was_over(sign_in: Any) -> None:
    device = row_of(sign_in())
    assert devices.revoke(device)
    assert not devices.revoke(device)


def test_revoke_user_ends_all_of_hers(sign_in: Any, ada: User) -> None:
    bob = User.objects.create_user("bob")
    clients, other = [sign_in() for _ in range(3)], sign_in(bob)
    assert devices.revoke_user(ada) == 3
    assert [is_alive(client) for client in clients] == [False] * 3
    assert is_alive(other)
    assert devices.of(ada) == []


def test_revoke_user_keeps_one(sign_in: Any, ada: User) -> None:
    clients = [sign_in() for _ in range(3)]
    assert devices.revoke_user(ada, keep=request_of(clients[1])) == 2
    assert [is_alive(client) for client in clients] == [False, True, False]
    clients[1].get("/renew/")
    assert is_alive(clients[1])


def test_revoke_user_takes_few_statements(sign_in: Any, ada: User) -> None:
    for _ in range(5):
        sign_in()
    found = statements_of(lambda: devices.revoke_user(ada), "s")
    assert found == ["SELECT", "DELETE", "UPDATE", "INSERT", "SELECT"]


def test_revoked_sessions_are_told_as_destroyed(sign_in: Any, ada: User) -> None:
    clients, told = [sign_in(), sign_in()], []
    SessionStore(token_of(clients[0])).delete()

    def note(key: str, user: str, reason: str, **kwargs: Any) -> None:
        told.append((key, user, reason))

    signals.session_destroyed.connect(note)
    devices.revoke_user(ada)
    signals.session_destroyed.disconnect(note)
    assert told == [(SessionStore.store_key(token_of(clients[1])), str(ada.pk), "revoked")]


def test_a_session_whose_key_is_being_converted_ends(
    sign_in: Any, ada: User, settings: Any
) -> None:
    """Another process has changed the key of the session, and not yet that of the device."""
    client = sign_in()
    settings.SCS_HASH_TOKENS = "convert"
    token = token_of(client)
    Session.objects.filter(token=token).update(token=SessionStore.store_key(token))
    assert SessionStore(token).is_stored()
    assert devices.revoke_user(ada) == 1
    assert not SessionStore(token).is_stored()


@pytest.mark.vendors("postgresql")
@pytest.mark.parametrize("expiry", ["infinity", "-infinity"])
def test_a_session_whose_expiry_is_no_time_ends(sign_in: Any, ada: User, expiry: str) -> None:
    client = sign_in()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sessions SET expiry = %s", [expiry])
    assert len(devices.of(ada)) == (expiry == "infinity")
    assert devices.revoke_user(ada) == 1
    assert not is_alive(client)


def test_a_request_that_is_under_way_loses_its_session(sign_in: Any, ada: User) -> None:
    client = sign_in()
    session = SessionStore(token_of(client))
    session["color"] = "red"
    devices.revoke_user(ada)
    session.commit()
    assert not is_alive(client)
    assert not SessionStore(token_of(client)).is_stored()


def test_a_new_token_that_overtakes_the_mark_dies(
    sign_in: Any, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is renamed, then its row is marked, then the row is to move."""
    session = SessionStore(token_of(sign_in()))
    session.get("color")
    move = follow._move

    def move_late(*args: Any) -> bool:
        Device.objects.update(revoked_at="2026-01-01T00:00Z")
        return move(*args)

    monkeypatch.setattr(follow, "_move", move_late)
    session.cycle_key()
    session["color"] = "red"
    assert session.commit().token == ""
    assert list(SessionStore.iterate()) == []


def test_a_new_token_between_look_and_mark_is_met_again(
    sign_in: Any, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SessionStore(token_of(sign_in()))
    unmarked, renewed = revocation._unmarked, []

    def unmarked_and_renew(rows: Any) -> Any:
        found = unmarked(rows)
        if not renewed:
            session.cycle_key()
            session.save()
            renewed.append(session.token())
        return found

    monkeypatch.setattr(revocation, "_unmarked", unmarked_and_renew)
    assert devices.revoke_user(ada) == 1
    assert not SessionStore(renewed[0]).is_stored()


def test_revoke_user_gives_up_in_the_end(
    sign_in: Any, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SessionStore(token_of(sign_in()))
    unmarked = revocation._unmarked

    def unmarked_and_renew(rows: Any) -> Any:
        found = unmarked(rows)
        session.cycle_key()
        session.save()
        return found

    monkeypatch.setattr(revocation, "_unmarked", unmarked_and_renew)
    monkeypatch.setattr(revocation, "LIMIT", 0.2)
    with pytest.raises(SessionBusy):
        devices.revoke_user(ada)


def test_a_slow_first_look_that_finds_nothing_is_noted_all_the_same(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "LIMIT", -1)
    noted: list[int] = []
    monkeypatch.setattr(revocation.insertion, "note_revocation", noted.append)
    assert devices.revoke_user(ada) == 0
    assert noted == [ada.pk]


def test_statements_that_the_server_undid_are_sent_again(
    sign_in: Any, ada: User, vendor: str
) -> None:
    """On a table with much traffic a deadlock is nothing unusual."""

    def undo_once(execute: Any, sql: str, *args: Any) -> Any:
        if "scs_" in sql and not sql.startswith("SELECT") and sql not in undone:
            undone.append(sql)
            raise OperationalError("deadlock") from driver_error(vendor)
        return execute(sql, *args)

    undone: list[str] = []
    with connection.execute_wrapper(undo_once):
        client = sign_in()
        assert client.get("/renew/").status_code == 200
        assert row_of(client).user == ada
        assert devices.revoke_user(ada) == 1
    assert not is_alive(client)
    assert len(undone) == 4


def test_revocation_inside_a_transaction(sign_in: Any, ada: User) -> None:
    client = sign_in()
    with transaction.atomic():
        assert devices.revoke_user(ada) == 1
    assert not is_alive(client)


def test_revocation_that_is_rolled_back(sign_in: Any, ada: User) -> None:
    client = sign_in()
    with transaction.atomic():
        devices.revoke_user(ada)
        transaction.set_rollback(True)
    assert is_alive(client)
    assert len(devices.of(ada)) == 1


def test_a_login_that_is_under_way_ends_too(sign_in: Any, ada: User) -> None:
    """Its session is stored, and its row is not, when the revocation looks for the last time."""
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    time.sleep(0.05)
    login(request, ada)
    devices.revoke_user(ada)
    request.session.save()
    assert devices.of(ada) == []
    assert list(SessionStore.iterate()) == []


def test_a_login_that_is_under_way_ends_too_where_the_server_is_slow(
    sign_in: Any, ada: User
) -> None:
    """The server counts from the moment when it has the statement."""
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    login(request, ada)
    devices.revoke_user(ada)

    def slow(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("INSERT INTO") and "scs_devices" in sql:
            time.sleep(0.3)
        return execute(sql, *args)

    with connection.execute_wrapper(slow):
        request.session.save()
    assert devices.of(ada) == []
    assert list(SessionStore.iterate()) == []


def test_a_login_after_the_revocation_stays(sign_in: Any, ada: User) -> None:
    devices.revoke_user(ada)
    devices.revoke_user(ada)
    client = sign_in()
    assert is_alive(client)
    assert len(devices.of(ada)) == 1


@pytest.mark.parametrize("kept", [False, True])
def test_a_login_beside_the_revocation_in_one_request_stays(
    sign_in: Any, ada: User, kept: bool
) -> None:
    """It comes after the revocation, or it is the one to be kept, and its row is not written yet."""
    other = sign_in()
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    if kept:
        login(request, ada)
        assert devices.revoke_user(ada, keep=request) == 1
    else:
        assert devices.revoke_user(ada) == 1
        login(request, ada)
    request.session.save()
    assert request.session.is_stored()
    assert [device.key for device in devices.of(ada)] == [request.session._key()]
    assert not is_alive(other)
    follow._on_request_finished()
    devices.revoke_user(ada)
    assert not request.session.is_stored()


def test_a_login_of_another_user_is_not_spared(sign_in: Any, ada: User) -> None:
    bob = User.objects.create_user("bob")
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    login(request, bob)
    devices.revoke_user(bob)
    devices.revoke_user(ada, keep=request)
    request.session.save()
    assert not request.session.is_stored()


def test_a_session_of_another_engine_is_no_hindrance(sign_in: Any, ada: User) -> None:
    """SCS_MIGRATE_FROM may keep the session of the request in the old engine."""
    client, request = sign_in(), RequestFactory().get("/")
    request.session = signed_cookies.SessionStore()
    assert devices.revoke_user(ada, keep=request) == 1
    assert not is_alive(client)


def test_the_same_user_again_in_a_session_that_was_revoked_meanwhile(
    sign_in: Any, ada: User
) -> None:
    request: Any = RequestFactory().get("/")
    request.session = SessionStore(token_of(sign_in()))
    request.session.get("color")
    # By another request: what a request does itself does not end its later login.
    Context().run(devices.revoke_user, ada)
    login(request, ada)
    request.session.save()
    assert list(SessionStore.iterate()) == []
