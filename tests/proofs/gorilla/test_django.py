"""One browser, two applications: Django and the real gorilla/sessions change one cookie in turns."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from django_scs.backends.cookie import SessionStore
from tests.support import token_of

from . import mutate
from .gorilla import Gorilla, Pair

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]

NAME = settings.SESSION_COOKIE_NAME
NEW: Pair = (b"a hash key", bytes(range(32)))
OLD: Pair = (b"the one before", None)
DAMAGED = 500


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with override_settings(
        SESSION_ENGINE="django_scs.backends.cookie",
        SCS_COOKIE_FORMAT="gorilla",
        SCS_COOKIE_KEYS=[NEW],
        SCS_GOB_REGISTERED=["time.Time"],
    ):
        yield


class Browser:
    """A cookie jar that both applications use."""

    def __init__(self, gorilla: Gorilla) -> None:
        self.client = Client()
        self._gorilla = gorilla
        self.go_pairs: list[Pair] = [NEW]

    def django(self, path: str) -> Any:
        return self.client.get(path)

    def go(self, *steps: list[str]) -> list[Any]:
        """Let Go's handler do some steps; return the values of what it found."""
        cookie = token_of(self.client)
        answer = self._gorilla.must("visit", self.go_pairs, NAME, cookie=cookie, steps=list(steps))
        self.client.cookies[NAME] = answer["cookie"]
        return [plain(result) for result in answer["results"]]

    def session(self) -> SessionStore:
        return SessionStore(token_of(self.client))


def plain(described: Any) -> Any:
    if described is None:
        return None
    if "elems" in described:
        return [each["value"] for each in described["elems"]]
    return described.get("value")


@pytest.fixture
def browser(gorilla: Gorilla) -> Browser:
    return Browser(gorilla)


def test_put_and_pop(browser: Browser) -> None:
    browser.django("/put/?color=blue")
    assert browser.go(["pop", "color"], ["put", "size", "small"]) == ["blue", None]
    assert browser.django("/read/").json() == {"size": "small"}
    browser.django("/put/?color=red")
    assert browser.go(["pop", "size"], ["pop", "color"]) == ["small", "red"]
    assert browser.django("/read/").json() == {}


def test_go_begins(browser: Browser) -> None:
    browser.go(["put", "color", "red"])
    assert browser.django("/read/").json() == {"color": "red"}
    first = browser.session()
    browser.go(["put", "color", "blue"])
    assert browser.session()["color"] == "blue"
    assert browser.session().session_key == first.session_key
    assert browser.session().deadline() == first.deadline()


def test_flashes(browser: Browser) -> None:
    browser.django("/put_flash/?message=one")
    browser.go(["flash", "two"], ["flash", "three"])
    assert browser.django("/pop_flash/").content == b"one"
    assert browser.go(["flashes"]) == [["two", "three"]]
    assert browser.django("/pop_flash/").content == b""
    browser.go(["flash", "four"])
    assert browser.django("/pop_flash/").content == b"four"
    assert browser.go(["flashes"]) == [[]]


def test_login_and_logout(browser: Browser, django_user_model: Any) -> None:
    django_user_model.objects.create_user("alice")
    browser.go(["put", "color", "red"])
    before = browser.session().session_key
    user_id = browser.django("/log_in/").json()["_auth_user_id"]
    assert browser.session().session_key != before
    # What popped it may put it back.
    assert browser.go(["pop", "_auth_user_id"], ["put", "_auth_user_id", user_id])[0] == user_id
    assert browser.django("/log_out/").cookies[NAME].value == ""
    assert browser.go(["pop", "color"], ["pop", "_auth_user_id"]) == [None, None]


@pytest.mark.parametrize("first", ["Django", "Go"])
def test_keys_rotate(first: str, browser: Browser) -> None:
    with override_settings(SCS_COOKIE_KEYS=[OLD]):
        browser.go_pairs = [OLD]
        browser.django("/put/?color=red")
        browser.go(["put", "size", "small"])
        if first == "Go":
            browser.go_pairs = [OLD, NEW]
        keys = [OLD, NEW] if first == "Django" else [OLD]
        with override_settings(SCS_COOKIE_KEYS=keys):
            assert browser.django("/read/").json() == {"color": "red", "size": "small"}
    browser.go_pairs = [NEW, OLD]
    with override_settings(SCS_COOKIE_KEYS=[NEW, OLD]):
        assert browser.django("/read/").cookies
    browser.go_pairs = [NEW]
    assert browser.go(["pop", "size"]) == ["small"]
    assert browser.django("/read/").json() == {"color": "red"}


def test_a_bad_cookie_in_front_of_a_good_one(browser: Browser) -> None:
    browser.go(["put", "color", "red"])
    header = f"{NAME}=bad; {NAME}={token_of(browser.client)}"
    assert Client().get("/read/", headers={"cookie": header}).json() == {"color": "red"}


def test_damaged_cookies_never_fail_a_request(browser: Browser) -> None:
    chance = random.Random(1)
    browser.go(["put", "color", "red"])
    first = token_of(browser.client)
    browser.go(["put", "color", "blue"])
    second = token_of(browser.client)
    for _ in range(DAMAGED):
        damaged = mutate.damage(chance, first, second).encode("ascii", "replace").decode()
        response = Client().get("/read/", headers={"cookie": f"{NAME}={damaged}"})
        assert response.status_code == 200
        assert response.json() in ({}, {"color": "red"}, {"color": "blue"})
