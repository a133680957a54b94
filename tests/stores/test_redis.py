"""The store in Redis: the contract on one server and on a Cluster, and what it adds to it."""

import importlib
import logging
import math
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import get_random_string
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.credentials import UsernamePasswordCredentialProvider
from redis.retry import Retry
from redis.sentinel import Sentinel

from django_scs import backoff, tokens
from django_scs.exceptions import SessionBusy
from django_scs.stores import redis as redis_store
from django_scs.stores import scripts
from django_scs.stores.redis import RedisStore, from_settings
from django_scs.stores.redis_wire import NotReplicated, Pool, _Lent
from tests.contracts.store import HOUR, StoreContract
from tests.contracts.tools import in_parallel
from tests.redis_servers import client_of, cluster_client, cluster_store
from tests.servers import Redis, RedisCluster

DAY = 24 * HOUR


@pytest.fixture
def client(redis_server: Redis) -> Iterator[redis.Redis]:
    """Return a client of an empty server, beside the store's own."""
    with client_of(redis_server) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(redis_server: Redis, client: redis.Redis) -> Iterator[RedisStore]:
    with closing(Pool.from_url(redis_server.url)) as pool:
        yield RedisStore(redis.Redis(connection_pool=pool))


@pytest.fixture
def key() -> str:
    return tokens.new()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.3)


def name_of(key: str) -> str:
    return f"scs:session:{key}"


def tombstone_of(key: str) -> str:
    return f"dead:{{scs:session:{key}}}"


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_server: Redis, client: redis.Redis) -> Iterator[RedisStore]:
        with client_of(redis_server) as own:
            yield RedisStore(own)


class TestRedisStoreOnRedisCluster(StoreContract):
    @pytest.fixture
    def store(self, redis_cluster: RedisCluster) -> Iterator[RedisStore]:
        with cluster_store(redis_cluster) as (store, _):
            yield store


class TestRedisStoreInOneSlotOfACluster(StoreContract):
    @pytest.fixture
    def store(self, redis_cluster: RedisCluster) -> Iterator[RedisStore]:
        with cluster_store(redis_cluster, "{app}:scs:") as (store, _):
            yield store


class TestRedisStoreOfAClientThatDecodes(StoreContract):
    @pytest.fixture
    def store(self, redis_server: Redis, client: redis.Redis) -> Iterator[RedisStore]:
        with client_of(redis_server, decode_responses=True, protocol=2) as own:
            yield RedisStore(own, "app[1]*?^:")


# Tombstones


@pytest.mark.parametrize("bury", ["delete", "rename", "rename data"])
def test_find_buries_what_go_brought_back(
    store: RedisStore, client: redis.Redis, key: str, bury: str
) -> None:
    store.insert(key, b"data", HOUR)
    {
        "delete": lambda: store.delete(key),
        "rename": lambda: store.rename(key, tokens.new(), HOUR),
        "rename data": lambda: store.rename(key, tokens.new(), HOUR, b"new", b"data"),
    }[bury]()
    client.set(name_of(key), b"data", px=60_000)
    assert store.find(key) is None
    assert client.get(name_of(key)) is None


def test_writes_leave_alone_what_go_brought_back(
    store: RedisStore, client: redis.Redis, key: str
) -> None:
    store.insert(key, b"data", HOUR)
    store.delete(key)
    client.set(name_of(key), b"data", px=60_000)
    assert list(store.all()) == []
    assert store.replace(key, b"new", HOUR, b"data") is False
    assert store.touch(key, HOUR, b"data") is False
    assert store.rename(key, tokens.new(), HOUR) is False
    assert store.rename(key, tokens.new(), HOUR, b"new", b"data") is False
    assert store.insert(key, b"new", HOUR) is False
    assert store.delete(key) is False
    assert client.get(name_of(key)) is None
    assert store.insert(key, b"new", HOUR) is False


@pytest.mark.parametrize(("ttl", "life"), [(60, DAY), (30 * DAY, 30 * DAY)])
def test_tombstone_lives_as_long_as_the_session_would_have_and_a_day_at_least(
    store: RedisStore, client: redis.Redis, ttl: float, life: float
) -> None:
    deleted, renamed, new = tokens.new(), tokens.new(), tokens.new()
    for each in (deleted, renamed):
        store.insert(each, b"data", ttl)
    store.delete(deleted)
    store.rename(renamed, new, HOUR)
    for each in (deleted, renamed):
        left = client.pttl(tombstone_of(each)) / 1000
        assert life - 20 < left <= life
    assert sorted(client.keys()) == sorted(
        text.encode() for text in (tombstone_of(deleted), tombstone_of(renamed), name_of(new))
    )


def test_delete_of_nothing_leaves_no_tombstone(
    store: RedisStore, client: redis.Redis, key: str
) -> None:
    assert store.delete(key) is False
    assert client.keys() == []


