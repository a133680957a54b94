"""What a login session in a cookie costs: in both formats, with Django's signed_cookies, and in Go.

Whole session objects are made, read, changed and saved; of the real gorilla, which runs in a process of
its own and takes the time itself, decoding and encoding alone. No HTTP. Run by `make bench`.

    python -m tests.bench.cookie_formats
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import django
from django.conf import settings

from django_scs import conf
from tests.bench.report import AT_MOST, table, verdict

ROUNDS, CALLS = 200, 50
DJANGO, OURS, GORILLA = "signed_cookies", "scs", "gorilla, encrypted"
#: How many times as long as Django's reading may take.
TARGETS = {OURS: 2.0, GORILLA: 3.0}
LOGIN = {
    "_auth_user_id": "17",
    "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
    "_auth_user_hash": "0123456789abcdef" * 4,
}
NAME = "sessionid"
HASH_KEY, BLOCK_KEY = bytes(range(32)), bytes(range(32, 64))

#: Does so many calls; returns how many seconds they took.
Timed = Callable[[int], float]


class Lane(NamedTuple):
    """One way to keep a session in a cookie, and that cookie."""

    cookie: str
    read: Timed
    change: Timed


def timed(call: Callable[[], object]) -> Timed:
    def run(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return time.perf_counter() - start

    return run


def microseconds(calls: dict[str, Timed]) -> dict[str, float]:
    """Return what one of each call takes: the fastest of some rounds, in which they take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, run in calls.items():
            found[name] = min(found[name], run(CALLS) / CALLS * 1e6)
    return found


def lane(engine: str, **chosen: Any) -> Lane:
    """Return the lane of a session engine, as these settings make it."""
    session_class = import_module(engine).SessionStore
    for name, value in chosen.items():
        setattr(settings, name, value)
    conf.cookie_format.cache_clear()
    ours = engine.startswith("django_scs")
    if ours:
        # Looked up once, so that several formats can be measured in turns.
        fmt = conf.cookie_format()
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

    return Lane(sent, timed(read), timed(change))


def gorilla_lane(program: Any, block_key: bytes | None, cookie: str) -> Lane:
    """Return the lane of the real gorilla, on a cookie that Django has sealed."""

    def asked(change: bool) -> Timed:
        def run(number: int) -> float:
            pairs = [(HASH_KEY, block_key)]
            answer = program.must("time", pairs, NAME, cookie=cookie, number=number, change=change)
            return float(answer["nanoseconds"]) / 1e9

        return run

    return Lane(cookie, asked(False), asked(True))


def lanes() -> dict[str, Lane]:
    """Return the lanes of this process."""
    gorilla = {"engine": "django_scs.backends.cookie", "SCS_COOKIE_FORMAT": "gorilla"}
    return {
        DJANGO: lane("django.contrib.sessions.backends.signed_cookies"),
        OURS: lane("django_scs.backends.cookie", SCS_COOKIE_FORMAT="scs"),
        "gorilla, signed": lane(**gorilla, SCS_COOKIE_KEYS=[(HASH_KEY, None)]),
        GORILLA: lane(**gorilla, SCS_COOKIE_KEYS=[(HASH_KEY, BLOCK_KEY)]),
    }


def report(found: dict[str, Lane]) -> str:
    reading = microseconds({name: each.read for name, each in found.items()})
    changing = microseconds({name: each.change for name, each in found.items()})

    def cells(times: dict[str, float], name: str) -> list[str]:
        return [f"{times[name]:.1f}", f"{times[name] / times[DJANGO]:.2f}"]

    rows = [
        [
            name,
            str(len(each.cookie)),
            *cells(reading, name),
            *cells(changing, name),
            verdict(reading[name] / reading[DJANGO], AT_MOST, TARGETS[name])
            if name in TARGETS
            else "",
        ]
        for name, each in found.items()
    ]
    header = ["", "characters", "read, µs", "times Django", "change, µs", "times Django", "target"]
    return table(header, rows)


def main() -> None:
    settings.configure(
        SECRET_KEY="django-insecure-" + "x" * 50,
        SESSION_ENGINE="django_scs.backends.cookie",
        SESSION_COOKIE_NAME=NAME,
    )
    django.setup()
    from tests.go import build
    from tests.proofs.gorilla.gorilla import MODULE, Gorilla

    found = lanes()
    print("\n### A login session in a cookie\n")
    with tempfile.TemporaryDirectory(prefix="django_scs-") as folder:
        try:
            built = build(MODULE, Path(folder) / "gorilla")
        except (OSError, RuntimeError) as exc:
            print(f"The real gorilla is left out: {exc}", file=sys.stderr)
            print(report(found))
            return
        with Gorilla(built) as program:
            for name, block_key in (("gorilla, signed", None), (GORILLA, BLOCK_KEY)):
                found[f"Go, {name}"] = gorilla_lane(program, block_key, found[name].cookie)
            print(report(found))


if __name__ == "__main__":
    main()
