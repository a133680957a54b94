"""What each database vendor is told, as data.

In a statement, ``{table}``, ``{token}``, ``{data}`` and ``{expiry}`` are quoted names, ``{columns}``,
``{values}`` and ``{changes}`` stand for a project's own columns and are empty without any, and the
other names are fields of the vendor's Dialect. A session is live while ``{now} < {expiry}``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..fields import from_julian_day

STATEMENTS = {
    "find": ("SELECT {data}, {read_expiry} FROM {table} WHERE {is_key} AND {now} < {expiry}"),
    "find_latest": "SELECT {data}, {read_expiry} FROM {table} WHERE {is_key}",
    "find_locked": "SELECT {data}, {read_expiry} FROM {table} WHERE {is_key}{lock}",
    "insert": (
        "INSERT INTO {table} ({token}, {data}, {expiry}{columns})"
        " VALUES (%s, %s, %s{values}){if_absent}"
    ),
    "replace": (
        "UPDATE {table} SET {data} = %s, {expiry} = %s{changes} WHERE {is_key} AND {data} = %s"
    ),
    "touch": "UPDATE {table} SET {expiry} = %s WHERE {is_key} AND {data} = %s",
    "rename": "UPDATE {table} SET {token} = %s, {expiry} = %s WHERE {is_key}",
    "delete": "DELETE FROM {table} WHERE {is_key}",
    "page": (
        "SELECT {token}, {data}, {read_expiry} FROM {table}"
        " WHERE {token} > %s AND {now} < {expiry} ORDER BY {token} LIMIT %s"
    ),
    "expired": "SELECT {token} FROM {table} WHERE {expiry} <= {now} ORDER BY {expiry} LIMIT %s",
    "sweep": "DELETE FROM {table} WHERE {expiry} <= {now} AND {token} IN ({among})",
}


@dataclass(frozen=True)
class Dialect:
    """How one vendor differs from the others."""

    #: The vendor's clock, in the terms of the expiry column.
    now: str
    #: The expiry in a form that no time zone setting changes on its way.
    read_expiry: str
    #: Makes an aware UTC datetime of what ``read_expiry`` gives.
    load_expiry: Callable[[Any], datetime]
    #: Makes an INSERT of a key that is taken do nothing.
    if_absent: str
    #: Makes a SELECT inside a transaction see what others have committed since it began.
    lock: str
    #: Finds in a driver's error what identifies its kind.
    error_code: Callable[[BaseException], Any]
    #: Kinds of errors after which the server has undone the statement, so that it may be sent again.
    transient: frozenset[Any]
    #: The kind of error that says that a key is taken, where ``if_absent`` does not exist.
    duplicate: int | None = None
    #: Finds a key exactly; each of its parameters is the key.
    is_key: str = "{token} = %s"
    #: Which of ``{keys}`` a sweep may delete.
    among: str = "{keys}"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


DIALECTS = {
    "mysql": Dialect(
        now="UTC_TIMESTAMP(6)",
        read_expiry="{expiry}",
        load_expiry=_utc,
        # INSERT IGNORE would also cut data that is too long, without a word.
        if_absent="",
        lock=" FOR UPDATE",
        error_code=lambda error: error.args[0] if error.args else None,
        # Deadlock, or Galera's certification; lock wait; a row newer than the snapshot; Group
        # Replication's certification.
        transient=frozenset({1213, 1205, 1020, 3101}),
        duplicate=1062,
        # A table made by scs's DDL has a collation that takes 'a' for 'A'.
        is_key="{token} = %s AND CAST({token} AS BINARY) = %s",
    ),
    "postgresql": Dialect(
        now="current_timestamp",
        read_expiry="{expiry} AT TIME ZONE 'UTC'",
        load_expiry=_utc,
        if_absent=" ON CONFLICT ({token}) DO NOTHING",
        lock=" FOR UPDATE",
        error_code=lambda error: getattr(error, "sqlstate", None) or getattr(error, "pgcode", None),
        # Serialization failure, deadlock, lock not available.
        transient=frozenset({"40001", "40P01", "55P03"}),
        # There is no end to a wait for a row that a transaction has locked.
        among="SELECT {token} FROM {table} WHERE {token} IN ({keys}) FOR UPDATE SKIP LOCKED",
    ),
    "sqlite": Dialect(
        now="julianday('now')",
        read_expiry="{expiry}",
        load_expiry=from_julian_day,
        if_absent=" ON CONFLICT ({token}) DO NOTHING",
        lock="",
        # The low byte is the primary result code.
        error_code=lambda error: getattr(error, "sqlite_errorcode", 0) & 0xFF,
        # SQLITE_BUSY, SQLITE_LOCKED.
        transient=frozenset({5, 6}),
    ),
}
