"""The page "Where you are signed in" in a browser: accessible, by keyboard alone, without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from django_scs import devices
from tests.axe import look_at

from ..example.conftest import browser, browser_without_scripts, chromium, chromium_without_scripts
from .conftest import CHROME, is_alive, token_of

__all__ = ["browser", "browser_without_scripts", "chromium", "chromium_without_scripts"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.devices,
    pytest.mark.urls("tests.devices.urls"),
]
PAGE = "/devices/"


def open_page(browser: Chrome, live_server: Any, client: Client) -> None:
    browser.add_cookie({"name": "sessionid", "value": token_of(client)})
    browser.get(live_server.url + PAGE)


def test_axe_finds_nothing(browser: Chrome, live_server: Any, sign_in: Any, ada: User) -> None:
    sign_in(agent=CHROME)
    sign_in(agent="x" * 300)
    open_page(browser, live_server, sign_in())
    assert look_at(browser, live_server.url + PAGE) == []


def press(browser: Chrome, label: str) -> None:
    """Go to a button by the tabulator key, and press it."""
    for _ in range(10):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.text == label:
            browser.switch_to.active_element.send_keys(Keys.ENTER)
            return
    raise AssertionError(f"The tabulator key does not reach {label!r}.")


def test_by_keyboard_and_without_scripts(
    browser_without_scripts: Chrome, live_server: Any, sign_in: Any, ada: User
) -> None:
    browser = browser_without_scripts
    others = [sign_in(), sign_in()]
    open_page(browser, live_server, sign_in())
    press(browser, "Sign out all other devices")
    assert browser.find_element(By.CSS_SELECTOR, "[role=status]").text == (
        "2 other devices were signed out."
    )
    assert browser.title.startswith("2 other devices were signed out.")
    assert [is_alive(each) for each in others] == [False, False]
    assert len(devices.of(ada)) == 1
    press(browser, "Sign out")
    assert "/user/login/" in browser.current_url
    assert devices.of(ada) == []
