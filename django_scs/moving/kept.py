"""Sessions that the engine of SCS_MIGRATE_FROM still serves: SCS_MIGRATE_MODE "keep"."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from inspect import signature
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signals import setting_changed
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from ..backends.base import SessionStore
from . import keys
from .changes import apply
from .sources import Rows, Source


class Kept(SessionBase):
    """A session that the old engine still serves; mixed into that engine's class.

    When it ends or gets a new key, what was moved from its old key ends too.
    """

    _source: Source
    _ours: type[SessionStore]
    _found: dict[str, Any]
    #: Whether this request has ended the session, or given it another key.
    was_deleted = False

    def peek(self) -> bool:
        """Load the session, and tell whether there is one, without counting as access."""
        self._get_session()  # type: ignore[attr-defined]
        self.accessed = False
        return self.session_key is not None

    def load(self) -> dict[str, Any]:
        """Load as the engine does, but write nothing for a key that is unknown or has expired."""
        key, values = self.session_key, {}
        if key is None or not self._source.has(key):
            self._session_key = None
        else:
            values = super().load()
            if self.session_key not in (key, None):
                # The session was moved after ``has``, and the engine made a new one: remove that.
                super().delete(self.session_key)
                self._session_key, values = None, {}
        self._found = deepcopy(values)
        return values

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    def save(self, must_create: bool = False) -> None:
        """Save as the engine does, but always raise UpdateError if the session is gone."""
        source, key = self._source, self.session_key
        if must_create or key is None or isinstance(self, db.SessionStore):
            return super().save(must_create)
        if not isinstance(source, Rows):
            super().save()
            # The session may have been moved, or ended, after the engine last found it.
            if keys.is_marked(self._ours, key):
                super().delete(key)
                raise UpdateError
            return None
        with transaction.atomic(source.alias):
            if not source.rows().select_for_update().filter(pk=key).exists():
                raise UpdateError
            return super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        self.was_deleted = True
        if key is None or not self._source.is_key(key):
            return super().delete(session_key)
        if not self._source.shares_database(keys.alias(self._ours)):
            # The mark stops each request that has read the old session from moving it.
            keys.mark(self._ours, key, keys.MARK_LASTS)
        super().delete(session_key)
        for token in keys.tokens_of(self._ours, key):
            self._ours().delete(token)
        return None

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    def moved_to(self, request: HttpRequest) -> SessionStore | None:
        """Return the session that this one was moved to, with its changes; None if it was not."""
        key = self.session_key
        token = keys.find_moved(self._ours, key) if key else None
        if token is None:
            return None
        session = self._ours.open_moved(token, request)
        apply(session, self._found, self._session)  # type: ignore[attr-defined]
        return session


def open_kept(
    source: Source, ours: type[SessionStore], key: str | None, request: HttpRequest
) -> Kept:
    """Return the session of an old key, or a new one of the old engine; nothing is read yet."""
    session: Kept = _kept_class(source, ours)(key, **_arguments(source, request))
    return session


def close_kept(
    session: Kept,
    request: HttpRequest,
    response: HttpResponse,
    close_ours: Callable[[SessionStore, HttpRequest, HttpResponse], HttpResponse],
) -> HttpResponse:
    """Save a session of the old engine at the end of a request, as Django's middleware does.

    An unknown cookie stays. If the session was moved meanwhile, its changes are merged into the
    session that it was moved to.
    """
    if session.is_empty() and not session.was_deleted:
        if session.accessed:
            patch_vary_headers(response, ["Cookie"])
        return response
    try:
        return SessionMiddleware(_no_response).process_response(request, response)
    except SessionInterrupted:
        ours = session.moved_to(request)
        if ours is None:
            raise
        request.session = ours
        return close_ours(ours, request, response)


@cache
def _kept_class(source: Source, ours: type[SessionStore]) -> Any:
    engine = source.engine
    names = {
        "_source": source,
        "_ours": ours,
        "__module__": engine.__module__,
        # Django signs a session's data with this name in the salt.
        "__qualname__": engine.__qualname__,
    }
    return type(engine.__name__, (Kept, engine), names)


def _arguments(source: Source, request: HttpRequest) -> dict[str, Any]:
    """Return the arguments that a package's middleware gives its engine besides the key."""
    known = {
        "user_agent": request.headers.get("User-Agent", ""),
        "ip": request.META.get("REMOTE_ADDR", ""),
    }
    taken = signature(source.engine).parameters
    return {name: value for name, value in known.items() if name in taken}


def _no_response(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


def _forget(**kwargs: Any) -> None:
    _kept_class.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.moving.kept")
