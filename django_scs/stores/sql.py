"""The store in a table of a database, through Django's connections and routers."""

import copy
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from hashlib import sha256
from typing import Any, Final, TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InterfaceError, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from ..backoff import paced, pauses
from ..fields import MYSQL_LAST
from ..tokens import Key
from .base import Record
from .dialects import DIALECTS, STATEMENTS, Dialect

T = TypeVar("T")

_PAGE = 500
_OUR_FIELDS = ("token", "data", "expiry")
# In seconds: a hundred years, from any now within what every vendor but MySQL can keep.
_LONGEST: Final = 100 * 365.25 * 24 * 3600
# In bytes: where a digest of the data becomes cheaper to send and compare than the data.
_LARGE: Final = 4096
_FRAGMENTS: Final = [field.name for field in fields(Dialect) if field.type is str]
# Stands for the keys of a statement that takes any number; no name of a table can contain it.
_KEYS: Final = "\0keys\0"
# MySQLdb.constants.CLIENT.FOUND_ROWS, which Django sets unless OPTIONS say otherwise.
_FOUND_ROWS: Final = 2


class SqlStore:
    """Implements the Store contract on the table of ``model``, with hand-written statements.

    Each operation is one statement, without a transaction of its own. A statement that the server
    undid (deadlock, lock wait, busy) is sent again for up to ``backoff.LIMIT`` seconds; inside a
    transaction of the caller it raises instead, for the server may have undone all of that.
    """

    keeps_expired: Final = True

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._statements_of: dict[tuple[str, bool], dict[str, str]] = {}
        self._max_data_of: dict[str, int | None] = {}
        self._own_values: Sequence[Any] | None = None
        self.extra_fields = _extra_fields(model)

    def with_columns(self, values: Sequence[Any]) -> "SqlStore":
        """Return this store, with ``values`` for the columns that the project has added.

        Its ``insert``, ``replace``, ``touch`` and ``rename`` write them in the same statement.
        ``values`` are as a model's attributes hold them, in the order of ``extra_fields``.
        """
        store = copy.copy(self)
        store._own_values = values
        return store

    @property
    def max_data(self) -> int | None:
        connection = self._for_write()
        if connection.alias not in self._max_data_of:
            self._max_data_of[connection.alias] = _column_size(self._model, connection)
        return self._max_data_of[connection.alias]

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
        connection = self._for_write()
        return Fate(connection) if connection.in_atomic_block else None

    def find(self, key: str) -> Record | None:
        return self._select(connections[router.db_for_read(self._model)], "find", Key(key))

    def find_latest(self, key: str) -> Record | None:
        name = "find_locked" if self.in_transaction else "find_latest"
        return self._select(self._for_write(), name, Key(key))

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        key = Key(key)
        connection = self._for_write()
        try:
            return self._write(connection, "insert", [key, data, *self._moving(connection, ttl)])
        except IntegrityError as exc:
            dialect = _dialect(connection)
            if dialect.duplicate is None or dialect.error_code(exc) != dialect.duplicate:
                raise
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

        try:
            return rename()
        except (OperationalError, InterfaceError) as exc:
            if connection.in_atomic_block or not _is_broken(connection):
                raise
            return self._rename_after(exc, connection, rename, new_key)

    def delete(self, key: str) -> bool:
        key = Key(key)
        connection = self._for_write()
        return self._write(connection, "delete", _key(key, connection))

    def delete_expired(self, limit: int) -> int:
        # Tokens first, then rows by their token: a DELETE along the index on expiry takes its locks
        # in another order than a save does, and deadlocks with it. Sorted, for rows are stored by
        # their token on MySQL: each page is then changed once.
        connection = self._for_write()
        sql = self._statements(connection)
        rows = _execute(connection, sql["expired"], [limit], _all_rows)
        keys = sorted(Key(key) for (key,) in rows)
        removed = 0
        for batch in paced(keys):
            sweep = sql["sweep"].replace(_KEYS, ", ".join(["%s"] * len(batch)))
            removed += _execute(connection, sweep, batch, _row_count)
        return removed

    def all(self) -> Iterator[Record]:
        connection = connections[router.db_for_read(self._model)]
        page = self._statements(connection)["page"]
        last = Key("")
        while rows := _execute(connection, page, [last, _PAGE], _all_rows):
            for key, data, left, now in rows:
                last = Key(key)
                yield Record(last, bytes(data), left, now)

    def _rename_after(
        self,
        lost: Exception,
        connection: BaseDatabaseWrapper,
        rename: Callable[[], bool],
        new_key: str,
    ) -> bool:
        """Finish a rename whose reply was lost: without it the user would have neither token.

        Only this rename knows the new key: where it exists, the lost one has happened.
        """
        for _ in pauses():
            connection.close()
            with suppress(OperationalError, InterfaceError):
                return rename() or self._select(connection, "find_latest", new_key) is not None
        raise lost

    def _statements(self, connection: BaseDatabaseWrapper) -> dict[str, str]:
        kind = connection.vendor, self._own_values is not None
        statements = self._statements_of.get(kind)
        if statements is None:
            own = self.extra_fields if self._own_values is not None else []
            statements = self._statements_of[kind] = _compose(self._model, connection, own)
        return statements

    def _for_write(self) -> BaseDatabaseWrapper:
        return connections[router.db_for_write(self._model)]

    def _moving(self, connection: BaseDatabaseWrapper, ttl: float) -> list[Any]:
        """Return the parameters of what every write but a deletion sets."""
        params = [_dialect(connection).adapt_ttl(_finite(ttl))]
        if self._own_values is not None:
            pairs = zip(self.extra_fields, self._own_values, strict=True)
            params += [field.get_db_prep_save(value, connection) for field, value in pairs]
        return params

    def _select(self, connection: BaseDatabaseWrapper, name: str, key: str) -> Record | None:
        sql = self._statements(connection)[name]
        for data, left, now in _execute(connection, sql, _key(key, connection), _all_rows):
            return Record(key, bytes(data), left, now)
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
        """Tell whether a write that counted no row found there already what it was to write.

        That can only be where the client counts changed rows, not found ones, and where the expiry
        is the latest that the column holds.
        """
        if connection.vendor != "mysql" or _counts_found_rows(connection):
            return False
        params = [_dialect(connection).adapt_ttl(_finite(ttl)), *_key(key, connection)]
        return self._compare_and_write(connection, "written", params, data)


