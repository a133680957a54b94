"""Tombstones in themselves; what they do against the real scs is tested with it."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_scs.backends.db import SessionStore
from django_scs.models import Session
from django_scs.stores import tombstones

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def installed():
    call_command("scs_tombstones", "install", verbosity=0)
    yield
    call_command("scs_tombstones", "remove", verbosity=0)


def bury():
    """Return the row of a session that has been destroyed."""
    session = SessionStore()
    session["user"] = "alice"
    session.save()
    row = Session.objects.get(token=session.session_key)
    session.flush()
    return row


def test_destroyed_session_cannot_be_inserted_again():
    row = bury()
    row.save(force_insert=True)
    assert not SessionStore().exists(row.token)


def test_renewed_session_cannot_be_inserted_again():
    session = SessionStore()
    session.save()
    row = Session.objects.get(token=session.session_key)
    session.renew_token()
    row.save(force_insert=True)
    assert not SessionStore().exists(row.token)
    assert SessionStore().exists(session.session_key)


def test_expired_session_leaves_none():
    session = SessionStore()
    session.set_expiry(-60)
    session.save()
    SessionStore.clear_expired()
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
        assert cursor.fetchone() == (0,)


def test_install_mends_what_is_there_in_part():
    row = bury()
    tombstones._execute(connection, "sessions", tombstones.NO_TRIGGERS[connection.vendor])
    call_command("scs_tombstones", "install", verbosity=0)
    row.save(force_insert=True)
    assert not SessionStore().exists(row.token)


def test_engine_of_another_kind_is_refused(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    with pytest.raises(CommandError, match="signed_cookies"):
        call_command("scs_tombstones", "install")
