"""Helpers for a project's tests.

The store's clock decides whether a session is alive, so freezing Python's clock neither ends a session
nor keeps one from ending. To see what a session does after a while, let it grow older.
"""

from datetime import datetime, timedelta
from typing import Any

from .backends.base import SessionStore
from .backends.expiry import AUTHENTICATED_AT, CUSTOM_EXPIRY, RENEWED_AT
from .manager import session_class
from .stores.base import Record


def age(by: timedelta | float, *tokens: str, engine: type[SessionStore] | None = None) -> int:
    """Let sessions be older by a time, in seconds or a timedelta: their end comes that much nearer,
    and their login, if there was one, is that much longer ago.

    Those of the given tokens, or all that are live; of ``SESSION_ENGINE``, or of another ``engine``.
    Returns how many there were. Sessions that this ends are gone for every later request.
    """
    engine = engine or session_class()
    store = engine._store()
    keys = [engine.store_keys(token)[0] for token in tokens]
    records = [store.find_latest(key) for key in keys] if tokens else list(store.all())
    step = by if isinstance(by, timedelta) else timedelta(seconds=by)
    return sum(_age(engine, record, step) for record in records if record is not None)


def _age(engine: type[SessionStore], record: Record, by: timedelta) -> bool:
    codec = engine._options().codec
    deadline, values = codec.decode(record.data, record.key)
    if isinstance(custom := values.get(CUSTOM_EXPIRY), str):
        values[CUSTOM_EXPIRY] = (datetime.fromisoformat(custom) - by).isoformat()
    for name in (AUTHENTICATED_AT, RENEWED_AT):
        if isinstance(values.get(name), int):
            values[name] -= round(by.total_seconds())
    data = codec.encode(deadline - by, values, record.data, record.key)
    writer: Any = engine()._store_for(values, False)
    done: bool = writer.replace(record.key, data, record.ttl - by.total_seconds(), record.data)
    return done
