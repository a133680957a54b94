"""Messages that are shown once."""

import asyncio

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.sessions.backends.signed_cookies import SessionStore as DjangosStore
from django.core.asgi import get_asgi_application
from django.db import OperationalError
from django.http import HttpRequest
from django.template import engines
from django.test import AsyncClient
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from django_scs import flash
from django_scs.backends.db import SessionStore
from tests.support import in_event_loop, stored, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


def request_with(token=None):
    request = HttpRequest()
    request.session = SessionStore(token)
    return request


@pytest.fixture
def request_():
    return request_with()


def test_put_stores_a_plain_string_under_the_key(client):
    client.get("/put_flash/?message=Saved!")
    client.get("/put_flash/?message=Oh no!&key=error")

    assert stored(token_of(client)) == {"flash": "Saved!", "error": "Oh no!"}


def test_pop_gives_the_message_once(client):
    client.get("/put_flash/")

    assert client.get("/pop_flash/").content == b"Saved!"
    assert client.get("/pop_flash/").content == b""
    assert stored(token_of(client)) == {}


def test_put_replaces_a_message_that_is_still_there(request_):
    flash.put(request_, "First")
    flash.put(request_, "Second")

    assert flash.pop(request_) == "Second"


def test_slots_are_independent(request_):
    flash.put(request_, "Saved!")
    flash.put(request_, "Oh no!", key="error")

    assert flash.pop(request_, key="error") == "Oh no!"
    assert flash.pop(request_, key="error") == ""
    assert flash.pop(request_) == "Saved!"


@pytest.mark.parametrize("key", ["flash", "error"])
def test_peek_leaves_the_message_where_it_is(request_, key):
    flash.put(request_, "Saved!", key=key)

    assert flash.peek(request_, key=key) == "Saved!"
    assert flash.pop(request_, key=key) == "Saved!"
    assert flash.peek(request_, key=key) == ""


def test_pop_without_a_message_changes_nothing(request_):
    assert flash.pop(request_) == ""
    assert not request_.session.modified


@pytest.mark.parametrize("value", [1, None, ["Saved!"], {"text": "Saved!"}, b"Saved!"])
def test_what_is_not_a_string_reads_as_no_message_and_goes(request_, value):
    request_.session["flash"] = value

    assert flash.peek(request_) == ""
    assert flash.pop(request_) == ""
    assert "flash" not in request_.session


@pytest.mark.parametrize(
    "message", [gettext_lazy("Saved!"), mark_safe("Saved!")], ids=["lazy", "safe"]
)
def test_messages_become_plain_strings(request_, message):
    flash.put(request_, message)

    assert type(request_.session["flash"]) is str
    assert flash.pop(request_) == "Saved!"


def test_of_two_parallel_pops_one_gets_the_message(client):
    client.get("/put_flash/")
    first, second = request_with(token_of(client)), request_with(token_of(client))
    for request in (first, second):
        assert flash.peek(request) == "Saved!"

    assert [flash.pop(first), flash.pop(second)] == ["Saved!", ""]


def test_pop_does_not_save_other_changes(client):
    client.get("/put_flash/")
    request = request_with(token_of(client))
    request.session["color"] = "red"
    flash.pop(request)

    assert stored(token_of(client)) == {}
    request.session.save()
    assert stored(token_of(client)) == {"color": "red"}


def test_flash_survives_login(client, django_user_model):
    django_user_model.objects.create_user("alice")
    client.get("/put_flash/")
    client.get("/log_in/")

    assert client.get("/pop_flash/").content == b"Saved!"


def test_flash_put_after_logout_reaches_the_anonymous_visitor(client):
    client.get("/put/")
    client.get("/log_out_with_flash/")

    assert client.get("/pop_flash/").content == b"Saved!"


def test_async_views_share_messages_with_sync_ones(client):
    client.get("/aput_flash/")
    assert client.get("/pop_flash/").content == b"Saved!"

    client.get("/put_flash/")
    assert client.get("/apop_flash/").content == b"Saved!"
    assert client.get("/apop_flash/").content == b""


@in_event_loop
async def test_async_twins_take_a_key(request_):
    await flash.aput(request_, gettext_lazy("Oh no!"), key="error")

    assert await flash.apeek(request_, key="error") == "Oh no!"
    assert await flash.apop(request_, key="error") == "Oh no!"
    assert await flash.apop(request_, key="error") == ""
    assert await flash.apop(request_) == ""


# Who sees the page


UNSEEN = [
    {"method": "HEAD"},
    {"headers": {"Sec-Purpose": "prefetch"}},
    {"headers": {"Sec-Purpose": "prefetch;prerender"}},
    {"headers": {"Purpose": "prefetch"}},
    {"headers": {"X-Purpose": "Prefetch"}},
    {"headers": {"X-Moz": "prefetch"}},
]


