"""The settings: one frozen ``Options`` for each kind of session, read lazily.

A wrong value raises ImproperlyConfigured, which names the value and the choices; ``manage.py check``
reports all of them. What was read is kept until a setting changes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from . import tokens
from .codecs.base import Codec, load
from .codecs.cookie_format import CookieFormat
from .codecs.cookie_format import load as load_format
from .codecs.fallback import with_fallbacks

#: The kind of ``request.session``; the others are the entries of SCS_SESSIONS.
DEFAULT: Final = "default"

#: The engine that keeps each session whole in its cookie.
COOKIE_ENGINE: Final = "django_scs.backends.cookie"

_LONGEST: Final = timedelta(days=36_525).total_seconds()
# Enough for a login and the little that belongs to it.
_LEAST_BYTES: Final = 2048
_JSON: Final = "django_scs.codecs.json.JSONCodec"

#: What is wrong with a step of SCS_HASH_TOKENS: the name of the setting, and its value.
NO_TABLE_TO_CONVERT: Final = (
    "{} is {!r}, and must be True or False: only sessions in a table of the database can be"
    " converted."
)


@dataclass(frozen=True, kw_only=True)
class CookieOptions:
    """The attributes of a session cookie, as Django's SESSION_COOKIE_* settings give them."""

    name: str
    domain: str | None
    path: str
    secure: bool
    httponly: bool
    samesite: str | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of one kind of session. Times are in seconds. Source: scs SessionManager."""

    kind: str
    engine: str
    lifetime: float
    idle_timeout: float | None
    touch_interval: float
    hash_tokens: bool | str
    token_bytes: int
    codec: Codec
    max_bytes: int | None
    max_lifetime: float | None
    renew_after: float | None
    cookie: CookieOptions
    cookie_denylist: str | None
    token_header: str | None
    save_every_request: bool
    expire_at_browser_close: bool


@cache
def options(kind: str = DEFAULT) -> Options:
    """Return the options of ``request.session``, or of an entry of ``SCS_SESSIONS``."""
    reader = _Reader(kind)
    values = {name: parse(reader) for name, parse in _PARSERS.items()}
    found = Options(kind=kind, **values)
    # A session keeps its options. If a test changes a setting, they change in place.
    known = _known.setdefault(kind, found)
    vars(known).update(vars(found))
    return known


_known: Final[dict[str, Options]] = {}


@cache
def cookie_format(kind: str = DEFAULT) -> CookieFormat:
    """Return the format of the cookies that hold whole sessions: ``SCS_COOKIE_FORMAT`` and its keys."""
    read = _Reader(kind)
    return load_format(read("SCS_COOKIE_FORMAT", "scs"), read, options(kind).codec)


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds of sessions that the project has, the default one first."""
    return (DEFAULT, *_entries())


def problems() -> list[str]:
    """Return what is wrong with the settings, a sentence each."""
    try:
        readers = [_Reader(kind) for kind in kinds()]
    except ImproperlyConfigured as exc:
        return [str(exc)]
    found = [exc for reader in readers for exc in map(reader.complaint, _PARSERS.values()) if exc]
    if not found:
        found += filter(None, map(_cookie_complaint, kinds()))
    return found + [text for reader in readers[1:] for text in reader.unknown_names()]


