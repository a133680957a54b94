"""A shop under gunicorn, and browsers that keep a cookie as browsers do."""

import http.client
import json
import os
import subprocess
import sys
from http.cookies import SimpleCookie
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from tests.proofs.reliability import site
from tests.proofs.reliability.site import ROOT

COOKIE: Final = "sessionid"
SETTINGS: Final = "tests.proofs.moving.webapp.settings"


class Engine(NamedTuple):
    """An engine that sessions come from, and the middleware that goes with it."""

    path: str
    middleware: str = "django.contrib.sessions.middleware.SessionMiddleware"


DJANGO: Final = "django.contrib.sessions.backends"
ENGINES: Final = {
    "db": Engine(f"{DJANGO}.db"),
    "cached_db": Engine(f"{DJANGO}.cached_db"),
    "cache": Engine(f"{DJANGO}.cache"),
    "file": Engine(f"{DJANGO}.file"),
    "signed_cookies": Engine(f"{DJANGO}.signed_cookies"),
    "user_sessions": Engine(
        "user_sessions.backends.db", "user_sessions.middleware.SessionMiddleware"
    ),
    "qsessions": Engine("qsessions.backends.db", "qsessions.middleware.SessionMiddleware"),
    "qsessions_cached": Engine(
        "qsessions.backends.cached_db", "qsessions.middleware.SessionMiddleware"
    ),
}


class Shop(site.Site):
    """A running shop; see ``site.Site``."""

    application = "tests.proofs.moving.webapp.wsgi"

    def visitor(self, cookie: str | None = None) -> "Visitor":
        """Return a new visitor, or one with the cookie of another."""
        return Visitor(self.address, cookie)


class Answer(NamedTuple):
    """A response: its JSON, what X-Error says, and what it does to the cookie.

    ``cookie`` is None where the response leaves it alone, "" where it deletes it.
    """

    status: int
    values: dict[str, Any]
    error: str | None
    cookie: str | None
    max_age: str


class Visitor:
    """A browser with one session cookie."""

    def __init__(self, address: tuple[str, int], cookie: str | None = None) -> None:
        self.address = address
        self.cookie = cookie

    def send(self, path: str, **query: Any) -> Answer:
        """Send a request with the cookie as it is, and leave it so."""
        headers = {"User-Agent": "test", "Connection": "close"}
        if self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request("GET", f"/{path}?{urlencode(query)}", headers=headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        sent = SimpleCookie()
        for header in response.headers.get_all("Set-Cookie", []):
            sent.load(header)
        morsel = sent.get(COOKIE)
        return Answer(
            response.status,
            json.loads(body) if response.status == 200 else {},
            response.headers.get("X-Error"),
            None if morsel is None else morsel.value,
            "" if morsel is None else morsel["max-age"],
        )

    def get(self, path: str, **query: Any) -> Answer:
        """Send a request and keep the cookie that comes back."""
        answer = self.send(path, **query)
        self.keep(answer)
        return answer

    def keep(self, answer: Answer) -> None:
        """Do to the cookie what the response says."""
        if answer.cookie is not None:
            self.cookie = answer.cookie or None


def manage(database: dict[str, Any], *arguments: str, **settings: Any) -> str:
    """Run a management command of the shop, and return what it prints."""
    wanted = json.dumps({**settings, "DATABASE": database})
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=ROOT,
        env={**os.environ, "SITE": wanted, "DJANGO_SETTINGS_MODULE": SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
