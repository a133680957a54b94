"""Sessions in Redis beside Django's `cache` engine, the bare client and scs's goredisstore."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis
from django.db import connections

from tests.bench import lanes, measure, memory, profiled, report, served, tables
from tests.bench.engines import FLOOR, OURS, SMALL, Engine
from tests.bench.plan import Plan

OURS_ON_REDIS = Engine(
    OURS,
    "django_scs",
    "django_scs.backends.redis",
    "django_scs.middleware.SessionMiddleware",
    idle={"SCS_IDLE_TIMEOUT": 1200},
)
CACHE = Engine("cache", "Django cache", "django.contrib.sessions.backends.cache")
_MILLISECONDS = int(lanes.TTL * 1000)


class ClientLane(lanes.StatementLane):
    """The floor: blind commands of the bare client, without values."""

    key = FLOOR

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(engine, table)
        self._client = redis.Redis.from_url(os.environ["BENCHMARK_REDIS"])

    def _find(self, token: str) -> bytes:
        found: Any = self._client.get(_name(token))
        assert found is not None
        return bytes(found)

    def _replace(self, token: str, data: bytes, old: bytes) -> None:
        assert self._client.set(_name(token), data, px=_MILLISECONDS, xx=True)

    def _touch(self, token: str, old: bytes) -> None:
        assert self._client.pexpire(_name(token), _MILLISECONDS)

    def _rename(self, token: str, new: str) -> None:
        assert self._client.rename(_name(token), _name(new))

    def _insert(self, token: str, data: bytes) -> None:
        assert self._client.set(_name(token), data, px=_MILLISECONDS, nx=True)


def _name(token: str) -> str:
    return f"scs:session:{token}"


def run(
    go: lanes.GoProcess | None,
    payloads: Mapping[str, dict[str, str]],
    plan: Plan,
    seed: int,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure what there is to measure on Redis. Django must be set up."""
    from django.core.management import call_command

    tables._wrappers[SMALL] = connections["default"]
    # The database has the user who logs in, and no session.
    call_command("migrate", verbosity=0)
    found: list[Any] = [lanes.SessionLane(engine, SMALL) for engine in (OURS_ON_REDIS, CACHE)]
    found += [lane(OURS_ON_REDIS, SMALL) for lane in (ClientLane, lanes.StoreLane)]
    found += [lanes.GoLane(go, SMALL)] if go else []
    results: dict[str, Any] = {"engine": {}, "profile": {}, "rows": {SMALL: 0}}
    for size, values in payloads.items():
        results["engine"][size] = measure.measure(
            found,
            values,
            plan.short if size == report.SHORT else plan.longer,
            random.Random(seed),
            lambda text, size=size: say(f"engine level, {size}: {text}"),  # type: ignore[misc]
        )
        ours = [lane for lane in found if lane.key == OURS]
        results["profile"][size] = profiled.shares(ours, plan.profiled)
    results["served"] = served.drive(
        (OURS_ON_REDIS, CACHE),
        payloads[report.SHORT],
        plan.served,
        random.Random(seed),
        folder,
        say,
    )
    results["memory"] = memory.iterate(plan.large, say)
    return results
