"""A plugin of pytest that lets tests written for the table run on Redis: ``-p`` and this module.

REDIS_URL names the server. Left out are the tests that look into the table themselves.
"""

import inspect
import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis

#: In the source of a test: it looks into the table, breaks it, or counts statements in SQL.
_THE_TABLE = (
    *("Session.objects", "connection.", "atomic()", "model", "broken_database", "statements()"),
    *('"SELECT"', '"INSERT"', '"UPDATE"', '"RENAME"'),
)


@pytest.fixture(autouse=True)
def on_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the engine of the database a store in Redis, which is empty."""
    from django_scs.backends.db import SessionStore
    from django_scs.stores.redis import RedisStore

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushall()
    store: Any = RedisStore(client)
    # What the engine of the database asks of its own store.
    store.extra_fields, store.in_transaction = (), False
    monkeypatch.setattr(SessionStore, "get_store", classmethod(lambda cls: store))
    yield
    client.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the table."""
    about = [item for item in items if _is_about_the_table(item)]
    config.hook.pytest_deselected(items=about)
    items[:] = [item for item in items if item not in about]


def _is_about_the_table(item: Any) -> bool:
    source = inspect.getsource(item.function)
    return any(text in source for text in _THE_TABLE)
