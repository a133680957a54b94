"""Whether a process that serves many different sessions grows with them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

from django.test import override_settings

from django_scs.models import Session
from tests.bench import tables
from tests.bench.engines import ENGINES, LARGE, OPERATIONS, OURS
from tests.bench.lanes import RequestLane


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


def _size() -> tuple[int, int]:
    gc.collect()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects())
