"""Whether a process that serves many sessions, or goes through all of them, grows with them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

from django.test import override_settings

from django_scs.models import Session
from tests.bench import tables
from tests.bench.engines import ENGINES, LARGE, OPERATIONS, OURS
from tests.bench.lanes import RequestLane

_PIPELINE = 10_000


def grow(sessions: int, say: Callable[[str], None]) -> dict[str, float]:
    """Ask for a page with each of `sessions` sessions, and change each tenth of them.

    The first tenth of the requests, or 2,000 of them, warms the process up. Returns how many
    sessions came after that, and by how many bytes and live objects the process grew meanwhile.
    """
    tables.use(LARGE)
    keys = list(Session.objects.values_list("token", flat=True)[:sessions])
    lane = RequestLane(ENGINES[OURS], LARGE)
    read, change = OPERATIONS["read"], OPERATIONS["change"]
    warm = max(sessions // 10, 2_000)
    before = (0, 0)
    with override_settings(SESSION_ENGINE=ENGINES[OURS].module):
        for number, key in enumerate(keys):
            if number == warm:
                before = _size()
            if number % max(sessions // 5, 1) == 0:
                say(f"{number:,} sessions served")
            lane.run(change if number % 10 == 0 else read, key, number)
    after = _size()
    return {
        "sessions": len(keys) - warm,
        "bytes": after[0] - before[0],
        "objects": after[1] - before[1],
    }


def iterate(sessions: int, say: Callable[[str], None]) -> dict[str, float]:
    """Go through `sessions` sessions in Redis. Return what `grow` does, after the first tenth."""
    from django_scs.backends.redis import SessionStore

    store = SessionStore.get_store()
    session = SessionStore()
    session.update(tables.payload(300, 0))
    session.save()
    record = store.find(str(session.session_key))
    assert record is not None
    (client,) = store.servers()
    client.flushdb()
    say(f"memory: {sessions:,} sessions into Redis")
    for start in range(0, sessions, _PIPELINE):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + _PIPELINE):
            pipeline.set(f"scs:session:{number:043}", record.data, ex=86_400)
        pipeline.execute()
    say("memory: going through them")
    number, before = 0, (0, 0)
    for number, _ in enumerate(SessionStore.iterate(), 1):
        if number == sessions // 10:
            before = _size()
    after = _size()
    assert number >= sessions
    return {
        "sessions": number - sessions // 10,
        "bytes": after[0] - before[0],
        "objects": after[1] - before[1],
    }


def _size() -> tuple[int, int]:
    gc.collect()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects())
