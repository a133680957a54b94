"""The middleware and async views on the way of an ASGI server."""

import asyncio
import threading
from functools import partial

import pytest
from asgiref.sync import SyncToAsync, iscoroutinefunction, sync_to_async
from django.contrib.auth import aget_user
from django.http import HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.middleware import SessionMiddleware
from django_scs.models import Session
from tests.support import DJANGOS, OURS, in_event_loop, stored, token_of, with_middleware

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)
    return request.param


# No session has it. A constant, so that every process of pytest-xdist names the tests alike.
UNKNOWN = "A" * 43

only_ours = pytest.mark.parametrize("middleware", [OURS], ids=["ours"], indirect=True)


@pytest.fixture
def client():
    return AsyncClient(raise_request_exception=False)


@in_event_loop
async def test_values_come_back_in_the_next_request(client):
    response = await client.get("/aput/?color=red")

    assert "Cookie" in response["Vary"]
    assert (await client.get("/aread/")).json() == {"color": "red"}


@in_event_loop
async def test_sync_and_async_views_share_a_session(client):
    await client.get("/put/?color=red")

    assert (await client.get("/aread/")).json() == {"color": "red"}


@in_event_loop
async def test_request_that_stores_nothing_sets_no_cookie(client):
    response = await client.get("/aread/")

    assert (response.status_code, dict(response.cookies)) == (200, {})


@in_event_loop
async def test_destroyed_session_is_gone_and_its_cookie_deleted(client):
    await client.get("/aput/")
    await client.get("/adestroy/")

    assert token_of(client) == ""
    assert not await Session.objects.aexists()


@in_event_loop
async def test_a_stream_reads_the_session_that_was_saved_before_it(client):
    response = await client.get("/astream/")
    parts = [part async for part in response.streaming_content]

    assert b"".join(parts) == b"streamed in parts"
    assert await sync_to_async(stored)(token_of(client)) == {"color": "streamed"}


@pytest.mark.parametrize("path", ["/adelete_session/", "/areplace_session_by_dict/"])
@in_event_loop
async def test_session_that_the_view_took_away_is_left_alone(client, path):
    response = await client.get(path)

    assert (response.status_code, dict(response.cookies)) == (200, {})


@in_event_loop
async def test_force_login_and_logout_of_djangos_client(client, django_user_model):
    user = await django_user_model.objects.acreate_user("alice")
    await client.aforce_login(user)
    assert (await client.get("/aread/")).json()["_auth_user_id"] == str(user.pk)

    await client.alogout()
    assert (await client.get("/aread/")).json() == {}


@only_ours
@in_event_loop
async def test_session_destroyed_meanwhile_lets_the_response_go_out(client):
    await client.get("/aput/")
    response = await client.get("/aput_while_destroyed/")

    assert (response.status_code, dict(response.cookies)) == (200, {})


@only_ours
@in_event_loop
async def test_renewed_token_is_delivered_when_the_view_fails(client):
    await client.get("/aput/?color=red")
    old = token_of(client)
    response = await client.get("/arenew_and_fail/")

    assert response.status_code == 500
    assert token_of(client) != old
    assert await sync_to_async(stored)(token_of(client)) == {"color": "red"}


@only_ours
@pytest.mark.django_db(transaction=True)
@in_event_loop
async def test_what_a_page_that_failed_has_taken_is_shown_by_the_next(client):
    await client.get("/aput_flash/")
    assert (await client.get("/apop_flash_and_fail/")).status_code == 500

    assert (await client.get("/apop_flash/")).content == b"Saved!"


@only_ours
@in_event_loop
async def test_unknown_token_leaves_the_cookie_alone(client):
    client.cookies["sessionid"] = tokens.new()

    assert not (await client.get("/aread/")).cookies


# Where the threads are


@pytest.fixture
def hops(monkeypatch):
    """Return a list that gets the name of each function that is handed to a thread."""
    names = []
    original = SyncToAsync.__call__

    async def record(self, *args, **kwargs):
        names.append(self.func.func if isinstance(self.func, partial) else self.func.__qualname__)
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", record)
    return names


async def serve(view, token=""):
    request = AsyncRequestFactory().get("/")
    request.COOKIES["sessionid"] = token
    middleware = SessionMiddleware(view)
    assert iscoroutinefunction(middleware)
    return await middleware(request)


async def untouched(request):
    return HttpResponse()


async def read(request):
    return HttpResponse(str(await request.session.aget("color")))


async def put(request):
    await request.session.aset("color", "red")
    return HttpResponse()


@only_ours
@pytest.mark.parametrize(
    ("view", "token", "expected"),
    [
        (untouched, "", []),
        (read, "", []),
        (untouched, UNKNOWN, []),
        (read, UNKNOWN, ["SessionStore._get_session"]),
        (put, "", ["SessionMiddleware.process_response"]),
    ],
)
@in_event_loop
async def test_only_what_talks_to_the_store_goes_to_a_thread(hops, view, token, expected):
    await serve(view, token)

    assert hops == expected


@only_ours
@in_event_loop
async def test_view_runs_in_the_thread_of_the_loop():
    async def view(request):
        assert threading.get_ident() == loop_thread
        return await put(request)

    loop_thread = threading.get_ident()
    response = await serve(view)

    assert await SessionStore().aexists(response.cookies["sessionid"].value)


@in_event_loop
async def test_changes_that_are_gathered_before_the_session_is_loaded_are_all_kept():
    token = await stored_token()
    session = SessionStore(token)
    request = RequestFactory().get("/")
    request.session = session
    found = await asyncio.gather(
        session.aset("a", 1),
        session.aset("b", 2),
        aget_user(request),
        session.apop("color"),
        session.aget("size"),
    )
    assert found[3:] == ["red", 9]
    await session.asave()

    assert await SessionStore(token).aload() == {"a": 1, "b": 2, "size": 9}


@in_event_loop
async def test_gathered_reads_load_once(hops):
    session = SessionStore(await stored_token())
    hops.clear()
    await asyncio.gather(*[session.aget("color") for _ in range(5)])

    assert len(hops) <= 5
    assert session["color"] == "red"


@in_event_loop
async def test_commit_has_a_twin():
    session = SessionStore()
    session["a"] = 1
    outcome = await session.acommit()

    assert await SessionStore(outcome.token).aload() == {"a": 1}


async def stored_token():
    session = SessionStore()
    await session.aupdate({"color": "red", "size": 9})
    await session.asave()
    return session.session_key
