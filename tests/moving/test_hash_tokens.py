"""SCS_HASH_TOKENS is turned on in steps, each of which may run beside its neighbours."""

import itertools

import pytest
from django.contrib.auth import SESSION_KEY
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from django_scs import devices, signals, tokens
from django_scs.backends.db import SessionStore
from django_scs.codecs.gob import Int64
from django_scs.management.commands.scs_hash_tokens import Command
from django_scs.models import Session
from django_scs.moving.current import current
from django_scs.stores import tombstones
from tests.support import statements, token_of, verbs

from .test_engines import visit

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.urls")]
STEPS = list(tokens.HASHING)
NEIGHBOURS = [pair for both in itertools.pairwise(STEPS) for pair in (both, both[::-1])]
SIZES = pytest.mark.parametrize("size", tokens.BYTES)


@pytest.fixture
def new_session(settings):
    """Return a function that makes a session under a step, and returns its token."""

    def make(step, **values):
        settings.SCS_HASH_TOKENS = step
        session = SessionStore()
        session.update(values or {"color": "red"})
        session.save()
        return session.session_key

    return make


def rows():
    return sorted(Session.objects.values_list("token", flat=True))


def test_a_marked_hash_is_no_token_and_turns_back():
    for size in tokens.BYTES * 500:
        token = tokens.new(size)
        hashed = tokens.store_key(token, hashed=True)
        marked = tokens.mark(hashed)
        assert tokens.well_formed(token)
        assert tokens.well_formed(hashed)
        assert not tokens.well_formed(marked)
        assert tokens.is_marked(marked)
        assert not tokens.is_marked(token)
        assert not tokens.is_marked(hashed)
        assert tokens.unmark(marked) == hashed


def test_no_step_finds_both_tokens_and_hashes():
    """A hash is a well-formed token: where tokens are found too, it would open its session."""
    for step in tokens.HASHING.values():
        assert not {"plain", "hashed"} <= set(step.found)
        assert step.written in step.found


@SIZES
@pytest.mark.parametrize(("writer", "reader"), NEIGHBOURS)
def test_neighbours_find_each_others_sessions(new_session, settings, writer, reader, size):
    settings.SCS_TOKEN_BYTES = size
    token = new_session(writer)
    settings.SCS_HASH_TOKENS = reader
    _, cookie = visit(token, "/put/?color=blue")
    assert cookie == token
    settings.SCS_HASH_TOKENS = writer
    assert visit(token)[0].json() == {"color": "blue"}
    assert len(rows()) == 1
    settings.SCS_HASH_TOKENS = reader
    visit(token, "/destroy/")
    assert rows() == []


@SIZES
@pytest.mark.parametrize("step", ["convert", "finish"])
@pytest.mark.parametrize("path", ["/put/?color=blue", "/renew/", "/log_out/", "/take/"])
def test_a_request_that_has_loaded_before_its_key_changes(new_session, settings, step, size, path):
    settings.SCS_TOKEN_BYTES = size
    token = new_session({"convert": False, "finish": "converted"}[step], color="red", flash="hello")
    settings.SCS_HASH_TOKENS = step
    session = SessionStore(token)
    assert session["color"] == "red"
    call_command(Command())
    if path == "/renew/":
        session.cycle_key()
        assert not SessionStore().exists(token)
        token = session.session_key
    if path == "/log_out/":
        session.flush()
        assert rows() == []
        return
    if path == "/take/":
        assert session.take("flash") == "hello"
    session["color"] = "blue"
    session.save()
    assert SessionStore(token)["color"] == "blue"
    assert len(rows()) == 1


@SIZES
def test_all_the_way(new_session, settings, size, capsys):
    settings.SCS_TOKEN_BYTES = size
    alive = {}
    for step in STEPS:
        alive[new_session(step, began=str(step))] = str(step)
        for _ in range(2):
            call_command(Command())
        for token, began in alive.items():
            assert visit(token)[0].json() == {"began": began}
        for stolen in rows() if step not in (False, "prepare") else ():
            assert visit(stolen)[0].json() == {}
    assert rows() == sorted(tokens.store_key(token, hashed=True) for token in alive)
    assert "could not" not in capsys.readouterr().out


@pytest.mark.parametrize("step", ["prepare", "convert", "converted", "finish", True])
def test_what_is_stolen_from_the_table_is_worth_nothing(new_session, settings, step):
    new_session(step if step != "prepare" else "convert")
    (stolen,) = rows()
    for now in STEPS[1:]:
        # No process that finds tokens runs beside one that writes hashes without a mark.
        if step in ("finish", True) and now in ("prepare", "convert"):
            continue
        settings.SCS_HASH_TOKENS = now
        assert visit(stolen)[0].json() == {}


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 session has a new key.\n"), (2, "2 sessions have a new key.\n")]
)
def test_the_command_says_how_many_it_has_changed(new_session, settings, capsys, count, text):
    for _ in range(count):
        new_session(False)
    settings.SCS_HASH_TOKENS = "convert"
    call_command(Command())
    assert capsys.readouterr().out.startswith(text)


def test_the_expiry_stays(new_session, settings):
    token = new_session(False)
    before = Session.objects.get().expiry
    settings.SCS_HASH_TOKENS = "convert"
    call_command(Command())
    assert Session.objects.get().expiry == before
    assert SessionStore(token)["color"] == "red"


