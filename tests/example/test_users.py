"""Signing up, in and out, and the account page."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from example_project import settings as example_settings

from .conftest import EMAIL, PASSWORD

SIGNUP, LOGIN, LOGOUT, ACCOUNT = "/user/signup/", "/user/login/", "/user/logout/", "/account/"
GRACE = {"name": "Grace", "email": "Grace@Example.com", "password": "a-moth-in-the-relay"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def validators(settings: Any) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = example_settings.AUTH_PASSWORD_VALIDATORS


def text_of(response: Any) -> str:
    return response.content.decode()


def is_signed_in(client: Client) -> bool:
    return client.get(ACCOUNT).status_code == 200


def credentials(**fields: str) -> dict[str, str]:
    return {"username": EMAIL, "password": PASSWORD, **fields}


def test_signup_makes_a_user(client: Client) -> None:
    response = client.post(SIGNUP, GRACE, follow=True)
    assert response.redirect_chain == [(LOGIN, 302)]
    assert 'role="status">Your signup was successful. Please log in.<' in text_of(response)
    user = User.objects.get()
    assert (user.username, user.email, user.first_name) == (
        "grace@example.com",
        "grace@example.com",
        "Grace",
    )
    assert user.check_password(GRACE["password"])


def test_signup_flash_shows_once(client: Client) -> None:
    client.post(SIGNUP, GRACE, follow=True)
    assert 'role="status"' not in text_of(client.get(LOGIN))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "This field is required."),
        ("email", "", "This field is required."),
        ("email", "grace", "Enter a valid email address."),
        ("password", "", "This field is required."),
        ("password", "moth", "This password is too short. It must contain at least 8 characters."),
        ("password", "password", "This password is too common."),
        ("password", "1952195219521952", "This password is entirely numeric."),
        ("password", "Grace@Example", "The password is too similar to the username."),
    ],
)
def test_signup_explains_an_error_beside_its_field(
    client: Client, field: str, value: str, message: str
) -> None:
    response = client.post(SIGNUP, {**GRACE, field: value})
    page = text_of(response)
    assert response.context["form"].errors == {field: [message]}
    assert f'id="id_{field}_error"><li>{message}</li>' in page
    assert page.count('aria-invalid="true"') == 1
    assert f'id_{field}_error"' in page.split(f'name="{field}"')[1].split(">")[0]
    assert not User.objects.exists()


def test_signup_refuses_the_name_as_a_password(client: Client) -> None:
    response = client.post(SIGNUP, {**GRACE, "name": "Hopper1906", "password": "hopper1906"})
    message = "The password is too similar to the first name."
    assert response.context["form"].errors == {"password": [message]}


def test_signup_explains_every_error_at_once(client: Client) -> None:
    response = client.post(SIGNUP, {})
    assert list(response.context["form"].errors) == ["name", "email", "password"]
    assert text_of(response).count("This field is required.") == 3


@pytest.mark.parametrize("email", [EMAIL, "ADA@example.COM"])
def test_signup_refuses_an_address_in_use(client: Client, user: User, email: str) -> None:
    page = text_of(client.post(SIGNUP, {**GRACE, "email": email}))
    assert 'id="id_email_error"><li>This email address is already in use.</li>' in page
    assert User.objects.get() == user


def test_signup_never_repeats_a_password(client: Client) -> None:
    assert GRACE["password"] not in text_of(client.post(SIGNUP, {**GRACE, "email": ""}))


def test_login_goes_home_with_a_flash(client: Client, user: User) -> None:
    response = client.post(LOGIN, credentials(), follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert 'role="status">Welcome back, Ada.<' in text_of(response)
    assert 'role="status"' not in text_of(client.get("/"))
    assert is_signed_in(client)


def test_login_takes_the_address_in_any_case(client: Client, user: User) -> None:
    assert client.post(LOGIN, credentials(username="ADA@Example.com")).status_code == 302


def test_login_leads_on_to_where_it_was_asked_for(client: Client, user: User) -> None:
    page = client.get("/snippet/create/", follow=True)
    assert 'name="next" value="/snippet/create/"' in text_of(page)
    response = client.post(LOGIN, credentials(next="/snippet/create/"))
    assert response["Location"] == "/snippet/create/"


def test_login_does_not_lead_elsewhere(client: Client, user: User) -> None:
    response = client.post(LOGIN, credentials(next="https://evil.example/"))
    assert response["Location"] == "/"


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody@example.com"}])
def test_login_does_not_say_which_half_is_wrong(
    client: Client, user: User, wrong: dict[str, str]
) -> None:
    page = text_of(client.post(LOGIN, credentials(**wrong)))
    assert "The email address or the password is not correct." in page
    assert PASSWORD not in page
    assert not is_signed_in(client)


def test_login_explains_an_error_beside_its_field(client: Client) -> None:
    page = text_of(client.post(LOGIN, {"username": "ada", "password": ""}))
    assert 'id="id_username_error"><li>Enter a valid email address.</li>' in page
    assert 'id="id_password_error"><li>This field is required.</li>' in page


def test_login_gives_a_new_token(client: Client, user: User) -> None:
    client.post(SIGNUP, GRACE)
    before = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    client.post(LOGIN, credentials())
    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != before
    assert not is_signed_in(with_token(before))


def test_login_of_one_who_is_signed_in_goes_home(ada: Client) -> None:
    assert ada.get(LOGIN)["Location"] == "/"


def with_token(token: str) -> Client:
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = token
    return client


def test_logout_ends_the_session_with_a_flash(ada: Client) -> None:
    token = ada.cookies[django_settings.SESSION_COOKIE_NAME].value
    response = ada.post(LOGOUT, follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert 'role="status">You have been logged out.<' in text_of(response)
    assert 'role="status"' not in text_of(ada.get("/"))
    assert not is_signed_in(ada)
    assert not import_module(django_settings.SESSION_ENGINE).SessionStore().exists(token)


def test_logout_takes_a_post_only(ada: Client) -> None:
    assert ada.get(LOGOUT).status_code == 405
    assert is_signed_in(ada)


def test_logout_takes_no_forged_post(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(LOGOUT).status_code == 403
    assert is_signed_in(client)


def test_menu_fits_the_visitor(client: Client, user: User) -> None:
    page = text_of(client.get("/"))
    assert "Sign up" in page
    assert "Log out" not in page
    client.force_login(user)
    page = text_of(client.get("/"))
    assert "Sign up" not in page
    assert "Log out" in page


def test_menu_names_the_page_it_is_on(ada: Client) -> None:
    page = text_of(ada.get(ACCOUNT))
    assert page.count("aria-current") == 1
    assert '<a href="/account/" aria-current="page">Account</a>' in page


def test_account_asks_to_log_in(client: Client) -> None:
    assert client.get(ACCOUNT)["Location"] == "/user/login/?next=/account/"


def test_account_shows_the_session(settings: Any, client: Client, user: User) -> None:
    settings.SCS_LIFETIME = timedelta(hours=5, seconds=40)
    settings.SCS_IDLE_TIMEOUT = timedelta(minutes=20, seconds=40)
    client.force_login(user)
    page = text_of(client.get(ACCOUNT))
    session = client.session
    assert f'<code id="fingerprint">{session.fingerprint()}</code>' in page
    assert len(session.fingerprint()) == 12
    assert f"{session['signed_in_at']:%H:%M} UTC" in page
    assert f'<time id="deadline" datetime="{session.deadline().isoformat()}">' in page
    assert "In 5\xa0hours, " in page
    assert '<span id="idle">20\xa0minutes</span>' in page


def test_account_counts_from_the_login_not_from_the_first_visit(client: Client, user: User) -> None:
    client.post(SIGNUP, GRACE)
    assert "signed_in_at" not in client.session
    client.post(LOGIN, credentials())
    assert timezone.now() - client.session["signed_in_at"] < timedelta(minutes=1)


def test_account_is_not_cached(ada: Client) -> None:
    assert "no-store" in ada.get(ACCOUNT)["Cache-Control"]


@pytest.mark.parametrize("url", ["/", ACCOUNT, "/snippet/create/"])
def test_no_page_contains_the_token(ada: Client, url: str) -> None:
    token = ada.cookies[django_settings.SESSION_COOKIE_NAME].value
    page = text_of(ada.get(url))
    assert len(token) == 43
    assert token not in page