def test_key_without_expiry_is_no_session(store: RedisStore, client: redis.Redis, key: str) -> None:
    """scs's go-redis store leaves such a key when it commits after the deadline."""
    client.set(name_of(key), b"data")
    assert store.find(key) is None
    assert list(store.all()) == []
    assert store.replace(key, b"new", HOUR, b"data") is False
    assert store.touch(key, HOUR, b"data") is False
    assert store.rename(key, tokens.new(), HOUR) is False
    assert store.insert(key, b"new", HOUR) is False
    assert client.get(name_of(key)) == b"data"
    assert store.delete(key) is False
    assert client.get(name_of(key)) is None


def test_rename_to_a_key_that_is_taken_is_an_error(store: RedisStore, key: str) -> None:
    other = tokens.new()
    store.insert(key, b"data", HOUR)
    store.insert(other, b"other", HOUR)
    for change in ((), (b"new", b"data")):
        with pytest.raises(errors.ResponseError, match="taken"):
            store.rename(key, other, HOUR, *change)
    assert store.find(key) is not None
    record = store.find(other)
    assert record is not None
    assert record.data == b"other"


@pytest.mark.parametrize("prefix", ["scs:session:", "app:", "{app}:scs:", "a{b}c:", "a:[*]?\\^-:"])
def test_prefix_finds_its_own_sessions_alone(
    redis_server: Redis, client: redis.Redis, key: str, prefix: str
) -> None:
    with client_of(redis_server) as own:
        store = RedisStore(own, prefix)
        store.insert(key, b"data", HOUR)
        client.set(f"other{prefix}{key}", b"", px=60_000)
        client.set("a:xxxxxxx:" + key, b"", px=60_000)
        client.set("dead:" + key, b"", px=60_000)
        assert client.get(f"{prefix}{key}") == b"data"
        assert [record.key for record in store.all()] == [key]
        store.delete(key)


@pytest.mark.parametrize("prefix", ["", "a{", "}b", "{}:", "{a}{b}", "{a"])
def test_prefix_whose_tombstones_would_lie_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="hash tag"):
        RedisStore(redis.Redis(), prefix)


@pytest.mark.parametrize("prefix", ["scs:session:", "{app}:scs:", "a{b}c:"])
def test_tombstone_lies_in_the_slot_of_its_session(prefix: str, key: str) -> None:
    names = RedisStore(redis.Redis(), prefix)._names(key)
    assert len({redis.crc.key_slot(bytes(name)) for name in names}) == 1


# One trip an operation


OPERATIONS: dict[str, Callable[[RedisStore, str], Any]] = {
    "find": lambda store, key: store.find(key),
    "find_latest": lambda store, key: store.find_latest(key),
    "insert": lambda store, key: store.insert(tokens.new(), b"", HOUR),
    "touch": lambda store, key: store.touch(key, HOUR, b"data"),
    "replace": lambda store, key: store.replace(key, b"new", HOUR, b"data"),
    "rename": lambda store, key: store.rename(key, tokens.new(), HOUR),
    "delete": lambda store, key: store.delete(key),
    "all": lambda store, key: list(store.all()),
}


