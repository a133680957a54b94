"""``recent_login_required``: the redirects of login_required, for a login that is too long ago."""

from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from django_scs.decorators import recent_login_required
from django_scs.testing import age
from tests.support import in_event_loop, token_of
from tests.views import log_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_recent_login")]


@recent_login_required(seconds=300)
def pay(request: HttpRequest, what: str) -> HttpResponse:
    return HttpResponse(f"paid for {what}")


@recent_login_required(seconds=300)
async def apay(request: HttpRequest, what: str) -> HttpResponse:
    return HttpResponse(f"paid for {what}")


def elsewhere(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("log_in/", log_in),
    path("login/", elsewhere, name="login"),
    path("pay/<what>/", pay),
    path("apay/<what>/", apay),
    path("old/<what>/", login_required(lambda request, what: HttpResponse())),
    path(
        "again/<what>/",
        recent_login_required(pay, seconds=0, login_url="/again", redirect_field_name="to"),
    ),
]


@pytest.fixture
def client(django_user_model: Any) -> Client:
    django_user_model.objects.create_user("alice")
    client = Client()
    client.get("/log_in/")
    return client


def test_view_keeps_its_name() -> None:
    assert [view.__name__ for view in (pay, apay)] == ["pay", "apay"]


@pytest.mark.parametrize("view", ["pay", "apay"])
def test_recent_login_is_let_in(client: Client, view: str) -> None:
    assert client.get(f"/{view}/tea/").content == b"paid for tea"


@pytest.mark.parametrize("view", ["pay", "apay"])
def test_old_login_is_asked_to_log_in_again(client: Client, view: str) -> None:
    age(301, token_of(client))
    response = client.get(f"/{view}/tea/?cups=2")
    assert (response.status_code, response["Location"]) == (
        302,
        f"/login/?next=/{view}/tea/%3Fcups%3D2",
    )
    client.get("/log_in/")
    assert client.get(f"/{view}/tea/").status_code == 200


@pytest.mark.parametrize("view", ["pay", "apay"])
def test_visitor_is_redirected_as_login_required_does(view: str) -> None:
    ours, djangos = Client().get(f"/{view}/a%20b/?x=1"), Client().get("/old/a%20b/?x=1")
    assert ours["Location"].replace(view, "old") == djangos["Location"]


def test_where_and_how_are_chosen_as_with_login_required(client: Client) -> None:
    age(2, token_of(client))
    assert client.get("/again/tea/")["Location"] == "/again?to=/again/tea/"


def test_login_of_unknown_time_is_an_old_one(client: Client) -> None:
    session = client.session
    del session["_auth_at"]
    session.save()
    assert client.get("/pay/tea/").status_code == 302


@in_event_loop
async def test_async_client_is_served(django_user_model: Any) -> None:
    user = await django_user_model.objects.acreate(username="alice")
    client = AsyncClient()
    await client.aforce_login(user)
    assert (await client.get("/apay/tea/")).content == b"paid for tea"


def test_use_of_the_session_is_no_login(client: Client) -> None:
    age(301, token_of(client))
    session = client.session
    session["a"] = 1
    session.cycle_key()
    session.save()
    client.cookies["sessionid"] = session.session_key
    assert client.get("/pay/tea/").status_code == 302
