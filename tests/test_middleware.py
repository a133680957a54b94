"""What the middlewares promise for a whole request; first what ours and Django's have in common."""

import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.signals import got_request_exception
from django.db import OperationalError, connection
from django.test import Client

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.exceptions import EncodeError
from django_scs.models import Session
from tests.support import DJANGOS, OURS, statements, stored, token_of, verbs, with_middleware

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]

either_middleware = pytest.mark.parametrize(
    "middleware", [OURS, DJANGOS], ids=["ours", "djangos"], indirect=True
)
FAILURES = pytest.mark.parametrize("failure", ["status=503", "error=1"])


@pytest.fixture(autouse=True)
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(getattr(request, "param", OURS))


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


@pytest.fixture
def known(client):
    """Return a client whose session holds a color."""
    client.get("/put/?color=red")
    return client


@pytest.fixture
def broken_database():
    def fail(execute, sql, *args):
        if "sessions" in sql:
            raise OperationalError("the server has gone away")
        return execute(sql, *args)

    return connection.execute_wrapper(fail)


# What both promise


@either_middleware
def test_values_come_back_in_the_next_request(known):
    assert known.get("/read/").json() == {"color": "red"}


@either_middleware
def test_the_cookie_carries_a_token_of_256_bits(known):
    assert tokens.well_formed(token_of(known))


@either_middleware
def test_request_that_stores_nothing_sets_no_cookie(client):
    response = client.get("/read/")

    assert not response.cookies
    assert not Session.objects.exists()


@either_middleware
@pytest.mark.parametrize(
    ("path", "varies"), [("/untouched/", False), ("/read/", True), ("/put/", True)]
)
def test_response_varies_by_cookie_if_the_session_was_looked_at(client, path, varies):
    assert ("Cookie" in client.get(path).get("Vary", "")) is varies


@either_middleware
@pytest.mark.parametrize("token", ["A" * 43, "short", "x" * 44, "ü" * 43, "x" * 43 + "\n"])
def test_presented_token_that_is_unknown_is_never_adopted(client, token):
    # http.cookies writes no control characters since Python 3.14; other programs may.
    quoted = re.sub(r"[^\x20-\x7e]", lambda found: f"\\{ord(found[0]):03o}", token)
    client.get("/put/", headers={"cookie": f'sessionid="{quoted}"'})

    assert token_of(client) != token
    assert stored(token_of(client)) == {"color": "red"}


@either_middleware
def test_session_without_values_stays(known):
    known.get("/remove/")

    assert known.get("/read/").json() == {}
    assert SessionStore().exists(token_of(known))


@either_middleware
def test_destroyed_session_is_gone_and_its_cookie_deleted(known, settings):
    settings.SESSION_COOKIE_PATH = "/app"
    settings.SESSION_COOKIE_DOMAIN = "example.com"
    settings.SESSION_COOKIE_SAMESITE = "Strict"
    response = known.get("/destroy/")

    cookie = response.cookies["sessionid"]
    assert (cookie.value, cookie["max-age"]) == ("", 0)
    assert (cookie["path"], cookie["domain"], cookie["samesite"]) == (
        "/app",
        "example.com",
        "Strict",
    )
    assert "Cookie" in response["Vary"]
    assert not Session.objects.exists()


@either_middleware
def test_destroying_without_a_cookie_sends_none(client):
    assert not client.get("/destroy/").cookies


@either_middleware
def test_what_is_put_after_destroying_is_a_new_session(known):
    old = token_of(known)
    known.get("/destroy_and_put/?color=blue")

    assert stored(token_of(known)) == {"color": "blue"}
    assert not SessionStore().exists(old)


@either_middleware
def test_renewal_changes_the_cookie_and_kills_the_old_token(known):
    old = token_of(known)
    known.get("/renew/")

    assert stored(token_of(known)) == {"color": "renewed"}
    assert not SessionStore().exists(old)


@either_middleware
@FAILURES
def test_values_are_not_saved_when_the_view_fails(known, failure):
    response = known.get(f"/put/?color=blue&{failure}")

    assert response.status_code >= 500
    assert not response.cookies
    assert stored(token_of(known)) == {"color": "red"}


@either_middleware
@FAILURES
def test_no_session_is_made_when_the_view_fails(client, failure):
    assert not client.get(f"/put/?{failure}").cookies
    assert not Session.objects.exists()


