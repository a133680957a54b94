"""Interleaved rounds: in each, every lane does a batch of every operation, in a random order."""

from __future__ import annotations

import gc
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.engines import ENGINES, LARGE, OPERATIONS, OURS, PREPARED, SMALL
from tests.bench.lanes import (
    BlindLane,
    CursorLane,
    DriverLane,
    GoLane,
    GoProcess,
    RequestLane,
    SessionLane,
    StoreLane,
)
from tests.bench.plan import Extent

# Repetitions at the start of a batch that do not count: they meet caches that another lane has filled.
_WARM_UP = 2
#: Microseconds: median, first and third quartile.
Figures = dict[str, dict[str, list[float]]]


def make_lanes(level: str, table: str, go: GoProcess | None, redis: bool) -> list[Any]:
    """Return a lane for each engine that there is. Redis has no table of a million sessions."""
    lane = {"engine": SessionLane, "request": RequestLane}[level]
    lanes: list[Any] = [
        lane(engine, table)
        for engine in ENGINES.values()
        if not engine.needs_redis or (redis and table == SMALL)
    ]
    if level == "engine":
        layers = (DriverLane, BlindLane, CursorLane, StoreLane) if table == SMALL else (DriverLane,)
        lanes += [layer(ENGINES[OURS], table) for layer in layers]
        lanes += [GoLane(go, table)] if go else []
    return lanes


def make_prepared_lanes() -> list[Any]:
    """Return what is measured on a connection that prepares its statements."""
    lanes: list[Any] = [SessionLane(ENGINES[key], PREPARED) for key in (OURS, "db")]
    return [
        *lanes,
        *(lane(ENGINES[OURS], PREPARED) for lane in (DriverLane, CursorLane, StoreLane)),
    ]


def measure(
    lanes: Sequence[Any],
    values: Mapping[str, str],
    extent: Extent,
    draw: random.Random,
    say: Callable[[str], None],
) -> dict[str, Figures]:
    """Return for each table of the lanes, operation and engine what `Figures` says."""
    for lane in lanes:
        lane.fill(values)
        for operation in OPERATIONS.values():
            lane.measure(operation, max(extent.batch // 2, 3))
    gc.collect()
    samples: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number in extent.turns():
        for operation in OPERATIONS.values():
            for lane in draw.sample(lanes, len(lanes)):
                times = lane.measure(operation, extent.batch + _WARM_UP)[_WARM_UP:]
                samples[lane.table, operation.key, lane.key] += times
        say(f"round {number} of {extent.rounds}")
    results: dict[str, Figures] = {table: defaultdict(dict) for table in (SMALL, LARGE, PREPARED)}
    for (table, operation_key, key), times in samples.items():
        low, median, high = statistics.quantiles(times, n=4)
        results[table][operation_key][key] = [round(ns / 1000, 1) for ns in (median, low, high)]
    return {table: dict(figures) for table, figures in results.items() if figures}


def count(lanes: Sequence[Any]) -> dict[str, dict[str, str]]:
    """Return what each operation sends, by operation and engine."""
    return {
        operation.key: {lane.key: lane.count(operation) for lane in lanes}
        for operation in OPERATIONS.values()
    }
