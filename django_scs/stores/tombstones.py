"""Triggers that stop other applications, such as one in Go, from reviving destroyed sessions.

scs commits by upsert: a Go request in flight can bring back a session that was destroyed meanwhile.
With these triggers the database remembers the key of every session that is deleted or renamed
before its time, and undoes every insertion of that key. See docs/go.md.

A key is remembered for a day, no matter how long its session could have lived. Only a request that
began before the session ended can insert the key, and such a request ends within a day.
"""

import time
from typing import Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .dialects import DIALECTS, compose

TABLE: Final = {
    "mysql": (
        # LIKE copies the collation of tokens, so that the index can be used to look them up.
        "CREATE TABLE {tombstones} LIKE {table}",
        "ALTER TABLE {tombstones} DROP COLUMN data",
    ),
    "postgresql": (
        "CREATE TABLE {tombstones} (token TEXT PRIMARY KEY, expiry TIMESTAMPTZ NOT NULL)",
        "CREATE INDEX {tombstones_expiry} ON {tombstones} (expiry)",
    ),
    "sqlite": (
        "CREATE TABLE {tombstones} (token TEXT PRIMARY KEY, expiry REAL NOT NULL)",
        "CREATE INDEX {tombstones_expiry} ON {tombstones} (expiry)",
    ),
}
TRIGGERS: Final = {
    "mysql": (
        """CREATE TRIGGER {bury_deleted} AFTER DELETE ON {table} FOR EACH ROW
        IF OLD.expiry > UTC_TIMESTAMP(6) THEN
            REPLACE INTO {tombstones} (token, expiry)
            VALUES (OLD.token, LEAST(UTC_TIMESTAMP(6) + INTERVAL 1 DAY, '2038-01-18'));
        END IF""",
        """CREATE TRIGGER {bury_renamed} AFTER UPDATE ON {table} FOR EACH ROW
        IF NEW.token <> OLD.token THEN
            REPLACE INTO {tombstones} (token, expiry)
            VALUES (OLD.token, LEAST(UTC_TIMESTAMP(6) + INTERVAL 1 DAY, '2038-01-18'));
        END IF""",
        # With the shared lock, a deletion that is not yet in its trigger waits, or this fails.
        """CREATE TRIGGER {refuse} BEFORE INSERT ON {table} FOR EACH ROW
        IF EXISTS (SELECT 1 FROM {tombstones} WHERE token = NEW.token LOCK IN SHARE MODE) THEN
            SET NEW.data = '', NEW.expiry = '1970-01-03';
        END IF""",
    ),
    "postgresql": (
        """CREATE FUNCTION {bury}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO {tombstones} (token, expiry)
            VALUES (OLD.token, statement_timestamp() + interval '1 day')
            ON CONFLICT (token) DO UPDATE SET expiry = EXCLUDED.expiry;
            RETURN NULL;
        END $$""",
        # AFTER, because an insertion that waited for a deletion sees its tombstone only then.
        """CREATE FUNCTION {refuse}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT 1 FROM {tombstones} WHERE token = NEW.token) THEN
                DELETE FROM {table} WHERE token = NEW.token;
            END IF;
            RETURN NULL;
        END $$""",
        """CREATE TRIGGER {bury_deleted} AFTER DELETE ON {table} FOR EACH ROW
        WHEN (OLD.expiry > statement_timestamp()) EXECUTE FUNCTION {bury}()""",
        """CREATE TRIGGER {bury_renamed} AFTER UPDATE OF token ON {table} FOR EACH ROW
        WHEN (OLD.token <> NEW.token) EXECUTE FUNCTION {bury}()""",
        """CREATE TRIGGER {refuse} AFTER INSERT ON {table} FOR EACH ROW
        EXECUTE FUNCTION {refuse}()""",
    ),
    "sqlite": (
        """CREATE TRIGGER {bury_deleted} AFTER DELETE ON {table}
        WHEN OLD.expiry > julianday('now') BEGIN
            INSERT OR REPLACE INTO {tombstones} (token, expiry)
            VALUES (OLD.token, julianday('now') + 1);
        END""",
        """CREATE TRIGGER {bury_renamed} AFTER UPDATE OF token ON {table}
        WHEN NEW.token <> OLD.token BEGIN
            INSERT OR REPLACE INTO {tombstones} (token, expiry)
            VALUES (OLD.token, julianday('now') + 1);
        END""",
        """CREATE TRIGGER {refuse} AFTER INSERT ON {table}
        WHEN EXISTS (SELECT 1 FROM {tombstones} WHERE token = NEW.token) BEGIN
            DELETE FROM {table} WHERE token = NEW.token;
        END""",
    ),
}

