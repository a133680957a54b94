"""What the benchmark says of its targets: met or missed, and why. It measures nothing here."""

from __future__ import annotations

import cProfile
from datetime import UTC, datetime
from typing import Any

from django_scs.codecs.json import JSONCodec
from tests.bench import report
from tests.bench.engines import FLOOR, GO, OURS, STORE
from tests.bench.plan import Extent
from tests.bench.profiled import OTHER, _by_owner

# Medians in microseconds: on Redis ours may take 1.6 times as long as the driver, and 1.5 times as Go.
READ = {OURS: 90, FLOOR: 50, STORE: 60, GO: 70, "cache": 200}


def results(**medians: float) -> dict[str, Any]:
    read = {key: [float(median)] * 3 for key, median in medians.items()}
    return {
        "vendor": "redis",
        "rows": {"small": 0},
        "engine": {report.SHORT: {"small": {"read": read}}},
        "profile": {report.SHORT: {"small": {"read": {"driver and server": 0.6, "codec": 0.4}}}},
    }


def test_each_target_is_met_or_missed() -> None:
    rows = list(report.target_rows(results(**READ)))
    read = [row.verdict for row in rows if row.title.startswith("read:")]
    assert read == ["met", "MISSED", "met"]
    assert {row.verdict for row in rows if not row.title.startswith("read:")} == {"not measured"}


def test_a_miss_says_what_the_driver_would_reach_and_whose_code_takes_the_time() -> None:
    text = report._targets(results(**{**READ, GO: 40}))
    told = [line for line in text.splitlines() if line.startswith("- ")]
    where = (
        "90 us are driver and server 50, store 10, session and codec 30;"
        " by profile driver and server 60%, codec 40%."
    )
    assert told == [
        f"- read: ours / bare driver: {where}",
        f"- read: ours / Go, scs: the bare driver alone: 1.25; {where}",
    ]


def test_profile_charges_the_librarys_functions_to_who_called_them() -> None:
    codec, now = JSONCodec(), datetime.now(UTC)
    profiler = cProfile.Profile()
    profiler.runcall(lambda: [codec.encode(now, {"a": [1] * 1000}) for _ in range(20)])
    shares = _by_owner(profiler.getstats())
    assert next(iter(shares)) == "codec"
    assert shares.get(OTHER, 0.0) < 0.2


def test_rounds_end_when_their_time_is_over() -> None:
    assert list(Extent(3, 1, 60).turns()) == [1, 2, 3]
    assert list(Extent(3, 1, -1).turns()) == [1]
