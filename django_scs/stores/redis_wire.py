"""Sends a script to the server that has the session, and sends it again if that is safe.

It uses redis-py's pools and connections, not ``execute_command``. So it knows whether a command was
sent before an error, WAIT follows on the same connection, and tools that instrument redis-py see no
token. The client's own retries are off, because they would repeat commands that were executed.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

__all__ = ["Client", "Name", "NotReplicated", "Pool", "Wire", "redis"]

try:
    import redis
except ImportError as exc:
    raise ImportError("Sessions in Redis need redis-py: pip install 'django_scs[redis]'") from exc
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from ..backoff import pauses
from .scripts import LOOK, Script

Client = redis.Redis | redis.RedisCluster

#: What redis-py raises for servers that do not answer, or answer with an error.
ERRORS: Final = (errors.RedisError, errors.RedisClusterException, OSError)
# How many milliseconds replicas may take to confirm a write, at most.
_WAIT_MILLISECONDS: Final = 1000
# The server did not execute the script, but may do so soon: it loads its data, was or becomes a
# replica, lost its primary, or the slot moves to another server.
_NOT_NOW: Final = (
    errors.BusyLoadingError,
    errors.ReadOnlyError,
    errors.ClusterDownError,
    errors.AskError,
    errors.TryAgainError,
)
# The first is a plain ResponseError. redis-py's Sentinel raises the second for a ReadOnlyError.
_NOT_NOW_TEXTS: Final = ("BUSY ", "The previous master is now a slave")
_NO_CONNECTION: Final = (
    errors.ConnectionError,
    errors.TimeoutError,
    errors.RedisClusterException,
    OSError,
)
# A wrong password comes as a ConnectionError.
_NEVER: Final = (errors.AuthenticationError, errors.AuthorizationError)


class Pool(redis.ConnectionPool):
    """redis-py's pool, without its work for lists and metrics, which takes a tenth of a read.

    A connection that is returned in order is lent again at once. redis-py's own code handles one
    that was cut, has unread data or must connect again. It handles all of them if redis-py is too
    old to tell whether one is in order, or may have to send them a new password.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._at_hand: deque[Any] = deque()
        super().__init__(*args, **kwargs)
        self._keeps = self.connection_kwargs.get("credential_provider") is None

    def reset(self) -> None:
        """Forget all connections. After a fork they belong to the parent."""
        self._at_hand.clear()
        super().reset()

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """Lend a connection that is ready for a command."""
        if self._at_hand and self.pid == os.getpid():
            with suppress(IndexError):
                connection = self._at_hand.pop()
                with suppress(*_NO_CONNECTION):
                    if not connection.should_reconnect() and not connection.can_read():
                        return connection
                super().release(connection)
        return super().get_connection(*args, **options)

    def release(self, connection: Any) -> None:
        """Take a connection back."""
        in_order = self._keeps and getattr(connection, "is_connected", False)
        if in_order and connection.pid == os.getpid():
            self._at_hand.append(connection)
        else:
            super().release(connection)


class NotReplicated(errors.TimeoutError):
    """Raised for a write that was executed, but that too few replicas confirmed in time."""


class Name(bytes):
    """A key in Redis. Its repr does not show the token, in case an error's frames are reported."""

    def __repr__(self) -> str:
        return "<key of a session>"


