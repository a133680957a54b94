"""With "keep" the old engine serves its sessions, beside processes that move them."""

import logging

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.manager import session_class
from django_scs.models import Session
from django_scs.moving import kept
from django_scs.moving.current import current
from tests.support import in_event_loop, stored, token_of

from .test_engines import COOKIE, events, live, visit

pytestmark = [pytest.mark.extra, pytest.mark.django_db, pytest.mark.urls("tests.urls")]
ENGINES = ["db", "cached_db", "cache", "file"]
every_engine = pytest.mark.parametrize("name", ENGINES)


def move(key):
    """Do what a process does that moves sessions already; return the token."""
    return current().move(session_class(), key)


@every_engine
@pytest.mark.parametrize("path", ["/read/", "/put/", "/untouched/"])
def test_an_old_session_stays_in_its_engine(from_engine, log_in, name, path):
    key = log_in(from_engine(name, "keep"), color="red")
    response, cookie = visit(key, path)
    assert cookie == key
    assert path == "/untouched/" or response.json()["color"] == "red"
    assert Session.objects.count() == 0


@every_engine
def test_a_new_session_is_an_old_one(from_engine, name):
    engine = from_engine(name, "keep")
    _, cookie = visit("", "/put/?color=red")
    assert engine(cookie).load() == {"color": "red"}
    assert Session.objects.count() == 0


@every_engine
@pytest.mark.parametrize("junk", ["A" * 32, "of another application"])
def test_a_new_session_is_an_old_one_whatever_the_browser_sent(
    from_engine, looked_up, name, junk, caplog
):
    engine = from_engine(name, "keep")
    with caplog.at_level(logging.INFO, "django_scs"):
        response, cookie = visit(junk)
    assert events(caplog) == ["malformed"]
    assert (response.json(), cookie) == ({}, junk)
    _, cookie = visit(junk, "/put/?color=red")
    assert looked_up == []
    assert engine(cookie).load() == {"color": "red"}
    assert Session.objects.count() == 0


@every_engine
def test_a_new_session_of_a_client_without_cookies_is_ours(from_engine, settings, name):
    settings.SCS_TOKEN_HEADER = "X-Session-Token"
    from_engine(name, "keep")
    response = Client().get("/put/?color=red", headers={"X-Session-Token": ""})
    assert COOKIE not in response.cookies
    assert stored(response.headers["X-Session-Token"]) == {"color": "red"}


@every_engine
def test_a_token_of_ours_is_served_by_our_engine(from_engine, looked_up, name):
    from_engine(name, "keep")
    session = SessionStore()
    session["color"] = "red"
    session.save()
    response, cookie = visit(session.session_key, "/put/?color=blue")
    assert response.json() == {"color": "blue"}
    assert cookie == session.session_key
    assert visit(tokens.new())[0].json() == {}
    assert looked_up == []


@every_engine
@pytest.mark.parametrize("path", ["/read/", "/untouched/"])
def test_an_unknown_key_keeps_its_cookie(from_engine, name, path):
    engine = from_engine(name, "keep")
    assert visit("a" * 32, path)[1] == "a" * 32
    assert not engine().exists("a" * 32)


@every_engine
def test_a_key_whose_session_was_moved_finds_it(from_engine, log_in, name):
    key = log_in(from_engine(name, "keep"), color="red")
    token = move(key)
    _response, cookie = visit(key, "/put/?color=blue")
    assert cookie == token
    assert stored(token)["color"] == "blue"


@pytest.mark.parametrize("makes_new", [False, True])
@every_engine
def test_a_session_that_moves_while_its_engine_looks_for_it_is_found(
    from_engine, log_in, name, makes_new, monkeypatch
):
    """Some engines make a new session where they find none, such as django-user-sessions."""
    engine = from_engine(name, "keep")
    key = log_in(engine, color="red")
    load, moved = engine.load, []

    def load_late(self):
        if not isinstance(self, kept.Kept):
            return load(self)
        moved.append(move(key))
        values = load(self)
        if makes_new and not values:
            self.create()
        return values

    monkeypatch.setattr(type(current().source), "has", lambda self, asked: True)
    monkeypatch.setattr(engine, "load", load_late)
    response, cookie = visit(key)
    assert response.json()["color"] == "red"
    assert [cookie] == moved
    if name == "db":
        assert engine.get_model_class().objects.count() == 0