@either_middleware
def test_values_that_cannot_be_kept_fail_the_request(known):
    known.raise_request_exception = True
    with pytest.raises(EncodeError, match="'color'"):
        known.get("/put_unstorable/")
    assert stored(token_of(known)) == {"color": "red"}


@either_middleware
def test_cookie_has_the_attributes_of_the_settings(client, settings):
    settings.SESSION_COOKIE_NAME = "token"
    settings.SESSION_COOKIE_DOMAIN = "example.com"
    settings.SESSION_COOKIE_PATH = "/app"
    settings.SESSION_COOKIE_SECURE = True
    settings.SESSION_COOKIE_HTTPONLY = True
    settings.SESSION_COOKIE_SAMESITE = "Strict"
    cookie = client.get("/put/").cookies["token"]

    assert cookie["secure"] is True
    assert cookie["httponly"] is True
    names = ("domain", "path", "samesite")
    assert [cookie[name] for name in names] == ["example.com", "/app", "Strict"]


@either_middleware
def test_cookie_lacks_the_attributes_that_are_off(client, settings):
    settings.SESSION_COOKIE_SECURE = settings.SESSION_COOKIE_HTTPONLY = False
    settings.SESSION_COOKIE_SAMESITE = None
    cookie = client.get("/put/").cookies["sessionid"]

    assert not any(cookie[name] for name in ("secure", "httponly", "samesite", "domain"))


