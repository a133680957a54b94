"""Tokens that are renewed in mid-session (SCS_RENEW_AFTER), and what is use of a session."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.backends.expiry import RENEWED_AT
from django_scs.models import Session
from django_scs.testing import age
from tests.contracts.tools import HOUR, MINUTE, in_parallel, now
from tests.database import in_autocommit
from tests.support import in_event_loop, statements, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_renewal")]
NAVIGATION = {"HTTP_SEC_FETCH_MODE": "navigate"}
together = threading.Barrier(10)


def read(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"color": request.session.get("color")})


async def aread(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"color": await request.session.aget("color")})


def put(request: HttpRequest) -> HttpResponse:
    request.session["color"] = request.GET.get("color", "red")
    return read(request)


def meet(request: HttpRequest) -> HttpResponse:
    """Answer when ten requests have loaded the session."""
    response = read(request)
    together.wait(10)
    return response


def fail(request: HttpRequest) -> HttpResponse:
    read(request)
    raise RuntimeError("the view fails")


def background(request: HttpRequest) -> HttpResponse:
    request.session.is_background = True
    if "color" in request.GET:
        return put(request)
    return read(request)


def untouched(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


VIEWS = (read, aread, put, meet, fail, background, untouched)
urlpatterns = [path(f"{view.__name__}/", view) for view in VIEWS]


@pytest.fixture
def renewing(settings: Any) -> None:
    settings.SCS_RENEW_AFTER = 600


@pytest.fixture
def client(renewing: None) -> Client:
    """Return a browser whose session's token is an hour old."""
    client = Client(raise_request_exception=False)
    client.get("/put/")
    assert age(HOUR, token_of(client)) == 1
    return client


def browser_with(token: str) -> Client:
    client = Client()
    client.cookies["sessionid"] = token
    return client


def test_renewal_is_off_by_default(settings: Any, client: Client) -> None:
    settings.SCS_RENEW_AFTER = None
    before = token_of(client)
    assert not client.get("/read/", **NAVIGATION).cookies
    assert SessionStore().exists(before)


def test_next_page_has_a_new_token_and_the_same_deadline(client: Client) -> None:
    before, deadline = token_of(client), SessionStore(token_of(client)).deadline()
    with statements() as found:
        response = client.get("/read/", **NAVIGATION)
    assert verbs(found) == ["SELECT", "RENAME", "UPDATE"]
    assert response.json() == {"color": "red"}
    assert token_of(client) != before
    assert "private" in response["Cache-Control"]
    assert not SessionStore().exists(before)
    assert SessionStore(token_of(client)).deadline() == deadline
    # Once.
    after = token_of(client)
    client.get("/read/", **NAVIGATION)
    assert token_of(client) == after


def test_change_is_kept_by_the_request_that_renews(client: Client) -> None:
    before = token_of(client)
    client.get("/put/?color=blue", **NAVIGATION)
    assert token_of(client) != before
    assert SessionStore(token_of(client))["color"] == "blue"


@in_event_loop
async def test_async_page_renews_too(settings: Any) -> None:
    settings.SCS_RENEW_AFTER = 600
    session = SessionStore()
    await session.aput("color", "red")
    await session.asave()
    before = session.token()
    settings.SCS_RENEW_AFTER = 0.001
    client = AsyncClient()
    client.cookies["sessionid"] = before
    response = await client.get("/aread/", headers={"Sec-Fetch-Mode": "navigate"})
    assert response.json() == {"color": "red"}
    assert token_of(client) not in ("", before)


@pytest.mark.parametrize("mode", [None, "cors", "no-cors", "same-origin"])
def test_what_a_page_requests_renews_nothing(client: Client, mode: str | None) -> None:
    headers = {} if mode is None else {"HTTP_SEC_FETCH_MODE": mode}
    assert not client.get("/read/", **headers).cookies


def test_fresh_token_is_not_renewed(renewing: None) -> None:
    client = Client()
    client.get("/put/")
    assert not client.get("/read/", **NAVIGATION).cookies


def test_page_that_does_not_load_the_session_renews_nothing(client: Client) -> None:
    with statements() as found:
        assert not client.get("/untouched/", **NAVIGATION).cookies
    assert found == []


def test_session_that_no_request_opened_is_not_renewed(client: Client) -> None:
    session = SessionStore(token_of(client))
    session["color"] = "blue"
    session.commit()
    assert SessionStore(token_of(client))["color"] == "blue"


def test_page_that_fails_renews_nothing(client: Client) -> None:
    before = token_of(client)
    client.get("/fail/", **NAVIGATION)
    assert SessionStore().exists(before)


def test_sessions_from_before_the_setting_are_renewed(settings: Any) -> None:
    client = Client()
    client.get("/put/")
    before = token_of(client)
    settings.SCS_RENEW_AFTER = 600
    client.get("/read/", **NAVIGATION)
    assert token_of(client) != before


