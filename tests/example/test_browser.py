"""Snippetbox end to end, in a real browser."""

from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from .conftest import EMAIL, PASSWORD

SUCCESS = "Snippet successfully created!"
SECONDS = 10

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


def test_two_tabs_that_load_together_show_one_flash(browser: Chrome, user: User) -> None:
    log_in(browser)
    home = browser.current_url
    browser.switch_to.new_window("tab")
    browser.get(home)
    session = import_module(settings.SESSION_ENGINE).SessionStore(
        browser.get_cookie(settings.SESSION_COOKIE_NAME)["value"]
    )
    session["flash"] = "For one of you"
    session.save()
    reload_all_tabs(browser)
    shown = []
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        WebDriverWait(browser, SECONDS).until(is_reloaded)
        shown += flashes(browser)
    assert shown == ["For one of you"]


def reload_all_tabs(browser: Chrome) -> None:
    """Start to load every tab anew, without waiting for any."""
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        browser.execute_script("window.isOld = true; setTimeout(() => location.reload(), 0)")


def is_reloaded(browser: Chrome) -> bool:
    return bool(
        browser.execute_script("return !window.isOld && document.readyState === 'complete'")
    )


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
