"""Measure django_scs against every engine that a project would pick instead. Run by `make bench`.

    python -m tests.bench [--db mysql] [--quick] [--write-docs] [--seed N]

Starts throw-away servers, prints the report as Markdown and leaves the figures in
build/benchmark-<database>.json. `--from` prints such a file again, and measures nothing. `--db all`
measures on one database after the other. `--write-docs` puts the figures and the chart into docs/.
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
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

from tests.bench.engines import LARGE, SMALL
from tests.bench.plan import FULL, QUICK, Extent, Plan
from tests.servers import ServerError, interruptible

ROOT = Path(__file__).resolve().parents[2]


DATABASES = ("mysql", "postgresql", "sqlite", "redis")

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Show how far the run is. On standard error, so that the report can be piped."""
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def run(vendor: str, plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    """Measure everything. Django must be set up."""
    from tests.bench import lanes, report, tables

    skipped = []
    if "BENCHMARK_REDIS" not in os.environ:
        skipped.append("Django cache and cached_db: redis-server is not installed")
    program = None
    try:
        say("building the Go program with scs")
        program = lanes.build_go(folder, vendor)
    except (OSError, subprocess.CalledProcessError) as exc:
        reason = (getattr(exc, "stderr", "") or str(exc)).strip().splitlines()[-1]
        skipped.append(f"Go's scs: {reason}")
    payloads = {size: tables.payload(number, seed) for size, number in report.SIZES.items()}
    measured_on = _on_redis if vendor == "redis" else _on_sql
    results = measured_on(plan, seed, folder, payloads, program)
    skipped += results.pop("skipped", [])
    go = results.pop("go", "-")
    return {
        "vendor": vendor,
        "environment": environment(vendor, plan, seed, go),
        **results,
        "skipped": skipped,
    }


def _on_redis(
    plan: Plan, seed: int, folder: Path, payloads: dict[str, Any], program: Path | None
) -> dict[str, Any]:
    from tests.bench import lanes, on_redis

    go = lanes.GoProcess(program, "redis", [os.environ["BENCHMARK_REDIS"]]) if program else None
    results = on_redis.run(go, payloads, plan, seed, folder, say)
    if go:
        results["go"] = go.version
        go.close()
    return results


def _on_sql(
    plan: Plan, seed: int, folder: Path, payloads: dict[str, Any], program: Path | None
) -> dict[str, Any]:
    from django.db import connection

    from tests.bench import concurrency, lanes, measure, memory, profiled, report, served, tables
    from tests.bench.engines import ENGINES, OURS

    redis = "BENCHMARK_REDIS" in os.environ
    vendor = connection.vendor
    rows = {SMALL: plan.small, LARGE: plan.large}
    tables.prepare(rows, payloads[report.SHORT], seed, say)
    go = lanes.GoProcess(program, vendor) if program else None

    def timed(title: str, size: str, extent: Extent, found: list[Any]) -> Any:
        draw = random.Random(seed)
        return measure.measure(
            found, payloads[size], extent, draw, lambda text: say(f"{title}: {text}")
        )

    results: dict[str, Any] = {"rows": rows, "engine": {}, "profile": {}, "skipped": []}
    small = measure.make_lanes("engine", SMALL, go, redis)
    prepared = measure.make_prepared_lanes() if vendor == "postgresql" else []
    for size in payloads:
        short = size == report.SHORT
        found = [*small, *prepared]
        found += measure.make_lanes("engine", LARGE, go, redis) if short else []
        extent = plan.short if short else plan.longer
        results["engine"][size] = timed(f"engine level, {size}", size, extent, found)
        ours = [lane for lane in found if lane.key == OURS]
        results["profile"][size] = profiled.shares(ours, plan.profiled)
    requests = measure.make_lanes("request", SMALL, go, redis)
    figures = timed("request level", report.SHORT, plan.requests, requests)
    results["request"] = figures[SMALL]
    results["statements"] = {"engine": measure.count(small), "request": measure.count(requests)}
    if go:
        results["go"] = go.version
        go.close()
    results["served"] = served.drive(
        [ENGINES[key] for key in (OURS, "db", "cache") if redis or not ENGINES[key].needs_redis],
        payloads[report.SHORT],
        plan.served,
        random.Random(seed),
        folder,
        say,
    )
    results["memory"] = memory.grow(plan.sessions, lambda text: say(f"memory: {text}"))
    try:
        results["concurrency"] = concurrency.drive(plan.seconds, seed, folder, say)
    except ServerError as exc:
        results["skipped"].append(f"Concurrency: {exc}")
    say("done")
    return results


def environment(vendor: str, plan: Plan, seed: int, go: str) -> dict[str, str]:
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
    if vendor == "redis":
        from django_scs.backends.redis import SessionStore

        (server,) = SessionStore.get_store().servers()
        database = f"Redis {server.info('server')['redis_version']}, no append-only file"  # type: ignore[index]
    else:
        with connection.cursor() as cursor:
            cursor.execute(settings[vendor])
            database = cursor.fetchone()[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    packages = (
        "mysqlclient",
        "psycopg",
        "redis",
        "hiredis",
        "django-user-sessions",
        "gunicorn",
        "uvicorn",
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or "unknown",
        "extent": "quick: too few repetitions to quote" if plan is QUICK else "full",
        "seed": str(seed),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
        f" {platform.release()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python, Django": f"{platform.python_version()}, {django.__version__}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "database": database,
        "Go": go,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or read the results, print them, keep them. Return 0, whatever the targets say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--db", choices=[*DATABASES, "all"], default="mysql")
    parser.add_argument("--quick", action="store_true", help="try it out, in about a minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="file", type=Path, help="print this run again")
    parser.add_argument("--write-docs", action="store_true", help="put the run into docs/")
    options = parser.parse_args(argv)
    if options.db == "all" and not options.file:
        return _each(options)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
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


def _each(options: argparse.Namespace) -> int:
    """Run once for each database, in a process of its own: Django is set up once in a process."""
    arguments = [f"--seed={options.seed}"]
    arguments += [
        f"--{name.replace('_', '-')}" for name in ("quick", "write_docs") if vars(options)[name]
    ]
    command = [sys.executable, "-m", "tests.bench", *arguments]
    with interruptible():
        codes = [
            subprocess.run([*command, "--db", each], cwd=ROOT).returncode for each in DATABASES
        ]
    return max(codes)


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
