"""The system checks of sessions in Redis, against real servers."""

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from django.core.checks import CheckMessage, Tags, registry
from redis.sentinel import Sentinel

from django_scs.backends import redis as redis_engine
from django_scs.checks.redis import check_redis_server, check_redis_settings, check_redis_tokens
from django_scs.checks.settings import check_settings
from tests.redis_servers import client_of, cluster_client, redis_cluster, redis_server
from tests.servers import Redis, RedisCluster

__all__ = ["redis_cluster", "redis_server"]

CACHE = "django.core.cache.backends.redis.RedisCache"


@pytest.fixture(autouse=True)
def on_redis(settings: Any, redis_server: Redis) -> None:
    settings.SESSION_ENGINE = "django_scs.backends.redis"
    settings.SCS_REDIS = {"LOCATION": redis_server.url}


@pytest.fixture
def client(redis_server: Redis) -> Iterator[redis.Redis]:
    with client_of(redis_server) as client:
        yield client


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("django_scs.") for message in messages]


def server_ids() -> list[str]:
    return ids(check_redis_server(databases=["default"]))


def test_checks_of_redis_are_registered() -> None:
    always = set(registry.registry.get_checks())
    with_deploy = set(registry.registry.get_checks(include_deployment_checks=True))
    assert {check_redis_settings, check_redis_server} <= always
    assert check_redis_tokens in with_deploy - always
    # Django runs these only when databases are named.
    assert Tags.database in check_redis_server.tags  # type: ignore[attr-defined]


def test_wrong_settings_are_reported_elsewhere(settings: Any) -> None:
    settings.SCS_LIFETIME = "long"
    assert check_redis_settings() == check_redis_tokens() == []
    assert server_ids() == []


def test_other_engine_is_not_checked(settings: Any) -> None:
    settings.SESSION_ENGINE = "django_scs.backends.db"
    del settings.SCS_REDIS
    assert check_redis_settings() == check_redis_tokens() == []
    assert server_ids() == []


@pytest.mark.parametrize("mode", ["move", "keep"])
def test_engine_that_sessions_come_from_is_checked_too(settings: Any, mode: str) -> None:
    settings.SCS_MIGRATE_FROM = settings.SESSION_ENGINE
    settings.SCS_MIGRATE_MODE = mode
    settings.SESSION_ENGINE = "django_scs.backends.db"
    assert server_ids() == ["W023"]
    settings.SCS_REDIS = {"LOCATION": []}
    assert ids(check_redis_settings()) == ["E002"]


@pytest.mark.parametrize(
    "path", [".relative", "no.such", "django.contrib.sessions.backends.db", ["x"]]
)
def test_wrong_engine_that_sessions_come_from_is_reported_elsewhere(
    settings: Any, path: Any
) -> None:
    settings.SCS_MIGRATE_FROM = path
    settings.SESSION_ENGINE = "django_scs.backends.db"
    assert check_redis_settings() == []


@pytest.mark.parametrize("name", ["SCS_REDIS", "SCS_REDIS_PREFIX", "SCS_REDIS_WAIT"])
def test_wrong_value_is_refused_by_name(settings: Any, name: str) -> None:
    setattr(settings, name, object())
    (message,) = check_redis_settings()
    assert ids([message]) == ["E002"]
    assert name in message.msg
    assert server_ids() == []


def test_engine_that_cannot_be_imported(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django_scs.backends.redis", None)
    assert ids(check_redis_settings()) == ["E020"]
    assert server_ids() == []


@pytest.mark.parametrize(
    ("location", "options", "shared"),
    [
        ("{url}", {}, True),
        ("{server}", {}, True),
        ("{url},redis://127.0.0.1:1", {}, True),
        (["{url}"], {}, True),
        (6379, {}, False),
        ("{server}/1", {}, False),
        ("{server}", {"db": 1}, False),
        ("redis://127.0.0.1:1/0", {}, False),
        ("{server},redis://127.0.0.1:1", {}, True),
        ("{server};redis://127.0.0.1:1", {}, True),
        ("http://127.0.0.1:no-port", {}, False),
        ([], {}, False),
        (None, {}, False),
    ],
)
def test_cache_in_the_same_database(
    settings: Any, redis_server: Redis, location: Any, options: dict[str, Any], shared: bool
) -> None:
    def fill(text: str) -> str:
        return text.format(url=redis_server.url, server=redis_server.url.removesuffix("/0"))

    where = [*map(fill, location)] if isinstance(location, list) else location
    where = fill(where) if isinstance(where, str) else where
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "fast": {"BACKEND": CACHE, "LOCATION": where, "OPTIONS": options},
    }
    messages = check_redis_settings()
    assert ids(messages) == ["W020"] * shared
    assert redis_server.password not in str(messages)


