"""The store in a table: what it adds to the contract, and the contract on tables of other makes."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DatabaseError,
    NotSupportedError,
    OperationalError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.backends.signals import connection_created
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from django_scs import backoff, tokens
from django_scs.backends import all_sessions, db
from django_scs.models import AbstractSession, Session
from django_scs.stores import sql
from django_scs.stores.base import Fate
from django_scs.stores.dialects import STATEMENTS
from django_scs.stores.sql import SqlStore
from django_scs.tokens import Key
from tests.contracts.store import HOUR, YEAR, StoreContract
from tests.contracts.tools import in_parallel, now
from tests.database import in_autocommit, scs_table
from tests.stores.reports import shown_by
from tests.support import statements, use_repeatable_read, verbs

__all__ = ["scs_table"]

OTHER_ZONES = {"mysql": "SET time_zone = '-08:00'", "postgresql": "SET TIME ZONE 'Asia/Kolkata'"}


REPEATABLE_READ = {
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
}


def set_other_zone(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(OTHER_ZONES[connection.vendor])


def set_repeatable_read(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(REPEATABLE_READ[connection.vendor])
        set_snapshot_isolation(cursor, "ON")


def set_snapshot_isolation(cursor: Any, value: str) -> bool:
    """Set what MariaDB has had for some time, and has on from 11.6; tell whether there is that."""
    if cursor.db.vendor != "mysql":
        return False
    known = cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
    if known:
        cursor.execute(f"SET SESSION innodb_snapshot_isolation = {value}")
    return bool(known)


@in_autocommit
class TestSqlStore(StoreContract):
    @pytest.fixture
    def store(self) -> SqlStore:
        return SqlStore(Session)


@pytest.mark.extra
@pytest.mark.usefixtures("scs_table")
class TestSqlStoreOnTheTableOfScs(TestSqlStore):
    """On MySQL that table has a collation which takes one case for the other."""


@pytest.mark.extra
@pytest.mark.vendors("mysql", "postgresql")
class TestSqlStoreInAnotherTimeZone(TestSqlStore):
    @pytest.fixture(autouse=True)
    def zone(self, transactional_db: None) -> Iterator[None]:
        connection.close()
        connection_created.connect(set_other_zone)
        yield
        connection_created.disconnect(set_other_zone)
        connection.close()


@contextmanager
def connected_with(**options: Any) -> Iterator[None]:
    """Connect to the database with more OPTIONS, in all threads."""
    connection.close()
    options = {**connection.settings_dict["OPTIONS"], **options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections.settings["default"], "OPTIONS", options)
        patch.setitem(connection.settings_dict, "OPTIONS", options)
        yield
        connection.close()


PREPARED: dict[str, Any] = {"server_side_binding": True, "prepare_threshold": 0}


@pytest.mark.extra
@pytest.mark.vendors("postgresql")
class TestSqlStoreWithPreparedStatements(TestSqlStore):
    """The server, not the driver, puts parameters into statements, and has to find their types."""

    @pytest.fixture(autouse=True)
    def prepared(self, transactional_db: None) -> Iterator[None]:
        with connected_with(**PREPARED):
            yield


def forget_on_the_server() -> None:
    """Do what a pooler or a failover does behind the driver's back."""
    connection.connection.pgconn.exec_(b"DEALLOCATE ALL")


def take_the_names() -> None:
    connection.close()
    connection.ensure_connection()
    for number in range(3):
        connection.connection.pgconn.exec_(b"PREPARE _pg3_%d AS SELECT 1" % number)


def change_the_table() -> None:
    """Let the driver prepare the statement for data of another type."""
    alter = "ALTER TABLE sessions ALTER data TYPE {} USING {}(data, 'hex')"
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute(alter.format("text", "encode"))
        try:
            connection.close()
            # Found or not, its plan is for text now.
            assert SqlStore(Session).find(tokens.new()) is None
        finally:
            cursor.execute(alter.format("bytea", "decode"))


STALE = {
    "forgotten": forget_on_the_server,
    "taken": take_the_names,
    "table changed": change_the_table,
}


@in_autocommit
@pytest.mark.vendors("postgresql")
@pytest.mark.parametrize("name", STALE)
def test_prepared_statement_that_is_stale_is_prepared_again(key: str, name: str) -> None:
    with connected_with(**PREPARED):
        store = SqlStore(Session)
        store.insert(key, b"data", HOUR)
        assert store.find(key)
        STALE[name]()
        record = store.find(key)
        assert record is not None
        assert record.data == b"data"
        assert store.replace(key, b"new", HOUR, b"data")


