"""Which node a thread of the tests talks to."""

from typing import Any

from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from tests.settings import database

from .galera import Node

CERTIFICATION_FAILED = 1213


def options(sync_wait: int = 0, server_retries: int = 1) -> dict[str, str]:
    """Return OPTIONS for DATABASES.

    With ``sync_wait`` 1 a SELECT waits for what other nodes have committed before it. The server
    itself sends a refused statement again up to ``server_retries`` times; its default is 1.
    """
    variables = {
        "wsrep_sync_wait": sync_wait,
        "wsrep_retry_autocommit": server_retries,
        "time_zone": "'+00:00'",
    }
    values = ", ".join(f"{name} = {value}" for name, value in variables.items())
    return {"charset": "utf8mb4", "init_command": f"SET SESSION {values}"}


def connect(node: Node, **wanted: int) -> BaseDatabaseWrapper:
    """Return a connection to ``node``, with such ``options``, for the thread that asks."""
    entry = {**database(node.url), "OPTIONS": options(**wanted)}
    return ConnectionHandler({"default": entry})["default"]


def use(node: Node, **wanted: int) -> None:
    """Send this thread's statements to ``node``."""
    connections["default"].close()
    connections["default"] = connect(node, **wanted)


class Statements:
    """Counts the UPDATEs of this thread, and those that failed certification, during a block."""

    def __init__(self) -> None:
        self.sent = 0
        self.refused = 0
        self._counting = connection.execute_wrapper(self._count)

    def __enter__(self) -> "Statements":
        self._counting.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._counting.__exit__(*exc_info)

    def _count(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.sent += sql.startswith("UPDATE")
        try:
            return execute(sql, params, many, context)
        except OperationalError as exc:
            self.refused += exc.args[0] == CERTIFICATION_FAILED
            raise
