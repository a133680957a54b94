"""Requests that overlap, on one server and on a Cluster: one winner, and no acknowledged save lost."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from django_scs import tokens
from django_scs.backends import base
from django_scs.stores.redis import RedisStore
from tests.contracts.tools import in_parallel
from tests.redis_servers import client_of, cluster_store
from tests.servers import Redis, RedisCluster

HOUR = 3600.0
RENEWALS = SAVERS = 4
MOMENT = 0.003
KINDS = ("one server", "cluster")


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, redis_server: Redis, redis_cluster: RedisCluster
) -> Iterator[RedisStore]:
    if request.param == "cluster":
        with cluster_store(redis_cluster) as (store, _):
            yield store
    else:
        with client_of(redis_server) as client:
            client.flushall()
            yield RedisStore(client)


def save(store: RedisStore, key: str, mark: bytes) -> bool:
    """Append a mark as a request does; False if the session is not there any more."""
    while (record := store.find(key)) is not None:
        if store.replace(key, record.data + mark, HOUR, record.data):
            return True
    return False


def renew(store: RedisStore, key: str, new_key: str) -> bool:
    """Rename a session, after a moment in which some of the savers have saved."""
    time.sleep(random.uniform(0, MOMENT))
    return store.rename(key, new_key, HOUR)


def test_renewals_and_savers(store: RedisStore, request: pytest.FixtureRequest, full: bool) -> None:
    rounds = 1000 if full else 50
    acknowledged = missing = alive = 0
    winners: list[int] = []
    for _ in range(rounds):
        key = tokens.new()
        store.insert(key, b"", HOUR)
        new_keys = [tokens.new() for _ in range(RENEWALS)]
        renewals = [partial(renew, store, key, new_key) for new_key in new_keys]
        savers = [partial(save, store, key, b"%d;" % number) for number in range(SAVERS)]
        results = in_parallel(*renewals, *savers)
        won = [new for new, result in zip(new_keys, results, strict=False) if result is True]
        saved = [n for n, result in enumerate(results[RENEWALS:]) if result is True]
        assert all(type(result) is bool for result in results), results
        winners.append(len(won))
        alive += store.find(key) is not None
        record = store.find(won[0])
        assert record is not None
        marks = record.data.split(b";")[:-1]
        acknowledged += len(saved)
        missing += len({b"%d" % n for n in saved} - set(marks))
        assert record.ttl > HOUR - 60
        assert store.delete(won[0])
    print(
        f"\n{rounds} rounds of {RENEWALS} renewals and {SAVERS} savers"
        f" ({request.node.callspec.params['store']}): {winners.count(1)} with one winner,"
        f" {alive} old tokens alive, {acknowledged} saves acknowledged, {missing} missing"
    )
    assert winners == [1] * rounds
    assert alive == missing == 0
    assert acknowledged
    assert list(store.all()) == []


def test_renewal_against_destruction(store: RedisStore, full: bool) -> None:
    for _ in range(300 if full else 50):
        store.insert(key := tokens.new(), b"data", HOUR)
        new_key = tokens.new()
        renewed, destroyed = in_parallel(
            partial(store.rename, key, new_key, HOUR), partial(store.delete, key)
        )
        assert renewed is not destroyed
        assert store.find(key) is None
        assert (store.find(new_key) is not None) is renewed
        store.delete(new_key)


@pytest.fixture
def sessions(store: RedisStore) -> type[base.SessionStore]:
    """Return the session class on the store."""

    class SessionStore(base.SessionStore):
        @classmethod
        def get_store(cls) -> Any:
            return store

    return SessionStore


def saved(sessions: type[base.SessionStore], **values: Any) -> str:
    session = sessions()
    session.update(values)
    session.save()
    return str(session.session_key)


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"\n{what}: {time.perf_counter() - start:.2f} s")


def test_parallel_saves_are_merged(sessions: type[base.SessionStore], full: bool) -> None:
    writers, writes = (20, 20) if full else (20, 5)
    token = saved(sessions, log=[])

    def write(number: int) -> Callable[[], None]:
        def run() -> None:
            for turn in range(writes):
                session = sessions(token)
                session["log"] = [*session["log"], f"{number}.{turn}"]
                session[f"key {number}"] = turn
                session.save()

        return run

    with timed(f"{writers} writers x {writes} saves of one session"):
        results = in_parallel(*map(write, range(writers)))
    assert results == [None] * writers
    found = sessions(token).load()
    assert sorted(found.pop("log")) == sorted(
        f"{n}.{t}" for n in range(writers) for t in range(writes)
    )
    assert found == {f"key {n}": writes - 1 for n in range(writers)}


def test_one_of_parallel_takes_gets_the_flash(sessions: type[base.SessionStore]) -> None:
    for _ in range(20):
        token = saved(sessions, flash="hi", other=1)
        taken = in_parallel(*[lambda t=token: sessions(t).take("flash") for _ in range(6)])
        assert sorted(map(str, taken)) == ["None"] * 5 + ["hi"]
        assert sessions(token).load() == {"other": 1}


def test_saves_do_not_bring_back_what_was_flushed(sessions: type[base.SessionStore]) -> None:
    for _ in range(20):
        token = saved(sessions, a=1)

        def save(number: int, token: str = token) -> None:
            session = sessions(token)
            session[f"b{number}"] = 1
            session.save()

        in_parallel(*[lambda n=n: save(n) for n in range(4)], lambda t=token: sessions(t).flush())
        assert sessions(token).load() == {}
