"""A browser that visits both sites with one cookie jar."""

from __future__ import annotations

import json
from copy import copy
from http.client import HTTPConnection
from http.cookiejar import Cookie, CookieJar
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

SECONDS = 30
_gates = count()


class Browser:
    """Visits the sites that it is given by name; both are on the same host, so share cookies."""

    def __init__(self, sites: dict[str, str]) -> None:
        self.sites = sites
        self._jar = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._jar))

    def visit(self, site: str, action: str, **parameters: Any) -> Any:
        """Return what the site answers. Raise HTTPError if that is an error."""
        url = f"{self.sites[site]}/{action}?{urlencode(parameters)}"
        with self._opener.open(url, timeout=SECONDS) as response:
            return json.load(response)

    @property
    def cookie(self) -> Cookie | None:
        """The session cookie; None if there is none."""
        return next((cookie for cookie in self._jar if cookie.name == "session"), None)

    @property
    def token(self) -> str:
        """The session token; "" if there is none."""
        return (self.cookie and self.cookie.value) or ""

    def twin(self) -> Browser:
        """Return a browser that has the same cookies now."""
        twin = Browser(self.sites)
        for cookie in self._jar:
            twin._jar.set_cookie(copy(cookie))
        return twin


class Held:
    """A slow request to the Go application, which has loaded its session and waits.

    Given a key and a value it will put them, else it only reads.
    """

    def __init__(self, browser: Browser, **parameters: str) -> None:
        self._browser = browser
        self._gate = next(_gates)
        self._connection = HTTPConnection(urlsplit(browser.sites["go"]).netloc, timeout=SECONDS)
        query = urlencode({"gate": self._gate, **parameters})
        headers = {"Cookie": f"{browser.cookie.name}={browser.token}"} if browser.cookie else {}
        self._connection.request("GET", f"/hold?{query}", headers=headers)
        browser.visit("go", "held", gate=self._gate)

    def finish(self) -> int:
        """Let the request go on to its end, and return the status of its response."""
        self._browser.visit("go", "release", gate=self._gate)
        status = self._connection.getresponse().status
        self._connection.close()
        return status
