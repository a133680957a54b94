"""Several kinds of session in one request: each with its own cookie, clocks, codec and store."""

import copy
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from django_scs import conf, tokens
from django_scs.backends.base import Outcome
from django_scs.backends.db import SessionStore
from django_scs.checks import settings as checks
from django_scs.exceptions import EncodeError
from django_scs.manager import SessionManager, close, session_class
from django_scs.models import Session
from django_scs.moving import keys
from django_scs.signals import session_created
from tests.support import in_event_loop, statements, stored, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
PREFERENCES = {"COOKIE_NAME": "prefs", "LIFETIME": timedelta(days=365)}


def use(request):
    for kind, name, value in [each.split(".") for each in request.GET.getlist("put")]:
        session = request.session if kind == "default" else request.sessions[kind]
        session[name] = value
    for kind in request.GET.getlist("flush"):
        (request.session if kind == "default" else request.sessions[kind]).flush()
    for kind in request.GET.getlist("renew"):
        request.sessions[kind].cycle_key()
    for kind in request.GET.getlist("take"):
        session = request.session if kind == "default" else request.sessions[kind]
        session.take("flash", give_back=True)
    for kind in request.GET.getlist("take_away"):
        del request.sessions[kind]
    for kind in request.GET.getlist("replace"):
        request.sessions[kind] = {}
    opened = {"default": request.session, **request.sessions}
    found = {kind: dict(opened[kind].items()) for kind in request.GET.getlist("get")}
    if "unstorable" in request.GET:
        request.session.cycle_key()
        request.session["set"] = set()
    if "error" in request.GET:
        raise RuntimeError("the view fails")
    return HttpResponse(repr(found))


async def ause(request):
    await request.sessions["preferences"].aset("theme", "dark")
    return HttpResponse()


urlpatterns = [path("", use), path("async/", ause)]


@pytest.fixture(autouse=True)
def sessions(settings):
    settings.SCS_SESSIONS = {"preferences": PREFERENCES}


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def test_each_kind_has_its_own_cookie_row_and_clock(client):
    response = client.get("/?put=default.a.1&put=preferences.theme.dark")
    assert set(response.cookies) == {"sessionid", "prefs"}
    assert response.cookies["prefs"]["max-age"] == pytest.approx(365 * 86_400, abs=2)
    assert response.cookies["sessionid"]["max-age"] == pytest.approx(14 * 86_400, abs=2)
    assert Session.objects.count() == 2
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


def test_kinds_are_lazy_and_independent(client):
    with statements() as found:
        client.get("/")
    assert found == []
    client.get("/?put=preferences.theme.dark")
    with statements() as found:
        response = client.get("/?get=preferences")
    assert verbs(found) == ["SELECT"]
    assert not response.cookies
    client.get("/?put=default.a.1")
    client.get("/?flush=default")
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"
    client.get("/?flush=preferences")
    assert client.cookies["prefs"].value == ""
    assert Session.objects.count() == 0


@pytest.mark.parametrize("how", ["take_away", "replace"])
def test_session_of_a_kind_that_the_view_took_away_is_left_alone(client, how):
    client.get("/?put=preferences.theme.dark")
    response = client.get(f"/?put=preferences.theme.light&{how}=preferences")
    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


def test_token_of_one_kind_is_worth_nothing_as_another(client):
    client.get("/?put=preferences.theme.dark&put=default.a.1")
    client.cookies["prefs"], client.cookies["sessionid"] = (
        client.cookies["sessionid"].value,
        client.cookies["prefs"].value,
    )
    assert client.get("/?get=preferences").content == b"{'preferences': {}}"
    assert stored(client.cookies["sessionid"].value) == {}


@pytest.mark.parametrize("hashing", tokens.HASHING)
@pytest.mark.parametrize("codec", ["json.JSONCodec", "encrypted.EncryptedCodec"])
def test_store_key_of_one_kind_is_no_token_of_another(client, settings, hashing, codec):
    settings.SCS_HASH_TOKENS = hashing
    settings.SCS_CODEC = f"django_scs.codecs.{codec}"
    settings.SCS_SESSIONS = {"preferences": {**PREFERENCES, "CODEC": settings.SCS_CODEC}}
    client.get("/?put=preferences.theme.dark")
    key = session_class("preferences").store_key(client.cookies["prefs"].value)
    assert Session.objects.get().token == key
    assert stored(key) == {}
    client.cookies["sessionid"] = key
    client.get("/?put=default.a.1")
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


