"""Django's cursor on a driver's cursor that is kept from one statement to the next."""

from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

_CURSOR: Final = BaseDatabaseWrapper.cursor
#: The attribute of Django's connection that holds the driver's connection and a cursor of it.
_KEPT: Final = "_django_scs_cursor"


class Lent:
    """A context manager that gives a cursor, as ``connection.cursor()`` does.

    Making a cursor of psycopg takes a sixth of the time of a read. So a cursor is kept after a
    statement without an error, as long as the driver's connection is the same. A cursor in use is
    not lent again, because an execute wrapper may use a session too. If ``connection.cursor`` was
    replaced, by a panel that shows SQL or a test that forbids it, the replacement is called.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        self._cursor = _take(self._connection)
        return self._cursor

    def __exit__(self, kind: type[BaseException] | None, *exc: Any) -> None:
        connection, cursor = self._connection, self._cursor
        if kind is None and isinstance(cursor, CursorWrapper) and not _is_replaced(connection):
            vars(connection)[_KEPT] = connection.connection, cursor.cursor
        else:
            cursor.__exit__(kind, *exc)


def _take(connection: BaseDatabaseWrapper) -> Any:
    kept = vars(connection).pop(_KEPT, None)
    if kept is None or _is_replaced(connection):
        return connection.cursor()
    connection.validate_thread_sharing()
    connection.close_if_health_check_failed()
    # This raises in an event loop, and in a test that must not use the database.
    connection.ensure_connection()
    driver, cursor = kept
    if connection.connection is not driver:
        return connection.cursor()
    if connection.queries_logged:
        return connection.make_debug_cursor(cursor)
    return connection.make_cursor(cursor)


def _is_replaced(connection: BaseDatabaseWrapper) -> bool:
    return "cursor" in vars(connection) or type(connection).cursor is not _CURSOR
