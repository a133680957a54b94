"""Start and stop throw-away MariaDB, PostgreSQL and Redis servers. Uses the standard library only.

A server lives in its own temporary folder, listens on a free loopback port and asks for a random
password, so that nobody else on the machine gets in. `python -m tests.servers mysql` starts one,
prints its URL and keeps it until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

START_SECONDS = 60
STOP_SECONDS = 30
NAME = "django_scs"
# Where Debian and Ubuntu keep the programs that are not on everybody's PATH.
PROGRAM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/sbin", "/usr/local/sbin")


class ServerError(Exception):
    """A program is missing, or a server did not start or stop; the message says which."""


class NotInstalled(ServerError):
    """A program is missing. A test that needs it is skipped, which is a failure where CI is set."""


def find_program(*names: str) -> str | None:
    """Return the path of the first of `names` that is installed, of several versions the newest."""
    for name in names:
        if found := shutil.which(name):
            return found
        candidates: list[Path] = []
        for folder in PROGRAM_FOLDERS:
            candidates += Path("/").glob(f"{folder.lstrip('/')}/{name}")
        if candidates:
            return str(max(candidates, key=lambda path: [len(str(path)), str(path)]))
    return None


def require_program(*names: str) -> str:
    """Return the path of a program. Raise NotInstalled if none of `names` is there."""
    if program := find_program(*names):
        return program
    raise NotInstalled(f"{' or '.join(names)} is not installed")


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One throw-away server; as a context manager it runs inside the block and is gone after it.

    `arguments` are added to the server's command line, `environment` to its environment (`TZ`).
    `start`, `stop` and `kill` may alternate: port, password and data stay until `remove`.
    """

    vendor: ClassVar[str]
    scheme: ClassVar[str]
    # Both servers refuse to run as root.
    system_user: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.arguments = arguments
        self.user = self.system_user if os.geteuid() == 0 else None
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-{self.vendor}-"))
        # A MariaDB that starts deletes the temporary tables that others have in the same folder.
        own = {"TMPDIR": str(self.folder)}
        self.environment = {**os.environ, **own, **(environment or {})}
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._still_open: int | None = None
        self._initialized = False

    @property
    def url(self) -> str:
        """The DATABASE_URL of a database that exists and is empty."""
        return f"{self.scheme}://{NAME}:{self.password}@127.0.0.1:{self.port}/{NAME}"

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def start(self) -> None:
        """Start the server, on its old data if it ran before, and wait until it answers."""
        if self._process is not None:
            raise ServerError(f"{self.vendor} is running already")
        first = not self._initialized
        if first:
            if self.user:
                owner = pwd.getpwnam(self.user)
                os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self.initialize()
            self._initialized = True
        self._spawn([*self.command(), *self.arguments])
        self._wait_until_it_answers()
        if first:
            self.create_database()

    def stop(self) -> None:
        """Stop the server the orderly way; after STOP_SECONDS the hard way."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._wait_until_it_is_gone()

    def kill(self) -> None:
        """End the server as `kill -9` does: no flush, no farewell to its clients."""
        if self._process is None:
            return
        self._process.kill()
        self._wait_until_it_is_gone()

    def remove(self) -> None:
        """Stop the server and delete its data."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def initialize(self) -> None:
        """Create the server's data folder."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server accepts connections and statements."""
        raise NotImplementedError

    def create_database(self) -> None:
        """Create what `initialize` could not."""

    def run(self, command: Sequence[str], **environment: str) -> bool:
        """Run a helper program as the server's user; its output goes to the log."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self.environment, **environment},
                user=self.user,
                group=self._group(),
                extra_groups=self._extra_groups(),
                check=False,
            )
        return done.returncode == 0

    def require(self, command: Sequence[str], **environment: str) -> None:
        """Run a helper program. Raise ServerError with the end of the log if it fails."""
        if not self.run(command, **environment):
            raise ServerError(f"{command[0]} failed:\n{self.log_tail()}")

    def log_tail(self, characters: int = 3000) -> str:
        """Return the end of what the server and its helper programs wrote."""
        return self.log.read_text(errors="replace")[-characters:]

    def _group(self) -> int | None:
        return pwd.getpwnam(self.user).pw_gid if self.user else None

    def _extra_groups(self) -> list[int] | None:
        return [] if self.user else None

    def _spawn(self, command: Sequence[str]) -> None:
        # The server and all its children hold the write end of this pipe: it reaches its end of
        # file when the last of them is gone, also those that a killed server leaves behind.
        self._still_open, held = os.pipe()
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=self.environment,
                    user=self.user,
                    group=self._group(),
                    extra_groups=self._extra_groups(),
                    pass_fds=[held],
                    # Ctrl-C in the terminal must reach the tests first, the server last.
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._still_open)
            raise
        finally:
            os.close(held)

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                how = "is too slow to start" if status is None else f"ended with status {status}"
                raise ServerError(f"{self.vendor} {how}:\n{self.log_tail()}")
            time.sleep(0.05)

    def _wait_until_it_is_gone(self) -> None:
        assert self._process is not None
        assert self._still_open is not None
        self._process.wait()
        os.read(self._still_open, 1)
        os.close(self._still_open)
        self._process = self._still_open = None


class MariaDB(Server):
    """A throw-away MariaDB server. Its user may do everything, `SET GLOBAL` included."""

    vendor = "mysql"
    scheme = "mysql"
    system_user = "mysql"
    stop_signal = signal.SIGTERM

    def initialize(self) -> None:
        installer = require_program("mariadb-install-db")
        # MariaDB reads this file at each start, so it must bear repetition.
        (self.folder / "init.sql").write_text(
            f"CREATE DATABASE IF NOT EXISTS {NAME} CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS {NAME}@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {NAME}@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self.require(
            [
                installer,
                "--no-defaults",
                f"--datadir={self.folder}/data",
                "--auth-root-authentication-method=socket",
                "--skip-log-bin",
                "--skip-test-db",
            ]
        )

    def command(self) -> list[str]:
        return [
            require_program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder}/data",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/init.sql",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
            # Survives a killed server, not a power cut: the tests need no more and are faster.
            "--innodb-flush-log-at-trx-commit=2",
        ]

    def answers(self) -> bool:
        # The port is bound early but greets only after the init file has run.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False


class PostgreSQL(Server):
    """A throw-away PostgreSQL server. Its user is the superuser."""

    vendor = "postgresql"
    scheme = "postgresql"
    system_user = "postgres"
    # A "fast" shutdown: does not wait for its clients.
    stop_signal = signal.SIGINT

    def initialize(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self.user:
            shutil.chown(password_file, self.user)
        password_file.chmod(0o600)
        self.require(
            [
                require_program("initdb"),
                f"--pgdata={self.folder}/data",
                f"--username={NAME}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]
        )

    def command(self) -> list[str]:
        return [
            require_program("postgres"),
            f"-D{self.folder}/data",
            f"-p{self.port}",
            f"-k{self.folder}",
            "-clisten_addresses=127.0.0.1",
            # Survives a killed server, not a power cut: the tests need no more and are faster.
            "-cfsync=off",
        ]

    def answers(self) -> bool:
        program = require_program("pg_isready")
        return self.run([program, "--quiet", "--host=127.0.0.1", f"--port={self.port}"])

    def create_database(self) -> None:
        address = ["--host=127.0.0.1", f"--port={self.port}", f"--username={NAME}"]
        self.require([require_program("createdb"), *address, NAME], PGPASSWORD=self.password)


class Redis(Server):
    """A throw-away Redis. What differs from a server that keeps all in memory is in `arguments`."""

    vendor = "redis"
    scheme = "redis"
    system_user = "nobody"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def initialize(self) -> None:
        # A file, for everybody on the machine can read the arguments of a command.
        configuration = self.folder / "redis.conf"
        configuration.write_text("\n".join(self.configuration()) + "\n")
        if self.user:
            shutil.chown(configuration, self.user)
        configuration.chmod(0o600)

    def configuration(self) -> list[str]:
        """Return the lines of the configuration file."""
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"masterauth {self.password}",
            'save ""',
            "appendonly no",
            "shutdown-timeout 0",
            f"dir {self.folder}",
        ]

    def command(self) -> list[str]:
        # Another server that speaks Redis's language, such as Valkey's.
        program = os.environ.get("REDIS_SERVER") or require_program("redis-server")
        return [program, f"{self.folder}/redis.conf"]

    def answers(self) -> bool:
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """Send a command, without spaces in its words, and return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"AUTH {self.password}\r\n{' '.join(words)}\r\n".encode())
            with connection.makefile("r") as lines:
                return [lines.readline(), lines.readline()][1].strip()


