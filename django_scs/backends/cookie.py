"""``SESSION_ENGINE = "django_scs.backends.cookie"``: sessions that the browser itself keeps.

There is no store. The cookie holds the whole session, sealed by one of the formats in ``codecs``.
Each save writes another cookie. docs/cookie.md begins with what such sessions cannot do.
"""

import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Self

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.views.decorators.debug import sensitive_variables

from .. import conf, tokens
from ..codecs import cookie_format
from ..codecs.cookie_format import CookieFormat
from ..codecs.securecookie import CookieError, Expired
from ..stores.base import GRACE, Record
from . import base, expiry
from .base import CreateError, Outcome, UpdateError
from .expiry import CUSTOM_EXPIRY
from .lifecycle import Content, Destroyed, Lifecycle, Stored, ended_by
from .takeover import MOST_CANDIDATES
from .twins import from_anywhere

__all__ = ["CreateError", "SessionStore", "UpdateError"]

_LONGEST: Final = timedelta(days=36_525).total_seconds()


class Jar:
    """The one cookie of a session, as a store. The response sends the last write.

    Implements Store. Nobody else writes to a jar. ``find_format`` returns the format, whose keys
    must not be in a copy of a session. ``denied_in`` is the alias of the cache that remembers which
    sessions have ended, or None. It remembers each for at least ``lifetime`` seconds, because an
    older cookie of a session may be valid for longer than the last one.
    """

    keeps_expired = True
    max_ttl = _LONGEST

    def __init__(
        self,
        find_format: Callable[[], CookieFormat],
        name: str,
        denied_in: str | None,
        lifetime: float = 0,
    ) -> None:
        self.find_format = find_format
        self.name = name
        self._denied_in = denied_in
        self._lifetime = lifetime
        self._record: Record | None = None
        self._sealed: str | None = None
        self._deadline: datetime | None = None
        #: Whether the response must send what the jar holds, or delete the cookie if it is empty.
        self.written = False

    def __getstate__(self) -> dict[str, Any]:
        # The class that finds the format may have no name by which a pickle finds it.
        return {name: value for name, value in vars(self).items() if name != "find_format"}

    @property
    def format(self) -> CookieFormat:
        return self.find_format()

    @property
    def max_data(self) -> int | None:
        return self.format.max_data(self.name)

    def refuses(self, size: int) -> int | None:
        limit = self.max_data
        return limit if limit is not None and size > limit else None

    def receive(self, record: Record, sealed: str, deadline: datetime) -> None:
        """Take what a browser has sent. Its data may lack the deadline."""
        self._record, self._sealed, self.written = record, sealed, False
        self._deadline = deadline

    def sealed(self) -> str:
        """Return the value of the cookie, "" while there is none, or if no browser would keep it."""
        if self._record is None:
            return ""
        if self._sealed is None:
            # After a renewal, data that a Go application wrote has our entries too.
            if self.refuses(len(self._record.data)) is not None:
                return ""
            self._sealed = self.format.seal(self.name, self._record.key, self._record.data)
        return self._sealed

    def is_denied(self, key: str) -> bool:
        """Tell whether the session under ``key`` was ended, as far as that is remembered."""
        if (alias := self._denied_in) is None:
            return False
        # An async view may ask for the key of a session, and the cache may be in a database.
        return bool(from_anywhere(lambda: caches[alias].get(_denied(key))))

    def find(self, key: str) -> Record | None:
        record = self._held(key)
        return record if record and record.is_live else None

    def find_latest(self, key: str) -> Record | None:
        return self._held(key)

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        self._put(key, data, ttl)
        return True

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        return self._swap(key, data, ttl, expected)

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        return self._swap(key, expected, ttl, expected)

    def rename(
        self,
        key: str,
        new_key: str,
        ttl: float,
        data: bytes | None = None,
        expected: bytes | None = None,
    ) -> bool:
        before = self._held(key)
        if before is None or before.data != (expected or before.data) or before.ttl <= -GRACE:
            return False
        if not self._deny(before):
            # Another request has ended the session, or given it another id.
            self._empty()
            return False
        self._put(new_key, before.data if data is None else data, ttl)
        return True

    def delete(self, key: str) -> bool:
        before = self._held(key)
        if before is None:
            return False
        removed = self._deny(before)
        self._empty()
        self.written = True
        return removed

    def delete_expired(self, limit: int) -> int:
        return 0

    def all(self) -> Iterator[Record]:
        return iter(())

    def fate(self) -> None:
        # A rollback does not keep the cookie from being sent.
        return None

    def _held(self, key: str) -> Record | None:
        record, now = self._record, expiry._clock()
        if record is None or record.key != key:
            return None
        # The object may have been held for long since.
        return record._replace(ttl=record.ttl - (now - record.now), now=now)

    def _swap(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        before = self._held(key)
        if before is None or before.data != expected or before.ttl <= -GRACE:
            return False
        self._put(key, data, ttl)
        return True

    def _put(self, key: str, data: bytes, ttl: float) -> None:
        self._record = Record(key, data, ttl, expiry._clock())
        self._deadline = self._sealed = None
        self.written = True

    def _empty(self) -> None:
        self._record = self._sealed = None
        self.written = False

    def _deny(self, record: Record) -> bool:
        """Remember that a session has ended; False if that is known already."""
        if self._denied_in is None:
            return True
        deadline = self._deadline or self.format.codec.decode(record.data, record.key)[0]
        left = (deadline - expiry._now()).total_seconds()
        timeout = math.ceil(min(max(left, record.ttl, self._lifetime, 1), _LONGEST))
        return bool(caches[self._denied_in].add(_denied(record.key), True, timeout))


def _denied(key: str) -> str:
    return f"django_scs.cookie.{key}"


class SessionStore(base.SessionStore):
    """A session in a cookie.

    ``session_key`` is the id of the session, which is no secret. ``token`` is the whole cookie,
    which is secret. The constructor takes such a token to open a session.
    """

    # The cookies that were sent and are not opened yet; what was found in the valid one.
    _sent: tuple[str, ...] = ()
    _was_sent = False
    _found: tuple[Record, Content, bool] | None = None

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__()
        if session_key:
            self._sent, self._was_sent = (tokens.Key(session_key),), True

    @cached_property
    def _jar(self) -> Jar:
        return self.get_store()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_jar" in state:
            state["_jar"].find_format = self._format
        super().__setstate__(state)

    @cached_property
    def _life(self) -> Lifecycle:
        return Lifecycle(self._jar, self._jar.format.codec, weakref.proxy(self))

    @classmethod
    def for_request(cls, candidates: Iterable[str], request: HttpRequest | None = None) -> Self:
        session = super().for_request((), request)
        session._sent = tuple(candidates)
        session._was_sent = any(session._sent)
        return session

    @classmethod
    def get_store(cls) -> Jar:
        """Return a new, empty jar. Each session has its own."""
        options = conf.options(cls._kind)
        return Jar(cls._format, options.cookie.name, options.cookie_denylist, options.lifetime)

    @classmethod
    def _format(cls) -> CookieFormat:
        return conf.cookie_format(cls._kind)

    @property
    def flashes(self) -> Any:
        """What ``flash`` uses to keep messages as a Go application does, or None."""
        return getattr(self._format(), "flashes", None)

    def _store_for(self, values: dict[str, Any], adding: bool) -> Jar:
        return self._jar

    # The id, and the cookie

    @property
    def session_key(self) -> str | None:
        """The id of the session, or None while it has none. Django: session_key."""
        if self._sent:
            self._open()
        key: str | None = self._session_key
        return key

    def is_empty(self) -> bool:
        """Tell whether the session has neither an id nor values. Django: is_empty."""
        return self.session_key is None and super().is_empty()

    def token(self) -> str:
        """Return the value of the cookie, or "" while there is none."""
        self._open()
        return tokens.Key(self._jar.sealed())

    @classmethod
    def store_key(cls, token: str) -> str:
        return tokens.Key(token)

    @classmethod
    def store_keys(cls, token: str) -> tuple[str, ...]:
        return (tokens.Key(token),)

    def _validate_session_key(self, key: Any) -> bool:
        return isinstance(key, str) and cookie_format.is_id(key)

    def _get_new_session_key(self) -> str:
        return cookie_format.new_id()

    # Reading

    @sensitive_variables()
    def _open(self) -> None:
        """Open the cookies that were sent, once. The first valid and live one is the session's."""
        # A receiver of an event may look at the session, and must not open them again.
        sent, self._sent = self._sent, ()
        try:
            self._open_one_of(sent)
        except BaseException:
            # If the denylist gave no answer, the next look at the session asks again.
            self._sent = sent
            raise

    @sensitive_variables()
    def _open_one_of(self, sent: tuple[str, ...]) -> None:
        jar, is_old, is_told = self._jar, False, not any(sent)
        for place, value in enumerate(sent, start=1):
            try:
                found = jar.format.open(jar.name, value)
            except CookieError as exc:
                is_old = is_old or isinstance(exc, Expired)
                continue
            known = cookie_format.is_id(found.id)
            key = tokens.Key(found.id if known else cookie_format.id_of(value))
            content = Content(found.deadline or self._deadline_of(found.written_at), found.values)
            now = expiry._clock()
            left = self._end(content, found.written_at) - now
            if left <= 0:
                reason = ended_by(content.deadline, now)
                self._tell("expired", key, reason=reason, values=content.values)
                is_told = True
                continue
            if jar.is_denied(key):
                self._tell("unknown", key)
                is_told = True
                continue
            record = Record(key, found.data, left, now)
            jar.receive(record, value, content.deadline)
            self._found = record, content, found.rewrite or not known
            self._session_key = key
            self._candidates = sent[place:][:MOST_CANDIDATES]
            return
        if is_old:
            self._tell("expired", "", reason="idle")
        elif not is_told:
            self._tell("malformed", "")

    def load(self) -> dict[str, Any]:
        """Return the values of the cookie. Without a valid cookie there are no values and no id."""
        if self._sent:
            self._open()
        found, self._found = self._found, None
        if found is None or isinstance(self._life.state, Destroyed):
            return self._load_again()
        record, content, rewrite = found
        self._life.adopt(record, content)
        values = self._adopt(record, content)
        if rewrite:
            self.modified = True
        return values

    def _load_again(self) -> dict[str, Any]:
        record, content = self._jar.find(self._life.last_key), self._life.ancestor()
        if record is None or content is None:
            self._session_key = self._deadline = None
            return {}
        return self._adopt(record, content)

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        # Django's own first asks for the key, which may read the denylist: not in the event loop.
        # If it is open, it may not be loaded yet: a second load waits for the first.
        if self._was_sent and not no_load and "_session_cache" not in vars(self):
            return await sync_to_async(self._get_session)()
        return await super()._aget_session(no_load)

    def _deadline_of(self, written_at: float) -> datetime:
        """Return the deadline of a session that a Go application has begun."""
        begun = cookie_format.from_microseconds(int(written_at * 1_000_000))
        return expiry._later(begun, self.get_session_cookie_age())

    def _end(self, content: Content, written_at: float) -> float:
        """Return when a session ends if it is not used again, in Unix seconds."""
        end = content.deadline.timestamp()
        idle = self._options.idle_timeout
        if idle is None or content.values.get(CUSTOM_EXPIRY):
            return end
        return min(end, written_at + idle)

    def exists(self, session_key: str | None) -> bool:
        """Tell whether ``session_key`` is a cookie that holds a live session; an id never is."""
        session = type(self)(session_key)
        session._open()
        return session._found is not None

    def is_stored(self) -> bool:
        """Tell whether there is a cookie, sent or about to be."""
        self._get_session()
        return self._life.key is not None

    # Writing

    def save(self, must_create: bool = False) -> None:
        if must_create:
            # A new session does not open the cookies that were sent, and has an id of its own.
            self._sent, self._found = (), None
            if self._jar.find(self._session_key or ""):
                self._session_key = None
        super().save(must_create)

    def _insert(self) -> None:
        if self._session_key is None:
            self._session_key = self._get_new_session_key()
        self._note_renewal()
        self._life.insert(self.store_key(self._session_key), self._content())
        self._tell("saved")
        self.modified = True

    def delete(self, session_key: str | None = None) -> bool:  # type: ignore[override]
        """Remove the cookie; tell whether there was one. Cannot remove another session's."""
        if session_key is not None and session_key != self.session_key:
            return False
        self._get_session()
        key = self._key()
        removed = key is not None and self._life.remove(key, "delete")
        self._life.lose()
        return removed

    def merge_session(self, token: str) -> None:
        """Raise NotImplementedError if ``token`` is of another live session: it would stay."""
        if self.exists(token) and type(self)(token).session_key != self.session_key:
            raise NotImplementedError(
                "A session in a cookie cannot be merged into another: it would stay."
            )

    def _outcome(self, failed: bool) -> Outcome:
        if not self._jar.written:
            return Outcome()
        if not isinstance(self._life.state, Stored):
            return Outcome(forget=not self.token())
        return Outcome(self.token(), self._cookie_age())
