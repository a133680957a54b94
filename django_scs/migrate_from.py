"""Takes over the sessions of another engine with nobody logged out: see docs/moving.md.

A cookie of the engine that SCS_MIGRATE_FROM names is looked up there. With SCS_MIGRATE_MODE "move" its
session is moved: its values and its end go on in a session of ours, whose token is derived from the
old key by a keyed hash, so that all requests of a page find the same one. With "keep" the old engine
goes on to serve it, which lets old and new processes run side by side. A key of ours never reaches
the old engine.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from . import conf, signals, tokens
from .backends.base import SessionStore
from .merge import merge
from .migrate_sources import Old, Rows, SignedCookies, Source, choose

T = TypeVar("T")

MOVE: Final = "move"
KEEP: Final = "keep"

_SALT: Final = "django_scs.migrate_from"
# In seconds: until the slowest request that read the old session has ended.
_MARK_LASTS: Final = 3600.0


@cache
def current() -> "Migration | None":
    """Return what is under way by SCS_MIGRATE_FROM, or None. Raises ImproperlyConfigured."""
    path = getattr(settings, "SCS_MIGRATE_FROM", None)
    mode = getattr(settings, "SCS_MIGRATE_MODE", MOVE)
    if mode not in (MOVE, KEEP):
        raise ImproperlyConfigured(
            f"SCS_MIGRATE_MODE is {mode!r}, and must be {MOVE!r} or {KEEP!r}."
        )
    if path is None:
        return None
    source = _source(path)
    if conf.options().engine == conf.COOKIE_ENGINE:
        raise ImproperlyConfigured(
            "SCS_MIGRATE_FROM cannot move sessions into cookies: set it to None, or SESSION_ENGINE to"
            " an engine with a store, such as 'django_scs.backends.db'."
        )
    if mode == KEEP and isinstance(source, SignedCookies):
        raise ImproperlyConfigured(
            "SCS_MIGRATE_MODE is 'keep', and must be 'move' for signed_cookies: its sessions are"
            " their cookies, so no other process can learn that one has ended."
        )
    return Migration(source, mode)


def _source(path: Any) -> Source:
    try:
        engine = import_module(path).SessionStore
        if issubclass(engine, SessionBase) and not issubclass(engine, SessionStore):
            return choose(engine)
    except RuntimeError as exc:
        raise ImproperlyConfigured(
            f"SCS_MIGRATE_FROM is {path!r}: the application that has its table must stay in"
            f" INSTALLED_APPS until the move is over. {exc}"
        ) from exc
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"{_wrong(path)} {exc}") from exc
    raise ImproperlyConfigured(_wrong(path))


def _wrong(path: Any) -> str:
    return (
        f"SCS_MIGRATE_FROM is {path!r}, and must be what SESSION_ENGINE was before, such as"
        " 'django.contrib.sessions.backends.db', or None."
    )


class Migration:
    """What is done with the keys of one old engine."""

    def __init__(self, source: Source, mode: str = MOVE) -> None:
        self.source = source
        self.mode = mode

    @sensitive_variables()
    def open(
        self, session_class: type[SessionStore], candidates: Iterable[str], request: HttpRequest
    ) -> Any:
        """Return the session of a request: one of ours or, with "keep", one of the old engine."""
        sent = list(candidates)
        ours = any(tokens.well_formed(each) for each in sent)
        old = (tokens.Key(each) for each in sent if not ours and self.source.is_key(each))
        key = next(old, None)
        if self.mode == KEEP and not ours and (key is not None or not any(sent)):
            return self._keep(session_class, key, request)
        if key is None:
            return session_class.for_request(sent, request)
        return self._open_moved(session_class, key, request)

    def move(self, session_class: type[SessionStore], key: str) -> str | None:
        """Move the session under an old key; return its token, or None if there is none to move."""
        if isinstance(self.source, Rows) and self.source.alias == _alias(session_class):
            return self._move_row(self.source, session_class, key)
        return self._move_marked(session_class, key)

    def find_moved(self, session_class: type[SessionStore], key: str) -> str | None:
        """Return the token of the live session that was moved from an old key, or None."""
        found = (token for token in _tokens(session_class, key) if session_class().exists(token))
        return next(found, None)

    def end(self, session_class: type[SessionStore], key: str) -> None:
        """See to it that an old key, whose session the old engine has just ended, moves nothing."""
        for token in _tokens(session_class, key):
            session_class().delete(token)

    def forbid(self, session_class: type[SessionStore], key: str) -> None:
        """See to it that no request which has read an old session can still move it."""
        if not (isinstance(self.source, Rows) and self.source.alias == _alias(session_class)):
            _mark(session_class, key, _MARK_LASTS)

    def is_marked(self, session_class: type[SessionStore], key: str) -> bool:
        """Tell whether an old session was moved, or has ended, which only a mark can show."""
        record = session_class.get_store().find(session_class.store_keys(_mark_token(key))[0])
        return record is not None and record.is_live

    def close(
        self,
        session: "Kept",
        request: HttpRequest,
        response: HttpResponse,
        close_ours: Callable[[SessionStore, HttpRequest, HttpResponse], HttpResponse],
    ) -> HttpResponse:
        """Save a session of the old engine at the end of a request, as Django's middleware does.

        A cookie that is unknown stays. What was changed here in a session that was moved meanwhile
        is merged into it.
        """
        if session.is_empty() and not session.was_deleted:
            if session.accessed:
                patch_vary_headers(response, ["Cookie"])
            return response
        try:
            return SessionMiddleware(_no_response).process_response(request, response)
        except SessionInterrupted:
            ours = session.moved_to()
            if ours is None:
                raise
            request.session = ours
            return close_ours(ours, request, response)

    # With "move"

    def _open_moved(
        self, session_class: type[SessionStore], key: str, request: HttpRequest
    ) -> SessionStore:
        old = self.source.find(key)
        if old is not None and not self.source.may_derive(old):
            return session_class.open_with(old.values, request)
        token = None
        if old is None or not self.source.forgets:
            token = self.find_moved(session_class, key)
        if token is None and old is not None:
            token = self.move(session_class, key) or self.find_moved(session_class, key)
        if token is None:
            signals.tell("unknown_old", session_class, key, request=request)
            return session_class.for_request([], request)
        return session_class.open_moved(token, request)

    def _move_row(self, source: Rows, session_class: type[SessionStore], key: str) -> str | None:
        """Move a session whose row is in the same database as ours: all in one transaction."""

        def work() -> tuple[str, Old, list[str] | None] | None:
            old = source.take(key)
            return None if old is None else (token, old, self._insert(session_class, token, old))

        token = _token(session_class, key)
        moved = _atomically(session_class, work)
        if moved is None:
            return None
        source.forget_copies(key)
        self._tell(session_class, key, *moved)
        return token

    def _move_marked(self, session_class: type[SessionStore], key: str) -> str | None:
        """Move a session of another store: who makes the mark moves it."""
        old, token = self.source.find(key), _token(session_class, key)
        if old is None or not self.source.may_derive(old):
            return None
        lasts = old.seconds if not self.source.forgets else _MARK_LASTS

        def work() -> list[str] | None:
            if not _mark(session_class, key, lasts):
                return None
            return self._insert(session_class, token, old)

        dropped = _atomically(session_class, work)
        if dropped is None:
            # The process that moved it may have ended before it deleted the old one.
            self.source.delete(key)
            return None
        self._add_later_changes(session_class, key, token, old, dropped)
        self.source.delete(key)
        self._tell(session_class, key, token, old, dropped)
        return token

    def _add_later_changes(
        self,
        session_class: type[SessionStore],
        key: str,
        token: str,
        old: Old,
        dropped: list[str],
    ) -> None:
        """Bring along what an old process has written since ``old`` was read."""
        latest = self.source.find(key)
        if latest is None or latest.values == old.values:
            return
        values = {name: latest.values[name] for name in latest.values if name not in dropped}
        _add_changes(session_class(token), old.values, values)

    def _insert(self, session_class: type[SessionStore], token: str, old: Old) -> list[str] | None:
        return session_class.take_over(token, old.values, old.seconds)

    def _tell(
        self,
        session_class: type[SessionStore],
        key: str,
        token: str,
        old: Old,
        dropped: list[str] | None,
    ) -> None:
        new_key, user = session_class.store_key(token), old.values.get(SESSION_KEY)
        signals.tell("moved", session_class, new_key, user=user, old_key=key)
        if dropped:
            signals.tell("left_behind", session_class, new_key, user=user, keys=dropped)

    # With "keep"

    def _keep(
        self, session_class: type[SessionStore], key: str | None, request: HttpRequest
    ) -> Any:
        session = _kept_class(self, session_class)(key, **self._arguments(request))
        if key is None or session.peek():
            return session
        token = self.find_moved(session_class, key)
        if token is not None:
            return session_class.open_moved(token, request)
        signals.tell("unknown_old", session_class, key, request=request)
        return session

    def _arguments(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the middleware of a package gives to its engine beside the key."""
        known = {
            "user_agent": request.headers.get("User-Agent", ""),
            "ip": request.META.get("REMOTE_ADDR", ""),
        }
        taken = signature(self.source.engine).parameters
        return {name: value for name, value in known.items() if name in taken}


