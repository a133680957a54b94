"""What a login does to a session, by Django or by a Go application: see docs/security.md."""

from abc import abstractmethod
from typing import Any, Final

from django.contrib.auth import SESSION_KEY

from .. import conf, go_login
from .expiry import AUTHENTICATED_AT, Expiry
from .lifecycle import Content, Destroyed, Lost, Stored
from .twins import in_thread, once_loaded

# In bytes: what Django, a Go application and receivers of user_logged_in put into a session.
_ROOM_FOR_LOGIN: Final = 1024


class Logins(Expiry):
    """Gives each login a token of its own, notes its time, and shares it with a Go application."""

    @abstractmethod
    def _renew(self, *, extend: bool) -> None: ...

    def __setitem__(self, key: str, value: Any) -> None:
        go_login.refuse(key)
        if key == SESSION_KEY:
            self._begin_login()
            self._note_login(value)
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values. Django: update."""
        values = dict(*args, **kwargs)
        go_login.refuse(*values)
        if SESSION_KEY not in values:
            super().update(values)
            return
        for key, value in values.items():
            self[key] = value

    def setdefault(self, key: str, value: Any) -> Any:  # type: ignore[override]
        """Set a value if there is none, and return what is there then. Django: setdefault."""
        if key not in self._get_session():
            self[key] = value
        return self._get_session()[key]

    # A login writes to the store.
    asetdefault = in_thread(setdefault)

    def user_id(self) -> str | None:
        """Return the id of the user who is signed in, as Django keeps it; None if nobody is.

        In a session that ``iterate`` yields, it may be a user whom a Go application has signed in.
        """
        values = self._get_session()
        return go_login.user_of(values) if self._kind == conf.DEFAULT else values.get(SESSION_KEY)

    auser_id = once_loaded(user_id)

    def _begin_login(self) -> None:
        """Give the session a new token, just before a login is put into it.

        Django keeps the token when the same user logs in again. A lost session becomes a new one,
        which keeps a visitor's values, but not those of a user who was logged in.
        Source: OWASP Session Management, "Renew the Session ID After Any Privilege Level Change".
        """
        again = SESSION_KEY in self._get_session()
        # SCS_MAX_LIFETIME counts from this login, not from the one before.
        self._session_cache.pop(AUTHENTICATED_AT, None)
        state = self._life.state
        if isinstance(state, Stored) and (again or not state.origin.is_new_key):
            self.cycle_key()
            state = self._life.state
        if isinstance(state, Lost):
            if SESSION_KEY in self._session_cache:
                self._session_cache = {}
            self._life.begin()
        if isinstance(state, Lost | Destroyed):
            self.cycle_key()

    def _note_login(self, user_id: str) -> None:
        self._session_cache[AUTHENTICATED_AT] = int(self._store_now().timestamp())
        if self._kind == conf.DEFAULT:
            self._session_cache.update(go_login.as_go_has_it(user_id))

    def _follow_go(self) -> None:
        """Take over the login or logout that a Go application has left in the session just loaded.

        After a login the session gets a new token: the Go application may have kept the old one.
        """
        values = self._session_cache
        if self._kind != conf.DEFAULT or (user_id := go_login.reconcile(values)) is None:
            return
        self.modified = True
        values.pop(AUTHENTICATED_AT, None)
        if user_id:
            # If the Go application renewed the token at the login, the lifetime began then.
            begun = self._content().deadline.timestamp() - self.get_session_cookie_age()
            values[AUTHENTICATED_AT] = int(min(begun, self._store_now().timestamp()))
            self._renew(extend=False)

    def _refuses(self, content: Content, size: int, before: int) -> int | None:
        """Return how many bytes a content may take, if ``size`` is more than that, else None.

        A visitor's values leave room for a login, so that it does not fail. A session that has grown
        too large under another limit, or with a login, can be used and made smaller: it need only
        fit into the store.
        """
        is_larger = size > before
        room = _ROOM_FOR_LOGIN if is_larger and SESSION_KEY not in content.values else 0
        most_bytes = self._options.max_bytes if is_larger else None
        for limit in (most_bytes, self._life.store.refuses(size + room)):
            if limit is not None and size > (most := limit - min(room, limit // 4)):
                return most
        return None
