"""Checks of ``manage.py check --database``: the table, the clock and the connection of sessions.

``manage.py migrate`` runs them before it begins, and stops if one finds an error. So a problem that a
migration can solve is a warning.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from django.core import checks
from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from .. import conf
from ..backends.base import SessionStore
from ..fields import MYSQL_LAST
from ..manager import find_model, session_class
from ..stores.dialects import DIALECTS

# Seconds. Synchronised clocks differ by less.
_CLOCKS_DIFFER: Final = 2.0


class _Column(NamedTuple):
    """A column in the database: its type, its collation, the most characters it holds."""

    type: str
    collation: str | None
    length: int | None


@dataclass(frozen=True)
class _Table:
    """The table of one kind of session, and the connection that writes it."""

    kind: str
    session_class: type[SessionStore]
    model: type[models.Model]

    @property
    def alias(self) -> str:
        return router.db_for_write(self.model)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def vendor(self) -> str:
        return self.connection.vendor

    @property
    def name(self) -> str:
        return self.model._meta.db_table

    def column(self, field: str) -> str:
        found: Any = self.model._meta.get_field(field)
        return str(found.column)

    @cached_property
    def columns(self) -> dict[str, _Column]:
        sql = _COLUMNS[self.vendor]
        rows = self.query(sql, *[self.name] * sql.count("%s"))
        return {
            name: _Column(kind.lower(), collation, size) for name, kind, collation, size in rows
        }

    @cached_property
    def exists(self) -> bool:
        return self.name in self.connection.introspection.table_names()

    @property
    def has_migrations(self) -> bool:
        """Whether a migration of the model's application has run here."""
        applied = MigrationRecorder(self.connection).applied_migrations()
        return any(app == self.model._meta.app_label for app, _ in applied)

    def query(self, sql: str, *params: Any) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall())


