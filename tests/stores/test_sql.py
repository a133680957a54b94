"""The store in a table: what it adds to the contract, and the contract on tables of other makes."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext

from django_scs import backoff, tokens
from django_scs.models import Session
from django_scs.stores import sql
from django_scs.stores.sql import SqlStore
from tests.contracts.store import StoreContract
from tests.contracts.tools import in_parallel, past, soon
from tests.database import in_autocommit, scs_table
from tests.support import statements, use_repeatable_read, verbs

__all__ = ["scs_table"]

OTHER_ZONES = {"mysql": "SET time_zone = '-08:00'", "postgresql": "SET TIME ZONE 'Asia/Kolkata'"}


def set_other_zone(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(OTHER_ZONES[connection.vendor])


@in_autocommit
class TestSqlStore(StoreContract):
    @pytest.fixture
    def store(self) -> SqlStore:
        return SqlStore(Session)


@pytest.mark.usefixtures("scs_table")
class TestSqlStoreOnTheTableOfScs(TestSqlStore):
    """On MySQL that table has a collation which takes one case for the other."""


@pytest.mark.vendors("mysql", "postgresql")
class TestSqlStoreInAnotherTimeZone(TestSqlStore):
    @pytest.fixture(autouse=True)
    def zone(self, transactional_db: None) -> Iterator[None]:
        connection.close()
        connection_created.connect(set_other_zone)
        yield
        connection_created.disconnect(set_other_zone)
        connection.close()


@pytest.fixture
def store() -> SqlStore:
    return SqlStore(Session)


@pytest.fixture
def key() -> str:
    return tokens.new()


OPERATIONS: dict[str, tuple[Callable[[SqlStore, str], Any], list[str]]] = {
    "find": (lambda store, key: store.find(key), ["SELECT"]),
    "find_latest": (lambda store, key: store.find_latest(key), ["SELECT"]),
    "insert": (lambda store, key: store.insert(tokens.new(), b"", soon()), ["INSERT"]),
    "replace": (lambda store, key: store.replace(key, b"new", soon(), b"data"), ["UPDATE"]),
    "touch": (lambda store, key: store.touch(key, soon(), b"data"), ["UPDATE"]),
    "rename": (lambda store, key: store.rename(key, tokens.new(), soon()), ["RENAME"]),
    "delete": (lambda store, key: store.delete(key), ["DELETE"]),
    "nothing expired": (lambda store, key: store.delete_expired(10), ["SELECT"]),
}


@in_autocommit
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_one_statement(store: SqlStore, key: str, name: str) -> None:
    store.insert(key, b"data", soon())
    operation, expected = OPERATIONS[name]
    with statements() as found:
        operation(store, key)
    assert verbs(found) == expected


@in_autocommit
def test_all_reads_page_by_page(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_PAGE", 2)
    keys = {tokens.new() for _ in range(5)}
    for each in keys:
        store.insert(each, b"data", soon())
    with statements() as found:
        records = list(store.all())
    assert {record.key for record in records} == keys
    assert len(records) == 5
    assert len(found) == 4


@in_autocommit
def test_table_that_is_gone_is_an_error_and_no_missing_session(store: SqlStore, key: str) -> None:
    with connection.schema_editor() as editor:
        editor.alter_db_table(Session, "sessions", "sessions_away")
    try:
        for operation, _ in OPERATIONS.values():
            with pytest.raises(DatabaseError):
                operation(store, key)
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Session, "sessions_away", "sessions")


@in_autocommit
def test_connection_that_is_lost_is_an_error_and_no_missing_session(
    store: SqlStore, key: str
) -> None:
    store.insert(key, b"data", soon())
    connection.connection.close()
    with pytest.raises(DatabaseError):
        store.find(key)
    connection.connection = None
    assert store.find(key) is not None


# Errors after which the server has undone the statement


def driver_error(vendor: str) -> Exception:
    """Return what the driver raises when the server asks to try again."""
    if vendor == "mysql":
        from MySQLdb import OperationalError as MySQLError

        return MySQLError(1213, "Deadlock found when trying to get lock")
    if vendor == "postgresql":
        from psycopg.errors import SerializationFailure

        return SerializationFailure("could not serialize access")
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
    return error


class Trouble:
    """Wraps statements: lets some of them fail as the driver would."""

    def __init__(self, cause: Exception, times: int) -> None:
        self.cause = cause
        self.times = times
        self.tries = 0

    def __call__(self, execute: Any, *args: Any) -> Any:
        self.tries += 1
        if self.tries <= self.times:
            raise OperationalError("trouble") from self.cause
        return execute(*args)


@in_autocommit
def test_statement_that_the_server_undid_is_sent_again(
    store: SqlStore, key: str, vendor: str
) -> None:
    trouble = Trouble(driver_error(vendor), times=2)
    with connection.execute_wrapper(trouble):
        assert store.insert(key, b"data", soon()) is True
    assert trouble.tries == 3
    assert store.find(key) is not None


@in_autocommit
def test_statement_that_the_server_undoes_for_ever_fails(
    store: SqlStore, key: str, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.5)
    trouble = Trouble(driver_error(vendor), times=10**6)
    with connection.execute_wrapper(trouble), pytest.raises(OperationalError):
        store.find(key)
    assert trouble.tries > 1


@in_autocommit
def test_statement_inside_a_transaction_is_not_sent_again(
    store: SqlStore, key: str, vendor: str
) -> None:
    trouble = Trouble(driver_error(vendor), times=1)
    with transaction.atomic(), connection.execute_wrapper(trouble), pytest.raises(OperationalError):
        store.insert(key, b"data", soon())
    assert trouble.tries == 1


@in_autocommit
def test_statement_that_failed_otherwise_is_not_sent_again(store: SqlStore, key: str) -> None:
    trouble = Trouble(sqlite3.OperationalError("disk I/O error"), times=1)
    with connection.execute_wrapper(trouble), pytest.raises(OperationalError):
        store.insert(key, b"data", soon())
    assert trouble.tries == 1


def kill(connection: Any) -> None:
    """End a connection as a failing server does, while its client knows nothing of it."""
    if connection.vendor == "mysql":
        sql = f"KILL {connection.connection.thread_id()}"
    else:
        sql = f"SELECT pg_terminate_backend({connection.connection.info.backend_pid})"
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute(sql)
    other.close()


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize("landed", [True, False])
def test_rename_whose_reply_was_lost_is_finished(store: SqlStore, key: str, landed: bool) -> None:
    def lose(execute: Any, sql: str, *args: Any) -> Any:
        if not lost:
            lost.append(sql)
            if landed:
                execute(sql, *args)
            kill(connection)
        return execute(sql, *args)

    lost: list[str] = []
    new_key = tokens.new()
    store.insert(key, b"data", soon())
    with connection.execute_wrapper(lose):
        assert store.rename(key, new_key, soon()) is True
    assert [record.key for record in store.all()] == [new_key]
    assert store.rename(key, tokens.new(), soon()) is False


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_rename_inside_a_transaction_that_was_lost_fails(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", soon())

    def rename_in_a_transaction() -> None:
        with transaction.atomic():
            store.touch(key, soon(), b"data")
            kill(connection)
            store.rename(key, tokens.new(), soon())

    with pytest.raises(DatabaseError):
        rename_in_a_transaction()
    connection.close()
    assert store.find(key) is not None


# Inside a transaction of the caller's


@in_autocommit
def test_insert_of_a_taken_key_leaves_the_transaction_usable(store: SqlStore, key: str) -> None:
    with transaction.atomic():
        assert store.insert(key, b"first", soon()) is True
        assert store.insert(key, b"second", soon()) is False
        assert store.replace(key, b"third", soon(), b"first") is True
    record = store.find(key)
    assert record is not None
    assert record.data == b"third"


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_find_latest_sees_what_was_committed_since_the_transaction_began(
    store: SqlStore, key: str, vendor: str
) -> None:
    store.insert(key, b"old", soon())
    if vendor == "mysql":
        use_repeatable_read()
    with transaction.atomic():
        assert store.find(key) is not None
        assert in_parallel(lambda: store.replace(key, b"new", soon(), b"old")) == [True]
        assert store.replace(key, b"mine", soon(), b"old") is False
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == b"new"
        assert store.replace(key, b"mine", soon(), latest.data) is True
    connection.close()


@in_autocommit
@pytest.mark.vendors("mysql")
def test_clear_expired_ends_where_others_have_deleted_the_rows(
    store: SqlStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_scs.backends import base
    from django_scs.backends.db import SessionStore

    monkeypatch.setattr(base, "_SWEEP_BATCH", 1)
    store.insert(key, b"data", past())
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    batches = 0

    def count(execute: Any, *args: Any) -> Any:
        nonlocal batches
        batches += 1
        assert batches < 20, "it goes on for ever"
        return execute(*args)

    with transaction.atomic():
        assert store.find(tokens.new()) is None
        assert in_parallel(lambda: store.delete(key)) == [True]
        with connection.execute_wrapper(count):
            SessionStore.clear_expired()
    connection.close()


# Several databases


class ReplicaRouter:
    def db_for_read(self, model: type, **hints: Any) -> str | None:
        return "replica" if model is Session else None


@pytest.fixture
def replica(transactional_db: None, settings: Any) -> Iterator[Any]:
    """Return another connection to the same database, which routers send reads to."""
    settings.DATABASE_ROUTERS = [ReplicaRouter()]
    # Under its own name Django's test framework would refuse it.
    connections["replica"] = connection.copy("default")
    yield connections["replica"]
    connections["replica"].close()
    del connections["replica"]


@in_autocommit
@pytest.mark.parametrize(
    ("name", "reads"),
    [("find", 1), ("find_latest", 0), ("replace", 0), ("delete", 0), ("nothing expired", 0)],
)
def test_router_sends_plain_reads_to_a_replica(
    store: SqlStore, key: str, replica: Any, name: str, reads: int
) -> None:
    store.insert(key, b"data", soon())
    operation = OPERATIONS[name][0]
    with CaptureQueriesContext(replica) as on_replica, statements() as on_primary:
        assert operation(store, key) is not None
    on_replica = [each for each in on_replica.captured_queries if "sessions" in each["sql"]]
    assert (len(on_replica), len(on_primary)) == (reads, 1 - reads)


@in_autocommit
def test_router_sends_all_to_a_replica(store: SqlStore, key: str, replica: Any) -> None:
    store.insert(key, b"data", soon())
    with statements() as on_primary:
        assert [record.key for record in store.all()] == [key]
    assert on_primary == []


def test_vendor_without_a_dialect_is_refused_by_name(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "oracle")
    with pytest.raises(
        ImproperlyConfigured, match="'oracle', only in 'mysql', 'postgresql', 'sqlite'"
    ):
        store.delete(tokens.new())


@in_autocommit
@pytest.mark.vendors("mysql")
def test_expiry_is_clamped_to_what_timestamp_holds(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", datetime(2100, 1, 1, tzinfo=UTC))
    record = store.find(key)
    assert record is not None
    assert datetime(2038, 1, 17, tzinfo=UTC) < record.expiry < datetime(2038, 1, 20, tzinfo=UTC)


@in_autocommit
@pytest.mark.vendors("mysql")
def test_update_on_an_old_server_s_table_keeps_the_expiry(store: SqlStore, key: str) -> None:
    """With explicit_defaults_for_timestamp=0 the DDL of scs yields this column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE sessions MODIFY expiry TIMESTAMP(6) NOT NULL"
            " DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)"
        )
    try:
        new_key = tokens.new()
        store.insert(key, b"data", soon())
        store.replace(key, b"new", soon(), b"data")
        store.touch(key, soon(), b"new")
        store.rename(key, new_key, soon())
        record = store.find(new_key)
        assert record is not None
        assert record.expiry - datetime.now(UTC) > timedelta(minutes=55)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sessions MODIFY expiry TIMESTAMP(6) NOT NULL")
