"""System checks: the settings, and the time zone of the sessions' database."""

import difflib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.utils.module_loading import import_string

from . import checks_project, conf, go_login
from .backends.base import SessionStore
from .manager import session_class
from .middleware import SessionMiddleware


def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse SCS_* settings that do not exist or that have a wrong value."""
    messages = [_unknown_setting(name) for name in dir(settings) if _is_unknown(name)]
    problems = conf.problems() or _wrong_engines()
    for read in (go_login.user_id_key, go_login.user_id_type):
        try:
            read()
        except ImproperlyConfigured as exc:
            problems.append(str(exc))
    return messages + [checks.Error(problem, id="django_scs.E002") for problem in problems]


def _wrong_engines() -> list[str]:
    found = []
    for kind in conf.kinds()[1:]:
        try:
            session_class(kind)
        except ImproperlyConfigured as exc:
            found.append(str(exc))
    return found


def check_time_zone(*, databases: Sequence[str] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of a MySQL connection for sessions whose time zone has hours that do not exist."""
    from .models import Session

    alias = router.db_for_write(Session)
    if alias not in (databases or ()) or connections[alias].vendor != "mysql":
        return []
    return [_zone_has_gaps(alias)] if len(_utc_offsets(alias)) > 1 else []


def check_cookie(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of a cookie that scripts or the network can read; Django's check looks for its own app."""
    return [
        checks.Warning(f"{name} is not set to True.", hint=hint, id=identifier)
        for name, hint, identifier in _COOKIE_SETTINGS
        if getattr(settings, name) is not True
    ]


def check_wiring(**kwargs: Any) -> list[checks.CheckMessage]:
    """Find an engine and a middleware that do not belong together, and an idle timeout that is not."""
    engine = _is_ours(f"{settings.SESSION_ENGINE}.SessionStore", SessionStore)
    ours = [path for path in settings.MIDDLEWARE if _is_ours(path, SessionMiddleware)]
    djangos = [path for path in settings.MIDDLEWARE if path == _DJANGOS_MIDDLEWARE]
    found: list[checks.CheckMessage] = []
    if ours and not engine:
        found.append(_ENGINE_IS_NOT_OURS)
    if engine and djangos:
        found.append(_MIDDLEWARE_IS_NOT_OURS)
    if (
        engine
        and settings.SESSION_SAVE_EVERY_REQUEST
        and not getattr(settings, _IDLE_TIMEOUT, None)
    ):
        found.append(_NOTHING_SLIDES)
    return found


def register() -> None:
    """Register the checks with Django."""
    checks.register(check_settings)
    checks.register(check_wiring)
    checks.register(check_cookie, checks.Tags.security, deploy=True)
    checks.register(check_time_zone, checks.Tags.database)
    checks_project.register()


_DJANGOS_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
_IDLE_TIMEOUT = "SCS_IDLE_TIMEOUT"
_ENGINE_IS_NOT_OURS = checks.Error(
    "django_scs's SessionMiddleware needs a session engine of django_scs.",
    hint="Set SESSION_ENGINE to 'django_scs.backends.db'.",
    id="django_scs.E003",
)
_MIDDLEWARE_IS_NOT_OURS = checks.Warning(
    "Under Django's SessionMiddleware a request whose session was destroyed meanwhile is answered 400.",
    hint="Put 'django_scs.middleware.SessionMiddleware' in its place in MIDDLEWARE.",
    id="django_scs.W005",
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


_COOKIE_SETTINGS = (
    (
        "SESSION_COOKIE_SECURE",
        "Without it the token also travels over plain HTTP, where it can be read.",
        "django_scs.W002",
    ),
    (
        "SESSION_COOKIE_HTTPONLY",
        "Without it a script that got into a page can read the token.",
        "django_scs.W003",
    ),
)


def _is_unknown(name: str) -> bool:
    return name.startswith("SCS_") and name not in conf.NAMES


def _unknown_setting(name: str) -> checks.CheckMessage:
    choices = difflib.get_close_matches(name, conf.NAMES, 1) or sorted(conf.NAMES)
    return checks.Error(
        f"There is no setting {name}.",
        hint=f"Did you mean {', '.join(choices)}?",
        id="django_scs.E001",
    )


def _utc_offsets(alias: str) -> set[timedelta]:
    """Return the UTC offsets of the connection's time zone over the coming year."""
    now = int(time.time())
    moments = [now + month * 30 * 86_400 for month in range(13)]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(['FROM_UNIXTIME(%s)'] * len(moments))}", moments)
        local_times = cursor.fetchone()
    return {
        local - datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
        for local, moment in zip(local_times, moments, strict=True)
    }


def _zone_has_gaps(alias: str) -> checks.CheckMessage:
    return checks.Warning(
        f"The time zone of the MySQL connection {alias!r} has daylight saving time: in the hour that"
        " it leaves out each year, MySQL refuses to store sessions (error 1292).",
        hint=(
            "Set OPTIONS['init_command'] to \"SET time_zone = '+00:00'\", and in a Go application"
            " that shares the table add time_zone=%27%2B00%3A00%27 to its DSN: both must agree."
        ),
        id="django_scs.W001",
    )
