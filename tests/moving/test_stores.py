"""Sessions move from one store of ours to another, over requests and by the command."""

import logging
from datetime import timedelta
from functools import partial

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import AsyncClient, Client
from django.test.utils import isolate_apps

from django_scs import devices, signals, tokens
from django_scs.backends import db, redis
from django_scs.devices.models import Device
from django_scs.management.commands.scs_migrate import Command
from django_scs.manager import session_class
from django_scs.models import AbstractSession, Session
from django_scs.moving.current import current
from tests.checks import test_speed
from tests.contracts.tools import in_parallel
from tests.redis_servers import client_of, redis_server
from tests.support import OURS, in_event_loop, token_of, with_middleware

from .test_engines import COOKIE, events, visit

__all__ = ["redis_server"]

pytestmark = [
    pytest.mark.extra,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.urls"),
]
DB, REDIS = "django_scs.backends.db", "django_scs.backends.redis"


@pytest.fixture(params=["to redis", "to db"])
def engines(request, settings, redis_server):
    """Return the class of the old sessions and that of the new ones, both empty."""
    with client_of(redis_server) as client:
        client.flushall()
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    settings.MIDDLEWARE = with_middleware(OURS)
    found = db.SessionStore, redis.SessionStore
    return found if request.param == "to redis" else found[::-1]


@pytest.fixture
def under_way(settings, engines):
    """Return a function that sets what is under way: "old", "keep", "move" or "new"."""

    def choose(step):
        old, new = (engine.__module__ for engine in engines)
        settings.SESSION_ENGINE = old if step == "old" else new
        settings.SCS_MIGRATE_FROM = old if step in ("keep", "move") else None
        settings.SCS_MIGRATE_MODE = "keep" if step == "keep" else "move"

    return choose


@pytest.fixture
def log_in(under_way, django_user_model):
    """Return a function that logs a user in under the old settings, and returns the token."""
    django_user_model.objects.create_user("ada")

    def make(path="/log_in/?user=ada", step="old"):
        under_way(step)
        client = Client()
        client.get(path)
        return token_of(client)

    return make


def is_in(engine, token):
    """Tell whether the store of an engine alone has the session of a token."""
    record = engine.get_store().find_latest(engine.store_key(token))
    return record is not None and record.is_live


def test_values_token_and_end_go_on(engines, log_in, under_way, settings):
    token = log_in("/put/?color=red")
    session = engines[0](token)
    session.set_expiry(timedelta(hours=2))
    session.save()
    under_way("move")
    response, cookie = visit(token)
    assert response.json()["color"] == "red"
    assert cookie == token
    assert (is_in(engines[0], token), is_in(engines[1], token)) == (False, True)
    under_way("new")
    session = session_class()(token)
    assert session["color"] == "red"
    assert session.get_expiry_age() == pytest.approx(7200, abs=60)


def test_a_page_that_does_not_look_at_the_session_moves_it_too(engines, log_in, under_way):
    token = log_in()
    under_way("move")
    response, _ = visit(token, "/untouched/")
    assert is_in(engines[1], token)
    assert "Set-Cookie" not in response.headers


def test_six_requests_at_once_find_the_one_session(engines, log_in, under_way):
    token = log_in()
    under_way("move")
    pages = in_parallel(*[partial(visit, token)] * 6)
    assert [SESSION_KEY in response.json() for response, _ in pages] == [True] * 6
    assert {cookie for _, cookie in pages} == {token}
    assert len(list(engines[0].get_store().all())) == 0
    assert len(list(engines[1].get_store().all())) == 1


@pytest.mark.parametrize("step", ["keep", "move"])
@pytest.mark.parametrize("path", ["/log_out/", "/renew/", "/log_in/?user=ada", "/destroy/"])
def test_what_ends_a_token_ends_it_in_both_stores(engines, log_in, under_way, step, path):
    token = log_in()
    under_way(step)
    visit(token, path)
    for now in ("keep", "move", "old", "new"):
        under_way(now)
        assert visit(token)[0].json() == {}


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("size", tokens.BYTES)
def test_keys_of_every_form_move(engines, log_in, under_way, settings, hashed, size):
    settings.SCS_HASH_TOKENS, settings.SCS_TOKEN_BYTES = hashed, size
    token = log_in()
    under_way("move")
    assert SESSION_KEY in visit(token)[0].json()
    assert is_in(engines[1], token)


def test_a_codec_that_binds_data_to_its_key_goes_on(engines, log_in, under_way, settings):
    settings.SCS_CODEC = "django_scs.codecs.encrypted.EncryptedCodec"
    token = log_in()
    under_way("move")
    assert SESSION_KEY in visit(token)[0].json()


def test_old_sessions_and_new_ones_stay_where_they_are_kept(engines, log_in, under_way):
    token = log_in()
    fresh = log_in(step="keep")
    for each in (token, fresh):
        assert SESSION_KEY in visit(each)[0].json()
        assert (is_in(engines[0], each), is_in(engines[1], each)) == (True, False)
    under_way("old")
    assert SESSION_KEY in visit(fresh)[0].json()


def test_what_has_moved_already_is_found_by_a_process_that_keeps(engines, log_in, under_way):
    token = log_in()
    under_way("move")
    visit(token)
    under_way("keep")
    visit(token, "/put/?color=red")
    under_way("move")
    assert visit(token)[0].json()["color"] == "red"
    assert is_in(engines[1], token)


def test_a_view_s_transaction_moves_nothing(engines, log_in, under_way):
    """The session of its request was moved before; that of another token is served where it is."""
    token = log_in("/put/?color=red")
    under_way("move")
    with transaction.atomic():
        session = session_class()(token)
        session["color"] = "blue"
        session.save()
        transaction.set_rollback(True)
    assert is_in(engines[0], token)
    # Redis has no transactions.
    kept = "blue" if engines[0] is redis.SessionStore else "red"
    assert visit(token)[0].json()["color"] == kept