@in_autocommit
@pytest.mark.vendors("postgresql")
def test_prepared_statement_that_is_stale_fails_one_transaction_and_no_more(key: str) -> None:
    with connected_with(**PREPARED):
        store = SqlStore(Session)
        store.insert(key, b"data", HOUR)
        assert store.find(key)
        forget_on_the_server()
        with pytest.raises(DatabaseError, match="does not exist"), transaction.atomic():
            store.find(key)
        with transaction.atomic():
            assert store.find(key)


@in_autocommit
@pytest.mark.vendors("postgresql")
@pytest.mark.parametrize(("prepared", "attempts"), [({}, 1), (PREPARED, 2)])
def test_error_that_only_looks_stale_is_raised(
    key: str, prepared: dict[str, Any], attempts: int
) -> None:
    with connected_with(**prepared):
        store = SqlStore(Session)
        store._statements(connection)["find"] = "SELECT pg_temp.refuse(%s::text), 1.0, 2.0"
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION pg_temp.refuse(text) RETURNS text LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION USING ERRCODE = '0A000'; END $$"
            )
        with CaptureQueriesContext(connection) as found, pytest.raises(NotSupportedError):
            store.find(key)
        assert len(found) == attempts


@pytest.mark.extra
@pytest.mark.vendors("mysql", "postgresql")
class TestSqlStoreUnderRepeatableRead(TestSqlStore):
    """Each statement is a transaction, which the server undoes when another was faster."""

    @pytest.fixture(autouse=True)
    def level(self, transactional_db: None) -> Iterator[None]:
        connection.close()
        connection_created.connect(set_repeatable_read)
        yield
        connection_created.disconnect(set_repeatable_read)
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
    "insert": (lambda store, key: store.insert(tokens.new(), b"", HOUR), ["INSERT"]),
    "replace": (lambda store, key: store.replace(key, b"new", HOUR, b"data"), ["UPDATE"]),
    "touch": (lambda store, key: store.touch(key, HOUR, b"data"), ["UPDATE"]),
    "rename": (lambda store, key: store.rename(key, tokens.new(), HOUR), ["RENAME"]),
    "delete": (lambda store, key: store.delete(key), ["DELETE"]),
    "nothing expired": (lambda store, key: store.delete_expired(10), ["SELECT"]),
}


@in_autocommit
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_one_statement(store: SqlStore, key: str, name: str) -> None:
    store.insert(key, b"data", HOUR)
    operation, expected = OPERATIONS[name]
    with statements() as found:
        operation(store, key)
    assert verbs(found) == expected


