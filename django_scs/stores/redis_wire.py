"""How a script gets to the server that has the session, and when it is sent again.

Scripts go over redis-py's pools and connections, not through ``execute_command``: so it is known
whether a command was sent before an error, WAIT follows on the same connection, and no instrumentation
of redis-py sees a token. The client's own retries are turned off: it would repeat what was executed.
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

from ..backoff import pauses
from .scripts import LOOK, Script

Client = redis.Redis | redis.RedisCluster

#: What redis-py raises for servers that do not answer, or answer with an error.
ERRORS: Final = (errors.RedisError, errors.RedisClusterException, OSError)
# For how many milliseconds replicas may take to confirm a write.
_WAIT_MILLISECONDS: Final = 1000
# The server has not executed the script, and may do so in a moment: it loads its data, was or
# becomes a replica, lost its primary, or the slot is on its way to another server.
_NOT_NOW: Final = (
    errors.BusyLoadingError,
    errors.ReadOnlyError,
    errors.ClusterDownError,
    errors.AskError,
    errors.TryAgainError,
)
# The first is a plain ResponseError; the second is what redis-py's Sentinel makes of ReadOnlyError.
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
    """redis-py's pool, without what that does for its lists and metrics: a tenth of a read.

    A connection that comes back in order is kept at hand and lent to the next who asks. One that was
    cut, has something to say or is to be made anew goes the usual way, and so do all where redis-py is
    too old to tell, or sends a new password to those that come back.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._at_hand: deque[Any] = deque()
        super().__init__(*args, **kwargs)
        self._keeps = self.connection_kwargs.get("credential_provider") is None

    def reset(self) -> None:
        """Forget all connections: after a fork they are the parent's."""
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
    """Raised for a write that was executed, but that too few replicas have confirmed in time."""


class Name(bytes):
    """A key in Redis. Its repr does not show the token, in case an error's frames are reported."""

    def __repr__(self) -> str:
        return "<key of a session>"


class Wire:
    """Runs scripts on one server, on what Sentinel says is the primary, or on a Cluster.

    ``replicas`` is how many replicas have to confirm each write before it counts.
    """

    def __init__(self, client: Client, replicas: int = 0) -> None:
        self._client = client
        # Without types, as most of redis-py's Cluster client is.
        self.cluster: Any = client if isinstance(client, redis.RedisCluster) else None
        never = Retry(NoBackoff(), 0)
        if isinstance(client, redis.RedisCluster):
            client.set_retry(never)
        else:
            # Redis.set_retry fails for a BlockingConnectionPool in redis-py 8.1.
            client.connection_pool.connection_kwargs["retry"] = never
        self._wait = (b"WAIT", replicas, _WAIT_MILLISECONDS) if replicas else None

    def run(self, script: Script, names: Sequence[Name], *arguments: bytes | int) -> Any:
        """Run ``script`` on the server of ``names`` and return its answer, bytes undecoded.

        What was certainly not executed is sent again for up to ``backoff.LIMIT`` seconds, and so is a
        repeatable script whose reply was lost. Raises redis-py's error after that, and at once for
        any other: without the frames of redis-py, which hold the token.
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

        None if the server has anything else to say: ``run`` knows what to do about it.
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

    def ask(self, node: redis.Redis, commands: list[Sequence[Any]]) -> list[Any]:
        """Send commands that read to one server, all in one trip.

        Returns the answers, undecoded, with the server's errors among them. Raises as ``run`` does.
        """
        again = pauses()
        while True:
            try:
                with _Lent(node.connection_pool) as connection:
                    return _exchange(connection, commands)
            except ERRORS as exc:
                error = exc
            transient = isinstance(error, _NO_CONNECTION) and not isinstance(error, _NEVER)
            if not transient or not next(again, False):
                raise _bare(error)

    def nodes(self) -> list[redis.Redis]:
        """Return the client of each server that has sessions: on a Cluster, of each primary."""
        if self.cluster is None:
            return [cast(redis.Redis, self._client)]
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
                f" confirmed it within {_WAIT_MILLISECONDS} ms: a failover may undo it."
            )


class _Trip:
    """One script on its way, through as many attempts as it takes."""

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
                # The address may belong to another server by now.
                connection.disconnect()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._wire.check_replicas(answers)
        return answers[0]

    def may_be_repeated_after(self, error: Exception) -> bool:
        if isinstance(error, (*_NEVER, NotReplicated)):
            return False
        if isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_TEXTS):
            return True
        if not isinstance(error, _NO_CONNECTION):
            return False
        self._in_doubt |= self._sent
        return not self._in_doubt or self._script.repeatable

    def learn_from(self, error: Exception) -> None:
        """Find out where the slot lives now, after an error that leaves that open."""
        cluster = self._wire.cluster
        if cluster is None or isinstance(error, errors.TryAgainError):
            return
        if isinstance(error, errors.AskError) and not isinstance(error, errors.MovedError):
            self._ask = error
            return
        # A command with the key would do as well, but show it to what instruments redis-py.
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
                # The rest of an answer must not be taken for the answer to the next command.
                self._connection.disconnect()
        finally:
            self._pool.release(self._connection)


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


def _bare(error: Exception) -> Exception:
    """Return the error without what leads to frames of redis-py and to arguments of commands."""
    if isinstance(error, errors.RedisClusterException):
        # Its text may quote the whole command.
        error = errors.ClusterError("The Redis Cluster has no server for a session just now.")
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
