"""What a session takes: bytes in the table and in the binary log, and seconds of sweep.

    python -m tests.proofs.cluster.sizes [--rows 1000000] [--data 300]

Starts a throw-away MariaDB and a PostgreSQL, one after the other, and prints what docs/scaling.md
quotes. A million rows take about two minutes and 2 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import django
from django.core.management import call_command
from django.db import connection, connections
from django.db.utils import ConnectionHandler

from tests.servers import SERVERS, Server, interruptible

LIFETIME_DAYS = 14
# So that no figure depends on the disk.
ARGUMENTS = {
    "mysql": ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"),
    "postgresql": ("-cshared_buffers=512MB", "-cmax_wal_size=4GB"),
}
# Each statement changes another fifth of the rows.
CHANGES = 5


@dataclass(frozen=True)
class Dialect:
    """What is told to one vendor; tokens come in random order, their expiry in that of creation."""

    fill: str
    change: str
    after_change: str
    bytes: str


DIALECTS = {
    "mysql": Dialect(
        fill="INSERT INTO sessions (token, data, expiry) SELECT LEFT(SHA2(seq, 256), 43), %s,"
        " UTC_TIMESTAMP(6) + INTERVAL seq * {days} * 86400 / {rows} SECOND FROM seq_1_to_{rows}",
        change="UPDATE sessions SET data = %s, expiry = expiry + INTERVAL 1 HOUR"
        " WHERE CRC32(token) %% {changes} = {turn}",
        after_change="ANALYZE TABLE sessions",
        bytes="SELECT data_length, index_length, file_size"
        " FROM information_schema.tables t JOIN information_schema.innodb_sys_tablespaces s"
        " ON s.name = CONCAT(t.table_schema, '/', t.table_name) WHERE t.table_name = 'sessions'",
    ),
    "postgresql": Dialect(
        fill="INSERT INTO sessions (token, data, expiry)"
        " SELECT left(encode(sha256(n::text::bytea), 'hex'), 43), %s,"
        " now() + n * interval '{days} days' / {rows} FROM generate_series(1, {rows}) AS n",
        change="UPDATE sessions SET data = %s, expiry = expiry + interval '1 hour'"
        " WHERE abs(hashtext(token)) %% {changes} = {turn}",
        # What autovacuum does by default when a fifth of a table has changed.
        after_change="VACUUM sessions",
        bytes="SELECT pg_table_size('sessions'), pg_indexes_size('sessions'),"
        " pg_total_relation_size('sessions')",
    ),
}


def use(server: Server) -> None:
    """Make the default connection one to a server, with our table in it."""
    from tests.settings import database

    connections["default"].close()
    connections["default"] = ConnectionHandler({"default": database(server.url)})["default"]
    call_command("migrate", "django_scs", verbosity=0)


def execute(sql: str, params: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """Run a statement and return the first row of its result, if any."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone() if cursor.description else ()
    return tuple(row or ())


def report_bytes(vendor: str, rows: int, when: str) -> None:
    table, index, total = execute(DIALECTS[vendor].bytes)
    print(
        f"{vendor:10}  {when:38}  rows {table / rows:6.0f}  index {index / rows:5.0f}"
        f"  all {total / rows:6.0f} bytes a row"
    )


def measure_table(vendor: str, rows: int, size: int) -> None:
    """Fill the table, change every row once, let two days' worth expire and sweep it."""
    from django_scs.backends.db import SessionStore

    dialect = DIALECTS[vendor]
    values = {"rows": rows, "days": LIFETIME_DAYS, "changes": CHANGES}
    execute(dialect.fill.format(**values), [b"x" * size])
    execute("ANALYZE TABLE sessions" if vendor == "mysql" else "ANALYZE sessions")
    report_bytes(vendor, rows, "created in random order")
    for turn in range(CHANGES):
        execute(dialect.change.format(**values, turn=turn), [b"y" * size])
        execute(dialect.after_change)
    report_bytes(vendor, rows, "then each changed once")
    day = "INTERVAL 1 DAY" if vendor == "mysql" else "interval '1 day'"
    execute(f"UPDATE sessions SET expiry = expiry - {day} - {day}")
    (before,) = execute("SELECT COUNT(*) FROM sessions")
    started = time.monotonic()
    SessionStore.clear_expired()
    seconds = time.monotonic() - started
    (after,) = execute("SELECT COUNT(*) FROM sessions")
    swept = before - after
    print(
        f"{vendor:10}  clear_expired, nothing else running: {swept} rows, {swept / seconds:.0f}/s"
    )


def measure_log(size: int) -> None:
    """Print what MariaDB's binary log grows by for each kind of write and of row image."""
    from django_scs.backends.db import SessionStore

    store, count = SessionStore.get_store(), 500
    first, second = b"x" * size, b"y" * size
    ttl = 86_400.0
    writes: dict[str, Callable[[str], bool]] = {
        "insert": lambda key: store.insert(key, first, ttl),
        "save": lambda key: store.replace(key, second, ttl, first),
        "touch": lambda key: store.touch(key, ttl + 3600, second),
        "renewal": lambda key: store.rename(key, key[::-1], ttl),
        "delete": lambda key: store.delete(key[::-1]),
    }
    for image, annotate in (("FULL", 1), ("FULL", 0), ("NOBLOB", 0), ("MINIMAL", 0)):
        execute(f"SET SESSION binlog_row_image = {image}, binlog_annotate_row_events = {annotate}")
        grown = []
        for name, write in writes.items():
            before = execute("SHOW MASTER STATUS")[1]
            for number in range(count):
                assert write(f"{image}{annotate}_{number}".ljust(42, "_") + "=")
            grown.append(f"{name} {(execute('SHOW MASTER STATUS')[1] - before) / count:.0f}")
        print(
            f"binlog_row_image={image}, binlog_annotate_row_events={annotate}:"
            f" {', '.join(grown)} bytes of binary log"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs.cluster.sizes", description=__doc__
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=int, default=300, help="bytes of data in each row")
    options = parser.parse_args(argv)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    with interruptible():
        for vendor, server_class in SERVERS.items():
            logs = ("--log-bin=bin", "--server-id=1") if vendor == "mysql" else ()
            with server_class(*ARGUMENTS[vendor], *logs) as server:
                use(server)
                if vendor == "mysql":
                    measure_log(options.data)
                    execute("SET SESSION sql_log_bin = 0")
                    execute("TRUNCATE sessions")
                measure_table(vendor, options.rows, options.data)
                connection.close()


if __name__ == "__main__":
    main()
