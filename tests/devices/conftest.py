"""A user, and helpers for sessions that are signed in, here or by a Go application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.devices.models import Device

from ..database import scs_table

__all__ = ["scs_table"]

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/130.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", "ada@example.com", "secret")


@pytest.fixture
def sign_in(ada: User) -> Callable[..., Client]:
    """Return a function that signs a user in with a browser of her own, over the login view."""

    def sign_in(user: User = ada, agent: str = CHROME, **headers: str) -> Client:
        client = Client(headers={"user-agent": agent, **headers})
        client.post(f"/log_in/?user={user.username}")
        assert token_of(client)
        return client

    return sign_in


def token_of(client: Client) -> str:
    cookie = client.cookies.get("sessionid")
    return cookie.value if cookie else ""


def is_alive(client: Client) -> bool:
    return "_auth_user_id" in client.get("/read/").json()


def row_of(client: Client) -> Device:
    return Device.objects.get(key=SessionStore.store_key(token_of(client)))


def login_of(user: User) -> dict[str, str]:
    """Return what Django keeps in the session of a user who is signed in."""
    return {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: BACKEND,
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }


def opened_by_go(values: dict[str, Any]) -> Client:
    """Return the browser of a session that another application has put into the table."""
    token = tokens.new()
    data = SessionStore()._options.codec.encode(datetime.now(UTC) + timedelta(hours=1), values)
    assert SessionStore.get_store().insert(SessionStore.store_key(token), data, 3600)
    client = Client(headers={"user-agent": CHROME})
    client.cookies["sessionid"] = token
    return client


def renewed_by_go(client: Client) -> None:
    """Let another application give a session a new token: a DELETE and an INSERT of the same data."""
    store = SessionStore.get_store()
    old, new = SessionStore.store_key(token_of(client)), tokens.new()
    record = store.find(old)
    assert record is not None
    store.delete(old)
    assert store.insert(SessionStore.store_key(new), record.data, record.ttl)
    client.cookies["sessionid"] = new


def statements_of(work: Callable[[], Any], table: str = "scs_devices") -> list[str]:
    """Return the verbs of the statements on a table that some work makes."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"].split()[0] for query in captured if table in query["sql"]]
