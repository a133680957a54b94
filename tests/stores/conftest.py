"""The Redis servers of the tests, each started when a test first asks for it."""

from collections.abc import Iterator

import pytest

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
