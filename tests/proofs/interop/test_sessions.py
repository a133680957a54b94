"""One session, two sites: what either does, the other sees."""

import hashlib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from django_scs.backends.db import SessionStore
from django_scs.models import Session

from .browser import Browser
from .conftest import NEW_YORK, Sites

both_ways = pytest.mark.parametrize(("here", "there"), [("go", "django"), ("django", "go")])
MINUTES_20 = 20 * 60


@both_ways
def test_value_is_put_here_and_popped_there(browser: Browser, here: str, there: str) -> None:
    browser.visit(here, "put", key="word", value="Grüße, 'x' \U0001f642")
    token = browser.token
    assert browser.visit(there, "get", key="word") == "Grüße, 'x' \U0001f642"
    assert browser.visit(there, "pop", key="word") == "Grüße, 'x' \U0001f642"
    assert browser.visit(here, "get", key="word") == ""
    assert browser.token == token


@both_ways
def test_flash_is_left_here_and_shown_once_there(browser: Browser, here: str, there: str) -> None:
    browser.visit(here, "flash", message="Snippet successfully created!")
    assert browser.visit(there, "page") == "Snippet successfully created!"
    assert browser.visit(there, "page") == ""
    assert browser.visit(here, "page") == ""


@both_ways
def test_both_change_one_session_in_turn(browser: Browser, here: str, there: str) -> None:
    for number, site in enumerate((here, there, here, there)):
        browser.visit(site, "put", key=f"key {number}", value=site)
    for site in (here, there):
        found = [browser.visit(site, "get", key=f"key {number}") for number in range(4)]
        assert found == [here, there, here, there]
    assert Session.objects.count() == 1


@both_ways
def test_renewal_here_kills_the_old_token_there(browser: Browser, here: str, there: str) -> None:
    browser.visit(here, "put", key="word", value="kept")
    late = browser.twin()
    browser.visit(here, "renew")
    assert browser.token != late.token
    for site in (there, here):
        assert late.visit(site, "get", key="word") == ""
        assert browser.visit(site, "get", key="word") == "kept"


@both_ways
def test_session_destroyed_here_is_gone_there(browser: Browser, here: str, there: str) -> None:
    browser.visit(there, "put", key="word", value="secret")
    late = browser.twin()
    browser.visit(here, "destroy")
    assert browser.cookie is None
    for site in (there, here):
        assert late.visit(site, "get", key="word") == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("persist", [True, False])
def test_both_send_the_same_cookie(sites: Sites, persist: bool) -> None:
    browser = sites(persist=persist)
    attributes = []
    for site in ("go", "django"):
        browser.visit(site, "put", key="word", value=site)
        cookie = dict(vars(browser.cookie))
        assert len(cookie.pop("value")) == 43
        if persist:
            assert cookie.pop("expires") == pytest.approx(
                (timezone.now() + timedelta(hours=12)).timestamp(), abs=5
            )
        attributes.append(cookie)
    assert attributes[0] == attributes[1]
    assert attributes[0]["discard"] is not persist


@pytest.mark.parametrize("every_request", [True, False])
def test_documented_ways_to_keep_the_cookie_longer_than_the_idle_timeout(
    sites: Sites, settings: Any, every_request: bool
) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = every_request
    browser = sites(idle=MINUTES_20, persist=every_request)
    browser.visit("go", "put", key="word", value="1")
    browser.visit("django", "get", key="word")
    assert browser.cookie is not None
    in_12_hours = (timezone.now() + timedelta(hours=12)).timestamp()
    expected = pytest.approx(in_12_hours, abs=5) if every_request else None
    assert browser.cookie.expires == expected


@both_ways
def test_remembered_here_is_remembered_there(sites: Sites, here: str, there: str) -> None:
    browser = sites(persist=False)
    browser.visit(here, "put", key="word", value="1")
    assert browser.cookie is not None
    assert browser.cookie.discard
    for choice in ("true", "false"):
        browser.visit(here, "remember", on=choice)
        browser.visit(there, "put", key="word", value=choice)
        assert browser.cookie.discard is (choice == "false")


