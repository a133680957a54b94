"""The page "Try it in two tabs", and the devices on the account page."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from selenium.webdriver import Chrome

from django_scs.models import Session
from example_project.snippets import duel, views
from example_project.snippets.models import DjangosSession
from tests.axe import look_at

pytestmark = pytest.mark.django_db
TEMPLATES = Path(duel.__file__).parent / "templates"


@pytest.fixture
def own_templates(settings: Any) -> None:
    """Let the project's templates come before those of the devices, as its settings do."""
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [TEMPLATES]}]


@pytest.mark.parametrize(
    ("name", "ours", "djangos"),
    [
        ("merge", "In the basket: milk, bread, apples.", "In the basket: milk, apples."),
        ("flash", "Shown once.", "Shown twice."),
        ("late", "Ada is still signed in.", "The cookie is gone: signed out again."),
        (
            "destroyed",
            "The session stays destroyed. The page is shown.",
            "The session stays destroyed. An error page is shown.",
        ),
    ],
)
def test_an_experiment_ends_as_it_does(
    client: Client, name: str, ours: str, djangos: str, caplog: Any
) -> None:
    response = client.post("/try/", {"name": name})
    assert response.headers["Location"] == f"/try/#{name}"
    text = client.get("/try/").content.decode()
    assert ours in text
    assert djangos in text
    assert text.count("Not tried yet.") == len(duel.EXPERIMENTS) - 1


def test_all_experiments_leave_nothing_behind(client: Client) -> None:
    client.post("/try/", {"name": "all"})
    text = client.get("/try/").content.decode()
    assert text.count('class="verdict good"') == len(duel.EXPERIMENTS)
    assert text.count('class="verdict bad"') == len(duel.EXPERIMENTS)
    # The visitor's own.
    assert Session.objects.count() == 1
    assert not DjangosSession.objects.exists()


@pytest.mark.parametrize("path", ["/try/", "/try/basket/"])
def test_what_is_not_on_the_page_is_not_found(client: Client, path: str) -> None:
    assert client.post(path, {"name": "no", "item": "no"}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_hands(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.post("/try/basket/", {"item": "nothing"})
    monkeypatch.setattr(views, "SLOW_SECONDS", 1)
    slow = Client()
    slow.cookies = client.cookies

    def add_bread() -> None:
        slow.post("/try/basket/", {"item": "bread"})
        connections.close_all()

    tab = threading.Thread(target=add_bread)
    tab.start()
    threading.Event().wait(0.4)
    client.post("/try/basket/", {"item": "apples"})
    tab.join()
    text = client.get("/try/").content.decode()
    assert "In the basket: apples, bread." in text
    assert "In the basket: bread." in text


@pytest.mark.devices
def test_account_lists_the_devices(ada: Client, own_templates: None) -> None:
    text = ada.get("/account/").content.decode()
    assert "Where you are signed in" in text
    assert "(this device)" in text
    assert "Snippetbox" in ada.get("/account/devices/").content.decode()


@pytest.mark.browser
@pytest.mark.devices
@pytest.mark.django_db(transaction=True)
def test_axe_finds_nothing(
    browser: Chrome, live_server: Any, user: Any, own_templates: None
) -> None:
    client, other = Client(), Client()
    for each in (client, other):
        each.force_login(user)
    client.post("/try/", {"name": "all"})
    token = client.cookies["sessionid"].value
    browser.add_cookie({"name": "sessionid", "value": token})
    for path in ("/", "/try/", "/account/", "/account/devices/"):
        assert look_at(browser, live_server.url + path) == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_menu_is_one_line_on_a_phone(browser: Chrome, live_server: Any, user: Any) -> None:
    client = Client()
    client.force_login(user)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    tops = (
        "return [...document.querySelectorAll('.menu > *')].map("
        "e => { const r = e.getBoundingClientRect(); return (r.top + r.bottom) / 2 })"
    )
    for token in (None, client.cookies["sessionid"].value):
        if token:
            browser.add_cookie({"name": "sessionid", "value": token})
        browser.get(live_server.url)
        middles = browser.execute_script(tops)
        assert max(middles) - min(middles) < 5
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_forced_colours_draw_no_line_but_at_the_current_page(
    browser: Chrome, live_server: Any
) -> None:
    forced = [{"name": "forced-colors", "value": "active"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": forced})
    browser.get(f"{live_server.url}/try/")
    lines = browser.execute_script(
        "return [...document.querySelectorAll('.menu a:not(.button)')].map(e =>"
        " getComputedStyle(e).borderBottomColor != getComputedStyle(document.body).backgroundColor)"
    )
    assert lines == [True, False, False]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("secure", [True, False])
def test_both_cookies_travel_alike(client: Client, settings: Any, secure: bool) -> None:
    settings.SESSION_COOKIE_SECURE = secure
    cookies = client.post("/try/basket/", {"item": "nothing"}).cookies
    assert {bool(cookies[name]["secure"]) for name in ("sessionid", "djangos_session")} == {secure}
