"""A PostgreSQL server and a replica of it, both throw-away."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from tests.servers import NAME, PostgreSQL, Server, require_program


class Replica(PostgreSQL):
    """A hot standby of ``primary``."""

    def __init__(self, primary: Server) -> None:
        super().__init__()
        self.password = primary.password
        self._primary = primary

    def initialize(self) -> None:
        self.require(
            [
                require_program("pg_basebackup"),
                "--host=127.0.0.1",
                f"--port={self._primary.port}",
                f"--username={NAME}",
                f"--pgdata={self.folder}/data",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
            PGPASSWORD=self.password,
        )

    def create_database(self) -> None:
        """Do nothing: the primary has one."""


class ReplicatedPostgreSQL:
    """A primary and its replica; as a context manager they are gone after its block."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            self.primary = starting.enter_context(PostgreSQL())
            self.replica = starting.enter_context(Replica(self.primary))
            self._running = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()