class _Reader:
    """Reads settings for one kind: from an entry of SCS_SESSIONS, or from the project's settings."""

    def __init__(self, kind: str) -> None:
        self.entry: Mapping[str, Any] | None = None if kind == DEFAULT else _entries()[kind]
        self.kind = kind

    def __call__(self, name: str, default: Any = None) -> Any:
        """Return the setting of that full name, such as "SCS_LIFETIME", or the default."""
        if self.entry is None:
            return getattr(settings, name, default)
        if (short := _short(name)) in self.entry:
            return self.entry[short]
        # Settings that keep a cookie safe hold for every kind, unless its entry has its own.
        shared = name in _SHARED or name in _KEYS
        return getattr(settings, name, default) if shared else default

    def label(self, name: str) -> str:
        """Return how a message names a setting."""
        return name if self.entry is None else f"SCS_SESSIONS[{self.kind!r}][{_short(name)!r}]"

    def complaint(self, parse: "Callable[[_Reader], Any]") -> str:
        try:
            parse(self)
        except ImproperlyConfigured as exc:
            return str(exc)
        return ""

    def unknown_names(self) -> list[str]:
        choices = sorted(map(_short, _ENTRY_NAMES))
        return [
            f"SCS_SESSIONS[{self.kind!r}] has no option {name!r}: choose from {', '.join(choices)}."
            for name in self.entry or ()
            if name not in choices
        ]


def _cookie_complaint(kind: str) -> str:
    """Return what is wrong with the cookie format of a kind, if its sessions are in cookies."""
    try:
        if options(kind).engine == COOKIE_ENGINE:
            cookie_format(kind)
    except ImproperlyConfigured as exc:
        return str(exc)
    return ""


def _short(name: str) -> str:
    return name.removeprefix("SCS_").removeprefix("SESSION_")


@cache
def _entries() -> dict[str, Mapping[str, Any]]:
    entries = getattr(settings, "SCS_SESSIONS", {})
    valid = isinstance(entries, Mapping) and all(
        isinstance(name, str) and name.isidentifier() and isinstance(entry, Mapping)
        for name, entry in entries.items()
    )
    if not valid:
        # The error shows no values, because an entry may hold secret keys.
        names = list(entries) if isinstance(entries, Mapping) else type(entries).__qualname__
        raise ImproperlyConfigured(
            f"SCS_SESSIONS has {names!r}, and must be a dict of names and dicts, such as"
            " {'preferences': {'COOKIE_NAME': 'preferences'}}."
        )
    if DEFAULT in entries:
        raise ImproperlyConfigured(
            f"SCS_SESSIONS must have no entry {DEFAULT!r}: that is request.session, which the"
            " other settings are about."
        )
    return dict(entries)


def _engine(read: _Reader) -> str:
    engine: str = read("SESSION_ENGINE", "django_scs.backends.db")
    return engine


def _lifetime(read: _Reader) -> float:
    seconds = _seconds(read, "SCS_LIFETIME")
    if seconds is not None:
        return seconds
    age: float = settings.SESSION_COOKIE_AGE
    return age


def _idle_timeout(read: _Reader) -> float | None:
    return _seconds(read, "SCS_IDLE_TIMEOUT")


def _touch_interval(read: _Reader) -> float:
    idle = _idle_timeout(read)
    seconds = _seconds(read, "SCS_TOUCH_INTERVAL", zero_allowed=True)
    if idle is None:
        return 0
    if seconds is None:
        return idle / 10
    if seconds >= idle:
        raise ImproperlyConfigured(
            f"{read.label('SCS_TOUCH_INTERVAL')} is {seconds:g} seconds, and must be less than"
            f" SCS_IDLE_TIMEOUT ({idle:g} seconds), or sessions in use would end."
        )
    return seconds


def _hash_tokens(read: _Reader) -> bool | str:
    value: bool | str = read("SCS_HASH_TOKENS", False)
    steps = [step for step in tokens.HASHING if isinstance(step, str)]
    if not (isinstance(value, bool) or value in steps):
        raise ImproperlyConfigured(
            f"{read.label('SCS_HASH_TOKENS')} is {value!r}, and must be True or False, or, on the way"
            f" from one to the other, one of {', '.join(map(repr, steps))}."
        )
    if isinstance(value, str) and _engine(read) in _HAVE_NO_TABLE:
        raise ImproperlyConfigured(NO_TABLE_TO_CONVERT.format(read.label("SCS_HASH_TOKENS"), value))
    return value


