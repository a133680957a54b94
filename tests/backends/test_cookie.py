"""The engine whose sessions are whole in their cookies, over HTTP, in both formats."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from django_scs import conf, signals
from django_scs.backends import expiry
from django_scs.backends.base import Outcome, UpdateError
from django_scs.backends.cookie import SessionStore
from django_scs.backends.expiry import RENEWED_AT
from django_scs.codecs.cookie_format import CookieFormat, is_id, new_id
from django_scs.codecs.gob import Int64
from django_scs.codecs.gorilla import (
    NO_DEADLINE,
    Flashes,
    GoKey,
    GorillaCookie,
    SessionSerializer,
)
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.codecs.securecookie import SecureCookie
from django_scs.exceptions import SessionTooLarge
from tests.support import token_of

pytestmark = pytest.mark.urls("tests.urls")

ENGINE = "django_scs.backends.cookie"
NAME = settings.SESSION_COOKIE_NAME
KEY, OLD_KEY = bytes(range(32)), bytes(range(32, 64))
HOUR = timedelta(hours=1)


class Clock:
    """The time of both the engine and the format."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()


def make(name: str, clock: Clock, *keys: bytes) -> CookieFormat:
    if name == "scs":
        return SealedCookie(keys, JSONCodec(), clock=clock.seconds)
    pairs = [(key, key) for key in keys]
    return GorillaCookie(pairs, registered=["time.Time"], clock=clock.seconds)


