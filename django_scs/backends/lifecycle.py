"""The state of a session and what may happen to it. Knows no request, no settings and no Django.

A session is in exactly one state. Every question about it is answered from the state: whether there
is anything to write, what a merge compares with, what the browser has to know.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from .. import tokens
from ..backoff import LIMIT, pauses
from ..codecs.base import Codec
from ..exceptions import DecodeError, SessionBusy, SessionTooLarge
from ..merge import merge, same
from ..stores.base import GRACE, Fate, Record, Store

ABSENT: Final = object()


class Content(NamedTuple):
    """What a codec turns into data: the absolute end (aware, UTC) and the values."""

    deadline: datetime
    values: dict[str, Any]


class Origin(Enum):
    """How this object came to know what is stored."""

    LOADED = "loaded"
    WRITTEN = "written"
    # This object gave the row its key, so the browser does not know the key yet.
    RENAMED = "renamed"
    INSERTED = "inserted"

    @property
    def is_new_key(self) -> bool:
        return self in (Origin.RENAMED, Origin.INSERTED)


class New(NamedTuple):
    """Not in the store. ``again``: it was in the store until a transaction was rolled back."""

    again: bool = False


class Stored(NamedTuple):
    """In the store under ``key``. Comparing with ``data`` shows what this object has changed.

    ``in_doubt`` is new data that was sent but got no answer: the store may have written it.
    ``again``: a rollback undid a later write, which must be repeated.
    """

    key: str
    data: bytes
    deadline: datetime
    origin: Origin
    in_doubt: bytes | None = None
    again: bool = False

    def __repr__(self) -> str:
        return f"<stored session {tokens.fingerprint(self.key)}>"


class Lost(NamedTuple):
    """Destroyed or renewed by others, or expired: changes made here are no longer written."""

    was: Stored


class Destroyed(NamedTuple):
    """Ended by this object, which removed ``key``. ``again``: a rollback brought the row back."""

    key: str | None
    again: bool = False

    def __repr__(self) -> str:
        return f"<destroyed session {tokens.fingerprint(self.key or '')}>"


State = New | Stored | Lost | Destroyed
#: The states in which a save inserts a new session.
ABSENT_STATES: Final = (New, Destroyed)
_NEW: Final = New()


class Host(Protocol):
    """What a lifecycle needs from its session."""

    def _ttl(self, content: Content) -> float:
        """Return for how many seconds a session with this content may live from now on."""
        ...

    def _is_over(self, deadline: datetime) -> bool:
        """Tell whether a deadline has passed by the store's clock."""
        ...

    def _store_for(self, values: dict[str, Any], adding: bool) -> Store:
        """Return the store that writes ``values``, with a project's own columns if it has any."""
        ...

    def _refuses(self, content: Content, size: int, before: int) -> int | None:
        """Return the most bytes that a content may take if ``size`` is more, else None.

        ``before`` is how many it takes in the store.
        """
        ...

    def _merged_deadline(
        self, base: Content, ours: Content, theirs: Content, values: dict[str, Any]
    ) -> datetime:
        """Return the deadline that belongs to the merged ``values``."""
        ...

    def _hold(self, content: Content) -> None:
        """Replace the session's content by ``content``, which includes what others wrote.

        This happens before a retry, which may fail: the next save compares with what others wrote.
        """
        ...

    def _tell(self, event: str, key: str, **info: Any) -> None:
        """Make an event known, with the store key of the session."""
        ...


