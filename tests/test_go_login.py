"""Whose login holds: the rest, with a real Go application, is in tests/proofs/interop."""

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.test.utils import isolate_apps

from django_scs import go_login

pytestmark = pytest.mark.django_db
GO_KEY = "authenticatedUserID"


@pytest.fixture
def user(settings, django_user_model):
    settings.SCS_AUTH_USER_ID_KEY = GO_KEY
    return django_user_model.objects.create_user("alice", pk=1)


@pytest.fixture
def login(user):
    backend = "django.contrib.auth.backends.ModelBackend"
    login_hash = user.get_session_auth_hash()
    return {SESSION_KEY: "1", BACKEND_SESSION_KEY: backend, HASH_SESSION_KEY: login_hash}


def test_same_user_stays_logged_in(login):
    values = {**login, GO_KEY: 1}
    assert go_login.reconcile(values) is None
    assert values == {**login, GO_KEY: 1}


def test_user_of_is_whom_the_next_request_will_find(login, settings):
    assert go_login.user_of({GO_KEY: 1}) == "1"
    assert go_login.user_of({**login, GO_KEY: 2}) == "2"
    assert go_login.user_of({GO_KEY: True}) is None
    assert go_login.user_of(login) is None
    settings.SCS_AUTH_USER_ID_KEY = None
    assert go_login.user_of(login) == "1"
    assert go_login.user_of({}) is None


@pytest.mark.parametrize("user_id", [True, 1.0, None, "x", [1]])
def test_what_is_no_user_id_is_nobody(login, user_id):
    values = {**login, GO_KEY: user_id}
    assert go_login.reconcile(values) == ""
    assert values == {GO_KEY: user_id}


@isolate_apps("tests")
def test_key_of_a_model_that_inherits_from_a_user_model_is_a_number(login, monkeypatch):
    class Customer(User):
        class Meta:
            app_label = "tests"

    monkeypatch.setattr(go_login, "get_user_model", lambda: Customer)
    values = {**login, **go_login.as_go_has_it("1")}
    assert go_login.reconcile(values) is None
    assert values == {**login, GO_KEY: 1}
    assert go_login.user_of(values) == "1"


def test_user_model_without_a_hash_has_an_empty_one(login, monkeypatch):
    monkeypatch.delattr(AbstractBaseUser, "get_session_auth_hash")
    values = {GO_KEY: 1}
    assert go_login.reconcile(values) == "1"
    assert values == {**login, HASH_SESSION_KEY: "", GO_KEY: 1}


def test_login_of_the_go_application_is_taken_over(login):
    values = {GO_KEY: 1}
    assert go_login.reconcile(values) == "1"
    assert values == {**login, GO_KEY: 1}


def test_nothing_happens_unless_it_is_set(login, settings):
    settings.SCS_AUTH_USER_ID_KEY = None
    values = {GO_KEY: 2, **login}
    assert go_login.reconcile(values) is None
    assert values == {GO_KEY: 2, **login}