_NO_TRIGGERS: Final = tuple(
    f"DROP TRIGGER IF EXISTS {{{name}}}" for name in ("refuse", "bury_deleted", "bury_renamed")
)
NO_TRIGGERS: Final = {
    "mysql": _NO_TRIGGERS,
    "postgresql": (
        # CASCADE drops the triggers too.
        "DROP FUNCTION IF EXISTS {refuse}() CASCADE",
        "DROP FUNCTION IF EXISTS {bury}() CASCADE",
    ),
    "sqlite": _NO_TRIGGERS,
}
_NO_TABLE: Final = "DROP TABLE IF EXISTS {tombstones}"
# In seconds: after this time a process asks again whether the table is there.
_KNOWN_FOR: Final = 3600.0
_known: dict[tuple[str, str], tuple[bool, float]] = {}


def has_table(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Tell whether there is a table for the tombstones of ``table``, with or without triggers."""
    return f"{table}_tombstones" in connection.introspection.table_names()


def are_left(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Tell whether there is a table of tombstones to be swept; ask the database once an hour."""
    found, asked = _known.get((connection.alias, table), (False, -_KNOWN_FOR))
    if time.monotonic() - asked >= _KNOWN_FOR:
        found = has_table(connection, table)
        _known[connection.alias, table] = found, time.monotonic()
    return found


def forget(connection: BaseDatabaseWrapper, table: str) -> None:
    """Let ``are_left`` ask the database again."""
    _known.pop((connection.alias, table), None)


def statements(connection: BaseDatabaseWrapper, table: str) -> dict[str, str]:
    """Return the statements of ``dialects`` for the tombstones. Those that use data do not work."""
    names = {"table": f"{table}_tombstones", "token": "token", "expiry": "expiry", "data": "data"}
    return compose(DIALECTS[connection.vendor], connection.ops.quote_name, names)


def install(connection: BaseDatabaseWrapper, table: str) -> None:
    """Make the sessions in ``table`` leave tombstones from now on; make the triggers anew."""
    if _is_unfinished(connection, table):
        _execute(connection, table, (_NO_TABLE,))
    if not has_table(connection, table):
        _execute(connection, table, TABLE[connection.vendor])
    _execute(connection, table, NO_TRIGGERS[connection.vendor])
    _execute(connection, table, TRIGGERS[connection.vendor])
    forget(connection, table)


def _is_unfinished(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Tell whether an installation on MySQL ended between its first two statements."""
    if not has_table(connection, table):
        return False
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, f"{table}_tombstones")
    return "data" in {column.name for column in columns}


def remove(connection: BaseDatabaseWrapper, table: str) -> None:
    """Remove the triggers and all tombstones."""
    _execute(connection, table, (*NO_TRIGGERS[connection.vendor], _NO_TABLE))
    forget(connection, table)


def _execute(connection: BaseDatabaseWrapper, table: str, statements: tuple[str, ...]) -> None:
    parts = ("tombstones", "tombstones_expiry", "bury", "bury_deleted", "bury_renamed", "refuse")
    names = {part: connection.ops.quote_name(f"{table}_{part}") for part in parts}
    names["table"] = connection.ops.quote_name(table)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(**names))
