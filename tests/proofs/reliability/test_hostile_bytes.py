"""Damaged data and made-up cookies are nobody's session: no 500, and no harm to those that live."""

import logging
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from django_scs import flash, tokens
from django_scs.backends.db import SessionStore
from django_scs.models import Session

pytestmark = pytest.mark.urls(__name__)

CODECS = ("django_scs.codecs.json.JSONCodec", "django_scs.codecs.gob.GobCodec")
VALUES = {
    "user": "alice ✓",
    "flash": "saved",
    "list": [1, 2.5, None, True],
    "cart": {"tea": 1},
    "seen": datetime(2026, 1, 1, tzinfo=UTC),
    "until": "2026-11-21T21:40:41+00:00",
}
DAY = 86_400.0
WORDS = (b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b'"0001-01-01T00:00:00+14:00"')


def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse(len(request.session.keys()))


def change(request: HttpRequest) -> HttpResponse:
    request.session["changed"] = True
    return HttpResponse(request.session.get_expiry_age())


def pop(request: HttpRequest) -> HttpResponse:
    return HttpResponse(flash.pop(request))


def renew(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse()


def flush(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse()


VIEWS = (read, change, pop, renew, flush)
urlpatterns = [path(view.__name__, view) for view in VIEWS]


def damage(data: bytes, source: random.Random) -> bytes:
    """Return ``data`` with one to four changes of the kinds that fuzzers make."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(changed) + 1)
        length = source.choice((1, 1, 1, 2, 4, 16))
        kind = source.randrange(12)
        if kind < 4 and at < len(changed):
            changed[at] ^= 1 << source.randrange(8)
        elif kind < 6:
            changed[at : at + length] = source.randbytes(length)
        elif kind < 8:
            del changed[at : at + length]
        elif kind == 8:
            changed[at:at] = changed[: source.randrange(len(changed) + 1)]
        elif kind == 9:
            del changed[at:]
        else:
            changed[at : at + length] = source.choice(WORDS)
    return bytes(changed[:20_000])


def damage_text(text: str, source: random.Random) -> str:
    """Return ``text`` with one to three characters changed, added or taken away."""
    changed = list(text)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(changed) + 1)
        odd = chr(source.choice((source.randrange(32, 127), source.randrange(160, 256), 0)))
        changed[at : at + source.randrange(2)] = [odd] * source.choice((0, 1, 1, 300))
    return "".join(changed)


class Attacker:
    """Sends requests through all of Django's request path, and collects what went wrong."""

    def __init__(self) -> None:
        self._client = Client(raise_request_exception=False)
        self.sent = 0
        self.failures: Counter[str] = Counter()

    def send(self, cookie: str, view: str, sample: object) -> None:
        cookies = f"{settings.SESSION_COOKIE_NAME}={cookie}"
        response = self._client.get(f"/{view}", headers={"cookie": cookies})
        self.sent += 1
        if response.status_code != 200:
            error = response.exc_info and f"{response.exc_info[0].__name__}: {response.exc_info[1]}"
            self.failures[f"{view} {response.status_code} {error} for {sample!r}"] += 1


@pytest.fixture
def attacker(transactional_db: None, settings: Any, caplog: pytest.LogCaptureFixture) -> Attacker:
    settings.MIDDLEWARE = ["django_scs.middleware.SessionMiddleware"]
    # Unlike setLevel, this ends with the test.
    caplog.set_level(logging.ERROR, "django.security.SuspiciousSession")
    caplog.set_level(logging.CRITICAL, "django.request")
    return Attacker()


def live_sessions() -> dict[str, bytes]:
    """Put ten sessions into the store and return what the table has of them."""
    for number in range(10):
        session = SessionStore()
        session.update({**VALUES, "number": number})
        session.save()
    return stored()


def stored() -> dict[str, bytes]:
    return dict(Session.objects.values_list("token", "data"))


@pytest.mark.parametrize("custom_expiry", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_damaged_data_is_nobodys_session(
    codec: str, custom_expiry: bool, attacker: Attacker, settings: Any, full: bool
) -> None:
    settings.SCS_CODEC = codec
    settings.SCS_GOB_REGISTERED = ["time.Time", "[]interface {}", "map[string]interface {}"]
    settings.SCS_IDLE_TIMEOUT = 3600
    source = random.Random(f"{codec} {custom_expiry}")
    live = live_sessions()
    store = SessionStore.get_store()
    expires = {"_session_expiry": "2036-11-21T21:40:41+00:00"} if custom_expiry else {}
    good = SessionStore().encode({**VALUES, **expires})
    for _ in range(25_000 if full else 400):
        token, data = tokens.new(), damage(good, source)
        store.insert(token, data, DAY)
        attacker.send(token, source.choice(VIEWS).__name__, data)
        store.delete(token)
    print(
        f"\n{codec}: {attacker.sent} damaged blobs, {sum(attacker.failures.values())} answered 500"
    )
    assert not attacker.failures, "\n".join(list(attacker.failures)[:5])
    assert live.items() <= stored().items()


def test_made_up_cookies_are_nobodys_session(attacker: Attacker, full: bool) -> None:
    source = random.Random("cookies")
    live = live_sessions()
    for _ in range(25_000 if full else 1000):
        token = source.choice(list(live))
        cookie = damage_text(token, source)
        if cookie.split(";")[0].strip(' "') != token:
            attacker.send(cookie, source.choice(VIEWS).__name__, cookie)
    print(f"\n{attacker.sent} made-up cookies, {sum(attacker.failures.values())} answered 500")
    assert not attacker.failures, "\n".join(list(attacker.failures)[:5])
    assert live.items() <= stored().items()


def test_data_that_cannot_be_read_stays_for_whoever_can(attacker: Attacker) -> None:
    store = SessionStore.get_store()
    token = tokens.new()
    store.insert(token, b"of another codec", DAY)
    for view in (read, change, pop, renew):
        attacker.send(token, view.__name__, token)
    assert not attacker.failures
    assert stored()[token] == b"of another codec"
