"""One login, two sites."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_scs import conf
from django_scs.backends.db import SessionStore
from django_scs.checks.settings import check_settings
from django_scs.models import Session

from .browser import Browser
from .conftest import Sites, documented
from .test_sessions import both_ways

SITES = ("go", "django")


def stored(browser: Browser) -> dict[str, Any]:
    """Return the values as they are in the table."""
    return conf.options().codec.decode(Session.objects.get(token=browser.token).data)[1]


@both_ways
def test_login_here_is_a_login_there(
    browser: Browser, users: list[int], here: str, there: str
) -> None:
    browser.visit(there, "put", key="cart", value="tea")
    before = browser.twin()
    browser.visit(here, "login", id=users[0])
    assert browser.visit(there, "account") == users[0]
    assert browser.visit("django", "account-async") == users[0]
    assert browser.visit(here, "account") == users[0]
    assert browser.visit(there, "get", key="cart") == "tea"
    for site in SITES:
        assert before.visit(site, "account") == 0


@pytest.mark.parametrize("in_at", SITES)
@both_ways
def test_logout_here_is_a_logout_there(
    browser: Browser, users: list[int], in_at: str, here: str, there: str
) -> None:
    browser.visit(in_at, "login", id=users[0])
    for site in SITES:
        assert browser.visit(site, "account") == users[0]
    before = browser.twin()
    browser.visit(here, "logout")
    assert browser.visit(there, "account") == 0
    assert browser.visit("django", "account-async") == 0
    assert browser.visit(here, "account") == 0
    for site in SITES:
        assert before.visit(site, "account") == 0


def test_go_logout_takes_all_of_djangos_login_away(browser: Browser, users: list[int]) -> None:
    browser.visit("django", "login", id=users[0])
    browser.visit("go", "logout")
    browser.visit("django", "account")
    assert [key for key in stored(browser) if key.startswith("_auth")] == []


@both_ways
def test_another_user_logs_in_there(
    browser: Browser, users: list[int], here: str, there: str
) -> None:
    browser.visit(here, "login", id=users[0])
    assert browser.visit(there, "account") == users[0]
    browser.visit(there, "login", id=users[1])
    for site in (here, there):
        assert browser.visit(site, "account") == users[1]


def test_password_change_ends_a_session_that_go_opened(browser: Browser, users: list[int]) -> None:
    browser.visit("go", "login", id=users[0])
    assert browser.visit("django", "account") == users[0]
    user = User.objects.get(pk=users[0])
    user.set_password("another")
    user.save()
    assert browser.visit("django", "account") == 0
    assert browser.visit("go", "account") == 0


def test_password_change_before_the_first_visit_goes_unnoticed(
    browser: Browser, users: list[int]
) -> None:
    browser.visit("go", "login", id=users[0])
    user = User.objects.get(pk=users[0])
    user.set_password("another")
    user.save()
    assert browser.visit("django", "account") == users[0]


@pytest.mark.parametrize("action", ["delete", "deactivate"])
def test_user_who_is_not_there_or_inactive_is_nobody(
    browser: Browser, users: list[int], action: str
) -> None:
    if action == "delete":
        User.objects.get(pk=users[0]).delete()
    else:
        User.objects.filter(pk=users[0]).update(is_active=False)
    browser.visit("go", "put", key="word", value="kept")
    browser.visit("go", "login", id=users[0])
    assert browser.visit("django", "account") == 0
    assert browser.visit("django", "account-async") == 0
    assert browser.visit("django", "get", key="word") == "kept"


def test_login_is_looked_up_once(browser: Browser, users: list[int]) -> None:
    browser.visit("go", "login", id=users[0])
    assert "_auth_user_hash" not in stored(browser)
    browser.visit("django", "account")
    after = stored(browser)
    assert after["_auth_user_id"] == str(users[0])
    browser.visit("go", "put", key="word", value="1")
    with CaptureQueriesContext(connection) as queries:
        SessionStore(browser.token).load()
    assert len(queries) == 1


def test_key_keeps_the_width_that_go_gave_it(sites: Sites, users: list[int]) -> None:
    browser = sites(int64=True)
    browser.visit("go", "login", id=users[0])
    browser.visit("django", "login", id=users[0])
    assert browser.visit("go", "account") == users[0]


def test_declared_width_is_what_django_writes(
    sites: Sites, settings: Any, users: list[int]
) -> None:
    settings.SCS_AUTH_USER_ID_TYPE = "int64"
    browser = sites(int64=True)
    browser.visit("django", "login", id=users[0])
    assert browser.visit("go", "account") == users[0]


def test_go_does_not_know_djangos_password_check(browser: Browser, users: list[int]) -> None:
    browser.visit("django", "login", id=users[0])
    user = User.objects.get(pk=users[0])
    user.set_password("another")
    user.save()
    assert browser.visit("go", "account") == users[0]
    assert browser.visit("django", "account") == 0
    assert browser.visit("go", "account") == 0


def test_go_keeps_the_session_that_changed_the_password(browser: Browser, users: list[int]) -> None:
    browser.visit("django", "login", id=users[0])
    user = User.objects.get(pk=users[0])
    user.set_password("another")
    user.save()
    browser.visit("go", "pop", key="_auth_user_id")
    for site in ("django", "go", "django"):
        assert browser.visit(site, "account") == users[0]


@pytest.mark.parametrize("site", SITES)
def test_documented_function_signs_out_of_both(
    browser: Browser, users: list[int], site: str
) -> None:
    browser.visit(site, "login", id=users[0])
    other = Browser(browser.sites)
    other.visit(site, "login", id=users[1])
    names: dict[str, Any] = {}
    exec(documented("python", "login.md")[1], names)
    names["log_out_everywhere"](User.objects.get(pk=users[0]))
    assert [browser.visit(each, "account") for each in SITES] == [0, 0]
    assert [other.visit(each, "account") for each in SITES] == [users[1], users[1]]


def test_logins_without_the_key_end_when_the_setting_comes(
    browser: Browser, settings: Any, users: list[int]
) -> None:
    settings.SCS_AUTH_USER_ID_KEY = None
    browser.visit("django", "login", id=users[0])
    assert browser.visit("go", "account") == 0
    assert browser.visit("django", "account") == users[0]
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    assert browser.visit("django", "account") == 0


def test_documented_settings_pass_the_checks(sites: Sites) -> None:
    assert check_settings() == []