def commands_of(client: redis.Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"all"}))
def test_operation_is_one_command(
    store: RedisStore, client: redis.Redis, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    OPERATIONS[name](store, key)
    store.insert(key := tokens.new(), b"data", HOUR)
    # Four plain commands in one trip are one "command" too: GETEX is the first of them.
    kind = "cmdstat_getex" if name.startswith("find") else "cmdstat_evalsha"
    before = client.info("commandstats")
    assert OPERATIONS[name](store, key)
    after = client.info("commandstats")
    assert after[kind]["calls"] == before[kind]["calls"] + 1
    assert {"cmdstat_getex", "cmdstat_evalsha"} - {kind} <= {
        other for other in before if before[other]["calls"] == after[other]["calls"]
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_script_that_the_server_has_forgotten_is_sent_again(
    store: RedisStore, client: redis.Redis, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    client.script_flush()
    assert OPERATIONS[name](store, key)


def test_delete_expired_asks_nothing(store: RedisStore, client: redis.Redis) -> None:
    before = commands_of(client)
    assert store.delete_expired(100) == 0
    assert store.fate() is None
    assert commands_of(client) == before + 1


def test_all_reads_page_by_page(
    store: RedisStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_PAGE", 20)
    keys = {tokens.new() for _ in range(200)}
    for each in keys:
        store.insert(each, b"data", HOUR)
    records = store.all()
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    next(records)
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before < 100
    assert {record.key for record in records} < keys


# Errors


class Proxy:
    """Stands between a client and a server, and can cut a connection instead of giving a reply."""

    def __init__(self, server: Redis) -> None:
        self.server = server
        self.cut_before = self.cut_after = 0
        self.delay = 0.0
        self.seen: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.server.port))
            threading.Thread(target=self._serve, args=[near, far], daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            # What is pipelined here is short, and so are the replies to it.
            while request := near.recv(1 << 16):
                script = b"EVAL" in request[:20] or b"GETEX" in request[:20]
                if script:
                    self.seen.append(request)
                if script and self.cut_before:
                    self.cut_before -= 1
                    return
                far.sendall(request)
                reply = far.recv(1 << 16)
                time.sleep(self.delay)
                if script and self.cut_after and not reply.startswith(b"-NOSCRIPT"):
                    self.cut_after -= 1
                    return
                near.sendall(reply)


@pytest.fixture
def proxy(redis_server: Redis) -> Iterator[Proxy]:
    proxy = Proxy(redis_server)
    with closing(proxy):
        yield proxy


@pytest.fixture
def through_proxy(proxy: Proxy, redis_server: Redis, client: redis.Redis) -> Iterator[RedisStore]:
    with redis.Redis(port=proxy.port, password=redis_server.password) as own:
        yield RedisStore(own)


REPEATED = ("find", "insert", "rename", "rename data", "delete")
WRITES: dict[str, Callable[[RedisStore, str], Any]] = {
    **OPERATIONS,
    "rename data": lambda store, key: store.rename(key, tokens.new(), HOUR, b"new", b"data"),
}


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
@pytest.mark.parametrize("name", REPEATED)
def test_operation_whose_reply_was_lost_is_recognised(
    through_proxy: RedisStore, proxy: Proxy, client: redis.Redis, key: str, name: str, cut: str
) -> None:
    through_proxy.insert(key, b"data", HOUR)
    setattr(proxy, cut, 3)
    assert WRITES[name](through_proxy, key)
    assert getattr(proxy, cut) == 0
    sessions = client.keys("scs:session:*")
    assert len(sessions) == {"insert": 2, "delete": 0}.get(name, 1)


def test_operation_that_another_was_faster_with_is_false_also_without_a_reply(
    through_proxy: RedisStore, store: RedisStore, proxy: Proxy, key: str
) -> None:
    through_proxy.insert(key, b"data", HOUR)
    assert store.rename(key, tokens.new(), HOUR)
    for name in ("rename", "rename data", "delete"):
        proxy.cut_after = 1
        assert WRITES[name](through_proxy, key) is False
    other = tokens.new()
    store.insert(other, b"other", HOUR)
    proxy.cut_before = 1
    assert through_proxy.insert(other, b"data", HOUR) is False


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
@pytest.mark.parametrize("name", ["replace", "touch"])
def test_replace_and_touch_whose_reply_was_lost_raise_and_are_not_repeated(
    through_proxy: RedisStore, proxy: Proxy, key: str, name: str, cut: str
) -> None:
    through_proxy.insert(key, b"data", HOUR)
    OPERATIONS["find"](through_proxy, key)
    WRITES[name](through_proxy, tokens.new())
    proxy.seen.clear()
    setattr(proxy, cut, 1)
    with pytest.raises(errors.ConnectionError):
        WRITES[name](through_proxy, key)
    assert len(proxy.seen) == 1
    record = through_proxy.find(key)
    assert record is not None
    assert record.data == (b"new" if (name, cut) == ("replace", "cut_after") else b"data")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", WRITES)
def test_server_that_is_gone_is_an_error_and_no_missing_session(key: str, name: str) -> None:
    with Redis() as server, client_of(server) as own:
        store = RedisStore(own)
        store.insert(key, b"data", HOUR)
        server.kill()
        started = time.monotonic()
        with pytest.raises(errors.ConnectionError):
            WRITES[name](store, key)
        assert 0.25 < time.monotonic() - started < 3
        server.start()
        assert store.find(key) is None


@pytest.mark.usefixtures("impatient")
def test_sentinels_that_are_gone_are_an_error_in_time(key: str) -> None:
    with closing(Sentinel([("127.0.0.1", 1), ("127.0.0.1", 2)]).master_for("sessions")) as own:
        started = time.monotonic()
        with pytest.raises(errors.ConnectionError):
            RedisStore(own).find(key)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", ["find", "replace", "rename", "delete"])
def test_server_that_comes_back_is_waited_for(key: str, name: str) -> None:
    with Redis("--appendonly", "yes") as server, client_of(server) as own:
        store = RedisStore(own)
        store.insert(key, b"data", HOUR)
        own.connection_pool.disconnect()
        server.kill()
        threading.Timer(0.5, server.start).start()
        assert WRITES[name](store, key)
        while not server.answers():
            time.sleep(0.05)


@pytest.mark.parametrize("name", WRITES)
def test_full_memory_is_an_error_and_renewal_and_logout_work(
    store: RedisStore, client: redis.Redis, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    client.config_set("maxmemory", 1)
    try:
        if name in ("insert", "replace"):
            with pytest.raises(errors.OutOfMemoryError):
                WRITES[name](store, key)
        else:
            assert WRITES[name](store, key)
    finally:
        client.config_set("maxmemory", 0)
    assert store.find(key) is not None or name in ("rename", "rename data", "delete")


def test_snapshots_that_fail_are_an_error_and_no_missing_session(key: str) -> None:
    with Redis() as server, client_of(server) as own, client_of(server) as client:
        store = RedisStore(own)
        store.insert(key, b"data", HOUR)
        client.config_set("save", "3600 1")
        server.folder.chmod(0o500)
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            time.sleep(0.05)
        for name in WRITES:
            with pytest.raises(errors.ResponseError, match="MISCONF"):
                WRITES[name](store, key)
        client.config_set("stop-writes-on-bgsave-error", "no")
        assert store.find(key) is not None
        server.folder.chmod(0o700)


# What docs/redis.md says that a user of Redis needs.
RIGHTS = (
    "+evalsha +eval +get +getex +set +del +exists +pexpire +pexpireat +pttl +renamenx +time +scan"
    " +wait +ping +hello +select"
)


@pytest.fixture
def with_rights(redis_server: Redis, client: redis.Redis) -> Iterator[Callable[..., RedisStore]]:
    """Return what opens a store for a user who has some rights."""
    opened: list[redis.Redis] = []

    def open_store(*rights: str) -> RedisStore:
        client.execute_command("ACL", "SETUSER", "scs", "reset", "on", ">secret", *rights)
        opened.append(redis.Redis(port=redis_server.port, username="scs", password="secret"))
        return RedisStore(opened[-1])

    yield open_store
    for own in opened:
        own.close()
    client.execute_command("ACL", "DELUSER", "scs")


@pytest.mark.parametrize("name", WRITES)
def test_rights_of_the_documentation_are_enough(
    with_rights: Any, store: RedisStore, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    own = with_rights("~scs:session:*", "~dead:{scs:session:*", *RIGHTS.split())
    assert WRITES[name](own, key)


def test_find_needs_no_right_that_its_script_does_without(
    with_rights: Any, store: RedisStore, key: str
) -> None:
    store.insert(key, b"data", HOUR)
    rights = [right for right in RIGHTS.split() if right != "+getex"]
    record = with_rights("~scs:session:*", "~dead:{scs:session:*", *rights).find(key)
    assert record is not None
    assert record.data == b"data"


def test_all_needs_the_right_to_look_for_tombstones(
    with_rights: Any, store: RedisStore, key: str
) -> None:
    store.insert(key, b"data", HOUR)
    rights = [right for right in RIGHTS.split() if right != "+exists"]
    own = with_rights("~scs:session:*", "~dead:{scs:session:*", *rights)
    with pytest.raises(errors.ResponseError):
        list(own.all())


def test_rights_of_the_documentation_are_enough_on_a_cluster(redis_cluster: RedisCluster) -> None:
    rights = ["~scs:session:*", "~dead:{scs:session:*", *RIGHTS.split()]
    for node in redis_cluster.nodes:
        with client_of(node) as each:
            each.execute_command(
                *("ACL", "SETUSER", "scs", "reset", "on", ">secret", *rights),
                *("+command", "+cluster|slots", "+asking"),
            )
    start = ClusterNode("127.0.0.1", redis_cluster.nodes[0].port)
    with closing(
        redis.RedisCluster(startup_nodes=[start], username="scs", password="secret")
    ) as own:
        store = RedisStore(own)
        for name in WRITES:
            store.insert(key := tokens.new(), b"data", HOUR)
            assert WRITES[name](store, key)
    for node in redis_cluster.nodes:
        with client_of(node) as each:
            each.execute_command("ACL", "DELUSER", "scs")


def test_rights_are_those_of_the_documentation() -> None:
    documentation = Path(__file__).parents[2] / "docs" / "redis.md"
    assert RIGHTS.split() == re.findall(
        r"\+\w+", documentation.read_text().partition("ACL SETUSER")[2].partition("```")[0]
    )


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"all"}))
def test_no_rights_are_an_error_and_no_missing_session(
    with_rights: Any, store: RedisStore, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    own = with_rights("~other:*", "+@all")
    with pytest.raises((errors.NoPermissionError, errors.ResponseError)):
        WRITES[name](own, key)
    assert store.find(key) is not None


def test_wrong_password_is_an_error_at_once(redis_server: Redis, key: str) -> None:
    with redis.Redis(port=redis_server.port, password="wrong") as own:
        started = time.monotonic()
        with pytest.raises(errors.AuthenticationError):
            RedisStore(own).find(key)
        assert time.monotonic() - started < 2


def test_too_few_replicas_are_an_error_and_no_missing_session(
    store: RedisStore, client: redis.Redis, key: str
) -> None:
    store.insert(key, b"data", HOUR)
    client.config_set("min-replicas-to-write", 1)
    try:
        for name in WRITES:
            with pytest.raises(errors.ResponseError, match="NOREPLICAS"):
                print(name, WRITES[name](store, key))
    finally:
        client.config_set("min-replicas-to-write", 0)
    assert store.find(key) is not None


@pytest.mark.usefixtures("impatient")
def test_replica_is_an_error_and_no_missing_session(redis_server: Redis, key: str) -> None:
    with Redis() as replica, client_of(replica) as own:
        own.config_set("masterauth", redis_server.password)
        own.replicaof("127.0.0.1", redis_server.port)
        store = RedisStore(own)
        for name in WRITES:
            with pytest.raises(errors.ReadOnlyError):
                WRITES[name](store, key)


@pytest.mark.parametrize("name", ["replace", "all"])
def test_busy_server_is_waited_for(
    store: RedisStore, redis_server: Redis, key: str, name: str
) -> None:
    store.insert(key, b"data", HOUR)
    with client_of(redis_server, retry=None) as other, client_of(redis_server) as killer:
        before = killer.config_get("busy-reply-threshold")
        killer.config_set("busy-reply-threshold", 50)

        def hang() -> None:
            with pytest.raises(errors.ResponseError):
                other.eval("while true do end", 0)

        thread = threading.Thread(target=hang)
        thread.start()
        time.sleep(0.2)
        threading.Timer(0.3, killer.script_kill).start()
        assert WRITES[name](store, key)
        thread.join()
        killer.config_set("busy-reply-threshold", before["busy-reply-threshold"])


# Replicas


def test_wait_for_replicas_that_do_not_exist_is_an_error_after_the_write(
    redis_server: Redis, client: redis.Redis, key: str
) -> None:
    with client_of(redis_server) as own:
        store = RedisStore(own, replicas=1)
        with pytest.raises(NotReplicated, match="0 of 1 replicas"):
            store.insert(key, b"data", HOUR)
        assert client.get(name_of(key)) == b"data"
        assert store.find(key) is not None


def test_wait_for_replicas_ends_before_the_client_gives_up(
    redis_server: Redis, key: str, impatient: None
) -> None:
    with (
        client_of(redis_server, socket_timeout=0.4) as own,
        pytest.raises(NotReplicated, match="within 200 ms"),
    ):
        RedisStore(own, replicas=1).insert(key, b"data", HOUR)


def test_wait_for_replicas_asks_on_the_same_connection(redis_server: Redis, key: str) -> None:
    with Redis() as replica, client_of(replica) as follower, client_of(redis_server) as own:
        follower.config_set("masterauth", redis_server.password)
        follower.replicaof("127.0.0.1", redis_server.port)
        while follower.info("replication")["master_link_status"] != "up":
            time.sleep(0.05)
        store = RedisStore(own, replicas=1)
        own.script_flush()
        for name in ("insert", "find", "replace"):
            assert store.insert(key := tokens.new(), b"data", HOUR)
            assert follower.get(name_of(key)) == b"data"
            assert WRITES[name](store, key)
        follower.replicaof("NO", "ONE")


# Secrets


@pytest.mark.parametrize("name", WRITES)
def test_error_shows_no_token(
    with_rights: Any, key: str, name: str, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    stores = [with_rights("~other:*", "+@all"), RedisStore(redis.Redis(port=1))]
    with caplog.at_level(logging.INFO):
        for store in stores[name == "all" :]:
            with pytest.raises(errors.RedisError) as caught:
                WRITES[name](store, key)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            frames = [frame for frame in shown.stack if frame.filename != __file__]
            assert {Path(frame.filename).stem for frame in frames} == {"redis", "redis_wire"}
            assert key not in repr([frame.locals for frame in frames])
            assert key not in str(caught.value)
            assert caught.value.__context__ is caught.value.__cause__ is None
    assert key not in caplog.text


def test_error_of_a_command_that_the_server_lacks_shows_no_token(key: str) -> None:
    with (
        Redis("--rename-command", "EVALSHA", "") as server,
        client_of(server) as own,
        pytest.raises(errors.ResponseError, match=r"unknown command 'EVALSHA'$"),
    ):
        RedisStore(own).insert(key, b"data", HOUR)


# Processes and threads


def test_reply_to_an_interrupted_operation_is_not_taken_for_the_next(
    through_proxy: RedisStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [tokens.new() for _ in range(2)]
    for each in keys:
        through_proxy.insert(each, each.encode(), HOUR)

    def interrupt(connection: Any) -> None:
        raise KeyboardInterrupt

    proxy.delay = 0.2
    with monkeypatch.context() as patch:
        patch.setattr("django_scs.stores.redis_wire._answer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            through_proxy.find(keys[0])
    record = through_proxy.find(keys[1])
    assert record is not None
    assert record.data == keys[1].encode()


def test_client_is_safe_across_fork(store: RedisStore) -> None:
    assert store.insert(tokens.new(), b"data", HOUR)
    children = [os.fork() for _ in range(2)]
    if 0 in children:
        answers = [_inserts_and_finds(store) for _ in range(200)]
        os._exit(0 if all(answers) else 1)
    assert all(_inserts_and_finds(store) for _ in range(200))
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]


def _inserts_and_finds(store: RedisStore) -> bool:
    key, data = tokens.new(), get_random_string(50).encode()
    store.insert(key, data, HOUR)
    record = store.find(key)
    return record is not None and record.data == data


@pytest.fixture
def pool(redis_server: Redis) -> Iterator[Pool]:
    with closing(Pool.from_url(redis_server.url)) as pool:
        yield pool


def _says_pong(connection: Any) -> bool:
    connection.send_command("PING")
    return bool(connection.read_response() == b"PONG")


def test_pool_lends_again_what_has_come_back(pool: Pool) -> None:
    first, second = pool.get_connection(), pool.get_connection()
    assert first is not second
    pool.release(first)
    assert pool.get_connection() is first


def test_pool_replaces_what_was_cut(pool: Pool, client: redis.Redis) -> None:
    connection = pool.get_connection()
    assert _says_pong(connection)
    pool.release(connection)
    client.client_kill_filter(_type="normal", skipme=True)
    assert _says_pong(pool.get_connection())


def test_pool_makes_anew_what_it_was_told_to(pool: Pool) -> None:
    connection = pool.get_connection()
    pool.release(connection)
    connection.mark_for_reconnect()
    before = connection._sock
    again = pool.get_connection()
    assert again._sock is not before
    assert _says_pong(again)


def test_pool_lends_nothing_of_the_parents_after_a_fork(pool: Pool) -> None:
    for connection in [pool.get_connection() for _ in range(3)]:
        pool.release(connection)
    child = os.fork()
    if child == 0:
        lent = [pool.get_connection() for _ in range(3)]
        os._exit(0 if all(connection.pid == os.getpid() for connection in lent) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pool_connects_once_to_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with Redis() as server:
        pool = Pool.from_url(server.url, retry=Retry(NoBackoff(), 0))
        pool.release(pool.get_connection())
    tried, connect = [], pool.connection_class._connect
    monkeypatch.setattr(
        pool.connection_class, "_connect", lambda self: [tried.append(1), connect(self)][1]
    )
    for _ in range(2):
        tried.clear()
        with pytest.raises(errors.ConnectionError), _Lent(pool):
            pass
        assert tried == [1]


def test_pool_leaves_those_with_new_passwords_to_redis_py(redis_server: Redis) -> None:
    passwords = UsernamePasswordCredentialProvider(password=redis_server.password)
    with closing(Pool(port=redis_server.port, credential_provider=passwords)) as pool:
        connection = pool.get_connection()
        pool.release(connection)
        assert pool._get_free_connections() == [connection]


# A Cluster


def test_client_of_one_server_of_a_cluster_is_an_error_at_once(redis_cluster: RedisCluster) -> None:
    started = time.monotonic()
    with client_of(redis_cluster.nodes[0]) as own, pytest.raises(errors.MovedError):
        # Some of them are on that server.
        any(RedisStore(own).find(tokens.new()) for _ in range(40))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("change", [(), (b"new", b"data")])
def test_rename_on_a_cluster_to_a_key_that_is_taken_is_an_error(
    redis_cluster: RedisCluster, key: str, change: tuple[bytes, ...]
) -> None:
    with cluster_store(redis_cluster) as (store, _):
        store.insert(key, b"data", HOUR)
        store.insert(other := tokens.new(), b"other", HOUR)
        with pytest.raises(errors.ResponseError, match="taken"):
            store.rename(key, other, HOUR, *change)
        assert {record.data for record in store.all()} == {b"data", b"other"}


def test_all_asks_a_server_that_is_new_in_the_cluster(redis_cluster: RedisCluster) -> None:
    with cluster_store(redis_cluster) as (store, client):
        keys = {tokens.new() for _ in range(30)}
        for each in keys:
            store.insert(each, b"data", HOUR)
        client.nodes_manager.nodes_cache.popitem()
        assert {record.key for record in store.all()} == keys


def test_all_yields_the_sessions_of_a_slot_that_moves(redis_cluster: RedisCluster) -> None:
    with cluster_store(redis_cluster, "{app}:") as (store, client):
        keys = [tokens.new() for _ in range(4)]
        for each in keys:
            store.insert(each, b"data", HOUR)
        slot = client.keyslot("{app}:")
        source = client.get_node_from_key("{app}:")
        target = next(node for node in client.get_primaries() if node != source)
        ends = [client.get_redis_connection(node) for node in (source, target)]
        ids = [end.execute_command("CLUSTER", "MYID") for end in ends]
        ends[1].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        ends[0].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        ends[0].execute_command(
            *("MIGRATE", "127.0.0.1", target.port, f"{{app}}:{keys[0]}", 0, 5000),
            *("AUTH", redis_cluster.password),
        )
        found = sorted(record.key for record in store.all())
        for end in ends:
            end.flushall()
            end.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
        assert found == sorted(keys)


# Renewal on a Cluster


def test_rename_on_a_cluster_keeps_what_is_saved_meanwhile(
    redis_cluster: RedisCluster, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster_store(redis_cluster) as (store, _):
        store.insert(key, b"data", HOUR)
        run, new_key = store._wire.run, tokens.new()

        def save_first(script: scripts.Script, *arguments: Any) -> Any:
            if script is scripts.BURY:
                store.replace(key, b"saved", HOUR, b"data")
            return run(script, *arguments)

        monkeypatch.setattr(store._wire, "run", save_first)
        assert store.rename(key, new_key, HOUR) is True
        record = store.find(new_key)
        assert record is not None
        assert record.data == b"saved"
        assert store.find(key) is None


@pytest.mark.parametrize("data", [None, b"new"])
def test_rename_on_a_cluster_that_lost_leaves_no_copy(
    redis_cluster: RedisCluster, key: str, data: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster_store(redis_cluster) as (store, _):
        store.insert(key, b"data", HOUR)
        run = store._wire.run

        def delete_first(script: scripts.Script, *arguments: Any) -> Any:
            if script is scripts.BURY:
                store.delete(key)
            return run(script, *arguments)

        monkeypatch.setattr(store._wire, "run", delete_first)
        assert store.rename(key, tokens.new(), HOUR, data, data and b"data") is False
        assert list(store.all()) == []


@pytest.mark.parametrize("step", [scripts.BURY, scripts.PUT])
def test_rename_on_a_cluster_that_stops_on_the_way_opens_nothing(
    redis_cluster: RedisCluster, key: str, step: scripts.Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process had died before the burial, or after it: the copy lives for a minute."""
    with cluster_store(redis_cluster) as (store, client):
        store.insert(key, b"data", HOUR)
        run, new_key = store._wire.run, tokens.new()
        steps: list[scripts.Script] = []

        def die(script: scripts.Script, *arguments: Any) -> Any:
            steps.append(script)
            if script is step and len(steps) > 1:
                raise KeyboardInterrupt
            return run(script, *arguments)

        monkeypatch.setattr(store._wire, "run", die)
        with pytest.raises(KeyboardInterrupt):
            store.rename(key, new_key, HOUR)
        monkeypatch.undo()
        assert (store.find(key) is not None) == (step is scripts.BURY)
        assert 0 < client.pttl(name_of(new_key)) <= 60_000


def test_rename_on_a_cluster_gives_up_when_it_is_overtaken_again_and_again(
    redis_cluster: RedisCluster, key: str, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    with cluster_store(redis_cluster) as (store, _):
        store.insert(key, b"0", HOUR)
        run = store._wire.run
        saves = iter(range(10**6))

        def save_first(script: scripts.Script, *arguments: Any) -> Any:
            if script is scripts.BURY:
                number = next(saves)
                store.replace(key, b"%d" % (number + 1), HOUR, b"%d" % number)
            return run(script, *arguments)

        monkeypatch.setattr(store._wire, "run", save_first)
        with pytest.raises(SessionBusy):
            store.rename(key, tokens.new(), HOUR)
        assert [record.key for record in store.all()] == [key]


def test_renewal_against_destruction_on_a_cluster_has_one_winner(
    redis_cluster: RedisCluster,
) -> None:
    with cluster_store(redis_cluster) as (store, _):
        for _ in range(20):
            store.insert(key := tokens.new(), b"data", HOUR)
            calls = [lambda: store.rename(key, tokens.new(), HOUR), lambda: store.delete(key)]
            assert sorted(in_parallel(*calls)) == [False, True]


# Settings


def read_from(**settings: Any) -> Callable[[str, Any], Any]:
    return lambda name, default: settings.get(name, default)


def test_settings_make_a_store(redis_server: Redis, client: redis.Redis, key: str) -> None:
    store = from_settings(
        read_from(
            SCS_REDIS={
                "LOCATION": redis_server.url.removesuffix("/0"),
                "OPTIONS": {"db": 3, "max_connections": 5},
            },
            SCS_REDIS_PREFIX="app:",
        )
    )
    assert store.insert(key, b"data", HOUR)
    with client_of(redis_server, db=3) as other:
        assert other.keys() == [f"app:{key}".encode()]


@pytest.mark.parametrize("kind", ["list", "text"])
def test_settings_of_several_servers_mean_the_first(
    redis_server: Redis, key: str, kind: str
) -> None:
    servers = [redis_server.url, "redis://127.0.0.1:1/0"]
    location = servers if kind == "list" else ",".join(servers)
    store = from_settings(read_from(SCS_REDIS={"LOCATION": location}))
    assert all(store.find(key) is None for _ in range(10))


def test_settings_take_classes_by_their_dotted_paths(redis_server: Redis, key: str) -> None:
    options = {"pool_class": "redis.BlockingConnectionPool", "timeout": 3}
    store = from_settings(read_from(SCS_REDIS={"LOCATION": redis_server.url, "OPTIONS": options}))
    assert store.find(key) is None


_client: Any = None


def make_client() -> Any:
    return _client


def test_settings_take_the_path_of_a_callable(
    redis_cluster: RedisCluster, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(cluster_client(redis_cluster)) as client:
        monkeypatch.setattr("tests.stores.test_redis._client", client)
        store = from_settings(read_from(SCS_REDIS="tests.stores.test_redis.make_client"))
        assert store.insert(key, b"data", HOUR)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "must be a dict with LOCATION"),
        ({"SCS_REDIS": {"URL": "redis://:hidden@host"}}, r"has \['URL'\]"),
        ({"SCS_REDIS": {"LOCATION": "hidden"}}, "must have a LOCATION such as"),
        ({"SCS_REDIS": {"LOCATION": []}}, "must have a LOCATION such as"),
        ({"SCS_REDIS": {"LOCATION": 6379}}, "must have a LOCATION such as"),
        ({"SCS_REDIS": {"LOCATION": "redis://x", "OPTIONS": "db"}}, "must have a LOCATION such as"),
        ({"SCS_REDIS": {"LOCATION": "redis://x", "OPTIONS": {"db": "one"}}}, "'one'"),
        ({"SCS_REDIS": {"LOCATION": "redis://x", "OPTIONS": {"no_such": 1}}}, "no_such"),
        ({"SCS_REDIS": {"LOCATION": "redis://x", "OPTIONS": {"pool_class": "no.Such"}}}, "'no'"),
        ({"SCS_REDIS": "redis://:hidden@host"}, "write {'LOCATION': ...}"),
        *(
            ({"SCS_REDIS": {"LOCATION": f"{scheme}://:{password}@host/1"}}, "is no URL")
            for scheme in ("redis", "rediss")
            for password in (
                *("hidden/x", "x/hidden", "hidden#x", "x?hidden", "1/hidden"),
                *("1,hidden", "1;x,hidden"),
            )
        ),
        ({"SCS_REDIS": "no.such.callable"}, "No module named 'no'"),
        ({"SCS_REDIS": "tests.stores.test_redis.make_client"}, "gave a NoneType"),
        ({"SCS_REDIS": "tests.stores.test_redis.DAY"}, "gave a NoneType"),
        ({"SCS_REDIS_WAIT": -1}, "SCS_REDIS_WAIT is -1"),
        ({"SCS_REDIS_WAIT": True}, "SCS_REDIS_WAIT is True"),
        ({"SCS_REDIS_PREFIX": 5}, "SCS_REDIS_PREFIX is 5"),
        ({"SCS_REDIS": {"LOCATION": "redis://x"}, "SCS_REDIS_PREFIX": "{"}, "'{' is no prefix"),
    ],
)
def test_settings_that_make_no_store_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        from_settings(read_from(**settings))
    assert "hidden" not in str(caught.value)


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "django_scs.stores.redis_wire")
    with pytest.raises(ImportError, match=r"pip install 'django_scs\[redis\]'"):
        importlib.import_module("django_scs.stores.redis_wire")


def test_ttl_is_cut_to_milliseconds(store: RedisStore, client: redis.Redis, key: str) -> None:
    store.insert(key, b"data", 5.9999)
    assert 5000 < client.pttl(name_of(key)) <= 5999
    assert math.isclose(RedisStore.max_ttl, 250e9)


def test_all_finds_a_session_that_gets_new_keys_without_a_pause(
    store: RedisStore, redis_server: Redis, key: str
) -> None:
    store.insert(key, b"data", HOUR)
    over = threading.Event()

    def renew(now: str) -> None:
        while not over.is_set():
            new_key = tokens.new()
            assert store.rename(now, new_key, HOUR)
            now = new_key

    def look() -> set[int]:
        with client_of(redis_server) as own:
            other = RedisStore(own)
            found = {len(list(other.all())) for _ in range(100)}
        over.set()
        return found

    assert in_parallel(lambda: renew(key), look) == [None, {1}]