class Kept(SessionBase):
    """A session that the old engine goes on to serve; mixed into its class.

    When it ends or gets a new key, what was moved from its old key ends too.
    """

    _migration: Migration
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
        if key is not None and self._migration.source.has(key):
            values = super().load()
        else:
            self._session_key = None
        self._found = deepcopy(values)
        return values

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    def save(self, must_create: bool = False) -> None:
        """Save as the engine does; UpdateError for a session that is gone, whatever the engine says."""
        source, key = self._migration.source, self.session_key
        if must_create or key is None or isinstance(self, db.SessionStore):
            return super().save(must_create)
        if not isinstance(source, Rows):
            super().save()
            # It may have been moved, or ended, after the engine found that it is still there.
            if self._migration.is_marked(self._ours, key):
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
        if key is None or not self._migration.source.is_key(key):
            return super().delete(session_key)
        self._migration.forbid(self._ours, key)
        super().delete(session_key)
        self._migration.end(self._ours, key)
        return None

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    def moved_to(self) -> SessionStore | None:
        """Return the session that this one was moved to meanwhile, with what was changed here."""
        key = self.session_key
        token = self._migration.find_moved(self._ours, key) if key else None
        if token is None:
            return None
        session = self._ours.open_moved(token, None)
        _apply(session, self._found, self._session)  # type: ignore[attr-defined]
        return session


