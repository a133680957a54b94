"""Measure django_scs against every engine that a project would pick instead. Run by `make bench`.

    python -m tests.bench [--db mysql] [--quick] [--write-docs] [--seed N]

Starts throw-away servers, prints the report as Markdown and leaves the figures in
build/benchmark-<database>.json. `--from` prints such a file again, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

from tests.bench.engines import LARGE, SMALL
from tests.servers import SERVERS, ServerError, interruptible

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Plan:
    """How much is measured. Rounds and batches: of the short sessions, of the others, of requests."""

    small: int
    large: int
    short: tuple[int, int]
    longer: tuple[int, int]
    requests: tuple[int, int]
    sessions: int
    seconds: int


FULL = Plan(1_000, 1_000_000, (24, 25), (10, 15), (10, 25), 100_000, 10)
QUICK = Plan(1_000, 50_000, (2, 8), (1, 5), (1, 8), 5_000, 1)

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Show how far the run is. On standard error, so that the report can be piped."""
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def run(vendor: str, plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    """Measure everything. Django must be set up."""
    from tests.bench import concurrency, lanes, measure, memory, report, tables

    skipped = []
    redis = "BENCHMARK_REDIS" in os.environ
    if not redis:
        skipped.append("Django cache and cached_db: redis-server is not installed")
    payloads = {size: tables.payload(number, seed) for size, number in report.SIZES.items()}
    rows = {SMALL: plan.small, LARGE: plan.large}
    tables.prepare(rows, payloads[report.SHORT], seed, say)
    go = None
    say("building the Go program with scs")
    try:
        go = lanes.GoProcess(lanes.build_go(folder, vendor), vendor)
    except (OSError, subprocess.CalledProcessError) as exc:
        reason = (getattr(exc, "stderr", "") or str(exc)).strip().splitlines()[-1]
        skipped.append(f"Go's scs: {reason}")

    def lanes_for(level: str, *names: str) -> list[Any]:
        return [lane for name in names for lane in measure.make_lanes(level, name, go, redis)]

    def timed(title: str, size: str, extent: tuple[int, int], found: list[Any]) -> Any:
        draw = random.Random(seed)
        return measure.measure(
            found, payloads[size], *extent, draw, lambda text: say(f"{title}: {text}")
        )

    results: dict[str, Any] = {
        "vendor": vendor,
        "rows": rows,
        "environment": environment(vendor, plan, seed, go),
        "engine": {},
        "skipped": skipped,
    }
    small = lanes_for("engine", SMALL)
    for size in payloads:
        short = size == report.SHORT
        found = [*small, *lanes_for("engine", LARGE)] if short else small
        extent = plan.short if short else plan.longer
        results["engine"][size] = timed(f"engine level, {size}", size, extent, found)
    requests = lanes_for("request", SMALL)
    figures = timed("request level", report.SHORT, plan.requests, requests)
    results["request"] = figures[SMALL]
    results["statements"] = {"engine": measure.count(small), "request": measure.count(requests)}
    if go:
        go.close()
    results["memory"] = memory.grow(plan.sessions, lambda text: say(f"memory: {text}"))
    try:
        results["concurrency"] = concurrency.drive(plan.seconds, seed, folder, say)
    except ServerError as exc:
        skipped.append(f"Concurrency: {exc}")
    say("done")
    return results


def environment(vendor: str, plan: Plan, seed: int, go: Any) -> dict[str, str]:
    """Return what a reader must know to judge the figures, or to repeat the run."""
    from django.db import connection

    settings = {
        "mysql": (
            "SELECT concat(@@version, ', ', @@session.tx_isolation, ', flush_log_at_trx_commit ',"
            " @@innodb_flush_log_at_trx_commit, ', sync_binlog ', @@sync_binlog, ', autocommit ',"
            " @@autocommit)"
        ),
        "postgresql": (
            "SELECT concat_ws(', ', current_setting('server_version'),"
            " current_setting('transaction_isolation'),"
            " 'fsync ' || current_setting('fsync'),"
            " 'synchronous_commit ' || current_setting('synchronous_commit'))"
        ),
        "sqlite": "SELECT sqlite_version() || ', WAL, synchronous NORMAL'",
    }
    with connection.cursor() as cursor:
        cursor.execute(settings[vendor])
        database = cursor.fetchone()[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    packages = ("mysqlclient", "psycopg", "redis", "hiredis", "django-user-sessions", "gunicorn")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or "unknown",
        "extent": "quick: too few repetitions to quote" if plan is QUICK else "full",
        "seed": str(seed),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
        f" {platform.release()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python, Django": f"{platform.python_version()}, {django.__version__}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "database": database,
        "Go": go.version if go else "-",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or read the results, print them, keep them. Return 0, whatever the targets say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--db", choices=["sqlite", *SERVERS, "redis"], default="mysql")
    parser.add_argument("--quick", action="store_true", help="try it out, in less than a minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="file", type=Path, help="print this run again")
    parser.add_argument("--write-docs", action="store_true", help="put the run into docs/")
    options = parser.parse_args(argv)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    if options.db == "redis":
        from tests.bench import on_redis

        return on_redis.main(quick=options.quick, seed=options.seed)
    if options.file:
        results = json.loads(options.file.read_text())
    else:
        try:
            results = measured(options.db, QUICK if options.quick else FULL, options.seed)
        except KeyboardInterrupt as signal_name:
            print(f"\nInterrupted by {signal_name}", file=sys.stderr)
            return 130
    from tests.bench import report

    for title, text in report.sections(results):
        print(f"\n### {title}\n\n{text}")
    if options.write_docs:
        for path in report.write_docs(results):
            say(f"wrote {path.relative_to(ROOT)}")
    return 0


def measured(vendor: str, plan: Plan, seed: int) -> dict[str, Any]:
    """Run with servers, keep the results in build/ and return them."""
    from tests.bench.servers import running

    with interruptible(), tempfile.TemporaryDirectory(prefix="django_scs-") as folder:
        say("starting servers")
        with running(vendor, Path(folder)) as found:
            os.environ.update(found)
            django.setup()
            results = run(vendor, plan, seed, Path(folder))
            from django.db import connections

            connections.close_all()
    file = ROOT / "build" / f"benchmark-{vendor}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=1))
    say(f"wrote {file.relative_to(ROOT)}")
    return results


if __name__ == "__main__":
    sys.exit(main())