@pytest.fixture(params=["scs", "gorilla"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(expiry, "_clock", lambda: clock().timestamp())
    return clock


@pytest.fixture(autouse=True)
def engine(name: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fmt = make(name, clock, KEY)
    monkeypatch.setattr(SessionStore, "_format", classmethod(lambda cls: fmt))
    with override_settings(SESSION_ENGINE=ENGINE):
        yield


@pytest.fixture
def use_format(monkeypatch: pytest.MonkeyPatch) -> Callable[[CookieFormat], None]:
    return lambda fmt: monkeypatch.setattr(SessionStore, "_format", classmethod(lambda cls: fmt))


def opened(client: Client) -> SessionStore:
    return SessionStore(token_of(client))


def begun_by_go(clock: Clock, values: dict[Any, Any]) -> str:
    """Return the cookie of a session that has neither an id nor a deadline yet."""
    payload = GorillaCookie([(KEY, KEY)]).codec.encode(NO_DEADLINE, values)
    return SecureCookie(KEY, KEY, clock=clock.seconds).encode(NAME, payload)


# Values


def test_values_travel_in_the_cookie(client: Client) -> None:
    response = client.get("/put/")
    morsel = response.cookies[NAME]
    assert morsel["httponly"]
    assert '"' not in morsel.OutputString()
    assert "no-store" in response["Cache-Control"]
    assert client.get("/read/").json() == {"color": "red"}
    assert client.get("/put/?color=blue").json() == {"color": "blue"}
    assert client.get("/remove/").json() == {}
    assert client.get("/read/").json() == {}


def test_reading_sends_no_cookie(client: Client) -> None:
    client.get("/put/")
    for path in ("/read/", "/untouched/"):
        assert not client.get(path).cookies
    assert not Client().get("/read/").cookies


def test_session_key_is_an_id(client: Client) -> None:
    client.get("/put/")
    session = opened(client)
    assert is_id(session.session_key)
    assert session.session_key not in token_of(client)
    key = session.session_key
    client.get("/put/?color=blue")
    assert opened(client).session_key == key
    assert opened(client).token() == token_of(client)


def test_session_key_is_its_own_also_where_tokens_are_hashed() -> None:
    with override_settings(SCS_HASH_TOKENS=True):
        assert SessionStore.store_keys("a") == ("a",)


def test_a_new_session_is_told_as_saved_and_not_renewed_at_once(settings: Any) -> None:
    settings.SCS_RENEW_AFTER = 600
    told: list[str] = []

    def note(key: str, **kwargs: Any) -> None:
        told.append(key)

    signals.session_saved.connect(note)
    session = SessionStore()
    session["a"] = 1
    session.save()
    signals.session_saved.disconnect(note)
    assert told == [session.session_key]
    assert RENEWED_AT in SessionStore(session.token())


def test_a_saved_session_can_be_opened_by_its_token() -> None:
    session = SessionStore()
    assert (session.session_key, session.token(), session.is_empty()) == (None, "", True)
    session["a"] = 1
    session.save()
    again = SessionStore(session.token())
    assert again.session_key == session.session_key
    assert again["a"] == 1
    assert again.exists(session.token())
    assert not again.exists(session.session_key)
    assert again.is_stored()
    assert list(SessionStore.iterate()) == []
    SessionStore.clear_expired()


def test_an_id_alone_opens_nothing() -> None:
    session = SessionStore()
    session.create()
    again = SessionStore(session.session_key)
    assert again.load() == {}
    assert again.session_key is None


def test_a_session_can_be_loaded_again(client: Client) -> None:
    client.get("/put/")
    session = opened(client)
    session["color"] = "blue"
    for color in ("red", "blue"):
        assert session.load() == {"color": color}
        assert is_id(session.session_key)
        session.save()


def test_a_session_that_was_ended_before_it_was_read_is_not_loaded(client: Client) -> None:
    client.get("/put/")
    session = opened(client)
    assert session.session_key
    assert session.flush()
    assert session.load() == {}
    assert session.commit() == Outcome(forget=True)


def test_must_create_gives_another_id(client: Client) -> None:
    client.get("/put/")
    before = opened(client).session_key
    for values in ({}, {"color": "red"}):
        session = opened(client)
        assert session.session_key == before
        if values:
            assert session["color"] == "red"
        session.save(must_create=True)
        assert session.session_key != before
        assert SessionStore(session.token()).load() == values


def test_create_gives_another_id(client: Client) -> None:
    client.get("/put/")
    session = opened(client)
    session.create()
    assert session.session_key != opened(client).session_key
    assert SessionStore(session.token()).load() == {}


@pytest.mark.parametrize("cookie", ["garbage", "a" * 5000, "=", "AAAA", "a" * 22])
def test_a_bad_cookie_is_no_session(cookie: str, client: Client) -> None:
    client.cookies[NAME] = cookie
    assert client.get("/read/").json() == {}
    assert client.get("/put/").json() == {"color": "red"}
    assert opened(client).load() == {"color": "red"}


def test_a_good_cookie_behind_a_bad_one(client: Client) -> None:
    client.get("/put/")
    good = token_of(client)
    for header in (f"{NAME}=bad; {NAME}={good}", f"{NAME}={good}; {NAME}=bad"):
        assert Client().get("/read/", headers={"cookie": header}).json() == {"color": "red"}


def test_too_large_is_refused_before_anything_is_sent() -> None:
    session = SessionStore()
    session.update({"small": 1, "large": "x" * 4000})
    with pytest.raises(SessionTooLarge, match="'large'"):
        session.save()
    session["large"] = "x" * 1500
    session.save()
    assert len(NAME) + len(session.token()) <= 4096


def test_a_view_that_fails_changes_nothing(client: Client) -> None:
    client.get("/put/")
    assert not client.get("/put/?color=blue&status=503").cookies
    assert client.get("/read/").json() == {"color": "red"}


def test_take_is_a_pop(client: Client) -> None:
    client.get("/put_flash/")
    before = token_of(client)
    assert client.get("/pop_flash/").content == b"Saved!"
    assert client.get("/pop_flash/").content == b""
    # Nothing in a browser can be used up: the old cookie shows the message again.
    client.cookies[NAME] = before
    assert client.get("/pop_flash/").content == b"Saved!"


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
@pytest.mark.parametrize(("key", "go_key"), [("flash", "_flash"), ("notes", "notes")])
def test_flashes_are_those_of_gorilla(key: str, go_key: str, client: Client, clock: Clock) -> None:
    for message in ("one", "two"):
        client.get(f"/put_flash/?message={message}&key={key}")
    assert opened(client)[go_key] == ["one", "two"]
    payload = SecureCookie(KEY, KEY, clock=clock.seconds).decode(NAME, token_of(client))
    assert b"[]interface {}" in payload
    assert b"[]string" not in payload
    if key == "flash":
        for left in (b"one", b"two", b""):
            assert client.get("/pop_flash/").content == left
        assert opened(client).load() == {}


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_changed_keys_may_be_no_text() -> None:
    session = SessionStore()
    session.update({GoKey(1): "one", "a": 1, GoKey(True): "yes"})
    assert session.changed_keys() == [GoKey(1), GoKey(True), "a"]


def test_merge_is_refused() -> None:
    mine, other = SessionStore(), SessionStore()
    mine["a"] = other["b"] = 1
    mine.save()
    other.save()
    for nothing in ("", "garbage", mine.token()):
        mine.merge_session(nothing)
    with pytest.raises(NotImplementedError, match="merged"):
        mine.merge_session(other.token())


def test_of_parallel_changes_the_last_stays(client: Client) -> None:
    client.get("/put/")
    mine, theirs = opened(client), opened(client)
    mine["mine"] = theirs["theirs"] = 1
    for session in (mine, theirs):
        session.save()
    assert SessionStore(theirs.token()).load() == {"color": "red", "theirs": 1}
    assert SessionStore(mine.token()).load() == {"color": "red", "mine": 1}


def test_what_is_ended_elsewhere_goes_on_here(client: Client) -> None:
    client.get("/put/")
    mine, theirs = opened(client), opened(client)
    mine["mine"] = 1
    theirs.flush()
    mine.save()
    assert SessionStore(mine.token())["mine"] == 1
    renewed = [opened(client) for _ in range(2)]
    for session in renewed:
        session.cycle_key()
    assert len({session.session_key for session in renewed}) == 2


# Two clocks


@override_settings(SCS_LIFETIME=10 * HOUR, SCS_IDLE_TIMEOUT=HOUR)
def test_idle_timeout_slides(client: Client, clock: Clock) -> None:
    client.get("/put/")
    clock.now += timedelta(minutes=5)
    assert not client.get("/read/").cookies
    clock.now += timedelta(minutes=2)
    assert client.get("/read/").cookies
    clock.now += timedelta(minutes=59)
    assert client.get("/read/").json() == {"color": "red"}
    clock.now += timedelta(minutes=61)
    assert client.get("/read/").json() == {}


@override_settings(SCS_LIFETIME=10 * HOUR, SCS_IDLE_TIMEOUT=HOUR)
def test_deadline_does_not_slide(client: Client, clock: Clock) -> None:
    client.get("/put/")
    deadline = opened(client).deadline()
    for _ in range(19):
        clock.now += HOUR / 2
        assert client.get("/read/").json() == {"color": "red"}
        assert opened(client).deadline() == deadline
    clock.now += HOUR / 2
    assert client.get("/read/").json() == {}


@override_settings(SCS_LIFETIME=HOUR)
def test_the_browsers_cookie_ends_by_the_deadline(client: Client, clock: Clock) -> None:
    assert client.get("/put/").cookies[NAME]["max-age"] == 3600
    clock.now += HOUR / 2
    assert client.get("/put/?color=blue").cookies[NAME]["max-age"] == 1800


def test_set_expiry_ends_it_inside_the_cookie(client: Client, clock: Clock) -> None:
    client.get("/put/")
    assert client.get("/expire/?seconds=60").cookies[NAME]["max-age"] == 60
    clock.now += timedelta(seconds=59)
    assert client.get("/read/").json()["color"] == "red"
    clock.now += timedelta(seconds=2)
    assert client.get("/read/").json() == {}


def test_a_jar_knows_what_has_expired_meanwhile(clock: Clock) -> None:
    jar, key = SessionStore.get_store(), new_id()
    assert jar.insert(key, b"data", 3600)
    clock.now += HOUR
    assert jar.find(key) is None
    latest = jar.find_latest(key)
    assert latest
    assert latest.ttl == 0
    assert not jar.replace("another", b"data", 60, b"data")


# Login and logout


@pytest.mark.django_db
def test_a_login_gets_another_id(client: Client, django_user_model: Any) -> None:
    django_user_model.objects.create_user("alice")
    client.get("/put/")
    before = opened(client).session_key
    assert client.get("/log_in/").json()["_auth_user_id"]
    assert opened(client).session_key != before
    assert opened(client)["color"] == "red"
    before = opened(client).session_key
    client.get("/log_in/")
    assert opened(client).session_key != before


@pytest.mark.django_db
def test_values_of_another_user_do_not_stay(client: Client, django_user_model: Any) -> None:
    for user in ("alice", "bob"):
        django_user_model.objects.create_user(user)
    client.get("/log_in/?user=alice")
    client.get("/put/")
    client.get("/log_in/?user=bob")
    assert "color" not in client.get("/read/").json()


def test_logout_sends_an_empty_cookie(client: Client) -> None:
    client.get("/put/")
    before = token_of(client)
    response = client.get("/log_out/")
    morsel = response.cookies[NAME]
    assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", 0, "/")
    assert "no-store" in response["Cache-Control"]
    # Said in the documentation: who kept the cookie can use it.
    client.cookies[NAME] = before
    assert client.get("/read/").json() == {"color": "red"}


def test_delete_deletes_the_cookie(client: Client) -> None:
    client.get("/put/")
    told: list[str] = []

    def note(reason: str, **kwargs: Any) -> None:
        told.append(reason)

    signals.session_destroyed.connect(note)
    session = SessionStore.for_request([token_of(client)])
    assert session.delete()
    signals.session_destroyed.disconnect(note)
    assert told == ["delete"]
    assert not session.delete()
    assert not session.is_stored()
    for failed in (True, False):
        assert session.commit(failed=failed) == Outcome(forget=True)
    with pytest.raises(UpdateError):
        session.save()
    # Somebody may log in on the same page.
    session["_auth_user_id"] = "1"
    assert session.commit().token


@pytest.fixture
def denylist() -> Iterator[Any]:
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "denied"}
    with override_settings(CACHES={"default": memory}, SCS_COOKIE_DENYLIST="default"):
        yield caches["default"]
        caches["default"].clear()


@pytest.mark.usefixtures("denylist")
def test_logout_holds_with_a_denylist(client: Client) -> None:
    client.get("/put/")
    before = token_of(client)
    assert client.get("/read/").json() == {"color": "red"}
    client.get("/log_out/")
    client.cookies[NAME] = before
    assert client.get("/read/").json() == {}


@pytest.mark.usefixtures("denylist")
def test_the_cookie_before_a_renewal_is_denied(client: Client) -> None:
    client.get("/put/")
    before = token_of(client)
    client.get("/renew/")
    assert client.get("/read/").json() == {"color": "renewed"}
    client.cookies[NAME] = before
    assert client.get("/read/").json() == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("denylist")
def test_two_logins_at_a_time_get_a_session_each(client: Client) -> None:
    client.get("/put/")
    both = [opened(client) for _ in range(2)]
    assert [session["color"] for session in both] == ["red"] * 2
    for user, session in enumerate(both):
        session["_auth_user_id"] = str(user)
        session.save()
    assert [SessionStore(each.token())["_auth_user_id"] for each in both] == ["0", "1"]
    assert both[0].session_key != both[1].session_key


@pytest.mark.usefixtures("denylist")
def test_one_event_tells_of_a_cookie_that_is_refused(
    client: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/put/")
    before = token_of(client)
    client.get("/log_out/")
    caplog.set_level("INFO", "django_scs")
    events = []
    for ahead, cookie in ((0, before), (0, "garbage"), (15 * 24, before), (0, "")):
        caplog.clear()
        clock.now += ahead * HOUR
        client.cookies[NAME] = cookie
        client.get("/read/")
        events.append([vars(record)["event"] for record in caplog.records])
    assert events == [["unknown"], ["malformed"], ["expired"], []]


@pytest.mark.parametrize("hours", [None, 1, 20])
def test_denial_lasts_until_the_last_cookie_has_ended(
    denylist: Any, monkeypatch: pytest.MonkeyPatch, hours: int | None
) -> None:
    found = []
    monkeypatch.setattr(type(denylist), "add", lambda self, *args: found.append(args))
    with override_settings(SCS_LIFETIME=10 * HOUR, SCS_IDLE_TIMEOUT=HOUR):
        session = SessionStore()
        session.create()
        key = session.session_key
        if hours:
            # An older cookie keeps the deadline that it has.
            session.set_deadline(expiry._now() + hours * HOUR)
            session.save()
        session.flush()
    ((name, _, timeout),) = found
    assert key in name
    assert timeout == max(hours or 0, 10) * 3600


@pytest.mark.usefixtures("denylist")
def test_a_session_that_was_ended_gets_no_new_id(client: Client) -> None:
    client.get("/put/")
    slow = opened(client)
    assert slow["color"] == "red"
    client.get("/log_out/")
    slow.cycle_key()
    slow["color"] = "blue"
    assert slow.commit() == Outcome()
    assert slow.token() == ""


def fail_once(patch: pytest.MonkeyPatch, operation: str) -> None:
    """Let the cache give no answer at its next call."""

    def fail(*args: Any) -> None:
        patch.undo()
        raise OSError("down")

    patch.setattr(LocMemCache, operation, fail)


@pytest.mark.usefixtures("denylist")
def test_a_denylist_that_gives_no_answer_makes_no_empty_session(client: Client) -> None:
    client.get("/put/")
    session = opened(client)
    with pytest.MonkeyPatch.context() as patch:
        fail_once(patch, "get")
        with pytest.raises(OSError, match="down"):
            session.get("color")
        assert session.get("color") == "red"


@pytest.mark.usefixtures("denylist")
@pytest.mark.parametrize("end", ["flush", "delete"])
def test_a_logout_that_the_denylist_missed_can_be_repeated(client: Client, end: str) -> None:
    client.get("/put/")
    before = token_of(client)
    session = opened(client)
    with pytest.MonkeyPatch.context() as patch:
        fail_once(patch, "add")
        with pytest.raises(OSError, match="down"):
            getattr(session, end)()
        assert getattr(session, end)()
    assert SessionStore(before).load() == {}


@pytest.mark.usefixtures("denylist")
def test_the_event_loop_does_not_read_the_denylist(client: Client) -> None:
    client.get("/put/")
    loops: list[Any] = []

    def get(*args: Any) -> None:
        loops.append(asyncio._get_running_loop())

    async def color() -> Any:
        assert opened(client).session_key
        return await opened(client).aget("color")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocMemCache, "get", get)
        assert asyncio.run(color()) == "red"
    assert loops == [None, None]


@pytest.mark.usefixtures("denylist")
def test_changes_that_are_gathered_while_the_denylist_is_read_are_all_kept(
    client: Client,
) -> None:
    client.get("/put/")
    session, asked, changed = opened(client), threading.Event(), threading.Event()

    def get(*args: Any) -> None:
        asked.set()
        changed.wait(1)

    async def change() -> None:
        first = asyncio.create_task(session.aset("a", 1))
        await asyncio.to_thread(asked.wait, 10)
        second = asyncio.create_task(session.aset("b", 2))
        await asyncio.sleep(0.01)
        changed.set()
        await asyncio.gather(first, second)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocMemCache, "get", get)
        asyncio.run(change())
    assert dict(session.items()) == {"color": "red", "a": 1, "b": 2}


@pytest.mark.usefixtures("denylist")
def test_of_two_renewals_one_succeeds(client: Client) -> None:
    client.get("/put/")
    sessions = [opened(client), opened(client)]
    assert [session["color"] for session in sessions] == ["red", "red"]
    for session in sessions:
        session.cycle_key()
    assert [bool(session.commit().token) for session in sessions] == [True, False]
    assert not opened(client).flush()


@pytest.mark.usefixtures("denylist")
def test_logout_ends_each_cookie_that_was_sent(client: Client) -> None:
    other = Client()
    cookies = [other.get("/put/").cookies[NAME].value for other in (Client(), Client(), other)]
    header = {"Cookie": "; ".join(f"{NAME}={cookie}" for cookie in cookies)}
    client.get("/log_out/", headers=header)
    assert client.get("/read/", headers=header).json() == {}


# Keys, and cookies of Go


def test_a_cookie_of_an_old_key_is_rewritten(
    name: str, client: Client, clock: Clock, use_format: Callable[[CookieFormat], None]
) -> None:
    client.get("/put/")
    before = opened(client).session_key
    use_format(make(name, clock, OLD_KEY, KEY))
    assert client.get("/read/").cookies
    assert not client.get("/read/").cookies
    assert opened(client).session_key == before
    use_format(make(name, clock, OLD_KEY))
    assert client.get("/read/").json() == {"color": "red"}


@pytest.mark.usefixtures("denylist")
@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_logout_holds_for_the_cookie_that_go_began_with(client: Client, clock: Clock) -> None:
    by_go = begun_by_go(clock, {"color": "red"})
    client.cookies[NAME] = by_go
    assert client.get("/read/").json() == {"color": "red"}
    assert token_of(client) != by_go
    client.get("/log_out/")
    client.cookies[NAME] = by_go
    assert client.get("/read/").json() == {}


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_a_renewal_keeps_the_types_of_go(client: Client, clock: Clock) -> None:
    values = {"notes": Flashes(["a"]), "count": Int64(5), "color": "red"}
    client.cookies[NAME] = begun_by_go(clock, values)
    assert client.get("/renew/").cookies
    payload = SecureCookie(KEY, KEY, clock=clock.seconds).decode(NAME, token_of(client))
    session, _ = SessionSerializer().loads(payload)
    assert session.values == {"notes": ["a"], "count": 5, "color": "renewed"}
    types = {key: sent.go_type for key, sent in session.held.items() if sent}
    assert types == {"notes": "[]interface {}", "count": "int64"}


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_a_session_that_go_began_is_denied_for_its_lifetime(
    denylist: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    found = []
    monkeypatch.setattr(type(denylist), "add", lambda self, *args: found.append(args))
    by_go = begun_by_go(clock, {"color": "red"})
    clock.now += HOUR
    with override_settings(SCS_LIFETIME=10 * HOUR):
        SessionStore(by_go).flush()
    assert [timeout for _, _, timeout in found] == [36_000]


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_a_page_shows_a_session_of_go_that_has_no_room_for_our_entries(
    client: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    color = "red" * 650
    client.cookies[NAME] = begun_by_go(clock, {"color": color})
    response = client.get("/read/")
    assert response.json() == {"color": color}
    assert not response.cookies
    assert [vars(record).get("event") for record in caplog.records] == ["touch_failed"]
    with pytest.raises(SessionTooLarge, match="'color'"):
        client.get("/put_flash/")


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
@pytest.mark.parametrize("size", [2105, 2130])
def test_a_renewal_that_has_no_room_for_our_entries_sends_nothing(clock: Clock, size: int) -> None:
    session = SessionStore.for_request([begun_by_go(clock, {"color": "x" * size})])
    session.cycle_key()
    session["_auth_user_id"] = "1"
    with pytest.raises(SessionTooLarge, match="'color'"):
        session.commit()
    assert not session.commit(failed=True).token


@pytest.mark.parametrize("name", ["gorilla"], indirect=True)
def test_a_session_that_go_began(client: Client, clock: Clock) -> None:
    client.cookies[NAME] = begun_by_go(clock, {"color": "red", GoKey(1): "one"})
    with override_settings(SCS_LIFETIME=HOUR):
        session = opened(client)
        assert session.deadline() == clock.now + HOUR
        assert session[GoKey(1)] == "one"
        assert is_id(session.session_key)
        # It has an id and a deadline from the first response on.
        assert client.get("/put_flash/").cookies
    first = opened(client).session_key
    clock.now += timedelta(minutes=1)
    client.get("/pop_flash/")
    assert opened(client).session_key == first
    assert opened(client)[GoKey(1)] == "one"
    assert opened(client).deadline() == clock.now + timedelta(minutes=59)


# Beside another kind


def test_another_kind_of_session() -> None:
    entry = {"COOKIE_NAME": "preferences", "ENGINE": ENGINE}
    with override_settings(SCS_SESSIONS={"preferences": entry}):
        assert conf.options("preferences").cookie.name == "preferences"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"SCS_COOKIE_DENYLIST": "none"}, "alias of a cache"),
        ({"SCS_COOKIE_DENYLIST": ["default"]}, "alias of a cache"),
        ({"SCS_COOKIE_FORMAT": "json"}, "'scs', 'gorilla'"),
        ({"SCS_COOKIE_FORMAT": "gorilla"}, "list of pairs"),
        ({"SCS_COOKIE_KEYS": ["short"]}, "5 characters"),
    ],
)
def test_wrong_settings(
    wrong: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with override_settings(SESSION_ENGINE=ENGINE, **wrong):
        (problem,) = conf.problems()
        assert message in problem
        with pytest.raises(ImproperlyConfigured):
            SessionStore("a cookie").load()


@pytest.fixture
def with_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.undo()
    chosen: dict[str, Any] = {"SCS_COOKIE_FORMAT": name}
    if name == "gorilla":
        chosen["SCS_COOKIE_KEYS"] = [("k" * 32, "k" * 32)]
    with override_settings(SESSION_ENGINE=ENGINE, **chosen):
        yield


@pytest.mark.usefixtures("with_settings")
def test_settings_in_the_whole(client: Client) -> None:
    assert conf.problems() == []
    client.get("/put/")
    assert client.get("/read/").json() == {"color": "red"}


@pytest.mark.usefixtures("with_settings")
@pytest.mark.parametrize("codec", ["encrypted.EncryptedCodec", "signed.SignedCodec"])
def test_the_codec_may_seal_too(client: Client, codec: str) -> None:
    with override_settings(SCS_CODEC=f"django_scs.codecs.{codec}"):
        client.get("/put/")
        before = opened(client).session_key
        client.get("/renew/")
        assert client.get("/read/").json() == {"color": "renewed"}
        assert opened(client).session_key != before


@pytest.mark.usefixtures("with_settings")
@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_of_a_session_works(again: Callable[[SessionStore], SessionStore]) -> None:
    first = SessionStore()
    first["color"] = "red"
    first.save()
    session = SessionStore(first.token())
    session["size"] = 1
    copied = again(session)
    copied["shape"] = "round"
    copied.save()
    assert SessionStore(copied.token()).load() == {"color": "red", "size": 1, "shape": "round"}
    assert b"k" * 32 not in pickle.dumps(session)
