"""How many statements a request costs, through the whole request path, under both middlewares."""

from datetime import UTC, datetime, timedelta

import pytest

from django_scs import tokens
from django_scs.models import Session
from tests.support import DJANGOS, OURS, statements, verbs, with_middleware

# Outside a transaction of the test's, so that a transaction of the code's would be seen.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.urls")]


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)


@pytest.fixture
def users(django_user_model):
    for name in ("alice", "bob"):
        django_user_model.objects.create_user(name)


def statements_of(client, path):
    with statements() as found:
        response = client.get(path)
    assert response.status_code == 200
    return verbs(found)


@pytest.mark.parametrize("path", ["/untouched/", "/read/", "/pop_flash/", "/log_out/"])
def test_a_visitor_without_a_session_costs_nothing(client, path):
    assert statements_of(client, path) == []


def test_a_malformed_token_costs_nothing(client):
    client.cookies["sessionid"] = "x" * 44

    assert statements_of(client, "/read/") == []


@pytest.mark.parametrize("path", ["/put/", "/put_flash/", "/aput/"])
def test_a_new_session_is_one_insert(client, path):
    assert statements_of(client, path) == ["INSERT"]


@pytest.mark.parametrize(
    ("path", "expected"), [("/read/", ["SELECT"]), ("/put/", ["SELECT", "INSERT"])]
)
def test_an_unknown_token_is_looked_up_once(client, path, expected):
    client.cookies["sessionid"] = tokens.new()

    assert statements_of(client, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/untouched/", []),
        ("/read/", ["SELECT"]),
        ("/aread/", ["SELECT"]),
        ("/show_messages/", ["SELECT"]),
        ("/put/?color=blue", ["SELECT", "UPDATE"]),
        ("/aput/?color=blue", ["SELECT", "UPDATE"]),
        ("/remove/", ["SELECT", "UPDATE"]),
        ("/renew/", ["SELECT", "RENAME", "UPDATE"]),
        ("/destroy/", ["DELETE"]),
        ("/destroy_and_put/", ["DELETE", "INSERT"]),
    ],
)
def test_what_a_known_session_costs(client, settings, path, expected):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    client.get("/put/")

    assert statements_of(client, path) == expected


def test_a_flash_costs_the_statement_that_makes_it_unique(client):
    client.get("/put_flash/")

    assert statements_of(client, "/pop_flash/") == ["SELECT", "UPDATE"]
    assert statements_of(client, "/pop_flash/") == ["SELECT"]


@pytest.mark.parametrize("path", ["/renew/", "/log_in/", "/alog_in/"])
def test_renewal_of_a_new_session_stores_the_key_that_it_hands_out(client, users, path):
    assert statements_of(client, path) == ["INSERT", "UPDATE"]


@pytest.mark.parametrize("path", ["/log_in/", "/alog_in/"])
def test_login_on_an_anonymous_session_is_three_statements(client, users, path):
    client.get("/put/")

    assert statements_of(client, path) == ["SELECT", "RENAME", "UPDATE"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/log_in/?user=alice", ["SELECT", "RENAME", "UPDATE"]),
        ("/log_in/?user=bob", ["SELECT", "DELETE", "INSERT", "UPDATE"]),
        ("/change_password/", ["SELECT", "RENAME", "UPDATE"]),
        ("/log_out/", ["SELECT", "DELETE"]),
    ],
)
def test_what_a_user_who_is_logged_in_costs(client, users, path, expected):
    client.get("/log_in/?user=alice")

    assert statements_of(client, path) == expected


@pytest.mark.parametrize(
    ("idle_seconds", "expected"), [(50, ["SELECT"]), (70, ["SELECT", "UPDATE"])]
)
def test_use_is_written_down_once_a_touch_interval(client, settings, idle_seconds, expected):
    settings.SCS_IDLE_TIMEOUT = 600
    client.get("/put/")
    data = Session.objects.get().data
    Session.objects.update(expiry=datetime.now(UTC) + timedelta(seconds=600 - idle_seconds))

    assert statements_of(client, "/read/") == expected
    assert Session.objects.get().data == data
