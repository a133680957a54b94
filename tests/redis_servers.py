"""Redis servers for tests, each started when a test first asks for it, and clients of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode

from django_scs.stores.redis import RedisStore
from tests.servers import Redis, RedisCluster


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Return a Redis without persistence."""
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Return a Cluster of three primaries without replicas."""
    with RedisCluster(size=3) as cluster:
        yield cluster


def client_of(server: Redis, **options: Any) -> redis.Redis:
    """Return a client of a server, with redis-py's own retries until a store gets it."""
    return redis.Redis(port=server.port, password=server.password, **options)


def cluster_client(cluster: RedisCluster) -> redis.RedisCluster:
    """Return a client of a Cluster."""
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    return redis.RedisCluster(startup_nodes=nodes, password=cluster.password)


@contextmanager
def cluster_store(
    cluster: RedisCluster, prefix: str = "scs:session:", **options: Any
) -> Iterator[tuple[RedisStore, redis.RedisCluster]]:
    """Give a store on a Cluster that is emptied first, and its client."""
    client = cluster_client(cluster)
    with closing(client):
        client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
        yield RedisStore(client, prefix, **options), client
