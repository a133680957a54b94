"""What the tests of a project do to sessions: freeze clocks, let sessions age, swap the engine."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.signals import user_logged_in
from django.test import Client
from freezegun import freeze_time

from django_scs.backends import cookie, redis
from django_scs.backends.db import SessionStore
from django_scs.manager import session_class
from django_scs.models import Session
from django_scs.testing import age, apart_in_redis
from example_project.snippets import signals
from tests.redis_servers import client_of, redis_server
from tests.support import DJANGOS, OURS, stored, token_of, with_middleware

__all__ = ["redis_server"]
pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, params=[OURS, DJANGOS], ids=["ours", "djangos"])
def middleware(request, settings):
    settings.MIDDLEWARE = with_middleware(request.param)


@pytest.fixture(autouse=True)
def alice(django_user_model):
    return django_user_model.objects.create_user("alice")


def is_logged_in(client: Client) -> bool:
    return client.get("/read/").wsgi_request.user.is_authenticated


# Frozen clocks


@pytest.mark.parametrize("moment", ["2020-01-01", "2037-01-01"])
@pytest.mark.parametrize("idle", [None, 600])
def test_a_login_works_under_a_frozen_clock(client, alice, settings, moment, idle):
    settings.SCS_IDLE_TIMEOUT = idle
    with freeze_time(moment):
        client.force_login(alice)
        assert is_logged_in(client)
        client.get("/put/?color=blue")
        assert client.get("/read/").json()["color"] == "blue"
    assert is_logged_in(client)


def test_a_visitors_session_works_under_a_frozen_clock(client):
    with freeze_time("2020-01-01"):
        client.get("/put/?color=red")
        client.get("/put/?color=blue")
        assert client.get("/read/").json() == {"color": "blue"}


def test_a_login_over_http_works_under_a_frozen_clock(client):
    with freeze_time("2020-01-01"):
        client.get("/log_in/")
        assert is_logged_in(client)


def test_a_clock_frozen_ahead_ends_nothing(client, alice):
    client.force_login(alice)
    with freeze_time(datetime.now(UTC) + timedelta(days=365)):
        assert is_logged_in(client)
        client.get("/put/")
        assert is_logged_in(client)


# Age


def test_age_ends_a_session_at_its_deadline(client, alice, settings):
    settings.SCS_LIFETIME = 3600
    client.force_login(alice)
    age(timedelta(minutes=59))
    assert is_logged_in(client)
    age(90)

    assert not is_logged_in(client)


def test_age_ends_an_idle_session_that_use_keeps_alive(client, alice, settings):
    settings.SCS_IDLE_TIMEOUT = 600
    client.force_login(alice)
    for _ in range(3):
        age(500)
        assert is_logged_in(client)
    age(601)

    assert not is_logged_in(client)


def test_age_of_one_session_leaves_the_others(client, alice):
    other = Client()
    for each in (client, other):
        each.force_login(alice)
    assert age(timedelta(days=15), token_of(client)) == 1

    assert (is_logged_in(client), is_logged_in(other)) == (False, True)


def test_age_of_all_tells_how_many_there_were(client, alice):
    for each in (client, Client()):
        each.force_login(alice)

    assert age(60) == 2
    assert age(60, "w" * 43) == 0


@pytest.mark.parametrize("wrong", [["w" * 43], None, b"w" * 43])
def test_age_refuses_what_is_no_token(client, alice, wrong):
    client.force_login(alice)
    with pytest.raises(TypeError, match=rf"not {type(wrong).__name__}\. .*age\(by, \*tokens\)"):
        age(timedelta(days=15), token_of(client), wrong)
    assert is_logged_in(client)


def test_age_moves_what_set_expiry_has_set(client):
    client.get("/put/")
    session = SessionStore(token_of(client))
    session.set_expiry(datetime.now(UTC) + timedelta(minutes=10))
    session.save()
    age(timedelta(minutes=9))
    assert client.get("/read/").json()["color"] == "red"
    age(timedelta(minutes=2))

    assert client.get("/read/").json() == {}


def test_age_finds_hashed_tokens(client, alice, settings):
    settings.SCS_HASH_TOKENS = True
    client.force_login(alice)
    assert age(timedelta(days=15), token_of(client)) == 1

    assert not is_logged_in(client)


def test_age_finds_sessions_of_another_kind(settings):
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "prefs"}}
    preferences = session_class("preferences")
    session = preferences()
    session.save()
    assert age(60, session.session_key) == 0
    assert age(timedelta(days=15), session.session_key, engine=preferences) == 1
    assert not preferences().exists(session.session_key)


PROJECT = """
import pytest
pytest_plugins = ["django_scs.pytest_plugin"]
"""
PROJECTS_TEST = """
import pytest
from django_scs.backends.db import SessionStore

