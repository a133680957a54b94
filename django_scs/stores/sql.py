"""The store in a table of a database, through Django's connections and routers."""

import copy
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from operator import attrgetter, methodcaller
from typing import Any, Final, TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, ManyToOneRel, Model, QuerySet
from django.db.models.expressions import DatabaseDefault
from django.db.models.signals import post_delete, pre_delete

from ..backoff import paced, pauses
from ..fields import MYSQL_LAST
from ..tokens import Key
from . import cursors, tombstones
from .base import Record
from .dialects import DIALECTS, KEYS, Dialect, compose

T = TypeVar("T")

_PAGE = 500
_OUR_FIELDS = ("token", "data", "expiry")
# In seconds. A hundred years from now is a time that every vendor but MySQL can keep. Forty years
# ago is after 1970, where MySQL's TIMESTAMP begins.
_LONGEST: Final = 100 * 365.25 * 24 * 3600
_LONG_AGO: Final = -40 * 365.25 * 24 * 3600
# In bytes. Every data column holds at least this much.
_ALWAYS_KEPT: Final = 32_768
# In bytes. From this size on, a digest is cheaper to send and compare than the data.
_LARGE: Final = 4096
_all_rows: Final[Callable[[Any], list[Any]]] = methodcaller("fetchall")
_row_count: Final[Callable[[Any], int]] = attrgetter("rowcount")
# Holds the connection through which this thread wrote last.
_thread = threading.local()
# MySQLdb.constants.CLIENT.FOUND_ROWS, which Django sets unless OPTIONS say otherwise.
_FOUND_ROWS: Final = 2


