"""What it costs to open and to seal the session of a login in a cookie, beside Django's signed_cookies.

First the formats by themselves, then whole session objects: made, read, changed and saved.

`python -m tests.bench.cookie_formats`
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing

from django_scs import conf
from django_scs.codecs.cookie_format import CookieFormat, new_id
from django_scs.codecs.gorilla import GorillaCookie
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie

ROUNDS, CALLS = 40, 500
DJANGO = "signed_cookies"
DEADLINE = datetime(2031, 5, 17, 1, 2, 3, 456_789, UTC)
LOGIN: dict[str, Any] = {
    "_auth_user_id": "17",
    "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
    "_auth_user_hash": "0123456789abcdef" * 4,
}
SALT = "django.contrib.sessions.backends.signed_cookies"
KEYS = [(bytes(range(32)), bytes(range(32, 64)))]
FORMATS: dict[str, Callable[[], CookieFormat]] = {
    "scs": lambda: SealedCookie([settings.SECRET_KEY.encode()], JSONCodec()),
    "gorilla, encrypted": lambda: GorillaCookie(KEYS),
    "gorilla, signed": lambda: GorillaCookie([(KEYS[0][0], None)]),
}


def microseconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return what one of each call takes: the fastest of some rounds, in which they take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            found[name] = min(found[name], (time.perf_counter() - start) / CALLS * 1e6)
    return found


def signed_cookies() -> tuple[str, Callable[[], object], Callable[[], object]]:
    """Return a cookie, and what opens and seals it, as Django's engine does."""

    def seal() -> str:
        return signing.dumps(LOGIN, compress=True, salt=SALT, serializer=JSONSerializer)

    def unseal() -> object:
        return signing.loads(cookie, serializer=JSONSerializer, max_age=1_209_600, salt=SALT)

    cookie = seal()
    return cookie, unseal, seal


def of_format(fmt: CookieFormat) -> tuple[str, Callable[[], object], Callable[[], object]]:
    session_id = new_id()

    def seal() -> str:
        data = fmt.codec.encode(DEADLINE, LOGIN, None, session_id)
        return fmt.seal("session", session_id, data)

    cookie = seal()
    return cookie, lambda: fmt.open("session", cookie), seal


def read_and_change(
    engine: str, **chosen: Any
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what reads the session of a cookie, and what changes it too and makes the next cookie."""
    session_class = import_module(engine).SessionStore
    for name, value in chosen.items():
        setattr(settings, name, value)
    conf.cookie_format.cache_clear()
    # The format is looked up by the class, so that both formats can be measured in turns.
    fmt = conf.cookie_format()
    ours = engine.startswith("django_scs")
    if ours:
        session_class = type("Fixed", (session_class,), {"_format": classmethod(lambda cls: fmt)})
    first = session_class()
    first.update(LOGIN)
    first.save()
    sent = first.token() if ours else first.session_key

    def read() -> object:
        return session_class(sent).get("_auth_user_id")

    def change() -> object:
        session = session_class(sent)
        session["visits"] = 1
        session.save()
        return session.token() if ours else session.session_key

    return read, change


def main() -> None:
    settings.configure(
        SECRET_KEY="django-insecure-" + "x" * 50, SESSION_ENGINE="django_scs.backends.cookie"
    )
    django.setup()
    formats_alone()
    engines = {
        DJANGO: read_and_change("django.contrib.sessions.backends.signed_cookies"),
        "scs": read_and_change("django_scs.backends.cookie", SCS_COOKIE_FORMAT="scs"),
        "gorilla, encrypted": read_and_change(
            "django_scs.backends.cookie", SCS_COOKIE_FORMAT="gorilla", SCS_COOKIE_KEYS=KEYS
        ),
    }
    reading = microseconds({name: read for name, (read, _) in engines.items()})
    changing = microseconds({name: change for name, (_, change) in engines.items()})
    print(f"{'':20} {'':>10} {'read, us':>17} {'change, us':>17}")
    for name in engines:
        costs = [
            f"{each[name]:8.1f} ({each[name] / each[DJANGO]:.2f} x)" for each in (reading, changing)
        ]
        print(f"{name:20} {'':10} {costs[0]:>17} {costs[1]:>17}")


def formats_alone() -> None:
    all_of_them = {DJANGO: signed_cookies()}
    all_of_them |= {name: of_format(make()) for name, make in FORMATS.items()}
    opening = microseconds({name: unseal for name, (_, unseal, _) in all_of_them.items()})
    sealing = microseconds({name: seal for name, (_, _, seal) in all_of_them.items()})
    print(f"{'':20} {'characters':>10} {'open, us':>17} {'seal, us':>17}")
    for name, (cookie, _, _) in all_of_them.items():
        costs = [
            f"{each[name]:8.1f} ({each[name] / each[DJANGO]:.2f} x)" for each in (opening, sealing)
        ]
        print(f"{name:20} {len(cookie):10} {costs[0]:>17} {costs[1]:>17}")


if __name__ == "__main__":
    main()
