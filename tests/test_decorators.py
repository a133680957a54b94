import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from django_scs import flash
from django_scs.backends.db import SessionStore
from django_scs.decorators import with_session
from django_scs.models import Session
from django_scs.signals import malformed_token
from tests.support import DJANGOS, OURS, in_event_loop, statements, stored, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@with_session
def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    if "error" in request.GET:
        request.session.cycle_key()
        return HttpResponse(status=503)
    return HttpResponse(request.session["count"])


@with_session
async def acount(request):
    number = await request.session.aget("count", 0)
    await request.session.aset("count", number + 1)
    return HttpResponse(number + 1)


@with_session
def shown(request):
    template = engines["django"].from_string("{% load scs %}{% flash %}")
    return TemplateResponse(request, template)


@with_session
def leave(request):
    flash.put(request, "hello")
    return HttpResponse()


@method_decorator(with_session, name="dispatch")
class Count(View):
    def get(self, request):
        return count.__wrapped__(request)


@method_decorator(with_session, name="dispatch")
class ACount(View):
    async def get(self, request):
        return await acount.__wrapped__(request)


class Wrapped(View):
    async def get(self, request):
        return await acount.__wrapped__(request)


@with_session
def take_away(request):
    del request.session
    return HttpResponse()


@with_session
def replace_by_dict(request):
    request.session = {"count": 5}
    return HttpResponse()


@with_session
def nothing(request):
    request.session["count"] = 1


def bare(request):
    return HttpResponse(hasattr(request, "session"))


urlpatterns = [
    path("count/", count),
    path("acount/", acount),
    path("class/", Count.as_view()),
    path("aclass/", ACount.as_view()),
    path("awrapped/", with_session(Wrapped.as_view())),
    path("take_away/", take_away),
    path("replace_by_dict/", replace_by_dict),
    path("nothing/", nothing),
    path("leave/", leave),
    path("shown/", shown),
    path("bare/", bare),
]


@pytest.fixture(autouse=True, params=["without", "ours"])
def middleware(request, settings):
    settings.MIDDLEWARE = [OURS] if request.param == "ours" else []


@pytest.mark.parametrize("name", ["count", "acount", "class", "aclass", "awrapped"])
def test_view_has_a_session_that_is_kept(client, name):
    assert client.get(f"/{name}/").content == b"1"
    with statements() as found:
        response = client.get(f"/{name}/")
    assert response.content == b"2"
    assert verbs(found) == ["SELECT", "UPDATE"]
    assert "Cookie" in response["Vary"]
    assert stored(token_of(client)) == {"count": 2}


@in_event_loop
async def test_async_view_is_served_by_an_async_client():
    client = AsyncClient()
    assert (await client.get("/acount/")).content == b"1"
    assert (await client.get("/acount/")).content == b"2"


@pytest.mark.parametrize("name", ["acount", "aclass", "awrapped"])
@in_event_loop
async def test_receivers_of_malformed_tokens_may_be_async_and_use_the_database(name):
    told = []

    async def note(**kwargs):
        told.append("async")

    def look(**kwargs):
        told.append(Session.objects.count())

    malformed_token.connect(note)
    malformed_token.connect(look)
    client = AsyncClient()
    client.cookies["sessionid"] = "malformed"
    response = await client.get(f"/{name}/")
    malformed_token.disconnect(note)
    malformed_token.disconnect(look)

    assert response.content == b"1"
    assert sorted(told, key=str) == [0, "async"]


def test_other_views_have_none(client, settings):
    assert client.get("/bare/").content == (b"True" if settings.MIDDLEWARE else b"False")


def test_what_the_template_does_is_saved_too(client):
    client.get("/leave/")
    assert client.get("/shown/").content == b"hello"
    assert client.get("/shown/").content == b""


@pytest.mark.parametrize("name", ["take_away", "replace_by_dict"])
def test_session_that_the_view_took_away_is_left_alone(client, name):
    client.get("/count/")
    response = client.get(f"/{name}/")
    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert stored(token_of(client)) == {"count": 1}


def test_view_that_returns_nothing_is_told_so_by_django(client):
    with pytest.raises(ValueError, match="didn't return an HttpResponse"):
        client.get("/nothing/")


def test_renewed_token_reaches_the_browser_when_the_view_fails():
    client = Client()
    client.get("/count/")
    before = token_of(client)
    client.get("/count/?error=1")
    assert token_of(client) != before
    assert stored(token_of(client)) == {"count": 1}


def test_session_of_djangos_middleware_is_left_to_it(client, settings):
    settings.MIDDLEWARE = [DJANGOS]
    with statements() as found:
        client.get("/count/")
    assert verbs(found) == ["INSERT"]


def test_session_that_is_there_stays():
    @with_session
    def view(request):
        return request.session

    @with_session
    async def aview(request):
        return request.session

    request = HttpRequest()
    request.session = own = SessionStore()
    assert view(request) is own
    assert async_to_sync(aview)(request) is own
