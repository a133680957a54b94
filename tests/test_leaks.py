"""A token is a password: it must not get into anything that people read."""

import logging

import django
import pytest
from django.contrib import admin
from django.db import OperationalError, connection
from django.test import Client
from django.utils.log import AdminEmailHandler

from django_scs import tokens
from django_scs.admin import SessionAdmin
from django_scs.backends.db import CreateError, SessionStore
from django_scs.models import Session
from tests.support import stored, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]


@pytest.fixture
def session():
    session = SessionStore()
    session["color"] = "red"
    session.save()
    return session


@pytest.fixture
def log(caplog):
    """Return a function that gives all that was logged, at every level."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


def test_session_shows_its_fingerprint_and_not_its_token(session):
    model = Session.objects.get()

    assert session.session_key == model.token
    assert session.fingerprint() == tokens.fingerprint(model.token)
    for shown in (repr(session), str(session), repr(model), str(model), repr([model])):
        assert session.session_key not in shown
    assert str(model) == session.fingerprint()
    assert session.fingerprint() in repr(model)


def test_fingerprint_is_the_same_for_a_hashed_key_on_both_sides(settings):
    settings.SCS_HASH_TOKENS = True
    session = SessionStore()
    session.create()

    assert str(Session.objects.get()) == session.fingerprint()
    assert session.fingerprint() != tokens.fingerprint(session.session_key)


@pytest.mark.parametrize(
    "path",
    [
        "/put/",
        "/renew/",
        "/destroy/",
        "/pop_flash/",
        "/put_while_destroyed/",
        "/put_while_renewed/",
        "/log_in_while_destroyed/",
        "/put/?error=1",
        "/put_unstorable/",
    ],
)
def test_no_log_line_holds_a_token(log, path, django_user_model):
    django_user_model.objects.create_user("alice")
    client = Client(raise_request_exception=False)
    client.get("/put/")
    before = token_of(client)
    client.get(path)

    assert before not in log()
    assert not token_of(client) or token_of(client) not in log()


def test_corrupt_session_is_logged_by_its_fingerprint(session, log):
    Session.objects.update(data=b"corrupt")
    stored(session.session_key)

    assert session.fingerprint() in log()
    assert session.session_key not in log()


def test_error_for_a_token_that_is_taken_does_not_name_it(session, monkeypatch):
    monkeypatch.setattr(tokens, "new", lambda size: session.session_key)
    with pytest.raises(CreateError) as caught:
        SessionStore().create()

    assert session.session_key not in repr((caught.value, caught.value.__cause__))


@pytest.fixture
def error_mails(settings, mailoutbox):
    """Return a function that gives the mails to the administrators, with local variables."""
    address = "admin@example.com"
    settings.ADMINS = [address if django.VERSION >= (6, 0) else ("Admin", address)]
    handler = AdminEmailHandler(include_html=True)
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    yield lambda: "".join(mail.body + str(mail.alternatives) for mail in mailoutbox)
    logger.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("/read/", "SELECT"),
        ("/put/", "UPDATE"),
        ("/renew/", "UPDATE"),
        ("/destroy/", "DELETE"),
        ("/pop_flash/", "UPDATE"),
        ("/destroy_and_put/", "INSERT"),
    ],
)
def test_error_mail_about_a_broken_database_holds_no_token(error_mails, path, statement):
    seen = set()

    def fail(execute, sql, params, *args):
        if sql.startswith(statement) and "sessions" in sql:
            seen.update(param for param in params if tokens.well_formed(param))
            raise OperationalError("the server has gone away")
        return execute(sql, params, *args)

    client = Client(raise_request_exception=False)
    client.get("/put_flash/")
    with connection.execute_wrapper(fail):
        client.get(path)

    assert "the server has gone away" in error_mails()
    assert "Local Vars" in error_mails()
    assert [token for token in {token_of(client), *seen} if token in error_mails()] == []


def test_sessions_are_in_the_admin_by_pages_of_ours_alone():
    """Django's have keys in their addresses; tests/test_admin.py looks for keys in ours."""
    (found,) = [each for model, each in admin.site._registry.items() if model is Session]
    assert isinstance(found, SessionAdmin)
