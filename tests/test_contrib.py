"""Django's own applications on our sessions: messages, and CSRF tokens kept in the session."""

import pytest
from django.test import Client

from tests.support import DJANGOS, OURS, stored, token_of, with_middleware

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]

STORAGES = {
    "session": ["_messages"],
    "cookie": [],
    "fallback": [],
}


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)


@pytest.mark.parametrize("storage", STORAGES)
def test_messages_are_shown_once(client, settings, storage):
    settings.MESSAGE_STORAGE = f"django.contrib.messages.storage.{storage}.{storage.title()}Storage"
    client.get("/add_messages/")
    assert sorted(stored(token_of(client))) == STORAGES[storage]

    assert client.get("/show_messages/").content == b"First, Second"
    assert client.get("/show_messages/").content == b""


def test_message_too_long_for_a_cookie_falls_back_to_the_session(client):
    client.get("/add_messages/?numbers=3000")
    assert sorted(stored(token_of(client))) == ["_messages"]

    assert b"Second" in client.get("/show_messages/").content
    assert client.get("/show_messages/").content == b""


def test_csrf_token_lives_in_the_session(settings):
    settings.CSRF_USE_SESSIONS = True
    client = Client(enforce_csrf_checks=True)
    token = client.get("/form/").content.decode()

    assert "_csrftoken" in stored(token_of(client))
    assert "csrftoken" not in client.cookies
    assert client.post("/put/", {"csrfmiddlewaretoken": token}).status_code == 200
    assert client.post("/put/", {"csrfmiddlewaretoken": "x" * 64}).status_code == 403
    assert client.post("/put/").status_code == 403


def test_login_rotates_the_csrf_token_in_the_session(settings, django_user_model):
    django_user_model.objects.create_user("alice")
    settings.CSRF_USE_SESSIONS = True
    client = Client(enforce_csrf_checks=True)
    before = client.get("/form/").content.decode()
    client.get("/log_in/")

    assert client.post("/put/", {"csrfmiddlewaretoken": before}).status_code == 403
    after = client.get("/form/").content.decode()
    assert client.post("/put/", {"csrfmiddlewaretoken": after}).status_code == 200
