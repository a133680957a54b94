"""Helpers for a project's tests.

The store's clock decides whether a session is alive, so freezing Python's clock neither ends a session
nor keeps one from ending. To see what a session does after a while, let it grow older.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.test import override_settings

from .backends.base import SessionStore
from .backends.cookie import Jar
from .backends.expiry import AUTHENTICATED_AT, CUSTOM_EXPIRY, RENEWED_AT
from .exceptions import DecodeError
from .manager import session_class
from .stores.base import Record


def age(by: timedelta | float, *tokens: str, engine: type[SessionStore] | None = None) -> int:
    """Let sessions be older by a time, in seconds or a timedelta: their end comes that much nearer,
    and their login, if there was one, is that much longer ago.

    Those of the given tokens, or all that are live; of ``SESSION_ENGINE``, or of another ``engine``.
    Returns how many there were. Sessions that this ends are gone for every later request. One whose
    data cannot be read is left out. Raises TypeError for sessions in cookies, which no store has.
    """
    engine = engine or session_class()
    store = engine._store()
    if isinstance(store, Jar):
        raise TypeError(
            f"The sessions of {engine.__module__} are in no store, so they cannot be aged. The clock of"
            " this process decides when they end: freeze it."
        )
    keys = [engine.store_keys(token)[0] for token in tokens]
    records = [store.find_latest(key) for key in keys] if tokens else list(store.all())
    step = by if isinstance(by, timedelta) else timedelta(seconds=by)
    return sum(_age(engine, record, step) for record in records if record is not None)


def _age(engine: type[SessionStore], record: Record, by: timedelta) -> bool:
    session = engine()
    codec = session._options.codec
    try:
        deadline, values = codec.decode(record.data, record.key)
    except DecodeError:
        return False
    if isinstance(custom := values.get(CUSTOM_EXPIRY), str):
        values[CUSTOM_EXPIRY] = (datetime.fromisoformat(custom) - by).isoformat()
    for name in (AUTHENTICATED_AT, RENEWED_AT):
        if isinstance(values.get(name), int):
            values[name] -= round(by.total_seconds())
    data = codec.encode(deadline - by, values, record.data, record.key)
    writer: Any = session._store_for(values, False)
    done: bool = writer.replace(record.key, data, record.ttl - by.total_seconds(), record.data)
    return done


@contextmanager
def apart_in_redis() -> Iterator[None]:
    """Keep sessions apart from others in the same Redis meanwhile, and remove them in the end.

    They get a prefix of their own. Nothing happens unless ``SCS_REDIS`` is set.
    """
    if getattr(settings, "SCS_REDIS", None) is None:
        yield
        return
    from .backends.redis import SessionStore
    from .stores.redis import PREFIX

    prefix = getattr(settings, "SCS_REDIS_PREFIX", PREFIX)
    own = f"test:{os.getpid()}:"
    with override_settings(SCS_REDIS_PREFIX=f"{own}{prefix}"):
        yield
        # What uses no session needs no server. Tombstones go too.
        with suppress(Exception):
            for node in SessionStore.get_store().servers():
                for name in list(node.scan_iter(f"*{own}*", count=1000)):
                    node.delete(name)