@pytest.mark.parametrize("since", ["before the setting", "with it"])
def test_renewal_that_fails_does_not_fail_the_page(
    client: Client, caplog: pytest.LogCaptureFixture, since: str
) -> None:
    def refuse(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE"):
            raise OperationalError("read only")
        return execute(sql, *args)

    before = token_of(client)
    if since == "before the setting":
        session = SessionStore(before)
        del session[RENEWED_AT]
        session.save()
    with connection.execute_wrapper(refuse), caplog.at_level(logging.ERROR):
        response = client.get("/read/", **NAVIGATION)
    assert response.json() == {"color": "red"}
    assert not response.cookies
    record = next(each for each in caplog.records if each.name == "django_scs")
    assert (record.event, record.session) == ("renewal_failed", tokens.fingerprint(before))
    assert "read only" in str(record.exc_info)
    assert SessionStore(before)["color"] == "red"


@in_autocommit
def test_ten_requests_at_once_log_nobody_out(client: Client) -> None:
    """Ten pages that had loaded the session when the first of them renewed the token."""
    before = token_of(client)

    def visit() -> tuple[Any, str]:
        browser = browser_with(before)
        response = browser.get("/meet/", **NAVIGATION)
        cookie = response.cookies.get("sessionid")
        return response.json()["color"], cookie.value if cookie else ""

    answers = in_parallel(*[visit] * 10)
    assert [color for color, _ in answers] == ["red"] * 10
    (after,) = {token for _, token in answers if token}
    assert [key for (key,) in Session.objects.values_list("token")] == [after]
    assert browser_with(after).get("/read/").json() == {"color": "red"}


@in_autocommit
def test_ten_requests_of_a_page_log_nobody_out(client: Client) -> None:
    """What a page requests in parallel follows the page: it has the new cookie, and renews nothing."""
    client.get("/read/", **NAVIGATION)
    token = token_of(client)
    age(HOUR, token)

    def visit() -> tuple[Any, bool]:
        response = browser_with(token).get("/meet/", HTTP_SEC_FETCH_MODE="cors")
        return response.json()["color"], bool(response.cookies)

    assert in_parallel(*[visit] * 10) == [("red", False)] * 10


def test_request_that_comes_late_is_anonymous_and_keeps_the_new_cookie(client: Client) -> None:
    late = browser_with(token_of(client))
    client.get("/read/", **NAVIGATION)
    response = late.get("/read/", **NAVIGATION)
    assert response.json() == {"color": None}
    assert not response.cookies


# Use


@pytest.fixture
def idle(settings: Any) -> Client:
    """Return a browser that has not used its session for five of ten minutes."""
    settings.SCS_IDLE_TIMEOUT = 600
    client = Client()
    client.get("/put/")
    age(5 * MINUTE, token_of(client))
    return client


def expiry_of(client: Client) -> Any:
    return Session.objects.get(token=token_of(client)).expiry


def test_use_moves_the_expiry_and_a_poll_does_not(idle: Client) -> None:
    before = expiry_of(idle)
    with statements() as found:
        assert idle.get("/background/").json() == {"color": "red"}
    assert verbs(found) == ["SELECT"]
    assert expiry_of(idle) == before
    idle.get("/read/")
    assert (expiry_of(idle) - now()).total_seconds() > 590 > (before - now()).total_seconds()


def test_poll_does_not_move_what_set_expiry_has_set(settings: Any) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    session = SessionStore()
    session["color"] = "red"
    session.set_expiry(600)
    session.save()
    age(5 * MINUTE, session.session_key)
    browser = browser_with(session.session_key)
    before = expiry_of(browser)
    browser.get("/background/")
    assert expiry_of(browser) == before
    browser.get("/read/")
    assert (expiry_of(browser) - now()).total_seconds() > 590


def test_poll_that_changes_something_saves_it(idle: Client) -> None:
    idle.get("/background/?color=blue")
    assert SessionStore(token_of(idle))["color"] == "blue"


def test_poll_of_a_new_session_saves_it(db: None) -> None:
    client = Client()
    client.get("/background/?color=blue")
    assert SessionStore(token_of(client))["color"] == "blue"


READ_ONLY = {
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE"),
    "postgresql": (
        "SET default_transaction_read_only = on",
        "SET default_transaction_read_only = off",
    ),
    "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
}


@pytest.fixture
def read_only(vendor: str, idle: Client) -> Iterator[None]:
    # A request closes its connection, and another would be writable.
    on, off = READ_ONLY[vendor]
    with connection.cursor() as cursor:
        cursor.execute(on)
    yield
    with connections["default"].cursor() as cursor:
        cursor.execute(off)


@in_autocommit
@pytest.mark.parametrize("path", ["/read/", "/aread/"])
def test_page_that_reads_is_served_from_a_database_that_is_read_only(
    idle: Client, read_only: None, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="django_scs"):
        response = idle.get(path)
    assert (response.status_code, response.json()) == (200, {"color": "red"})
    assert [line for line in caplog.messages if "expiry of session" in line]


@in_autocommit
def test_page_that_changes_fails_on_a_database_that_is_read_only(
    idle: Client, read_only: None
) -> None:
    idle.raise_request_exception = False
    assert idle.get("/put/?color=blue").status_code == 500