class Lifecycle:
    """One session's state, and the operations that change it."""

    def __init__(self, store: Store, codec: Codec, host: Host) -> None:
        self.store = store
        self._codec = codec
        self._host = host
        self._state: State = _NEW
        # The state before each write that a rollback may still undo.
        self._history: list[tuple[State, Fate]] = []
        # Values that were taken from the store and are put back if the request fails.
        self._taken: dict[str, Any] = {}

    def go_on_from(self, life: "Lifecycle") -> None:
        """Take the state of the lifecycle of another session, of which this one is a copy."""
        self._state, self._history, self._taken = life._state, [*life._history], {**life._taken}

    def __getstate__(self) -> dict[str, Any]:
        # A codec may have keys, and a store has connections: a copy finds its own.
        return {name: vars(self)[name] for name in ("_state", "_history", "_taken")}

    @property
    def state(self) -> State:
        """The current state: a write that was rolled back does not count."""
        while self._history and self._history[-1][1].undone:
            before, _ = self._history.pop()
            self._state = _after_rollback(before, self._state)
        return self._state

    @property
    def key(self) -> str | None:
        """The store key, or None unless the session is stored."""
        state = self.state
        return state.key if isinstance(state, Stored) else None

    @property
    def last_key(self) -> str:
        """The store key that the session has or had; "" if it never had one."""
        state = self.state
        if isinstance(state, Lost):
            state = state.was
        return getattr(state, "key", None) or ""

    @property
    def owes(self) -> bool:
        """Whether there is something to give back if the request fails."""
        return bool(self._taken)

    # Reading

    def load(self, key: str) -> tuple[Record, Content] | None:
        """Read the session under ``key``; None, with an event, if none is live and readable."""
        record = self.store.find(key)
        if record is None:
            self._host._tell("unknown", key)
            return None
        if not record.is_live:
            self._tell_expired(record)
            return None
        content = self.read(record)
        if content is None:
            return None
        self.adopt(record, content)
        return record, content

    def adopt(self, record: Record, content: Content) -> None:
        """Take what was read from the store as this session's."""
        self._state = Stored(record.key, record.data, content.deadline, Origin.LOADED)

    def read(self, record: Record, *, tells: bool = True) -> Content | None:
        """Decode a record; None, with an event if ``tells``, if its data is corrupt."""
        try:
            return Content(*self._codec.decode(record.data, record.key))
        except DecodeError as exc:
            if tells:
                self._host._tell("corrupt", record.key, reason=str(exc))
            return None

    def ancestor(self) -> Content | None:
        """Return what the store had when this object last read or wrote it; None if nothing."""
        state = self.state
        if isinstance(state, Lost):
            state = state.was
        if not isinstance(state, Stored):
            return None
        # Data that a Go application wrote may lack the deadline that the session has.
        return Content(state.deadline, self._codec.decode(state.data, state.key)[1])

    def encode(self, content: Content, key: str, original: bytes | None = None) -> bytes:
        """Return the bytes of a content. Raises EncodeError or SessionTooLarge."""
        data = self._codec.encode(content.deadline, content.values, original, key)
        limit = self._host._refuses(content, len(data), len(original or b""))
        if limit is not None:
            raise SessionTooLarge(len(data), limit, self._largest(content, key))
        return data

    # Writing

    def insert(self, key: str, content: Content) -> bool:
        """Put a new session into the store; False if ``key`` is taken by another."""
        self.repeat()
        data = self.encode(content, key)
        store = self._host._store_for(content.values, True)
        if not store.insert(key, data, self._host._ttl(content)):
            # An earlier try, whose reply was lost, may have inserted it.
            there = self.store.find_latest(key)
            if there is None or there.data != data:
                return False
        self._become(Stored(key, data, content.deadline, Origin.INSERTED))
        self._host._tell("created", key)
        return True

    def save(self, key: str, content: Content) -> Content | None:
        """Bring a stored session to ``content`` under ``key``; None if it is gone.

        Merges what others wrote meanwhile; the returned content includes it.
        Raises SessionBusy if others saved first for ``backoff.LIMIT`` seconds.
        """
        state = self.state
        if isinstance(state, Stored) and state.key != key:
            renewed = self.renew(key, content)
            if renewed is None:
                return None
            content = renewed
        again = pauses()
        while isinstance(state := self.state, Stored):
            if self._write(state, content):
                return content
            rebased = self._rebase(state, content)
            if rebased is None:
                return None
            self._host._hold(content := rebased)
            if not next(again, False):
                raise self._busy(state.key)
        return None

    def is_settled(self, key: str, content: Content) -> bool:
        """Tell whether ``content`` is what this object wrote last."""
        state = self.state
        return (
            isinstance(state, Stored)
            and state.key == key
            and state.origin is not Origin.LOADED
            and not state.again
            and state.data == self.encode(content, key, state.data)
        )

    def renew(self, key: str, content: Content) -> Content | None:
        """Move the session to ``key``, or insert it; None if it is gone, or ``key`` is taken."""
        if isinstance(self.state, ABSENT_STATES):
            return content if self.insert(key, content) else None
        again = pauses()
        while isinstance(state := self.state, Stored):
            if self._rename(state, key, content):
                return content
            # If the rename expected no data, the session is gone; else it may have changed. Others
            # may have moved a deadline that has passed.
            if not self._binds_key and not self._host._is_over(state.deadline):
                self._lose(state)
                return None
            rebased = self._rebase(state, content)
            if rebased is None:
                return None
            self._host._hold(content := rebased)
            if not next(again, False):
                raise self._busy(state.key)
        return None

    def take(
        self, names: Iterable[str], content: Content, *, give_back: bool
    ) -> tuple[dict[str, Any], Content, bool]:
        """Remove values from the store, then return them and the content without them.

        Does not return values that are absent or that another request took first. With
        ``give_back``, the method of that name can put back what was removed. The last item tells
        whether a save is due: a value that this object has changed is not removed from the store
        yet, and a rollback may undo a removal.
        """
        again = pauses()
        while found := {name: content.values[name] for name in names if name in content.values}:
            base = self.ancestor()
            known = {} if base is None else base.values
            # Those that the store has: the application may change those that it gets.
            stored = {
                name: known[name] for name in found if same(known.get(name, ABSENT), found[name])
            }
            done, rebased = (True, None) if not stored else self._remove(stored, base, content)
            if rebased is not None:
                self._host._hold(content := rebased)
                if not next(again, False):
                    raise self._busy(self.last_key)
                continue
            for name in found:
                del content.values[name]
            if done and give_back:
                self._taken.update(stored)
            taken = {name: found[name] for name in found if done or name not in stored}
            return taken, content, bool(self._history) or len(stored) < len(found)
        return {}, content, False

    def give_back(self) -> None:
        """Put back what ``take`` removed with ``give_back``; newer values of the same keys stay."""
        again = pauses()
        taken, self._taken = self._taken, {}
        while isinstance(state := self.state, Stored) and (base := self.ancestor()) is not None:
            values = {**taken, **base.values}
            # A rollback may have put the values back already.
            if values.keys() == base.values.keys():
                return
            if self._write(state, Content(base.deadline, values)):
                return
            if self._rebase(state, base) is not None and not next(again, False):
                raise self._busy(state.key)

    def destroy(self, key: str | None, reason: str = "flush") -> bool:
        """Remove the session. ``key`` is its store key if it is not in the state ``Stored``."""
        repeated = self.repeat()
        key = self.key or key
        if key is None and isinstance(self.state, Destroyed):
            return repeated
        return self._end(key, reason) or repeated

    def remove(self, key: str, reason: str) -> bool:
        """Remove a row from the store. This session's state and values stay as they are."""
        removed = self.store.delete(key)
        if removed:
            self._host._tell("destroyed", key, reason=reason)
        return removed

    def repeat(self) -> bool:
        """Remove the session once more if a rollback has brought it back; tell whether it had."""
        state = self.state
        return isinstance(state, Destroyed) and state.again and self._end(state.key, "flush")

    def lose(self) -> None:
        """Note that the row was removed: this session is no longer written."""
        if isinstance(state := self.state, Stored):
            self._lose(state)

    def begin(self, key: str | None = None) -> bool:
        """Forget the current session: the next write inserts a new one.

        Returns False, and nothing changes, if the session is stored under ``key``.
        """
        if key is not None and key == self.key:
            return False
        self._taken = {}
        if not isinstance(self.state, Destroyed):
            self._state = _NEW
            self._history.clear()
        return True

    # Steps of these operations

    def _end(self, key: str | None, reason: str) -> bool:
        removed = key is not None and self.store.delete(key)
        self._become(Destroyed(key))
        # The next session may be another user's: put nothing back into it.
        self._taken = {}
        if key is not None and removed:
            self._host._tell("destroyed", key, reason=reason)
        return removed

    def _tell_expired(self, record: Record) -> None:
        try:
            deadline, values = self._codec.decode(record.data, record.key)
        except DecodeError:
            reason, values = "unreadable", {}
        else:
            reason = ended_by(deadline, record.now)
        self._host._tell("expired", record.key, reason=reason, values=values)

    def _become(self, state: State) -> None:
        fate = self.store.fate()
        if fate is None:
            self._history.clear()
        else:
            self._history.append((self._state, fate))
        self._state = state

    def _write(self, state: Stored, content: Content) -> bool:
        """Replace ``state`` by ``content``; False if it is over or gone, or has other data."""
        if self._host._is_over(state.deadline):
            return False
        data = self.encode(content, state.key, state.data)
        store, ttl = self._host._store_for(content.values, False), self._host._ttl(content)
        if data == state.data:
            done = store.touch(state.key, ttl, data)
        else:
            try:
                done = store.replace(state.key, data, ttl, state.data)
            except BaseException:
                self._state = state._replace(in_doubt=data)
                raise
        if done:
            origin = Origin.WRITTEN if state.origin is Origin.LOADED else state.origin
            self._become(Stored(state.key, data, content.deadline, origin))
        return done

    def _rebase(self, state: Stored, content: Content) -> Content | None:
        """Return ``content`` merged with what others wrote over ``state``; None if it is gone."""
        record = self.store.find_latest(state.key)
        is_writable = record is not None and record.ttl > -GRACE
        theirs = self.read(record) if record and is_writable else None
        if record is None or theirs is None or self._host._is_over(theirs.deadline):
            self._lose(state)
            return None
        base = self.ancestor()
        if record.data != state.in_doubt and base is not None:
            values = merge(base.values, content.values, theirs.values)
            deadline = self._host._merged_deadline(base, content, theirs, values)
            content = Content(deadline, values)
            self._host._tell("merged", state.key)
        self._state = state._replace(
            key=record.key, data=record.data, deadline=theirs.deadline, in_doubt=None, again=False
        )
        return content

    @property
    def _binds_key(self) -> bool:
        return getattr(self._codec, "binds_key", False)

    def _rename(self, state: Stored, key: str, content: Content) -> bool:
        if self._host._is_over(state.deadline):
            return False
        store, ttl = self._host._store_for(content.values, False), self._host._ttl(content)
        data, base = state.data, self.ancestor() if self._binds_key else None
        if base is None:
            done = store.rename(state.key, key, ttl)
        else:
            # The size is not checked: the data is as large as before, whatever the limit is now.
            data = self._codec.encode(base.deadline, base.values, state.data, key)
            done = store.rename(state.key, key, ttl, data, state.data)
        if done:
            inserted = state.origin is Origin.INSERTED
            origin = Origin.INSERTED if inserted else Origin.RENAMED
            self._become(Stored(key, data, state.deadline, origin, in_doubt=state.in_doubt))
            self._host._tell("renewed", key, old_key=state.key)
        return done

    def _remove(
        self, stored: Iterable[str], base: Content | None, content: Content
    ) -> tuple[bool, Content | None]:
        """Remove values from ``base`` and the store; if others wrote first, merge ``content``."""
        state = self.state
        if base is None or not isinstance(state, Stored):
            return False, None
        for name in stored:
            del base.values[name]
        done = self._write(state, base)
        return done, None if done else self._rebase(state, content)

    def _lose(self, state: Stored) -> None:
        self._state = Lost(state)
        self._history.clear()
        self._host._tell("lost", state.key)

    def _largest(self, content: Content, key: str) -> list[tuple[str, int]]:
        sizes = [
            (name, len(self._codec.encode(content.deadline, {name: value}, None, key)))
            for name, value in content.values.items()
        ]
        return sorted(sizes, key=lambda item: item[1], reverse=True)[:3]

    def _busy(self, key: str) -> SessionBusy:
        self._host._tell("busy", key)
        return SessionBusy(tokens.fingerprint(key), LIMIT)


def ended_by(deadline: datetime, now: float) -> str:
    """Tell what ended a session that has expired: its ``deadline``, or that it was ``idle``."""
    return "deadline" if deadline.timestamp() <= now else "idle"


def _after_rollback(before: State, now: State) -> State:
    """Return the state after the write that led from ``before`` to ``now`` was undone."""
    # A destruction is never taken back: it has to be repeated, under the key that the row has again.
    if isinstance(now, Destroyed):
        key = before.key if isinstance(before, Stored | Destroyed) else None
        return Destroyed(key or now.key, again=True)
    return before if isinstance(before, Lost) else before._replace(again=True)
