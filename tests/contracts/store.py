"""The suite of ``django_scs.stores.base.Store``."""

from datetime import UTC, datetime, timedelta

import pytest

from django_scs import tokens
from django_scs.stores.base import Record, Store

from .tools import A_MILLISECOND, HOUR, MINUTE, in_parallel, now, past, soon


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
            assert store.insert(key, b"old", past())
        return keys

    def test_find_returns_what_was_inserted(self, store: Store, key: str) -> None:
        expiry = soon()
        assert store.insert(key, b"data", expiry) is True
        record = store.find(key)
        assert isinstance(record, Record)
        assert (record.key, record.data) == (key, b"data")
        assert abs(record.expiry - expiry) <= A_MILLISECOND
        assert record.expiry.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "data", [b"", bytes(range(256)), b"trailing ", b"\x00", b"%s {table} ''", b"\xff" * 60_000]
    )
    def test_find_gives_back_every_byte(self, store: Store, key: str, data: bytes) -> None:
        store.insert(key, data, soon())
        record = store.find(key)
        assert record is not None
        assert type(record.data) is bytes
        assert record.data == data

    def test_data_of_the_largest_size_is_kept_whole(self, store: Store, key: str) -> None:
        size = store.max_data or 200_000
        store.insert(key, b"x", soon())
        assert store.replace(key, b"y" * size, soon(), b"x")
        record = store.find(key)
        assert record is not None
        assert record.data == b"y" * size

    def test_find_unknown_key_is_none(self, store: Store, key: str) -> None:
        assert store.find(key) is None
        assert store.find_latest(key) is None

    def test_find_is_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", soon())
        assert store.find("A" + "a" * 42) is None
        assert store.find_latest("A" + "a" * 42) is None

    def test_delete_is_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", soon())
        assert store.delete("A" + "a" * 42) is False
        assert store.find("a" * 43) is not None

    def test_writes_are_exact_about_case(self, store: Store) -> None:
        store.insert("a" * 43, b"data", soon())
        other = "A" + "a" * 42
        assert store.replace(other, b"new", soon(), b"data") is False
        assert store.touch(other, past(), b"data") is False
        assert store.rename(other, tokens.new(), soon()) is False
        assert store.find("a" * 43) is not None

    def test_find_expired_is_none_and_find_latest_has_it(self, store: Store, key: str) -> None:
        store.insert(key, b"data", now() - timedelta(seconds=1))
        assert store.find(key) is None
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == b"data"

    def test_find_has_what_expires_in_some_seconds(self, store: Store, key: str) -> None:
        store.insert(key, b"data", now() + timedelta(seconds=20))
        assert store.find(key) is not None

    @pytest.mark.parametrize("live", [True, False])
    def test_insert_of_a_taken_key_changes_nothing(
        self, store: Store, key: str, live: bool
    ) -> None:
        expiry = soon() if live else past()
        store.insert(key, b"first", expiry)
        assert store.insert(key, b"second", soon()) is False
        latest = store.find_latest(key)
        assert latest is not None
        assert latest.data == b"first"
        assert abs(latest.expiry - expiry) <= A_MILLISECOND

    def test_replace_changes_data_and_expiry(self, store: Store, key: str) -> None:
        store.insert(key, b"old", now() + MINUTE)
        expiry = soon()
        assert store.replace(key, b"new", expiry, b"old") is True
        record = store.find(key)
        assert record is not None
        assert record.data == b"new"
        assert abs(record.expiry - expiry) <= A_MILLISECOND

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
        store.insert(key, stored, soon())
        assert store.replace(key, b"new", soon(), expected) is False
        assert store.touch(key, past(), expected) is False
        record = store.find(key)
        assert record is not None
        assert record.data == stored

    def test_replace_by_the_same_data_is_true(self, store: Store, key: str) -> None:
        expiry = soon()
        store.insert(key, b"data", expiry)
        assert store.replace(key, b"data", expiry, b"data") is True
        assert store.touch(key, expiry, b"data") is True

    def test_replace_of_an_expired_session_works(self, store: Store, key: str) -> None:
        store.insert(key, b"old", past())
        assert store.replace(key, b"new", soon(), b"old") is True
        assert store.find(key) is not None

    def test_writes_to_an_unknown_key_create_nothing(self, store: Store, key: str) -> None:
        assert store.replace(key, b"new", soon(), b"") is False
        assert store.touch(key, soon(), b"") is False
        assert store.rename(key, tokens.new(), soon()) is False
        assert store.delete(key) is False
        assert list(store.all()) == []

    def test_touch_changes_the_expiry_alone(self, store: Store, key: str) -> None:
        store.insert(key, b"data", now() + MINUTE)
        expiry = soon()
        assert store.touch(key, expiry, b"data") is True
        record = store.find(key)
        assert record is not None
        assert record.data == b"data"
        assert abs(record.expiry - expiry) <= A_MILLISECOND

    def test_rename_moves_the_session(self, store: Store, key: str) -> None:
        store.insert(key, b"data", now() + MINUTE)
        new_key, expiry = tokens.new(), soon()
        assert store.rename(key, new_key, expiry) is True
        assert store.find_latest(key) is None
        record = store.find(new_key)
        assert record is not None
        assert record.data == b"data"
        assert abs(record.expiry - expiry) <= A_MILLISECOND

    def test_rename_in_parallel_has_one_winner(self, store: Store, key: str) -> None:
        store.insert(key, b"data", soon())
        calls = [lambda: store.rename(key, tokens.new(), soon()) for _ in range(6)]
        assert sorted(in_parallel(*calls)) == [False] * 5 + [True]
        assert len(list(store.all())) == 1

    def test_replace_in_parallel_has_one_winner(self, store: Store, key: str) -> None:
        store.insert(key, b"data", soon())
        calls = [lambda n=n: store.replace(key, b"%d" % n, soon(), b"data") for n in range(6)]
        assert sorted(in_parallel(*calls)) == [False] * 5 + [True]

    def test_delete_removes_one_session(self, store: Store, key: str) -> None:
        other = tokens.new()
        store.insert(key, b"data", soon())
        store.insert(other, b"data", soon())
        assert store.delete(key) is True
        assert store.delete(key) is False
        assert store.find_latest(key) is None
        assert store.find(other) is not None

    def test_delete_expired_leaves_the_live(self, store: Store, key: str) -> None:
        store.insert(key, b"data", soon())
        expired = self.insert_expired(store, 3)
        assert store.delete_expired(100) == 3
        assert [store.find_latest(each) for each in expired] == [None] * 3
        assert store.find(key) is not None
        assert store.delete_expired(100) == 0

    def test_delete_expired_stops_at_its_limit(self, store: Store) -> None:
        expired = self.insert_expired(store, 5)
        assert store.delete_expired(2) == 2
        assert sum(store.find_latest(each) is not None for each in expired) == 3

    def test_all_yields_the_live_alone(self, store: Store) -> None:
        keys = {tokens.new() for _ in range(5)}
        for key in keys:
            store.insert(key, key.encode(), soon())
        self.insert_expired(store, 2)
        records = list(store.all())
        assert {record.key for record in records} == keys
        assert all(record.data == record.key.encode() for record in records)
        assert all(abs(record.expiry - soon()) < MINUTE for record in records)

    def test_all_bears_changes_on_the_way(self, store: Store) -> None:
        for _ in range(5):
            store.insert(tokens.new(), b"data", soon())
        assert sum(store.delete(record.key) for record in store.all()) == 5

    @pytest.mark.parametrize("year", [2039, 2100, 9999])
    def test_expiry_in_a_distant_year_is_live(self, store: Store, key: str, year: int) -> None:
        assert store.insert(key, b"data", datetime(year, 12, 31, 23, 59, 59, 999_999, UTC))
        record = store.find(key)
        assert record is not None
        assert record.expiry > now() + 365 * 24 * HOUR

    def test_expiry_in_a_distant_past_is_dead(self, store: Store, key: str) -> None:
        assert store.insert(key, b"data", datetime(1, 1, 1, tzinfo=UTC))
        assert store.find(key) is None
