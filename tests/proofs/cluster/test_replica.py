"""What goes wrong, and what does not, when sessions are read from a replica that lags."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from django_scs.backends.db import SessionStore
from tests.servers import interruptible
from tests.settings import database

from .replicas import ReplicatedPostgreSQL

SECONDS = 120

READS_FROM_REPLICA = "tests.proofs.cluster.test_replica.ReadsFromReplica"
SESSIONS_FROM_PRIMARY = "tests.proofs.cluster.test_replica.SessionsFromPrimary"


class ReadsFromReplica:
    """What projects with replicas have: it sends every read to one."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "default"


class SessionsFromPrimary:
    """The router that docs/scaling.md puts before it."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "default" if model._meta.app_label == "django_scs" else None


@pytest.fixture(scope="module")
def databases(django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    with interruptible(), django_db_blocker.unblock(), ReplicatedPostgreSQL() as servers:
        yield {"default": database(servers.primary.url), "replica": database(servers.replica.url)}


@pytest.fixture
def replicated(databases: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the connections of this thread those to the primary and to the replica."""
    handler = ConnectionHandler(databases)
    monkeypatch.setattr(connections, "settings", handler.settings)
    before = connections["default"]
    for alias in databases:
        connections[alias] = handler[alias]
    call_command("migrate", "django_scs", verbosity=0)
    catch_up()
    yield
    for alias in databases:
        connections[alias].close()
    del connections["replica"]
    connections["default"] = before


def ask(alias: str, sql: str, *parameters: Any) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def catch_up() -> None:
    """Wait until the replica has all that the primary has committed."""
    written = ask("default", "SELECT pg_current_wal_lsn()::text")
    applied = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    wait_until(lambda: bool(ask("replica", applied, written)))


@contextmanager
def lagging() -> Iterator[None]:
    """Let the replica apply nothing during the block, however long that takes, and all after it."""
    state = "SELECT pg_get_wal_replay_pause_state()"
    ask("replica", "SELECT pg_wal_replay_pause()")
    try:
        wait_until(lambda: ask("replica", state) == "paused")
        yield
    finally:
        ask("replica", "SELECT pg_wal_replay_resume()")
    catch_up()


def new_session(**values: Any) -> SessionStore:
    session = SessionStore()
    session.update(values)
    session.save()
    return session


@override_settings(DATABASE_ROUTERS=[READS_FROM_REPLICA])
def test_a_replica_does_not_know_a_new_session_and_keeps_a_dead_one(replicated: None) -> None:
    with lagging():
        session = new_session(user="alice")
        assert SessionStore(session.session_key).get("user") is None
    assert SessionStore(session.session_key).get("user") == "alice"
    with lagging():
        SessionStore(session.session_key).flush()
        assert SessionStore(session.session_key).get("user") == "alice"
    assert SessionStore(session.session_key).get("user") is None


@override_settings(DATABASE_ROUTERS=[READS_FROM_REPLICA])
def test_what_was_read_from_a_replica_overwrites_nothing(replicated: None) -> None:
    session = new_session(log=[0], flash="saved")
    catch_up()
    with lagging():
        for number in range(1, 6):
            stale = SessionStore(session.session_key)
            assert stale["log"] == [0]
            stale["log"] = [*stale["log"], number]
            stale.save()
        takers = [SessionStore(session.session_key) for _ in range(5)]
        assert all("flash" in taker for taker in takers)
        assert sorted(taker.take("flash", "") for taker in takers) == ["", "", "", "", "saved"]
    assert SessionStore(session.session_key)["log"] == [0, 1, 2, 3, 4, 5]


@override_settings(DATABASE_ROUTERS=[SESSIONS_FROM_PRIMARY, READS_FROM_REPLICA])
def test_with_sessions_read_from_the_primary_all_is_as_without_replicas(replicated: None) -> None:
    session = new_session(user="alice")
    assert SessionStore(session.session_key)["user"] == "alice"
    session.flush()
    assert SessionStore(session.session_key).get("user") is None
