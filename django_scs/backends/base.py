"""A session with Django's and scs's methods. The rules are in ``lifecycle``."""

import weakref
from collections.abc import Iterable
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.views.decorators.debug import sensitive_variables

from .. import signals, tokens
from ..stores.base import Record
from .all_sessions import AllSessions
from .lifecycle import ABSENT_STATES, Content, Lifecycle
from .logins import Logins
from .outcome import Outcome, Status
from .takeover import MOST_CANDIDATES, TakeOver
from .twins import in_thread, once_loaded

__all__ = ["CreateError", "Outcome", "SessionStore", "Status", "UpdateError"]


class SessionStore(AllSessions, Logins, TakeOver):
    """A session with scs's rules behind Django's interface.

    Values are loaded at the first access. ``save`` writes only what differs from what was loaded,
    and only if nobody else wrote meanwhile; otherwise it merges first.
    """

    @cached_property
    def _life(self) -> Lifecycle:
        # A weak reference: a cycle would leave work for the garbage collector after each request.
        return Lifecycle(self._store(), self._options.codec, weakref.proxy(self))

    @classmethod
    def for_request(cls, candidates: Iterable[str], request: HttpRequest | None = None) -> Self:
        """Return the session of the first live token in ``candidates``; a new one if none is live.

        The signals of the session carry ``request``.
        """
        sent = [tokens.Key(token) for token in candidates]
        well_formed = [token for token in sent if tokens.well_formed(token)]
        session = cls(next(iter(well_formed), None))
        session._candidates = tuple(well_formed[1:MOST_CANDIDATES])
        session._request = None if request is None else weakref.ref(request)
        session._is_presented = True
        if any(sent) and not well_formed:
            session._tell("malformed", "")
        return session

    def __getstate__(self) -> dict[str, Any]:
        # A copy reads the settings itself, and a weak reference to a request cannot be pickled.
        others = ("_request", "_options")
        return {name: value for name, value in vars(self).items() if name not in others}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        life = vars(self).pop("_life", None)
        if life is not None:
            self._life.go_on_from(life)

    def _tell(self, event: str, key: str | None = None, **info: Any) -> None:
        # Most events have no listener: such an event must cost almost nothing.
        if not signals.is_heard(event):
            return
        request = None if self._request is None else self._request()
        values = info.pop("values", None) or vars(self).get("_session_cache", {})
        signals.tell(
            event,
            type(self),
            self._life.last_key if key is None else key,
            session=self,
            request=request,
            user=values.get(SESSION_KEY),
            **info,
        )

    # Loading

    def load(self) -> dict[str, Any]:
        """Read the session from the store and return its values.

        If the session is unknown, expired or unreadable, returns no values and drops the token:
        values set later make a new session. Unreadable data is logged and left in the store. What
        is loaded already stays. Raises the store's own error if the store cannot answer.
        """
        if "_session_cache" in vars(self):
            return type(self)(self.token()).load()
        own = self.session_key
        for token in (own, *self._candidates):
            found = self._life.load(self.store_keys(token)[0]) if token else None
            if found is not None:
                if token is not own:
                    self._session_key = token
                return self._adopt(*found)
        self._session_key = self._deadline = None
        return {}

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        self.accessed = True
        if "_session_cache" not in self.__dict__:
            if no_load or not self.session_key:
                self._session_cache = {}
            else:
                self._session_cache = self.load()
                self._follow_go()
                if self.session_key:
                    # Last, because a receiver may put values into the session.
                    self._tell("loaded")
        return self._session_cache

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        # A request has one thread for its sync work, so a second load finds what the first has loaded.
        if not hasattr(self, "_session_cache") and self.session_key and not no_load:
            return await sync_to_async(self._get_session)()
        return self._get_session(no_load)

    _session = property(_get_session)

    # Changing

    def clear(self) -> None:
        """Remove all values; token and deadline stay, unless ``set_expiry`` has set it.

        Source: scs Clear.
        """
        self.set_expiry(None)
        self._session_cache = {}
        self.modified = True

    # Writing

    def create(self) -> None:
        """Write a new session with a new token. Django: create."""
        self._session_key = self._get_new_session_key()
        self._deadline = None
        self.save(must_create=True)

    def save(self, must_create: bool = False) -> None:
        """Write the session in one statement, whether it is new, changed or unchanged.

        Merges what others wrote meanwhile (see ``merge``); the values then include it.
        Raises CreateError if ``must_create`` and the token is taken, UpdateError if the session was
        destroyed meanwhile, EncodeError or SessionTooLarge for values that cannot be kept,
        SessionBusy if others saved first for ten seconds, and the store's own errors.
        """
        self._get_session(no_load=must_create)
        if must_create and not self._life.begin(self.session_key and self._key()):
            raise CreateError
        if isinstance(self._life.state, ABSENT_STATES):
            self._insert()
        elif not self._update():
            raise UpdateError

    def _insert(self) -> None:
        if self.session_key is None:
            self._session_key = self._get_new_session_key()
        self._note_renewal()
        if not self._life.insert(self.store_key(self.token()), self._content()):
            raise CreateError
        self._tell("saved")
        # Every middleware, Django's too, then sends the cookie.
        self.modified = True

    def _update(self) -> bool:
        saved = self._life.save(self._key() or "", self._content())
        if saved is not None:
            self._hold(saved)
            self._tell("saved")
        return saved is not None

    def _hold(self, content: Content) -> None:
        self._deadline, self._session_cache = content

    def flush(self) -> bool:  # type: ignore[override]
        """Destroy the session: its row, its values and its token; tell whether there was a row.

        Also destroys the sessions of the browser's other cookies of the same name: the next request
        would use one of them. Source: scs Destroy.
        """
        return self._destroy("flush")

    def _destroy(self, reason: str) -> bool:
        if self._candidates:
            # Loading finds out which token is that of the live session.
            self._get_session()
        own, removed = self.token(), self._life.destroy(self._key(), reason)
        beside = [type(self)(token) for token in self._candidates if token != own]
        self._beside, self._candidates = [*self._beside, *beside], ()
        for session in beside:
            session._destroy(reason)
        self._session_key = self._deadline = None
        self._session_cache = {}
        self.accessed = self.modified = True
        return removed

    def cycle_key(self) -> None:
        """Give the session a new token and a new lifetime. Source: scs RenewToken.

        The old token is dead when this returns, and the new one is in the store. If another request
        renewed or destroyed the session first, this one is lost: its values can be read until the end
        of the request, and are not saved, unless a user logs in.
        """
        self._renew(extend=True)

    def renew_token(self, extend: bool = True) -> None:
        """Do what ``cycle_key`` does. It is scs's name. Without ``extend`` the deadline stays.

        Source: NIST SP 800-63B-4, 5.2: a session secret alone must not extend a session.
        """
        self.cycle_key() if extend else self._renew(extend=False)

    @sensitive_variables()
    def _renew(self, *, extend: bool) -> None:
        self._get_session()
        token, before = self._get_new_session_key(), self._deadline
        if extend:
            self._deadline = self._new_deadline()
        self._note_renewal()
        self.modified = True
        renewed = self._life.renew(self.store_key(token), self._content())
        if renewed is None:
            self._session_key, self._deadline = None, before
        else:
            self._replaced = (*self._replaced, self.token())
            self._session_key = token
            self._hold(renewed)

    def take(self, key: str, default: Any = None, *, give_back: bool = False) -> Any:
        """Remove a value from the store, then return it; ``default`` if it is not there.

        If several requests take a value at once, one of them gets it. Makes one statement, or none
        if this request itself has put the value. Other changes stay unsaved. With ``give_back``, if
        the view then fails, the value is put back for the next request.
        """
        return self.take_all([key], give_back=give_back).get(key, default)

    @sensitive_variables()
    def take_all(self, keys: Iterable[str], *, give_back: bool = False) -> dict[str, Any]:
        """Do what ``take`` does for several keys, in one statement; return those that were there."""
        names = [key for key in keys if key in self._get_session()]
        if not names:
            return {}
        taken, content, is_due = self._life.take(names, self._content(), give_back=give_back)
        self._hold(content)
        # Every middleware, Django's too, then saves.
        self.modified = self.modified or is_due
        return taken

    # Encoding

    def encode(self, session_dict: dict[str, Any], key: str = "") -> bytes:  # type: ignore[override]
        """Return ``session_dict`` and this session's deadline as the store keeps them.

        ``key`` is the store key, by default this session's. A codec may need it.
        """
        deadline = self._content().deadline
        return self._life.encode(Content(deadline, session_dict), key or self._key() or "")

    def decode(self, session_data: bytes | str, key: str = "") -> dict[str, Any]:
        """Return the values in ``session_data``; none, with a line in the log, if it is corrupt.

        ``key`` is the store key, by default this session's. A codec may need it, and the log line
        has its fingerprint.
        """
        data = (
            session_data.encode(errors="replace") if isinstance(session_data, str) else session_data
        )
        content = self._life.read(Record(key or self._key() or "", data, 0, 0))
        return content.values if content else {}

    # Async twins

    async def aset(self, key: str, value: Any) -> None:
        """Do what ``session[key] = value`` does."""
        await self.aupdate({key: value})

    async def aupdate(self, dict_: Any) -> None:
        """Do what ``update`` does."""
        values = dict(dict_)
        await self._aget_session()
        # A login writes to the store.
        await sync_to_async(self.update)(values) if SESSION_KEY in values else self.update(values)

    aload = in_thread(load)
    acreate = in_thread(create)
    asave = in_thread(save)
    aflush = in_thread(flush)  # type: ignore[arg-type]
    acycle_key = in_thread(cycle_key)
    arenew_token = in_thread(renew_token)
    atake = in_thread(take)
    atake_all = in_thread(take_all)

    aput = aset
    aclear = once_loaded(clear)
