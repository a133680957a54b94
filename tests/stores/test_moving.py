"""Two stores while sessions move: the contract wherever a session is, and what may happen meanwhile."""

import math
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import isolate_apps

from django_scs import tokens
from django_scs.models import AbstractSession, Session
from django_scs.stores import moving
from django_scs.stores.base import Record, Store
from django_scs.stores.moving import MovingStore
from django_scs.stores.redis import RedisStore
from django_scs.stores.sql import SqlStore
from tests.contracts.store import HOUR, MINUTE, YEAR, StoreContract
from tests.contracts.tools import in_parallel
from tests.database import in_autocommit
from tests.redis_servers import client_of
from tests.servers import Redis

pytestmark = in_autocommit


# In a registry of its own: a table that exists in these tests alone.
with isolate_apps("django_scs"):

    class OtherSession(AbstractSession):
        class Meta:
            app_label = "django_scs"
            db_table = "other_sessions"


class Killed(BaseException):
    """A process ends here."""


class Mortal:
    """A store whose process ends before one of its operations, which are counted from 0."""

    def __init__(self, store: Store, before: int | None, counter: "Iterator[int]") -> None:
        self._store = store
        self._before = before
        self._counter = counter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("find", "find_latest", "insert", "replace", "touch", "rename", "delete"):
            return found

        def operate(*args: Any) -> Any:
            if next(self._counter) == self._before:
                raise Killed
            return found(*args)

        return operate


@pytest.fixture
def redis_store(redis_server: Redis) -> Iterator[RedisStore]:
    with client_of(redis_server) as client, client_of(redis_server) as own:
        client.flushall()
        yield RedisStore(own)


@pytest.fixture
def other_table(transactional_db: None) -> Iterator[SqlStore]:
    with connection.schema_editor() as editor:
        editor.create_model(OtherSession)
    yield SqlStore(OtherSession)
    with connection.schema_editor() as editor:
        editor.delete_model(OtherSession)


@pytest.fixture(params=["to redis", "to db", "to another table"])
def pair(request: pytest.FixtureRequest, redis_store: RedisStore) -> tuple[Store, Store]:
    """Return the old store and the new one."""
    table = SqlStore(Session)
    if request.param == "to another table":
        return table, request.getfixturevalue("other_table")
    return (table, redis_store) if request.param == "to redis" else (redis_store, table)


@pytest.fixture
def key() -> str:
    return tokens.new()


class OfNewSessions(MovingStore):
    @property
    def keeps_expired(self) -> bool:
        return self._home.keeps_expired


class OfOldSessions(MovingStore):
    """Where a process with the old settings begins the sessions."""

    @property
    def keeps_expired(self) -> bool:
        return self._old.keeps_expired

    @property
    def max_data(self) -> int | None:
        return self._old.max_data

    def insert(self, key: str, data: bytes, ttl: float) -> bool:
        return self._old.insert(key, data, ttl)


class MovingContract(StoreContract):
    """The contract, with sessions that begin in one of the two."""

    moves: bool
    begins_in_old: bool

    @pytest.fixture
    def store(self, pair: tuple[Store, Store]) -> Store:
        kind: type[MovingStore] = OfOldSessions if self.begins_in_old else OfNewSessions
        return kind(*pair, moves=self.moves)


class TestMovingStore(MovingContract):
    moves, begins_in_old = True, False


@pytest.mark.extra
class TestMovingStoreOfOldSessions(MovingContract):
    moves, begins_in_old = True, True

    @pytest.mark.parametrize("ttl", [12 * YEAR, 8000 * YEAR, 1e30, math.inf])
    def test_a_time_that_is_too_long_is_shortened(self, store: Store, key: str, ttl: float) -> None:
        """To what both of them can keep."""
        assert store.insert(key, b"data", ttl)
        for _ in range(2):
            record = store.find(key)
            assert record is not None
            assert record.ttl > YEAR
            assert store.replace(key, b"data", ttl, b"data")


@pytest.mark.extra
class TestMovingStoreThatKeeps(MovingContract):
    moves, begins_in_old = False, True


def places(pair: tuple[Store, Store], key: str) -> list[bool]:
    """Tell for each store whether it has a live session under a key."""
    found = [store.find_latest(key) for store in pair]
    return [record is not None and record.is_live for record in found]


def test_a_session_that_is_looked_for_moves_with_its_bytes_and_its_end(
    pair: tuple[Store, Store], key: str
) -> None:
    pair[0].insert(key, b"\x00data\xff", HOUR)
    record = MovingStore(*pair, moves=True).find(key)
    assert record is not None
    assert (record.key, record.data) == (key, b"\x00data\xff")
    assert record.ttl == pytest.approx(HOUR, abs=MINUTE)
    assert places(pair, key) == [False, True]


