"""Two stores while sessions move from one to the other: each session is in one of them at a time."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from .. import tokens
from ..backoff import LIMIT, pauses
from ..exceptions import SessionBusy
from ..tokens import Key
from .base import GRACE, Fate, Record, Store

#: The mark: data begins with it while its session moves. No codec writes it.
_LEAVING: Final = b"\0scs moves\0"
# A time to live, in seconds. No write changes a session that ended so long ago.
_OVER: Final = -2 * GRACE


class _Found(NamedTuple):
    store: Store
    record: Record


class MovingStore:
    """Implements the Store contract over ``old`` and ``new``, under the same keys, with the same data.

    A session moves in three steps. First, a compare-and-swap marks its data in ``old``: later
    writes there fail, because each names the data that it expects. Second, it is inserted into
    ``new``. Third, it is removed from ``old``. A request that finds a marked session does the other
    steps first. So a process that is killed between two steps loses nothing, and no request waits.

    A process that does these steps late must not bring back a session that ended in ``new``. A
    store with transactions inserts only while the mark is in ``old``: the mark goes after the
    insertion. The store in Redis has none, and refuses a key that was destroyed or renamed.

    With ``moves``, ``find`` moves sessions out of ``old``, and new sessions begin in ``new``. If it
    is False, ``old`` keeps its sessions and gets the new ones: processes that know only ``old`` may
    run too. Inside a transaction no move begins, because a rollback would undo half of it.

    ``inserter`` returns the store that inserts a session into ``new`` with a project's own columns.
    """

    def __init__(
        self,
        old: Store,
        new: Store,
        *,
        moves: bool,
        inserter: Callable[[Record], Store] | None = None,
    ) -> None:
        self._old = old
        self._new = new
        self._moves = moves
        self._home, self._other = (new, old) if moves else (old, new)
        # Read first the store that a session moves out of: either of them, if ``old`` keeps.
        self._order = (old, new) if moves else (new, old, new)
        self._inserter = inserter

    @property
    def keeps_expired(self) -> bool:
        return self._old.keeps_expired or self._new.keeps_expired

    @property
    def max_data(self) -> int | None:
        return self._home.max_data

    def refuses(self, size: int) -> int | None:
        return self._home.refuses(size)

    @property
    def max_ttl(self) -> float:
        return self._home.max_ttl

    def find(self, key: str) -> Record | None:
        key = Key(key)
        record = self._home.find(key)
        if record is not None and record.is_live and not _is_leaving(record):
            return record
        found = self._look(key)
        if found is not None and found.store is self._old and self._leave(found.record):
            found = self._look(key)
        return None if found is None else found.record

    def find_latest(self, key: str) -> Record | None:
        found = self._look(Key(key))
        return None if found is None else found.record

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        key = Key(key)
        return self._home.insert(key, data, ttl)

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        return any(store.replace(key, data, ttl, expected) for store in (self._home, self._other))

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        key = Key(key)
        return any(store.touch(key, ttl, expected) for store in (self._home, self._other))

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        key, new_key = Key(key), Key(new_key)
        for _ in chain([True], pauses()):
            found = self._look(key, ends=True)
            if found is None or _is_over(found.record):
                return False
            there = found.record.data
            if expected is not None and expected != there:
                return False
            # The data is compared, so that a session that has just been marked is not renamed.
            if found.store.rename(key, new_key, ttl, there if data is None else data, there):
                return True
        raise SessionBusy(tokens.fingerprint(key), LIMIT)

    def delete(self, key: str) -> bool:
        key = Key(key)
        for _ in chain([True], pauses()):
            found = self._look(key, ends=True)
            if found is None:
                return False
            store, record = found
            if not record.is_live:
                return store.delete(key)
            if _delete_as_it_was(store, record):
                return True
        raise SessionBusy(tokens.fingerprint(key), LIMIT)

    def delete_expired(self, limit: int) -> int:
        removed = self._new.delete_expired(limit)
        return removed + self._old.delete_expired(limit - removed) if removed < limit else removed

    def all(self) -> Iterator[Record]:
        """Yield every live session; one that moves meanwhile may come twice, and is never left out."""
        for store in (self._old, self._new):
            for record in store.all():
                if not _is_leaving(record):
                    yield record
                elif store is self._old:
                    # It is yielded when ``new`` is read.
                    self._arrive(store, record)
                elif (latest := self.find_latest(record.key)) is not None:
                    yield latest

    def fate(self) -> Fate | None:
        return self._new.fate() or self._old.fate()

    # The move

    def bring(self, key: str) -> bool:
        """Move a session to ``new`` if it is in ``old`` and may move; tell whether it did."""
        key = Key(key)
        record = self._new.find(key)
        if not self._moves or (record is not None and record.is_live):
            return False
        found = self._look(key)
        return found is not None and found.store is self._old and self._leave(found.record)

    def left(self) -> Iterator[Key]:
        """Yield the keys of the live sessions in ``old``, and finish the moves that have begun."""
        for record in self._old.all():
            if _is_leaving(record):
                self._arrive(self._old, record)
            else:
                yield Key(record.key)

    def _look(self, key: Key, *, ends: bool = False) -> _Found | None:
        """Return where a session is. If its move has begun, finish that first.

        With ``ends``, the caller ends the session there, so its mark in the other store is removed.
        """
        expired = None
        for place in self._order:
            store, record = place, place.find_latest(key)
            if record is not None and _is_leaving(record):
                store = self._arrive(store, record, ends=ends)
                record = store.find_latest(key)
            if record is None:
                continue
            if not _is_over(record):
                if ends:
                    self._end_mark(self._old if store is self._new else self._new, key)
                return _Found(store, record)
            expired = _Found(store, record)
        return expired

    def _leave(self, record: Record) -> bool:
        """Move a session out of ``old``; False if it may not move, is gone, or is moved already."""
        for _ in chain([True], pauses()):
            if not self._may_leave(record):
                return False
            leaving = record._replace(data=_LEAVING + record.data)
            if self._old.replace(record.key, leaving.data, record.ttl, record.data):
                self._arrive(self._old, leaving)
                return True
            latest = self._old.find_latest(record.key)
            if latest is None or _is_leaving(latest):
                return False
            record = latest
        raise SessionBusy(tokens.fingerprint(record.key), LIMIT)

    def _may_leave(self, record: Record) -> bool:
        if not self._moves or not record.is_live:
            return False
        if _is_in_transaction(self._old) or _is_in_transaction(self._new):
            return False
        # A session that is too large to be moved stays, and is served where it is.
        size = len(record.data)
        return not (self._new.refuses(size) or self._old.refuses(len(_LEAVING) + size))

    def _arrive(self, source: Store, record: Record, *, ends: bool = False) -> Store:
        """Do the last two steps of a move out of ``source``; return the store that it went to."""
        target = self._new if source is self._old else self._old
        if record.is_live:
            plain = record._replace(data=record.data.removeprefix(_LEAVING))
            self._insert_once(source, self._writer(target, plain), plain)
        # A rollback may undo the insertion, so inside a transaction the mark stays. A session that
        # has ended leaves no tombstone here: its key must be free if the sessions move back.
        due = ends or not _is_in_transaction(target)
        if due and source.touch(record.key, _OVER, record.data):
            source.delete(record.key)
        return target

    def _end_mark(self, source: Store, key: Key) -> None:
        """Remove the mark in ``source``, so that no process finishes that move."""
        record = source.find_latest(key)
        if record is not None and _is_due(record) and source.touch(key, _OVER, record.data):
            source.delete(key)

    def _writer(self, target: Store, record: Record) -> Store:
        return self._inserter(record) if self._inserter and target is self._new else target

    def _insert_once(self, source: Store, target: Store, record: Record) -> None:
        def insert() -> bool:
            return target.insert(record.key, record.data, record.ttl)

        def insert_if_due() -> None:
            inserted = insert()
            if not inserted and _is_over(target.find_latest(record.key)):
                # A process that moved it away from here was killed before it deleted the row.
                inserted = target.delete(record.key) and insert()
            if inserted and not _is_due(source.find_latest(record.key)):
                target.delete(record.key)

        atomically: Any = getattr(target, "atomically", None)
        insert() if atomically is None else atomically(insert_if_due)


def _delete_as_it_was(store: Store, record: Record) -> bool:
    """Remove a session, unless its data has changed, such as by the mark."""

    def delete_if_unchanged() -> bool:
        latest = store.find_latest(record.key)
        return latest is not None and latest.data == record.data and store.delete(record.key)

    atomically: Any = getattr(store, "atomically", None)
    if atomically is not None:
        return bool(atomically(delete_if_unchanged))
    # ``rename`` compares the data, ``delete`` does not. Nobody knows the key ``nowhere``.
    nowhere = tokens.new()
    if not store.rename(record.key, nowhere, GRACE, record.data, record.data):
        return False
    store.delete(nowhere)
    return True


def _is_leaving(record: Record | None) -> bool:
    return record is not None and record.data.startswith(_LEAVING)


def _is_due(record: Record | None) -> bool:
    """Tell whether a move has yet to be finished. The process that finishes it ends the mark."""
    return _is_leaving(record) and not _is_over(record)


def _is_over(record: Record | None) -> bool:
    return record is not None and record.ttl <= -GRACE


def _is_in_transaction(store: Store) -> bool:
    return getattr(store, "in_transaction", False)
