"""The page "Where you are signed in", over HTTP and in a browser."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from django_scs import devices

from ..support import in_event_loop
from .conftest import CHROME, FIREFOX, is_alive, row_of, statements_of, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.devices.urls"),
]


def test_page_lists_this_device_first(sign_in: Any, ada: User) -> None:
    mine, other = sign_in(agent=FIREFOX), sign_in(agent=CHROME)
    sign_in(User.objects.create_user("bob"), agent="curl/8")
    text = mine.get("/devices/").content.decode()
    assert text.index("Firefox on Linux") < text.index("(this device)")
    assert text.index("(this device)") < text.index("Chrome on Windows")
    assert "curl" not in text
    for secret in (token_of(mine), token_of(other), row_of(mine).key, row_of(mine).fingerprint):
        assert secret not in text


def test_page_costs_one_statement(sign_in: Any) -> None:
    mine = sign_in()
    for _ in range(3):
        sign_in()
    assert statements_of(lambda: mine.get("/devices/")) == ["SELECT"]


def test_sign_out_one(sign_in: Any) -> None:
    mine, other, third = sign_in(agent=FIREFOX), sign_in(), sign_in()
    url = f"/devices/{row_of(other).pk}/sign-out/"
    response = mine.post(url, follow=True)
    assert response.redirect_chain == [("/devices/", 302)]
    assert "Chrome on Windows was signed out." in response.content.decode()
    assert [is_alive(each) for each in (mine, other, third)] == [True, False, True]
    assert "signed out already" in mine.post(url, follow=True).content.decode()


def test_sign_out_this_one(sign_in: Any) -> None:
    mine = sign_in()
    response = mine.post(f"/devices/{row_of(mine).pk}/sign-out/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/user/login/") or response.status_code == 404
    assert not is_alive(mine)


def test_sign_out_others(sign_in: Any) -> None:
    mine, *others = [sign_in() for _ in range(3)]
    text = mine.post("/devices/sign-out-others/", follow=True).content.decode()
    assert "2 other devices were signed out." in text
    assert "Sign out all other devices" not in text
    assert [is_alive(each) for each in (mine, *others)] == [True, False, False]


def test_nobody_signs_out_somebody_else(sign_in: Any) -> None:
    theirs = sign_in(User.objects.create_user("bob"))
    mine = sign_in()
    for pk in (row_of(theirs).pk, uuid.uuid4()):
        assert mine.post(f"/devices/{pk}/sign-out/").status_code == 302
    assert is_alive(theirs)


@pytest.mark.parametrize("path", ["sign-out-others/", f"{uuid.uuid4()}/sign-out/"])
def test_forms_want_post_and_the_csrf_token(sign_in: Any, path: str) -> None:
    mine = sign_in()
    assert mine.get(f"/devices/{path}").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["sessionid"] = token_of(mine)
    assert strict.post(f"/devices/{path}").status_code == 403


def test_csrf_is_checked_without_the_middleware(sign_in: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Csrf" not in each]
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["sessionid"] = token_of(sign_in())
    assert strict.post("/devices/sign-out-others/").status_code == 403


def test_page_is_for_users_and_not_cached(client: Client, sign_in: Any) -> None:
    assert client.get("/devices/").status_code == 302
    assert "no-store" in sign_in().get("/devices/").headers["Cache-Control"]


def test_page_over_asgi(sign_in: Any, ada: User) -> None:
    mine, other = sign_in(), sign_in()
    client = AsyncClient()
    client.cookies["sessionid"] = token_of(mine)

    @in_event_loop
    async def use() -> None:
        assert (await client.get("/devices/")).status_code == 200
        assert (await client.post("/devices/sign-out-others/")).status_code == 302

    use()
    assert [is_alive(mine), is_alive(other)] == [True, False]
    assert len(devices.of(ada)) == 1


@pytest.mark.parametrize(
    ("language", "title"),
    [("de", "Wo Sie angemeldet sind"), ("fr", "Où vous êtes connecté")],
)
def test_page_is_translated(sign_in: Any, settings: Any, language: str, title: str) -> None:
    settings.LANGUAGE_CODE = language
    assert title in sign_in().get("/devices/").content.decode()


def test_agent_is_escaped(sign_in: Any) -> None:
    mine = sign_in(agent="<script>alert(1)</script>")
    assert "<script>" not in mine.get("/devices/").content.decode()
