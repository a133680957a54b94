"""All sessions of one kind: to go through them, and to remove what has expired."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Final, Self

from .. import signals, tokens
from ..stores.base import Record
from .keys import Keyed
from .lifecycle import Content

# Their tokens are in memory at once: 20 MB.
_SWEEP_BATCH: Final = 100_000
_SWEEP_AFTER_REQUEST: Final = 200


class AllSessions(Keyed):
    """Adds what concerns every session in the store."""

    @abstractmethod
    def _adopt(self, record: Record, content: Content) -> dict[str, Any]: ...

    @classmethod
    def iterate(cls) -> Iterator[Self]:
        """Yield every live session, loaded, to be read, changed, saved or flushed.

        With SCS_HASH_TOKENS they have no token, as nobody but the browser knows it; all else works.
        Unreadable ones are logged and left out. Source: scs Iterate.
        """
        for record in cls.get_store().all():
            plain = tokens.well_formed(record.key) and cls.store_keys(record.key)[0] == record.key
            session = cls(record.key if plain else None)
            content = session._life.read(record)
            if content is not None:
                session._life.adopt(record, content)
                session._session_cache = session._adopt(record, content)
                yield session

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
