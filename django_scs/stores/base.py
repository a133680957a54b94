"""What a store promises. Imports no codec: a store knows opaque keys, bytes and seconds to live."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from .. import tokens


class Record(NamedTuple):
    """A stored session: its store key, its encoded data, and its time by the store's clock.

    ``ttl`` is how many seconds it has left, negative if it has expired; ``now`` is what the store's
    clock said when it answered, in seconds since 1970 (UTC).
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
    """What becomes of a write that was made inside a transaction of the caller's."""

    @property
    def undone(self) -> bool:
        """Whether the transaction, or the savepoint that holds the write, was rolled back."""
        ...


class Store(Protocol):
    """Keeps sessions under their store keys until they expire.

    Every time to live is in seconds from the store's own now, and the store's own clock decides what
    has expired. A time beyond what the store can keep is shortened to ``max_ttl``, never refused.

    Every write happens in one atomic step. Whether it happened is said by the return value, never by
    an exception. A store that cannot answer (down, locked, deadlocked, full) raises Django's
    ``DatabaseError`` or the error of its own driver: that is never a missing session.

    ``replace``, ``touch`` and ``rename`` act on a session that is live or that expired less than
    ``GRACE`` seconds ago, for a request that began in time may end late, and on no other: an object
    that is held for longer, in a WebSocket or a task, cannot bring a dead session back.
    A store that forgets a session at the moment it expires (``keeps_expired`` is False) has no such
    grace. Source: scs store.go.
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
        """Return that limit if data of ``size`` bytes would exceed it, else None.

        A store that would have to ask for its limit asks only when it may matter.
        """
        ...

    @property
    def max_ttl(self) -> float:
        """About the longest time to live that the store can keep; a longer one is shortened."""
        ...

    def find(self, key: str) -> Record | None:
        """Return the session under ``key``, or None. One that has expired may still be there."""
        ...

    def find_latest(self, key: str) -> Record | None:
        """Return what ``find`` returns, but as it is now.

        Sees what other transactions have committed, also from inside a transaction that began
        earlier, and is never answered by a replica: the read that follows a ``replace`` that failed.
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

        Of any number of parallel renames of one key a single one is true. With ``data``, which a
        codec that binds data to its key needs, it also replaces ``expected`` by ``data``, and is
        False if the session has other data.
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
        """Return what will tell the fate of the write just made; None if it is final already."""
        ...


#: For how many seconds after its expiry a session may still be written. See ``Store``.
GRACE = 60.0