class SqlStore:
    """Implements the Store contract on the table of ``model``, with hand-written statements.

    Each operation is one statement, without a transaction of its own. A statement that the server
    undid (deadlock, lock wait, busy) is sent again for up to ``backoff.LIMIT`` seconds. Inside a
    transaction of the caller the error is raised, because the server may have undone all of it.
    Each method makes its keys ``Key`` first, so that an error report shows only their fingerprints.

    If other models refer to ``model``, or a receiver listens to its deletion, ``delete`` and
    ``delete_expired`` use the ORM and do what Django does. If other models refer to it, ``rename``
    also changes what refers to the session, in one transaction.
    """

    keeps_expired = True

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._statements_of: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        self._max_data_of: dict[str, int | None] = {}
        self._own_columns: tuple[str, ...] = ()
        self._own_values: list[tuple[Field[Any, Any], Any]] = []
        self.extra_fields = _extra_fields(model)

    def with_columns(self, values: Sequence[Any]) -> "SqlStore":
        """Return this store, with ``values`` for the columns that the project has added.

        Its ``insert``, ``replace``, ``touch`` and ``rename`` write them in the same statement.
        ``values`` are as a model's attributes hold them, in the order of ``extra_fields``. A column
        whose value is the database's default is left to the database.
        """
        store = copy.copy(self)
        pairs = zip(self.extra_fields, values, strict=True)
        store._own_values = [pair for pair in pairs if not isinstance(pair[1], DatabaseDefault)]
        store._own_columns = tuple(str(field.column) for field, _ in store._own_values)
        return store

    @property
    def max_data(self) -> int | None:
        connection = self._for_write()
        if connection.alias not in self._max_data_of:
            self._max_data_of[connection.alias] = _column_size(self._model, connection)
        return self._max_data_of[connection.alias]

    def refuses(self, size: int) -> int | None:
        limit = self.max_data if size > _ALWAYS_KEPT else None
        return limit if limit is not None and size > limit else None

    @property
    def max_ttl(self) -> float:
        if self._for_write().vendor == "mysql":
            return min(MYSQL_LAST.timestamp() - time.time(), _LONGEST)
        return _LONGEST

    @property
    def in_transaction(self) -> bool:
        """Whether the caller has opened a transaction on the connection that writes."""
        return self._for_write().in_atomic_block

    def fate(self) -> "Fate | None":
        connection = getattr(_thread, "connection", None) or self._for_write()
        # The transactions of a TestCase end after the test, and it counts the callbacks of a request.
        blocks = connection.atomic_blocks
        is_open = any(not getattr(block, "_from_testcase", False) for block in blocks)
        return Fate(connection) if is_open else None

    @property
    def alias(self) -> str:
        """The alias of the database that is written to."""
        return self._for_write().alias

    def atomically(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one transaction, and do it again if the server has undone it."""
        connection = self._for_write()

        def run() -> T:
            with transaction.atomic(connection.alias):
                return work()

        return again_if_undone(connection, run)

    def find(self, key: str) -> Record | None:
        key = key if type(key) is Key else Key(key)
        return self._select(connections[router.db_for_read(self._model)], "find", key)

    def find_latest(self, key: str) -> Record | None:
        key = Key(key)
        connection = self._for_write()
        name = "find_locked" if connection.in_atomic_block else "find"
        return self._select(connection, name, key)

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        key = Key(key)
        connection = self._for_write()
        params = [key, data, *self._moving(connection, ttl)]
        try:
            return self._write(connection, "insert", params)
        except IntegrityError as exc:
            dialect = _dialect(connection)
            if dialect.duplicate is None or dialect.error_code(exc) != dialect.duplicate:
                raise
        if self.extra_fields and self.find_latest(key) is None:
            # The duplicate is in a unique column of the project's. The error may quote the key, so it
            # is raised anew instead of being kept in a variable.
            return self._write(connection, "insert", params)
        return False

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        connection = self._for_write()
        params = [data, *self._moving(connection, ttl), *_key(key, connection)]
        return self._compare_and_write(connection, "replace", params, expected) or (
            data == expected and self._written(connection, key, ttl, data)
        )

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        connection = self._for_write()
        params = [*self._moving(connection, ttl), *_key(key, connection)]
        return self._compare_and_write(connection, "touch", params, expected) or self._written(
            connection, key, ttl, expected
        )

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        key, new_key = Key(key), Key(new_key)
        connection = self._for_write()
        params = [*self._moving(connection, ttl), *_key(key, connection)]

        def rename() -> bool:
            if data is None or expected is None:
                return self._write(connection, "rename", [new_key, *params])
            return self._compare_and_write(
                connection, "rename_and_replace", [new_key, data, *params], expected
            )

        if _references(self._model):
            connection.ensure_connection()
            rename = partial(self._rename_with_references, connection, key, new_key, rename)
        before = connection.connection
        try:
            return rename()
        except (OperationalError, InterfaceError) as exc:
            if connection.in_atomic_block or not _is_broken(connection, before):
                raise
            return self._rename_after(exc, connection, rename, new_key)

    def rekey(self, key: str, new_key: str, data: bytes, expected: bytes) -> bool:
        """Give a session another key, and replace ``expected`` by ``data`` if they differ.

        Unlike ``rename``, it keeps the expiry, and it leaves no tombstone for the old key.
        """
        key, new_key = Key(key), Key(new_key)
        connection = self._for_write()
        params = _key(key, connection)

        def rekey() -> bool:
            if data == expected:
                return self._write(connection, "rekey", [new_key, *params])
            return self._compare_and_write(
                connection, "rekey_and_replace", [new_key, data, *params], expected
            )

        def forget() -> bool:
            done = self._rename_with_references(connection, key, new_key, rekey)
            table = self._model._meta.db_table
            if done and tombstones.are_left(connection, table):
                sql = tombstones.statements(connection, table)["delete"]
                _execute(connection, sql, params, _row_count)
            return done

        return self.atomically(forget)

    def delete(self, key: str) -> bool:
        key = Key(key)
        connection = self._for_write()
        if _concerns_others(self._model):
            return self._delete_by_orm(connection, key)
        return self._write(connection, "delete", _key(key, connection))

    def delete_many(self, keys: Sequence[str]) -> int:
        """Remove several sessions, a few hundred per statement; return how many there were."""
        connection = self._for_write()
        found = sorted(map(Key, keys))
        if _concerns_others(self._model):
            return sum(self._delete_by_orm(connection, key) for key in found)
        sql = self._statements(connection)["delete_many"]
        return sum(
            _execute(connection, _with_keys(sql, batch), batch, _row_count)
            for batch in paced(found)
        )

    def delete_expired(self, limit: int) -> int:
        """Remove at most ``limit`` expired sessions, and as many tombstones, which do not count."""
        connection = self._for_write()
        sweep = self._sweep_by_orm if _concerns_others(self._model) else self._sweep
        removed = self._delete_oldest(connection, self._statements(connection), limit, sweep)
        self.sweep_tombstones(limit)
        return removed

    def sweep_tombstones(self, limit: int) -> int:
        """Remove at most ``limit`` tombstones whose time is over; return how many were removed."""
        connection = self._for_write()
        table = self._model._meta.db_table
        if not tombstones.are_left(connection, table):
            return 0
        sql = tombstones.statements(connection, table)
        try:
            return self._delete_oldest(connection, sql, limit, self._sweep)
        except DatabaseError:
            # Another process may have removed the table.
            tombstones.forget(connection, table)
            raise

    def _delete_oldest(
        self,
        connection: BaseDatabaseWrapper,
        sql: dict[str, str],
        limit: int,
        sweep: "Callable[[BaseDatabaseWrapper, dict[str, str], Sequence[Key]], int]",
    ) -> int:
        # Select tokens, then delete rows by token: a DELETE that uses the index on expiry takes its
        # locks in another order than a save does, and deadlocks with it. Tokens are sorted, because
        # MySQL stores rows by token: each page is then changed once.
        keys = sorted(_execute(connection, sql["expired"], [limit], _all_keys))
        return sum(sweep(connection, sql, batch) for batch in paced(keys))

    def all(self) -> Iterator[Record]:
        connection = connections[router.db_for_read(self._model)]
        page, unit = self._statements(connection)["page"], _dialect(connection).unit
        last = ""
        # ``_all_records`` makes the keys ``Key``, so that no frame here holds a plain key.
        while records := _execute(connection, page, [last, _PAGE], partial(_all_records, unit)):
            yield from records
            last = records[-1].key

    def _delete_by_orm(self, connection: BaseDatabaseWrapper, key: str) -> bool:
        def delete() -> bool:
            with transaction.atomic(connection.alias):
                found = _rows(self._model, connection).select_for_update().filter(pk=key)
                # If the collation ignores case, the query may find other keys too.
                if row := next((row for row in found if row.pk == key), None):
                    row.delete(using=connection.alias)
                return row is not None

        return again_if_undone(connection, delete)

    def _sweep(
        self, connection: BaseDatabaseWrapper, sql: dict[str, str], keys: Sequence[Key]
    ) -> int:
        return _execute(connection, _with_keys(sql["sweep"], keys), keys, _row_count)

    def _sweep_by_orm(
        self, connection: BaseDatabaseWrapper, sql: dict[str, str], keys: Sequence[Key]
    ) -> int:
        claim = _with_keys(sql["claim"], keys)

        def sweep() -> int:
            with transaction.atomic(connection.alias):
                claimed = _execute(connection, claim, keys, _all_keys)
                _rows(self._model, connection).filter(pk__in=claimed).delete()
                return len(claimed)

        return again_if_undone(connection, sweep)

    def _rename_with_references(
        self, connection: BaseDatabaseWrapper, key: str, new_key: str, rename: Callable[[], bool]
    ) -> bool:
        """Rename a session and what refers to it, in one transaction."""

        def move() -> bool:
            # MySQL checks foreign keys after each statement, others when the transaction ends.
            with transaction.atomic(connection.alias), connection.constraint_checks_disabled():
                if not rename():
                    return False
                for model, name in _references(self._model):
                    _rows(model, connection).filter(**{name: key}).update(**{name: new_key})
                return True

        return again_if_undone(connection, move)

    def _rename_after(
        self,
        lost: Exception,
        connection: BaseDatabaseWrapper,
        rename: Callable[[], bool],
        new_key: str,
    ) -> bool:
        """Finish a rename whose reply was lost. Otherwise the user might have no valid token.

        Only this rename knows the new key. If a row has that key, the rename has happened.
        """
        for _ in pauses():
            connection.close()
            with suppress(OperationalError, InterfaceError):
                return rename() or self._select(connection, "find", new_key) is not None
        raise lost

    def _statements(self, connection: BaseDatabaseWrapper) -> dict[str, str]:
        kind = connection.vendor, self._own_columns
        statements = self._statements_of.get(kind)
        if statements is None:
            columns = {name: _column(self._model, name) for name in _OUR_FIELDS}
            statements = self._statements_of[kind] = compose(
                _dialect(connection),
                connection.ops.quote_name,
                {"table": self._model._meta.db_table, **columns},
                self._own_columns,
            )
        return statements

    def _for_write(self) -> BaseDatabaseWrapper:
        connection = _thread.connection = connections[router.db_for_write(self._model)]
        return connection

    def _moving(self, connection: BaseDatabaseWrapper, ttl: float) -> list[Any]:
        """Return the parameters for the expiry and for the project's columns."""
        params = [_dialect(connection).adapt_ttl(_finite(ttl))]
        params += [field.get_db_prep_save(value, connection) for field, value in self._own_values]
        return params

    def _select(self, connection: BaseDatabaseWrapper, name: str, key: str) -> Record | None:
        sql, dialect = self._statements(connection)[name], _dialect(connection)
        for data, left, now in _execute(connection, sql, [key] * dialect.keys, _all_rows):
            return Record(key, bytes(data), left * dialect.unit, now * dialect.unit)
        return None

    def _write(self, connection: BaseDatabaseWrapper, name: str, params: list[Any]) -> bool:
        sql = self._statements(connection)[name]
        return _execute(connection, sql, params, _row_count) > 0

    def _compare_and_write(
        self, connection: BaseDatabaseWrapper, name: str, params: list[Any], expected: bytes
    ) -> bool:
        if len(expected) >= _LARGE and _dialect(connection).is_digest:
            return self._write(
                connection, f"{name} by digest", [*params, sha256(expected).hexdigest()]
            )
        return self._write(connection, name, [*params, expected])

    def _written(self, connection: BaseDatabaseWrapper, key: str, ttl: float, data: bytes) -> bool:
        """Tell whether a write counted no row because the row already had the same values.

        That can happen only if the client counts changed rows, not found ones, and the expiry is
        the latest that the column holds.
        """
        if connection.vendor != "mysql" or _counts_found_rows(connection):
            return False
        params = [_dialect(connection).adapt_ttl(_finite(ttl)), *_key(key, connection)]
        return self._compare_and_write(connection, "written", params, data)


class Fate:
    """Implements the Fate contract for the writes of the innermost transaction until now.

    Django keeps a callback until the commit, and drops it if the transaction, or the savepoint in
    which it was registered, is rolled back. Only Django refers to our callback: then it is gone.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.kept = False

        def keep() -> None:
            self.kept = True

        connection.on_commit(keep, robust=True)
        self._pending = weakref.ref(keep)

    @property
    def undone(self) -> bool:
        return not self.kept and self._pending() is None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Fate":
        # Django tells only this object of the commit.
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Nothing can be told to a pickle. If the write is undone, the next one finds no session.
        return {"kept": True}


def _execute(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any], answer: Callable[[Any], T]
) -> T:
    start, undone = time.monotonic(), None
    while True:
        try:
            with cursors.Lent(connection) as cursor:
                cursor.execute(sql, params)
                return answer(cursor)
        except DatabaseError as exc:
            undone = undone or _Undone(connection, start)
            if not undone.again(exc):
                raise


def again_if_undone(connection: BaseDatabaseWrapper, work: Callable[[], T]) -> T:
    """Do ``work``, and do it again if the server has undone it."""
    start, undone = time.monotonic(), None
    while True:
        try:
            return work()
        except DatabaseError as exc:
            undone = undone or _Undone(connection, start)
            if not undone.again(exc):
                raise


class _Undone:
    """Tells after an error whether to send a statement again, because the server has undone it.

    It says so only outside of transactions. It also says so, once, if the server no longer knows a
    prepared statement: the driver would use its name as long as the connection lives.
    """

    def __init__(self, connection: BaseDatabaseWrapper, start: float) -> None:
        self._connection = connection
        self._pauses = pauses(start)
        self._forgotten = False

    def again(self, exc: DatabaseError) -> bool:
        """Pause, and return True, if the statement may be sent again."""
        connection = self._connection
        dialect = _dialect(connection)
        code = dialect.error_code(exc.__cause__ or exc)
        stale = code in dialect.stale and not self._forgotten and _prepares(connection)
        alone = not connection.in_atomic_block and connection.get_autocommit()
        if not (stale or code in dialect.transient) or not alone or not next(self._pauses, False):
            return False
        if stale:
            self._forgotten = True
            with connection.wrap_database_errors:
                # Django's cursor would prepare this statement too, under a name that may be taken.
                connection.connection.execute(dialect.forget, prepare=False)
        return True


def _prepares(connection: BaseDatabaseWrapper) -> bool:
    return connection.settings_dict["OPTIONS"].get("prepare_threshold") is not None


def _concerns_others(model: type[Model]) -> bool:
    """Tell whether deleting a session is more than deleting a row. Costs no statement."""
    return (
        _has_dependants(model)
        or pre_delete.has_listeners(model)
        or post_delete.has_listeners(model)
    )


@cache
def _has_dependants(model: type[Model]) -> bool:
    generic = (hasattr(field, "bulk_related_objects") for field in model._meta.private_fields)
    return bool(_references(model)) or any(generic) or model.delete is not Model.delete


@cache
def _references(model: type[Model]) -> "tuple[tuple[type[Model], str], ...]":
    """Return each model that refers to a session's key, with the name of its attribute for it."""
    return tuple(_references_to(model._meta.pk))


def _references_to(target: "Field[Any, Any]") -> "Iterator[tuple[type[Model], str]]":
    for relation in target.model._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and target in relation.field.foreign_related_fields:
            yield relation.field.model, relation.field.attname
            # If the reference is the primary key of its model, other models may refer to that.
            yield from _references_to(relation.field)


def _finite(ttl: float) -> float:
    """Return a time to live that every vendor can compute with; for NaN, one that has ended."""
    return max(_LONG_AGO, min(ttl, _LONGEST))


def _is_broken(connection: BaseDatabaseWrapper, before: Any) -> bool:
    """Tell whether a connection was cut; False if it was never made.

    ``before`` is the driver's connection before the statement. If it was cut in a transaction,
    Django may have replaced it at the end of the transaction.
    """
    replaced = before is not None and connection.connection is not before
    return replaced or (connection.connection is not None and not connection.is_usable())


def _counts_found_rows(connection: BaseDatabaseWrapper) -> bool:
    flags: int = connection.settings_dict["OPTIONS"].get("client_flag", _FOUND_ROWS)
    return bool(flags & _FOUND_ROWS)


def _column_size(model: type[Model], connection: BaseDatabaseWrapper) -> int | None:
    """Return how many bytes the data column holds, as the database itself says."""
    sql = _dialect(connection).column_size
    if not sql:
        return None
    params = [model._meta.db_table, _column(model, "data")]
    rows = _execute(connection, sql, params, _all_rows)
    return int(rows[0][0]) if rows else None


def _key(key: str, connection: BaseDatabaseWrapper) -> list[str]:
    return [key] * _dialect(connection).keys


def _dialect(connection: BaseDatabaseWrapper) -> Dialect:
    try:
        return DIALECTS[connection.vendor]
    except KeyError:
        raise ImproperlyConfigured(
            f"django_scs keeps no sessions in {connection.vendor!r},"
            f" only in {', '.join(map(repr, DIALECTS))}."
        ) from None


def _rows(model: type[Model], connection: BaseDatabaseWrapper) -> "QuerySet[Model]":
    return model._base_manager.using(connection.alias)


def _with_keys(sql: str, keys: Sequence[str]) -> str:
    return sql.replace(KEYS, ", ".join(["%s"] * len(keys)))


def _all_keys(cursor: Any) -> list[Key]:
    return [Key(key) for (key,) in cursor.fetchall()]


def _all_records(unit: float, cursor: Any) -> list[Record]:
    return [
        Record(Key(key), bytes(data), left * unit, now * unit)
        for key, data, left, now in cursor.fetchall()
    ]


def _column(model: type[Model], name: str) -> Any:
    return cast("Field[Any, Any]", model._meta.get_field(name)).column


def _extra_fields(model: type[Model]) -> "list[Field[Any, Any]]":
    return [
        field
        for field in model._meta.concrete_fields
        if field.name not in _OUR_FIELDS and not field.generated
    ]