def _max_lifetime(read: _Reader) -> float | None:
    return _seconds(read, "SCS_MAX_LIFETIME")


def _renew_after(read: _Reader) -> float | None:
    return _seconds(read, "SCS_RENEW_AFTER")


def _token_bytes(read: _Reader) -> int:
    value = read("SCS_TOKEN_BYTES", tokens.BYTES[0])
    if value not in tokens.BYTES or isinstance(value, bool):
        raise ImproperlyConfigured(
            f"{read.label('SCS_TOKEN_BYTES')} is {value!r}, and must be"
            f" {' or '.join(map(str, tokens.BYTES))}."
        )
    number: int = value
    return number


def _codec(read: _Reader) -> Codec:
    path = read("SCS_CODEC", _JSON)
    try:
        return with_fallbacks(load(path, read), read)
    except ImproperlyConfigured as exc:
        raise ImproperlyConfigured(f"{read.label('SCS_CODEC')}: {exc}") from exc


def _max_bytes(read: _Reader) -> int | None:
    value = read("SCS_MAX_BYTES")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < _LEAST_BYTES:
        raise ImproperlyConfigured(
            f"{read.label('SCS_MAX_BYTES')} is {value!r}, and must be a number of bytes, at least"
            f" {_LEAST_BYTES}, or None."
        )
    return value


def _cookie(read: _Reader) -> CookieOptions:
    name = read("SESSION_COOKIE_NAME")
    taken = {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME}
    others = {entry.get("COOKIE_NAME") for kind, entry in _entries().items() if kind != read.kind}
    if not (isinstance(name, str) and name):
        raise ImproperlyConfigured(
            f"{read.label('SESSION_COOKIE_NAME')} is {name!r}, and must be the name of a cookie."
        )
    if read.entry is not None and name in taken | others:
        raise ImproperlyConfigured(
            f"{read.label('SESSION_COOKIE_NAME')} is {name!r}, which another cookie has already."
        )
    return CookieOptions(
        name=name,
        domain=read("SESSION_COOKIE_DOMAIN"),
        path=read("SESSION_COOKIE_PATH"),
        secure=read("SESSION_COOKIE_SECURE"),
        httponly=read("SESSION_COOKIE_HTTPONLY"),
        samesite=read("SESSION_COOKIE_SAMESITE"),
    )


def _cookie_denylist(read: _Reader) -> str | None:
    alias = read("SCS_COOKIE_DENYLIST")
    if alias is not None and not (isinstance(alias, str) and alias in settings.CACHES):
        raise ImproperlyConfigured(
            f"{read.label('SCS_COOKIE_DENYLIST')} is {alias!r}, and must be the alias of a cache,"
            f" one of {', '.join(map(repr, settings.CACHES))}, or None."
        )
    found: str | None = alias
    return found


def _token_header(read: _Reader) -> str | None:
    value = read("SCS_TOKEN_HEADER")
    if value is None:
        return None
    name = value.replace("-", "") if isinstance(value, str) else ""
    if not (name.isascii() and name.isalnum()):
        raise ImproperlyConfigured(
            f"{read.label('SCS_TOKEN_HEADER')} is {value!r}, and must be the name of a header, such"
            " as 'X-Session-Token', or None."
        )
    header: str = value
    return header


def _flag(name: str) -> "Callable[[_Reader], bool]":
    def parse(read: _Reader) -> bool:
        value = read(name, False)
        # For its own settings Django takes any true value.
        if name.startswith("SCS_") and not isinstance(value, bool):
            raise ImproperlyConfigured(
                f"{read.label(name)} is {value!r}, and must be True or False."
            )
        return bool(value)

    return parse


def _seconds(read: _Reader, name: str, *, zero_allowed: bool = False) -> float | None:
    value = read(name)
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not (0 < seconds <= _LONGEST or (zero_allowed and seconds == 0)):
        least = "zero or more" if zero_allowed else "more than zero"
        raise ImproperlyConfigured(
            f"{read.label(name)} is {value!r}, and must be a number of seconds or a timedelta, {least}"
            " and at most a hundred years, or None."
        )
    return float(seconds) if isinstance(seconds, float) else seconds


