"""The contract of stores. Imports no codec: stores know opaque keys, bytes and seconds to live."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from .. import tokens


class Record(NamedTuple):
    """A stored session: its store key, its encoded data, and its time by the store's clock.

    ``ttl`` is how many seconds it has left, negative if it has expired. ``now`` is the time of the
    store's clock at the read, in seconds since 1970 (UTC).
    """

    key: str
    data: bytes
    ttl: float
    now: float

    @property
    def is_live(self) -> bool:
        """Whether the session had not expired."""
        return self.ttl > 0

    def __repr__(self) -> str:
        return f"<session {tokens.fingerprint(self.key)}, {self.ttl:.0f} s left>"


class Fate(Protocol):
    """Tells whether a write inside a transaction of the caller was rolled back."""

    @property
    def undone(self) -> bool:
        """Whether the transaction, or the savepoint that holds the write, was rolled back."""
        ...


class Store(Protocol):
    """Keeps sessions under their store keys until they expire.

    Every time to live is in seconds from the store's own now, and the store's own clock decides what
    has expired. A time beyond what the store can keep is shortened to ``max_ttl``, never refused.

    Every write is one atomic step. Its return value, not an exception, tells whether it happened. A
    store that cannot answer (down, locked, deadlocked, full) raises Django's ``DatabaseError`` or
    the error of its own driver; it never reports a missing session instead.

    ``replace``, ``touch`` and ``rename`` act only on a session that is live or that expired less
    than ``GRACE`` seconds ago, because a request that began in time may end late. An object that is
    held for longer, in a WebSocket or a task, cannot bring a dead session back. A store that
    forgets a session at the moment it expires (``keeps_expired`` is False) has no such grace.
    Source: scs store.go.
    """

    @property
    def keeps_expired(self) -> bool:
        """Whether ``find_latest`` still finds a session that has expired, until it is swept."""
        ...

    @property
    def max_data(self) -> int | None:
        """The most bytes of data that a session may have, or None if there is no such limit."""
        ...

    def refuses(self, size: int) -> int | None:
        """Return ``max_data`` if data of ``size`` bytes would exceed it, else None.

        A store that must ask its server for the limit asks only for data that may exceed it.
        """
        ...

    @property
    def max_ttl(self) -> float:
        """About the longest time to live that the store can keep; a longer one is shortened."""
        ...

    def find(self, key: str) -> Record | None:
        """Return the session under ``key``, or None. The session may have expired."""
        ...

    def find_latest(self, key: str) -> Record | None:
        """Return the session under ``key`` as it is now, or None.

        For use after a ``replace`` that failed: it sees what other transactions have committed,
        even inside a transaction that began earlier, and it never reads a replica.
        """
        ...

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        """Add a session; False, and nothing changes, if ``key`` is taken."""
        ...

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        """Put ``data`` in the place of ``expected``; False if the session is gone or has other data."""
        ...

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        """Write the expiry alone; False if the session is gone or its data is not ``expected``."""
        ...

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        """Move a session to ``new_key``; False if there is none under ``key``.

        If several renames of one key run at once, only one returns True. With ``data``, it also
        replaces ``expected`` by ``data``, and returns False if the session has other data. A codec
        that binds data to its key needs this.
        """
        ...

    def delete(self, key: str) -> bool:
        """Remove the session; False if there was none."""
        ...

    def delete_expired(self, limit: int) -> int:
        """Remove at most ``limit`` expired sessions and return how many were removed."""
        ...

    def all(self) -> Iterator[Record]:
        """Yield every live session, in no promised order, with bounded memory."""
        ...

    def fate(self) -> Fate | None:
        """Return the Fate of the write just made; None if that write is final already."""
        ...


#: For how many seconds after its expiry a session may still be written. See ``Store``.
GRACE = 60.0
