"""The engine that SCS_MIGRATE_FROM names, if it is one of ours."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed

from .. import conf

if TYPE_CHECKING:
    from .base import SessionStore


class OldEngine(NamedTuple):
    """The session classes of the old and the new engine, and whether sessions move yet."""

    source: "type[SessionStore]"
    target: "type[SessionStore]"
    moves: bool


@cache
def find() -> OldEngine | None:
    """Return the engine that SCS_MIGRATE_FROM names; None if it names none, or none of ours.

    ``django_scs.moving.current`` reports wrong settings.
    """
    path = getattr(settings, "SCS_MIGRATE_FROM", None)
    if path is None:
        return None
    source, target = class_of(path), class_of(conf.options().engine)
    if source is None or target is None or source._place() == target._place():
        return None
    return OldEngine(source, target, getattr(settings, "SCS_MIGRATE_MODE", "move") == "move")


def class_of(path: Any) -> "type[SessionStore] | None":
    """Return the session class of an engine of ours; None for every other dotted path."""
    from .base import SessionStore

    try:
        found = import_module(path).SessionStore
        return found if issubclass(found, SessionStore) else None
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
        return None


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("SCS_MIGRATE_", "SESSION_ENGINE")):
        find.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.backends.old_engine")
