"""The SQL of each database vendor, as data.

In a statement, ``{table}``, ``{token}``, ``{data}`` and ``{expiry}`` are quoted names.
``{columns}``, ``{values}`` and ``{changes}`` stand for a project's own columns, and are empty if it
has none. ``{keys}`` stands for any number of keys. The other names are fields of the vendor's
Dialect. A session is live while ``{now} < {expiry}``.

Each UPDATE sets ``{expiry}``. Otherwise a MySQL or MariaDB server with
``explicit_defaults_for_timestamp=0`` would set it to the present, in a table that scs's DDL made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from ..fields import MYSQL_LAST
from .base import GRACE

STATEMENTS = {
    "find": "SELECT {data}, {left}, {clock} FROM {table} WHERE {is_key}",
    "find_locked": "SELECT {data}, {left}, {clock} FROM {table} WHERE {is_key}{lock}",
    "insert": (
        "INSERT INTO {table} ({token}, {data}, {expiry}{columns})"
        " VALUES (%s, %s, {then}{values}){if_absent}"
    ),
    "replace": (
        "UPDATE {table} SET {data} = %s, {expiry} = {then}{changes}"
        " WHERE {is_key} AND {graced} AND {is_data}"
    ),
    "touch": (
        "UPDATE {table} SET {expiry} = {then}{changes} WHERE {is_key} AND {graced} AND {is_data}"
    ),
    "rename": (
        "UPDATE {table} SET {token} = %s, {expiry} = {then}{changes} WHERE {is_key} AND {graced}"
    ),
    "rename_and_replace": (
        "UPDATE {table} SET {token} = %s, {data} = %s, {expiry} = {then}{changes}"
        " WHERE {is_key} AND {graced} AND {is_data}"
    ),
    "rekey": "UPDATE {table} SET {token} = %s, {expiry} = {expiry} WHERE {is_key}",
    "rekey_and_replace": (
        "UPDATE {table} SET {token} = %s, {data} = %s, {expiry} = {expiry} WHERE {is_key} AND {is_data}"
    ),
    "written": "SELECT 1 FROM {table} WHERE {expiry} = {then} AND {is_key} AND {is_data}{lock}",
    "delete": "DELETE FROM {table} WHERE {is_key}",
    "delete_many": "DELETE FROM {table} WHERE {token} IN ({keys})",
    "page": (
        "SELECT {token}, {data}, {left}, {clock} FROM {table}"
        " WHERE {token} > %s AND {now} < {expiry} ORDER BY {token} LIMIT %s"
    ),
    "expired": "SELECT {token} FROM {table} WHERE {expiry} <= {now} ORDER BY {expiry} LIMIT %s",
    "claim": (
        "SELECT {token} FROM {table} WHERE {expiry} <= {now} AND {token} IN ({keys}){lock_free}"
    ),
    "sweep": "DELETE FROM {table} WHERE {expiry} <= {now} AND {token} IN ({among})",
}


@dataclass(frozen=True)
class Dialect:
    """How one vendor differs from the others."""

    #: The vendor's clock, in the terms of the expiry column.
    now: str
    #: The vendor's clock, as a time since 1970.
    clock: str
    #: How much time a session has left.
    left: str
    #: The expiry of a session whose seconds to live are the parameter.
    then: str
    #: True for a session that is live or expired less than GRACE seconds ago. It must not look like
    #: a range of the index on the expiry, or MySQL reads that index for each statement.
    graced: str
    #: Makes an INSERT do nothing if its key is taken.
    if_absent: str
    #: Makes a SELECT inside a transaction see what others have committed since it began.
    lock: str
    #: Makes a SELECT lock its rows. If it might wait for ever, it leaves out rows that are locked.
    lock_free: str
    #: Returns the code that tells the kind of a driver's error.
    error_code: Callable[[BaseException], Any]
    #: Error codes after which the server has undone the statement, so that it may be sent again.
    transient: frozenset[Any]
    #: Error codes for a prepared statement that is gone, or whose table has changed.
    stale: frozenset[Any] = frozenset()
    #: Makes the server and the driver forget all prepared statements.
    forget: str = ""
    #: How many seconds a unit of ``clock`` and ``left`` has. MySQL divides slowly: Python converts.
    unit: float = 1
    #: Turns seconds into the parameter of ``then``.
    adapt_ttl: Callable[[float], float] = float
    #: The error code for a key that is taken, if ``if_absent`` is empty.
    duplicate: int | None = None
    #: Finds a key exactly; each of its parameters is the key.
    is_key: str = "{token} = %s"
    #: How many parameters ``is_key`` has.
    keys: int = 1
    #: Compares data with a parameter.
    is_data: str = "{data} = %s"
    #: Compares the data's SHA-256 with a hexadecimal parameter, if that is cheaper for large data.
    is_digest: str = ""
    #: Which of ``{keys}`` a sweep may delete.
    among: str = "{keys}"
    #: Asks how many bytes a column holds; parameters: table, column. Empty if there is no limit.
    column_size: str = ""


DIALECTS = {
    "mysql": Dialect(
        now="UTC_TIMESTAMP(6)",
        # Every function that returns fractions of a second depends on the connection's time zone.
        clock="TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
        left="TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), {expiry})",
        unit=1e-6,
        then=(
            "LEAST(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND,"
            f" TIMESTAMP'{MYSQL_LAST:%Y-%m-%d %H:%M:%S}')"
        ),
        graced=f"UTC_TIMESTAMP(6) < {{expiry}} + INTERVAL {GRACE:.0f} SECOND",
        # INSERT IGNORE would also cut data that is too long, without an error.
        if_absent="",
        lock=" FOR UPDATE",
        lock_free=" FOR UPDATE",
        error_code=lambda error: error.args[0] if error.args else None,
        # Deadlock, or a conflict that Galera found; lock wait timeout; a row newer than the
        # snapshot; a conflict that Group Replication found.
        transient=frozenset({1213, 1205, 1020, 3101}),
        adapt_ttl=lambda ttl: round(ttl * 1_000_000),
        duplicate=1062,
        # In a table made by scs's DDL the collation ignores case.
        is_key="{token} = %s AND CAST({token} AS BINARY) = %s",
        keys=2,
        is_digest="SHA2({data}, 256) = %s",
        column_size=(
            "SELECT CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COLUMN_NAME = %s"
        ),
    ),
    "postgresql": Dialect(
        # The time of the statement: now() is the time when the transaction began.
        now="statement_timestamp()",
        clock="date_part('epoch', statement_timestamp())",
        # Subtracting the times themselves would fail for an expiry of 'infinity'.
        left="date_part('epoch', {expiry}) - date_part('epoch', statement_timestamp())",
        then="statement_timestamp() + %s * interval '1 second'",
        graced=f"statement_timestamp() < {{expiry}} + interval '{GRACE:.0f} seconds'",
        if_absent=" ON CONFLICT ({token}) DO NOTHING",
        lock=" FOR UPDATE",
        lock_free=" FOR UPDATE SKIP LOCKED",
        error_code=lambda error: getattr(error, "sqlstate", None) or getattr(error, "pgcode", None),
        # Serialization failure, deadlock, lock not available.
        transient=frozenset({"40001", "40P01", "55P03"}),
        # A plan whose columns have other types now ("feature not supported"); a statement name that
        # does not exist; a statement name that is taken.
        stale=frozenset({"0A000", "26000", "42P05"}),
        forget="DEALLOCATE ALL",
        # PostgreSQL waits without limit for a row that a transaction has locked.
        among="SELECT {token} FROM {table} WHERE {token} IN ({keys}) FOR UPDATE SKIP LOCKED",
    ),
    "sqlite": Dialect(
        now="julianday('now')",
        clock="julianday('now') - 2440587.5",
        left="{expiry} - julianday('now')",
        unit=86_400,
        then="julianday('now') + %s / 86400.0",
        graced=f"julianday('now') < {{expiry}} + {GRACE:.0f} / 86400.0",
        if_absent=" ON CONFLICT ({token}) DO NOTHING",
        lock="",
        lock_free="",
        # The low byte is the primary result code.
        error_code=lambda error: getattr(error, "sqlite_errorcode", 0) & 0xFF,
        # SQLITE_BUSY, SQLITE_LOCKED.
        transient=frozenset({5, 6}),
    ),
}

#: Stands for any number of keys in a composed statement. No table or column has a NUL in its name.
KEYS: Final = "\0keys\0"
_FRAGMENTS: Final = [field.name for field in fields(Dialect) if field.type is str]


def compose(
    dialect: Dialect,
    quote_name: Callable[[str], str],
    names: Mapping[str, str],
    own: Sequence[str] = (),
) -> dict[str, str]:
    """Return the statements, and each again as "... by digest", which compares digests of data.

    ``names`` are the names of the table and of our columns. ``own`` are the names of the project's
    columns that writes set. A name may contain braces, because nothing is formatted twice.
    """

    def quote(name: str) -> str:
        # The driver turns %% into %.
        return quote_name(name).replace("%", "%%")

    quoted = {part: quote(name) for part, name in names.items()}
    columns = [quote(name) for name in own]
    fragments = {part: getattr(dialect, part).format(**quoted, keys=KEYS) for part in _FRAGMENTS}
    fragments["keys"] = KEYS
    fragments["columns"] = "".join(f", {column}" for column in columns)
    fragments["values"] = ", %s" * len(columns)
    fragments["changes"] = "".join(f", {column} = %s" for column in columns)
    statements = {name: text.format(**quoted, **fragments) for name, text in STATEMENTS.items()}
    fragments["is_data"] = fragments["is_digest"]
    for name, text in STATEMENTS.items():
        statements[f"{name} by digest"] = text.format(**quoted, **fragments)
    return statements
