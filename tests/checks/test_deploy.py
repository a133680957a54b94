"""Advice for a site that is to be deployed: each is given where it should be, and nowhere else."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from django_scs.checks import deploy as checks

SAFE = {
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_EXPIRE_AT_BROWSER_CLOSE": True,
    "SCS_LIFETIME": timedelta(days=30),
    "SCS_IDLE_TIMEOUT": 1800,
    "SCS_HASH_TOKENS": True,
}


@pytest.fixture(autouse=True)
def safe(settings):
    for name, value in SAFE.items():
        setattr(settings, name, value)


def ids():
    return [message.id.removeprefix("django_scs.") for message in checks.check_deployment()]


def test_safe_settings_need_no_advice():
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("SESSION_COOKIE_NAME", "sessionid", "W040"),
        ("SESSION_COOKIE_DOMAIN", ".example.com", "W041"),
        ("SESSION_COOKIE_SAMESITE", "None", "W042"),
        ("SESSION_COOKIE_SAMESITE", None, "W042"),
        ("SESSION_COOKIE_SAMESITE", False, "W042"),
        ("SCS_LIFETIME", timedelta(days=31), "W043"),
        ("SCS_IDLE_TIMEOUT", None, "W044"),
        ("SESSION_EXPIRE_AT_BROWSER_CLOSE", False, "W045"),
        ("SCS_HASH_TOKENS", False, "W046"),
        ("SCS_AUTH_USER_ID_KEY", "authenticatedUserID", "W047"),
    ],
)
def test_advice_is_given(settings, name, value, identifier):
    setattr(settings, name, value)
    (message,) = checks.check_deployment()
    assert message.id == f"django_scs.{identifier}"
    assert message.hint
    assert "{" not in message.msg


def test_advice_to_hash_names_the_way_that_logs_nobody_out(settings):
    settings.SCS_HASH_TOKENS = False
    (message,) = checks.check_deployment()
    assert "scs_hash_tokens" in message.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_NAME", "__Secure-id"),
        ("SESSION_COOKIE_DOMAIN", "example.com"),
        ("SESSION_COOKIE_SAMESITE", "Strict"),
    ],
)
def test_advice_is_not_given(settings, name, value):
    setattr(settings, name, value)
    assert ids() == []


def test_longest_lifetime_counts(settings):
    settings.SCS_LIFETIME = timedelta(days=60)
    settings.SCS_MAX_LIFETIME = timedelta(days=20)
    assert ids() == []


def test_advice_for_another_kind_names_it(settings):
    settings.SCS_SESSIONS = {
        "basket": {"COOKIE_NAME": "basket", "IDLE_TIMEOUT": 60, "LIFETIME": 90}
    }
    messages = checks.check_deployment()
    assert [message.id[-4:] for message in messages] == ["W040", "W045"]
    assert all("SCS_SESSIONS['basket']" in message.msg for message in messages)


def test_sessions_of_another_engine_get_no_advice(settings):
    """None of our settings would change them."""
    settings.SCS_IDLE_TIMEOUT = None
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert ids() == []
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "__Host-basket", "LIFETIME": 90}}
    assert {message.id[-4:] for message in checks.check_deployment()} == {"W044", "W045"}


def test_wrong_settings_are_anothers_affair(settings):
    settings.SCS_LIFETIME = "long"
    assert ids() == []


def test_check_command_gives_advice_only_for_deployment(settings, capsys):
    settings.SCS_IDLE_TIMEOUT = None
    settings.SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "mail.E001"]
    call_command("check")
    assert "W044" not in capsys.readouterr().err
    call_command("check", deploy=True)
    assert "W044" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("SESSION_COOKIE_SECURE", "django_scs.W002"), ("SESSION_COOKIE_HTTPONLY", "django_scs.W003")],
)
def test_cookie_that_can_be_read_is_warned_of(settings, name, identifier):
    settings.SESSION_COOKIE_SECURE = settings.SESSION_COOKIE_HTTPONLY = True
    assert checks.check_cookie() == []
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket"}}
    setattr(settings, name, False)
    assert [message.id for message in checks.check_cookie()] == [identifier]


@pytest.mark.parametrize("option", ["COOKIE_SECURE", "COOKIE_HTTPONLY"])
def test_cookie_of_another_kind_that_can_be_read_is_warned_of(settings, option):
    settings.SESSION_COOKIE_SECURE = settings.SESSION_COOKIE_HTTPONLY = True
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "prefs"}}
    assert checks.check_cookie() == []
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "prefs", option: False}}
    (message,) = checks.check_cookie()
    assert message.msg == f"SCS_SESSIONS['preferences']['{option}'] is not set to True."