class RedisSentinel(Redis):
    """A throw-away Sentinel, which makes a replica the primary when `primary` is gone for a second."""

    vendor = "sentinel"
    service = NAME

    def __init__(self, primary: Redis, *, quorum: int) -> None:
        super().__init__()
        self._primary = primary
        self._quorum = quorum

    def configuration(self) -> list[str]:
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f"dir {self.folder}",
            f"sentinel monitor {NAME} 127.0.0.1 {self._primary.port} {self._quorum}",
            f"sentinel auth-pass {NAME} {self._primary.password}",
            f"sentinel sentinel-pass {self.password}",
            f"sentinel down-after-milliseconds {NAME} 1000",
            f"sentinel failover-timeout {NAME} 3000",
        ]

    def command(self) -> list[str]:
        return [*super().command(), "--sentinel"]


class RedisCluster:
    """Throw-away nodes of a Redis Cluster: three primaries, and a replica for each if there are six."""

    def __init__(self, *arguments: str, size: int = 6) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *arguments)
        self.nodes = [Redis(*options) for _ in range(size)]
        # One password, so that nodes replicate each other and one client talks to all.
        self.password = self.nodes[0].password
        for node in self.nodes:
            node.password = self.password
            node.port = _port_with_bus()

    def __enter__(self) -> RedisCluster:
        try:
            for node in self.nodes:
                node.start()
            addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
            replicas = str(int(len(self.nodes) > 3))
            create = ["--cluster", "create", *addresses, "--cluster-replicas", replicas]
            self.cli(*create, "--cluster-yes")
            self.wait_until(lambda: all(self._is_whole(node) for node in self.nodes))
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Stop the nodes and delete their data."""
        for node in self.nodes:
            node.remove()

    def cli(self, *arguments: str) -> None:
        """Run redis-cli. Raise ServerError if it fails."""
        self.nodes[0].require(
            [require_program("redis-cli"), *arguments], REDISCLI_AUTH=self.password
        )

    def primaries(self) -> list[Redis]:
        """Return the nodes that say that they are primaries."""
        return [node for node in self.nodes if node.answers() and _role(node) == "master"]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds. Raise ServerError after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise ServerError(f"the Redis Cluster is not ready:\n{self.nodes[0].log_tail()}")
            time.sleep(0.05)

    def _is_whole(self, node: Redis) -> bool:
        """Tell whether a node has a place in the Cluster: its replication has begun."""
        lines = _lines(node, "CLUSTER", "INFO") | _lines(node, "INFO", "replication")
        linked = lines.get("role") == "master" or lines.get("master_link_status") == "up"
        alone = len(self.nodes) <= 3 or lines.get("connected_slaves") != "0"
        return (
            lines.get("cluster_state") == "ok" and linked and (alone or lines["role"] != "master")
        )


def _port_with_bus() -> int:
    """Return a free port whose companion, 10,000 higher, is free too: nodes talk there."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 10_000))
            return port