@every_engine
@pytest.mark.parametrize("path", ["/log_out/", "/log_in/", "/destroy/"])
def test_the_end_of_an_old_session_is_the_end_of_what_was_moved(
    from_engine, log_in, name, path, monkeypatch
):
    """The other process moved it after this request had read it."""
    engine = from_engine(name, "keep")
    key = log_in(engine)
    if path == "/log_in/":
        # Of a user who logs in once more Django keeps the key.
        session = engine()
        session["color"] = "red"
        session.save()
        key = session.session_key
    peek, moved = kept.Kept.peek, []

    def move_meanwhile(self):
        found = peek(self)
        moved.append(move(key))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(kept.Kept, "peek", move_meanwhile)
        visit(key, path)
    assert tokens.well_formed(moved[0])
    assert visit(moved[0])[0].json() == {}
    assert visit(key)[0].json() == {}


@pytest.mark.parametrize("name", ["cache", "file"])
def test_a_move_that_has_read_before_the_logout_moves_nothing(
    from_engine, log_in, name, monkeypatch
):
    engine = from_engine(name, "keep")
    key = log_in(engine)
    source = current().source
    old = source.find(key)
    visit(key, "/log_out/")
    with monkeypatch.context() as patch:
        patch.setattr(type(source), "find", lambda self, asked: old)
        assert move(key) is None
    assert live() == []


@every_engine
def test_a_change_of_a_session_that_was_moved_meanwhile_comes_along(
    from_engine, log_in, name, monkeypatch
):
    key = log_in(from_engine(name, "keep"), cart=["apple"])
    peek = kept.Kept.peek

    def move_meanwhile(self):
        found = peek(self)
        session = SessionStore(move(key))
        session["cart"] = ["apple", "pear"]
        session.save()
        return found

    monkeypatch.setattr(kept.Kept, "peek", move_meanwhile)
    response, cookie = visit(key, "/put/?color=blue")
    assert response.status_code == 200
    assert tokens.well_formed(cookie)
    assert stored(cookie)["color"] == "blue"
    assert stored(cookie)["cart"] == ["apple", "pear"]


@pytest.mark.parametrize("name", ["cache", "file"])
def test_a_save_that_comes_after_the_last_look_of_the_move_comes_along(
    from_engine, log_in, name, monkeypatch
):
    """The engine has found the session to be there, and writes it after the move deleted it."""
    engine = from_engine(name, "keep")
    key = log_in(engine, cart=["apple"])
    save = engine.save

    def move_before(self, must_create=False):
        if not must_create:
            assert move(key)
            must_create = True
        save(self, must_create)

    monkeypatch.setattr(engine, "save", move_before)
    _, cookie = visit(key, "/put/?color=blue")
    assert tokens.well_formed(cookie)
    assert stored(cookie)["color"] == "blue"
    assert not engine().exists(key)


@every_engine
def test_a_change_of_a_session_that_is_gone_is_refused_as_ever(
    from_engine, log_in, name, monkeypatch
):
    engine = from_engine(name, "keep")
    key = log_in(engine)
    peek = kept.Kept.peek

    def log_out_meanwhile(self):
        found = peek(self)
        engine(key).delete(key)
        return found

    monkeypatch.setattr(kept.Kept, "peek", log_out_meanwhile)
    assert visit(key, "/put/")[0].status_code == 400


def test_what_is_only_in_the_cache_any_more_is_no_session(from_engine, log_in):
    """A read that was under way puts a session that was just moved back into the cache."""
    engine = from_engine("cached_db", "keep")
    key = log_in(engine)
    values = engine(key).load()
    token = move(key)
    ghost = engine(key)
    ghost._cache.set(ghost.cache_key, values)
    assert visit(key)[1] == token
    visit(token, "/log_out/")
    assert visit(key)[0].json() == {}


@pytest.mark.django_db(transaction=True)
@every_engine
@in_event_loop
async def test_async_requests_are_served_too(from_engine, log_in, name):
    engine = from_engine(name, "keep")
    key = await sync_to_async(log_in)(engine)
    client = AsyncClient()
    client.cookies[COOKIE] = key
    await client.get("/aput/?color=red")
    assert (await client.get("/aread/")).json()["color"] == "red"
    assert token_of(client) == key
    await client.get("/adestroy/")
    assert not await sync_to_async(engine().exists)(key)


def test_nothing_is_moved_ahead(from_engine):
    from django.core.management import CommandError, call_command

    from django_scs.management.commands.scs_migrate import Command

    from_engine("db", "keep")
    with pytest.raises(CommandError, match="'keep'"):
        call_command(Command(), move=True)
