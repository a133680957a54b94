"""What becomes of one old cookie: "move"."""

import hashlib
import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, AsyncRequestFactory, Client
from django.utils.decorators import method_decorator
from django.views import View

from django_scs import devices, signals, tokens
from django_scs.backends.db import SessionStore
from django_scs.decorators import with_session
from django_scs.management.commands.scs_migrate import Command
from django_scs.models import Session
from django_scs.moving import engines, keys, sources
from django_scs.moving.current import current
from tests.support import in_event_loop, statements, stored, token_of, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
COOKIE = "sessionid"
LISTED = ["db", "cached_db", "file"]


def visit(cookie, path="/read/", client=Client):
    """Send a request with a cookie; return the response and the cookie that the browser has then."""
    browser = client(raise_request_exception=False)
    browser.cookies[COOKIE] = cookie
    response = browser.get(path)
    return response, token_of(browser)


def live():
    return [session for session in SessionStore.iterate() if list(session.keys())]


def events(caplog):
    return [record.event for record in caplog.records if record.name == "django_scs"]


# The move


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("expiry", [None, 0, 5000, timedelta(hours=2)])
def test_values_and_end_go_on(from_engine, log_in, name, expiry):
    engine = from_engine(name)
    key = log_in(engine, expiry, cart=["apple"])
    age = engine(key).get_expiry_age()
    response, token = visit(key)
    assert response.json()["cart"] == ["apple"]
    assert tokens.well_formed(token)
    (session,) = live()
    assert session.session_key == token
    assert session.get_expiry_age() == pytest.approx(age, abs=5)
    assert session.get_expire_at_browser_close() is (expiry == 0)
    assert engine(key).load() == {} or name == "signed_cookies"


@pytest.mark.parametrize(
    ("expiry", "left", "idle", "expected"), [(None, 5000, 600, 600), (7200, 1000, None, 1000)]
)
def test_moving_prolongs_nothing(from_engine, settings, expiry, left, idle, expected):
    settings.SCS_IDLE_TIMEOUT = idle
    engine = from_engine("db")
    old = engine()
    old["color"] = "red"
    old.set_expiry(expiry)
    old.save()
    end = datetime.now(UTC) + timedelta(seconds=left)
    engine.get_model_class().objects.update(expire_date=end)
    _, token = visit(old.session_key, "/untouched/")
    moved = Session.objects.get(token=token)
    found = moved.expiry - datetime.now(UTC)
    assert found.total_seconds() == pytest.approx(expected, abs=5)


def test_a_login_of_an_unknown_time_lasts_no_longer_than_a_new_one(from_engine, log_in, settings):
    settings.SCS_MAX_LIFETIME = 600
    _, token = visit(log_in(from_engine("db")))
    assert SessionStore(token).get_expiry_age() == pytest.approx(600, abs=5)


@pytest.mark.parametrize("name", ENGINES)
def test_the_page_that_moves_a_session_does_not_renew_its_token(
    from_engine, log_in, settings, name
):
    settings.SCS_RENEW_AFTER = 600
    key = log_in(from_engine(name))
    browser = Client(headers={"Sec-Fetch-Mode": "navigate"})
    browser.cookies[COOKIE] = key
    browser.get("/read/")
    response, token = visit(key)
    assert SESSION_KEY in response.json()
    assert token == token_of(browser)


@pytest.mark.parametrize("name", ENGINES)
def test_a_late_request_with_the_old_cookie_finds_the_session(from_engine, log_in, name):
    key = log_in(from_engine(name))
    _, token = visit(key)
    response, again = visit(key, "/put/?color=blue")
    assert SESSION_KEY in response.json()
    assert again == token
    assert stored(token)["color"] == "blue"
    assert len(live()) == 1


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("path", ["/log_out/", "/renew/", "/log_in/", "/destroy/"])
def test_what_ends_the_token_ends_the_old_cookie(from_engine, log_in, name, path):
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit(token, path)
    for dead in (token, key):
        response, _ = visit(dead)
        assert response.json() == {}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("path", ["/log_out/", "/renew/", "/log_in/", "/destroy/"])
def test_the_old_cookie_itself_is_dead_after_it(from_engine, log_in, name, path):
    key = log_in(from_engine(name))
    visit(key, path)
    assert visit(key)[0].json() == {}