@either_middleware
@pytest.mark.parametrize(
    ("values", "max_age"),
    [
        ({}, 1_209_600),
        ({"SESSION_COOKIE_AGE": 500}, 500),
        ({"SCS_LIFETIME": timedelta(hours=12)}, 43_200),
        ({"SCS_LIFETIME": 600, "SCS_IDLE_TIMEOUT": 1200}, 600),
    ],
)
def test_cookie_lives_until_the_deadline(client, settings, values, max_age):
    for name, value in values.items():
        setattr(settings, name, value)
    cookie = client.get("/put/").cookies["sessionid"]

    assert cookie["max-age"] == pytest.approx(max_age, abs=2)
    expires = datetime.strptime(cookie["expires"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert (expires - datetime.now(UTC)).total_seconds() == pytest.approx(max_age, abs=3)


@either_middleware
def test_set_expiry_changes_the_age_of_the_cookie(client):
    cookie = client.get("/expire/?seconds=300").cookies["sessionid"]

    assert cookie["max-age"] == pytest.approx(300, abs=1)


@either_middleware
def test_set_expiry_zero_ends_the_cookie_with_the_browsers_window(client):
    cookie = client.get("/expire/?seconds=0").cookies["sessionid"]

    assert (cookie["max-age"], cookie["expires"]) == ("", "")


@either_middleware
@pytest.mark.parametrize(
    ("path", "persists"),
    [("/put/", False), ("/remember/?remember=no", False), ("/remember/?remember=yes", True)],
)
def test_remember_me_outlives_the_browsers_window(client, settings, path, persists):
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
    cookie = client.get(path).cookies["sessionid"]

    assert bool(cookie["max-age"]) is persists
    assert bool(cookie["expires"]) is persists


def test_idle_timeout_is_no_affair_of_the_cookie(client, settings):
    settings.SCS_LIFETIME = 43_200
    settings.SCS_IDLE_TIMEOUT = 1200
    cookie = client.get("/put/").cookies["sessionid"]

    assert cookie["max-age"] == pytest.approx(43_200, abs=2)


@pytest.mark.parametrize("path", ["/read/", "/put/?color=blue", "/untouched/"])
def test_cookie_is_not_sent_again_when_neither_token_nor_end_changed(known, settings, path):
    settings.SCS_IDLE_TIMEOUT = 600
    Session.objects.update(expiry=datetime.now(UTC) + timedelta(seconds=300))

    assert not known.get(path).cookies


@pytest.mark.parametrize("path", ["/expire/?seconds=300", "/expire/?seconds=0", "/renew/"])
def test_cookie_is_sent_again_when_its_end_or_token_changes(known, path):
    assert known.get(path).cookies["sessionid"].value == token_of(known)


@either_middleware
def test_save_every_request_sends_the_cookie_of_a_known_session(known, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.SCS_IDLE_TIMEOUT = 600
    Session.objects.update(expiry=datetime.now(UTC) + timedelta(seconds=590))

    assert known.get("/untouched/").cookies["sessionid"].value == token_of(known)
    assert Session.objects.get().expiry > datetime.now(UTC) + timedelta(seconds=595)


@either_middleware
def test_save_every_request_makes_no_session_for_a_visitor_without_one(client, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    response = client.get("/untouched/")

    assert not response.cookies
    assert "Vary" not in response
    assert not Session.objects.exists()


@either_middleware
def test_session_is_saved_before_a_stream_begins(client):
    response = client.get("/stream/")

    assert stored(token_of(client)) == {"color": "streamed"}
    assert response.getvalue() == b"streamed in parts"


@either_middleware
@pytest.mark.parametrize("path", ["/delete_session/", "/replace_session_by_dict/"])
def test_session_that_the_view_took_away_is_left_alone(known, path):
    response = known.get(path)

    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert stored(token_of(known)) == {"color": "red"}


@either_middleware
def test_session_that_the_view_put_in_the_place_of_its_own_is_saved(known):
    old = token_of(known)
    known.get("/replace_session/")

    assert stored(token_of(known)) == {"color": "replaced"}
    assert stored(old) == {"color": "red"}


@either_middleware
def test_unreadable_session_gives_a_normal_page(known, caplog):
    Session.objects.update(data=b"written by something else")
    response = known.get("/read/")

    assert (response.status_code, response.json()) == (200, {})
    assert [record.name for record in caplog.records] == [
        "django_scs",
        "django.security.SuspiciousSession",
    ]
    assert Session.objects.get().data == b"written by something else"


@either_middleware
@pytest.mark.parametrize("path", ["/read/", "/put/"])
def test_broken_database_is_an_error_and_not_a_logout(known, broken_database, path):
    with broken_database:
        response = known.get(path)

    assert response.status_code == 500
    assert not response.cookies
    assert known.get("/read/").json() == {"color": "red"}


# What ours adds


@pytest.fixture
def warnings_of(caplog):
    """Return a function that gives the text of what django_scs has logged."""
    return lambda: [r.getMessage() for r in caplog.records if r.name == "django_scs"]


@pytest.mark.parametrize("path", ["/put_while_destroyed/", "/aput_while_destroyed/"])
def test_session_destroyed_meanwhile_lets_the_response_go_out(known, warnings_of, path):
    fingerprint = SessionStore(token_of(known)).fingerprint()
    response = known.get(path)

    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert not Session.objects.exists()
    (warning,) = warnings_of()
    assert fingerprint in warning
    assert "color" in warning
    assert "a secret color" not in warning
    assert token_of(known) not in warning


def test_session_destroyed_meanwhile_is_refused_under_djangos(known, settings):
    settings.MIDDLEWARE = with_middleware(DJANGOS)
    client = Client(raise_request_exception=False)
    client.cookies = known.cookies

    assert client.get("/put_while_destroyed/").status_code == 400
    assert not Session.objects.exists()


def test_session_destroyed_meanwhile_does_not_matter_to_a_reader(known, warnings_of):
    response = known.get("/read_while_destroyed/")

    assert (response.status_code, response.json()) == (200, {"color": "red"})
    assert not response.cookies
    assert warnings_of() == []


def test_session_destroyed_meanwhile_has_no_warning_when_nothing_was_dropped(
    known, settings, warnings_of
):
    settings.SCS_IDLE_TIMEOUT = 600
    Session.objects.update(expiry=datetime.now(UTC) + timedelta(seconds=300))
    response = known.get("/read_while_destroyed/")

    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert warnings_of() == []


def test_session_renewed_meanwhile_keeps_its_values_and_its_new_cookie(known):
    response = known.get("/put_while_renewed/")

    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert SessionStore().decode(Session.objects.get().data) == {"color": "red"}


@pytest.mark.parametrize("path", ["/read/", "/untouched/"])
@pytest.mark.parametrize("save_every_request", [False, True])
def test_unknown_token_leaves_the_cookie_alone(client, settings, path, save_every_request):
    settings.SESSION_SAVE_EVERY_REQUEST = save_every_request
    client.cookies["sessionid"] = tokens.new()

    assert not client.get(path).cookies
    assert not Session.objects.exists()


def test_late_request_with_the_old_token_is_anonymous_and_keeps_the_new_cookie(known):
    late = Client()
    late.cookies["sessionid"] = token_of(known)
    known.get("/renew/")
    response = late.get("/read/")

    assert (response.json(), dict(response.cookies)) == ({}, {})


@FAILURES
def test_renewed_token_is_delivered_when_the_view_fails(known, failure):
    old = token_of(known)
    response = known.get(f"/renew/?{failure}")

    assert response.status_code >= 500
    assert response["Cache-Control"] == "private, no-store"
    assert "Cookie" in response["Vary"]
    assert token_of(known) != old
    assert stored(token_of(known)) == {"color": "red"}


def test_renewed_token_is_delivered_when_the_values_cannot_be_saved(known):
    old = token_of(known)
    response = known.get("/renew_and_put_unstorable/")

    assert response.status_code == 500
    assert token_of(known) != old
    assert stored(token_of(known)) == {"color": "red"}


def test_error_of_a_save_after_a_renewal_is_told_like_any_other(known, settings):
    settings.DEBUG = True
    seen = []

    def report(**kwargs):
        seen.append(sys.exc_info()[1])

    got_request_exception.connect(report)
    try:
        response = known.get("/renew_and_put_unstorable/")
    finally:
        got_request_exception.disconnect(report)

    assert [type(error) for error in seen] == [EncodeError]
    assert "EncodeError" in response.content.decode()


def test_error_of_a_save_after_a_renewal_is_raised_where_django_raises_errors(known, settings):
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with pytest.raises(EncodeError):
        known.get("/renew_and_put_unstorable/")


@FAILURES
def test_renewal_that_was_never_stored_sends_no_cookie_when_the_view_fails(client, failure):
    assert not client.get(f"/renew/?{failure}").cookies


@FAILURES
def test_destroyed_session_deletes_the_cookie_also_when_the_view_fails(known, failure):
    known.get(f"/destroy/?{failure}")

    assert token_of(known) == ""
    assert not Session.objects.exists()


def test_renewal_that_was_rolled_back_leaves_the_old_token_valid(known, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    response = known.get("/renew/?error=1")

    assert (response.status_code, dict(response.cookies)) == (500, {})
    assert stored(token_of(known)) == {"color": "red"}


def test_hashed_tokens_serve_every_kind_of_request(client, settings):
    settings.SCS_HASH_TOKENS = True
    client.get("/put/?color=red")
    assert Session.objects.get().token == tokens.store_key(token_of(client), hashed=True)

    assert client.get("/read/").json() == {"color": "red"}
    old = token_of(client)
    client.get("/renew/?error=1")
    assert token_of(client) != old
    client.get("/put/?color=blue")
    assert stored(token_of(client)) == {"color": "blue"}
    client.get("/destroy/")
    assert not Session.objects.exists()


def test_failed_view_that_renewed_nothing_costs_no_look_at_the_store(known):
    with statements() as found:
        known.get("/put/?status=503")

    assert verbs(found) == ["SELECT"]


@pytest.mark.parametrize("path", ["/renew/", "/destroy/"])
def test_response_with_a_session_cookie_is_not_cached(known, path):
    assert known.get(path)["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", ["/read/", "/untouched/"])
def test_response_without_a_session_cookie_may_be_cached(known, path):
    assert "Cache-Control" not in known.get(path)


def test_cache_control_of_the_view_stands(client):
    response = client.get("/put_with_cache_control/")

    assert response["Cache-Control"] == "private, max-age=60"
    assert "sessionid" in response.cookies


@pytest.mark.parametrize("engine", ["cache", "signed_cookies", "file"])
def test_engine_of_another_kind_is_served_as_by_djangos_middleware(client, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    client.get("/put/?color=red")
    assert client.get("/read/").json() == {"color": "red"}
    client.get("/destroy/")
    assert token_of(client) == ""
    assert not Session.objects.exists()


@either_middleware
@pytest.mark.parametrize("async_", [False, True])
def test_session_that_a_view_saved_and_opened_anew_reaches_the_browser(client, async_):
    """What allauth does before it sends a visitor to another site."""
    path = "/areopen_session/" if async_ else "/reopen_session/"
    response = client.get(path)
    assert response.cookies["sessionid"].value == Session.objects.get().token
    assert client.get("/read/").json() == {"state": "stashed"}
    assert not client.get("/read/").cookies
