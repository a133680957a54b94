"""The fixtures that start Redis."""

from tests.redis_servers import redis_cluster, redis_server

__all__ = ["redis_cluster", "redis_server"]
