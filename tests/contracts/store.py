"""The suite of ``django_scs.stores.base.Store``."""

import math
import time
from collections.abc import Callable

import pytest

from django_scs import tokens
from django_scs.stores.base import GRACE, Record, Store

from .tools import in_parallel

# In seconds.
MINUTE = 60.0
HOUR = 3600.0
YEAR = 365.25 * 24 * HOUR
# Between a write and a look at its result, on a machine that is busy.
A_MOMENT = 20.0


def is_live(record: Record | None) -> bool:
    """Tell whether what ``find`` returned is a live session."""
    return record is not None and record.is_live


class StoreContract:
    """The suite of ``django_scs.stores.base.Store``."""

    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store."""
        raise NotImplementedError

    @pytest.fixture
    def key(self) -> str:
        return tokens.new()

    def insert_expired(self, store: Store, count: int) -> list[str]:
        keys = [tokens.new() for _ in range(count)]
        for key in keys:
            assert store.insert(key, b"old", -MINUTE / 2)
        return keys

    def assert_has_left(self, record: Record | None, ttl: float) -> None:
        """Assert that a record has ``ttl`` seconds left, or a moment less."""
        assert record is not None
        assert ttl - A_MOMENT < record.ttl <= ttl + 0.001

    def test_find_returns_what_was_inserted(self, store: Store, key: str) -> None:
        assert store.insert(key, b"data", HOUR) is True
        record = store.find(key)
        assert isinstance(record, Record)
        assert (record.key, record.data) == (key, b"data")
        self.assert_has_left(record, HOUR)

    def test_now_is_the_store_s_clock(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        first = store.find(key)
        time.sleep(0.05)
        second = store.find_latest(key)
        assert first is not None
        assert second is not None
        assert type(first.now) is type(first.ttl) is float
        assert abs(first.now - time.time()) < A_MOMENT
        assert 0.04 < second.now - first.now < A_MOMENT
        # What expires does so at one moment, whenever it is looked at.
        assert first.now + first.ttl == pytest.approx(second.now + second.ttl, abs=0.002)
        (listed,) = store.all()
        assert listed.now + listed.ttl == pytest.approx(first.now + first.ttl, abs=0.002)

    def test_a_part_of_a_second_counts(self, store: Store, key: str) -> None:
        store.insert(key, b"data", 0.9)
        assert store.find(key) is not None
        time.sleep(1)
        assert not is_live(store.find(key))

    @pytest.mark.parametrize(
        "data", [b"", bytes(range(256)), b"trailing ", b"\x00", b"%s {table} ''", b"\xff" * 60_000]
    )
    def test_find_gives_back_every_byte(self, store: Store, key: str, data: bytes) -> None:
        store.insert(key, data, HOUR)
        record = store.find(key)
        assert record is not None
        assert type(record.data) is bytes
        assert record.data == data

    def test_data_of_the_largest_size_is_kept_whole(self, store: Store, key: str) -> None:
        size = store.max_data or 200_000
        store.insert(key, b"x", HOUR)
        assert store.replace(key, b"y" * size, HOUR, b"x")
        record = store.find(key)
        assert record is not None
        assert record.data == b"y" * size

    def test_find_unknown_key_is_none(self, store: Store, key: str) -> None:
        assert store.find(key) is None
        assert store.find_latest(key) is None

    def test_find_is_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", HOUR)
        assert store.find("A" + "a" * 42) is None
        assert store.find_latest("A" + "a" * 42) is None

    def test_delete_is_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", HOUR)
        assert store.delete("A" + "a" * 42) is False
        assert store.find("a" * 43) is not None

    def test_writes_are_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", HOUR)
        other = "A" + "a" * 42
        assert store.replace(other, b"new", HOUR, b"data") is False
        assert store.touch(other, -1.0, b"data") is False
        assert store.rename(other, tokens.new(), HOUR) is False
        assert store.find("a" * 43) is not None

    @pytest.mark.parametrize("find", ["find", "find_latest"])
    def test_expired_session_is_found_as_such_or_not_at_all(
        self, store: Store, key: str, find: str
    ) -> None:
        store.insert(key, b"data", -1)
        record = getattr(store, find)(key)
        assert (record is not None) == store.keeps_expired
        if record is not None:
            assert record.data == b"data"
            assert not record.is_live
            self.assert_has_left(record, -1)

    def test_find_has_what_expires_in_some_seconds(self, store: Store, key: str) -> None:
        store.insert(key, b"data", 20)
        assert store.find(key) is not None

    def test_insert_of_a_taken_key_changes_nothing(self, store: Store, key: str) -> None:
        store.insert(key, b"first", MINUTE)
        assert store.insert(key, b"second", HOUR) is False
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == b"first"
        self.assert_has_left(latest, MINUTE)

    def test_insert_of_an_expired_key_is_taken_while_it_is_kept(
        self, store: Store, key: str
    ) -> None:
        store.insert(key, b"first", -HOUR)
        assert store.insert(key, b"second", HOUR) is not store.keeps_expired
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == (b"first" if store.keeps_expired else b"second")

    def test_replace_changes_data_and_expiry(self, store: Store, key: str) -> None:
        store.insert(key, b"old", MINUTE)
        assert store.replace(key, b"new", HOUR, b"old") is True
        record = store.find(key)
        assert record is not None
        assert record.data == b"new"
        self.assert_has_left(record, HOUR)

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            (b"data", b"DATA"),
            (b"data", b"data "),
            (b"data", b"data\x00"),
            (b"\xe4", b"a"),
            (b"1", b"01"),
        ],
    )
    def test_replace_of_other_data_changes_nothing(
        self, store: Store, key: str, stored: bytes, expected: bytes
    ) -> None:
        store.insert(key, stored, HOUR)
        assert store.replace(key, b"new", HOUR, expected) is False
        assert store.touch(key, -1.0, expected) is False
        record = store.find(key)
        assert record is not None
        assert record.data == stored

    def test_replace_by_the_same_data_is_true(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        assert store.replace(key, b"data", HOUR, b"data") is True
        assert store.touch(key, HOUR, b"data") is True

    def test_a_write_of_what_is_there_is_true(self, store: Store) -> None:
        """Where the expiry is the latest that a store can keep, such a write changes nothing."""
        for size in (10, 5000):
            key, data = tokens.new(), b"x" * size
            store.insert(key, data, math.inf)
            assert store.replace(key, data, math.inf, data) is True
            assert store.touch(key, math.inf, data) is True
            assert store.touch(key, math.inf, b"y" * size) is False
            assert store.replace(key, b"y" * size, math.inf, b"y" * size) is False
            assert store.rename(key, key, math.inf, data, b"y" * size) is False
            assert store.rename(key, tokens.new(), math.inf, data, data) is True
            assert store.touch(key, math.inf, data) is False

    @pytest.mark.parametrize("size", [4095, 4096, 50_000])
    def test_large_data_is_compared_to_the_last_byte(
        self, store: Store, key: str, size: int
    ) -> None:
        data, other = b"x" * size, b"x" * (size - 1) + b"y"
        store.insert(key, data, HOUR)
        assert store.replace(key, b"new", HOUR, other) is False
        assert store.touch(key, HOUR, other) is False
        assert store.rename(key, tokens.new(), HOUR, b"new", other) is False
        assert store.touch(key, HOUR, data) is True
        assert store.replace(key, other, HOUR, data) is True
        new_key = tokens.new()
        assert store.rename(key, new_key, HOUR, b"new", other) is True
        record = store.find(new_key)
        assert record is not None
        assert record.data == b"new"

    WRITES = (
        lambda store, key: store.replace(key, b"new", HOUR, b"old"),
        lambda store, key: store.touch(key, HOUR, b"old"),
        lambda store, key: store.rename(key, tokens.new(), HOUR),
        lambda store, key: store.rename(key, tokens.new(), HOUR, b"new", b"old"),
    )

    @pytest.mark.parametrize("write", WRITES, ids=["replace", "touch", "rename", "rename data"])
    def test_write_to_a_session_that_has_just_expired_works(
        self, store: Store, key: str, write: Callable[[Store, str], bool]
    ) -> None:
        store.insert(key, b"old", -GRACE / 2)
        assert write(store, key) is store.keeps_expired
        assert len(list(store.all())) == store.keeps_expired

    @pytest.mark.parametrize("write", WRITES, ids=["replace", "touch", "rename", "rename data"])
    def test_write_to_a_session_that_has_long_expired_changes_nothing(
        self, store: Store, key: str, write: Callable[[Store, str], bool]
    ) -> None:
        store.insert(key, b"old", -GRACE * 1.5)
        assert write(store, key) is False
        assert list(store.all()) == []
        latest = store.find_latest(key)
        assert (latest is not None) == store.keeps_expired
        if latest is not None:
            assert latest.data == b"old"
            self.assert_has_left(latest, -GRACE * 1.5)

    def test_writes_to_an_unknown_key_create_nothing(self, store: Store, key: str) -> None:
        assert store.replace(key, b"new", HOUR, b"") is False
        assert store.touch(key, HOUR, b"") is False
        assert store.rename(key, tokens.new(), HOUR) is False
        assert store.delete(key) is False
        assert list(store.all()) == []

    def test_touch_changes_the_expiry_alone(self, store: Store, key: str) -> None:
        store.insert(key, b"data", MINUTE)
        assert store.touch(key, HOUR, b"data") is True
        record = store.find(key)
        assert record is not None
        assert record.data == b"data"
        self.assert_has_left(record, HOUR)

    def test_touch_can_end_a_session(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        assert store.touch(key, -1, b"data") is True
        assert not is_live(store.find(key))

    def test_rename_moves_the_session(self, store: Store, key: str) -> None:
        store.insert(key, b"data", MINUTE)
        new_key = tokens.new()
        assert store.rename(key, new_key, HOUR) is True
        assert store.find_latest(key) is None
        record = store.find(new_key)
        assert record is not None
        assert record.data == b"data"
        self.assert_has_left(record, HOUR)

    def test_rename_with_data_replaces_it_too(self, store: Store, key: str) -> None:
        store.insert(key, b"data", MINUTE)
        new_key = tokens.new()
        assert store.rename(key, new_key, HOUR, b"other", b"data") is True
        assert store.find_latest(key) is None
        record = store.find(new_key)
        assert record is not None
        assert record.data == b"other"
        self.assert_has_left(record, HOUR)

    def test_rename_of_other_data_changes_nothing(self, store: Store, key: str) -> None:
        store.insert(key, b"data", MINUTE)
        new_key = tokens.new()
        assert store.rename(key, new_key, HOUR, b"other", b"old") is False
        assert store.find_latest(new_key) is None
        record = store.find(key)
        assert record is not None
        assert record.data == b"data"
        self.assert_has_left(record, MINUTE)

    @pytest.mark.parametrize("data", [None, b"new"])
    def test_rename_in_parallel_has_one_winner(
        self, store: Store, key: str, data: bytes | None
    ) -> None:
        store.insert(key, b"data", HOUR)
        expected = None if data is None else b"data"
        calls = [lambda: store.rename(key, tokens.new(), HOUR, data, expected) for _ in range(6)]
        assert sorted(in_parallel(*calls)) == [False] * 5 + [True]
        assert len(list(store.all())) == 1

    def test_replace_in_parallel_has_one_winner(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        calls = [lambda n=n: store.replace(key, b"%d" % n, HOUR, b"data") for n in range(6)]
        assert sorted(in_parallel(*calls)) == [False] * 5 + [True]

    def test_delete_removes_one_session(self, store: Store, key: str) -> None:
        other = tokens.new()
        store.insert(key, b"data", HOUR)
        store.insert(other, b"data", HOUR)
        assert store.delete(key) is True
        assert store.delete(key) is False
        assert store.find_latest(key) is None
        assert store.find(other) is not None

    def test_delete_expired_leaves_the_live(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        expired = self.insert_expired(store, 3)
        assert store.delete_expired(100) == 3 * store.keeps_expired
        assert [store.find_latest(each) for each in expired] == [None] * 3
        assert store.find(key) is not None
        assert store.delete_expired(100) == 0

    def test_delete_expired_stops_at_its_limit(self, store: Store) -> None:
        expired = self.insert_expired(store, 5)
        assert store.delete_expired(2) == 2 * store.keeps_expired
        left = sum(store.find_latest(each) is not None for each in expired)
        assert left == 3 * store.keeps_expired

    def test_delete_expired_begins_with_the_oldest(self, store: Store) -> None:
        ages = {tokens.new(): age for age in (200, 500, 300, 400, 100)}
        for key, age in ages.items():
            store.insert(key, b"old", -age)
        store.delete_expired(2)
        left = [age for key, age in ages.items() if store.find_latest(key) is not None]
        assert sorted(left) == ([100, 200, 300] if store.keeps_expired else [])

    def test_all_yields_the_live_alone(self, store: Store) -> None:
        keys = {tokens.new() for _ in range(5)}
        for key in keys:
            store.insert(key, key.encode(), HOUR)
        self.insert_expired(store, 2)
        records = list(store.all())
        assert {record.key for record in records} == keys
        assert all(record.data == record.key.encode() for record in records)
        for record in records:
            self.assert_has_left(record, HOUR)

    def test_all_bears_changes_on_the_way(self, store: Store) -> None:
        for _ in range(5):
            store.insert(tokens.new(), b"data", HOUR)
        assert sum(store.delete(record.key) for record in store.all()) == 5

    @pytest.mark.parametrize("ttl", [12 * YEAR, 8000 * YEAR, 1e30, math.inf])
    def test_a_time_that_is_too_long_is_shortened(self, store: Store, key: str, ttl: float) -> None:
        for write in (
            lambda: store.insert(key, b"data", ttl),
            lambda: store.replace(key, b"data", ttl, b"data"),
            lambda: store.touch(key, ttl, b"data"),
            lambda: store.rename(key, key[::-1], ttl),
        ):
            assert write() is True
            record = store.find(key) or store.find(key[::-1])
            assert record is not None
            assert record.ttl == pytest.approx(min(ttl, store.max_ttl), abs=A_MOMENT)
        assert store.max_ttl > YEAR

    @pytest.mark.parametrize("ttl", [-100 * YEAR, -1e30, -math.inf, math.nan])
    def test_a_time_in_a_distant_past_is_dead(self, store: Store, key: str, ttl: float) -> None:
        assert store.insert(key, b"data", ttl)
        assert not is_live(store.find(key))
        store.insert(other := tokens.new(), b"data", HOUR)
        assert store.replace(other, b"new", ttl, b"data") is True
        assert not is_live(store.find(other))

    def test_a_write_inside_no_transaction_is_final(self, store: Store, key: str) -> None:
        store.insert(key, b"data", HOUR)
        assert store.fate() is None
