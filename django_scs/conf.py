"""The SCS_* settings: one typed accessor each, read lazily.

An accessor raises ImproperlyConfigured, naming the value and the choices, when its setting is wrong;
``manage.py check`` calls them all. What an accessor found is kept until a setting changes.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .codecs.base import Codec


@cache
def lifetime() -> float:
    """Return how many seconds a session lives, from its creation or renewal to its deadline.

    ``SCS_LIFETIME``, a number of seconds or a timedelta; ``SESSION_COOKIE_AGE`` if it is not set.
    Source: scs SessionManager.Lifetime.
    """
    seconds = _seconds("SCS_LIFETIME")
    return settings.SESSION_COOKIE_AGE if seconds is None else seconds


@cache
def idle_timeout() -> float | None:
    """Return how many seconds a session may go unused, or None if that does not matter.

    ``SCS_IDLE_TIMEOUT``, a number of seconds or a timedelta. Source: scs SessionManager.IdleTimeout.
    """
    return _seconds("SCS_IDLE_TIMEOUT")


@cache
def touch_interval() -> float:
    """Return for how many seconds use of a session need not be written down.

    ``SCS_TOUCH_INTERVAL``, a number of seconds or a timedelta, less than the idle timeout; a tenth of
    the idle timeout if it is not set.
    """
    idle = idle_timeout()
    seconds = _seconds("SCS_TOUCH_INTERVAL", zero_allowed=True)
    if idle is None:
        return 0
    if seconds is None:
        return idle / 10
    if seconds >= idle:
        raise ImproperlyConfigured(
            f"SCS_TOUCH_INTERVAL is {seconds:g} seconds, and must be less than SCS_IDLE_TIMEOUT"
            f" ({idle:g} seconds), or sessions in use would end."
        )
    return seconds


@cache
def hash_tokens() -> bool:
    """Tell whether the table holds the SHA-256 of each token instead of the token.

    ``SCS_HASH_TOKENS``, False if it is not set. Source: scs SessionManager.HashTokenInStore.
    """
    value = getattr(settings, "SCS_HASH_TOKENS", False)
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"SCS_HASH_TOKENS is {value!r}, and must be True or False.")
    return value


@cache
def codec() -> Codec:
    """Return the codec: ``SCS_CODEC``, the dotted path of a class, JSON if it is not set."""
    path = getattr(settings, "SCS_CODEC", "django_scs.codecs.json.JSONCodec")
    problem = (
        f"SCS_CODEC is {path!r}, and must be the dotted path of a codec class, such as"
        " 'django_scs.codecs.json.JSONCodec'"
    )
    try:
        found = import_string(path)()
    except (ImportError, AttributeError, TypeError) as exc:
        raise ImproperlyConfigured(f"{problem}: {exc}") from exc
    if not (callable(getattr(found, "encode", None)) and callable(getattr(found, "decode", None))):
        raise ImproperlyConfigured(f"{problem}: it lacks encode() or decode().")
    codec: Codec = found
    return codec


@cache
def gob_registered() -> tuple[str, ...]:
    """Return the Go types that the application which shares the sessions has registered with gob.

    ``SCS_GOB_REGISTERED``, a list or tuple of names, such as ``["time.Time"]``. A type that is not
    registered there makes Go fail to read the whole session, so it is not written.
    """
    names = getattr(settings, "SCS_GOB_REGISTERED", ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ImproperlyConfigured(
            f"SCS_GOB_REGISTERED is {names!r}, and must be a list or tuple of names of Go types, such"
            " as 'time.Time' or 'map[string]interface {}'."
        )
    return tuple(names)


@cache
def auth_user_id_key() -> str | None:
    """Return the session key in which a Go application keeps the id of the user, or None.

    ``SCS_AUTH_USER_ID_KEY``, such as ``"authenticatedUserID"``.
    """
    key = getattr(settings, "SCS_AUTH_USER_ID_KEY", None)
    if key is not None and not (isinstance(key, str) and key):
        raise ImproperlyConfigured(
            f"SCS_AUTH_USER_ID_KEY is {key!r}, and must be a session key, such as"
            " 'authenticatedUserID', or None."
        )
    return key


@cache
def auth_user_id_type() -> Callable[[Any], Any]:
    """Return what makes of a primary key the value that the Go application expects.

    ``SCS_AUTH_USER_ID_TYPE``, the name of a Go type; if it is not set, a number stays a number, which
    is Go's ``int``, and anything else becomes a string.
    """
    name = getattr(settings, "SCS_AUTH_USER_ID_TYPE", None)
    if name is None:
        return _number_or_text
    if name == "string":
        return str
    if name not in _GO_INTEGERS:
        raise ImproperlyConfigured(
            f"SCS_AUTH_USER_ID_TYPE is {name!r}, and must be 'string',"
            f" {', '.join(map(repr, _GO_INTEGERS))}, or None."
        )
    integer: Callable[[Any], Any] = import_string(f"django_scs.codecs.gob.{name.capitalize()}")
    return integer


def _number_or_text(primary_key: Any) -> Any:
    return primary_key if isinstance(primary_key, int) else str(primary_key)


_GO_INTEGERS = ("int", "int32", "int64", "uint", "uint32", "uint64")

ACCESSORS: dict[str, Callable[[], Any]] = {
    "SCS_LIFETIME": lifetime,
    "SCS_IDLE_TIMEOUT": idle_timeout,
    "SCS_TOUCH_INTERVAL": touch_interval,
    "SCS_HASH_TOKENS": hash_tokens,
    "SCS_CODEC": codec,
    "SCS_GOB_REGISTERED": gob_registered,
    "SCS_AUTH_USER_ID_KEY": auth_user_id_key,
    "SCS_AUTH_USER_ID_TYPE": auth_user_id_type,
}


def _seconds(name: str, *, zero_allowed: bool = False) -> float | None:
    value = getattr(settings, name, None)
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not (0 < seconds <= _LONGEST or (zero_allowed and seconds == 0)):
        least = "zero or more" if zero_allowed else "more than zero"
        raise ImproperlyConfigured(
            f"{name} is {value!r}, and must be a number of seconds or a timedelta, {least}"
            " and at most a hundred years, or None."
        )
    return float(seconds) if isinstance(seconds, float) else seconds


_LONGEST = timedelta(days=36_525).total_seconds()


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in ACCESSORS or setting == "SESSION_COOKIE_AGE":
        for accessor in ACCESSORS.values():
            accessor.cache_clear()  # type: ignore[attr-defined]


setting_changed.connect(_forget, dispatch_uid="django_scs.conf")
