"""Run the whole suite: pytest on each database, then Django's own suites, then one total.

    python -m tests.run [--db sqlite,mysql,postgresql] [pytest arguments]

The quick tests run in parallel, then the slow ones, file by file: those put load on servers. What
pytest arguments select runs one after another, without Django's suites.
The servers are throw-away ones, and gone at the end, however it comes. The last line is
`N passed, N failed, N skipped`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proofs import django_suites
from tests.servers import SERVERS, ServerError, interruptible

ROOT = Path(__file__).resolve().parent.parent
DATABASES = ("sqlite", *SERVERS)
GRACE_SECONDS = 30
NOTHING_RAN = 5  # pytest.ExitCode.NO_TESTS_COLLECTED
PROCESSORS = os.cpu_count() or 1
PASSES = (
    ("--quick", "-q", "--numprocesses=auto"),
    # Those of one file share servers and sites.
    ("--slow", "-q", "--numprocesses=auto", "--dist=loadfile"),
)


@dataclass(frozen=True)
class Counts:
    """How many tests passed, failed (errors included) and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def with_status(self, status: int) -> Counts:
        """Count a run that went wrong without a failing test as a failure itself."""
        return self if status == 0 or self.failed else self + Counts(failed=1)


def read_counts(report: Path) -> Counts:
    """Count the tests in a JUnit report; a missing or unfinished one has none."""
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except (FileNotFoundError, ET.ParseError):
        return Counts()
    failed = sum(
        case.find("failure") is not None or case.find("error") is not None for case in cases
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Counts(len(cases) - failed - skipped, failed, skipped)


def run(command: Sequence[str], url: str) -> int:
    """Run a command in a process group of its own and return its status; leave none of it behind.

    When interrupted, let it clean up as Ctrl-C would, for GRACE_SECONDS at most.
    """
    environment = {**os.environ, "DATABASE_URL": url}
    process = subprocess.Popen(
        # A group that is not the terminal's would be stopped when it reads from it.
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """Provide an empty database and its URL."""
    if name == "sqlite":
        yield f"sqlite:///{folder}/db.sqlite3"
    else:
        with SERVERS[name]() as server:
            yield server.url


def run_pytest(url: str, folder: Path, options: Sequence[str], arguments: Sequence[str]) -> Counts:
    """Run pytest on one database. Finding nothing is fine where arguments select tests."""
    total, report = Counts(), folder / "pytest.xml"
    pytest = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *options]
    for each in [arguments] if arguments else PASSES:
        report.unlink(missing_ok=True)
        status = run([*pytest, *each], url)
        total += read_counts(report).with_status(
            0 if status == NOTHING_RAN and arguments else status
        )
    return total


def run_django_suites(url: str, folder: Path, everything: bool) -> Counts:
    """Run suites of Django's own on one database."""
    total = Counts()
    # Each process needs its copy of the database, which costs servers a dump.
    processes = PROCESSORS if url.startswith("sqlite:") else 1
    for number, labels in enumerate(django_suites.groups(everything=everything)):
        report = folder / f"django-{number}.json"
        options = [f"--counts={report}", f"--parallel={processes}"]
        status = run([sys.executable, "-m", "tests.proofs.django_suites", *options, *labels], url)
        counts = Counts(**json.loads(report.read_text())) if report.exists() else Counts()
        total += counts.with_status(status)
    return total


def run_on(name: str, first: bool, arguments: Sequence[str]) -> Counts:
    """Run everything that is to run on one database, and say what came out."""
    print(f"\n=== {name} ===", flush=True)
    of_pytest = of_django = Counts()
    once_only = [] if first else ["--database-only"]
    with tempfile.TemporaryDirectory(prefix="django_scs-") as folder:
        try:
            with database(name, Path(folder)) as url:
                of_pytest = run_pytest(url, Path(folder), once_only, arguments)
                if not arguments:
                    of_django = run_django_suites(url, Path(folder), everything=first)
        except ServerError as error:
            print(error, flush=True)
            of_pytest += Counts(failed=1)
    print(f"{name}: {of_pytest}; Django's suites: {of_django}", flush=True)
    return of_pytest + of_django


def parse(argv: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the databases to test on, and what is meant for pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("--db", default=",".join(DATABASES), help="default: %(default)s")
    options, arguments = parser.parse_known_args(argv)
    names = options.db.split(",")
    if unknown := set(names) - set(DATABASES):
        parser.error(f"--db: {', '.join(unknown)}: must be among {', '.join(DATABASES)}")
    return names, arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite. Return 0 if something ran and nothing failed."""
    names, arguments = parse(argv)
    results: dict[str, Counts] = {}
    try:
        with interruptible():
            for name in names:
                results[name] = run_on(name, not results, arguments)
    except KeyboardInterrupt as signal_name:
        print(f"\nInterrupted by {signal_name}", file=sys.stderr)
        return 130
    print()
    for name, counts in results.items():
        print(f"{name}: {counts}")
    total = sum(results.values(), Counts())
    print(total, flush=True)
    return int(total.failed > 0 or total.passed == 0)


if __name__ == "__main__":
    sys.exit(main())
