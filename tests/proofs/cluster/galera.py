"""Start and stop a throw-away Galera cluster of three MariaDB nodes on loopback.

Needs Debian's galera-4 and rsync. `python -m tests.proofs.cluster.galera` starts one, prints the URLs
of its nodes and keeps it until Ctrl-C. The driver is imported at its use, because pytest collects
this folder where the driver is not installed too.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.machine import GALERA_FOLDERS
from tests.servers import NAME, MariaDB, ServerError, find_program, run_in_foreground

NODES = 3
SYNC_SECONDS = 90


def provider() -> Path:
    """Return the path of Galera's library. Raise ServerError if it is not installed."""
    for folder in GALERA_FOLDERS:
        if (path := Path(folder, "libgalera_smm.so")).exists():
            return path
    raise ServerError("galera-4 is not installed")


def free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on at this moment."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Node(MariaDB):
    """One node of a cluster; the first of all makes the cluster, when it starts first."""

    def __init__(self, number: int, first: Node | None) -> None:
        super().__init__()
        self.number = number
        self._first = first
        if first is not None:
            self.password = first.password
        self.port, self.group_port, self._ist_port, self._sst_port = free_ports(4)
        self._members = ""
        self._wanted = 1

    def join(self, members: str, wanted: int) -> None:
        """Start, as one of ``members`` unless that is empty; wait for a cluster of ``wanted``."""
        self._members, self._wanted = members, wanted
        self.start()

    def initialize(self) -> None:
        # The others are sent all files by the first.
        if self._first is None:
            super().initialize()
        else:
            self.require(["mkdir", f"{self.folder}/data"])

    def command(self) -> list[str]:
        options = {
            "base_host": "127.0.0.1",
            "base_port": self.group_port,
            "gmcast.listen_addr": f"tcp://127.0.0.1:{self.group_port}",
            "ist.recv_addr": f"127.0.0.1:{self._ist_port}",
            "gcache.size": "64M",
        }
        # The first node's accounts come with its files.
        alone = [each for each in super().command() if self._makes_accounts(each)]
        return [
            *alone,
            "--innodb-buffer-pool-size=192M",
            "--binlog-format=ROW",
            "--default-storage-engine=InnoDB",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={provider()}",
            f"--wsrep-cluster-name={NAME}",
            f"--wsrep-cluster-address=gcomm://{self._members}",
            f"--wsrep-node-name=node{self.number}",
            f"--wsrep-node-address=127.0.0.1:{self.group_port}",
            f"--wsrep-node-incoming-address=127.0.0.1:{self.port}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{self._sst_port}",
            "--wsrep-slave-threads=2",
            "--wsrep-provider-options=" + ";".join(f"{key}={options[key]}" for key in options),
        ]

    def answers(self) -> bool:
        import MySQLdb

        try:
            return (
                self.status("wsrep_local_state_comment") == "Synced"
                and int(self.status("wsrep_cluster_size")) >= self._wanted
            )
        except MySQLdb.Error:
            return False

    def status(self, name: str) -> str:
        """Return one of the server's status variables. Raise MySQLdb.Error if it is down."""
        return str(self.query(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query on a connection of its own. Raise MySQLdb.Error."""
        import MySQLdb

        with contextlib.closing(
            MySQLdb.connect(
                host="127.0.0.1",
                port=self.port,
                user=NAME,
                password=self.password,
                database=NAME,
                connect_timeout=2,
            )
        ) as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                rows: Sequence[Sequence[Any]] = cursor.fetchall()
            return rows

    def _makes_accounts(self, argument: str) -> bool:
        return not self._members or not argument.startswith("--init-file=")


class Galera:
    """A cluster; as a context manager it runs inside the block and is gone after it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def rejoin(self, node: Node) -> float:
        """Start a node that was killed, and return how many seconds it took until it was in sync."""
        started = time.monotonic()
        node.join(self._members(), NODES)
        return time.monotonic() - started

    def settle(self) -> None:
        """Wait until each node has applied what all have written. Raise ServerError if it cannot."""
        deadline = time.monotonic() + SYNC_SECONDS
        while len({node.status("wsrep_last_committed") for node in self.nodes}) > 1:
            if time.monotonic() > deadline:
                raise ServerError("the nodes do not come together")
            time.sleep(0.05)

    def sum(self, name: str) -> int:
        """Return the sum of a status variable over all nodes."""
        return sum(int(node.status(name)) for node in self.nodes)

    def _start(self) -> None:
        provider()
        if find_program("rsync") is None:
            raise ServerError("rsync is not installed")
        for number in range(1, NODES + 1):
            node = Node(number, self.nodes[0] if self.nodes else None)
            self.nodes.append(node)
            node.join(self._members() if number > 1 else "", number)

    def _members(self) -> str:
        return ",".join(f"127.0.0.1:{node.group_port}" for node in self.nodes)

    def _remove(self) -> None:
        # An orderly end of each would have the others vote; nothing is kept.
        with contextlib.ExitStack() as all_of_them:
            for node in self.nodes:
                all_of_them.callback(node.remove)
                all_of_them.callback(node.kill)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a cluster in the foreground until a signal arrives."""
    argparse.ArgumentParser(
        prog="python -m tests.proofs.cluster.galera", description=__doc__
    ).parse_args(argv)
    return run_in_foreground(
        Galera,
        lambda cluster: "\n".join(
            f"DATABASE_URL={node.url}  log: {node.log}" for node in cluster.nodes
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
