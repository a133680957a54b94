"""The throw-away servers of the benchmark, and what they are told beside the tests' settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers import SERVERS, Redis, find_program

# Room for all tables, so that no figure depends on the disk.
ARGUMENTS = {
    "mysql": ("--innodb-buffer-pool-size=2G", "--innodb-log-file-size=512M"),
    "postgresql": ("-cshared_buffers=1GB", "-cmax_wal_size=4GB"),
}


@contextlib.contextmanager
def running(vendor: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start what there is to start; give the environment that tests.bench.settings reads."""
    with contextlib.ExitStack() as stack:
        if vendor in ("sqlite", "redis"):
            environment = {"DATABASE_URL": f"sqlite:///{folder}/small.sqlite3"}
        else:
            server = stack.enter_context(SERVERS[vendor](*ARGUMENTS[vendor]))
            environment = {"DATABASE_URL": server.url}
        if find_program("redis-server"):
            environment["BENCHMARK_REDIS"] = stack.enter_context(Redis()).url
        yield environment
