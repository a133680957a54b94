"""Moves sessions here from an engine that is not ours: SCS_MIGRATE_MODE "move".

A session of ours takes over the values and the end of the old one. Its token is derived from the
old key by a keyed hash, so that all requests of a page find the same session. The old engine is
never asked for a key of ours.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import signals, tokens
from ..backends.base import SessionStore
from . import changes, kept, keys
from .sources import Old, Rows, Source

# In seconds: more than a process needs from its mark to the deletion of the old session.
_MOVE_TAKES: Final = 1.0
_POLL: Final = 0.005


class FromEngine:
    """The move from one old engine. ``keeps``: it still serves its sessions, and new ones."""

    #: Whether browsers have the old key until their next request.
    gives_new_tokens = True

    def __init__(self, source: Source, *, keeps: bool = False) -> None:
        self.source = source
        self.keeps = keeps

    @property
    def name(self) -> str:
        """The dotted path of the old engine."""
        return self.source.engine.__module__

    @property
    def lists(self) -> bool:
        """Whether the sessions that are still in the old engine can be listed."""
        return self.source.lists

    def needs_one_form(self, session_class: type[SessionStore]) -> bool:
        """Tell whether a token must have one store key: with two, two marks could be made."""
        return not self.source.shares_database(keys.alias(session_class))

    def keys(self) -> Iterator[str]:
        """Yield the keys of the live sessions still in the old engine, if they can be listed."""
        return self.source.keys()

    def shared_with(self) -> list[str]:
        """Return the kinds of SCS_SESSIONS whose sessions are in the old engine too: none."""
        return []

    def count(self) -> int | None:
        """Return how many live sessions are still in the old engine, or None if that is unknown."""
        return self.source.count()

    def longest(self) -> float:
        """Return for how many seconds a browser may keep an old cookie, if sessions can be listed."""
        return self.source.longest()

    @sensitive_variables()
    def open(
        self, session_class: type[SessionStore], candidates: Iterable[str], request: HttpRequest
    ) -> Any:
        """Return the session of a request: one of ours or, with ``keeps``, one of the old engine."""
        sent = list(candidates)
        ours = any(tokens.well_formed(each) for each in sent)
        old = (tokens.Key(each) for each in sent if not ours and self.source.is_key(each))
        key = next(old, None)
        if self.keeps and not ours:
            if key is None and any(sent):
                signals.tell("malformed", session_class, "", request=request)
            return self._open_kept(session_class, key, request)
        if key is None:
            return session_class.for_request(sent, request)
        return self._open_moved(session_class, key, request)

    def move(
        self, session_class: type[SessionStore], key: str, request: HttpRequest | None = None
    ) -> str | None:
        """Move the session under an old key; return its token, or None if there is none to move."""
        if isinstance(self.source, Rows) and self.source.shares_database(keys.alias(session_class)):
            return self._move_row(self.source, session_class, key, request)
        return self._move_marked(session_class, key, request)

    def _open_kept(
        self, session_class: type[SessionStore], key: str | None, request: HttpRequest
    ) -> Any:
        session = kept.open_kept(self.source, session_class, key, request)
        # Old processes know only the sessions of the old engine, so a new session is one too.
        if key is None or session.peek():
            return session
        token = keys.find_moved(session_class, key)
        if token is not None:
            return session_class.open_moved(token, request)
        signals.tell("unknown_old", session_class, key, request=request)
        return session

    def _open_moved(
        self, session_class: type[SessionStore], key: str, request: HttpRequest
    ) -> SessionStore:
        old = self.source.find(key)
        if old is not None and not self.source.may_derive(old):
            return session_class.open_with(old.values, request)
        token = None
        if old is None or not self.source.forgets:
            token = keys.find_moved(session_class, key)
        if token is None and old is not None:
            token = self.move(session_class, key, request) or keys.find_moved(session_class, key)
        if token is None:
            signals.tell("unknown_old", session_class, key, request=request)
            return session_class.for_request([], request)
        return session_class.open_moved(token, request)

    def _move_row(
        self,
        source: Rows,
        session_class: type[SessionStore],
        key: str,
        request: HttpRequest | None,
    ) -> str | None:
        """Move a session whose row is in the same database as ours: all in one transaction."""

        def work() -> tuple[str, Old, list[str] | None] | None:
            old = source.take(key)
            return None if old is None else (token, old, self._insert(session_class, token, old))

        token = keys.token_of(session_class, key)
        moved = keys.atomically(session_class, work)
        if moved is None:
            return None
        source.forget_copies(key)
        self._tell(session_class, request, key, *moved)
        return token

    def _move_marked(
        self, session_class: type[SessionStore], key: str, request: HttpRequest | None
    ) -> str | None:
        """Move a session from another store. The request that makes the mark moves it."""
        old, token = self.source.find(key), keys.token_of(session_class, key)
        if old is None or not self.source.may_derive(old):
            return None
        lasts = old.seconds if not self.source.forgets else keys.MARK_LASTS

        def mark_and_insert() -> list[str] | None:
            if not keys.mark(session_class, key, lasts):
                return None
            return self._insert(session_class, token, old)

        def insert_and_mark() -> list[str] | None:
            # Without transactions, insert first: a request that finds the mark needs the session,
            # even if a process was killed between the two. Such a store refuses a destroyed token.
            if keys.is_marked(session_class, key):
                return None
            dropped = self._insert(session_class, token, old)
            if dropped is not None and not keys.mark(session_class, key, lasts):
                # The old session has ended meanwhile.
                session_class().delete(token)
                return None
            return dropped

        if keys.alias(session_class) is None:
            dropped = insert_and_mark()
        else:
            dropped = keys.atomically(session_class, mark_and_insert)
        if dropped is None:
            self._delete_moved(key)
            return None
        self._add_later_changes(session_class, key, token, old, dropped)
        self.source.delete(key)
        self._tell(session_class, request, key, token, old, dropped)
        return token

    def _delete_moved(self, key: str) -> None:
        """Remove an old session if the process that has moved it was killed before it could.

        That process first copies what was written meanwhile, so it gets the time for that.
        """
        until = time.monotonic() + _MOVE_TAKES
        while self.source.forgets and self.source.has(key):
            if time.monotonic() > until:
                self.source.delete(key)
                return
            time.sleep(_POLL)

    def _add_later_changes(
        self,
        session_class: type[SessionStore],
        key: str,
        token: str,
        old: Old,
        dropped: list[str],
    ) -> None:
        """Copy what an old process has written since ``old`` was read."""
        latest = self.source.find(key)
        if latest is None or latest.values == old.values:
            return
        values = {name: latest.values[name] for name in latest.values if name not in dropped}
        changes.add(session_class(token), old.values, values)

    def _insert(self, session_class: type[SessionStore], token: str, old: Old) -> list[str] | None:
        return session_class.take_over(token, old.values, old.seconds)

    def _tell(
        self,
        session_class: type[SessionStore],
        request: HttpRequest | None,
        key: str,
        token: str,
        old: Old,
        dropped: list[str] | None,
    ) -> None:
        about: Any = {"request": request, "user": old.values.get(SESSION_KEY)}
        new_key = session_class.store_key(token)
        signals.tell("moved", session_class, new_key, **about, old_key=key)
        if dropped:
            signals.tell("left_behind", session_class, new_key, **about, keys=dropped)
