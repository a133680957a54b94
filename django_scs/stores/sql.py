"""The store in a table of a database, through Django's connections and routers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InterfaceError, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from ..backoff import paced, pauses
from ..fields import adapt_expiry, last_expiry
from .base import Record
from .dialects import DIALECTS, STATEMENTS, Dialect

T = TypeVar("T")

_PAGE = 500
_OUR_FIELDS = ("token", "data", "expiry")


class SqlStore:
    """Implements the Store contract on the table of ``model``, with hand-written statements.

    Each operation is one statement, without a transaction of its own. A statement that the server
    undid (deadlock, lock wait, busy) is sent again for up to ``backoff.LIMIT`` seconds; inside a
    transaction of the caller it raises instead, for the server may have undone all of that.
    """

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._statements_of: dict[str, dict[str, str]] = {}
        self.extra_fields = _extra_fields(model)

    @property
    def max_data(self) -> int | None:
        limits = getattr(self._model._meta.get_field("data"), "max_bytes", {})
        return cast("int | None", limits.get(self._for_write().vendor))

    @property
    def last_expiry(self) -> datetime:
        return last_expiry(self._for_write().vendor)

    @property
    def in_transaction(self) -> bool:
        """Whether the caller has opened a transaction on the connection that writes."""
        return self._for_write().in_atomic_block

    def find(self, key: str) -> Record | None:
        return self._select(connections[router.db_for_read(self._model)], "find", key)

    def find_latest(self, key: str) -> Record | None:
        name = "find_locked" if self.in_transaction else "find_latest"
        return self._select(self._for_write(), name, key)

    def insert(self, key: str, data: bytes, expiry: datetime, extra: Sequence[Any] = ()) -> bool:
        connection = self._for_write()
        params = [key, data, adapt_expiry(expiry, connection.vendor)]
        try:
            return self._write(connection, "insert", params + self._adapt(extra, connection))
        except IntegrityError as exc:
            dialect = _dialect(connection)
            if dialect.duplicate is None or dialect.error_code(exc) != dialect.duplicate:
                raise
            return False

    def replace(
        self, key: str, data: bytes, expiry: datetime, expected: bytes, extra: Sequence[Any] = ()
    ) -> bool:
        connection = self._for_write()
        params = [data, adapt_expiry(expiry, connection.vendor), *self._adapt(extra, connection)]
        return self._write(connection, "replace", [*params, *_key(key, connection), expected])

    def touch(self, key: str, expiry: datetime, expected: bytes) -> bool:
        connection = self._for_write()
        params = [adapt_expiry(expiry, connection.vendor), *_key(key, connection), expected]
        return self._write(connection, "touch", params)

    def rename(self, key: str, new_key: str, expiry: datetime) -> bool:
        connection = self._for_write()
        params = [new_key, adapt_expiry(expiry, connection.vendor), *_key(key, connection)]
        try:
            return self._write(connection, "rename", params)
        except (OperationalError, InterfaceError) as exc:
            if connection.in_atomic_block or not _is_broken(connection):
                raise
            return self._rename_after(exc, connection, params)

    def delete(self, key: str) -> bool:
        connection = self._for_write()
        return self._write(connection, "delete", _key(key, connection))

    def delete_expired(self, limit: int) -> int:
        # Tokens first, then rows by their token: a DELETE along the index on expiry takes its locks
        # in another order than a save does, and deadlocks with it. Sorted, for rows are stored by
        # their token on MySQL: each page is then changed once.
        connection = self._for_write()
        sql = self._statements(connection)
        keys = sorted(row[0] for row in _execute(connection, sql["expired"], [limit], _all_rows))
        removed = 0
        for batch in paced(keys):
            sweep = sql["sweep"].format(keys=", ".join(["%s"] * len(batch)))
            removed += _execute(connection, sweep, batch, _row_count)
        return removed

    def all(self) -> Iterator[Record]:
        connection = connections[router.db_for_read(self._model)]
        page = self._statements(connection)["page"]
        load_expiry = _dialect(connection).load_expiry
        last = ""
        while rows := _execute(connection, page, [last, _PAGE], _all_rows):
            for key, data, expiry in rows:
                yield Record(key, bytes(data), load_expiry(expiry))
            last = rows[-1][0]

    def _rename_after(
        self, lost: Exception, connection: BaseDatabaseWrapper, params: list[Any]
    ) -> bool:
        """Finish a rename whose reply was lost: without it the user would have neither token.

        Only this rename knows the new key: where it exists, the lost one has happened.
        """
        for _ in pauses():
            connection.close()
            with suppress(OperationalError, InterfaceError):
                renamed = self._write(connection, "rename", params)
                return renamed or self._select(connection, "find_latest", params[0]) is not None
        raise lost

    def _statements(self, connection: BaseDatabaseWrapper) -> dict[str, str]:
        statements = self._statements_of.get(connection.vendor)
        if statements is None:
            statements = self._statements_of[connection.vendor] = _compose(self._model, connection)
        return statements

    def _for_write(self) -> BaseDatabaseWrapper:
        return connections[router.db_for_write(self._model)]

    def _adapt(self, extra: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
        pairs = zip(self.extra_fields, extra, strict=True)
        return [field.get_db_prep_save(value, connection) for field, value in pairs]

    def _select(self, connection: BaseDatabaseWrapper, name: str, key: str) -> Record | None:
        sql = self._statements(connection)[name]
        for data, expiry in _execute(connection, sql, _key(key, connection), _all_rows):
            return Record(key, bytes(data), _dialect(connection).load_expiry(expiry))
        return None

    def _write(self, connection: BaseDatabaseWrapper, name: str, params: list[Any]) -> bool:
        sql = self._statements(connection)[name]
        return _execute(connection, sql, params, _row_count) > 0


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


def _is_broken(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection that existed has been cut, unlike one that was never made."""
    return connection.connection is not None and not connection.is_usable()


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


def _compose(model: type[Model], connection: BaseDatabaseWrapper) -> dict[str, str]:
    dialect = _dialect(connection)
    quote = connection.ops.quote_name
    columns = {field.name: quote(str(field.column)) for field in model._meta.concrete_fields}
    names = {name: columns.pop(name) for name in _OUR_FIELDS}
    extra = columns.values()
    names["table"] = quote(model._meta.db_table)
    fragments = {
        "now": dialect.now,
        "lock": dialect.lock,
        "is_key": dialect.is_key.format(**names),
        "read_expiry": dialect.read_expiry.format(**names),
        "if_absent": dialect.if_absent.format(**names),
        "columns": "".join(f", {column}" for column in extra),
        "values": ", %s" * len(extra),
        "changes": "".join(f", {column} = %s" for column in extra),
        "among": dialect.among.format(**names, keys="{keys}"),
    }
    return {name: text.format(**names, **fragments) for name, text in STATEMENTS.items()}


def _extra_fields(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if field.name not in _OUR_FIELDS]
