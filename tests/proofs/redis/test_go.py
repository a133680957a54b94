"""The real scs and we on the same keys, with both of its Redis stores, and with the guarded one."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from django_scs import tokens
from django_scs.codecs.gob import GobCodec
from django_scs.stores.redis import RedisStore
from tests.redis_servers import client_of, cluster_store
from tests.servers import Redis, RedisCluster

from .scs import Scs

HOUR = 3600.0
DAY = 24 * HOUR
CODEC = GobCodec()
HERE = Path(__file__).parent
DOCUMENTATION = HERE.parents[2] / "docs" / "redis.md"
VECTORS = json.loads((HERE / "vectors.json").read_text())["vectors"]
VALUES = {
    "flash": {"flash": "hi"},
    "login": {"authenticatedUserID": 42},
    "empty": {},
    "binary": {"raw": b"\x00\xff\r\n\x80", "text": "grüß 世界 \x00"},
    "remember-me": {"__rememberMe": True, "n": 1},
    "large": {"blob": "0123456789abcdef" * 256},
    "committed-past-deadline": {"flash": "late"},
}
STORES = ("redigo", "goredis", "guarded")


@pytest.fixture
def client(redis_server: Redis) -> Iterator[redis.Redis]:
    with client_of(redis_server) as client:
        client.flushall()
        yield client


@pytest.fixture
def start(scs: Callable[..., Scs], redis_server: Redis) -> Callable[..., Scs]:
    """Return what starts scs on the server of the tests."""
    address = f"-address=127.0.0.1:{redis_server.port}"
    return lambda kind, *arguments: scs(
        f"-store={kind}", address, *arguments, password=redis_server.password
    )


@pytest.fixture
def store(redis_server: Redis, client: redis.Redis) -> Iterator[RedisStore]:
    with client_of(redis_server) as own:
        yield RedisStore(own)


def values_of(vector: dict[str, Any]) -> dict[str, Any]:
    name = vector["name"]
    for start in (name, name.removesuffix("-redigo").removesuffix("-goredis")):
        if start in VALUES:
            return VALUES[start]
    return VALUES["flash"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_what_scs_wrote_is_read_and_written_back_unchanged(
    client: redis.Redis, redis_server: Redis, vector: dict[str, Any]
) -> None:
    key = tokens.store_key(vector["token"], hashed=vector["hashed"])
    prefix = vector["key"].removesuffix(key)
    assert prefix + key == vector["key"]
    with client_of(redis_server) as own:
        store = RedisStore(own, prefix)
        if not vector["present"]:
            assert store.find(key) is None
            return
        data = base64.b64decode(vector["data_base64"])
        alive = vector["pexpiretime_ms"] > 0
        client.set(vector["key"], data, px=60_000 if alive else None)
        record = store.find(key)
        assert (record is not None) == alive
        assert [each.key for each in store.all()] == [key] * alive
        deadline, values = CODEC.decode(data)
        assert values == values_of(vector)
        assert deadline.timestamp() == pytest.approx(
            datetime.fromisoformat(vector["deadline"][:26].rstrip("Z") + "+00:00").timestamp(),
            abs=2e-6,
        )
        if record is not None:
            assert record.data == data
            again = CODEC.encode(deadline, values, data)
            assert again == data
            assert store.replace(key, again, HOUR, data)
            assert client.get(vector["key"]) == data


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("kind", STORES)
def test_each_side_reads_what_the_other_wrote(
    start: Callable[..., Scs], store: RedisStore, client: redis.Redis, kind: str, hashed: bool
) -> None:
    go = start(kind, f"-hash={str(hashed).lower()}", "-lifetime=30m")
    token = go.create(name="Ada")
    key = tokens.store_key(token, hashed=hashed)
    assert client.keys() == [f"scs:session:{key}".encode()]
    record = store.find(key)
    assert record is not None
    deadline, values = CODEC.decode(record.data)
    assert values == {"name": "Ada"}
    assert deadline.timestamp() - record.now == pytest.approx(record.ttl, abs=0.1)
    assert record.ttl == pytest.approx(1800, abs=10)
    data = CODEC.encode(deadline, {**values, "language": "Ada"}, record.data)
    assert store.replace(key, data, record.ttl, record.data)
    assert go("load", token).values == {"name": "Ada", "language": "Ada"}
    new_token = tokens.new()
    assert store.rename(key, tokens.store_key(new_token, hashed=hashed), HOUR)
    assert go("load", token).token == ""
    assert go("load", new_token).values == {"name": "Ada", "language": "Ada"}
    go("renew")
    renewed = go("commit").token
    assert store.find(tokens.store_key(new_token, hashed=hashed)) is None
    assert store.delete(tokens.store_key(renewed, hashed=hashed))
    assert go("load", renewed).token == ""


@pytest.mark.parametrize("kind", ["redigo", "goredis"])
def test_request_of_scs_in_flight_revives_until_we_look(
    start: Callable[..., Scs], store: RedisStore, kind: str
) -> None:
    go = start(kind)
    token = go.create(name="Ada")
    go("load", token)
    assert store.delete(token)
    go("put", key="late", value="1")
    go("commit")
    assert go("load", token, number=1).token == token
    assert store.find(token) is None
    assert go("load", token, number=1).token == ""


def test_guarded_store_is_the_one_of_the_documentation() -> None:
    assert (
        f"```go\n{(HERE / 'gostore/guarded/store.go').read_text()}```" in DOCUMENTATION.read_text()
    )


def test_guarded_store_revives_nothing(
    start: Callable[..., Scs], store: RedisStore, client: redis.Redis
) -> None:
    go = start("guarded")
    for bury in (store.delete, lambda token: store.rename(token, tokens.new(), HOUR)):
        token = go.create(name="Ada")
        go("load", token)
        assert bury(token)
        go("put", key="late", value="1")
        go("commit")
        assert client.get(f"scs:session:{token}") is None
        assert go("load", token, number=1).token == ""
    token = go.create(name="Ada")
    go("load", token)
    go("load", token, number=1)
    go("destroy", number=1)
    go("put", key="late", value="1")
    go("commit")
    assert client.get(f"scs:session:{token}") is None
    assert store.insert(token, b"", HOUR) is False
    assert DAY - 60 < client.pttl(f"dead:{{scs:session:{token}}}") / 1000 <= DAY


def test_guarded_store_on_a_cluster(scs: Callable[..., Scs], redis_cluster: RedisCluster) -> None:
    with cluster_store(redis_cluster) as (store, _):
        address = f"-address=127.0.0.1:{redis_cluster.nodes[0].port}"
        go = scs("-store=guarded-cluster", address, password=redis_cluster.password)
        for _ in range(20):
            token, new_token = go.create(name="Ada"), tokens.new()
            go("load", token)
            assert store.rename(token, new_token, HOUR)
            go("put", key="late", value="1")
            go("commit")
            assert go("load", token, number=1).token == ""
            assert go("load", new_token, number=1).values == {"name": "Ada"}
        assert len(list(store.all())) == 20


@pytest.mark.parametrize("kind", STORES)
def test_commit_after_the_deadline_is_no_session(
    start: Callable[..., Scs], store: RedisStore, kind: str
) -> None:
    go = start(kind, "-lifetime=300ms")
    token = go.create(name="Ada")
    go("load", token)
    go("put", key="late", value="1")
    while store.find(token) is not None:
        pass
    go("commit")
    assert store.find(token) is None
    assert list(store.all()) == []