def check_database(*, databases: Sequence[str] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Look at the table of each kind of session that is kept in one of the databases."""
    found: dict[tuple[str | None, str], checks.CheckMessage] = {}
    for table in _tables():
        if table.alias in (databases or ()):
            looks = _LOOKS if table.exists else (_missing,)
            for message in (message for look in looks for message in look(table)):
                # Several kinds may share a table.
                found.setdefault((message.id, message.msg), message)
    return list(found.values())


def check_time_zone(*, databases: Sequence[str] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if the time zone of a MySQL connection for sessions leaves out an hour each year."""
    aliases = {table.alias for table in _tables() if table.vendor == "mysql"}
    return [
        _zone_has_gaps(alias)
        for alias in sorted(aliases.intersection(databases or ()))
        if len(_utc_offsets(alias)) > 1
    ]


def register() -> None:
    """Register these checks with Django."""
    checks.register(check_database, checks.Tags.database)
    checks.register(check_time_zone, checks.Tags.database)


def _tables() -> Iterator[_Table]:
    if conf.problems():
        return
    for kind in conf.kinds():
        model = find_model(kind)
        if model is not None:
            yield _Table(kind, session_class(kind), model)


def _missing(table: _Table) -> Iterator[checks.CheckMessage]:
    # Before the first migration every new project would get this warning.
    if table.has_migrations:
        yield checks.Warning(
            f"The database {table.alias!r} has no table {table.name!r} for sessions.",
            hint="Run manage.py migrate.",
            id="django_scs.W028",
        )


def _column_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    for field, types in _TYPES[table.vendor].items():
        name = table.column(field)
        column = table.columns.get(name)
        if column is None:
            yield checks.Warning(
                f"The table {table.name!r} has no column {name!r}.",
                hint="Run manage.py migrate.",
                id="django_scs.W029",
            )
        elif not column.type.startswith(types):
            yield checks.Warning(
                f"The column {name!r} of {table.name!r} is a {column.type}.",
                hint=f"It should be: {' or '.join(types)}.",
                id="django_scs.W031",
            )


def _token_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    column = table.columns.get(table.column("token"))
    if column is None:
        return
    options = conf.options(table.kind)
    plain = table.kind == conf.DEFAULT and not options.hash_tokens
    longest = 40 if options.token_bytes == 30 and plain else 43
    if column.length is not None and column.length < longest:
        yield checks.Warning(
            f"The column of tokens of {table.name!r} holds {column.length} characters,"
            f" and store keys have {longest}.",
            hint="Make it longer, or set SCS_TOKEN_BYTES to 30 where it holds 40.",
            id="django_scs.W030",
        )
    if (column.collation or "").lower().endswith(("_ci", "nocase")):
        yield checks.Warning(
            f"The collation of tokens of {table.name!r} is {column.collation}, which ignores case.",
            hint=(
                "Tokens are compared exactly all the same, but more slowly, and two tokens that differ"
                " only in case cannot both be stored. On MySQL and MariaDB change it with: ALTER TABLE"
                f" {table.name} MODIFY {table.column('token')} CHAR(43) CHARACTER SET ascii COLLATE"
                " ascii_bin NOT NULL."
            ),
            id="django_scs.W033",
        )


def _index_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    with table.connection.cursor() as cursor:
        found = table.connection.introspection.get_constraints(cursor, table.name).values()
    indexes = [each["columns"] for each in found if each["index"]]
    if not any(columns[:1] == [table.column("expiry")] for columns in indexes):
        yield checks.Warning(
            f"The table {table.name!r} has no index on {table.column('expiry')!r}:"
            " each sweep reads all sessions.",
            hint="CREATE INDEX sessions_expiry_idx ON sessions (expiry), or manage.py migrate.",
            id="django_scs.W032",
        )


def _size_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    holds, wanted = table.session_class.get_store().max_data, conf.options(table.kind).max_bytes
    if holds is not None and wanted is not None and holds < wanted:
        yield checks.Warning(
            f"SCS_MAX_BYTES is {wanted}, and the data column of {table.name!r} holds {holds} bytes.",
            hint="The smaller one counts. Make the column a MEDIUMBLOB, or lower SCS_MAX_BYTES.",
            id="django_scs.W034",
        )
    if holds is None and wanted is None:
        yield checks.Warning(
            f"Nothing limits how large a session in {table.name!r} can grow.",
            hint="Set SCS_MAX_BYTES, such as to 65_535.",
            id="django_scs.W039",
        )


def _clock_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    dialect = DIALECTS[table.vendor]
    before = time.time()
    ((answer,),) = table.query(f"SELECT {dialect.clock}")
    after = time.time()
    theirs = float(answer) * dialect.unit
    apart = max(before - theirs, theirs - after)
    if apart > _CLOCKS_DIFFER:
        yield checks.Warning(
            f"The clocks of this computer and of the database {table.alias!r} are {apart:.0f} seconds"
            " apart.",
            hint="Let both follow NTP. The database's clock decides when a session ends.",
            id="django_scs.W035",
        )


def _isolation_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    sql, good = _ISOLATION.get(table.vendor, ("", ()))
    level = str(table.query(sql)[0][-1]).lower().replace("-", " ") if sql else ""
    if sql and level not in good:
        yield checks.Warning(
            f"Transactions of {table.alias!r} are {level}: if two requests change one session at once,"
            " one of them can fail inside a transaction, or read what is not committed.",
            hint=f"Use {' or '.join(good)}.",
            id="django_scs.W036",
        )


def _year_2038_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    options = conf.options(table.kind)
    end = datetime.now(UTC) + timedelta(seconds=options.lifetime)
    if table.vendor == "mysql" and end > MYSQL_LAST:
        yield checks.Warning(
            f"Sessions of today would live past {MYSQL_LAST:%Y-%m-%d}, where a TIMESTAMP ends.",
            hint="They end on that day. Shorten SCS_LIFETIME.",
            id="django_scs.W037",
        )


def _replica_problems(table: _Table) -> Iterator[checks.CheckMessage]:
    reader = router.db_for_read(table.model)
    if reader != table.alias:
        yield checks.Warning(
            f"Sessions are read from {reader!r} and written to {table.alias!r}: a replica that lags"
            " shows a session that was destroyed, and none that was just begun.",
            hint="Let the router's db_for_read() return the database that is written.",
            id="django_scs.W038",
        )


_LOOKS: Final[tuple[Callable[[_Table], Iterator[checks.CheckMessage]], ...]] = (
    _column_problems,
    _token_problems,
    _index_problems,
    _size_problems,
    _clock_problems,
    _isolation_problems,
    _year_2038_problems,
    _replica_problems,
)
_COLUMNS: Final = {
    "mysql": (
        "SELECT COLUMN_NAME, DATA_TYPE, COLLATION_NAME, CHARACTER_MAXIMUM_LENGTH"
        " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
    ),
    "postgresql": (
        "SELECT column_name, data_type, collation_name, character_maximum_length"
        " FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false)) AND table_name = %s"
    ),
    "sqlite": (
        "SELECT name, type,"
        " (SELECT coll FROM pragma_index_list(%s) i, pragma_index_xinfo(i.name) x"
        " WHERE x.name = t.name AND i.origin = 'pk'), NULL FROM pragma_table_info(%s) t"
    ),
}
_TYPES: Final = {
    "mysql": {
        "token": ("char", "varchar"),
        "data": ("blob", "mediumblob", "longblob"),
        "expiry": ("timestamp",),
    },
    "postgresql": {
        "token": ("text", "character"),
        "data": ("bytea",),
        "expiry": ("timestamp with time zone",),
    },
    "sqlite": {"token": ("text", "char", "varchar"), "data": ("blob",), "expiry": ("real",)},
}
_ISOLATION: Final = {
    "mysql": (
        "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')",
        ("read committed", "repeatable read"),
    ),
    "postgresql": ("SHOW transaction_isolation", ("read committed",)),
}


def _utc_offsets(alias: str) -> set[timedelta]:
    """Return the UTC offsets of the connection's time zone over the coming year."""
    now = int(time.time())
    moments = [now + month * 30 * 86_400 for month in range(13)]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(['FROM_UNIXTIME(%s)'] * len(moments))}", moments)
        local_times = cursor.fetchone()
    return {
        local - datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
        for local, moment in zip(local_times, moments, strict=True)
    }


def _zone_has_gaps(alias: str) -> checks.CheckMessage:
    return checks.Warning(
        f"The time zone of the MySQL connection {alias!r} has daylight saving time: in the hour that"
        " it leaves out each year, MySQL refuses to store sessions (error 1292).",
        hint=(
            "Set OPTIONS['init_command'] to \"SET time_zone = '+00:00'\", and in a Go application"
            " that shares the table add time_zone=%27%2B00%3A00%27 to its DSN: both must agree."
        ),
        id="django_scs.W001",
    )
