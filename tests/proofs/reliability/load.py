"""Load: many threads let go at once, browsers over http.client, and what their figures are."""

import http.client
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.db import connections

T = TypeVar("T")


def in_parallel(count: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work(0)`` to ``work(count - 1)`` in a thread each, let go at once; return the results.

    The first error is raised when all have ended.
    """
    start = threading.Barrier(count)

    def run(number: int) -> T:
        start.wait()
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, number) for number in range(count)]
    return [future.result() for future in futures]


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least ``share`` (0 to 1) of all do not exceed."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def spread(samples: Iterable[float], unit: str = "") -> str:
    """Return the median, the 99th percentile, the maximum and the number of samples, as text."""
    found = list(samples)
    figures = f"{percentile(found, 0.5):.4g} / {percentile(found, 0.99):.4g} / {max(found):.4g}"
    return f"p50 / p99 / max {figures}{unit and ' '}{unit} (n={len(found)})"


def milliseconds(seconds: Iterable[float]) -> str:
    """Return what ``spread`` says of times that were measured in seconds."""
    return spread((each * 1000 for each in seconds), "ms")


class Reply(NamedTuple):
    """A response: ``error`` is the header X-Error, ``token`` what Set-Cookie gave the browser.

    ``token`` is None without a session cookie in the response, and "" where it deletes the cookie.
    ``seconds`` is the time from the request's first byte to the response's last.
    """

    status: int
    values: dict[str, Any]
    error: str | None
    token: str | None
    seconds: float


class Browser:
    """A visitor with one session cookie."""

    def __init__(self, address: tuple[str, int], token: str | None = None) -> None:
        self._address = address
        self.token = token

    def send(self, path: str, **query: Any) -> Reply:
        """Send a request with the cookie as it is, and leave it so. Raise OSError without a reply."""
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={self.token}"} if self.token else {}
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        started = time.monotonic()
        try:
            connection.request("GET", f"/{path}?{urlencode(query)}", headers=headers)
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as exc:
            raise ConnectionError(f"no reply to {path}") from exc
        finally:
            connection.close()
        seconds = time.monotonic() - started
        cookie = SimpleCookie(response.headers.get("Set-Cookie", ""))
        morsel = cookie.get(settings.SESSION_COOKIE_NAME)
        values = json.loads(body) if response.status == 200 else {}
        error = response.headers.get("X-Error")
        token = None if morsel is None else morsel.value
        return Reply(response.status, values, error, token, seconds)

    def get(self, path: str, **query: Any) -> Reply:
        """Send a request and keep the cookie that comes back."""
        reply = self.send(path, **query)
        if reply.token is not None:
            self.token = reply.token or None
        return reply