@pytest.mark.django_db
def test_it(age_sessions):
    session = SessionStore()
    session["a"] = 1
    session.save()
    assert age_sessions(60 * 60 * 24 * 15) == 1
    assert not SessionStore().exists(session.session_key)
"""


def test_the_fixture_is_found_by_a_project(tmp_path):
    (tmp_path / "conftest.py").write_text(PROJECT)
    (tmp_path / "test_it.py").write_text(PROJECTS_TEST)
    command = [sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", "--ds=tests.settings"]
    environment = {"PYTHONPATH": str(ROOT), "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert "1 passed" in run.stdout, run.stdout + run.stderr


# Another engine


@pytest.fixture(params=["signed_cookies", "cache", "file"])
def engine(request, settings, tmp_path):
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    # The example's receiver puts a datetime into the session, which Django's serializer cannot keep.
    user_logged_in.disconnect(dispatch_uid="example_project.snippets")
    yield
    signals.connect()


def test_another_engine_is_served_as_by_djangos_middleware(engine, alice):
    client = Client()
    client.get("/put/?color=red")
    assert client.get("/read/").json() == {"color": "red"}
    client.get("/put_flash/")
    assert [client.get("/pop_flash/").content for _ in range(2)] == [b"Saved!", b""]
    client.get("/log_in/")
    assert is_logged_in(client)
    client.get("/destroy/")
    assert token_of(client) == ""
    client.force_login(alice)
    assert is_logged_in(client)
    assert not Session.objects.exists()


def test_another_engine_is_served_in_async_views(engine):
    client = Client()
    client.get("/aput/?color=red")
    assert client.get("/aread/").json() == {"color": "red"}
    client.get("/aput_flash/")
    assert [client.get("/apop_flash/").content for _ in range(2)] == [b"Saved!", b""]


def test_the_engine_is_ours_again_afterwards(client, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    Client().get("/put/")
    settings.SESSION_ENGINE = "django_scs.backends.db"
    client.get("/put/")

    assert stored(token_of(client)) == {"color": "red"}


def test_sessions_in_cookies_cannot_be_aged():
    with pytest.raises(TypeError, match=r"backends\.cookie are in no store.*freeze it"):
        age(60, engine=cookie.SessionStore)


def test_what_another_codec_wrote_is_not_aged():
    SessionStore.get_store().insert("w" * 43, b"\x00", 60)
    SessionStore().save()
    assert age(30) == 1


def keys_in(server):
    with client_of(server) as client:
        return set(client.keys("*"))


@pytest.mark.parametrize("prefix", ["scs:session:", "{app}:session:"])
def test_tests_on_redis_have_keys_of_their_own(settings, redis_server, prefix):
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    settings.SCS_REDIS_PREFIX = prefix
    in_use = redis.SessionStore()
    in_use.save()
    with client_of(redis_server) as client:
        # Another program's.
        client.set(f"latest:{os.getpid()}:news", b"")
    before = keys_in(redis_server)
    with apart_in_redis():
        assert list(redis.SessionStore.iterate()) == []
        redis.SessionStore().save()
        assert age(10**7, engine=redis.SessionStore) == 1
        redis.SessionStore().save()
        destroyed = redis.SessionStore()
        destroyed.save()
        destroyed.flush()
        assert len(keys_in(redis_server) - before) == 2
    assert keys_in(redis_server) == before
    assert in_use.is_stored()
