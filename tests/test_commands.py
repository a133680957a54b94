"""``manage.py clearsessions`` and ``scs_sessions``."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.management import CommandError, call_command, get_commands
from django.db import connection

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.management.commands import clearsessions, scs_sessions
from django_scs.manager import session_class
from django_scs.models import Session

pytestmark = pytest.mark.django_db


def add(count, expires_in):
    expiry = datetime.now(UTC) + expires_in
    Session.objects.bulk_create(
        Session(token=tokens.new(), data=b"", expiry=expiry) for _ in range(count)
    )


def test_clearsessions_removes_all_that_has_expired_and_nothing_else():
    add(2, timedelta(minutes=5))
    live = set(Session.objects.values_list("token", flat=True))
    add(1001, -timedelta(seconds=5))
    call_command("clearsessions")

    assert set(Session.objects.values_list("token", flat=True)) == live


def test_clearsessions_has_nothing_to_say_on_an_empty_table(capsys):
    call_command("clearsessions")

    assert capsys.readouterr() == ("", "")


def test_clearsessions_does_not_need_djangos_own_application():
    assert "django.contrib.sessions" not in settings.INSTALLED_APPS
    assert get_commands()["clearsessions"] == "django_scs"


def clear(*arguments):
    output = StringIO()
    call_command("clearsessions", *arguments, stdout=output)
    return output.getvalue()


def test_clearsessions_in_small_batches_says_how_many():
    add(7, -timedelta(seconds=5))
    assert "Removed 7 expired sessions" in clear("--batch-size=3", "--pause=0.01")
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_clearsessions_removes_all_tombstones_of_the_past():
    call_command("scs_tombstones", "install", verbosity=0)
    try:
        add(20, timedelta(minutes=5))
        SessionStore.get_store().delete_many(Session.objects.values_list("token", flat=True))
        past = Session._meta.get_field("expiry").get_db_prep_value(datetime.now(UTC), connection)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE sessions_tombstones SET expiry = %s", [past])
            clear("--batch-size=3")
            cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
            assert cursor.fetchone() == (0,)
    finally:
        call_command("scs_tombstones", "remove", verbosity=0)


def test_clearsessions_dry_run_removes_nothing():
    add(3, -timedelta(seconds=5))
    add(2, timedelta(minutes=5))
    assert clear("--dry-run") == "3 expired sessions would be removed.\n"
    assert Session.objects.count() == 5


def test_clearsessions_of_one_session_says_so():
    add(1, -timedelta(seconds=5))
    assert clear("--dry-run") == "1 expired session would be removed.\n"
    assert clear("--batch-size=5").startswith("Removed 1 expired session in ")


@pytest.mark.parametrize(
    "option", ["--batch-size=0", "--pause=-1", "--interval=soon", "--interval=1e12"]
)
def test_clearsessions_refuses_senseless_numbers(option):
    with pytest.raises(CommandError, match="invalid"):
        clear(option)


class Terminal(StringIO):
    def isatty(self):
        return True


def test_clearsessions_shows_its_progress_on_a_terminal():
    add(4, -timedelta(seconds=5))
    output = Terminal()
    call_command("clearsessions", "--batch-size=2", stdout=output)
    assert "[###############               ]  50% 2" in output.getvalue()
    assert "100% 4" in output.getvalue()
    assert "Removed 4 expired sessions" in output.getvalue()


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--batch-size=3"]])
@pytest.mark.parametrize("output", [StringIO, Terminal])
def test_clearsessions_has_nothing_to_do_for_sessions_in_cookies(settings, arguments, output):
    settings.SESSION_ENGINE = "django_scs.backends.cookie"
    found = output()
    call_command("clearsessions", *arguments, stdout=found)
    assert found.getvalue().startswith("Nothing to do")


def test_clearsessions_of_a_store_without_a_table_shows_no_bar(monkeypatch):
    monkeypatch.setattr(clearsessions, "find_model", lambda: None)
    add(2, -timedelta(seconds=5))
    output = Terminal()
    call_command("clearsessions", stdout=output)
    assert output.getvalue().startswith("Removed 2 expired sessions")


def test_clearsessions_does_what_djangos_does_for_djangos_engines(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert clear() == ""
    with pytest.raises(CommandError, match="engines of django_scs"):
        clear("--batch-size=3")


def test_clearsessions_goes_on_as_a_service_until_sigterm(monkeypatch):
    """The batch under way comes to its end; what is left is left."""
    store = SessionStore.get_store()
    sizes = []

    def delete_expired(self, limit):
        sizes.append(limit)
        if len(sizes) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return limit if len(sizes) != 1 else 0

    monkeypatch.setattr(type(store), "delete_expired", delete_expired)
    before = signal.getsignal(signal.SIGTERM)
    output = clear("--interval=0.01", "--batch-size=5")
    assert output.count("Removed") == 2
    assert "Removed 0 expired sessions" in output
    assert "Removed 10 expired sessions" in output
    assert sizes == [5, 5, 5]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.django_db(transaction=True)
def test_clearsessions_as_a_service_outlives_its_connection(monkeypatch):
    """A server ends a connection that is idle for long: each run begins as a request does."""
    store = SessionStore.get_store()
    used = []

    def delete_expired(self, limit):
        connection.ensure_connection()
        used.append(connection.connection)
        if len(used) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr(type(store), "delete_expired", delete_expired)
    clear("--interval=0.01")
    assert used[0] is not used[1]


def sessions(*arguments):
    output = StringIO()
    call_command("scs_sessions", *arguments, stdout=output)
    return output.getvalue()


def signed_in(user, size=0):
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session["text"] = "x" * size
    session.save()
    return session


@pytest.fixture
def users(django_user_model):
    return [django_user_model.objects.create_user(name) for name in ("ada", "bob")]


def test_scs_sessions_counts(users):
    ada, bob = users
    for size in (10, 20, 500):
        signed_in(ada, size)
    signed_in(bob)
    add(2, -timedelta(seconds=5))
    add(1, timedelta(minutes=5))
    found = json.loads(sessions("--json"))
    assert found["live"] == 5
    assert found["expired"] == 2
    assert found["signed_in"] == 4
    assert found["by_user"] == {"ada": 3, "bob": 1}
    assert found["by_codec"] == {"JSONCodec": 4, "unreadable": 1}
    assert 500 < found["bytes"]["largest"] < 700
    assert 0 < found["bytes"]["median"] < 200
    assert datetime.fromisoformat(found["next_to_expire"]) > datetime.now(UTC)


@pytest.mark.parametrize("codec", ["encrypted.EncryptedCodec", "signed.SignedCodec"])
@pytest.mark.parametrize("fallbacks", [[], ["django_scs.codecs.json.JSONCodec"]])
def test_scs_sessions_reads_what_is_sealed(users, settings, codec, fallbacks):
    settings.SCS_CODEC = f"django_scs.codecs.{codec}"
    settings.SCS_CODEC_FALLBACKS = fallbacks
    signed_in(users[0])
    found = json.loads(sessions("--json"))
    assert found["by_codec"] == {codec.partition(".")[2]: 1}
    assert found["by_user"] == {"ada": 1}


def test_scs_sessions_reads_other_kinds_in_the_same_table(settings):
    settings.SCS_SESSIONS = {
        "preferences": {"COOKIE_NAME": "prefs", "CODEC": "django_scs.codecs.gob.GobCodec"}
    }
    session = session_class("preferences")()
    session["theme"] = "dark"
    session.save()
    assert json.loads(sessions("--json"))["by_codec"] == {"GobCodec": 1}


def test_scs_sessions_prints_for_people(users):
    signed_in(users[0])
    text = sessions()
    assert "live: 1\n" in text
    assert "by user:\n  ada: 1\n" in text
    assert "oldest sign in: -\n" in text


def test_scs_sessions_shows_no_name_that_commands_the_terminal(django_user_model):
    signed_in(django_user_model.objects.create(username="\x1b[2Jada\nlive: 0"))
    text = sessions()
    assert "\x1b" not in text
    assert "\nlive: 0" not in text


def test_scs_sessions_of_an_empty_table():
    assert json.loads(sessions("--json"))["bytes"] == {"median": 0, "largest": 0}


def test_scs_sessions_counts_users_of_an_older_user_model(users):
    signed_in(users[0])
    session = SessionStore()
    session[SESSION_KEY] = "f3b9"
    session.save()
    assert json.loads(sessions("--json"))["by_user"] == {"ada": 1, "#f3b9": 1}


def test_scs_sessions_ends_those_of_a_user(users):
    ada, bob = users
    theirs, other = [signed_in(ada), signed_in(ada)], signed_in(bob)
    assert sessions("--revoke-user=ada") == "ended: 2\n"
    assert [each.is_stored() for each in (*theirs, other)] == [False, False, True]


def test_scs_sessions_knows_whom_a_go_application_has_signed_in(users, settings):
    settings.SCS_AUTH_USER_ID_KEY = "authenticatedUserID"
    codec, values = SessionStore()._options.codec, {"authenticatedUserID": users[0].pk}
    data = codec.encode(datetime.now(UTC) + timedelta(hours=1), values)
    SessionStore.get_store().insert("w" * 43, data, 3600)
    assert json.loads(sessions("--json"))["by_user"] == {"ada": 1}
    assert sessions("--revoke-user=bob") == "ended: 0\n"
    assert sessions("--revoke-user=ada") == "ended: 1\n"


@pytest.mark.parametrize("devices", [True, False])
def test_scs_sessions_cannot_end_sessions_in_cookies(users, settings, devices):
    settings.SESSION_ENGINE = "django_scs.backends.cookie"
    if not devices:
        settings.INSTALLED_APPS = [
            name for name in settings.INSTALLED_APPS if name != "django_scs.devices"
        ]
    with pytest.raises(CommandError, match="cookies cannot be ended"):
        sessions("--revoke-user=ada")


def test_scs_sessions_ends_one(users):
    session, other = signed_in(users[0]), signed_in(users[0])
    assert sessions("--revoke", session.fingerprint()) == "ended: 1\n"
    assert [session.is_stored(), other.is_stored()] == [False, True]


@pytest.mark.parametrize("arguments", [["--revoke-user=nobody"], ["--revoke=000000000000"]])
def test_scs_sessions_says_who_is_not_there(arguments):
    with pytest.raises(CommandError, match="There is no"):
        sessions(*arguments)


def test_scs_sessions_forgets_users_with_few_sessions_first(monkeypatch):
    monkeypatch.setattr(scs_sessions, "_USERS", 10)
    seen = scs_sessions._Seen(SessionStore()._options.codec)
    for number in range(100):
        seen._add_user("7")
        seen._add_user(f"once {number}")
    assert len(seen.users) <= 11
    assert seen.users.most_common(1)[0][0] == "7"
    assert seen.signed_in == 200
