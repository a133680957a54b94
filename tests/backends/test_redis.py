"""The engine on Redis: the contract, on one server and on a Cluster."""

import copy
import pickle
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from django_scs.backends.redis import SessionStore
from django_scs.stores.redis import RedisStore
from tests.contracts.session import SessionContract
from tests.contracts.tools import Asynchronous
from tests.redis_servers import (
    client_of,
    cluster_store,
    redis_cluster,
    redis_server,
)
from tests.servers import Redis, RedisCluster

__all__ = ["redis_cluster", "redis_server"]


class TestRedisSession(SessionContract):
    @pytest.fixture
    def engine(self, settings: Any, redis_server: Redis) -> type[SessionStore]:
        with client_of(redis_server) as client:
            client.flushall()
        settings.SESSION_ENGINE = "django_scs.backends.redis"
        settings.SCS_REDIS = {"LOCATION": redis_server.url}
        return SessionStore


class TestAsyncRedisSession(TestRedisSession):
    face = Asynchronous


def test_a_session_can_be_copied_and_pickled_without_its_connections(settings: Any) -> None:
    settings.SESSION_ENGINE = "django_scs.backends.redis"
    settings.SCS_REDIS = {"LOCATION": "redis://:hunter2@127.0.0.1:1/0"}
    session = SessionStore()
    session["a"] = 1
    pickled = pickle.dumps(session)
    assert b"hunter2" not in pickled
    for again in (pickle.loads(pickled), copy.deepcopy(session), copy.copy(session)):
        assert again["a"] == 1


class TestRedisSessionOnRedisCluster(SessionContract):
    @pytest.fixture
    def engine(
        self, settings: Any, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[type[SessionStore]]:
        settings.SESSION_ENGINE = "django_scs.backends.redis"
        with cluster_store(redis_cluster) as (store, _):
            monkeypatch.setattr(SessionStore, "get_store", classmethod(lambda cls: store))
            yield SessionStore


def test_store_is_one_for_the_process_until_a_setting_changes(settings: Any) -> None:
    settings.SCS_REDIS = {"LOCATION": "redis://127.0.0.1:1"}
    store = SessionStore.get_store()
    assert isinstance(store, RedisStore)
    assert SessionStore.get_store() is store
    settings.SCS_REDIS_PREFIX = "app:"
    assert SessionStore.get_store() is not store


def test_engine_without_settings_says_what_is_missing(settings: Any) -> None:
    settings.SCS_REDIS = None
    with pytest.raises(ImproperlyConfigured, match="must be a dict with LOCATION"):
        SessionStore.get_store()


def test_clear_expired_has_nothing_to_do(settings: Any, redis_server: Redis) -> None:
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    SessionStore.clear_expired()


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--interval=5"]])
def test_clearsessions_says_that_there_is_nothing_to_do(
    settings: Any, redis_server: Redis, arguments: list[str]
) -> None:
    settings.SESSION_ENGINE = "django_scs.backends.redis"
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    output = StringIO()
    call_command("clearsessions", *arguments, stdout=output)
    assert output.getvalue() == "Nothing to do: no session is kept after it has expired.\n"


def test_server_that_is_gone_is_an_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SCS_REDIS = {"LOCATION": "redis://127.0.0.1:1"}
    monkeypatch.setattr("django_scs.backoff.LIMIT", 0.1)
    with pytest.raises(redis.exceptions.ConnectionError):
        SessionStore("w" * 43).load()