def test_each_kind_goes_through_its_own_sessions(client):
    client.get("/?put=preferences.theme.dark&put=default.a.1")
    keys.mark(SessionStore, "of an old engine", 3600)
    assert [dict(session.items()) for session in SessionStore.iterate()] == [{"a": "1"}]
    assert SessionStore.destroy_where(lambda session: True) == 1
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"
    assert keys.is_marked(SessionStore, "of an old engine")
    found = [dict(session.items()) for session in session_class("preferences").iterate()]
    assert {"theme": "dark"} in found


def test_kinds_are_saved_in_async_views(client):
    client.get("/async/")
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


@in_event_loop
async def test_kinds_are_saved_under_asgi():
    response = await AsyncClient().get("/async/")
    assert set(response.cookies) == {"prefs"}
    assert await Session.objects.acount() == 1


def test_renewed_token_of_another_kind_reaches_the_browser_when_the_view_fails(client):
    client.get("/?put=preferences.theme.dark")
    before = client.cookies["prefs"].value
    assert client.get("/?renew=preferences&error=1").status_code == 500
    assert client.cookies["prefs"].value != before
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


@pytest.mark.parametrize("change", ["renew=preferences", "put=preferences.theme.light"])
def test_session_of_one_kind_that_cannot_be_saved_costs_no_other_its_token(client, change):
    if change.startswith("renew"):
        client.get("/?put=preferences.theme.dark&put=default.a.1")
    before = {kind: cookie.value for kind, cookie in client.cookies.items()}
    assert client.get(f"/?unstorable=1&{change}").status_code == 500
    assert client.cookies["prefs"].value != before.get("prefs")
    assert "theme" in client.get("/?get=preferences").content.decode()
    if before:
        assert stored(client.cookies["sessionid"].value) == {"a": "1"}


@pytest.mark.parametrize("kind", ["default", "preferences"])
def test_what_was_taken_for_a_page_that_another_session_fails_is_given_back(client, kind):
    client.get(f"/?put={kind}.flash.hi")
    assert client.get(f"/?take={kind}&unstorable=1").status_code == 500
    assert "'flash': 'hi'" in client.get("/?get=default&get=preferences").content.decode()


def test_kind_may_have_its_own_codec(client, settings):
    settings.SCS_SESSIONS = {
        "preferences": {**PREFERENCES, "CODEC": "django_scs.codecs.gob.GobCodec"}
    }
    client.get("/?put=preferences.theme.dark")
    assert not bytes(Session.objects.get().data).startswith(b"{")
    assert client.get("/?get=preferences").content == b"{'preferences': {'theme': 'dark'}}"


def test_kind_may_have_its_own_idle_timeout(client, settings):
    settings.SCS_IDLE_TIMEOUT = 600
    client.get("/?put=preferences.theme.dark")
    assert Session.objects.get().expiry > datetime.now(UTC) + timedelta(days=364)
    Session.objects.all().delete()
    settings.SCS_SESSIONS = {"preferences": {**PREFERENCES, "IDLE_TIMEOUT": 900}}
    client.get("/?put=preferences.theme.dark")
    assert Session.objects.get().expiry < datetime.now(UTC) + timedelta(seconds=901)


def test_cookies_of_other_kinds_are_as_safe_as_the_first(settings):
    settings.SESSION_COOKIE_SECURE = True
    settings.SESSION_COOKIE_SAMESITE = "Strict"
    cookie = conf.options("preferences").cookie
    assert (cookie.secure, cookie.samesite, cookie.httponly) == (True, "Strict", True)
    settings.SCS_SESSIONS = {"preferences": {**PREFERENCES, "COOKIE_SAMESITE": "Lax"}}
    assert conf.options("preferences").cookie.samesite == "Lax"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "SCS_SESSIONS has 'list'"),
        ({"preferences": None}, "SCS_SESSIONS has ['preferences']"),
        ({"default": PREFERENCES}, "no entry 'default'"),
        ({"preferences": {}}, "['COOKIE_NAME'] is None"),
        ({"preferences": {"COOKIE_NAME": "sessionid"}}, "another cookie"),
        ({"a": PREFERENCES, "b": PREFERENCES}, "another cookie"),
        ({"preferences": {**PREFERENCES, "LIFETIME": -1}}, "['LIFETIME'] is -1"),
        ({"preferences": {**PREFERENCES, "CODEC": "nothing"}}, "['CODEC']: 'nothing'"),
        ({"preferences": {**PREFERENCES, "LIFE": 1}}, "no option 'LIFE': choose from"),
        ({"preferences": {**PREFERENCES, "ENGINE": "nothing"}}, "['ENGINE'] is 'nothing'"),
        (
            {"preferences": {**PREFERENCES, "ENGINE": "django.contrib.sessions.backends.cache"}},
            "'django_scs.backends.db'",
        ),
    ],
)
def test_wrong_entry_is_refused_by_name_with_the_choices(settings, value, message):
    settings.SCS_SESSIONS = value
    assert any(message in each.msg for each in checks.check_settings())
    with pytest.raises(CommandError, match=r"django_scs\.E002"):
        call_command("check")