@in_autocommit
def test_all_reads_page_by_page(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_PAGE", 2)
    keys = {tokens.new() for _ in range(5)}
    for each in keys:
        store.insert(each, b"data", HOUR)
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
    store.insert(key, b"data", HOUR)
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
        assert store.insert(key, b"data", HOUR) is True
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
        store.insert(key, b"data", HOUR)
    assert trouble.tries == 1


@in_autocommit
def test_statement_that_failed_otherwise_is_not_sent_again(store: SqlStore, key: str) -> None:
    trouble = Trouble(sqlite3.OperationalError("disk I/O error"), times=1)
    with connection.execute_wrapper(trouble), pytest.raises(OperationalError):
        store.insert(key, b"data", HOUR)
    assert trouble.tries == 1


@in_autocommit
def test_statement_outside_autocommit_is_not_sent_again(
    store: SqlStore, key: str, vendor: str
) -> None:
    """The transaction that the caller ends by hand may have been undone with it."""
    trouble = Trouble(driver_error(vendor), times=1)
    connection.set_autocommit(False)
    try:
        with connection.execute_wrapper(trouble), pytest.raises(OperationalError):
            store.insert(key, b"data", HOUR)
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    assert trouble.tries == 1


@in_autocommit
@pytest.mark.parametrize("data", [None, b"new"])
@pytest.mark.parametrize("landed", [True, False])
def test_lost_reply_of_a_rename_is_looked_up(
    store: SqlStore, key: str, landed: bool, data: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the driver cannot tell that its connection is of no use, as SQLite's."""

    def lose(execute: Any, sql: str, *args: Any) -> Any:
        if lost:
            return execute(sql, *args)
        lost.append(sql)
        if landed:
            execute(sql, *args)
        raise OperationalError("server has gone away")

    lost: list[str] = []
    new_key = tokens.new()
    store.insert(key, b"data", HOUR)
    monkeypatch.setattr(connection, "is_usable", lambda: False)
    expected = None if data is None else b"data"
    with connection.execute_wrapper(lose):
        assert store.rename(key, new_key, HOUR, data, expected) is True
    assert [(record.key, record.data) for record in store.all()] == [(new_key, data or b"data")]
    lost.clear()
    with connection.execute_wrapper(lose):
        assert store.rename(key, tokens.new(), HOUR, data, expected) is False


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
    store.insert(key, b"data", HOUR)
    with connection.execute_wrapper(lose):
        assert store.rename(key, new_key, HOUR) is True
    assert [record.key for record in store.all()] == [new_key]
    assert store.rename(key, tokens.new(), HOUR) is False


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_rename_inside_a_transaction_that_was_lost_fails(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", HOUR)

    def rename_in_a_transaction() -> None:
        with transaction.atomic():
            store.touch(key, HOUR, b"data")
            kill(connection)
            store.rename(key, tokens.new(), HOUR)

    with pytest.raises(DatabaseError):
        rename_in_a_transaction()
    connection.close()
    assert store.find(key) is not None


# Inside a transaction of the caller's


@in_autocommit
def test_insert_of_a_taken_key_leaves_the_transaction_usable(store: SqlStore, key: str) -> None:
    with transaction.atomic():
        assert store.insert(key, b"first", HOUR) is True
        assert store.insert(key, b"second", HOUR) is False
        assert store.replace(key, b"third", HOUR, b"first") is True
    record = store.find(key)
    assert record is not None
    assert record.data == b"third"


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_find_latest_sees_what_was_committed_since_the_transaction_began(
    store: SqlStore, key: str, vendor: str
) -> None:
    store.insert(key, b"old", HOUR)
    if vendor == "mysql":
        use_repeatable_read()
    with transaction.atomic():
        assert store.find(key) is not None
        assert in_parallel(lambda: store.replace(key, b"new", HOUR, b"old")) == [True]
        assert store.replace(key, b"mine", HOUR, b"old") is False
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == b"new"
        assert store.replace(key, b"mine", HOUR, latest.data) is True
    connection.close()


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_write_over_what_was_committed_since_the_transaction_began_may_raise(
    store: SqlStore, key: str
) -> None:
    store.insert(key, b"old", HOUR)
    with connection.cursor() as cursor:
        cursor.execute(REPEATABLE_READ[connection.vendor])
        known = set_snapshot_isolation(cursor, "ON")
    with transaction.atomic():
        assert store.find(key) is not None
        assert in_parallel(lambda: store.replace(key, b"new", HOUR, b"old")) == [True]
        if known or connection.vendor == "postgresql":
            with pytest.raises(OperationalError):
                store.replace(key, b"mine", HOUR, b"old")
        else:
            assert store.replace(key, b"mine", HOUR, b"old") is False
        transaction.set_rollback(True)
    connection.close()
    assert store.replace(key, b"mine", HOUR, b"new") is True


@in_autocommit
@pytest.mark.vendors("mysql")
def test_clear_expired_ends_where_others_have_deleted_the_rows(
    store: SqlStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_scs.backends.db import SessionStore

    monkeypatch.setattr(all_sessions, "_SWEEP_BATCH", 1)
    store.insert(key, b"data", -1.0)
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


@in_autocommit
def test_time_goes_on_inside_a_transaction(store: SqlStore, key: str) -> None:
    with transaction.atomic():
        store.insert(key, b"data", 0.5)
        time.sleep(0.6)
        expired = store.find(key)
        assert expired is not None
        assert not expired.is_live
        assert store.touch(key, 0.5, b"data") is True
        record = store.find(key)
        assert record is not None
        assert record.ttl > 0


# What becomes of a write in a transaction of the caller's


def state(fate: Fate | None) -> str:
    assert fate is not None
    assert not (fate.kept and fate.undone)
    return "kept" if fate.kept else "undone" if fate.undone else "open"


@in_autocommit
def test_fate_in_a_thread_that_has_written_nothing(store: SqlStore) -> None:
    def ask() -> tuple[Fate | None, str]:
        outside = store.fate()
        with transaction.atomic():
            return outside, state(store.fate())

    assert in_parallel(ask) == [(None, "open")]


@in_autocommit
def test_fate_of_a_write_that_is_committed(store: SqlStore) -> None:
    with transaction.atomic(durable=True):
        fate = store.fate()
        with transaction.atomic():
            inner = store.fate()
        assert state(fate) == state(inner) == "open"
    assert state(fate) == state(inner) == "kept"
    assert store.fate() is None


@in_autocommit
def test_fate_of_a_write_that_is_rolled_back(store: SqlStore) -> None:
    with transaction.atomic():
        fate = store.fate()
        with transaction.atomic():
            inner = store.fate()
        transaction.set_rollback(True)
        assert state(fate) == "open"
    assert state(fate) == state(inner) == "undone"


@in_autocommit
def test_fate_of_a_write_whose_connection_is_lost(store: SqlStore) -> None:
    with transaction.atomic():
        fate = store.fate()
        connection.close()
    assert state(fate) == "undone"


@in_autocommit
def test_fate_of_a_write_whose_savepoint_is_rolled_back(store: SqlStore) -> None:
    with transaction.atomic():
        before = store.fate()
        with transaction.atomic():
            inside = store.fate()
            with transaction.atomic():
                innermost = store.fate()
            transaction.set_rollback(True)
        after = store.fate()
        assert [state(each) for each in (before, inside, innermost, after)] == [
            "open",
            "undone",
            "undone",
            "open",
        ]
    assert [state(each) for each in (before, inside, innermost, after)] == [
        "kept",
        "undone",
        "undone",
        "kept",
    ]


@in_autocommit
def test_fate_is_open_while_callbacks_of_the_commit_run(store: SqlStore) -> None:
    found = []
    with transaction.atomic():
        transaction.on_commit(lambda: found.append(state(fate)))
        fate = store.fate()
        transaction.on_commit(lambda: found.append(state(fate)))
    assert found == ["open", "kept"]


@in_autocommit
def test_there_is_no_fate_where_the_caller_ends_transactions_by_hand(store: SqlStore) -> None:
    connection.set_autocommit(False)
    try:
        assert store.fate() is None
    finally:
        connection.rollback()
        connection.set_autocommit(True)


class TestFateInTestCase(TestCase):
    """A TestCase runs in a transaction that is never committed."""

    def test_fate_is_open(self) -> None:
        with transaction.atomic():
            fate = SqlStore(Session).fate()
        assert state(fate) == "open"

    def test_savepoint_that_is_rolled_back_undoes(self) -> None:
        with transaction.atomic():
            fate = SqlStore(Session).fate()
            transaction.set_rollback(True)
        assert state(fate) == "undone"

    def test_captured_callbacks(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            with transaction.atomic():
                fate = SqlStore(Session).fate()
            assert state(fate) == "open"
        assert state(fate) == "kept"
        with self.captureOnCommitCallbacks(), transaction.atomic():
            fate = SqlStore(Session).fate()
        assert state(fate) == "open"

    def test_there_is_none_in_the_transaction_of_the_test(self) -> None:
        session = db.SessionStore()
        session["flash"] = "hi"
        with self.captureOnCommitCallbacks() as callbacks:
            session.save()
            assert session.take("flash") == "hi"
        assert callbacks == []


# Where the client of MySQL counts the rows that a write has changed, not those that it has found


@pytest.fixture
def changed_rows_alone(transactional_db: None) -> Iterator[None]:
    from MySQLdb.constants import CLIENT

    with connected_with(client_flag=CLIENT.COMPRESS):
        yield


@pytest.mark.extra
@in_autocommit
@pytest.mark.vendors("mysql")
@pytest.mark.usefixtures("changed_rows_alone")
class TestSqlStoreThatCountsChangedRows(TestSqlStore):
    def test_write_of_what_is_there_is_looked_up(self, store: SqlStore, key: str) -> None:
        store.insert(key, b"data", 100 * YEAR)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE sessions SET data = 'data' WHERE token = %s", [key])
            assert cursor.rowcount == 0
        with statements() as found:
            assert store.touch(key, HOUR, b"data") is True
            assert store.replace(key, b"new", 100 * YEAR, b"data") is True
            assert store.replace(key, b"new", 100 * YEAR, b"other") is False
        assert verbs(found) == ["UPDATE"] * 3
        with statements() as found:
            assert store.touch(key, 100 * YEAR, b"new") is True
        assert verbs(found) == ["UPDATE", "SELECT"]


# A project's table and columns


class OddSession(AbstractSession):
    """A project's model whose names are templates, with columns that each write is to set."""

    account = models.IntegerField(null=True, db_column="{account} 100%s")
    seen = models.DateTimeField(auto_now=True, null=True, db_column="order")

    class Meta:
        app_label = "tests"
        db_table = "odd {table} {0} %s 100%"


@pytest.fixture
def odd_table(transactional_db: None) -> Iterator[None]:
    # By hand: Django's migrations cannot make a column of such a name.
    columns = ", ".join(
        f"{connection.ops.quote_name(field.column)} {field.db_type(connection)}"
        f" {'NULL' if field.null else 'NOT NULL'} {'PRIMARY KEY' if field.primary_key else ''}"
        for field in OddSession._meta.concrete_fields
    )
    table = connection.ops.quote_name(OddSession._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({columns})")
        yield
        cursor.execute(f"DROP TABLE {table}")


@pytest.mark.extra
@in_autocommit
@pytest.mark.usefixtures("odd_table")
class TestSqlStoreOnATableWithAnOddName(StoreContract):
    @pytest.fixture
    def store(self) -> SqlStore:
        return SqlStore(OddSession)


@pytest.mark.extra
@in_autocommit
@pytest.mark.usefixtures("odd_table")
class TestSqlStoreWithColumns(StoreContract):
    @pytest.fixture
    def store(self) -> SqlStore:
        return SqlStore(OddSession).with_columns([7, datetime(2030, 1, 1, tzinfo=UTC)])

    def test_every_write_sets_them(self, key: str) -> None:
        store = SqlStore(OddSession)
        new_key, last_key = tokens.new(), tokens.new()
        for number, (stored, write) in enumerate(
            (
                (key, lambda own: own.insert(key, b"data", HOUR)),
                (key, lambda own: own.replace(key, b"new", HOUR, b"data")),
                (key, lambda own: own.touch(key, HOUR, b"new")),
                (new_key, lambda own: own.rename(key, new_key, HOUR)),
                (last_key, lambda own: own.rename(new_key, last_key, HOUR, b"last", b"new")),
            )
        ):
            seen = datetime(2030, 1, number + 1, tzinfo=UTC)
            with CaptureQueriesContext(connection) as found:
                assert write(store.with_columns([number, seen])) is True
            assert len(found) == 1
            assert [field.name for field in store.extra_fields] == ["account", "seen"]
            row = read_odd(stored)
            assert (row[0], aware(row[1])) == (number, seen)

    def test_other_writes_leave_them_alone(self, key: str) -> None:
        store = SqlStore(OddSession)
        store.with_columns([5, None]).insert(key, b"data", HOUR)
        store.replace(key, b"new", HOUR, b"data")
        store.touch(key, HOUR, b"new")
        assert read_odd(key) == (5, None)

    def test_every_column_must_have_a_value(self, key: str) -> None:
        with pytest.raises(ValueError, match="zip"):
            SqlStore(OddSession).with_columns([5]).insert(key, b"data", HOUR)


def read_odd(key: str) -> tuple[Any, ...]:
    """Return the own columns of a row. Django itself cannot read a column of such a name."""
    quote = connection.ops.quote_name
    account, seen, table = (
        quote(name).replace("%", "%%")
        for name in ("{account} 100%s", "order", OddSession._meta.db_table)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {account}, {seen} FROM {table} WHERE token = %s", [key])
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def aware(moment: Any) -> datetime:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.replace(tzinfo=UTC)


# How much data the column takes


@in_autocommit
@pytest.mark.parametrize(
    ("column", "size"),
    [("BLOB", 65_535), ("MEDIUMBLOB", 2**24 - 1), ("LONGBLOB", 2**32 - 1), ("VARBINARY(900)", 900)],
)
@pytest.mark.vendors("mysql")
def test_max_data_is_what_the_column_takes(store: SqlStore, column: str, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE sessions MODIFY data {column} NOT NULL")
    try:
        assert store.max_data == size
        with CaptureQueriesContext(connection) as found:
            assert store.max_data == size
        assert len(found) == 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sessions MODIFY data BLOB NOT NULL")


@in_autocommit
@pytest.mark.vendors("postgresql", "sqlite")
def test_max_data_has_no_end(store: SqlStore) -> None:
    with CaptureQueriesContext(connection) as found:
        assert store.max_data is None
    assert len(found) == 0


# Keys stay out of reports of errors


@in_autocommit
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "nothing expired"])
def test_no_frame_of_ours_shows_a_key(store: SqlStore, key: str, name: str) -> None:
    new_keys: list[str] = []

    def note(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        if params is None:
            # What Django sends when it connects.
            return execute(sql, params, *args)
        new_keys.extend(str(param) for param in params if type(param) is Key)
        raise OperationalError("no such luck")

    with connection.execute_wrapper(note), pytest.raises(OperationalError) as caught:
        OPERATIONS[name][0](store, key)
    shown = shown_by(caught.value, "django_scs")
    assert len(shown) > 5
    assert new_keys
    for each in {key, *new_keys}:
        assert not [line for line in shown if each in line]
    assert [line for line in shown if tokens.fingerprint(new_keys[0]) in line]


@in_autocommit
def test_sweep_shows_no_key(store: SqlStore, key: str) -> None:
    def fail(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("DELETE"):
            raise OperationalError("no such luck")
        return execute(sql, *args)

    store.insert(key, b"data", -HOUR)
    with connection.execute_wrapper(fail), pytest.raises(OperationalError) as caught:
        store.delete_expired(10)
    shown = shown_by(caught.value, "django_scs")
    assert [line for line in shown if tokens.fingerprint(key) in line]
    assert not [line for line in shown if key in line]


@in_autocommit
def test_list_shows_no_key(store: SqlStore, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(execute: Any, sql: str, params: Any, *args: Any) -> Any:
        if params and params[0]:
            raise OperationalError("no such luck")
        return execute(sql, params, *args)

    monkeypatch.setattr(sql, "_PAGE", 1)
    store.insert(key, b"data", HOUR)
    with connection.execute_wrapper(fail), pytest.raises(OperationalError) as caught:
        list(store.all())
    shown = shown_by(caught.value, "django_scs")
    assert [line for line in shown if tokens.fingerprint(key) in line]
    assert not [line for line in shown if key in line]


@in_autocommit
def test_record_shows_no_key(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", HOUR)
    found = [store.find(key), store.find_latest(key), *store.all()]
    assert key not in repr(found)
    assert key not in repr([record.key for record in found if record])


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
    store.insert(key, b"data", HOUR)
    operation = OPERATIONS[name][0]
    with CaptureQueriesContext(replica) as on_replica, statements() as on_primary:
        assert operation(store, key) is not None
    on_replica = [each for each in on_replica.captured_queries if "sessions" in each["sql"]]
    assert (len(on_replica), len(on_primary)) == (reads, 1 - reads)


@in_autocommit
def test_router_sends_all_to_a_replica(store: SqlStore, key: str, replica: Any) -> None:
    store.insert(key, b"data", HOUR)
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
    store.insert(key, b"data", 100 * YEAR)
    assert Session.objects.get().expiry == datetime(2038, 1, 18, tzinfo=UTC)
    store.insert(tokens.new(), b"data", -100 * YEAR)
    long_ago = now() - Session.objects.earliest("expiry").expiry
    assert timedelta(days=39 * 365) < long_ago < now() - datetime(1970, 1, 3, tzinfo=UTC)


def test_no_update_leaves_the_expiry_to_the_server() -> None:
    updates = [text for text in STATEMENTS.values() if text.startswith("UPDATE")]
    assert len(updates) > 5
    assert [text for text in updates if "{expiry} = " not in text.partition(" WHERE ")[0]] == []


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
        store.insert(key, b"data", HOUR)
        store.replace(key, b"new", HOUR, b"data")
        store.touch(key, HOUR, b"new")
        store.rename(key, new_key, HOUR)
        for data in (b"new", b"newest"):
            last_key, new_key = new_key, tokens.new()
            assert store.rekey(last_key, new_key, data, b"new")
        record = store.find(new_key)
        assert record is not None
        assert record.ttl > 55 * 60
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sessions MODIFY expiry TIMESTAMP(6) NOT NULL")
