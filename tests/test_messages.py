"""``contrib.messages`` with our storage: none is lost, each is shown once."""

from collections import Counter

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.safestring import SafeData, mark_safe

from django_scs.backends.db import SessionStore
from django_scs.messages import SessionStorage
from tests.contracts.tools import in_parallel
from tests.support import (
    DJANGOS,
    OURS,
    in_event_loop,
    statements,
    stored,
    token_of,
    verbs,
    with_middleware,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

BODY = "{% if messages %}{% for m in messages %}{{ m.tags }}:{{ m }};{% endfor %}{% endif %}"


def add(request: HttpRequest) -> HttpResponse:
    for text in request.GET.getlist("text"):
        messages.success(request, text, extra_tags="extra")
    return HttpResponse("added")


async def aadd(request: HttpRequest) -> HttpResponse:
    return add(request)


def show(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(BODY).render({}, request))


async def ashow(request: HttpRequest) -> HttpResponse:
    return show(request)


def add_show_add(request: HttpRequest) -> HttpResponse:
    messages.info(request, "before")
    response = show(request)
    messages.info(request, "after")
    return response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    add(request)
    return StreamingHttpResponse(show(request).content for _ in range(1))


def show_twice(request: HttpRequest) -> HttpResponse:
    return HttpResponse(show(request).content + b"|" + show(request).content)


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(len(messages.get_messages(request)))


def fail(request: HttpRequest) -> HttpResponse:
    show(request)
    raise RuntimeError("the view fails")


VIEWS = [aadd, add, add_show_add, ashow, count, fail, show, show_twice, stream]
urlpatterns = [path(f"{view.__name__}/", view) for view in VIEWS]


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)
    settings.MESSAGE_STORAGE = "django_scs.messages.SessionStorage"


@pytest.fixture
def visitor(client):
    """Return a client with a session, whose cookie does not change any more."""
    client.get("/add/", {"text": "zero"})
    client.get("/show/")
    return client


def twin(client: Client) -> Client:
    other = Client(raise_request_exception=False)
    other.cookies = client.cookies
    return other


def texts(response) -> list[str]:
    content = response.getvalue().decode()
    return [part.partition(":")[2] for part in content.split(";") if part]


@pytest.mark.parametrize("adding", ["/add/", "/aadd/"])
@pytest.mark.parametrize("showing", ["/show/", "/ashow/"])
def test_messages_are_shown_once_in_their_order_with_level_and_tags(client, adding, showing):
    client.get(adding, {"text": ["first", "second"]})
    client.get(adding, {"text": "third"})

    response = client.get(showing)
    assert response.content == b"extra success:first;extra success:second;extra success:third;"
    assert client.get(showing).content == b""
    assert stored(token_of(client)) == {}


def test_async_client_sees_them_too(client):
    client.get("/add/", {"text": "first"})
    browser = AsyncClient()
    browser.cookies = client.cookies
    shown = []

    @in_event_loop
    async def visit():
        for _ in range(2):
            shown.append(texts(await browser.get("/ashow/")))

    visit()
    assert shown == [["first"], []]


def test_of_parallel_messages_none_is_lost_and_equal_ones_stay_apart(visitor):
    clients = [twin(visitor) for _ in range(8)]
    in_parallel(
        *(lambda each=each: each.get("/add/", {"text": ["same", "same"]}) for each in clients)
    )

    assert texts(visitor.get("/show/")) == ["same"] * 16


def test_parallel_pages_show_each_message_once(visitor):
    wanted = [str(number) for number in range(8)]
    visitor.get("/add/", {"text": wanted})
    clients = [twin(visitor) for _ in range(6)]
    pages = in_parallel(*(lambda each=each: texts(each.get("/show/")) for each in clients))

    assert [page for page in pages if page] == [wanted]
    assert texts(visitor.get("/show/")) == []


def test_messages_added_while_pages_show_others_are_shown_once(visitor):
    def add_some(client, name):
        for number in range(6):
            client.get("/add/", {"text": f"{name}{number}"})
        return []

    def show_some(client):
        return [text for _ in range(8) for text in texts(client.get("/show/"))]

    shown = in_parallel(
        *(lambda name=name: add_some(twin(visitor), name) for name in "ab"),
        *(lambda: show_some(twin(visitor)) for _ in range(2)),
    )
    found = Counter(text for part in shown for text in part) + Counter(texts(visitor.get("/show/")))

    assert found == Counter(f"{name}{number}" for name in "ab" for number in range(6))


