"""Damage good cookies at random: each is refused with a CookieError, or is the same cookie still.

`python -m tests.proofs.gorilla.mutate --cookies 100000` damages more than the test suite has time
for.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

from django_scs.codecs.cookie_format import CookieFormat
from django_scs.codecs.gorilla import GoKey, GorillaCookie
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.codecs.securecookie import BadPayload, CookieError

from ...codecs.cookies import Whole

HASH_KEY, BLOCK_KEY, OLD_KEY = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
NAME = "session"
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OTHERS = "=+/ \n\r|\"'\x00é\u0661,;%\udcff"
SECONDS_ALLOWED = 2.0

VALUES: list[dict[Any, Any]] = [
    {},
    {"user": "ann"},
    {"_auth_user_id": "17", "_auth_user_backend": "b" * 40, "_auth_user_hash": "a" * 64},
    {"list": ["a", 1, None], "_flash": ["hi"], "number": 1.5},
]


def formats() -> dict[str, CookieFormat]:
    return {
        "scs": SealedCookie([HASH_KEY, OLD_KEY], JSONCodec()),
        "gorilla, signed": GorillaCookie([(HASH_KEY, None), (OLD_KEY, BLOCK_KEY)]),
        "gorilla, encrypted": GorillaCookie([(HASH_KEY, BLOCK_KEY), (HASH_KEY, None)]),
    }


def damage(chance: random.Random, cookie: str, other: str) -> str:
    """Return a cookie with one to three changes."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(len(cookie) + 1)
        cookie = chance.choice(CHANGES)(chance, cookie, place, other)
    return cookie


def _set(chance: random.Random, cookie: str, place: int, other: str) -> str:
    return cookie[:place] + chance.choice(CHARACTERS) + cookie[place + 1 :]


def _insert(chance: random.Random, cookie: str, place: int, other: str) -> str:
    return cookie[:place] + chance.choice(CHARACTERS + OTHERS) + cookie[place:]


def _remove(chance: random.Random, cookie: str, place: int, other: str) -> str:
    return cookie[:place] + cookie[place + chance.choice((1, 4, 40, 4000)) :]


def _splice(chance: random.Random, cookie: str, place: int, other: str) -> str:
    return cookie[:place] + other[place:]


def _inside(chance: random.Random, cookie: str, place: int, other: str) -> str:
    """Change a byte of what is in base64."""
    try:
        raw = bytearray(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    except ValueError:
        return cookie + "A"
    return base64.urlsafe_b64encode(raw).decode().rstrip("=" if chance.randrange(2) else "")


CHANGES: tuple[Callable[[random.Random, str, int, str], str], ...] = (
    _set,
    _insert,
    _remove,
    _splice,
    _inside,
)


def sign(chance: random.Random, cookie: str) -> str:
    """Return one of gorilla's cookies damaged by somebody who has the key: the payload is garbage."""
    date, inner, _ = base64.urlsafe_b64decode(cookie).split(b"|", 2)
    raw = bytearray(base64.urlsafe_b64decode(inner))
    for _ in range(chance.choice((1, 2, 8))):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    if chance.randrange(4) == 0:
        del raw[chance.randrange(len(raw)) :]
    body = date + b"|" + base64.urlsafe_b64encode(raw)
    mac = hmac.digest(HASH_KEY, NAME.encode() + b"|" + body, "sha256")
    return base64.urlsafe_b64encode(body + b"|" + mac).decode()


def run(cookies: int, seed: int) -> Counter[str]:
    """Damage so many cookies; count what became of them. Raises AssertionError for a forgery."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    good = {
        name: [(Whole(each).seal(NAME, values), values) for values in VALUES]
        for name, each in formats().items()
    }
    made = formats()
    for number in range(cookies):
        name = list(made)[number % len(made)]
        (cookie, values), (other, _) = chance.sample(good[name], 2)
        insider = name != "scs" and number % 7 == 0
        damaged = sign(chance, cookie) if insider else damage(chance, cookie, other)
        start = time.perf_counter()
        verdict = check(made[name], damaged, None if insider else [values, *VALUES])
        assert time.perf_counter() - start < SECONDS_ALLOWED, damaged
        # Whose payload was changed before it was signed may find anything but another error.
        assert insider or verdict != BadPayload.__name__
        counts[f"{name}{', damaged and then signed' * insider}: {verdict}"] += 1
    return counts


def check(made: CookieFormat, damaged: str, expected: list[dict[Any, Any]] | None) -> str:
    try:
        content = made.open(NAME, damaged)
    except CookieError as exc:
        return type(exc).__name__
    assert all(isinstance(key, str | GoKey) for key in content.values)
    if expected is not None:
        # Another spelling of a cookie, or the other cookie as a whole.
        assert content.values in expected, damaged
    return "opened"


def main() -> None:
    settings.configure()
    django.setup()
    parser = argparse.ArgumentParser()
    parser.add_argument("--cookies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    options = parser.parse_args()
    counts = run(options.cookies, options.seed)
    print(f"seed {options.seed}: {counts.total()} cookies")
    for verdict, count in counts.most_common():
        print(f"{count:9} {verdict}")


if __name__ == "__main__":
    main()