def test_many_find_it_at_once(pair: tuple[Store, Store], key: str) -> None:
    pair[0].insert(key, b"data", HOUR)
    store = MovingStore(*pair, moves=True)
    found = in_parallel(*[lambda: store.find(key)] * 6)
    assert [record and record.data for record in found] == [b"data"] * 6
    assert places(pair, key) == [False, True]
    assert len(list(store.all())) == 1


def test_it_stays_where_a_move_keeps_it(pair: tuple[Store, Store], key: str) -> None:
    store = MovingStore(*pair, moves=False)
    assert store.insert(key, b"data", HOUR)
    assert store.find(key) is not None
    assert not store.bring(key)
    assert places(pair, key) == [True, False]


@pytest.mark.parametrize("moves", [True, False])
def test_a_process_that_is_killed_between_any_two_steps_loses_nothing(
    pair: tuple[Store, Store], moves: bool
) -> None:
    for number in count():
        key, counter = tokens.new(), count()
        pair[0].insert(key, b"data", HOUR)
        mortals = [Mortal(store, number, counter) for store in pair]
        with suppress(Killed):
            MovingStore(*mortals, moves=True).find(key)  # type: ignore[arg-type]
            # It came to its end.
            break
        # Whoever comes next, with either setting, finds it, writes to it and ends it.
        store = MovingStore(*pair, moves=moves)
        record = store.find(key)
        assert record is not None
        assert record.data == b"data"
        assert store.replace(key, b"new", HOUR, b"data")
        assert [found.data for found in store.all() if found.key == key] == [b"new"]
        if not moves:
            # And back, where something of it may still be.
            assert MovingStore(*pair, moves=True).find(key) is not None
            back = MovingStore(*pair[::-1], moves=True).find(key)
            assert back is not None
            assert back.data == b"new"
        assert store.delete(key)
        assert MovingStore(*pair, moves=True).find(key) is None
        assert MovingStore(*pair, moves=False).find(key) is None
    assert number > 5


@pytest.mark.parametrize("end", ["delete", "rename"])
def test_a_late_step_of_a_move_brings_nothing_back(
    pair: tuple[Store, Store], key: str, end: str
) -> None:
    """Another request does the rest of the move, and ends the session, before this one goes on."""
    pair[0].insert(key, b"data", HOUR)
    store = MovingStore(*pair, moves=True)
    arrive = store._arrive

    def be_late(source: Store, record: Record, **options: Any) -> Store:
        quick = MovingStore(*pair, moves=True)
        assert quick.find(key) is not None
        assert quick.delete(key) if end == "delete" else quick.rename(key, tokens.new(), HOUR)
        return arrive(source, record, **options)

    store._arrive = be_late  # type: ignore[method-assign]
    assert store.find(key) is None
    assert places(pair, key) == [False, False]


def test_a_change_in_the_old_store_during_the_move_is_never_lost(
    pair: tuple[Store, Store], key: str
) -> None:
    """One process counts up in the old store, as long as it can, while others move the session."""
    old = pair[0]
    old.insert(key, b"0", HOUR)
    keeper = MovingStore(*pair, moves=False)

    def work(number: int) -> int:
        done = 0
        for _ in range(30):
            if number == 0:
                MovingStore(*pair, moves=True).find(key)
                continue
            record = keeper.find_latest(key)
            assert record is not None
            value = b"%d" % (int(record.data) + 1)
            done += keeper.replace(key, value, HOUR, record.data)
        return done

    counted = sum(in_parallel(*[partial(work, number) for number in range(4)]))
    record = keeper.find(key)
    assert record is not None
    assert int(record.data) == counted > 0


@pytest.mark.parametrize("end", ["delete", "rename"])
def test_what_ends_a_session_during_its_move_ends_it(pair: tuple[Store, Store], end: str) -> None:
    for _ in range(20):
        key, new_key = tokens.new(), tokens.new()
        pair[0].insert(key, b"data", HOUR)

        def work(number: int, key: str = key, new_key: str = new_key) -> bool:
            store = MovingStore(*pair, moves=number % 2 == 0)
            if number < 4:
                return store.find(key) is not None
            return store.delete(key) if end == "delete" else store.rename(key, new_key, HOUR)

        assert in_parallel(*[partial(work, number) for number in range(5)])[4]
        for moves in (True, False):
            assert MovingStore(*pair, moves=moves).find(key) is None
            assert (MovingStore(*pair, moves=moves).find(new_key) is None) is (end == "delete")


