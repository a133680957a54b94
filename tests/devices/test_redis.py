"""Devices in the database, of sessions in Redis."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from django_scs import devices, signals
from django_scs.backends.redis import SessionStore

from ..redis_servers import Redis, client_of, redis_server
from .conftest import is_alive, token_of

__all__ = ["redis_server"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.devices.urls"),
]


@pytest.fixture(autouse=True)
def engine(settings: Any, redis_server: Redis) -> None:
    with client_of(redis_server) as client:
        client.flushall()
    settings.SESSION_ENGINE = "django_scs.backends.redis"
    settings.SCS_REDIS = {"LOCATION": redis_server.url}


def test_sessions_are_listed_while_they_live(sign_in: Any, ada: User) -> None:
    first, second = sign_in(), sign_in()
    assert len(devices.of(ada)) == 2
    first.get("/renew/")
    assert len(devices.of(ada)) == 2
    SessionStore(token_of(second)).delete()
    assert [device.key for device in devices.of(ada)] == [SessionStore.store_key(token_of(first))]
    first.get("/log_out/")
    assert devices.of(ada) == []


def test_sessions_are_revoked(sign_in: Any, ada: User) -> None:
    clients, told = [sign_in() for _ in range(3)], []

    def note(key: str, **kwargs: Any) -> None:
        told.append(key)

    signals.session_destroyed.connect(note)
    request = type("Request", (), {"session": SessionStore(token_of(clients[0]))})()
    assert devices.revoke_user(ada, keep=request) == 2
    signals.session_destroyed.disconnect(note)
    assert [is_alive(client) for client in clients] == [True, False, False]
    assert len(told) == 2


def test_a_new_token_outlives_the_rollback_of_its_row(sign_in: Any, ada: User) -> None:
    client = sign_in()
    session = SessionStore(token_of(client))
    with transaction.atomic():
        session["color"] = "red"
        session.cycle_key()
        transaction.set_rollback(True)
    session.commit()
    client.cookies["sessionid"] = session.token()
    assert is_alive(client)
    assert len(devices.of(ada)) == 1
    assert devices.revoke_user(ada) == 1
    assert not is_alive(client)


def test_page(sign_in: Any) -> None:
    mine, other = sign_in(), sign_in()
    text = mine.post("/devices/sign-out-others/", follow=True).content.decode()
    assert "1 other device was signed out." in text
    assert not is_alive(other)
