"""The throw-away servers of the benchmark, and what they are told beside the tests' settings."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.servers import SERVERS, Server, find_program, require_program

# Room for all tables, so that no figure depends on the disk.
ARGUMENTS = {
    "mysql": ("--innodb-buffer-pool-size=2G", "--innodb-log-file-size=512M"),
    "postgresql": ("-cshared_buffers=1GB", "-cmax_wal_size=4GB"),
}


class Redis(Server):
    """A throw-away Redis that keeps everything in memory."""

    vendor = "redis"
    scheme = "redis"
    system_user = "nobody"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def initialize(self) -> None:
        configuration = self.folder / "redis.conf"
        configuration.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass "{self.password}"\n'
            f'save ""\nappendonly no\ndir {self.folder}\n'
        )
        if self.user:
            shutil.chown(configuration, self.user)
        configuration.chmod(0o600)

    def command(self) -> list[str]:
        return [require_program("redis-server"), f"{self.folder}/redis.conf"]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as lines:
                    return [lines.readline(), lines.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False


@contextlib.contextmanager
def running(vendor: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start what there is to start; give the environment that tests.bench.settings reads."""
    with contextlib.ExitStack() as stack:
        if vendor == "sqlite":
            environment = {"DATABASE_URL": f"sqlite:///{folder}/small.sqlite3"}
        else:
            server = stack.enter_context(SERVERS[vendor](*ARGUMENTS[vendor]))
            environment = {"DATABASE_URL": server.url}
        if find_program("redis-server"):
            environment["BENCHMARK_REDIS"] = stack.enter_context(Redis()).url
        yield environment
