"""Django's cursor on a driver's cursor that is kept from one statement to the next."""

from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

_CURSOR: Final = BaseDatabaseWrapper.cursor
#: The attribute of Django's connection that holds the driver's, and a cursor of that.
_KEPT: Final = "_django_scs_cursor"


class Lent:
    """Gives, as a context manager, what ``connection.cursor()`` does.

    To make a cursor of psycopg's takes a sixth of a read. It is kept after a statement that went well,
    as long as the driver's connection is the same, and is out of reach while it is in use: an execute
    wrapper may ask for a session too. Where something has been put in the place of
    ``connection.cursor``, such as a panel for SQL or a test that forbids it, that is called.
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
    # Refuses in an event loop, and in a test that must not use the database.
    connection.ensure_connection()
    driver, cursor = kept
    if connection.connection is not driver:
        return connection.cursor()
    if connection.queries_logged:
        return connection.make_debug_cursor(cursor)
    return connection.make_cursor(cursor)


def _is_replaced(connection: BaseDatabaseWrapper) -> bool:
    return "cursor" in vars(connection) or type(connection).cursor is not _CURSOR