@in_event_loop
async def test_async_requests_move_too(engines, log_in, under_way):
    token = await sync_to_async(log_in)()
    await sync_to_async(under_way)("move")
    client = AsyncClient()
    client.cookies[COOKIE] = token
    assert SESSION_KEY in (await client.get("/aread/")).json()
    assert await sync_to_async(is_in)(engines[1], token)


def test_a_move_is_told(engines, log_in, under_way, caplog):
    caplog.set_level(logging.INFO, logger="django_scs")
    told = []

    def note(**info):
        told.append((info["key"], info["old_key"]))

    token = log_in()
    under_way("move")
    signals.session_moved.connect(note)
    try:
        visit(token)
        visit(token)
    finally:
        signals.session_moved.disconnect(note)
    assert told == [(engines[1].store_key(token),) * 2]
    assert events(caplog).count("moved") == 1
    assert token not in caplog.text


@pytest.mark.devices
def test_devices_are_listed_and_revoked_on_the_way(engines, log_in, under_way, django_user_model):
    first, second = log_in(), log_in()
    ada = django_user_model.objects.get()
    under_way("move")
    visit(first)
    assert Device.objects.count() == 2
    assert {device.key for device in devices.of(ada)} == set(
        map(engines[1].store_key, (first, second))
    )
    assert devices.revoke_user(ada) == 2
    for token in (first, second):
        assert visit(token)[0].json() == {}
        assert (is_in(engines[0], token), is_in(engines[1], token)) == (False, False)


def test_expired_sessions_of_both_are_swept(engines, log_in, under_way):
    token = log_in()
    under_way("move")
    engines[0].get_store().insert(tokens.new(), b"", -3600)
    engines[1].get_store().insert(tokens.new(), b"", -3600)
    session_class().clear_expired()
    assert Session.objects.count() == (engines[0] is db.SessionStore)
    assert is_in(engines[0], token)


# Settings, and the command


def test_the_command_counts_moves_and_says_when_the_setting_can_go(
    engines, log_in, under_way, capsys
):
    made = [log_in() for _ in range(3)]
    under_way("move")
    call_command(Command())
    assert capsys.readouterr().out == "3 old sessions are alive.\n"
    call_command(Command(), move=True)
    assert capsys.readouterr().out == (
        "SCS_HASH_TOKENS must be what it was in the old store. It is False.\n"
        "3 old sessions were moved.\nNo old session is alive.\nSCS_MIGRATE_FROM can go now.\n"
    )
    under_way("new")
    assert all(SESSION_KEY in visit(token)[0].json() for token in made)


def test_the_command_moves_nothing_that_is_kept(log_in, under_way, capsys):
    log_in()
    under_way("keep")
    call_command(Command())
    assert capsys.readouterr().out == "1 old session is alive.\n"
    with pytest.raises(CommandError, match="'keep'"):
        call_command(Command(), move=True)
    under_way("move")
    call_command(Command(), move=True)
    assert "\n1 old session was moved.\n" in capsys.readouterr().out


def test_the_command_leaves_a_store_with_other_kinds_alone(engines, log_in, under_way, settings):
    token = log_in()
    under_way("move")
    old = engines[0].__module__
    settings.SCS_SESSIONS = {"preferences": {"ENGINE": old, "COOKIE_NAME": "preferences"}}
    with pytest.raises(CommandError, match="preferences"):
        call_command(Command(), move=True)
    assert SESSION_KEY in visit(token)[0].json()
    assert is_in(engines[1], token)


@pytest.mark.parametrize(
    ("engine", "source", "said"),
    [
        (DB, DB, "must be what SESSION_ENGINE was before"),
        # Their sessions are in one table, and in one Redis.
        ("tests.checks.test_speed", DB, "must be what SESSION_ENGINE was before"),
        ("tests.moving.own_redis", REDIS, "must be what SESSION_ENGINE was before"),
        # Without SCS_REDIS.
        (DB, REDIS, "SCS_REDIS"),
        (DB, "django_scs.backends.cookie", "whose sessions cannot be moved"),
        ("django_scs.backends.cookie", DB, "cannot move sessions into cookies"),
    ],
)
def test_what_cannot_be_moved_is_refused(settings, engine, source, said):
    settings.SESSION_ENGINE, settings.SCS_MIGRATE_FROM = engine, source
    with pytest.raises(ImproperlyConfigured, match=said):
        current()
    assert "django_scs.E002" in {each.id for each in checks.run_checks()}


def test_a_table_of_that_name_in_another_database_is_another_store(settings, monkeypatch):
    with isolate_apps("django_scs"):

        class Elsewhere(AbstractSession):
            class Meta:
                app_label = "django_scs"
                db_table = Session._meta.db_table

    class Router:
        def db_for_write(self, model, **hints):
            return "elsewhere" if model is Elsewhere else None

    settings.DATABASE_ROUTERS = [Router()]
    monkeypatch.setattr(test_speed.SessionStore, "get_model_class", lambda: Elsewhere)
    settings.SESSION_ENGINE, settings.SCS_MIGRATE_FROM = DB, "tests.checks.test_speed"
    assert current().name == "tests.checks.test_speed"


def test_tokens_are_hashed_before_or_after(settings, redis_server):
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    settings.SESSION_ENGINE, settings.SCS_MIGRATE_FROM = DB, REDIS
    settings.SCS_HASH_TOKENS = "convert"
    with pytest.raises(ImproperlyConfigured, match="before the move, or after it"):
        current()