class Wire:
    """Runs scripts on one server, on the primary that Sentinel names, or on a Cluster.

    ``replicas`` is how many replicas have to confirm each write before it counts.
    """

    def __init__(self, client: Client, replicas: int = 0) -> None:
        self._client = client
        # Any, because most of redis-py's Cluster client has no types.
        self.cluster: Any = client if isinstance(client, redis.RedisCluster) else None
        never = Retry(NoBackoff(), 0)
        if isinstance(client, redis.RedisCluster):
            client.set_retry(never)
        else:
            pool: Any = client.connection_pool
            # Redis.set_retry fails for a BlockingConnectionPool in redis-py 8.1.
            pool.connection_kwargs["retry"] = never
            if isinstance(pool, SentinelConnectionPool):
                # Before each connection, they are asked where the server is.
                for sentinel in pool.sentinel_manager.sentinels:
                    sentinel.set_retry(never)
        self._wait = (b"WAIT", replicas, _wait_milliseconds(client)) if replicas else None

    def run(self, script: Script, names: Sequence[Name], *arguments: bytes | int) -> Any:
        """Run ``script`` on the server of ``names`` and return its answer, bytes undecoded.

        If the script was certainly not executed, or is repeatable and its reply was lost, it is
        sent again for up to ``backoff.LIMIT`` seconds. After that, and at once if neither holds,
        raises redis-py's error, without the frames of redis-py, because they hold the token.
        """
        again = pauses()
        trip = _Trip(self, script, names, arguments)
        while True:
            try:
                return trip.make()
            except ERRORS as exc:
                error = exc
            if not trip.may_be_repeated_after(error) or not next(again, False):
                raise _bare(error)
            trip.learn_from(error)

    def look(self, name: Name, grave: Name) -> list[Any] | None:
        """Return a session's data, whether it is buried, its milliseconds left, and the server's clock.

        Returns None after any error. Then call ``run``, which handles errors.
        """
        length = len(name)
        command = LOOK % (length, name, len(grave), grave, length, name)
        try:
            with _Lent(self.node_of(name, None).connection_pool) as connection:
                connection.send_packed_command([command])
                answers = [_answer(connection) for _ in range(4)]
        except ERRORS:
            return None
        return None if any(isinstance(answer, Exception) for answer in answers) else answers

    def ask(self, node: redis.Redis, command: Sequence[Any]) -> Any:
        """Send a command that reads to one server and return its answer, bytes undecoded.

        Raises as ``run`` does.
        """
        # A server of a Cluster shows what it has of a slot that moves to it only after ASKING.
        commands = [command] if self.cluster is None else [(b"ASKING",), command]
        again = pauses()
        while True:
            try:
                with _Lent(node.connection_pool) as connection:
                    answer = _exchange(connection, commands)[-1]
                    if isinstance(answer, Exception):
                        raise answer
                    return answer
            except ERRORS as exc:
                error = exc
            transient = _was_not_run(error) or isinstance(error, _NO_CONNECTION)
            if not transient or isinstance(error, _NEVER) or not next(again, False):
                raise _bare(error)

    def nodes(self) -> list[redis.Redis]:
        """Return the client of each server that has sessions: on a Cluster, of each primary."""
        if self.cluster is None:
            return [cast(redis.Redis, self._client)]
        # A process that has sent nothing since then does not know a server that was added.
        self.cluster.nodes_manager.initialize()
        return [self.cluster.get_redis_connection(node) for node in self.cluster.get_primaries()]

    def are_in_one_slot(self, names: Sequence[Name]) -> bool:
        """Tell whether one script may use all of ``names``."""
        return self.cluster is None or len({self.cluster.keyslot(name) for name in names}) == 1

    def node_of(self, name: Name, ask: errors.AskError | None) -> redis.Redis:
        """Return the client of the server that has ``name``."""
        if self.cluster is None:
            return cast(redis.Redis, self._client)
        node = ask and self.cluster.get_node(ask.host, ask.port)
        node = node or self.cluster.get_node_from_key(name)
        return cast(redis.Redis, self.cluster.get_redis_connection(node))

    def commands(self, script: Script, command: Sequence[Any]) -> list[Sequence[Any]]:
        """Return the commands that make one trip: the script, and WAIT if it writes."""
        return [command, self._wait] if self._wait and script.writes else [command]

    def check_replicas(self, answers: Sequence[Any]) -> None:
        """Raise NotReplicated if WAIT was sent and too few replicas have the write."""
        if self._wait and len(answers) > 1 and answers[1] < self._wait[1]:
            raise NotReplicated(
                f"A session was written, but only {answers[1]} of {self._wait[1]} replicas have"
                f" confirmed it within {self._wait[2]} ms: a failover may undo it."
            )


