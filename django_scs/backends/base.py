"""The session that Django hands to a view: its life from load to save, on one store and one codec."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Self

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.views.decorators.debug import sensitive_variables

from .. import auth, conf, tokens
from ..backoff import pauses
from ..exceptions import DecodeError, SessionBusy, SessionTooLarge
from ..merge import merge, same
from ..stores.base import Record, Store
from .clocks import CUSTOM_EXPIRY, Clocks
from .twins import in_thread, once_loaded
from .typed import TypedAccess

__all__ = ["CreateError", "SessionStore", "Status", "UpdateError"]

# Their tokens are in memory at once: 20 MB.
_SWEEP_BATCH: Final = 100_000
_SWEEP_AFTER_REQUEST: Final = 200
_ABSENT: Final = object()

_security = logging.getLogger("django.security.SuspiciousSession")
_log = logging.getLogger("django_scs")


class Status(Enum):
    """What became of a session in this request. Source: scs data.go Status."""

    UNMODIFIED = "unmodified"
    MODIFIED = "modified"
    DESTROYED = "destroyed"


class _Stored(NamedTuple):
    """What the store held when this object last read or wrote it."""

    key: str
    data: bytes

    def __repr__(self) -> str:
        return f"<stored session {tokens.fingerprint(self.key)}>"


class SessionStore(Clocks):
    """A session with scs's rules behind Django's interface.

    Values are loaded at the first access. ``save`` writes only what differs from what was loaded,
    and only if nobody else wrote meanwhile; otherwise it merges first. A session that somebody else
    destroyed meanwhile is not brought back: UpdateError.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._stored: _Stored | None = None
        # What was sent to replace it, as long as the store has not answered: it may have arrived.
        self._in_doubt: bytes | None = None
        self._destroyed = False
        self._lost = False
        #: What an anonymous visitor had in a session that was gone when it was to be renewed.
        self.left_behind: dict[str, Any] = {}
        #: True once this object has put a new session into the store.
        self.created = False
        #: True from a renewal until the next save or login.
        self.renewed = False

    @classmethod
    def get_store(cls) -> Store:
        """Return the store that sessions of this class live in."""
        raise NotImplementedError("A SessionStore must provide a get_store() method.")

    def extra_columns(self, values: dict[str, Any]) -> Sequence[Any]:
        """Return what belongs into a project's own columns, in the order of its model."""
        return ()

    # Tokens and keys

    @classmethod
    def store_key(cls, token: str) -> str:
        """Return the key under which the store has the session of ``token``."""
        return tokens.store_key(token, hashed=conf.hash_tokens())

    def _validate_session_key(self, key: Any) -> bool:
        return tokens.well_formed(key)

    def _key(self) -> str | None:
        if self._stored is not None:
            return self._stored.key
        return self.session_key and self.store_key(self.session_key)

    @property
    def token(self) -> str:
        """The token, or "" while there is none. Source: scs Token."""
        return self.session_key or ""

    @property
    def fingerprint(self) -> str:
        """What may be shown in place of the token, or "" while there is none."""
        key = self._key()
        return tokens.fingerprint(key) if key else ""

    # Reading

    @sensitive_variables()
    def load(self) -> dict[str, Any]:
        """Read the session from the store and return its values.

        A session that is unknown or expired, or whose data cannot be read, gives no values and
        loses its token: what is put in it becomes a new session. Unreadable data is logged and left
        in the store. Raises the store's own error if it cannot answer.
        """
        record = (
            self.get_store().find(self.store_key(self.session_key)) if self.session_key else None
        )
        read = self._read(record) if record else None
        if record is None or read is None:
            self._session_key = None
            self._stored = None
            self._deadline = None
            return {}
        self._stored = _Stored(record.key, record.data)
        self._deadline, values = read
        if auth.reconcile(values) or self._is_touch_due(record.expiry, values):
            self.modified = True
        return values

    @sensitive_variables()
    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is a live session under the token ``session_key``."""
        if not tokens.well_formed(session_key):
            return False
        return self.get_store().find(self.store_key(session_key)) is not None

    @property
    def was_stored(self) -> bool:
        """Whether the store had this session when it was last asked."""
        return self._stored is not None

    @sensitive_variables()
    def is_stored(self) -> bool:
        """Tell whether the store has this session now, as its last writer would see it."""
        key = self._key()
        return key is not None and self.get_store().find_latest(key) is not None

    def _is_touch_due(self, expiry: datetime, values: dict[str, Any]) -> bool:
        if conf.idle_timeout() is None or values.get(CUSTOM_EXPIRY):
            return False
        # It may also lie too far ahead, where the idle timeout was longer, or was not set.
        moved = abs(min(self._clocks(values)[1], self.get_store().last_expiry) - expiry)
        return moved.total_seconds() >= max(conf.touch_interval(), 0.001)

    def _read(self, record: Record) -> tuple[datetime, dict[str, Any]] | None:
        try:
            return conf.codec().decode(record.data)
        except DecodeError:
            key = tokens.fingerprint(record.key) if record.key else "not said of which session"
            _security.warning("Session data corrupted: %s", key)
            return None

    # Writing

    def clear(self) -> None:
        """Remove all values; token and deadline stay. Source: scs Clear."""
        self._get_session()
        self._session_cache: dict[str, Any] = {}
        self.modified = True

    def create(self) -> None:
        """Write a new session with a new token. Django: create."""
        self._session_key = tokens.new()
        self._stored = self._deadline = None
        self.save(must_create=True)
        self.modified = True

    @sensitive_variables()
    def save(self, must_create: bool = False) -> None:
        """Write the session: a new one in one statement, a changed one in one, an unchanged one too.

        What others wrote meanwhile is merged (see ``merge``) and is part of the values afterwards.
        Raises CreateError if ``must_create`` and the token is taken, UpdateError if the session was
        destroyed meanwhile, EncodeError or SessionTooLarge for values that cannot be kept,
        SessionBusy after ten seconds of being overtaken, and the store's own errors.
        """
        self._get_session(no_load=must_create)
        if self._lost and not must_create:
            raise UpdateError
        if must_create or self._stored is None:
            self._insert()
        else:
            self._update(self._stored)
        self.renewed = False

    @sensitive_variables()
    def delete(self, session_key: str | None = None) -> None:
        """Remove a session from the store: the one of the given token, or this one."""
        if session_key is None:
            key = self._key()
        else:
            key = self.store_key(session_key) if tokens.well_formed(session_key) else None
        if key is not None:
            self.get_store().delete(key)

    def flush(self) -> None:
        """Destroy the session: its row, its values and its token. Source: scs Destroy."""
        self.delete()
        self._session_key = None
        self._session_cache = {}
        self._stored = None
        self._deadline = None
        self._destroyed = True
        self._lost = False
        self.left_behind = {}
        self.accessed = self.modified = self.renewed = True

    @sensitive_variables()
    def cycle_key(self) -> None:
        """Give the session a new token and a new lifetime. Source: scs RenewToken.

        The old token is dead when this returns. A session that is not in the store yet costs no
        statement. Where a parallel request renewed or destroyed the session first, it is gone: it has
        no values any more, and cannot be saved, unless a user logs in.
        """
        values = self._get_session()
        stored, token = self._stored, tokens.new()
        if stored is None:
            self._session_key = token
        elif self.get_store().rename(
            stored.key, key := self.store_key(token), self._clocks(values)[1]
        ):
            self._session_key, self._stored = token, stored._replace(key=key)
        else:
            self._lose(stored.key)
        self._deadline = self._new_deadline()
        self.modified = self.renewed = True

    def log_in(self) -> None:
        """Make a session that was lost a new one, which begins with what a visitor had in it."""
        self._lost = False
        self._session_cache = {**self.left_behind, **self._get_session()}

    def renew_token(self) -> None:
        """Do what ``cycle_key`` does, by scs's name."""
        self.cycle_key()

    @sensitive_variables()
    def take(self, key: str, default: Any = None) -> Any:
        """Remove a value from the store, then return it; ``default`` if it is not there.

        Of any number of parallel requests one gets the value. One statement; none for a value that
        this request itself has put. Other changes stay unsaved.
        """
        again = pauses()
        while key in self._get_session():
            stored, value = self._stored, self._session_cache[key]
            deadline, base = self._ancestor()
            if stored is None or not same(base.pop(key, _ABSENT), value):
                return self.pop(key)
            if self._write(stored, base, deadline):
                del self._session_cache[key]
                return value
            if not self._rebase(stored):
                del self._session_cache[key]
            elif not next(again, False):
                raise self._busy()
        return default

    @sensitive_variables()
    def merge_session(self, token: str) -> None:
        """Move the values of another session into this one. Source: scs MergeSession.

        Where both have a key, the other's value stays; so does the later deadline, in the place of
        what ``set_expiry`` has set. The other session is destroyed. Nothing happens if there is none,
        or if it is this one. A login comes along: renew the token afterwards.
        """
        values = self._get_session()
        if not tokens.well_formed(token) or self.store_key(token) == self._key():
            return
        record = self.get_store().find(self.store_key(token))
        read = self._read(record) if record else None
        if record is None or read is None:
            return
        merged = {**values, **read[1]}
        merged.pop(CUSTOM_EXPIRY, None)
        deadline = max(self._clocks(values)[0], read[0])
        # What cannot be saved in this session must not be destroyed in the other.
        self._encode(deadline, merged, self._stored and self._stored.data)
        if self.get_store().delete(record.key):
            self._session_cache, self._deadline = merged, deadline
            self.modified = True

    @property
    def status(self) -> Status:
        """What became of the session in this request. Source: scs Status."""
        if self._destroyed and not self._session_cache:
            return Status.DESTROYED
        return Status.MODIFIED if self.modified else Status.UNMODIFIED

    def changed_keys(self) -> list[str]:
        """Return the keys whose values differ from what this request found, sorted."""
        values, base = self._get_session(), self._ancestor()[1]
        keys = {*values, *base}
        return sorted(
            key for key in keys if not same(values.get(key, _ABSENT), base.get(key, _ABSENT))
        )

    # All sessions

    @classmethod
    def iterate(cls) -> Iterator[Self]:
        """Yield every live session, loaded, to be read, changed, saved or flushed.

        With SCS_HASH_TOKENS they have no token, as nobody but the browser knows it; all else works.
        Unreadable ones are logged and left out. Source: scs Iterate.
        """
        for record in cls.get_store().all():
            session = cls(None if conf.hash_tokens() else record.key)
            read = session._read(record)
            if read is not None:
                session._stored = _Stored(record.key, record.data)
                session._deadline, session._session_cache = read
                yield session

    @classmethod
    def clear_expired(cls) -> None:
        """Remove all expired sessions from the store, letting others through.

        Leaves, for the next time, those that expire or are locked meanwhile. Django: clear_expired.
        """
        while cls.get_store().delete_expired(_SWEEP_BATCH) == _SWEEP_BATCH:
            pass

    @classmethod
    def sweep(cls) -> bool:
        """Remove a few expired sessions; True if there may be more. The middleware's, now and then."""
        return cls.get_store().delete_expired(_SWEEP_AFTER_REQUEST) == _SWEEP_AFTER_REQUEST

    # Encoding

    def encode(self, session_dict: dict[str, Any]) -> bytes:  # type: ignore[override]
        """Return ``session_dict`` and this session's deadline as the store keeps them."""
        original = self._stored and self._stored.data
        return conf.codec().encode(self._clocks(session_dict)[0], session_dict, original)

    def decode(self, session_data: bytes | str, key: str = "") -> dict[str, Any]:
        """Return the values in ``session_data``; none, with a line in the log, if it is corrupt.

        ``key`` is the store key, if it is known, for the fingerprint in that line.
        """
        data = (
            session_data.encode(errors="replace") if isinstance(session_data, str) else session_data
        )
        read = self._read(Record(key, data, datetime.now(UTC)))
        return read[1] if read else {}

    # What renewal, save and take are made of

    def _lose(self, key: str) -> None:
        """Forget a session that others have renewed or destroyed; its values belong to nobody."""
        _log.warning("Session %s was gone when it was to be renewed", tokens.fingerprint(key))
        self.left_behind = {} if SESSION_KEY in self._session_cache else self._session_cache
        self._session_key = self._stored = None
        self._session_cache = {}
        self._lost = True

    def _insert(self) -> None:
        if self.session_key is None:
            self._session_key = tokens.new()
        key = self.store_key(self.token)
        values = self._session_cache
        deadline, expiry = self._clocks(values)
        data = self._encode(deadline, values)
        if not self.get_store().insert(key, data, expiry, self.extra_columns(values)):
            raise CreateError
        self._stored = _Stored(key, data)
        self._deadline = deadline
        self._lost = False
        self.created = True

    def _update(self, stored: _Stored) -> None:
        again = pauses()
        while not self._write(stored, self._session_cache):
            rebased = self._rebase(stored)
            if rebased is None:
                raise UpdateError
            if not next(again, False):
                raise self._busy()
            stored = rebased

    def _write(
        self, stored: _Stored, values: dict[str, Any], deadline: datetime | None = None
    ) -> bool:
        """Put ``values`` in the place of ``stored``; False if the store has something else."""
        store = self.get_store()
        deadline, expiry = self._clocks(values, deadline=deadline)
        data = self._encode(deadline, values, stored.data)
        if data == stored.data:
            return store.touch(stored.key, expiry, data)
        before, self._in_doubt = self._in_doubt, data
        if not store.replace(stored.key, data, expiry, stored.data, self.extra_columns(values)):
            self._in_doubt = before
            return False
        self._stored, self._in_doubt = stored._replace(data=data), None
        return True

    def _ancestor(self) -> tuple[datetime | None, dict[str, Any]]:
        """Return the deadline and the values that this request found in the store."""
        if self._stored is None:
            return None, {}
        return conf.codec().decode(self._stored.data)

    def _rebase(self, stored: _Stored) -> _Stored | None:
        """Bring into this session what others put in the place of ``stored``; None if it is gone."""
        record = self.get_store().find_latest(stored.key)
        read = self._read(record) if record else None
        if record is None or read is None:
            return None
        if record.data != self._in_doubt:
            old_deadline, base = self._ancestor()
            if self._deadline == old_deadline:
                self._deadline = read[0]
            self._session_cache = merge(base, self._session_cache, read[1])
        self._stored, self._in_doubt = _Stored(record.key, record.data), None
        return self._stored

    def _encode(
        self, deadline: datetime, values: dict[str, Any], original: bytes | None = None
    ) -> bytes:
        codec = conf.codec()
        data = codec.encode(deadline, values, original)
        limit = self.get_store().max_data
        if limit is not None and len(data) > limit:
            sizes = [
                (key, len(codec.encode(deadline, {key: value}, original)))
                for key, value in values.items()
            ]
            sizes.sort(key=lambda item: item[1], reverse=True)
            raise SessionTooLarge(len(data), limit, sizes[:3])
        return data

    def _busy(self) -> SessionBusy:
        return SessionBusy(f"Session {self.fingerprint} was saved by others again and again.")

    # Async twins

    aload = in_thread(load)
    aexists = in_thread(exists)
    acreate = in_thread(create)
    asave = in_thread(save)
    adelete = in_thread(delete)
    aflush = in_thread(flush)
    acycle_key = in_thread(cycle_key)
    arenew_token = in_thread(renew_token)
    atake = in_thread(take)
    amerge_session = in_thread(merge_session)
    ais_stored = in_thread(is_stored)

    aget = once_loaded(TypedAccess.get)  # type: ignore[assignment]
    aset = once_loaded(TypedAccess.__setitem__)  # type: ignore[arg-type]
    apop = once_loaded(TypedAccess.pop)  # type: ignore[assignment]
    asetdefault = once_loaded(TypedAccess.setdefault)
    aupdate = once_loaded(TypedAccess.update)  # type: ignore[assignment]
    ahas_key = once_loaded(TypedAccess.has_key)
    akeys = once_loaded(TypedAccess.keys)
    avalues = once_loaded(TypedAccess.values)
    aitems = once_loaded(TypedAccess.items)
    aset_test_cookie = once_loaded(TypedAccess.set_test_cookie)
    atest_cookie_worked = once_loaded(TypedAccess.test_cookie_worked)
    adelete_test_cookie = once_loaded(TypedAccess.delete_test_cookie)
    aclear = once_loaded(clear)
    achanged_keys = once_loaded(changed_keys)