@cache
def _kept_class(migration: Migration, ours: type[SessionStore]) -> Any:
    engine = migration.source.engine
    names = {
        "_migration": migration,
        "_ours": ours,
        "__module__": engine.__module__,
        # Django signs a session's data with it.
        "__qualname__": engine.__qualname__,
    }
    return type(engine.__name__, (Kept, engine), names)


def _token(session_class: type[SessionStore], key: str) -> str:
    return next(_tokens(session_class, key))


def _tokens(session_class: type[SessionStore], key: str) -> Iterator[str]:
    """Yield the token that an old key leads to by SECRET_KEY, and by each of its fallbacks.

    Keyed, because an old backup full of keys must not be worth a session.
    """
    size = conf.options(session_class._kind).token_bytes
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        digest = salted_hmac(_SALT, key, secret=secret, algorithm="sha256").digest()
        yield tokens.Key(tokens.encode(digest[:size]))


def _mark(session_class: type[SessionStore], key: str, seconds: float) -> bool:
    """Note, as an empty session, that an old key was moved or has ended; False if that is known."""
    return session_class.take_over(_mark_token(key), {}, seconds) is not None


def _mark_token(key: str) -> str:
    """Return what stands for the token of the mark. It does not depend on SECRET_KEY, which may change.

    Who has the old key can compute it, and must not be able to end the mark as a session.
    """
    digest = hashlib.sha256(f"{_SALT} mark {key}".encode()).digest()
    return tokens.no_token(tokens.encode(digest))


def _alias(session_class: Any) -> str | None:
    return getattr(session_class.get_store(), "alias", None)


def _atomically(session_class: type[SessionStore], work: Callable[[], T]) -> T:
    """Do ``work`` in one transaction, where the store has such a thing."""
    atomically: Callable[[Callable[[], T]], T] | None = getattr(
        session_class.get_store(), "atomically", None
    )
    return work() if atomically is None else atomically(work)


def _add_changes(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    """Save what changed between ``base`` and ``values`` in a session, unless that is gone."""
    if session.is_stored():
        _apply(session, base, values)
        try:
            session.save()
        except UpdateError:
            signals.tell("dropped", type(session), "", keys=sorted(values))


def _apply(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    now = dict(session.items())
    merged = merge(base, values, now)
    for name in now.keys() - merged.keys():
        del session[name]
    for name, value in merged.items():
        if name not in now or now[name] != value:
            session[name] = value


def _no_response(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


def _forget(**kwargs: Any) -> None:
    current.cache_clear()
    _kept_class.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.migrate_from")
