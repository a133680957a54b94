"""All sessions of one kind: to go through them, and to remove what has expired."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Self

from .. import signals
from ..backoff import LIMIT, pauses
from ..exceptions import SessionBusy
from ..stores.base import Record
from .keys import Keyed
from .lifecycle import Content

# Their tokens are in memory at once: 20 MB.
_SWEEP_BATCH: Final = 100_000
_SWEEP_AFTER_REQUEST: Final = 200


class AllSessions(Keyed):
    """Adds what concerns every session in the store."""

    @abstractmethod
    def flush(self) -> bool: ...  # type: ignore[override]

    @abstractmethod
    def _adopt(self, record: Record, content: Content) -> dict[str, Any]: ...

    @classmethod
    def iterate(cls) -> Iterator[Self]:
        """Yield every live session, loaded, to be read, changed, saved or flushed.

        With SCS_HASH_TOKENS they have no token, as nobody but the browser knows it; all else works.
        Unreadable ones are logged and left out. Source: scs Iterate.
        """
        for record in cls.get_store().all():
            session = cls(record.key if cls.store_key(record.key) == record.key else None)
            content = session._life.read(record)
            if content is not None:
                session._life.adopt(record, content)
                session._session_cache = session._adopt(record, content)
                yield session

    @classmethod
    def destroy_keys(cls, keys: Collection[str], *, dead: Collection[str] = ()) -> int:
        """Destroy the sessions under some store keys; return how many there were.

        Each is told as destroyed, but for those of which the caller knows that they are ``dead``.
        """
        store = cls.get_store()
        delete_many = getattr(store, "delete_many", None)
        removed: int = delete_many(keys) if delete_many else sum(map(store.delete, keys))
        for key in set(keys) - set(dead):
            signals.tell("destroyed", cls, key)
        return removed

    @classmethod
    def destroy_where(cls, matches: Callable[[Self], bool]) -> int:
        """Destroy every session that ``matches``, and return how many there were.

        A session may get a new token while its old row is looked for. So all are looked at again,
        until none has been found twice in a row. Raises SessionBusy if what is found cannot be
        destroyed for ten seconds, such as where a replica that lags is read.
        """
        count = rounds_without = 0
        again = pauses()
        while rounds_without < 2:
            found = [session for session in cls.iterate() if matches(session)]
            removed = sum(session.flush() for session in found)
            if found and not removed and not next(again, False):
                raise SessionBusy(found[0].fingerprint(), LIMIT)
            again = pauses() if removed else again
            count += removed
            rounds_without = 0 if found else rounds_without + 1
        return count

    @classmethod
    def clear_expired(cls) -> None:
        """Remove all expired sessions from the store, letting others through.

        Leaves, for the next time, those that expire or are locked meanwhile. Django: clear_expired.
        """
        while (count := cls.get_store().delete_expired(_SWEEP_BATCH)) == _SWEEP_BATCH:
            signals.tell("swept", cls, "", count=count)
        signals.tell("swept", cls, "", count=count)

    @classmethod
    def sweep(cls) -> bool:
        """Remove a few expired sessions; True if there may be more. The middleware's, now and then."""
        count = cls.get_store().delete_expired(_SWEEP_AFTER_REQUEST)
        signals.tell("swept", cls, "", count=count)
        return count == _SWEEP_AFTER_REQUEST