def test_a_message_added_after_the_loop_is_for_the_next_page(client):
    assert texts(client.get("/add_show_add/")) == ["before"]
    assert texts(client.get("/show/")) == ["after"]


def test_a_page_may_loop_twice(client):
    client.get("/add/", {"text": "first"})

    assert client.get("/show_twice/").content == b"extra success:first;|extra success:first;"


def test_counting_shows_nothing(client):
    client.get("/add/", {"text": ["first", "second"]})

    assert client.get("/count/").content == b"2"
    assert texts(client.get("/show/")) == ["first", "second"]


@pytest.mark.parametrize("headers", [None, {"Sec-Purpose": "prefetch"}])
def test_a_page_that_nobody_sees_leaves_them(client, headers):
    client.get("/add/", {"text": "first"})
    unseen = client.get("/show/", headers=headers) if headers else client.head("/show/")

    assert unseen.content == b""
    assert texts(client.get("/show/")) == ["first"]


def test_showing_several_costs_one_statement_more_than_reading(client):
    client.get("/add/", {"text": ["first", "second", "third"]})
    with statements() as found:
        client.get("/show/")

    assert verbs(found) == ["SELECT", "UPDATE"]


def test_a_page_without_messages_costs_no_write(visitor):
    with statements() as found:
        visitor.get("/show/")

    assert verbs(found) == ["SELECT"]


def test_a_page_that_failed_gives_them_back(visitor, settings):
    settings.MIDDLEWARE = with_middleware(OURS)
    client = twin(visitor)
    client.get("/add/", {"text": ["first", "second"]})
    assert client.get("/fail/").status_code == 500

    assert texts(client.get("/show/")) == ["first", "second"]


def test_messages_that_djangos_storage_left_are_shown_first(client, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    client.get("/add/", {"text": ["first", "second"]})
    settings.MESSAGE_STORAGE = "django_scs.messages.SessionStorage"
    client.get("/add/", {"text": "third"})

    assert texts(client.get("/show/")) == ["first", "second", "third"]
    assert stored(token_of(client)) == {}


@pytest.mark.parametrize("adding", ["/add/", "/add_show_add/"])
def test_looking_at_the_messages_of_a_finished_page_takes_none(client, adding):
    client.get("/add/", {"text": "old"})
    response = client.get(adding, {"text": "new"})
    found = [message.message for message in messages.get_messages(response.wsgi_request)]

    assert found == (["old", "new"] if adding == "/add/" else ["old", "before", "after"])
    assert len(messages.get_messages(response.wsgi_request)) == len(found)
    shown = texts(client.get("/show/"))
    assert shown == (["old", "new"] if adding == "/add/" else ["after"])


def test_a_stream_shows_messages_once(client):
    client.get("/add/", {"text": "first"})
    response = client.get("/stream/", {"text": "second"})

    assert texts(response) == ["first", "second"]
    assert texts(client.get("/show/")) == ["second"]


def test_messages_of_one_moment_keep_their_order(rf, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_800_000_000_000_000_000)
    request, added = rf.get("/"), [str(number) for number in range(30)]
    request.session = {}
    storage = SessionStorage(request)
    for text in added:
        storage.add(messages.INFO, text)
    storage.update(HttpResponse())

    assert [message.message for message in SessionStorage(request)] == added


def test_safe_text_stays_safe_and_a_dict_serves_as_the_session(rf):
    request = rf.get("/")
    request.session = {}
    storage = SessionStorage(request)
    storage.add(messages.INFO, mark_safe("<b>bold</b>"))
    storage.update(HttpResponse())

    (message,) = SessionStorage(request)
    assert isinstance(message.message, SafeData)
    assert request.session == {}


@in_event_loop
async def test_take_all_has_a_twin():
    session = SessionStore()
    await session.aupdate({"a": 1, "b": 2, "c": 3})
    await session.asave()
    other = await sync_to_async(SessionStore)(session.session_key)

    assert await other.atake_all(["b", "a", "x"]) == {"b": 2, "a": 1}
    assert await session.atake_all(["a", "b"]) == {}
    assert (await other.acommit()).token == ""
