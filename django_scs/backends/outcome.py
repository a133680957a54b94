"""The end of a request: what happened to a session, and what the browser must be told."""

import weakref
from abc import abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from django.http import HttpRequest

from ..merge import same
from .expiry import CUSTOM_EXPIRY, RENEWED_AT, Expiry
from .lifecycle import ABSENT, ABSENT_STATES, Destroyed, Origin, Stored
from .twins import in_thread, once_loaded


class Status(Enum):
    """What happened to a session in this request. Source: scs data.go Status."""

    UNMODIFIED = "unmodified"
    MODIFIED = "modified"
    DESTROYED = "destroyed"


class Outcome(NamedTuple):
    """What to tell the browser after a request: nothing, a token, or (``forget``) to delete it.

    ``max_age`` is in seconds; with None the cookie ends when the browser is closed. ``created`` tells
    whether a new session was put into the store.
    """

    token: str = ""
    max_age: int | None = None
    forget: bool = False
    created: bool = False

    def __repr__(self) -> str:
        return f"<outcome: {'a token' if self.token else 'forget' if self.forget else 'nothing'}>"


class Ending(Expiry):
    """Adds ``commit``, which the manager calls at the end of a request."""

    #: Set it to True in a request that does not count as use, such as that of a polling script.
    is_background = False
    _request: "weakref.ref[HttpRequest] | None" = None
    # The tokens that this session had in this request before the present one.
    _replaced: tuple[str, ...] = ()
    # False if the browser sent a key of another engine, and does not know the token yet.
    _is_told = True
    # Whether it was opened for the request. A view may replace that session by another one.
    _is_presented = False
    # The sessions of the browser's other cookies of this name, which were destroyed with it.
    _beside: "Sequence[Ending]" = ()

    def commit(self, failed: bool = False) -> Outcome:
        """Save the session if there is something to save, and return what to tell the browser.

        With ``failed``, because the view failed, nothing is saved, and values that were taken with
        ``give_back`` are put back. A destroyed session stays destroyed, even if the view failed or
        its transaction was rolled back. Changes to a session that is gone are dropped, with an
        event. Raises what ``save`` raises, but if the session was only read, an error becomes an
        event, and the expiry stays as it is. Source: scs Commit.
        """
        for session in (self, *self._beside):
            session._life.repeat()
        if isinstance(self._life.state, Destroyed) and (failed or self.is_empty()):
            return Outcome(forget=True)
        if not failed and self._is_renewal_due():
            self._renew_and_go_on()
        if failed:
            self._give_back()
        elif self._is_save_due() and not self._is_empty_now() and not self._is_poll():
            try:
                self._commit_changes()
            except Exception:
                if self._is_changed():
                    raise
                self._tell("touch_failed", self._life.last_key, exc_info=True)
        return self._outcome(failed)

    def is_commit_due(self) -> bool:
        """Tell whether ``commit`` may talk to the store."""
        return self._is_save_due() or self._life.owes or self._is_renewal_due()

    def status(self) -> Status:
        """Return what happened to the session in this request. Source: scs Status."""
        # If it has a token or values, a new session was begun after the old one was destroyed.
        if isinstance(self._life.state, Destroyed) and self.is_empty():
            return Status.DESTROYED
        return Status.MODIFIED if self.modified else Status.UNMODIFIED

    def changed_keys(self) -> list[str]:
        """Return the keys whose values differ from what this request found, sorted."""
        values, base = self._get_session(), self._life.ancestor()
        found = {} if base is None else base.values
        changed = [
            key
            for key in {*values, *found}
            if not same(values.get(key, ABSENT), found.get(key, ABSENT))
        ]
        # A session that gorilla/sessions shares may have keys that are no str.
        return sorted(changed, key=str)

    acommit = in_thread(commit)
    achanged_keys = once_loaded(changed_keys)

    @abstractmethod
    def _insert(self) -> None: ...

    @abstractmethod
    def _update(self) -> bool: ...

    @abstractmethod
    def _renew(self, *, extend: bool) -> None: ...

    @abstractmethod
    def _tell(self, event: str, key: str | None = None, **info: Any) -> None: ...

    def _give_back(self) -> None:
        try:
            self._life.give_back()
        except Exception:
            # The page has failed already, and a new token must still reach the browser.
            self._tell("give_back_failed", self._life.last_key, exc_info=True)

    def _is_save_due(self) -> bool:
        due = self.modified or self._options.save_every_request
        return due or getattr(self._life.state, "again", False)

    def _is_poll(self) -> bool:
        """Tell whether a save would only record use, and this request does not count as use."""
        state = self._life.state
        is_loaded = isinstance(state, Stored) and state.origin is Origin.LOADED and not state.again
        return self.is_background and is_loaded and not self._is_changed()

    def _note_renewal(self) -> None:
        if self._options.renew_after is not None:
            self._get_session()[RENEWED_AT] = int(self._store_now().timestamp())

    def _is_renewal_due(self) -> bool:
        """Tell whether SCS_RENEW_AFTER asks for a new token in this request.

        Only a request that opens a page renews: the page's own requests come after it, with the new
        cookie, and those of the page before have mostly ended.
        """
        after = self._options.renew_after
        state = self._life.state
        if after is None or not isinstance(state, Stored) or state.origin is not Origin.LOADED:
            return False
        request = None if self._request is None else self._request()
        if request is None or request.headers.get("Sec-Fetch-Mode") != "navigate":
            return False
        renewed_at = self._get_session().get(RENEWED_AT)
        if not isinstance(renewed_at, int):
            return True
        return self._store_now().timestamp() - renewed_at >= after

    def _renew_and_go_on(self) -> None:
        values = self._get_session()
        before = {name: values[name] for name in (RENEWED_AT,) if name in values}
        try:
            self._renew(extend=False)
        except Exception:
            # The old token is still valid; the next request tries again.
            values.pop(RENEWED_AT, None)
            values.update(before)
            self._tell("renewal_failed", self._life.last_key, exc_info=True)

    def _is_empty_now(self) -> bool:
        if self.session_key:
            # Loading drops the token if it is unknown.
            self._get_session()
        return self.is_empty()

    def _commit_changes(self) -> None:
        if isinstance(self._life.state, ABSENT_STATES):
            self._insert()
            return
        settled = self._life.is_settled(self._key() or "", self._content())
        if not settled and not self._update() and (keys := self.changed_keys()):
            self._tell("dropped", keys=keys)

    def _is_changed(self) -> bool:
        base, content = self._life.ancestor(), self._content()
        # With ``set_expiry`` the deadline follows from a value; seconds count from each save.
        is_moved = base is None or (
            not content.values.get(CUSTOM_EXPIRY) and content.deadline != base.deadline
        )
        return is_moved or self.changed_keys() != []

    def _ends_otherwise(self, state: Stored) -> bool:
        """Tell whether the end of the browser's cookie has changed since the session was loaded."""
        seen = self._sighting
        return seen is not None and (seen.deadline, seen.closes_with_browser) != (
            state.deadline,
            self.get_expire_at_browser_close(),
        )

    def _outcome(self, failed: bool) -> Outcome:
        state = self._life.state
        if not isinstance(state, Stored):
            return Outcome()
        if state.key != self._key():
            # A rollback has undone a renewal. The token from before it may be one of this request.
            known = (token for token in self._replaced if state.key in self.store_keys(token))
            self._session_key = next(known, self.session_key)
        if state.key != self._key():
            return Outcome()
        created = state.origin is Origin.INSERTED
        if failed:
            # After a renewal the old token is dead. The token of a new session is not sent.
            due = state.origin is Origin.RENAMED or not self._is_told
        else:
            due = state.origin.is_new_key or self._ends_otherwise(state)
            due = due or self._is_sent_always(state) or not self._is_told
            due = due or (self.modified and not self._is_presented)
        if not due:
            return Outcome(created=created)
        return Outcome(self.token(), self._cookie_age(), created=created)

    def _is_sent_always(self, state: Stored) -> bool:
        return self._options.save_every_request and state.origin is not Origin.LOADED
