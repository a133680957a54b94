"""What a login does to the token, on every way that Django has to log a user in."""

import pytest
from django.test import Client

from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.support import statements, stored, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


@pytest.fixture(params=["log_in", "alog_in"])
def log_in(request):
    """Return the path of the view that calls login(), or alogin()."""
    return f"/{request.param}/"


@pytest.fixture(autouse=True)
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", password="secret")


@pytest.fixture
def bob(django_user_model):
    return django_user_model.objects.create_user("bob", password="secret")


def visit(client, path):
    """Return what the statements of a request do, the token before it, and the one after it."""
    before = token_of(client)
    with statements() as found:
        assert client.get(path).status_code == 200
    return verbs(found), before, token_of(client)


def lives(token):
    return SessionStore().exists(token)


def test_login_renews_an_anonymous_session_once(client, log_in, alice):
    client.get("/put/?color=red")
    found, before, after = visit(client, log_in)

    assert found.count("RENAME") == 1
    assert after != before
    assert not lives(before)
    assert stored(after)["_auth_user_id"] == str(alice.pk)
    assert stored(after)["color"] == "red"


def test_login_without_a_session_renames_nothing(client, log_in, alice):
    found, _, after = visit(client, log_in)

    assert found == ["INSERT", "UPDATE"]
    assert stored(after)["_auth_user_id"] == str(alice.pk)


def test_login_of_the_same_user_again_renews_once(client, log_in):
    client.get("/log_in/")
    client.get("/put/?color=red")
    found, before, after = visit(client, log_in)

    assert found.count("RENAME") == 1
    assert after != before
    assert not lives(before)
    assert stored(after)["color"] == "red"


def test_login_of_another_user_leaves_nothing_of_the_first(client, log_in, bob):
    client.get("/log_in/")
    client.get("/put/?color=red")
    found, before, after = visit(client, f"{log_in}?user=bob")

    assert found.count("RENAME") == 0
    assert not lives(before)
    assert stored(after)["_auth_user_id"] == str(bob.pk)
    assert "color" not in stored(after)


def test_login_after_the_password_was_changed_elsewhere_starts_afresh(client, log_in, alice):
    client.get("/log_in/")
    client.get("/put/?color=red")
    alice.set_password("another")
    alice.save()
    found, before, after = visit(client, log_in)

    assert found.count("RENAME") == 0
    assert not lives(before)
    assert stored(after)["_auth_user_id"] == str(alice.pk)
    assert "color" not in stored(after)


def test_each_of_two_logins_in_one_request_renews(client, log_in):
    client.get("/put/")
    found, *_ = visit(client, f"{log_in}?times=2")

    assert found.count("RENAME") == 2


def test_old_token_is_dead_before_the_response_goes_out(client):
    client.get("/put/")

    assert client.get("/log_in_and_look_for_old_token/").json() == {"old token lives": False}


@pytest.mark.parametrize("path", ["/log_in_while_renewed/", "/log_in_while_destroyed/"])
def test_login_works_on_an_anonymous_session_that_was_taken_away(client, path, alice):
    client.get("/put/")
    _, before, after = visit(client, path)

    assert not lives(before)
    assert stored(after)["_auth_user_id"] == str(alice.pk)
    # What the visitor had put in it belongs to whoever logs in.
    assert stored(after)["color"] == "red"


def test_renewal_that_lost_tells_the_browser_nothing(client, alice):
    client.get("/log_in/")
    response = client.get("/renew_while_destroyed/")

    assert response.status_code == 200
    assert "sessionid" not in response.cookies
    assert Session.objects.count() == 0


@pytest.mark.parametrize("path", ["/log_in_while_renewed/", "/log_in_while_destroyed/"])
def test_login_of_the_same_user_works_on_a_session_that_was_taken_away(client, path, alice):
    client.get("/log_in/")
    _, before, after = visit(client, path)

    assert not lives(before)
    assert stored(after).get("_auth_user_id") == str(alice.pk)


def test_changed_password_renews_once_and_keeps_the_user(client, alice):
    client.get("/log_in/")
    found, before, after = visit(client, "/change_password/")

    assert found.count("RENAME") == 1
    assert not lives(before)
    assert client.get("/read/").wsgi_request.user == alice
    assert stored(after)["_auth_user_id"] == str(alice.pk)


def test_changed_password_ends_the_users_other_sessions(client):
    other = Client()
    for each in (client, other):
        each.get("/log_in/")
    client.get("/change_password/")

    assert not other.get("/read/").wsgi_request.user.is_authenticated


def test_logout_destroys_the_session_and_its_cookie(client):
    client.get("/log_in/")
    client.get("/log_out/")

    assert token_of(client) == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("way", ["login", "force_login"])
def test_djangos_client_logs_in_and_out(client, way, alice):
    client.get("/put/?color=red")
    before = token_of(client)
    if way == "login":
        assert client.login(username="alice", password="secret")
    else:
        client.force_login(alice)

    assert token_of(client) != before
    assert client.get("/read/").wsgi_request.user == alice
    assert client.session["color"] == "red"
    client.logout()
    assert not client.get("/read/").wsgi_request.user.is_authenticated
    assert not Session.objects.exists()