@pytest.mark.parametrize("name", ENGINES)
def test_the_token_depends_on_a_secret_and_fallbacks_are_tried(from_engine, log_in, settings, name):
    settings.SECRET_KEY = "first"
    key = log_in(from_engine(name))
    _, token = visit(key)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert visit(key)[1] == token
    settings.SECRET_KEY_FALLBACKS = []
    response, cookie = visit(key)
    assert response.json() == {}
    assert cookie == key


@pytest.mark.parametrize("name", ENGINES)
def test_the_mark_does_not_depend_on_the_secret(from_engine, log_in, settings, name):
    settings.SECRET_KEY = "first"
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit(token, "/log_out/")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert visit(key)[0].json() == {}


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("name", ["cache", "signed_cookies"])
def test_nobody_can_end_the_mark_as_a_session(from_engine, log_in, settings, name, hashed):
    settings.SCS_HASH_TOKENS = hashed
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit(token, "/log_out/")
    digest = hashlib.sha256(f"django_scs.moving mark {key}".encode()).digest()
    for mark in (tokens.encode(digest), keys._mark_key(key)):
        response, _ = visit(mark, "/log_out/")
        assert response.status_code == 200
        assert visit(mark, "/put/")[1] != mark
    assert visit(key)[0].json() == {}


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(("name", "lasts"), [("cache", 3600), ("signed_cookies", 1_209_600)])
def test_a_mark_is_no_session_and_outlives_the_idle_timeout(
    from_engine, log_in, settings, name, lasts, hashed
):
    settings.SCS_HASH_TOKENS = hashed
    settings.SCS_IDLE_TIMEOUT = 600
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit(token, "/log_out/")
    left = Session.objects.get().expiry - datetime.now(UTC)
    assert left.total_seconds() == pytest.approx(lasts, abs=5)
    assert list(SessionStore.iterate()) == []
    # It fits where tokens of 30 bytes fit.
    assert len(Session.objects.get().token) == 40


@pytest.mark.parametrize("name", ENGINES)
def test_a_login_goes_on_where_a_go_application_shares_the_sessions(
    from_engine, log_in, settings, user, name
):
    settings.SCS_AUTH_USER_ID_KEY = "userID"
    key = log_in(from_engine(name), userID=user.pk + 1)
    response, token = visit(key)
    assert response.json()[SESSION_KEY] == str(user.pk)
    assert stored(token)["userID"] == user.pk


def test_what_a_go_application_would_take_for_a_login_is_left_behind(from_engine, settings, user):
    settings.SCS_AUTH_USER_ID_KEY = "userID"
    old = from_engine("db")()
    old.update({"userID": user.pk, "color": "red"})
    old.save()
    assert visit(old.session_key)[0].json() == {"color": "red"}


@pytest.mark.parametrize("size", tokens.BYTES)
@pytest.mark.parametrize("hashed", [False, True])
def test_tokens_are_made_as_the_settings_say(from_engine, log_in, settings, size, hashed):
    settings.SCS_TOKEN_BYTES, settings.SCS_HASH_TOKENS = size, hashed
    key = log_in(from_engine("db"), color="red")
    _, token = visit(key)
    assert len(token) == {32: 43, 30: 40}[size]
    assert stored(token)["color"] == "red"
    assert (Session.objects.get().token == token) is not hashed


@pytest.mark.parametrize("name", ENGINES)
def test_the_browser_gets_the_token_with_an_error_page_too(from_engine, log_in, name):
    key = log_in(from_engine(name))
    for path in ("/read/?status=503", "/read/?error=1"):
        assert tokens.well_formed(visit(key, path)[1])


@pytest.mark.parametrize("name", ENGINES)
def test_a_page_that_does_not_look_at_the_session_moves_it_too(from_engine, log_in, name):
    key = log_in(from_engine(name))
    response, token = visit(key, "/untouched/")
    assert tokens.well_formed(token)
    assert "private" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ENGINES)
@in_event_loop
async def test_async_requests_move_too(from_engine, log_in, name):
    key = await sync_to_async(log_in)(from_engine(name), color="red")
    client = AsyncClient()
    client.cookies[COOKIE] = key
    response = await client.get("/aread/")
    assert response.json()["color"] == "red"
    assert tokens.well_formed(token_of(client))


@pytest.mark.django_db(transaction=True)
@in_event_loop
async def test_an_async_view_with_a_session_of_its_own_moves_too(from_engine, log_in):
    @with_session
    async def read(request):
        return HttpResponse(await request.session.aget("color"))

    key = await sync_to_async(log_in)(from_engine("db"), color="red")
    request = AsyncRequestFactory().get("/")
    request.COOKIES[COOKIE] = key
    response = await read(request)
    assert response.content == b"red"
    assert tokens.well_formed(response.cookies[COOKIE].value)


