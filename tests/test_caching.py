"""No cache between the site and its visitors may give one visitor the token of another."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_control, cache_page

from django_scs.testing import age
from tests.contracts.tools import MINUTE
from tests.support import OURS, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_caching")]

SAID = {
    "nothing": {},
    "public": {"Cache-Control": "public, max-age=600"},
    "shared": {"Cache-Control": "s-maxage=600"},
    "shouted": {"Cache-Control": "PUBLIC, S-MAXAGE=600, max-age=600"},
    "immutable": {"Cache-Control": "public,max-age=31536000,immutable"},
    "network": {"CDN-Cache-Control": "max-age=600", "Surrogate-Control": "max-age=600"},
    "vendor": {"Cloudflare-CDN-Cache-Control": "public, max-age=600", "Cache-Control": "max-age=1"},
    "edge": {"Edge-Control": "cache-maxage=10m"},
    "quoted": {"Cache-Control": 'no-cache="Set-Cookie", public, max-age=600'},
}
NETWORKS = {
    "CDN-Cache-Control",
    "Cloudflare-CDN-Cache-Control",
    "Surrogate-Control",
    "Edge-Control",
}


def put(request: HttpRequest) -> HttpResponse:
    request.session["color"] = "red"
    return HttpResponse("stored")


def said(request: HttpRequest, name: str) -> HttpResponse:
    response = put(request)
    for header, value in SAID[name].items():
        response[header] = value
    return response


def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session.get("color")), headers=SAID["public"])


def renew(request: HttpRequest) -> HttpResponse:
    request.session.renew_token()
    return HttpResponse("renewed", headers=SAID["public"])


def log_out(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("gone", headers=SAID["public"])


urlpatterns = [
    path("said/<name>/", said),
    path("put/", put),
    path("read/", read),
    path("renew/", renew),
    path("log_out/", log_out),
    path("cache_page/", cache_page(600)(put)),
    path("cache_control/", cache_control(public=True, max_age=600)(put)),
]


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


class SharedCache:
    """A cache of many visitors, such as a proxy's, which stores all that RFC 9111 lets it store."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, client: Client, url: str, **headers: str) -> Any:
        if url not in self.kept:
            response = client.get(url, **headers)
            if not self.may_store(response):
                return response
            self.kept[url] = response
        return self.kept[url]

    @staticmethod
    def may_store(response: Any) -> bool:
        """Tell what RFC 9111, 3, says. One that heeds Vary: Cookie could store less."""
        if not NETWORKS.isdisjoint(response.headers):
            return True
        said = re.split(r"\s*,\s*", response.get("Cache-Control", "").lower())
        return not {"private", "no-store"}.intersection(said)


@pytest.fixture
def shared() -> SharedCache:
    return SharedCache()


@pytest.mark.parametrize(
    "url", [*(f"/said/{name}/" for name in SAID), "/cache_page/", "/cache_control/", "/put/"]
)
def test_second_visitor_gets_a_session_of_their_own(shared: SharedCache, url: str) -> None:
    answers = [shared.get(Client(), url) for _ in range(3)]
    cookies = [response.cookies["sessionid"].value for response in answers if response.cookies]
    assert len(set(cookies)) == len(cookies)
    # What cache_page has stored has neither a token nor a session.
    assert len(cookies) == (1 if url == "/cache_page/" else 3)
    for response in filter(lambda response: response.cookies, answers):
        assert "private" in response["Cache-Control"]
        assert not re.search(r"public|s-maxage", response["Cache-Control"], re.IGNORECASE)


def test_view_that_says_nothing_is_not_stored_at_all() -> None:
    assert Client().get("/put/")["Cache-Control"] == "private, no-store"
    assert Client().get("/said/public/")["Cache-Control"] == "max-age=600, private"


@pytest.mark.parametrize("url", ["/renew/", "/log_out/"])
def test_renewal_and_logout_are_private_too(shared: SharedCache, url: str) -> None:
    client = Client()
    client.get("/put/")
    assert not shared.may_store(client.get(url))


def test_touch_sends_no_token(settings: Any, shared: SharedCache) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    client = Client()
    client.get("/put/")
    age(5 * MINUTE, token_of(client))
    response = shared.get(client, "/read/")
    assert "sessionid" not in response.cookies
    # The view says that anybody may see it, and so it is.
    assert response["Cache-Control"] == "public, max-age=600"
    assert "sessionid" not in shared.get(Client(), "/read/").cookies


def test_touch_that_sends_the_token_is_private(settings: Any, shared: SharedCache) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    settings.SESSION_SAVE_EVERY_REQUEST = True
    client = Client()
    client.get("/put/")
    response = client.get("/read/")
    assert "sessionid" in response.cookies
    assert not shared.may_store(response)


CACHING = [
    "django.middleware.cache.UpdateCacheMiddleware",
    OURS,
    "django.middleware.cache.FetchFromCacheMiddleware",
]
ORDERS: dict[str, Callable[[], list[str]]] = {
    "as documented": lambda: CACHING,
    "sessions outermost": lambda: [OURS, CACHING[0], CACHING[2]],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("url", ["/put/", "/said/public/", "/cache_page/", "/cache_control/"])
def test_page_cache_of_django_keeps_no_token(settings: Any, order: str, url: str) -> None:
    settings.MIDDLEWARE = ORDERS[order]()
    found = {
        cookie.value
        for _ in range(4)
        if (cookie := Client().get(url).cookies.get("sessionid")) is not None
    }
    # A cache within the session middleware has the page from before the token was put there.
    is_within = url == "/cache_page/" or order == "sessions outermost"
    assert len(found) == (1 if is_within else 4)
    kept = list(cache._cache.values())  # type: ignore[attr-defined]
    assert not [data for data in kept for token in found if token.encode() in data]
