"""Helpers for a project's tests.

The store's clock decides whether a session is alive, so freezing Python's clock neither ends a session
nor keeps one from ending. To test what a session does after a while, make it older with ``age``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import product
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
    """Make sessions older ``by`` a time, in seconds or a timedelta.

    They end that much sooner, and their login, if there was one, was that much longer ago. Changes
    the sessions of the given tokens, or all live ones, of ``SESSION_ENGINE`` or of another
    ``engine``; returns how many. Sessions that end by this are gone for every later request.
    Sessions whose data cannot be read are left out. Raises TypeError for a token that is not a str,
    such as a list of tokens, and for sessions in cookies.
    """
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError(
                f"A token must be a str, not {type(token).__qualname__}. To age several sessions, give"
                " each token as an argument: age(by, *tokens)."
            )
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
    """Give the sessions in Redis a prefix of their own inside the block, and remove them after it.

    Nothing happens unless ``SCS_REDIS`` is set.
    """
    if getattr(settings, "SCS_REDIS", None) is None:
        yield
        return
    from .backends.redis import SessionStore
    from .stores.redis import PREFIX

    prefix = getattr(settings, "SCS_REDIS_PREFIX", PREFIX)
    own = f"test:{os.getpid()}:"
    with override_settings(SCS_REDIS_PREFIX=f"{own}{prefix}"):
        try:
            yield
        finally:
            # Tests that use no session need no server, so its errors are ignored. Tombstones go too.
            with suppress(Exception):
                nodes = SessionStore.get_store().servers()
                starts = (own, f"dead:{own}", f"dead:{{{own}")
                for node, start in product(nodes, starts):
                    for name in list(node.scan_iter(f"{start}*", count=1000)):
                        node.delete(name)
