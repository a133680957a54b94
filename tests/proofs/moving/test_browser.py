"""A real browser before and after the switch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.example.conftest import ARGUMENTS, BROWSERS
from tests.servers import require_program

from .site import COOKIE, ENGINES, Shop
from .test_rolling import OURS

pytestmark = pytest.mark.browser


@pytest.fixture
def chrome() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = require_program(*BROWSERS)
    for argument in ARGUMENTS:
        options.add_argument(argument)
    service = webdriver.ChromeService(require_program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def test_the_user_stays_logged_in_and_can_log_out(
    chrome: webdriver.Chrome, start: Callable[..., Shop], users: list[str], tmp_path: Any
) -> None:
    engine = ENGINES["db"]
    old = start(SESSION_ENGINE=engine.path, SESSIONS=engine.middleware)
    new = start(SCS_MIGRATE_FROM=engine.path, **OURS)

    def visit(shop: Shop, path: str) -> None:
        chrome.get("http://{}:{}/{}".format(*shop.address, path))

    def cookies() -> list[str]:
        return [each["value"] for each in chrome.get_cookies() if each["name"] == COOKIE]

    def text(selector: str) -> str:
        return chrome.find_element(By.CSS_SELECTOR, selector).text

    visit(old, "login?user=user0")
    visit(old, "add?item=apple")
    visit(old, "add?item=pear")
    (key,) = cookies()
    visit(new, "page")
    WebDriverWait(chrome, 10).until(lambda _: text("#parts"))
    (token,) = cookies()
    chrome.save_screenshot(str(tmp_path / "moved.png"))
    print(f"\nbefore: {len(key)} characters; after: {len(token)}; {text('h1')}; {text('#cart')}")
    print(f"six parts: {text('#parts')}; screenshot: {tmp_path / 'moved.png'}")
    assert text("h1") == "Hello, user0"
    assert text("#cart") == "apple, pear"
    assert text("#parts") == " ".join(["user02"] * 6)
    assert (len(key), len(token)) == (32, 43)
    visit(new, "logout")
    assert cookies() == []
    for dead in (key, token):
        chrome.add_cookie({"name": COOKIE, "value": dead})
        visit(new, "page")
        assert text("h1") == "Hello,"