def test_tokens_in_clear(settings: Any) -> None:
    assert ids(check_redis_tokens()) == ["W021"]
    settings.SCS_HASH_TOKENS = True
    assert check_redis_tokens() == []


class SessionStore(redis_engine.SessionStore):
    """What a project derives from ours."""


@pytest.mark.parametrize("engine", [__name__, redis_engine.__name__])
def test_tokens_are_not_hashed_in_steps(settings: Any, engine: str) -> None:
    settings.SESSION_ENGINE = engine
    settings.SCS_HASH_TOKENS = "convert"
    (message,) = check_settings()
    assert message.id == "django_scs.E002"
    assert "only sessions in a table of the database can be converted" in message.msg


def test_tokens_of_another_kind_are_always_hashed(settings: Any) -> None:
    settings.SCS_SESSIONS = {"prefs": {"ENGINE": settings.SESSION_ENGINE, "COOKIE_NAME": "prefs"}}
    settings.SESSION_ENGINE = "django_scs.backends.db"
    assert check_redis_tokens() == []


def test_server_is_asked_only_for_databases() -> None:
    assert check_redis_server(databases=None) == []


def test_server_without_persistence(client: redis.Redis) -> None:
    assert server_ids() == ["W023"]
    client.config_set("appendonly", "yes")
    assert server_ids() == []
    client.config_set("appendonly", "no")


@pytest.mark.parametrize("policy", ["volatile-lru", "allkeys-lru", "volatile-ttl"])
def test_server_that_evicts(client: redis.Redis, policy: str) -> None:
    client.config_set("maxmemory-policy", policy)
    (message, _) = check_redis_server(databases=["default"])
    client.config_set("maxmemory-policy", "noeviction")
    assert ids([message]) == ["W022"]
    assert policy in message.msg


def test_server_that_must_not_be_asked(
    settings: Any, client: redis.Redis, redis_server: Redis
) -> None:
    client.execute_command("ACL", "SETUSER", "poor", "on", ">secret", "~*", "+@all", "-info")
    settings.SCS_REDIS = {"LOCATION": f"redis://poor:secret@127.0.0.1:{redis_server.port}/0"}
    (message,) = check_redis_server(databases=["default"])
    client.execute_command("ACL", "DELUSER", "poor")
    assert ids([message]) == ["I020"]
    assert "info" in message.msg.lower()
    assert "secret" not in message.msg


def test_server_that_is_gone(settings: Any) -> None:
    settings.SCS_REDIS = {"LOCATION": "redis://:secret@127.0.0.1:1/0"}
    assert server_ids() == ["I020"]


def test_old_server(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"redis_version": "6.2.14", "aof_enabled": 1}
    monkeypatch.setattr(redis.Redis, "info", lambda self: told)
    assert server_ids() == ["E021"]


def make_cluster_client_of_nothing() -> Any:
    return redis.RedisCluster(host="127.0.0.1", port=1)


def test_cluster_that_is_gone(settings: Any) -> None:
    settings.SCS_REDIS = "tests.checks.test_redis.make_cluster_client_of_nothing"
    assert check_redis_settings() == []
    assert server_ids() == ["I020"]


_client: Any = None


def make_client() -> Any:
    return _client


def test_server_behind_sentinel_is_not_taken_for_one_on_this_machine(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Sentinel([("127.0.0.1", 1)]).master_for("sessions")) as client:
        monkeypatch.setattr("tests.checks.test_redis._client", client)
        settings.SCS_REDIS = "tests.checks.test_redis.make_client"
        settings.CACHES = {"default": {"BACKEND": CACHE, "LOCATION": "redis://127.0.0.1:6379/0"}}
        assert check_redis_settings() == []


def test_cluster_is_told_once(
    settings: Any, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(cluster_client(redis_cluster)) as client:
        monkeypatch.setattr("tests.checks.test_redis._client", client)
        settings.SCS_REDIS = "tests.checks.test_redis.make_client"
        node = redis_cluster.nodes[0]
        url = f"redis://127.0.0.1:{node.port}/0"
        settings.CACHES = {"default": {"BACKEND": CACHE, "LOCATION": url}}
        assert server_ids() == ["W023"]
        assert ids(check_redis_settings()) == ["W020"]