@pytest.mark.django_db(transaction=True)
def test_no_tombstone_remembers_a_token_that_is_in_use(new_session, settings):
    token = new_session(False)
    tombstones.install(connection, "sessions")
    try:
        settings.SCS_HASH_TOKENS = "convert"
        call_command(Command())
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
            assert cursor.fetchone() == (0,)
        visit(token, "/destroy/")
        with connection.cursor() as cursor:
            cursor.execute("SELECT token FROM sessions_tombstones")
            assert [tokens.is_marked(key) for (key,) in cursor.fetchall()] == [True]
    finally:
        tombstones.remove(connection, "sessions")


@pytest.mark.devices
def test_devices_follow_before_their_sessions_are_used_again(settings, django_user_model):
    ada = django_user_model.objects.create_user("ada")
    clients = [Client() for _ in range(2)]
    for client in clients:
        client.get("/log_in/?user=ada")
    kept, other = (token_of(client) for client in clients)
    for step in STEPS:
        settings.SCS_HASH_TOKENS = step
        call_command(Command())
        keys = {SessionStore.store_key(token) for token in (kept, other)}
        if step in ("convert", "finish"):
            assert {device.key for device in devices.of(ada)} == keys
            assert {device.fingerprint for device in devices.of(ada)} == set(
                map(tokens.fingerprint, keys)
            )
    request = type("Request", (), {"session": SessionStore(kept)})()
    assert devices.revoke_user(ada, keep=request) == 1
    assert SESSION_KEY in visit(kept)[0].json()
    assert visit(other)[0].json() == {}


@pytest.mark.django_db(transaction=True)
def test_a_new_store_key_is_told_in_the_transaction_that_gives_it(new_session, settings):
    token, told = new_session(False), []

    def note(**info):
        told.append((info["old_key"], info["key"], connection.in_atomic_block))

    settings.SCS_HASH_TOKENS = "convert"
    signals.session_rekeyed.connect(note)
    try:
        call_command(Command())
    finally:
        signals.session_rekeyed.disconnect(note)
    assert told == [(token, SessionStore.store_key(token), True)]


@pytest.mark.parametrize("source", ["cache", "file", "signed_cookies"])
def test_steps_are_refused_beside_a_move_with_marks(from_engine, settings, source):
    """In two processes a mark would have two forms, so both would move the session."""
    from_engine(source)
    settings.SCS_HASH_TOKENS = "prepare"
    with pytest.raises(ImproperlyConfigured, match="before the move, or after it"):
        current()
    assert "django_scs.E002" in {each.id for each in checks.run_checks()}


@pytest.mark.parametrize("step", STEPS)
def test_steps_may_run_beside_a_move_in_one_transaction(from_engine, settings, log_in, step):
    key = log_in(from_engine("db"))
    settings.SCS_HASH_TOKENS = step
    _, token = visit(key)
    call_command(Command())
    for cookie in (token, key):
        assert SESSION_KEY in visit(cookie)[0].json()


def test_data_that_is_bound_to_its_row_is_bound_anew(new_session, settings):
    settings.SCS_CODEC = "django_scs.codecs.encrypted.EncryptedCodec"
    settings.SCS_ENCRYPTION_KEYS = None
    del settings.SCS_ENCRYPTION_KEYS
    token = new_session(False)
    settings.SCS_HASH_TOKENS = "convert"
    session = SessionStore(token)
    assert session["color"] == "red"
    call_command(Command())
    assert SessionStore(token)["color"] == "red"
    session["size"] = 1
    session.save()
    assert dict(SessionStore(token).items()) == {"color": "red", "size": 1}


def test_the_types_of_go_stay_although_another_codec_binds_data(new_session, settings):
    settings.SCS_CODEC = "django_scs.codecs.gob.GobCodec"
    settings.SCS_CODEC_FALLBACKS = ["django_scs.codecs.encrypted.EncryptedCodec"]
    new_session(False, count=Int64(5))
    before = Session.objects.get().data
    settings.SCS_HASH_TOKENS = "convert"
    call_command(Command())
    after = Session.objects.get()
    assert tokens.is_marked(after.token)
    assert bytes(after.data) == bytes(before)


def test_iteration_goes_on_through_both_kinds(new_session, settings):
    new_session(False)
    new_session("convert")
    for session in SessionStore.iterate():
        session["seen"] = True
        session.save()
    assert [session["seen"] for session in SessionStore.iterate()] == [True, True]


@pytest.mark.parametrize(("step", "later"), [("prepare", "convert"), ("converted", "finish")])
def test_sessions_that_get_their_new_keys_meanwhile_are_destroyed(
    new_session, settings, step, later
):
    token = new_session("prepare" if step == "prepare" else "convert")
    settings.SCS_HASH_TOKENS = later
    key = SessionStore.store_keys(token)[0]
    call_command(Command())
    settings.SCS_HASH_TOKENS = step
    assert SessionStore.destroy_keys([key]) == 1
    assert not Session.objects.exists()


def test_other_kinds_of_sessions_must_have_another_table(settings):
    settings.SCS_SESSIONS = {"preferences": {"COOKIE_NAME": "preferences"}}
    settings.SCS_HASH_TOKENS = "convert"
    with pytest.raises(CommandError, match="preferences"):
        call_command(Command())


def test_true_and_false_cost_what_they_did(new_session, settings):
    for hashed in (False, True):
        token = new_session(hashed)
        with statements() as found:
            visit(token)
        assert verbs(found) == ["SELECT"]


def test_a_session_that_ends_while_the_command_runs_is_no_error(new_session, settings, monkeypatch):
    token = new_session(False)
    settings.SCS_HASH_TOKENS = "convert"
    store = type(SessionStore.get_store())
    rekey = store.rekey

    def end_before(self, *args):
        SessionStore(token).flush()
        return rekey(self, *args)

    monkeypatch.setattr(store, "rekey", end_before)
    call_command(Command())
    assert rows() == []