@pytest.mark.parametrize("how", UNSEEN)
@pytest.mark.parametrize("path", ["/pop_flash/", "/apop_flash/", "/page/?template={{ flash }}"])
def test_a_request_that_nobody_sees_leaves_the_message(client, how, path):
    client.get("/put_flash/")
    visit = client.head if how.get("method") == "HEAD" else client.get
    response = visit(path, headers=how.get("headers"))

    assert response.content == b""
    assert stored(token_of(client)) == {"flash": "Saved!"}
    assert client.get(path).content == b"Saved!"


# What is no slot


@pytest.mark.parametrize(
    "key", ["_auth_user_hash", "_auth_user_id", "_session_expiry", "__rememberMe", "_messages", "_"]
)
def test_a_slot_does_not_reach_keys_of_django_and_ours(request_, key):
    request_.session[key] = "kept"
    for use in (flash.pop, flash.peek, lambda request, key: flash.put(request, "x", key)):
        with pytest.raises(ValueError, match=f"flash slot '{key}'"):
            use(request_, key)

    assert request_.session[key] == "kept"


def test_a_slot_does_not_reach_the_login_of_a_go_application(request_, settings):
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    with pytest.raises(ValueError, match="authenticatedUserID"):
        flash.pop(request_, "authenticatedUserID")


def test_a_slot_of_a_template_tag_is_refused_too(client):
    client.raise_request_exception = True
    with pytest.raises(ValueError, match="_auth_user_hash"):
        client.get("/page/", {"template": "{% load scs %}{% flash '_auth_user_hash' %}"})


@in_event_loop
async def test_async_twins_refuse_such_slots(request_):
    for use in (flash.apop, flash.apeek):
        with pytest.raises(ValueError, match="_auth"):
            await use(request_, "_auth_user_hash")
    with pytest.raises(ValueError, match="_auth"):
        await flash.aput(request_, "x", "_auth_user_hash")


# Other sessions than ours


@pytest.fixture(params=["dict", "django"])
def foreign(request):
    found = HttpRequest()
    found.session = {} if request.param == "dict" else DjangosStore()
    return found


def test_any_mapping_serves_as_the_session(foreign):
    flash.put(foreign, "Saved!")

    assert flash.peek(foreign) == "Saved!"
    template = engines["django"].from_string("{% load scs %}{% flash %}")
    assert template.render({}, foreign) == "Saved!"
    assert (flash.peek(foreign), flash.pop(foreign)) == ("", "")


@in_event_loop
async def test_any_mapping_serves_as_the_session_of_the_async_twins(foreign):
    await flash.aput(foreign, "Saved!")

    assert await flash.apeek(foreign) == "Saved!"
    assert [await flash.apop(foreign), await flash.apop(foreign)] == ["Saved!", ""]


# Templates of async views


@pytest.mark.parametrize("template", ["{{ flash }}", "{% load scs %}{% flash %}"])
@pytest.mark.django_db(transaction=True)
def test_a_template_of_an_async_view_pops(client, template):
    client.get("/put_flash/")
    for shown in ("Saved!", ""):
        assert client.get("/apage/", {"template": template}).content.decode() == shown
    assert stored(token_of(client)) == {}


@pytest.mark.parametrize("template", ["{{ flash }}", "{% load scs %}{% flash %}"])
def test_a_template_of_an_async_view_pops_under_asgi(client, template):
    client.get("/put_flash/")
    browser = AsyncClient()
    browser.cookies = client.cookies

    shown = []

    @in_event_loop
    async def visit():
        for _ in range(2):
            shown.append((await browser.get("/apage/", {"template": template})).content)

    visit()
    assert shown == [b"Saved!", b""]


@in_event_loop
async def test_an_error_of_the_store_reaches_a_template_of_an_async_view(request_, monkeypatch):
    def refuse(session):
        raise OperationalError("the server has gone away")

    monkeypatch.setattr(SessionStore, "load", refuse)
    request_.session = SessionStore("w" * 43)
    with pytest.raises(OperationalError, match="gone away"):
        flash.pop(request_)


@pytest.mark.django_db(transaction=True)
def test_a_template_of_an_async_view_pops_on_an_asgi_server(client):
    client.get("/put_flash/")
    application = get_asgi_application()

    async def visit():
        headers = [(b"host", b"testserver"), (b"cookie", f"sessionid={token_of(client)}".encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/apage/",
            "query_string": b"template={{ flash }}",
            "headers": headers,
        }
        served = ApplicationCommunicator(application, scope)
        await served.send_input({"type": "http.request"})
        start = await served.receive_output(10)
        body = await served.receive_output(10)
        await served.wait(10)
        return start["status"], body["body"]

    async def visit_thrice():
        # Side by side, as a server does.
        return await asyncio.gather(*(visit() for _ in range(3)))

    assert sorted(asyncio.run(visit_thrice())) == [(200, b""), (200, b""), (200, b"Saved!")]
