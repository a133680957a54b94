"""Tombstones in themselves; what they do against the real scs is tested with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from django_scs import tokens
from django_scs.models import Session
from django_scs.stores import tombstones
from django_scs.stores.sql import SqlStore
from tests.contracts.store import HOUR

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    call_command("scs_tombstones", "install", verbosity=0)
    yield
    call_command("scs_tombstones", "remove", verbosity=0)


@pytest.fixture
def store() -> SqlStore:
    return SqlStore(Session)


@pytest.fixture
def key(store: SqlStore) -> str:
    """Return the key of a session that lives for two weeks more."""
    key = tokens.new()
    store.insert(key, b"data", 14 * DAY)
    return key


def execute(statement: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def is_alive(store: SqlStore, key: str) -> bool:
    """Tell whether there is a live session; MySQL's triggers leave one that ended in 1970."""
    record = store.find(key)
    return record is not None and record.is_live


def buried() -> set[str]:
    """Return the keys that have a tombstone."""
    return {key for (key,) in execute("SELECT token FROM sessions_tombstones")}


def end_tombstones(*keys: str) -> None:
    """Let the time of some tombstones be over."""
    past = {
        "mysql": "UTC_TIMESTAMP(6) - INTERVAL 1 SECOND",
        "postgresql": "now() - interval '1 second'",
        "sqlite": "julianday('now') - 1.0 / 86400",
    }[connection.vendor]
    for key in keys:
        assert execute(f"UPDATE sessions_tombstones SET expiry = {past} WHERE token = %s", key) == 1


def test_destroyed_session_cannot_be_inserted_again(store: SqlStore, key: str) -> None:
    row = Session.objects.get()
    store.delete(key)
    row.save(force_insert=True)
    assert not is_alive(store, key)
    assert buried() == {key}


def test_renewed_session_cannot_be_inserted_again(store: SqlStore, key: str) -> None:
    row, new_key = Session.objects.get(), tokens.new()
    store.rename(key, new_key, HOUR)
    row.save(force_insert=True)
    assert not is_alive(store, key)
    assert is_alive(store, new_key)
    assert buried() == {key}


def test_writes_leave_none(store: SqlStore, key: str) -> None:
    store.replace(key, b"new", HOUR, b"data")
    store.touch(key, HOUR, b"new")
    assert buried() == set()


def test_session_that_was_never_stored_leaves_none(store: SqlStore) -> None:
    key, new_key = tokens.new(), tokens.new()
    assert store.delete(key) is False
    assert store.rename(key, new_key, HOUR) is False
    assert buried() == set()
    assert store.insert(key, b"data", HOUR) is True
    assert is_alive(store, key)


def test_expired_session_leaves_none(store: SqlStore, key: str) -> None:
    store.touch(key, -HOUR, b"data")
    assert store.delete_expired(100) == 1
    assert buried() == set()


def test_tombstone_lasts_a_day_however_long_the_session_would_have(
    store: SqlStore, key: str
) -> None:
    store.delete(key)
    with CaptureQueriesContext(connection):
        left = {
            "mysql": "TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), expiry)",
            "postgresql": "date_part('epoch', expiry - now())",
            "sqlite": "(expiry - julianday('now')) * 86400",
        }[connection.vendor]
        ((seconds,),) = execute(f"SELECT {left} FROM sessions_tombstones")
    assert DAY - 60 < seconds <= DAY


def test_sweep_takes_along_tombstones_whose_time_is_over(store: SqlStore, key: str) -> None:
    keys = [tokens.new() for _ in range(5)]
    for each in (key, *keys):
        store.insert(each, b"data", HOUR)
        store.delete(each)
    end_tombstones(*keys)
    assert store.delete_expired(2) == 0
    assert len(buried()) == 4
    assert store.sweep_tombstones(2) == 2
    assert store.delete_expired(200) == 0
    assert buried() == {key}
    assert store.sweep_tombstones(2) == 0


def test_sweep_asks_once_whether_there_are_tombstones(store: SqlStore) -> None:
    store.delete_expired(1)
    with CaptureQueriesContext(connection) as found:
        store.delete_expired(1)
    assert [each["sql"].split()[0] for each in found] == ["SELECT"] * 2
    call_command("scs_tombstones", "remove", verbosity=0)
    store.delete_expired(1)
    with CaptureQueriesContext(connection) as found:
        store.delete_expired(1)
    assert len(found) == 1


def test_sweep_asks_again_after_another_process_has_removed_them(store: SqlStore) -> None:
    store.delete_expired(1)
    known = dict(tombstones._known)
    call_command("scs_tombstones", "remove", verbosity=0)
    tombstones._known.update(known)
    with pytest.raises(DatabaseError):
        store.delete_expired(1)
    assert store.delete_expired(1) == 0


def test_install_mends_what_is_there_in_part(store: SqlStore, key: str) -> None:
    row = Session.objects.get()
    store.delete(key)
    tombstones._execute(connection, "sessions", tombstones.NO_TRIGGERS[connection.vendor])
    call_command("scs_tombstones", "install", verbosity=0)
    row.save(force_insert=True)
    assert not is_alive(store, key)


@pytest.mark.vendors("mysql")
def test_install_goes_on_after_one_that_was_killed(store: SqlStore, key: str) -> None:
    call_command("scs_tombstones", "remove", verbosity=0)
    execute("CREATE TABLE sessions_tombstones LIKE sessions")
    call_command("scs_tombstones", "install", verbosity=0)
    assert store.delete(key)
    assert buried() == {key}


def test_engine_of_another_kind_is_refused(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    with pytest.raises(CommandError, match="signed_cookies"):
        call_command("scs_tombstones", "install")
