"""The move that SCS_MIGRATE_FROM and SCS_MIGRATE_MODE describe. See docs/moving.md."""

from functools import cache
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .. import conf
from ..backends import old_engine
from ..backends.base import SessionStore
from ..backends.cookie import SessionStore as CookieSessionStore
from .engines import FromEngine
from .sources import SignedCookies, choose
from .stores import FromOurs

Move = FromEngine | FromOurs

MOVE: Final = "move"
KEEP: Final = "keep"


@cache
def current() -> Move | None:
    """Return the move, or None if SCS_MIGRATE_FROM is not set. Raises ImproperlyConfigured."""
    path = getattr(settings, "SCS_MIGRATE_FROM", None)
    mode = getattr(settings, "SCS_MIGRATE_MODE", MOVE)
    if mode not in (MOVE, KEEP):
        raise ImproperlyConfigured(
            f"SCS_MIGRATE_MODE is {mode!r}, and must be {MOVE!r} or {KEEP!r}."
        )
    if path is None:
        return None
    engine = _engine(path)
    target = old_engine.class_of(conf.options().engine)
    if target is not None and issubclass(target, CookieSessionStore):
        raise ImproperlyConfigured(
            "SCS_MIGRATE_FROM cannot move sessions into cookies: set it to None, or SESSION_ENGINE to"
            " an engine with a store, such as 'django_scs.backends.db'."
        )
    ours = issubclass(engine, SessionStore)
    found = _from_ours(path, engine, mode) if ours else _from_engine(path, engine, mode)
    _refuse_two_forms(found)
    return found


def _from_engine(path: str, engine: type[SessionBase], mode: str) -> Move:
    try:
        source = choose(engine)
    except RuntimeError as exc:
        raise ImproperlyConfigured(_without_app(path, exc)) from exc
    if mode == KEEP and isinstance(source, SignedCookies):
        raise ImproperlyConfigured(
            "SCS_MIGRATE_MODE is 'keep', and must be 'move' for signed_cookies: its sessions are"
            " their cookies, so no other process can learn that one has ended."
        )
    return FromEngine(source, keeps=mode == KEEP)


def _from_ours(path: str, engine: type[SessionBase], mode: str) -> Move:
    if issubclass(engine, CookieSessionStore):
        raise ImproperlyConfigured(
            f"SCS_MIGRATE_FROM is {path!r}, whose sessions cannot be moved: each is in its cookie, so"
            " a copy of an old cookie would be a session again after a logout."
        )
    found = old_engine.find()
    if found is None:
        raise ImproperlyConfigured(_wrong(path))
    # Here it is checked that the old store has its settings.
    store = found.source.get_store()
    if mode == KEEP and getattr(store, "extra_fields", None):
        raise ImproperlyConfigured(
            f"SCS_MIGRATE_MODE is 'keep', and must be 'move' for {path!r}: its table has columns of"
            " your own, which the new engine does not write."
        )
    return FromOurs(found.source, found.target, keeps=mode == KEEP)


def _refuse_two_forms(found: Move) -> None:
    """Refuse a step of SCS_HASH_TOKENS during a move that needs all keys in one form."""
    hashing = conf.options().hash_tokens
    ours = old_engine.class_of(conf.options().engine)
    if isinstance(hashing, str) and ours is not None and found.needs_one_form(ours):
        raise ImproperlyConfigured(
            f"SCS_HASH_TOKENS is {hashing!r}, and must be True or False while SCS_MIGRATE_FROM is"
            f" {found.name!r}: hash the tokens before the move, or after it."
        )


def _engine(path: Any) -> type[SessionBase]:
    try:
        engine = import_module(path).SessionStore
        if issubclass(engine, SessionBase):
            return engine  # type: ignore[no-any-return]
    except RuntimeError as exc:
        raise ImproperlyConfigured(_without_app(path, exc)) from exc
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"{_wrong(path)} {exc}") from exc
    raise ImproperlyConfigured(_wrong(path))


def _without_app(path: str, exc: Exception) -> str:
    return (
        f"SCS_MIGRATE_FROM is {path!r}: the application that has its table must stay in"
        f" INSTALLED_APPS until the move is over. {exc}"
    )


def _wrong(path: Any) -> str:
    return (
        f"SCS_MIGRATE_FROM is {path!r}, and must be what SESSION_ENGINE was before, such as"
        " 'django.contrib.sessions.backends.db', or None."
    )


def _forget(**kwargs: Any) -> None:
    current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.moving")
