"""Sessions in Redis beside Django's `cache` engine, the bare client and scs's goredisstore.

    python -m tests.bench --db redis [--quick]

Prints two tables, operations of the engine and operations of the store, and the targets.
"""

from __future__ import annotations

import gc
import os
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from tests.bench.engines import FLOOR, GO, OPERATIONS, OURS, SMALL, Engine
from tests.servers import Redis

# Rounds, and repetitions in each.
FULL, QUICK = (30, 60), (3, 15)
SIZES = {"350 bytes": 350, "4 kB": 4000}
TTL = 14 * 86_400.0
TITLES = {OURS: "django_scs", "cache": "Django cache", FLOOR: "bare client", GO: "Go, scs"}
#: Operation, ours against whom, the limit, and whether ours has to be that many times as fast.
TARGETS = [
    *[(key, "cache", 1.6, True) for key in ("read", "change", "create", "login")],
    ("read", FLOOR, 1.6, False),
    *[(key, GO, 1.5, False) for key in ("read", "change", "create", "login")],
]


def main(*, quick: bool, seed: int) -> int:
    """Start a server, measure, print. Return 0, whatever the targets say."""
    with Redis() as server, tempfile.TemporaryDirectory(prefix="django_scs-") as folder:
        os.environ["BENCHMARK_REDIS"] = server.url
        import django

        django.setup()
        rounds, batch = QUICK if quick else FULL
        go = _go(Path(folder), server.url)
        for title, size in SIZES.items():
            figures = _engines(size, rounds, batch, seed, go)
            print(f"\n### Engine, {title} (us, median)\n\n{_table(figures, OPERATIONS)}")
            print("\n".join(_targets(figures)))
            found = _store(size, rounds * batch, seed)
            print(f"\n### Store, {title} (us, median)\n\n{_table(found, found)}")
        if go:
            go.close()
    return 0


def _go(folder: Path, url: str) -> Any:
    from tests.bench import lanes

    try:
        return lanes.GoProcess(lanes.build_go(folder, "redis"), "redis", [url])
    except OSError as exc:
        print(f"without Go's scs: {exc}", file=sys.stderr)
        return None


def _engines(size: int, rounds: int, batch: int, seed: int, go: Any) -> Mapping[str, Any]:
    from django.db import connections

    from tests.bench import lanes, measure, tables

    # No operation reaches a database.
    tables._wrappers[SMALL] = connections["default"]
    ours = Engine(
        OURS,
        "django_scs",
        "django_scs.backends.redis",
        "django_scs.middleware.SessionMiddleware",
        idle={"SCS_IDLE_TIMEOUT": 1200},
    )
    cache = Engine("cache", "Django cache", "django.contrib.sessions.backends.cache")
    found: list[Any] = [lanes.SessionLane(engine, SMALL) for engine in (ours, cache)]
    found.append(_client_lane(ours))
    found += [lanes.GoLane(go, SMALL)] if go else []
    values = tables.payload(size, seed)
    draw = random.Random(seed)
    return measure.measure(found, values, rounds, batch, draw, lambda text: None)[SMALL]


def _client_lane(engine: Engine) -> Any:
    import redis

    from django_scs import tokens
    from tests.bench import lanes
    from tests.bench.engines import Operation

    client = redis.Redis.from_url(os.environ["BENCHMARK_REDIS"])
    milliseconds = int(TTL * 1000)

    class ClientLane(lanes.Lane):
        """The floor: blind commands of the bare client, without values."""

        key = FLOOR
        _data = b""

        def fill(self, values: Mapping[str, str]) -> None:
            super().fill(values)
            self._data = client.get(f"scs:session:{self._pool[0]}") or b""

        def run(self, operation: Operation, token: str, turn: int) -> str | None:
            new = None
            for name in operation.statements:
                if name == "find":
                    client.get(f"scs:session:{token}")
                elif name == "replace":
                    client.set(f"scs:session:{token}", self._data, px=milliseconds, xx=True)
                elif name == "touch":
                    client.pexpire(f"scs:session:{token}", milliseconds)
                elif name == "insert":
                    new = tokens.new()
                    client.set(f"scs:session:{new}", self._data, px=milliseconds, nx=True)
                else:
                    new = tokens.new()
                    client.rename(f"scs:session:{token}", f"scs:session:{new}")
                    token = new
            return new

    return ClientLane(engine, SMALL)


