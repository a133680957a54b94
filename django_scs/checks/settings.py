"""Checks that ``manage.py check`` always runs: of the settings, and of how they fit together."""

import difflib
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .. import conf, go_login
from ..backends.base import SessionStore
from ..backends.cookie import SessionStore as CookieSessionStore
from ..devices import settings as device_settings
from ..manager import find_model, session_class, uses_our_engine
from ..middleware import SessionMiddleware
from ..moving import current as moving


def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse SCS_* settings that do not exist or that have a wrong value."""
    messages = [_unknown_setting(name) for name in dir(settings) if _is_unknown(name)]
    problems = conf.problems() or [*_wrong_engines(), *_wrong_hashing()]
    readers: tuple[Callable[[], Any], ...] = (
        go_login.user_id_key,
        go_login.user_id_type,
        moving.current,
    )
    for read in readers + device_settings.READERS:
        try:
            read()
        except ImproperlyConfigured as exc:
            problems.append(str(exc))
    # Several options may be read from one setting.
    return messages + [checks.Error(each, id="django_scs.E002") for each in dict.fromkeys(problems)]


def _wrong_engines() -> list[str]:
    found = []
    for kind in conf.kinds()[1:]:
        try:
            session_class(kind)
        except ImproperlyConfigured as exc:
            found.append(str(exc))
    return found


def _wrong_hashing() -> list[str]:
    """Refuse a step of SCS_HASH_TOKENS where the project's own engine keeps sessions in no table."""
    hashing = conf.options().hash_tokens
    if isinstance(hashing, bool) or not uses_our_engine() or find_model() is not None:
        return []
    return [conf.NO_TABLE_TO_CONVERT.format("SCS_HASH_TOKENS", hashing)]


def check_wiring(**kwargs: Any) -> list[checks.CheckMessage]:
    """Find an engine and a middleware that do not fit together, and a missing idle timeout."""
    engine = _is_ours(f"{settings.SESSION_ENGINE}.SessionStore", SessionStore)
    ours = [path for path in settings.MIDDLEWARE if _is_ours(path, SessionMiddleware)]
    djangos = [path for path in settings.MIDDLEWARE if path == _DJANGOS_MIDDLEWARE]
    found: list[checks.CheckMessage] = []
    others = getattr(settings, "SCS_SESSIONS", None)
    if ours and not (engine or others):
        found.append(_ENGINE_IS_NOT_OURS)
    if engine and djangos:
        in_cookies = _is_ours(f"{settings.SESSION_ENGINE}.SessionStore", CookieSessionStore)
        found.append(_COOKIE_IS_NOT_SENT if in_cookies else _MIDDLEWARE_IS_NOT_OURS)
    if others and not ours:
        found.append(_OTHERS_ARE_NOT_OPENED)
    if (
        engine
        and settings.SESSION_SAVE_EVERY_REQUEST
        and not getattr(settings, _IDLE_TIMEOUT, None)
    ):
        found.append(_NOTHING_SLIDES)
    return found


def check_prefixes(**kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse a cookie whose attributes do not fit its name's prefix: no browser stores it."""
    if conf.problems():
        return []
    cookies = [conf.options(kind).cookie for kind in conf.kinds()]
    return [_broken_prefix(cookie.name, wrong) for cookie in cookies if (wrong := _wrong(cookie))]


def register() -> None:
    """Register these checks with Django."""
    checks.register(check_settings)
    checks.register(check_wiring)
    checks.register(check_prefixes)


def _wrong(cookie: conf.CookieOptions) -> str:
    """Return the attributes that the prefix of a cookie's name does not allow, as text."""
    name = cookie.name.lower()
    wrong = []
    if name.startswith(("__host-", "__secure-")) and not cookie.secure:
        wrong.append("Secure is not set")
    if name.startswith("__host-") and cookie.domain:
        wrong.append(f"Domain is {cookie.domain!r}, and must not be set")
    if name.startswith("__host-") and cookie.path != "/":
        wrong.append(f"Path is {cookie.path!r}, and must be '/'")
    return "; ".join(wrong)


def _broken_prefix(name: str, wrong: str) -> checks.CheckMessage:
    return checks.Error(
        f"No browser stores the cookie {name!r}: {wrong}.",
        hint="Change SESSION_COOKIE_SECURE, _DOMAIN or _PATH, or take the prefix from the name.",
        id="django_scs.E010",
    )


_DJANGOS_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
_IDLE_TIMEOUT = "SCS_IDLE_TIMEOUT"
_ENGINE_IS_NOT_OURS = checks.Error(
    "django_scs's SessionMiddleware needs a session engine of django_scs.",
    hint="Set SESSION_ENGINE to 'django_scs.backends.db', or add kinds of sessions with SCS_SESSIONS.",
    id="django_scs.E003",
)
_MIDDLEWARE_IS_NOT_OURS = checks.Warning(
    "Under Django's SessionMiddleware a request whose session was destroyed meanwhile is answered 400.",
    hint="Put 'django_scs.middleware.SessionMiddleware' in its place in MIDDLEWARE.",
    id="django_scs.W005",
)
_COOKIE_IS_NOT_SENT = checks.Error(
    "Under Django's SessionMiddleware no session of 'django_scs.backends.cookie' is kept: the browser"
    " gets its id instead of its cookie.",
    hint="Put 'django_scs.middleware.SessionMiddleware' in its place in MIDDLEWARE.",
    id="django_scs.E004",
)
_OTHERS_ARE_NOT_OPENED = checks.Warning(
    "SCS_SESSIONS is set, and django_scs's SessionMiddleware, which opens its sessions, is not used:"
    " request.sessions does not exist.",
    hint="Put 'django_scs.middleware.SessionMiddleware' into MIDDLEWARE, in the place of Django's.",
    id="django_scs.W006",
)
_NOTHING_SLIDES = checks.Warning(
    "SESSION_SAVE_EVERY_REQUEST does not keep a session in use alive: its deadline does not move.",
    hint="Set SCS_IDLE_TIMEOUT to how long a session may go unused, and SCS_LIFETIME to its end.",
    id="django_scs.W004",
)


def _is_ours(path: str, base: type) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, base)


def _is_unknown(name: str) -> bool:
    return name.startswith("SCS_") and name not in conf.NAMES


def _unknown_setting(name: str) -> checks.CheckMessage:
    choices = difflib.get_close_matches(name, conf.NAMES, 1) or sorted(conf.NAMES)
    return checks.Error(
        f"There is no setting {name}.",
        hint=f"Did you mean {', '.join(choices)}?",
        id="django_scs.E001",
    )
