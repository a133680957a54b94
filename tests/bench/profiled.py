"""Where the time of an operation goes, by whose code takes it: a profile of the run itself.

cProfile charges Python's functions, of which we have more than the driver has, for its own work: the
shares say who takes the rest of a ratio, the medians how much that is.
"""

from __future__ import annotations

import cProfile
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import CodeType
from typing import Any, Final

from tests.bench.engines import OPERATIONS
from tests.bench.lanes import SessionLane

_PACKAGE: Final = r"site-packages/{}/"
_DRIVERS: Final = "MySQLdb|_mysql|psycopg|psycopg_c|psycopg_binary|psycopg_pool|redis|hiredis"
#: Whose code a frame is, by its file, or a function in C, by what it calls itself.
_OWNERS: Final = {
    "driver and server": re.compile(
        rf"{_PACKAGE.format(f'({_DRIVERS})')}|/socket\.py$"
        rf"|^<.*\b({_DRIVERS}|sqlite3|_socket|select)\."
    ),
    "Django's cursor": re.compile(_PACKAGE.format("django/db")),
    "store": re.compile("/django_scs/stores/"),
    "codec": re.compile("/django_scs/codecs/|/json/|^<.*json"),
    "session": re.compile("/django_scs/"),
    "Django": re.compile(_PACKAGE.format("django")),
}
#: The rest: Python's library where nobody above has called it, and the benchmark's own loop.
OTHER: Final = "other"

Code = CodeType | str


def shares(lanes: Iterable[SessionLane], number: int) -> dict[str, dict[str, float]]:
    """Return by table and operation which part of ours is spent in whose code, the largest first."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for lane in lanes:
        for operation in OPERATIONS.values():
            profiler = cProfile.Profile()
            run = lane.run

            def profiled(*args: Any, run: Any = run, profiler: Any = profiler) -> Any:
                return profiler.runcall(run, *args)

            lane.run = profiled  # type: ignore[method-assign]
            try:
                lane.measure(operation, number)
            finally:
                del lane.run
            found[lane.table][operation.key] = _by_owner(profiler.getstats())
    return dict(found)


def _by_owner(entries: Iterable[Any]) -> dict[str, float]:
    """Charge each function's own time to its owner, and of nobody's functions to who called them."""
    own: dict[Code, float] = {}
    callers: dict[Code, dict[Code, float]] = defaultdict(dict)
    for entry in entries:
        own[entry.code] = entry.inlinetime
        for called in entry.calls or ():
            callers[called.code][entry.code] = called.totaltime
    spent: dict[str, float] = defaultdict(float)
    for code, seconds in own.items():
        for owner, part in _owners(code, callers, frozenset()).items():
            spent[owner] += seconds * part
    total = sum(spent.values()) or 1.0
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return {owner: round(seconds / total, 3) for owner, seconds in ordered}


def _owners(
    code: Code, callers: Mapping[Code, Mapping[Code, float]], seen: frozenset[Code]
) -> dict[str, float]:
    """Return whose a function is; one of Python's library belongs to its callers, in proportion."""
    place = code if isinstance(code, str) else code.co_filename
    for owner, pattern in _OWNERS.items():
        if pattern.search(place):
            return {owner: 1.0}
    calling = {caller: part for caller, part in callers.get(code, {}).items() if caller not in seen}
    total = sum(calling.values())
    if not total:
        return {OTHER: 1.0}
    parts: dict[str, float] = defaultdict(float)
    for caller, part in calling.items():
        for owner, share in _owners(caller, callers, seen | {code}).items():
            parts[owner] += share * part / total
    return parts
