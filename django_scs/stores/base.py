"""What a store promises. Imports no codec: a store knows opaque keys, bytes and an expiry."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from .. import tokens


class Record(NamedTuple):
    """A stored session: its store key, its encoded data, and when it expires (aware, UTC)."""

    key: str
    data: bytes
    expiry: datetime

    def __repr__(self) -> str:
        return f"<session {tokens.fingerprint(self.key)} until {self.expiry}>"


class Store(Protocol):
    """Keeps sessions under their store keys until they expire.

    Every write states the expiry and happens in one atomic step. Whether it happened is said by the
    return value, never by an exception. A session is live while the store's own clock is before
    its expiry. A store that cannot answer (down, locked, deadlocked) raises Django's
    ``DatabaseError`` or the error of its own driver: that is never a missing session.
    Source: scs store.go.
    """

    @property
    def max_data(self) -> int | None:
        """The most bytes of data that a session may have, or None if there is no such limit."""
        ...

    @property
    def last_expiry(self) -> datetime:
        """The latest expiry that the store can keep; a later one is written as this."""
        ...

    def find(self, key: str) -> Record | None:
        """Return the live session under ``key``, or None if there is none or it has expired."""
        ...

    def find_latest(self, key: str) -> Record | None:
        """Return what is stored under ``key`` now, expired or not, or None.

        Sees what other transactions have committed, also from inside a transaction that began
        earlier, and is never answered by a replica: the read that follows a ``replace`` that failed.
        """
        ...

    def insert(self, key: str, data: bytes, expiry: datetime, extra: Sequence[Any] = ()) -> bool:
        """Add a session; False, and nothing changes, if ``key`` is taken.

        ``extra`` gives the values of a project's own columns, in the order of its model.
        """
        ...

    def replace(
        self, key: str, data: bytes, expiry: datetime, expected: bytes, extra: Sequence[Any] = ()
    ) -> bool:
        """Put ``data`` in the place of ``expected``; False if the session is gone or has other data.

        An expired session that has not been swept yet is replaced all the same: a request that
        began in time may end late.
        """
        ...

    def touch(self, key: str, expiry: datetime, expected: bytes) -> bool:
        """Write the expiry alone; False if the session is gone or its data is not ``expected``."""
        ...

    def rename(self, key: str, new_key: str, expiry: datetime) -> bool:
        """Move a session to ``new_key``; False if there is none under ``key``.

        Of any number of parallel renames of one key a single one is true.
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