class Fate:
    """Implements the Fate contract for what was written in the innermost transaction until now.

    Django keeps a callback until the commit, and forgets it when the transaction, or the savepoint
    in which it was registered, is rolled back. Only Django's list refers to ours.
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


def _execute(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any], answer: Callable[[Any], T]
) -> T:
    again = pauses()
    while True:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                return answer(cursor)
        except OperationalError as exc:
            dialect = _dialect(connection)
            undone = dialect.error_code(exc.__cause__ or exc) in dialect.transient
            alone = not connection.in_atomic_block and connection.get_autocommit()
            if not undone or not alone or not next(again, False):
                raise


def _finite(ttl: float) -> float:
    """Return a time to live that no vendor's arithmetic refuses; what is no number has ended."""
    return max(-_LONGEST, min(ttl, _LONGEST))


def _is_broken(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection that existed has been cut, unlike one that was never made."""
    return connection.connection is not None and not connection.is_usable()


def _counts_found_rows(connection: BaseDatabaseWrapper) -> bool:
    flags: int = connection.settings_dict["OPTIONS"].get("client_flag", _FOUND_ROWS)
    return bool(flags & _FOUND_ROWS)


def _column_size(model: type[Model], connection: BaseDatabaseWrapper) -> int | None:
    """Return how many bytes the data column takes, as the database itself says."""
    sql = _dialect(connection).column_size
    if not sql:
        return None
    params = [model._meta.db_table, model._meta.get_field("data").column]
    rows = _execute(connection, sql, params, _all_rows)
    return int(rows[0][0]) if rows else None


def _key(key: str, connection: BaseDatabaseWrapper) -> list[str]:
    return [key] * _dialect(connection).is_key.count("%s")


def _dialect(connection: BaseDatabaseWrapper) -> Dialect:
    try:
        return DIALECTS[connection.vendor]
    except KeyError:
        raise ImproperlyConfigured(
            f"django_scs keeps no sessions in {connection.vendor!r},"
            f" only in {', '.join(map(repr, DIALECTS))}."
        ) from None


def _all_rows(cursor: Any) -> list[Any]:
    return cast("list[Any]", cursor.fetchall())


def _row_count(cursor: Any) -> int:
    return cast(int, cursor.rowcount)


def _compose(
    model: type[Model], connection: BaseDatabaseWrapper, own: "Sequence[Field[Any, Any]]"
) -> dict[str, str]:
    """Return the statements for the table of ``model`` that also write the columns of ``own``."""
    dialect = _dialect(connection)

    def quote(name: Any) -> str:
        # The driver makes one of two.
        return connection.ops.quote_name(name).replace("%", "%%")

    names = {name: quote(model._meta.get_field(name).column) for name in _OUR_FIELDS}
    names["table"] = quote(model._meta.db_table)
    columns = [quote(field.column) for field in own]
    fragments = {
        "columns": "".join(f", {column}" for column in columns),
        "values": ", %s" * len(columns),
        "changes": "".join(f", {column} = %s" for column in columns),
    }
    for part in _FRAGMENTS:
        fragments[part] = getattr(dialect, part).format(**names, keys=_KEYS)
    statements = {name: text.format(**names, **fragments) for name, text in STATEMENTS.items()}
    fragments["is_data"] = fragments["is_digest"]
    for name, text in STATEMENTS.items():
        statements[f"{name} by digest"] = text.format(**names, **fragments)
    return statements


def _extra_fields(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if field.name not in _OUR_FIELDS]
