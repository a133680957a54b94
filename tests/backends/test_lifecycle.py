"""Each state of a session, and what each operation does in it: a table with every cell.

On a store in memory that can do what a rollback, a lost reply, and other requests do.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.http import HttpResponse

from django_scs import backoff, conf, tokens
from django_scs.backends.base import Outcome, SessionStore, Status
from django_scs.backends.expiry import AUTHENTICATED_AT
from django_scs.backends.lifecycle import Destroyed, Lost, New, Origin, Stored
from django_scs.exceptions import SessionBusy
from django_scs.stores.base import GRACE, Record


class Fate:
    """The fate of a write, to be decided by the test."""

    undone = False


class MemoryStore:
    """A store in a dict. What is written while ``fates`` is a list can be undone."""

    max_ttl = math.inf
    keeps_expired = True

    def __init__(self) -> None:
        self.rows: dict[str, tuple[bytes, float]] = {}
        self.now = 1_800_000_000.0
        self.calls: list[str] = []
        self.fates: list[Fate] | None = None
        self.before: dict[str, tuple[bytes, float]] = {}

    def refuses(self, size: int) -> int | None:
        return None

    def fate(self) -> Fate | None:
        if self.fates is None:
            return None
        self.fates.append(Fate())
        return self.fates[-1]

    def begin(self) -> None:
        self.fates, self.before = [], dict(self.rows)

    def roll_back(self) -> None:
        for fate in self.fates or ():
            fate.undone = True
        self.rows, self.fates = self.before, None

    def commit(self) -> None:
        self.fates = None

    def find(self, key: str) -> Record | None:
        self.calls.append("find")
        return self._record(key)

    def find_latest(self, key: str) -> Record | None:
        self.calls.append("find_latest")
        return self._record(key)

    def _record(self, key: str) -> Record | None:
        if key not in self.rows:
            return None
        data, end = self.rows[key]
        return Record(key, data, end - self.now, self.now)

    def _writable(self, key: str) -> bool:
        return key in self.rows and self.rows[key][1] + GRACE > self.now

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        self.calls.append("insert")
        if key in self.rows:
            return False
        self.rows[key] = (data, self.now + ttl)
        return True

    def replace(self, key: str, data: bytes, ttl: float, expected: bytes) -> bool:
        self.calls.append("replace")
        if not self._writable(key) or self.rows[key][0] != expected:
            return False
        self.rows[key] = (data, self.now + ttl)
        return True

    def touch(self, key: str, ttl: float, expected: bytes) -> bool:
        self.calls.append("touch")
        if not self._writable(key) or self.rows[key][0] != expected:
            return False
        self.rows[key] = (expected, self.now + ttl)
        return True

    def rename(
        self, key: str, new_key: str, ttl: float, data: bytes | None = None, expected: Any = None
    ) -> bool:
        self.calls.append("rename")
        if not self._writable(key) or (data is not None and self.rows[key][0] != expected):
            return False
        old = self.rows.pop(key)
        self.rows[new_key] = (old[0] if data is None else data, self.now + ttl)
        return True

    def delete(self, key: str) -> bool:
        self.calls.append("delete")
        return self.rows.pop(key, None) is not None


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def engine(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> type[SessionStore]:
    class Session(SessionStore):
        get_store = staticmethod(lambda: store)

    monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now)
    return Session


def plain(session: SessionStore) -> dict[str, Any]:
    """Return the values, but for the time of the login."""
    return {key: value for key, value in session.items() if key != AUTHENTICATED_AT}


Make = Callable[[type[SessionStore]], SessionStore]


def new(engine: type[SessionStore]) -> SessionStore:
    return engine()


def saved(engine: type[SessionStore], **values: Any) -> str:
    session = engine()
    session.update({"a": 1, **values})
    session.save()
    return session.token()


def unloaded(engine: type[SessionStore]) -> SessionStore:
    token = saved(engine)
    engine.get_store().now += 1  # type: ignore[attr-defined]
    return engine.for_request([token])


def loaded(engine: type[SessionStore]) -> SessionStore:
    session = unloaded(engine)
    session.get("a")
    return session


def changed(engine: type[SessionStore]) -> SessionStore:
    session = unloaded(engine)
    session["b"] = 2
    return session


def inserted(engine: type[SessionStore]) -> SessionStore:
    session = engine()
    session["a"] = 1
    session.save()
    return session


def renewed(engine: type[SessionStore]) -> SessionStore:
    session = unloaded(engine)
    session.cycle_key()
    return session


def lost(engine: type[SessionStore]) -> SessionStore:
    session = loaded(engine)
    engine(session.session_key).cycle_key()
    session.cycle_key()
    return session


def destroyed(engine: type[SessionStore]) -> SessionStore:
    session = unloaded(engine)
    session.flush()
    return session


# For each state and operation: the state afterwards, what the store was asked, what the browser is
# told at the end of the request (a new token, to forget, or nothing), and the values left.
TABLE: dict[tuple[Make, str], tuple[str, list[str], str, dict[str, Any]]] = {
    (new, "nothing"): ("new", [], "", {}),
    (new, "put"): ("inserted", ["insert"], "token", {"c": 3}),
    (new, "save"): ("inserted", ["insert"], "token", {}),
    (new, "create"): ("inserted", ["insert"], "token", {}),
    (new, "renew"): ("inserted", ["insert"], "token", {}),
    (new, "flush"): ("destroyed", [], "forget", {}),
    (new, "take"): ("new", [], "", {}),
    (new, "login"): ("inserted", ["insert"], "token", {SESSION_KEY: "1"}),
    (unloaded, "nothing"): ("new", [], "", {}),
    (unloaded, "put"): ("written", ["find", "replace"], "", {"a": 1, "c": 3}),
    (unloaded, "save"): ("written", ["find", "touch"], "", {"a": 1}),
    (unloaded, "create"): ("inserted", ["insert"], "token", {}),
    (unloaded, "renew"): ("renamed", ["find", "rename", "replace"], "token", {"a": 1}),
    (unloaded, "flush"): ("destroyed", ["delete"], "forget", {}),
    (unloaded, "take"): ("written", ["find", "replace"], "", {}),
    (unloaded, "login"): (
        "renamed",
        ["find", "rename", "replace"],
        "token",
        {"a": 1, SESSION_KEY: "1"},
    ),
    (loaded, "nothing"): ("loaded", [], "", {"a": 1}),
    (loaded, "put"): ("written", ["replace"], "", {"a": 1, "c": 3}),
    (loaded, "save"): ("written", ["touch"], "", {"a": 1}),
    (loaded, "create"): ("inserted", ["insert"], "token", {"a": 1}),
    (loaded, "renew"): ("renamed", ["rename", "replace"], "token", {"a": 1}),
    (loaded, "flush"): ("destroyed", ["delete"], "forget", {}),
    (loaded, "take"): ("written", ["replace"], "", {}),
    (loaded, "login"): ("renamed", ["rename", "replace"], "token", {"a": 1, SESSION_KEY: "1"}),
    (changed, "nothing"): ("written", ["replace"], "", {"a": 1, "b": 2}),
    (changed, "put"): ("written", ["replace"], "", {"a": 1, "b": 2, "c": 3}),
    (changed, "save"): ("written", ["replace"], "", {"a": 1, "b": 2}),
    (changed, "create"): ("inserted", ["insert"], "token", {"a": 1, "b": 2}),
    (changed, "renew"): ("renamed", ["rename", "replace"], "token", {"a": 1, "b": 2}),
    (changed, "flush"): ("destroyed", ["delete"], "forget", {}),
    (changed, "take"): ("written", ["replace", "replace"], "", {"b": 2}),
    (changed, "login"): (
        "renamed",
        ["rename", "replace"],
        "token",
        {"a": 1, "b": 2, SESSION_KEY: "1"},
    ),
    (inserted, "nothing"): ("inserted", [], "token", {"a": 1}),
    (inserted, "put"): ("inserted", ["replace"], "token", {"a": 1, "c": 3}),
    (inserted, "save"): ("inserted", ["touch"], "token", {"a": 1}),
    (inserted, "create"): ("inserted", ["insert"], "token", {"a": 1}),
    (inserted, "renew"): ("inserted", ["rename", "replace"], "token", {"a": 1}),
    (inserted, "flush"): ("destroyed", ["delete"], "forget", {}),
    (inserted, "take"): ("inserted", ["replace"], "token", {}),
    (inserted, "login"): ("inserted", ["replace"], "token", {"a": 1, SESSION_KEY: "1"}),
    (renewed, "nothing"): ("renamed", ["replace"], "token", {"a": 1}),
    (renewed, "put"): ("renamed", ["replace"], "token", {"a": 1, "c": 3}),
    (renewed, "save"): ("renamed", ["replace"], "token", {"a": 1}),
    (renewed, "create"): ("inserted", ["insert"], "token", {"a": 1}),
    (renewed, "renew"): ("renamed", ["rename", "replace"], "token", {"a": 1}),
    (renewed, "flush"): ("destroyed", ["delete"], "forget", {}),
    (renewed, "take"): ("renamed", ["replace", "replace"], "token", {}),
    (renewed, "login"): ("renamed", ["replace"], "token", {"a": 1, SESSION_KEY: "1"}),
    (lost, "nothing"): ("lost", [], "", {"a": 1}),
    (lost, "put"): ("lost", [], "", {"a": 1, "c": 3}),
    (lost, "save"): ("lost", [], "", {"a": 1}),
    (lost, "create"): ("inserted", ["insert"], "token", {"a": 1}),
    (lost, "renew"): ("lost", [], "", {"a": 1}),
    (lost, "flush"): ("destroyed", [], "forget", {}),
    (lost, "take"): ("lost", [], "", {}),
    (lost, "login"): ("inserted", ["insert", "replace"], "token", {"a": 1, SESSION_KEY: "1"}),
    (destroyed, "nothing"): ("destroyed", [], "forget", {}),
    (destroyed, "put"): ("inserted", ["insert"], "token", {"c": 3}),
    (destroyed, "save"): ("inserted", ["insert"], "token", {}),
    (destroyed, "create"): ("inserted", ["insert"], "token", {}),
    (destroyed, "renew"): ("inserted", ["insert"], "token", {}),
    (destroyed, "flush"): ("destroyed", [], "forget", {}),
    (destroyed, "take"): ("destroyed", [], "forget", {}),
    (destroyed, "login"): ("inserted", ["insert", "replace"], "token", {SESSION_KEY: "1"}),
}

OPERATIONS: dict[str, Callable[[SessionStore], Any]] = {
    "nothing": lambda session: None,
    "put": lambda session: session.put("c", 3),
    "save": lambda session: session.save(),
    "create": lambda session: session.create(),
    "renew": lambda session: session.cycle_key(),
    "flush": lambda session: session.flush(),
    "take": lambda session: session.take("a"),
    "login": lambda session: session.put(SESSION_KEY, "1"),
}
STATES = (new, unloaded, loaded, changed, inserted, renewed, lost, destroyed)


def name_of(session: SessionStore) -> str:
    state = session._life.state
    return state.origin.value if isinstance(state, Stored) else type(state).__name__.lower()


def told(outcome: Outcome) -> str:
    return "forget" if outcome.forget else "token" if outcome.token else ""


def test_every_cell_is_there() -> None:
    assert set(TABLE) == {(state, name) for state in STATES for name in OPERATIONS}


@pytest.mark.parametrize(
    ("make", "name"), TABLE, ids=[f"{make.__name__}-{name}" for make, name in TABLE]
)
def test_operation_in_a_state(
    engine: type[SessionStore], store: MemoryStore, make: Make, name: str
) -> None:
    state, calls, tells, values = TABLE[make, name]
    session = make(engine)
    store.now += 1
    store.calls.clear()
    if (make, name) == (lost, "save"):
        with pytest.raises(UpdateError):
            session.save()
    else:
        OPERATIONS[name](session)
    outcome = session.commit()

    assert (name_of(session), store.calls, told(outcome)) == (state, calls, tells)
    if (make, name) != (unloaded, "nothing"):
        assert plain(session) == values
    if outcome.token:
        # The key that the session hands out is that of a stored row, and of the cookie.
        assert outcome.token == session.session_key
        assert plain(engine(outcome.token)) == values


@pytest.mark.parametrize(
    ("make", "name"), TABLE, ids=[f"{make.__name__}-{name}" for make, name in TABLE]
)
def test_operation_in_a_transaction_that_is_rolled_back_is_repeated_at_the_end(
    engine: type[SessionStore], store: MemoryStore, make: Make, name: str
) -> None:
    session = make(engine)
    store.now += 1
    _, _, tells, values = TABLE[make, name]
    store.begin()
    if (make, name) != (lost, "save"):
        OPERATIONS[name](session)
    store.roll_back()
    outcome = session.commit()

    assert told(outcome) == tells
    if make is not unloaded or name != "nothing":
        assert plain(session) == values
    if outcome.token:
        assert plain(engine(outcome.token)) == values
    if isinstance(session._life.state, Stored):
        assert plain(engine(session.session_key)) == values
    if outcome.forget:
        assert not store.rows or make is lost


# What came from flags before there were states


def test_session_begun_after_a_flush_is_not_destroyed_by_becoming_empty(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = unloaded(engine)
    session.flush()
    session["b"] = 2
    session.save()
    session.pop("b")

    outcome = session.commit()
    assert outcome.token == session.session_key
    assert dict(engine(outcome.token).items()) == {}
    assert len(store.rows) == 1


def test_second_login_on_a_lost_session_brings_nothing_back(engine: type[SessionStore]) -> None:
    session = lost(engine)
    session[SESSION_KEY] = "1"
    assert session.pop("a") == 1
    session[SESSION_KEY] = "1"
    session.commit()

    assert plain(engine(session.session_key)) == {SESSION_KEY: "1"}


def test_values_of_a_user_who_lost_a_renewal_do_not_reach_the_next_login(
    engine: type[SessionStore],
) -> None:
    token = saved(engine, **{SESSION_KEY: "1", "secret": "of user 1"})
    session = engine(token)
    assert session["secret"] == "of user 1"
    engine(token).flush()
    session.cycle_key()
    assert session["secret"] == "of user 1"
    session[SESSION_KEY] = "2"
    session.commit()

    assert plain(engine(session.session_key)) == {SESSION_KEY: "2"}


def test_changed_keys_may_be_numbers(
    engine: type[SessionStore], caplog: pytest.LogCaptureFixture
) -> None:
    session = changed(engine)
    session[1] = "one"
    engine(session.session_key).flush()
    assert session.commit() == Outcome()
    (record,) = [each for each in caplog.records if each.event == "dropped"]
    assert record.getMessage().endswith("[1, 'b']")


def test_take_of_what_was_changed_inside_removes_it_at_the_end(
    engine: type[SessionStore],
) -> None:
    token = saved(engine, cart=[1])
    session = engine(token)
    session["cart"].append(2)
    assert session.take("cart") == [1, 2]
    session.commit()
    assert engine(token).load() == {"a": 1}


def test_take_from_a_lost_session_gives_the_default(engine: type[SessionStore]) -> None:
    session = lost(engine)
    assert session.take("a", "gone") == "gone"


def test_token_that_was_set_by_hand_is_that_of_the_row(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = inserted(engine)
    session._session_key = tokens.new()
    assert session.commit().token == session.session_key
    assert list(store.rows) == [session.session_key]


@pytest.mark.parametrize("after", ["put", "login"])
def test_flush_of_a_lost_session_leaves_nothing_of_it(
    engine: type[SessionStore], after: str
) -> None:
    session = lost(engine)
    session.flush()
    OPERATIONS[after](session)
    session.commit()

    assert "a" not in engine(session.session_key).load()


def test_create_after_a_deadline_was_set_begins_a_new_lifetime(engine: type[SessionStore]) -> None:
    session = loaded(engine)
    session.set_deadline(session.deadline() - timedelta(hours=5))
    session.create()
    assert session.deadline() == loaded(engine).deadline()


def test_renewal_does_not_ask_what_others_have_changed(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    other = engine(session.session_key)
    other["b"] = 2
    other.save()
    store.calls.clear()
    session.cycle_key()
    assert store.calls == ["rename"]
    assert engine(session.session_key).load() == {"a": 1, "b": 2}


def test_renewal_with_a_codec_that_binds_the_key_keeps_what_others_have_changed(
    engine: type[SessionStore], store: MemoryStore, settings: Any
) -> None:
    settings.SCS_CODEC = "django_scs.codecs.encrypted.EncryptedCodec"
    session = changed(engine)
    other = engine(session.session_key)
    other["c"] = 3
    other.save()
    store.calls.clear()
    session.cycle_key()
    assert store.calls == ["rename", "find_latest", "rename"]
    session.save()
    assert engine(session.session_key).load() == {"a": 1, "b": 2, "c": 3}


def test_create_of_a_taken_token_is_refused(
    engine: type[SessionStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = saved(engine)
    monkeypatch.setattr(tokens, "new", lambda size: token)
    with pytest.raises(CreateError):
        engine().create()
    assert engine(token).load() == {"a": 1}


@pytest.mark.parametrize("make", [loaded, inserted, renewed])
def test_save_must_create_of_the_own_token_is_refused_and_changes_nothing(
    engine: type[SessionStore], make: Make
) -> None:
    session = make(engine)
    session["b"] = 2
    with pytest.raises(CreateError):
        session.save(must_create=True)
    session.save()
    assert engine(session.session_key).load() == {"a": 1, "b": 2}
    with pytest.raises(CreateError):
        session.save(must_create=True)
    assert session.delete()
    with pytest.raises(UpdateError):
        session.save()


def test_renewal_of_a_new_session_takes_no_token_that_is_taken(
    engine: type[SessionStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = saved(engine)
    monkeypatch.setattr(tokens, "new", lambda size: token)
    session = engine()
    session["b"] = 2
    session.cycle_key()
    assert session.session_key is None
    assert engine(token).load() == {"a": 1}


def test_insertion_whose_reply_was_lost_is_recognised(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = engine()
    session["a"] = 1
    content = session._content()
    session._session_key = token = tokens.new()
    store.insert(engine.store_key(token), session._life.encode(content, token), 100)
    session.save()
    assert isinstance(session._life.state, Stored)


def test_merge_session_destroys_nothing_that_it_cannot_keep(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = saved(engine, large="x" * 50_000)
    session = loaded(engine)
    monkeypatch.setattr(store, "refuses", lambda size: 40_000 if size > 40_000 else None)
    with pytest.raises(ValueError, match="'large'"):
        session.merge_session(other)
    assert engine(other).load()["large"]
    assert dict(session.items()) == {"a": 1}


def test_merge_session_into_a_lost_one_destroys_nothing(engine: type[SessionStore]) -> None:
    other = saved(engine, b=2)
    session = lost(engine)
    session.merge_session(other)
    assert engine(other).load() == {"a": 1, "b": 2}
    assert dict(session.items()) == {"a": 1}


def test_merge_session_brings_nothing_back_from_an_expired_one(
    engine: type[SessionStore], store: MemoryStore, settings: Any
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    other = saved(engine, b=2)
    store.now += 601
    session = loaded(engine)
    session.merge_session(other)
    assert dict(session.items()) == {"a": 1}


def test_merge_session_takes_nothing_that_another_request_took_first(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = saved(engine, b=2)
    session = loaded(engine)
    monkeypatch.setattr(store, "delete", lambda key: False)
    session.merge_session(other)
    assert dict(session.items()) == {"a": 1}


def test_deadline_that_another_request_has_set_is_kept(engine: type[SessionStore]) -> None:
    session = changed(engine)
    other = engine(session.session_key)
    other.set_deadline(other.deadline() - timedelta(hours=1))
    other.save()
    session.save()
    assert session.deadline() == other.deadline()
    session["c"] = 3
    session.save()
    assert engine(session.session_key).deadline() == other.deadline()


def test_session_after_a_flush_has_a_lifetime_of_its_own(engine: type[SessionStore]) -> None:
    session = loaded(engine)
    session.set_deadline(session.deadline() - timedelta(hours=5))
    session.flush()
    session["b"] = 2
    session.save()
    assert session.deadline() == loaded(engine).deadline()


@pytest.mark.parametrize("renews", [False, True])
def test_change_whose_reply_was_lost_is_known_as_its_own(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch, renews: bool
) -> None:
    session = engine(saved(engine, list=[1]))
    session.update({"list": [1, 2], "mistake": True})
    replace = store.replace

    def replace_without_a_reply(*args: Any) -> bool:
        monkeypatch.setattr(store, "replace", replace)
        assert replace(*args)
        raise OSError("the connection is gone")

    monkeypatch.setattr(store, "replace", replace_without_a_reply)
    with pytest.raises(OSError, match="gone"):
        session.save()
    if renews:
        session.cycle_key()
    session["list"] = [1, 2, 3]
    del session["mistake"]
    session.save()
    assert engine(session.session_key).load() == {"a": 1, "list": [1, 2, 3]}


# Time


@pytest.mark.parametrize("left", [30, -30], ids=["nearly expired", "just expired"])
def test_conflict_near_the_end_of_a_session_is_merged(
    engine: type[SessionStore], store: MemoryStore, settings: Any, left: float
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = changed(engine)
    other = engine(session.session_key)
    other["c"] = 3
    other.save()
    store.now += 600 - left
    session.save()
    assert engine(session.session_key).load() == {"a": 1, "b": 2, "c": 3}


def test_conflict_after_the_grace_is_a_loss(
    engine: type[SessionStore], store: MemoryStore, settings: Any
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = changed(engine)
    store.now += 600 + GRACE + 1
    with pytest.raises(UpdateError):
        session.save()
    assert isinstance(session._life.state, Lost)


@pytest.mark.parametrize("operation", ["save", "take", "renew", "login"])
@pytest.mark.parametrize("way", ["set_expiry", "set_deadline"])
def test_object_that_is_held_for_long_sees_that_others_have_moved_the_end(
    engine: type[SessionStore], store: MemoryStore, operation: str, way: str
) -> None:
    session = engine(saved(engine, flash="hi"))
    session.set_expiry(300)
    session.save()
    held, other = engine(session.session_key), engine(session.session_key)
    held.get("a")
    store.now += 200
    other["b"] = 2
    if way == "set_deadline":
        other.set_deadline(datetime.fromtimestamp(store.now + 300, UTC))
    other.save()
    store.now += 200
    held["c"] = 3
    if operation == "take":
        assert held.take("flash") == "hi"
    elif operation == "renew":
        held.cycle_key()
    elif operation == "login":
        held[SESSION_KEY] = "1"
        assert not engine().exists(session.session_key)
    held.save()
    assert {"a": 1, "b": 2, "c": 3}.items() <= engine(held.session_key).load().items()


def test_write_past_the_deadline_is_refused(
    engine: type[SessionStore], store: MemoryStore, settings: Any
) -> None:
    settings.SCS_LIFETIME = 100
    for operation in ("save", "renew", "take", "set_expiry"):
        session = loaded(engine)
        store.now += 101
        if operation == "save":
            session["b"] = 2
            with pytest.raises(UpdateError):
                session.save()
        elif operation == "renew":
            session.cycle_key()
            assert session.session_key is None
            with pytest.raises(UpdateError):
                session.save()
        elif operation == "take":
            assert session.take("a", "gone") == "gone"
        else:
            session.set_expiry(1000)
            with pytest.raises(UpdateError):
                session.save()
        assert not session.is_stored()
        assert all(end < store.now for _, end in store.rows.values())


@pytest.mark.parametrize(("late", "is_written"), [(50, True), (70, False)])
def test_write_after_the_idle_timeout_is_refused_after_a_minute(
    engine: type[SessionStore], store: MemoryStore, settings: Any, late: float, is_written: bool
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = loaded(engine)
    session["b"] = 2
    store.now += 600 + late
    assert not session.is_stored()
    if is_written:
        session.save()
        assert session.is_stored()
    else:
        with pytest.raises(UpdateError):
            session.save()


@pytest.mark.parametrize("skew", [-3600, 3600])
@pytest.mark.parametrize("lifetime", [1800, 12 * 3600])
def test_wrong_clock_of_one_server_ends_no_session_and_prolongs_none(
    engine: type[SessionStore],
    store: MemoryStore,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    skew: float,
    lifetime: float,
) -> None:
    """Each of the sites has a clock of its own, by turns right and wrong by an hour."""
    settings.SCS_LIFETIME = lifetime
    settings.SCS_IDLE_TIMEOUT = 1200
    clocks = {"right": 0.0, "wrong": skew}

    def at(site: str) -> None:
        monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now + clocks[site])

    for first, second in [("right", "wrong"), ("wrong", "right"), ("wrong", "wrong")]:
        at(first)
        token = saved(engine)
        assert store.rows[token][1] - store.now == 1200
        at(second)
        store.now += 300
        session = engine(token)
        assert session.get("a") == 1
        session.commit()
        left = store.rows[token][1] - store.now
        assert 900 <= left <= 1200
        store.now += left + 1
        assert engine(token).load() == {}


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_cookie_of_set_expiry_ends_by_no_clock_of_the_server(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now + skew)
    session = engine.for_request([saved(engine)])
    session.set_expiry(300)
    assert session.commit().max_age == 300


def test_cookie_outlives_the_session_by_less_than_a_second(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    session.set_deadline(datetime.fromtimestamp(store.now + 300.25, UTC))
    assert session.commit().max_age == 301


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_wrong_clock_without_an_idle_timeout_shortens_nothing(
    engine: type[SessionStore],
    store: MemoryStore,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    skew: float,
) -> None:
    settings.SCS_LIFETIME = 1800
    monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now + skew)
    token = saved(engine)
    before = store.rows[token][1]
    session = engine(token)
    session.get("a")
    session.commit()
    assert store.rows[token][1] >= before
    store.now += 1700
    session = engine(token)
    session["b"] = 2
    session.commit()
    assert engine(token).load() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (600, 1200, 1200),
        (1200, 600, 600),
        (None, 600, 600),
        (600, None, 12 * 3600 - 100),
        (600, 600, 600),
    ],
    ids=["lengthened", "shortened", "introduced", "removed", "kept"],
)
def test_idle_timeout_of_now_holds_from_the_next_request_on(
    engine: type[SessionStore],
    store: MemoryStore,
    settings: Any,
    before: float | None,
    after: float | None,
    left: float,
) -> None:
    settings.SCS_LIFETIME = 12 * 3600
    settings.SCS_IDLE_TIMEOUT = before
    token = saved(engine)
    settings.SCS_IDLE_TIMEOUT = after
    store.now += 100
    session = engine(token)
    session.get("a")
    session.commit()
    assert store.rows[token][1] - store.now == pytest.approx(left, abs=1.5)


def test_read_within_the_touch_interval_writes_nothing(
    engine: type[SessionStore], store: MemoryStore, settings: Any
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    token = saved(engine)
    store.calls.clear()
    store.now += 59
    session = engine(token)
    session.get("a")
    session.commit()
    assert store.calls == ["find"]
    store.now += 2
    session = engine(token)
    session.get("a")
    session.commit()
    assert store.calls == ["find", "find", "touch"]


@pytest.mark.parametrize("skew", [-3600, 3600])
@pytest.mark.parametrize("longest", [None, 86_400])
@pytest.mark.parametrize("expiry", [300, timedelta(seconds=300)])
def test_wrong_clock_does_not_change_what_set_expiry_says(
    engine: type[SessionStore],
    store: MemoryStore,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    skew: float,
    longest: float | None,
    expiry: Any,
) -> None:
    settings.SCS_MAX_LIFETIME = longest
    monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now + skew)
    wrong = datetime.fromtimestamp(store.now + skew, UTC)
    monkeypatch.setattr("django.contrib.sessions.backends.base.timezone.now", lambda: wrong)
    session = engine(saved(engine))
    session.set_expiry(expiry)
    session.save()
    assert store.rows[session.token()][1] - store.now == pytest.approx(300)
    assert session.get_expiry_age() == 300
    assert session.get_expiry_date().timestamp() - store.now == pytest.approx(300)


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_wrong_clock_does_not_make_a_login_older(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    monkeypatch.setattr("django_scs.backends.expiry._clock", lambda: store.now + skew)
    session = loaded(engine)
    session[SESSION_KEY] = "1"
    session.save()
    store.now += 300
    assert engine(session.session_key)._is_login_recent(301)
    assert not engine(session.session_key)._is_login_recent(298)


@pytest.mark.parametrize("expiry", [10**12, 10**400, timedelta.max], ids=["12", "400", "max"])
def test_cookie_of_a_session_without_end_has_a_date(
    engine: type[SessionStore], expiry: Any
) -> None:
    session = engine()
    session.set_expiry(expiry)
    age = session.commit().max_age
    assert age is not None
    response = HttpResponse()
    response.set_cookie("sessionid", "token", max_age=age)
    assert " 9999 " in response.cookies["sessionid"]["expires"]


@pytest.mark.parametrize("hours", [-5, 0, 9])
def test_deadline_at_the_end_of_time_is_one_that_every_time_zone_has(
    engine: type[SessionStore], settings: Any, hours: int
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    session = engine()
    session["a"] = 1
    session.set_deadline(datetime.max.replace(tzinfo=timezone(timedelta(hours=hours))))
    assert session.get_expiry_date().year == 9999
    assert session.commit().max_age is not None


@pytest.mark.parametrize("lifetime", [1e9, 3.1e9])
def test_lifetime_beyond_the_calendar_is_kept(
    engine: type[SessionStore], settings: Any, lifetime: float
) -> None:
    settings.SCS_LIFETIME = lifetime
    session = engine(saved(engine))
    session.set_expiry(10**12)
    session.save()
    assert session.deadline().year == 9999
    assert engine(session.session_key).load()["a"] == 1


# A store that fails


def test_store_that_is_down_after_a_renewal_does_not_keep_the_token_from_the_browser(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = renewed(engine)

    def fail(*args: Any) -> Any:
        raise OSError("the store is down")

    for name in ("find", "find_latest", "replace", "touch", "insert"):
        monkeypatch.setattr(store, name, fail)
    with pytest.raises(OSError, match="down"):
        session.commit()
    assert session.commit(failed=True).token == session.session_key


def test_save_that_fails_with_an_unchanged_token_tells_nothing(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = changed(engine)

    def fail(*args: Any) -> Any:
        raise OSError("the store is down")

    monkeypatch.setattr(store, "replace", fail)
    with pytest.raises(OSError, match="down"):
        session.commit()
    assert session.commit(failed=True) == Outcome()


def test_store_that_is_down_fails_a_page_that_begins_a_session(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise OSError("the store is down")

    monkeypatch.setattr(store, "insert", fail)
    session = engine()
    session["a"] = 1
    with pytest.raises(OSError, match="down"):
        session.commit()


def test_touch_that_fails_does_not_fail_a_page_that_only_reads(
    engine: type[SessionStore],
    store: MemoryStore,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = unloaded(engine)
    store.now += 100

    def fail(*args: Any) -> Any:
        raise OSError("read-only")

    monkeypatch.setattr(store, "touch", fail)
    assert session.get("a") == 1
    assert session.commit() == Outcome()
    (record,) = caplog.records
    assert (record.event, record.session) == ("touch_failed", session.fingerprint())
    assert "read-only" in caplog.text


def test_busy_session_says_so_with_its_data(
    engine: type[SessionStore], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.05)
    monkeypatch.setattr(store, "replace", lambda *args: False)
    session = changed(engine)
    with pytest.raises(SessionBusy) as busy:
        session.save()
    assert busy.value.fingerprint == session.fingerprint()


def test_what_a_failed_page_took_is_given_back_beside_what_came_meanwhile(
    engine: type[SessionStore],
) -> None:
    session = engine(saved(engine, flash="hi"))
    session.take("flash", give_back=True)
    other = engine(session.session_key)
    other["c"] = 3
    other.save()
    session.commit(failed=True)
    assert engine(session.session_key).load() == {"a": 1, "flash": "hi", "c": 3}


@pytest.mark.parametrize("way", ["take", "take_all"])
def test_what_a_failed_page_took_for_good_is_not_given_back(
    engine: type[SessionStore], way: str
) -> None:
    session = engine(saved(engine, flash="hi"))
    session.take("flash") if way == "take" else session.take_all(["flash"])
    session.commit(failed=True)
    assert engine(session.session_key).load() == {"a": 1}


def test_what_a_failed_page_took_and_changed_is_given_back_as_it_was(
    engine: type[SessionStore],
) -> None:
    session = engine(saved(engine, jobs=[1, 2]))
    jobs = session.take("jobs", give_back=True)
    jobs.clear()
    session.commit(failed=True)
    assert engine(session.session_key).load() == {"a": 1, "jobs": [1, 2]}


def test_giving_back_that_is_always_overtaken_gives_up(
    engine: type[SessionStore],
    store: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.05)
    session = engine(saved(engine, flash="hi"))
    session.take("flash", give_back=True)
    monkeypatch.setattr(store, "replace", lambda *args: False)
    assert session.commit(failed=True) == Outcome()
    assert [record.event for record in caplog.records] == ["busy", "give_back_failed"]


# Rollbacks beyond the table


def test_savepoint_that_is_rolled_back_takes_back_the_inner_write_alone(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session["outer"] = 1
    session.save()
    rows = dict(store.rows)
    session["inner"] = 1
    session.save()
    store.rows = rows
    assert store.fates is not None
    store.fates[-1].undone = True
    store.commit()

    state = session._life.state
    assert isinstance(state, Stored)
    assert state.again
    session.commit()
    assert engine(session.session_key).load() == {"a": 1, "outer": 1, "inner": 1}


def test_all_writes_of_a_transaction_are_taken_back_at_once(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    for name in "bcd":
        session[name] = 1
        session.save()
    store.roll_back()
    assert session.changed_keys() == ["b", "c", "d"]


@pytest.mark.parametrize("way", ["load", "aload"])
def test_values_that_are_read_again_are_not_taken_for_what_was_read_first(
    engine: type[SessionStore], way: str
) -> None:
    session = changed(engine)
    other = engine(session.session_key)
    other["c"] = 3
    other.save()
    found = session.load() if way == "load" else asyncio.run(session.aload())
    assert found == {"a": 1, "c": 3}
    session.save()
    assert engine(session.session_key).load() == {"a": 1, "b": 2, "c": 3}


def test_change_that_was_read_again_before_the_rollback_is_repeated(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session["b"] = 2
    session.save()
    session.load()
    store.roll_back()
    session.commit()
    assert engine(session.session_key).load() == {"a": 1, "b": 2}


def test_destruction_after_a_renewal_that_was_rolled_back_removes_the_row(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session.cycle_key()
    store.roll_back()
    assert session.flush()
    assert store.rows == {}


@pytest.mark.parametrize("before", ["renew", "login", "flush and login"])
@pytest.mark.parametrize("failed", [True, False])
def test_destruction_that_was_rolled_back_with_what_came_before_it_ends_the_old_session(
    engine: type[SessionStore], store: MemoryStore, before: str, failed: bool
) -> None:
    session = loaded(engine)
    store.begin()
    for name in before.split(" and "):
        OPERATIONS[name](session)
    session.flush()
    store.roll_back()
    assert len(store.rows) == 1
    assert session.commit(failed=failed).forget
    assert not store.rows


@pytest.mark.parametrize("operation", ["save", "renew", "login", "create"])
@pytest.mark.parametrize("before", ["flush", "flush and renew"])
def test_destruction_that_was_rolled_back_is_repeated_by_a_new_session(
    engine: type[SessionStore], store: MemoryStore, before: str, operation: str
) -> None:
    session = loaded(engine)
    store.begin()
    for name in before.split(" and "):
        OPERATIONS[name](session)
    store.roll_back()
    session["b"] = 2
    OPERATIONS[operation](session)
    session.save()
    assert list(store.rows) == [session.session_key]


def test_destruction_that_was_rolled_back_is_repeated_by_another(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session.flush()
    session.cycle_key()
    store.roll_back()
    assert session.flush()
    assert not store.rows
    assert session.commit().forget


def test_destruction_that_is_repeated_is_told_as_the_first_was(
    engine: type[SessionStore], store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "django_scs")
    session = loaded(engine)
    caplog.clear()
    store.begin()
    session.flush()
    store.roll_back()
    session.commit()
    first, again = (record.getMessage() for record in caplog.records)
    assert first == again
    assert first.endswith("was destroyed: 'flush'")


def test_second_destruction_in_a_transaction_does_not_forget_the_first(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    assert session.flush()
    assert not session.flush()
    store.roll_back()
    assert session.commit().forget
    assert store.rows == {}


def test_second_destruction_in_a_transaction_does_not_forget_what_was_sent_beside(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = engine.for_request([saved(engine), saved(engine)])
    store.begin()
    store.calls.clear()
    assert session.flush()
    assert store.calls == ["find", "delete", "delete"]
    assert not session.flush()
    assert store.calls == ["find", "delete", "delete"]
    assert store.rows == {}
    store.roll_back()
    assert session.commit().forget
    assert store.rows == {}


def test_session_of_the_second_token_that_was_sent_is_destroyed_once(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = engine.for_request([tokens.new(), saved(engine)])
    store.calls.clear()
    assert session.flush()
    assert store.calls == ["find", "find", "delete"]


def test_session_whose_renewal_was_rolled_back_is_where_it_was(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session.cycle_key()
    store.roll_back()
    assert session.is_stored()
    store.rows.clear()
    with pytest.raises(UpdateError):
        session.save()
    assert isinstance(session._life.state, Lost)


@pytest.mark.parametrize("failed", [True, False])
def test_browser_gets_the_token_of_the_renewal_that_was_not_rolled_back(
    engine: type[SessionStore], store: MemoryStore, failed: bool
) -> None:
    session = renewed(engine)
    store.begin()
    session.cycle_key()
    session.cycle_key()
    store.roll_back()
    outcome = session.commit(failed=failed)
    assert list(store.rows) == [outcome.token]
    assert outcome.token == session.session_key


def test_session_that_was_lost_in_a_transaction_stays_lost_after_the_rollback(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = changed(engine)
    store.begin()
    session.save()
    store.rows.clear()
    session["c"] = 3
    with pytest.raises(UpdateError):
        session.save()
    store.roll_back()
    store.rows.clear()
    store.calls.clear()
    assert session.commit() == Outcome()
    assert store.calls == []


def test_session_that_was_created_beside_another_is_not_the_other_after_a_rollback(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    old = session.session_key
    store.begin()
    session["b"] = 2
    session.save()
    session.create()
    store.roll_back()
    outcome = session.commit()

    assert engine(old).load() == {"a": 1}
    assert engine(outcome.token).load() == {"a": 1, "b": 2}


@pytest.mark.parametrize("write", ["save", "create"])
def test_destruction_and_a_new_session_that_are_rolled_back_are_both_repeated(
    engine: type[SessionStore], store: MemoryStore, write: str
) -> None:
    session = loaded(engine)
    old = session.session_key
    store.begin()
    session.flush()
    session["b"] = 2
    getattr(session, write)()
    store.roll_back()
    outcome = session.commit()

    assert outcome.token == session.session_key != old
    assert engine(old).load() == {}
    assert engine(outcome.token).load() == {"b": 2}


def test_failed_view_repeats_a_destruction_and_saves_nothing_else(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    gone, kept = loaded(engine), loaded(engine)
    store.begin()
    gone.flush()
    kept["b"] = 2
    kept.save()
    store.roll_back()

    assert gone.commit(failed=True).forget
    assert kept.commit(failed=True) == Outcome()
    assert engine(gone.session_key or kept.session_key).load() == {"a": 1}
    assert len(store.rows) == 1


def test_committed_transaction_leaves_nothing_to_repeat(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = loaded(engine)
    store.begin()
    session["b"] = 2
    session.save()
    store.commit()
    store.calls.clear()
    session.commit()
    assert store.calls == []
    session["c"] = 3
    session.save()
    assert session.take("c") == 3
    session.modified = False
    assert session.take("b") == 2
    assert not session.modified


def test_touch_that_was_rolled_back_is_repeated(
    engine: type[SessionStore], store: MemoryStore
) -> None:
    session = inserted(engine)
    store.begin()
    session.save()
    store.roll_back()
    store.calls.clear()
    session.commit()
    assert store.calls == ["touch"]


def test_states_show_no_token(engine: type[SessionStore]) -> None:
    for make in STATES:
        session = make(engine)
        token = session.session_key or "?"
        assert token not in repr(session._life.state)
        assert token not in repr(vars(session._life))
        assert token not in repr(session.commit())


def test_status_follows_from_the_state(engine: type[SessionStore]) -> None:
    found = {make.__name__: make(engine).status() for make in STATES}
    modified = dict.fromkeys(("changed", "inserted", "renewed", "lost"), Status.MODIFIED)
    quiet = dict.fromkeys(("new", "unloaded", "loaded"), Status.UNMODIFIED)
    assert found == {**modified, **quiet, "destroyed": Status.DESTROYED}


def test_states_are_what_the_names_say(engine: type[SessionStore]) -> None:
    assert [type(make(engine)._life.state) for make in STATES] == [
        New,
        New,
        Stored,
        Stored,
        Stored,
        Stored,
        Lost,
        Destroyed,
    ]
    assert Origin.LOADED.is_new_key is Origin.WRITTEN.is_new_key is False
    assert conf.DEFAULT == "default"