@both_ways
def test_deadlines_agree_to_the_microsecond(browser: Browser, here: str, there: str) -> None:
    before = datetime.now(UTC)
    browser.visit(here, "put", key="word", value="1")
    deadline = browser.visit(here, "deadline")
    assert browser.visit(there, "deadline") == deadline
    assert deadline / 1e6 == pytest.approx(before.timestamp() + 12 * 3600, abs=5)
    browser.visit(there, "put", key="word", value="2")
    assert browser.visit(here, "deadline") == deadline
    browser.visit(there, "extend", to=deadline + 1_234_567)
    assert browser.visit(here, "deadline") == deadline + 1_234_567
    browser.visit(there, "renew")
    assert browser.visit(there, "deadline") == browser.visit(here, "deadline")
    # SQLite holds milliseconds.
    stored = Session.objects.get().expiry.timestamp()
    # The column is counted from the store's now, so it lags by what a busy machine takes to say it.
    assert stored == pytest.approx(browser.visit(here, "deadline") / 1e6, abs=1)


@both_ways
def test_idle_timeout_holds_on_both_sides(
    sites: Sites, settings: Any, here: str, there: str
) -> None:
    browser = sites(idle=MINUTES_20)
    settings.SCS_TOUCH_INTERVAL = 0
    browser.visit(here, "put", key="word", value="alive")
    for site in (there, here):
        Session.objects.update(expiry=timezone.now() + timedelta(seconds=30))
        assert browser.visit(site, "get", key="word") == "alive"
        left = Session.objects.get().expiry - timezone.now()
        assert left.total_seconds() == pytest.approx(MINUTES_20, abs=5)
    Session.objects.update(expiry=timezone.now() - timedelta(milliseconds=5))
    for site in (there, here):
        assert browser.twin().visit(site, "get", key="word") == ""


def test_every_go_type_survives_changes_by_django(browser: Browser) -> None:
    assert browser.visit("go", "fill") > 50
    before = browser.visit("go", "values")
    browser.visit("django", "put", key="another", value="1")
    browser.visit("django", "renew")
    browser.visit("django", "pop", key="another")
    assert browser.visit("go", "differences") == []
    assert {key: before[key][:30] for key in before} == {
        key: shown[:30] for key, shown in browser.visit("go", "values").items()
    }


def test_every_python_type_survives_changes_by_go(browser: Browser) -> None:
    browser.visit("django", "fill")
    assert browser.visit("go", "values") == {
        "none": "<nil> <nil>",
        "str": "string Grüße, \x00 <b>&\U0001f642",
        "int": "int -3",
        "float": "float64 3",
        "bool": "bool true",
        "bytes": "[]uint8 [0 255]",
        "strs": "[]string [a ]",
        "datetime": "time.Time 2026-07-08T09:10:11.123456+02:00",
        "dict": "map[string]interface {} map[list:[1 two <nil>] n:1]",
    }
    browser.visit("go", "put", key="another", value="1")
    assert browser.visit("django", "differences") == []


def test_each_iterates_over_the_sessions_of_both(browser: Browser) -> None:
    for word, site in (("a", "go"), ("b", "django"), ("c", "go")):
        Browser(browser.sites).visit(site, "put", key="word", value=word)
    expired = SessionStore()
    expired["word"] = "expired"
    expired.set_deadline(timezone.now() - timedelta(seconds=1))
    expired.save()
    assert Session.objects.count() == 4
    for site in ("go", "django"):
        assert Browser(browser.sites).visit(site, "sessions", key="word") == ["a", "b", "c"]


def go_through(browser: Browser, here: str, there: str, user: int) -> None:
    """Log in, change, renew and log out on alternating sides."""
    browser.visit(here, "put", key="word", value="1")
    anonymous = browser.twin()
    browser.visit(there, "login", id=user)
    assert browser.visit(here, "account") == user
    assert anonymous.visit(here, "account") == 0
    browser.visit(here, "flash", message="Welcome")
    browser.visit(there, "renew")
    assert browser.visit(there, "page") == "Welcome"
    assert browser.visit(here, "page") == ""
    assert browser.visit(here, "get", key="word") == "1"
    browser.visit(here, "destroy")
    assert browser.visit(there, "account") == 0