@pytest.mark.parametrize("name", ENGINES)
def test_values_that_the_codec_refuses_stay_behind(from_engine, log_in, settings, name, caplog):
    settings.SESSION_SERIALIZER = "tests.moving.pickling.PickleSerializer"
    key = log_in(from_engine(name), bad=object, worse={1, 2}, color="red")
    response, _ = visit(key)
    assert response.json()["color"] == "red"
    assert "bad" not in response.json()
    assert SESSION_KEY in response.json()
    (record,) = [each for each in caplog.records if getattr(each, "event", "") == "left_behind"]
    assert record.getMessage().endswith("['bad', 'worse']")


def test_names_of_what_stays_behind_are_text(db):
    values = {1: {2}, "a": {3}, "b": 4}
    assert SessionStore.take_over(tokens.new(), values, 100) == ["1", "a"]


@pytest.mark.django_db(transaction=True)
@in_event_loop
async def test_an_async_class_with_a_session_of_its_own_moves_too(from_engine, log_in):
    @method_decorator(with_session, name="dispatch")
    class Read(View):
        async def get(self, request):
            return JsonResponse({"color": await request.session.aget("color")})

    key = await sync_to_async(log_in)(from_engine("db"), color="red")
    request = AsyncRequestFactory().get("/")
    request.COOKIES[COOKIE] = key
    response = await Read.as_view()(request)
    assert response.content == b'{"color": "red"}'


def test_what_the_codec_does_not_take_together_stays_behind(db, settings):
    settings.SESSION_SERIALIZER = f"{__name__}.OneAtATime"
    settings.SCS_CODEC = "django_scs.codecs.serializer.SerializerCodec"
    assert SessionStore.take_over(tokens.new(), {"a": 1, "b": 2, "c": 3}, 100) == ["b", "c"]


class OneAtATime:
    """A serializer that takes each value, and no two of them."""

    def dumps(self, values):
        if len(values) > 1:
            raise TypeError("one at a time")
        return repr(values).encode()

    def loads(self, data):
        raise NotImplementedError


def test_largest_of_what_there_is_no_room_for_stays_behind(db, settings):
    settings.SCS_MAX_BYTES = 2048
    values = {"big": "x" * 3000, "small": "x" * 1000, "color": "red"}
    token = tokens.new()
    assert SessionStore.take_over(token, values, 100) == ["big"]
    assert SessionStore(token).load() == {"small": "x" * 1000, "color": "red"}
    assert list(values) == ["big", "small", "color"]


@pytest.mark.vendors("mysql")
def test_what_the_column_has_no_room_for_stays_behind(from_engine, log_in, caplog):
    response, _ = visit(log_in(from_engine("db"), big="x" * 70_000, color="red"))
    assert response.json()["color"] == "red"
    assert "left_behind" in events(caplog)


def test_a_move_is_told_with_both_keys(from_engine, log_in, user):
    told = []

    def receive(**info):
        told.append(info)

    signals.session_moved.connect(receive)
    try:
        key = log_in(from_engine("db"))
        _, token = visit(key)
    finally:
        signals.session_moved.disconnect(receive)
    (info,) = told
    assert (info["old_key"], info["key"], info["user"]) == (key, token, str(user.pk))
    assert info["request"].path == "/read/"


@pytest.mark.parametrize("name", ENGINES)
def test_keys_never_reach_the_log(from_engine, log_in, caplog, name):
    caplog.set_level(logging.DEBUG, logger="django_scs")
    key = log_in(from_engine(name))
    _, token = visit(key)
    visit("a" * 32)
    assert key not in caplog.text
    assert token not in caplog.text
    assert "a" * 32 not in caplog.text


# What is not moved


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    "cookie",
    ["w" * 43, "w" * 40, "A" * 32, "a" * 31, "a" * 33, "a" * 31 + "\x00", "../" * 10, ""],
)
def test_what_is_no_old_key_never_reaches_the_old_engine(from_engine, looked_up, name, cookie):
    from_engine(name)
    assert visit(cookie)[0].json() == {}
    assert looked_up == []


@pytest.mark.parametrize("name", ENGINES[:4])
def test_an_unknown_key_costs_one_look_up_and_keeps_its_cookie(
    from_engine, looked_up, caplog, name
):
    caplog.set_level(logging.INFO, logger="django_scs")
    from_engine(name)
    for path in ("/read/", "/untouched/"):
        looked_up.clear()
        assert visit("a" * 32, path)[1] == "a" * 32
        assert looked_up == ["a" * 32]
    assert set(events(caplog)) == {"unknown_old"}
    assert Session.objects.count() == 0


