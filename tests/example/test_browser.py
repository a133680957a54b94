"""Snippetbox end to end, in a real browser."""

from importlib import import_module
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from example_project.snippets.views import Home

from .conftest import EMAIL, PASSWORD

SUCCESS = "Snippet successfully created!"
SECONDS = 10
# The driver holds every further command to a tab that loads, so the load begins after a while.
LOAD_SOON = "const url = arguments[0]; setTimeout(() => location = url, 500)"

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def address(browser: Chrome, live_server: Any) -> str:
    return browser.current_url.removeprefix(live_server.url)


def flashes(browser: Chrome) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, "[role=status]")]


def fill(browser: Chrome, **fields: str) -> None:
    for name, text in fields.items():
        browser.find_element(By.NAME, name).clear()
        browser.find_element(By.NAME, name).send_keys(text)


def follow(browser: Chrome, link: str) -> None:
    browser.find_element(By.LINK_TEXT, link).click()


def press(browser: Chrome, button: str) -> None:
    """Press a button, the one of the page rather than the one of the menu, and await the answer."""
    page = browser.find_element(By.TAG_NAME, "html")
    browser.find_elements(By.XPATH, f"//button[.='{button}']")[-1].click()
    WebDriverWait(browser, SECONDS).until(lambda _: is_gone(page))


def is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except Exception:
        return True
    return False


def log_in(browser: Chrome) -> None:
    follow(browser, "Log in")
    fill(browser, username=EMAIL, password=PASSWORD)
    press(browser, "Log in")


def create(browser: Chrome, title: str = "Fog") -> None:
    follow(browser, "New snippet")
    fill(browser, title=title, content="on little\ncat feet")
    press(browser, "Publish snippet")


def test_create_shows_a_flash_and_a_reload_does_not(
    browser: Chrome, live_server: Any, user: User
) -> None:
    log_in(browser)
    create(browser)
    assert address(browser, live_server).startswith("/snippet/")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Fog"
    assert flashes(browser) == [SUCCESS]
    browser.refresh()
    assert browser.find_element(By.TAG_NAME, "h1").text == "Fog"
    assert flashes(browser) == []


def test_second_tab_does_not_show_the_flash_again(browser: Chrome, user: User) -> None:
    log_in(browser)
    create(browser)
    assert flashes(browser) == [SUCCESS]
    created = browser.current_url
    browser.switch_to.new_window("tab")
    browser.get(created)
    assert browser.find_element(By.TAG_NAME, "h1").text == "Fog"
    assert flashes(browser) == []


def test_two_tabs_that_load_together_show_one_flash(
    browser: Chrome, live_server: Any, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(browser)
    assert flashes(browser) == ["Welcome back, Ada."]
    session = import_module(settings.SESSION_ENGINE).SessionStore(
        browser.get_cookie(settings.SESSION_COOKIE_NAME)["value"]
    )
    session["flash"] = "For one of you"
    session.save()
    let_requests_meet(monkeypatch, 2)
    # Not the same address twice: the browser would ask once and let the other tab wait.
    tabs = {open_tab(browser): f"{live_server.url}/?{name}" for name in "ab"}
    for tab, url in tabs.items():
        browser.switch_to.window(tab)
        browser.execute_script(LOAD_SOON, url)
    shown = []
    for tab, url in tabs.items():
        browser.switch_to.window(tab)
        WebDriverWait(browser, SECONDS).until(lambda _, url=url: has_loaded(browser, url))
        shown += flashes(browser)
    assert shown == ["For one of you"]


def let_requests_meet(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make requests for the home page wait for each other when each has read its session."""
    barrier = Barrier(number, timeout=SECONDS)
    get_queryset = Home.get_queryset

    def get_queryset_together(view: Home) -> Any:
        assert view.request.session["flash"]
        barrier.wait()
        return get_queryset(view)

    monkeypatch.setattr(Home, "get_queryset", get_queryset_together)


def open_tab(browser: Chrome) -> str:
    """Open an empty tab and return its handle."""
    browser.switch_to.new_window("tab")
    return browser.current_window_handle


def has_loaded(browser: Chrome, url: str) -> bool:
    state = browser.execute_script("return [location.href, document.readyState]")
    return bool(state == [url, "complete"])


def test_log_in_and_out(browser: Chrome, live_server: Any, user: User) -> None:
    log_in(browser)
    assert address(browser, live_server) == "/"
    assert flashes(browser) == ["Welcome back, Ada."]
    follow(browser, "Account")
    signed_in = browser.get_cookie(settings.SESSION_COOKIE_NAME)
    assert signed_in["httpOnly"]
    assert signed_in["sameSite"] == "Lax"
    assert signed_in["value"] not in browser.page_source
    press(browser, "Log out")
    assert flashes(browser) == ["You have been logged out."]
    browser.refresh()
    assert flashes(browser) == []
    assert browser.get_cookie(settings.SESSION_COOKIE_NAME) != signed_in
    browser.get(f"{live_server.url}/account/")
    assert address(browser, live_server) == "/user/login/?next=/account/"


def test_sign_up_log_in_and_write_without_javascript(
    browser_without_scripts: Chrome, live_server: Any
) -> None:
    browser = browser_without_scripts
    browser.get("data:text/html,<title>off</title><script>document.title = 'on'</script>")
    assert browser.title == "off"
    browser.get(live_server.url)
    follow(browser, "New snippet")
    follow(browser, "Sign up")
    fill(browser, name="Ada", email=EMAIL, password=PASSWORD)
    press(browser, "Sign up")
    assert flashes(browser) == ["Your signup was successful. Please log in."]
    log_in(browser)
    assert flashes(browser) == ["Welcome back, Ada."]
    create(browser)
    assert flashes(browser) == [SUCCESS]
    press(browser, "Log out")
    assert flashes(browser) == ["You have been logged out."]


def test_error_is_read_out_with_its_field_and_has_the_cursor(browser: Chrome, user: User) -> None:
    log_in(browser)
    follow(browser, "New snippet")
    fill(browser, title="Untold")
    press(browser, "Publish snippet")
    field = browser.find_element(By.NAME, "content")
    error = browser.find_element(By.ID, field.get_attribute("aria-describedby"))
    assert error.text.endswith("This field is required.")
    assert field == browser.switch_to.active_element
    assert field.get_attribute("aria-invalid") == "true"
    assert browser.find_element(By.NAME, "title").get_attribute("value") == "Untold"


def test_copied_snippet_has_neither_line_numbers_nor_more_line_ends(
    browser: Chrome, user: User
) -> None:
    log_in(browser)
    create(browser)
    copied = browser.execute_script(
        "getSelection().selectAllChildren(document.querySelector('.text'));"
        "return getSelection().toString()"
    )
    assert copied.rstrip("\n") == "on little\ncat feet"


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_screen(
    browser: Chrome, live_server: Any, user: User, make_snippet: Any, width: int
) -> None:
    wide = make_snippet(title="W" * 100, content="W" * 500)
    log_in(browser)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    for url in ("/", wide.get_absolute_url(), "/snippet/create/", "/account/"):
        browser.get(live_server.url + url)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, url
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_styles_and_icon_arrive(browser: Chrome) -> None:
    script = "return getComputedStyle(document.querySelector('.menu')).display"
    assert browser.execute_script(script) == "flex"
    logo = browser.find_element(By.CSS_SELECTOR, ".brand img")
    assert logo.get_property("naturalWidth") > 0