def _role(node: Redis) -> str:
    return _lines(node, "INFO", "replication").get("role", "")


def _lines(node: Redis, *words: str) -> dict[str, str]:
    """Return the `name:value` lines of a server's long answer."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
        connection.sendall(f"AUTH {node.password}\r\n{' '.join(words)}\r\n".encode())
        with connection.makefile("rb") as answer:
            answer.readline()
            length = int(answer.readline()[1:])
            text = answer.read(length).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


SERVERS: dict[str, type[Server]] = {server.vendor: server for server in (MariaDB, PostgreSQL)}


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt and ignore later ones.

    The blocks inside then clean up undisturbed, however impatient the sender is.
    """
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def run_in_foreground(start: Callable[[], Any], describe: Callable[[Any], str]) -> int:
    """Start a server and keep it until a signal arrives; return the exit code of the program."""
    with interruptible():
        try:
            with start() as server:
                print(describe(server), flush=True)
                while True:
                    signal.pause()
        except KeyboardInterrupt:
            return 0
        except ServerError as error:
            print(error, file=sys.stderr)
            return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one server in the foreground until a signal arrives."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("vendor", choices=SERVERS)
    parser.add_argument("arguments", nargs="*", help="arguments for the server, after --")
    options = parser.parse_args(argv)
    return run_in_foreground(
        lambda: SERVERS[options.vendor](*options.arguments),
        lambda server: f"DATABASE_URL={server.url}\nlog: {server.log}",
    )


if __name__ == "__main__":
    sys.exit(main())