@pytest.mark.parametrize("moves", [True, False])
def test_nobody_brings_a_session_once_more_that_has_ended_where_it_arrived(
    pair: tuple[Store, Store], key: str, moves: bool
) -> None:
    """Its mark is over by then, and who has brought it has yet to remove that."""
    old, new = pair
    marked = Record(key, moving._LEAVING + b"data", HOUR, 0)
    old.insert(key, marked.data, HOUR)
    new.insert(key, b"data", HOUR)
    old.touch(key, moving._OVER, marked.data)
    store = MovingStore(*pair, moves=moves)
    assert store.delete(key)
    store._arrive(old, marked)
    assert not any(_is_live(each, key) for each in pair)


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize("end", ["delete", "rename"])
def test_what_ends_where_it_arrived_takes_its_mark_along(
    pair: tuple[Store, Store], key: str, end: str, moves: bool
) -> None:
    old, new = pair
    marked = Record(key, moving._LEAVING + b"data", HOUR, 0)
    old.insert(key, marked.data, HOUR)
    new.insert(key, b"data", HOUR)
    store = MovingStore(*pair, moves=moves)
    assert store.delete(key) if end == "delete" else store.rename(key, tokens.new(), HOUR)
    store._arrive(old, marked)
    assert places(pair, key) == [False, False]


def _is_live(store: Store, key: str) -> bool:
    record = store.find(key)
    return record is not None and record.is_live


def test_what_a_killed_process_has_left_is_not_counted(pair: tuple[Store, Store], key: str) -> None:
    pair[0].insert(key, b"data", HOUR)
    # Before the second operation on the old store: its data is marked.
    mortal: Any = Mortal(pair[0], 1, count())
    with pytest.raises(Killed):
        MovingStore(mortal, pair[1], moves=True)._leave(Record(key, b"data", HOUR, 0))
    assert list(MovingStore(*pair, moves=True).left()) == []
    assert places(pair, key) == [False, True]


def test_it_may_move_there_and_back(pair: tuple[Store, Store], key: str) -> None:
    pair[0].insert(key, b"data", HOUR)
    for old, new in (pair, pair[::-1]) * 2:
        assert MovingStore(old, new, moves=True).bring(key)
        assert new.find(key) is not None
        assert old.find(key) is None


def test_a_process_that_keeps_finds_what_is_on_its_way_back(
    pair: tuple[Store, Store], key: str
) -> None:
    """The way back: first all keep, then those that move to the old store begin."""
    old, new = pair
    new.insert(key, b"data", HOUR)
    back = MovingStore(new, old, moves=True)
    back._arrive = lambda source, *args, **options: source  # type: ignore[method-assign]
    back._leave(new.find(key))  # type: ignore[arg-type]
    keeper = MovingStore(*pair, moves=False)
    record = keeper.find(key)
    assert record is not None
    assert record.data == b"data"
    assert places(pair, key) == [True, False]
    assert keeper.replace(key, b"new", HOUR, b"data")


def test_nothing_begins_to_move_inside_a_transaction(pair: tuple[Store, Store], key: str) -> None:
    pair[0].insert(key, b"data", HOUR)
    store = MovingStore(*pair, moves=True)
    with transaction.atomic():
        assert not store.bring(key)
        record = store.find(key)
        assert record is not None
        assert store.replace(key, b"new", HOUR, record.data)
    assert places(pair, key) == [True, False]
    found = store.find(key)
    assert found is not None
    assert found.data == b"new"
    assert places(pair, key) == [False, True]


def test_what_is_on_the_way_survives_a_rollback(pair: tuple[Store, Store], key: str) -> None:
    pair[0].insert(key, b"data", HOUR)
    store = MovingStore(*pair, moves=True)
    store._arrive = lambda source, *args, **options: source  # type: ignore[method-assign]
    store.find(key)
    with suppress(Killed), transaction.atomic():
        record = MovingStore(*pair, moves=True).find(key)
        assert record is not None
        raise Killed
    record = MovingStore(*pair, moves=True).find(key)
    assert record is not None
    assert record.data == b"data"


def test_what_the_new_store_has_no_room_for_stays_and_is_served(
    pair: tuple[Store, Store], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair[1], "refuses", lambda size: 9 if size > 9 else None)
    pair[0].insert(key, b"too large", HOUR)
    store = MovingStore(*pair, moves=True)
    record = store.find(key)
    assert record is not None
    assert places(pair, key) == [False, True]
    other = tokens.new()
    pair[0].insert(other, b"much too large", HOUR)
    assert store.find(other) is not None
    assert places(pair, other) == [True, False]
    assert store.replace(other, b"small", HOUR, b"much too large")
    assert store.find(other) is not None
    assert places(pair, other) == [False, True]


@pytest.mark.parametrize(("moves", "most"), [(True, 3), (False, 4)])
def test_what_an_unknown_key_costs(
    pair: tuple[Store, Store], key: str, moves: bool, most: int
) -> None:
    counter = count()
    mortals = [Mortal(store, None, counter) for store in pair]
    assert MovingStore(*mortals, moves=moves).find(key) is None  # type: ignore[arg-type]
    assert next(counter) == most


def test_a_session_that_has_moved_costs_one_look(pair: tuple[Store, Store], key: str) -> None:
    pair[1].insert(key, b"data", HOUR)
    counter = count()
    mortals = [Mortal(store, None, counter) for store in pair]
    assert MovingStore(*mortals, moves=True).find(key) is not None  # type: ignore[arg-type]
    assert next(counter) == 1