@pytest.mark.parametrize("name", ENGINES[:4])
def test_an_unknown_key_is_never_adopted(from_engine, name):
    from_engine(name)
    _, token = visit("a" * 32, "/put/")
    assert tokens.well_formed(token)
    assert visit("a" * 32)[0].json() == {}


@pytest.mark.parametrize("name", ["db", "cached_db", "file"])
def test_an_expired_session_is_left_where_it_is(from_engine, log_in, name, tmp_path):
    engine = from_engine(name)
    key = log_in(engine, datetime.now(UTC) - timedelta(seconds=5))
    assert visit(key)[0].json() == {}
    assert engine().exists(key)
    assert Session.objects.count() == 0


def test_an_expired_signed_cookie_is_not_moved(from_engine, log_in):
    key = log_in(from_engine("signed_cookies"), datetime.now(UTC) - timedelta(seconds=5))
    assert visit(key)[0].json() == {}


@pytest.mark.parametrize("name", LISTED)
def test_a_session_that_cannot_be_read_is_left_where_it_is(from_engine, log_in, settings, name):
    engine = from_engine(name)
    key = log_in(engine)
    secret = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    response, cookie = visit(key)
    assert response.json() == {}
    assert cookie == key
    settings.SECRET_KEY = secret
    assert SESSION_KEY in visit(key)[0].json()


@pytest.mark.vendors("mysql")
def test_upper_case_is_another_key(from_engine, log_in):
    key = log_in(from_engine("db"))
    assert visit(key.upper())[0].json() == {}
    assert SESSION_KEY in visit(key)[0].json()


def test_strangers_with_the_same_signed_cookie_get_sessions_of_their_own(from_engine):
    engine = from_engine("signed_cookies")
    session = engine()
    session["cart"] = ["apple"]
    session.save()
    key = session.session_key
    assert visit(key)[0].json() == {"cart": ["apple"]}
    assert Session.objects.count() == 0
    first, second = (visit(key, f"/put/?color={color}")[1] for color in ("red", "blue"))
    assert stored(first) == {"cart": ["apple"], "color": "red"}
    assert stored(second) == {"cart": ["apple"], "color": "blue"}


@pytest.mark.devices
@pytest.mark.parametrize("name", ENGINES)
def test_revoke_user_ends_a_session_that_has_not_moved_yet(from_engine, log_in, user, name):
    key = log_in(from_engine(name))
    devices.revoke_user(user)
    response, token = visit(key)
    assert response.json() == {}
    assert visit(token)[0].json() == visit(key)[0].json() == {}


# What may happen meanwhile


def test_a_process_that_ended_before_it_deleted_the_old_session_does_no_harm(
    from_engine, log_in, monkeypatch
):
    key = log_in(from_engine("cache"))
    with monkeypatch.context() as patch:
        patch.setattr(sources.Source, "delete", lambda self, key: None)
        _, token = visit(key)
    assert visit(key)[1] == token
    visit(token, "/log_out/")
    assert visit(key)[0].json() == {}


def test_what_an_old_process_wrote_while_the_session_was_moved_comes_along(
    from_engine, log_in, monkeypatch
):
    engine = from_engine("cache")
    key = log_in(engine, cart=["apple"], gone=1)
    original = SessionStore.take_over.__func__

    def take_over(cls, token, values, seconds):
        done = original(cls, token, values, seconds)
        old = engine(key)
        old["cart"] = ["apple", "pear"]
        old.pop("gone", None)
        old.save()
        return done

    monkeypatch.setattr(SessionStore, "take_over", classmethod(take_over))
    _, token = visit(key)
    assert stored(token)["cart"] == ["apple", "pear"]
    assert "gone" not in stored(token)
    assert engine(key).load() == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["cache", "file"])
def test_a_second_request_does_not_delete_what_the_first_still_has_to_read(
    from_engine, log_in, monkeypatch, name
):
    engine = from_engine(name)
    key = log_in(engine)
    insert, add = engines.FromEngine._insert, engines.FromEngine._add_later_changes

    def write_meanwhile(self, *args):
        old = engine(key)
        old["color"] = "red"
        old.save()
        return insert(self, *args)

    def move_twice(self, *args):
        second.start()
        second.join(0.3)
        add(self, *args)

    def ask():
        found.append(visit(key)[1])
        connection.close()

    found = []
    second = threading.Thread(target=ask)
    monkeypatch.setattr(engines.FromEngine, "_insert", write_meanwhile)
    monkeypatch.setattr(engines.FromEngine, "_add_later_changes", move_twice)
    _, token = visit(key)
    second.join()
    assert found == [token]
    assert stored(token)["color"] == "red"