@pytest.mark.parametrize("entries", [{"no name": {"COOKIE_KEYS": ["s3cret"]}}, [{"a": "s3cret"}]])
def test_what_is_said_of_wrong_entries_shows_no_key(settings, entries):
    settings.SCS_SESSIONS = entries
    (message,) = conf.problems()
    assert "s3cret" not in message


def test_manager_opens_commits_and_tells():
    request = RequestFactory().get("/")
    manager, response = SessionManager("preferences"), HttpResponse()
    session = manager.open(request)
    assert manager.commit(session, response) == Outcome()
    session["theme"] = "dark"
    outcome = manager.commit(session, response)
    assert outcome.created
    manager.tell(session, request, response, outcome)
    assert response.cookies["prefs"].value == outcome.token == session.session_key


def test_of_two_sessions_that_cannot_be_saved_the_first_says_why():
    request, opened = RequestFactory().get("/"), []
    for kind in ("preferences", "default"):
        manager = SessionManager(kind)
        session = manager.open(request)
        session[f"in {kind}"] = set()
        opened.append((manager, session))
    with pytest.raises(EncodeError, match="'in preferences'"):
        close(opened, request, HttpResponse())


def test_a_session_that_cannot_even_be_given_up_costs_no_other_its_changes(monkeypatch):
    request, opened = RequestFactory().get("/"), []
    for kind in ("preferences", "default"):
        manager = SessionManager(kind)
        session = manager.open(request)
        session["a"] = 1
        opened.append((manager, session))

    def refuse(failed=False):
        raise OperationalError(f"gone: {failed}")

    monkeypatch.setattr(opened[0][1], "commit", refuse)
    response = close(opened, request, HttpResponse())
    assert response.status_code == 500
    assert response.cookies["sessionid"].value == opened[1][1].session_key


def test_engine_that_is_not_ours_makes_no_manager(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    with pytest.raises(ImproperlyConfigured, match=r"^SESSION_ENGINE .*cache.*django_scs.*db"):
        SessionManager()


def test_class_of_a_kind_is_one_that_a_receiver_can_name(client):
    told = []

    def note(sender, **kwargs):
        told.append(sender)

    session_created.connect(note, sender=session_class("preferences"))
    client.get("/?put=preferences.theme.dark&put=default.a.1")
    session_created.disconnect(note, sender=session_class("preferences"))
    assert told == [session_class("preferences")]


@pytest.mark.parametrize("engine", ["db", "cookie"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_session_of_another_kind_can_be_copied_and_pickled(settings, engine, again):
    settings.SCS_SESSIONS = {
        "theme": {"ENGINE": f"django_scs.backends.{engine}", "COOKIE_NAME": "t"}
    }
    session = session_class("theme")()
    session["a"] = 1
    session.save()
    copied = again(session)
    assert type(copied) is type(session)
    copied["b"] = 2
    copied.save()
    assert type(session)(copied.token()).load() == {"a": 1, "b": 2}


def test_session_class_of_the_default_kind_is_the_engines_own():
    assert session_class() is SessionStore
    preferences = session_class("preferences")
    assert issubclass(preferences, SessionStore)
    token = tokens.new()
    assert preferences.store_key(token) != token == SessionStore.store_key(token)


@pytest.mark.parametrize("hashing", [False, "convert", True])
def test_store_has_the_session_of_another_kind_under_one_key(settings, hashing):
    settings.SCS_HASH_TOKENS = hashing
    preferences, token = session_class("preferences"), tokens.new()
    assert preferences.store_keys(token) == (preferences.store_key(token),)
    assert preferences.store_key(token) not in SessionStore.store_keys(token)
