"""A user, a signed-in client, and a browser that is held to account for what it loads and logs."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from example_project.snippets.models import Snippet
from tests.servers import require_program

EMAIL = "ada@example.com"
PASSWORD = "nineteen-punched-cards"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A flash that is still fading in has no visible text.
    "--force-prefers-reduced-motion",
)
# The empty tab is a page too; it comes out of the browser itself.
OWN_PAGES = ("chrome://", "data:")
NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}


@pytest.fixture
def user(db: None) -> User:
    """Return a user whose password is PASSWORD."""
    return User.objects.create_user(EMAIL, EMAIL, PASSWORD, first_name="Ada")


@pytest.fixture
def ada(client: Client, user: User) -> Client:
    """Return a client that is signed in as ``user``."""
    client.force_login(user)
    return client


@pytest.fixture
def make_snippet(user: User) -> Any:
    """Return a function that stores a snippet; by default it expires in a day."""

    def make(**fields: Any) -> Snippet:
        expires = timezone.now() + timedelta(days=1)
        return Snippet.objects.create(
            **{"author": user, "title": "Title", "content": "Text", "expires": expires, **fields}
        )

    return make


def start(folder: Any, preferences: dict[str, Any]) -> Iterator[webdriver.Chrome]:
    """Start a headless browser with a profile in ``folder``, and end it afterwards."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_program(*BROWSERS)
    chromedriver = require_program("chromedriver")
    for argument in (*ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Return a browser."""
    yield from start(tmp_path_factory.mktemp("profile"), {})


@pytest.fixture(scope="session")
def chromium_without_scripts(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[webdriver.Chrome]:
    """Return a browser that runs no page's JavaScript."""
    yield from start(tmp_path_factory.mktemp("profile"), NO_SCRIPTS)


@pytest.fixture
def browser(chromium: webdriver.Chrome, live_server: Any) -> Iterator[webdriver.Chrome]:
    """Return a browser without cookies; what it logs or loads from elsewhere fails the test."""
    yield from visit(chromium, live_server.url)


@pytest.fixture
def browser_without_scripts(
    chromium_without_scripts: webdriver.Chrome, live_server: Any
) -> Iterator[webdriver.Chrome]:
    """Return the same without JavaScript."""
    yield from visit(chromium_without_scripts, live_server.url)


def visit(driver: webdriver.Chrome, url: str) -> Iterator[webdriver.Chrome]:
    """Open the home page, hand the browser over, and look at what it did."""
    driver.get(url)
    yield driver
    messages = driver.get_log("browser")
    requested = list(requested_urls(driver))
    close_tabs(driver)
    assert messages == []
    assert [address for address in requested if not address.startswith((url, *OWN_PAGES))] == []


def requested_urls(driver: webdriver.Chrome) -> Iterator[str]:
    """Yield the address of every request that pages have made since the last call."""
    for entry in driver.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            yield event["params"]["request"]["url"]


def close_tabs(driver: webdriver.Chrome) -> None:
    """Leave one empty tab and no cookies."""
    driver.delete_all_cookies()
    first, *others = driver.window_handles
    for handle in others:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(first)
    driver.get("about:blank")