@pytest.mark.parametrize("table", ["ours", "scs"])
@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
def test_sessions_are_shared_on_either_table(
    sites: Sites, users: list[int], request: pytest.FixtureRequest, table: str, hashed: bool
) -> None:
    if table == "scs":
        request.getfixturevalue("scs_table")
    browser = sites(hashed=hashed)
    go_through(browser, "go", "django", users[0])
    go_through(browser, "django", "go", users[1])


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
def test_tokens_of_40_characters_are_shared(
    sites: Sites, scs_table: None, settings: Any, hashed: bool
) -> None:
    settings.SCS_TOKEN_BYTES = 30
    browser = sites(hashed=hashed)
    lengths = []
    # Django makes the token, Go finds it; Go renews it, to one of its own length; Django finds that.
    for site, act in [("django", "put"), ("go", "put"), ("go", "renew"), ("django", "renew")]:
        browser.visit(site, act, key=site, value="kept")
        lengths.append(len(browser.token))
        for each in ("go", "django"):
            assert browser.visit(each, "get", key="django") == "kept"
    assert lengths == [40, 40, 43, 40]
    assert browser.visit("django", "sessions", key="go") == ["kept"]
    late = browser.twin()
    browser.visit("go", "destroy")
    assert late.visit("django", "get", key="go") == ""
    assert not Session.objects.exists()


@both_ways
def test_hashed_tokens_are_those_of_scs(sites: Sites, here: str, there: str) -> None:
    browser = sites(hashed=True)
    browser.visit(here, "put", key="word", value="found")
    digest = hashlib.sha256(browser.token.encode()).digest()
    assert Session.objects.get().token == urlsafe_b64encode(digest).decode().rstrip("=")
    assert browser.visit(there, "get", key="word") == "found"
    for site in (here, there):
        assert Browser(browser.sites).visit(site, "sessions", key="word") == ["found"]
    stolen = browser.twin()
    assert stolen.cookie is not None
    stolen.cookie.value = Session.objects.get().token
    for site in (here, there):
        assert stolen.visit(site, "get", key="word") == ""


@pytest.mark.parametrize("mysql_zone", ["+00:00", "SYSTEM"])
def test_clocks_agree_where_the_server_is_in_new_york(
    in_new_york: None, sites: Sites, settings: Any, mysql_zone: str
) -> None:
    settings.TIME_ZONE = NEW_YORK
    settings.SCS_TOUCH_INTERVAL = 0
    if connection.vendor == "mysql":
        options = {**connection.settings_dict["OPTIONS"]}
        options["init_command"] = f"SET time_zone = '{mysql_zone}'"
        connection.settings_dict["OPTIONS"] = options
        connection.close()
    browser = sites(idle=MINUTES_20, mysql_zone=mysql_zone, environment={"TZ": NEW_YORK})
    for here, there in (("go", "django"), ("django", "go")):
        browser.visit(here, "put", key="word", value=here)
        assert browser.visit(there, "get", key="word") == here
        assert browser.visit(there, "deadline") == browser.visit(here, "deadline")
        left = Session.objects.get().expiry - timezone.now()
        assert left.total_seconds() == pytest.approx(MINUTES_20, abs=5)
        for seconds, word in ((5, here), (-1, "")):
            Session.objects.update(expiry=timezone.now() + timedelta(seconds=seconds))
            for site in (there, here):
                assert browser.twin().visit(site, "get", key="word") == word
        Session.objects.all().delete()


@pytest.mark.vendors("mysql")
def test_collation_of_scs_table_does_not_mix_up_tokens(browser: Browser, scs_table: None) -> None:
    browser.visit("go", "put", key="word", value="secret")
    guess = browser.twin()
    assert guess.cookie is not None
    guess.cookie.value = browser.token.swapcase()
    assert guess.visit("django", "get", key="word") == ""
    # As reported in alexedwards/scs#226.
    assert guess.visit("go", "get", key="word") == "secret"