def _store(size: int, number: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Return the times of the store's operations beside the commands that a blind client would send."""
    import redis

    from django_scs import tokens
    from django_scs.stores.redis import RedisStore

    url = os.environ["BENCHMARK_REDIS"]
    store, client = RedisStore(redis.Redis.from_url(url)), redis.Redis.from_url(url)
    data, milliseconds = b"x" * size, int(TTL * 1000)
    keys = [tokens.new() for _ in range(50)]
    for key in keys:
        store.insert(key, data, TTL)

    def name(key: str) -> str:
        return f"scs:session:{key}"

    def renamed(rename: Callable[[str, str], Any]) -> Callable[[str], Any]:
        return lambda key: rename(key, tokens.new())

    pairs: dict[str, tuple[Callable[[str], Any], Callable[[str], Any]]] = {
        "find": (store.find, lambda key: client.get(name(key))),
        "replace": (
            lambda key: store.replace(key, data, TTL, data),
            lambda key: client.set(name(key), data, px=milliseconds, xx=True),
        ),
        "touch": (
            lambda key: store.touch(key, TTL, data),
            lambda key: client.pexpire(name(key), milliseconds),
        ),
        "insert": (
            lambda key: store.insert(tokens.new(), data, TTL),
            lambda key: client.set(name(tokens.new()), data, px=milliseconds, nx=True),
        ),
        "rename": (
            renamed(lambda key, new: store.rename(key, new, TTL)),
            renamed(lambda key, new: client.rename(name(key), name(new))),
        ),
        "delete": (store.delete, lambda key: client.delete(name(key))),
    }
    draw = random.Random(seed)
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    jobs = [(kind, index) for kind in pairs for index in (0, 1)] * number
    draw.shuffle(jobs)
    gc.collect()
    for kind, index in jobs:
        key = draw.choice(keys)
        if kind in ("rename", "delete"):
            store.insert(key := tokens.new(), data, TTL)
        start = perf_counter_ns()
        pairs[kind][index](key)
        times[kind, (OURS, FLOOR)[index]].append(perf_counter_ns() - start)
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for (kind, who), samples in times.items():
        found[kind][who] = [statistics.median(samples) / 1000]
    return {kind: found[kind] for kind in pairs}


def _table(figures: Mapping[str, Any], operations: Sequence[str] | Mapping[str, Any]) -> str:
    who = [key for key in TITLES if any(key in found for found in figures.values())]
    lines = ["| operation | " + " | ".join(TITLES[key] for key in who) + " |"]
    lines.append("|---" * (len(who) + 1) + "|")
    for operation in operations:
        if operation in figures:
            found = figures[operation]
            cells = [f"{found[key][0]:.0f}" if key in found else "-" for key in who]
            lines.append(f"| {operation} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _targets(figures: Mapping[str, Any]) -> list[str]:
    lines = []
    for operation, other, limit, faster in TARGETS:
        if other not in figures[operation]:
            continue
        mine, theirs = figures[operation][OURS][0], figures[operation][other][0]
        ratio = theirs / mine if faster else mine / theirs
        met = ratio >= limit if faster else ratio <= limit
        asked = f"at least {limit} times as fast as" if faster else f"at most {limit} times"
        lines.append(
            f"- {'met' if met else 'MISSED'}: {operation}, {asked} {TITLES[other]}: {ratio:.2f}"
        )
    return lines