def test_a_move_is_undone_as_a_whole(from_engine, log_in, monkeypatch):
    for name in ("db", "cache"):
        key = log_in(from_engine(name))
        with monkeypatch.context() as patch:

            def fail(*args):
                raise RuntimeError("killed")

            patch.setattr(engines.FromEngine, "_insert", fail)
            assert visit(key)[0].status_code == 500
        assert Session.objects.count() == 0
        assert SESSION_KEY in visit(key)[0].json()
        Session.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_the_move_is_over_when_the_views_transaction_begins(from_engine, log_in, settings):
    key = log_in(from_engine("db"))
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with statements() as found:
            visit(key)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    names = verbs(found)
    assert names.count("INSERT") == 1
    assert names.index("INSERT") < names.index("COMMIT") < len(names) - 1


# What it costs


def test_without_the_setting_an_old_cookie_costs_nothing(db, settings):
    settings.SCS_MIGRATE_FROM = None
    with statements() as found:
        visit("a" * 32)
    assert found == []


def test_a_token_of_ours_costs_what_it_did(from_engine):
    from_engine("db")
    _, token = visit("", "/put/")
    with statements() as found:
        visit(token)
    assert verbs(found) == ["SELECT"]


# Settings, and the command


@pytest.mark.parametrize("value", ["nowhere", "tests.views", "django_scs.backends.db", 5, ""])
def test_a_wrong_engine_is_refused_with_an_example(settings, value):
    settings.SCS_MIGRATE_FROM = value
    with pytest.raises(ImproperlyConfigured, match=r"django\.contrib\.sessions\.backends\.db"):
        current()
    assert [each.id for each in checks.run_checks()] == ["django_scs.E002"]


def test_the_application_with_the_old_table_must_stay(settings):
    settings.SCS_MIGRATE_FROM = "qsessions.backends.db"
    with pytest.raises(ImproperlyConfigured, match="INSTALLED_APPS"):
        current()


def test_a_wrong_mode_is_refused(settings):
    settings.SCS_MIGRATE_MODE = "copy"
    with pytest.raises(ImproperlyConfigured, match=r"'copy', and must be 'move' or 'keep'"):
        current()


def test_signed_cookies_cannot_be_kept(from_engine):
    with pytest.raises(ImproperlyConfigured, match="signed_cookies"):
        from_engine("signed_cookies", "keep")


@pytest.mark.parametrize("name", LISTED)
def test_the_command_moves_ahead_and_says_when_the_setting_can_go(
    from_engine, log_in, capsys, name
):
    engine = from_engine(name)
    keys = [log_in(engine, number=number) for number in range(3)]
    log_in(engine, datetime.now(UTC) - timedelta(seconds=5))
    call_command(Command())
    assert capsys.readouterr().out == "3 old sessions are alive.\n"
    call_command(Command(), move=True)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["3 old sessions were moved.", "No old session is alive."]
    assert f"until {datetime.now(UTC) + timedelta(days=14):%Y-%m-%d}" in lines[1]
    assert "can go" in lines[3]
    assert [visit(key)[0].json()["number"] for key in keys] == [0, 1, 2]


@pytest.mark.parametrize("name", LISTED)
def test_the_command_knows_how_long_browsers_have_old_cookies(from_engine, log_in, capsys, name):
    engine = from_engine(name)
    keys = [log_in(engine, expiry) for expiry in (None, 90 * 86_400, 0)]
    call_command(Command(), move=True)
    until = datetime.now(UTC) + timedelta(days=90)
    assert f"until {until:%Y-%m-%d}" in capsys.readouterr().out
    assert all(SESSION_KEY in visit(key)[0].json() for key in keys)
    call_command(Command(), move=True)
    assert "until" not in capsys.readouterr().out


def test_the_command_says_what_it_cannot_tell(from_engine, capsys):
    from_engine("cache")
    call_command(Command())
    assert "cannot be counted" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be listed"):
        call_command(Command(), move=True)


def test_the_command_needs_the_setting(db, settings):
    settings.SCS_MIGRATE_FROM = None
    with pytest.raises(CommandError, match="not set"):
        call_command(Command())
