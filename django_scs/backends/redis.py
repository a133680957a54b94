"""``SESSION_ENGINE = "django_scs.backends.redis"``: sessions in Redis."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from ..stores.redis import RedisStore, from_settings
from . import base
from .base import CreateError, UpdateError

__all__ = ["CreateError", "SessionStore", "UpdateError"]


@cache
def _store() -> RedisStore:
    """Return the store of this process. Its connections are safe across a fork."""
    return from_settings(lambda name, default: getattr(settings, name, default))


class SessionStore(base.SessionStore):
    """A session in Redis, where ``SCS_REDIS`` says."""

    @classmethod
    def get_store(cls) -> RedisStore:
        return _store()


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith("SCS_REDIS"):
        _store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_scs.backends.redis")
