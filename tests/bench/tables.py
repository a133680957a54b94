"""Two databases on one server, with few and with many sessions, and the way from one to the other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_scs.fields import adapt_expiry
from django_scs.models import Session
from tests.bench.engines import ENGINES, LARGE, OURS, PREPARED, SMALL

EXPIRY = datetime.now(UTC) + timedelta(days=14)

#: OPTIONS of a connection to PostgreSQL that prepares each statement when it is first sent.
PREPARE = {"server_side_binding": True, "prepare_threshold": 0}

_WORDS = ("amber", "cedar", "fjord", "juniper", "lantern", "meadow", "orchard", "quartz", "river")

# Random tokens in the order of the primary key, which is many times faster than any other.
_FILL = {
    "mysql": (
        "INSERT INTO {table} ({columns})"
        " SELECT LEFT(SHA2(CONCAT({seed}, seq), 256), {length}) AS token, {values}"
        " FROM seq_1_to_{rows} ORDER BY token"
    ),
    "postgresql": (
        "INSERT INTO {table} ({columns})"
        " SELECT left(encode(sha256(({seed} || '-' || n)::bytea), 'hex'), {length}) AS token,"
        " {values} FROM generate_series(1, {rows}) AS n ORDER BY token"
    ),
    "sqlite": (
        "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {rows})"
        " INSERT INTO {table} ({columns})"
        " SELECT substr(lower(hex(randomblob(32))), 1, {length}) AS token, {values}"
        " FROM series ORDER BY token"
    ),
}
_SETTLE = {
    "mysql": ("ANALYZE TABLE {tables}",),
    "postgresql": ("VACUUM ANALYZE", "CHECKPOINT"),
    "sqlite": ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"),
}

_wrappers: dict[str, BaseDatabaseWrapper] = {}


def payload(size: int, seed: int) -> dict[str, str]:
    """Return values that are about `size` bytes as JSON: short texts under short keys."""
    words = random.Random(seed)
    values: dict[str, str] = {}
    while (missing := size - len(json.dumps(values))) > 20:
        text = " ".join(words.choices(_WORDS, k=12))
        values[f"key_{len(values):04}"] = text[: min(60, missing - 14)]
    return values


def use(table: str) -> BaseDatabaseWrapper:
    """Make every engine work on one of the databases, without a router that all would pay for."""
    connections["default"] = _wrappers[table]
    return _wrappers[table]


def database_name(table: str) -> str:
    """Return the name of a database on the server, or the path of its file."""
    return str(_wrappers[table].settings_dict["NAME"])


def prepare(
    rows: Mapping[str, int], values: dict[str, str], seed: int, say: Callable[[str], None]
) -> None:
    """Create both databases and the tables of all engines in them, and fill those."""
    _wrappers[SMALL] = small = connections["default"]
    _wrappers[LARGE] = large = small.copy()
    if small.vendor == "postgresql":
        _wrappers[PREPARED] = small.copy()
        _wrappers[PREPARED].settings_dict["OPTIONS"] |= PREPARE
    name = str(small.settings_dict["NAME"])
    large.settings_dict["NAME"] = name.replace("small", "large") if "/" in name else f"{name}_large"
    if small.vendor != "sqlite":
        with small.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {large.settings_dict['NAME']}")
    for table, number in rows.items():
        say(f"{table} database: {number:,} sessions in each engine's table")
        connection = use(table)
        call_command("migrate", verbosity=0)
        _fill_all(connection, number, values, seed)
    use(SMALL)


def _fill_all(
    connection: BaseDatabaseWrapper, rows: int, values: dict[str, str], seed: int
) -> None:
    data: dict[str, Any] = dict(values, counter=0)
    expiry = connection.ops.adapt_datetimefield_value(EXPIRY)
    text = ENGINES["db"].open().encode(data)
    tables: dict[str, dict[str, Any]] = {
        Session._meta.db_table: {
            "token": 43,
            "data": ENGINES[OURS].open().encode(data),
            "expiry": adapt_expiry(EXPIRY, connection.vendor),
        },
        "django_session": {"session_key": 40, "session_data": text, "expire_date": expiry},
        "user_sessions_session": {
            "session_key": 40,
            "session_data": text,
            "expire_date": expiry,
            "last_activity": expiry,
        },
    }
    with connection.cursor() as cursor:
        for table, ((token, length), *columns) in (
            (table, columns.items()) for table, columns in tables.items()
        ):
            sql = _FILL[connection.vendor].format(
                table=table,
                columns=", ".join([token, *(name for name, _ in columns)]),
                values=", ".join(["%s"] * len(columns)),
                length=length,
                rows=rows,
                seed=seed,
            )
            cursor.execute(sql, [value for _, value in columns])
        for sql in _SETTLE[connection.vendor]:
            cursor.execute(sql.format(tables=", ".join(tables)))