class _Trip:
    """One script, and what is known of the attempts to run it."""

    def __init__(
        self, wire: Wire, script: Script, names: Sequence[Name], arguments: Sequence[bytes | int]
    ) -> None:
        self._wire = wire
        self._script = script
        self._rest = (len(names), *names, *arguments)
        self._name = names[0]
        self._ask: errors.AskError | None = None
        self._sent = False
        self._in_doubt = False

    def make(self) -> Any:
        self._sent = False
        with _Lent(self._wire.node_of(self._name, self._ask).connection_pool) as connection:
            if self._ask is not None:
                self._ask = None
                _exchange(connection, [(b"ASKING",)])
            self._sent = True
            answers = self._call(connection, b"EVALSHA", self._script.digest)
            if isinstance(answers[0], errors.NoScriptError):
                answers = self._call(connection, b"EVAL", self._script.text)
            if isinstance(answers[0], errors.ReadOnlyError):
                # The address may belong to another server by now, so connect again.
                connection.disconnect()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._wire.check_replicas(answers)
        return answers[0]

    def may_be_repeated_after(self, error: Exception) -> bool:
        if isinstance(error, (*_NEVER, NotReplicated)):
            return False
        if isinstance(error, errors.AskError) and self._wire.cluster is None:
            # This client of one server has reached one of a Cluster, and will again.
            return False
        if _was_not_run(error):
            return True
        if not isinstance(error, _NO_CONNECTION):
            return False
        self._in_doubt |= self._sent
        return not self._in_doubt or self._script.repeatable

    def learn_from(self, error: Exception) -> None:
        """Find out which server has the slot now, if the error leaves that open."""
        cluster = self._wire.cluster
        if cluster is None or isinstance(error, errors.TryAgainError):
            return
        if isinstance(error, errors.AskError) and not isinstance(error, errors.MovedError):
            self._ask = error
            return
        # A command with the key would do this too, but tools that instrument redis-py would see it.
        with suppress(*ERRORS):
            cluster.nodes_manager.initialize()

    def _call(self, connection: Any, *head: bytes) -> list[Any]:
        command = (*head, *self._rest, int(self._in_doubt))
        return _exchange(connection, self._wire.commands(self._script, command))


class _Lent:
    """A connection of a pool, for one exchange."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __enter__(self) -> Any:
        self._connection = self._pool.get_connection()
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            if kind is not None:
                # Otherwise the next command could get the rest of this answer.
                self._connection.disconnect()
        finally:
            self._pool.release(self._connection)


def _wait_milliseconds(client: Client) -> int:
    """Return how long replicas may take. The server's answer must come before the client gives up."""
    seconds = client.get_connection_kwargs().get("socket_timeout")
    if not isinstance(seconds, int | float):
        return _WAIT_MILLISECONDS
    # 0 would mean for ever.
    return max(1, min(_WAIT_MILLISECONDS, int(seconds * 500)))


def _exchange(connection: Any, commands: list[Sequence[Any]]) -> list[Any]:
    """Send commands in one go and return their answers, errors of the server among them."""
    if len(commands) == 1:
        connection.send_command(*commands[0])
    else:
        connection.send_packed_command(connection.pack_commands(commands))
    return [_answer(connection) for _ in commands]


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except errors.ResponseError as exc:
        return exc


def _was_not_run(error: Exception) -> bool:
    """Tell whether the server did not execute a command, but may do so soon."""
    return isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_TEXTS)


def _bare(error: Exception) -> Exception:
    """Return the error without links to frames of redis-py and to arguments of commands."""
    if isinstance(error, errors.RedisClusterException):
        # Its text may quote the whole command.
        error = errors.ClusterError("The Redis Cluster has no server for a session just now.")
    text, arguments, _ = str(error).partition(", with args beginning with")
    if arguments:
        # The server does not have the command.
        error = errors.ResponseError(text)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