_PARSERS: Final[dict[str, "Callable[[_Reader], Any]"]] = {
    "engine": _engine,
    "lifetime": _lifetime,
    "idle_timeout": _idle_timeout,
    "touch_interval": _touch_interval,
    "hash_tokens": _hash_tokens,
    "token_bytes": _token_bytes,
    "codec": _codec,
    "max_bytes": _max_bytes,
    "max_lifetime": _max_lifetime,
    "renew_after": _renew_after,
    "cookie": _cookie,
    "cookie_denylist": _cookie_denylist,
    "token_header": _token_header,
    "save_every_request": _flag("SESSION_SAVE_EVERY_REQUEST"),
    "expire_at_browser_close": _flag("SESSION_EXPIRE_AT_BROWSER_CLOSE"),
}

#: An entry of SCS_SESSIONS takes these from the project's settings, unless it has its own.
_SHARED: Final = {
    "SCS_HASH_TOKENS",
    "SCS_TOKEN_BYTES",
    "SCS_ENCRYPTION_KEYS",
    "SCS_SIGNING_KEYS",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_SAMESITE",
}
_KEYS: Final = {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
_ENTRY_NAMES: Final = _SHARED | {
    "SESSION_ENGINE",
    "SESSION_COOKIE_NAME",
    "SESSION_SAVE_EVERY_REQUEST",
    "SESSION_EXPIRE_AT_BROWSER_CLOSE",
    "SCS_LIFETIME",
    "SCS_IDLE_TIMEOUT",
    "SCS_TOUCH_INTERVAL",
    "SCS_CODEC",
    "SCS_CODEC_FALLBACKS",
    "SCS_ENCRYPTED_CODEC",
    "SCS_SIGNED_CODEC",
    "SCS_GOB_REGISTERED",
    "SCS_MAX_BYTES",
    "SCS_MAX_LIFETIME",
    "SCS_RENEW_AFTER",
    "SCS_TOKEN_HEADER",
    "SCS_COOKIE_FORMAT",
    "SCS_COOKIE_KEYS",
    "SCS_COOKIE_MAX_AGE",
    "SCS_COOKIE_HASH",
    "SCS_COOKIE_DENYLIST",
}
_HAVE_NO_TABLE: Final = (COOKIE_ENGINE, "django_scs.backends.redis")
#: Every setting of ours.
NAMES: Final = {name for name in _ENTRY_NAMES if name.startswith("SCS_")} | {
    "SCS_SESSIONS",
    "SCS_AUTH_USER_ID_KEY",
    "SCS_AUTH_USER_ID_TYPE",
    # django_scs.devices reads these.
    "SCS_DEVICES_ADDRESS",
    "SCS_DEVICES_SHORTEN_ADDRESS",
    "SCS_DEVICES_END_OTHERS_ON",
    "SCS_DEVICES_END_WITH_USER",
    "SCS_DEVICES_LIMIT",
    "SCS_DEVICES_REFUSE_OVER_LIMIT",
    "SCS_DEVICES_MAIL_NEW",
    "SCS_MIGRATE_FROM",
    "SCS_MIGRATE_MODE",
    "SCS_REDIS",
    "SCS_REDIS_PREFIX",
    "SCS_REDIS_WAIT",
}


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("SCS_", "SESSION_", "SECRET_KEY", "CSRF_COOKIE_NAME", "CACHES")):
        options.cache_clear()
        cookie_format.cache_clear()
        _entries.cache_clear()
        for kind in _known:
            # If a setting is wrong, the next call of options() raises the error again.
            with suppress(Exception):
                options(kind)


setting_changed.connect(_forget, dispatch_uid="django_scs.conf")
