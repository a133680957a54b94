"""Checks of ``manage.py check --deploy``: settings that make sessions less safe than they could be.

They are recommendations. If you differ on purpose, name their ids in SILENCED_SYSTEM_CHECKS. See
docs/security.md.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core import checks

from .. import conf, go_login
from ..manager import find_model, uses_our_engine

# Source: NIST SP 800-63B-4, 2.1.3: at the lowest level, reauthentication at least every 30 days.
_LONGEST: Final = 30 * 24 * 3600
_PREFIXES: Final = ("__host-", "__secure-")


class _Advice(NamedTuple):
    """What to look for in the options of a kind of session, and what to say if it is found."""

    identifier: str
    is_given: Callable[[conf.Options], bool]
    message: str
    hint: str


def check_deployment(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of each option of each kind of session that is less safe than it could be."""
    if conf.problems():
        return []
    kinds = [conf.options(kind) for kind in conf.kinds() if uses_our_engine(kind)]
    return [
        checks.Warning(
            advice.message.format(_of(options)),
            hint=advice.hint,
            id=f"django_scs.{advice.identifier}",
        )
        for options in kinds
        for advice in _ADVICE
        if advice.is_given(options)
    ]


def check_cookie(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of a cookie that scripts or the network can read. Django's check needs Django's app."""
    entries = {} if conf.problems() else getattr(settings, "SCS_SESSIONS", {})
    return [
        checks.Warning(f"{label} is not set to True.", hint=hint, id=identifier)
        for name, short, hint, identifier in _COOKIE_SETTINGS
        for label, value in [
            (name, getattr(settings, name)),
            # An entry that does not have the option takes the project's.
            *(
                (f"SCS_SESSIONS[{kind!r}][{short!r}]", entry.get(short, True))
                for kind, entry in entries.items()
            ),
        ]
        if value is not True
    ]


def register() -> None:
    """Register these checks with Django."""
    checks.register(check_cookie, checks.Tags.security, deploy=True)
    checks.register(check_deployment, checks.Tags.security, deploy=True)


def _of(options: conf.Options) -> str:
    return "" if options.kind == conf.DEFAULT else f" of SCS_SESSIONS[{options.kind!r}]"


def _has_tokens_in_clear(options: conf.Options) -> bool:
    # Sessions in Redis have a check of their own.
    return not options.hash_tokens and find_model(options.kind) is not None


def _lives_long(options: conf.Options) -> bool:
    return min(options.lifetime, options.max_lifetime or options.lifetime) > _LONGEST


_ADVICE: Final = (
    _Advice(
        "W040",
        lambda options: not options.cookie.name.lower().startswith(_PREFIXES),
        "The name of the session cookie{} has no prefix: another host of the domain can set it.",
        "Set SESSION_COOKIE_NAME to '__Host-sessionid', or '__Secure-sessionid' with a Domain.",
    ),
    _Advice(
        "W041",
        lambda options: (options.cookie.domain or "").startswith("."),
        "The Domain of the session cookie{} begins with a dot: every host below it gets the token.",
        "Leave SESSION_COOKIE_DOMAIN out, unless each of these hosts may have every session.",
    ),
    _Advice(
        "W042",
        lambda options: str(options.cookie.samesite).lower() in ("none", "false"),
        "SameSite of the session cookie{} is off: other sites can send requests with the session.",
        "Set SESSION_COOKIE_SAMESITE to 'Lax' or 'Strict', unless the site is embedded in others.",
    ),
    _Advice(
        "W043",
        _lives_long,
        "The lifetime of sessions{} is more than 30 days.",
        "Set SCS_LIFETIME, or SCS_MAX_LIFETIME, to how long one login may last.",
    ),
    _Advice(
        "W044",
        lambda options: options.idle_timeout is None,
        "Sessions{} have no idle timeout: the next person at an open browser can use its session.",
        "Set SCS_IDLE_TIMEOUT.",
    ),
    _Advice(
        "W045",
        lambda options: not options.expire_at_browser_close,
        "The session cookie{} outlives the browser.",
        "Set SESSION_EXPIRE_AT_BROWSER_CLOSE, and offer remember_me().",
    ),
    _Advice(
        "W046",
        lambda options: options.kind == conf.DEFAULT and _has_tokens_in_clear(options),
        "The table holds the tokens{} in clear: who reads it, or a backup, can use every session.",
        "Set SCS_HASH_TOKENS to True. On a live site scs_hash_tokens does it with nobody logged out.",
    ),
    _Advice(
        "W047",
        lambda options: options.kind == conf.DEFAULT and go_login.user_id_key() is not None,
        "Who can write the sessions table, such as the Go application, can log in as any user.",
        "Silence this if you mean it. Remove SCS_AUTH_USER_ID_KEY when the Go application is gone.",
    ),
)
_COOKIE_SETTINGS = (
    (
        "SESSION_COOKIE_SECURE",
        "COOKIE_SECURE",
        "Without it the token also travels over plain HTTP, where it can be read.",
        "django_scs.W002",
    ),
    (
        "SESSION_COOKIE_HTTPONLY",
        "COOKIE_HTTPONLY",
        "Without it a script that got into a page can read the token.",
        "django_scs.W003",
    ),
)
