"""Run other projects' suites with Django's engine and ours, and compare them test by test.

    python -m tests.proofs.packages [--db sqlite,mysql,postgresql] [--docs] [package ...]

A difference that differences.json does not explain is a failure, and so is an explanation without a
difference. `--docs` puts the lines of this run into the table of docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.run import DATABASES
from tests.servers import SERVERS, interruptible
from tests.settings import database

from . import FOLDER, PACKAGES, WITHOUT_TESTS, Package, explanations

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache" / "packages"
DOCUMENT = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- packages: begin -->", "<!-- packages: end -->"
SECONDS = 3600
# The drivers too, because each database may be asked for.
TOOLS = ("pytest", "pytest-django", "mysqlclient", "psycopg[binary]")
Outcomes = dict[str, str]


class PackageError(Exception):
    """A suite could not be fetched or run; the message has the end of its output."""


@dataclass(frozen=True)
class Comparison:
    """What both engines made of one suite on one database. Differences are test names."""

    package: Package
    database: str
    djangos: Outcomes
    ours: Outcomes

    @property
    def differences(self) -> dict[str, str]:
        """Return what happened with Django's engine and with ours, by test."""
        return {
            test: f"{self.djangos.get(test, 'absent')} -> {self.ours.get(test, 'absent')}"
            for test in sorted(self.djangos.keys() | self.ours.keys())
            if self.djangos.get(test) != self.ours.get(test)
        }

    @property
    def explained(self) -> dict[str, str]:
        """Return the reasons by test."""
        return {
            test: reason
            for test in self.differences
            for pattern, reason in explanations().get(self.package.name, {}).items()
            if fnmatch.fnmatchcase(test, pattern)
        }

    @property
    def unexplained(self) -> list[str]:
        """Return the tests whose difference has no reason."""
        return sorted(self.differences.keys() - self.explained.keys())

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        passed = [list(each.values()).count("passed") for each in (self.djangos, self.ours)]
        return (
            f"{self.package.name} {self.package.version}",
            self.database,
            *map(str, (len(self.djangos), *passed, len(self.explained), len(self.unexplained))),
        )


HEADINGS = (
    "package",
    "database",
    "tests",
    "pass on Django's engine",
    "pass on ours",
    "explained",
    "unexplained",
)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_of(text: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the lines of a Markdown table, by package and database."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    rows = [tuple(line.strip("| ").split(" | ")) for line in lines]
    return {row[:2]: row for row in rows}


def call(command: Sequence[str | Path], folder: Path = ROOT) -> None:
    """Run a command. Raise PackageError with the end of its output if it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode:
        raise PackageError(f"{command}\n{(done.stdout + done.stderr)[-2000:]}")


def environment() -> Path:
    """Return the Python of a virtual environment with all packages, made when their list changes."""
    import django

    wanted = [
        f"django=={django.get_version()}",
        "dj-database-url",
        *TOOLS,
        *(package.requirement for package in PACKAGES),
        *(need for package in PACKAGES for need in package.needs),
    ]
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = CACHE / f"venv-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print("Installing the packages", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        call([python, "-m", "pip", "install", "--quiet", *wanted])
        (folder / "complete").touch()
    return python


def source(package: Package, python: Path) -> Path:
    """Return the folder of a package's source, downloaded and unpacked at first."""
    folder = CACHE / f"{package.name}-{package.version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as working:
            pip = [python, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={working}"]
            call([*pip, f"--no-binary={package.name}", f"{package.name}=={package.version}"])
            (archive,) = Path(working).glob("*.tar.gz")
            unpacked = Path(working, "unpacked")
            unpacked.mkdir()
            call(["tar", "-xzf", archive, "--strip-components=1", "-C", unpacked])
            unpacked.rename(folder)
    return folder


def outcome(case: ET.Element) -> str:
    """Return what became of a test, in one word."""
    words = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    return next((words[child.tag] for child in case if child.tag in words), "passed")


def run(package: Package, python: Path, url: str | None, *, ours: bool) -> Outcomes:
    """Run a suite in a process of its own, and return the outcome of each test by name.

    Raise PackageError if it does not come to its end.
    """
    folder = source(package, python)
    wanted = {
        "settings": package.settings,
        "ours": ours,
        "both_apps": package.both_apps,
        "database": database(url) if url else None,
    }
    paths = [*(folder / path for path in package.paths), folder, FOLDER / "overlay", ROOT]
    variables = {
        **os.environ,
        "OVERLAY": json.dumps(wanted),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONHASHSEED": "0",
    }
    variables.pop("DATABASE_URL", None)
    with tempfile.TemporaryDirectory(prefix="django_scs-") as working:
        report = Path(working, "report.xml")
        command = [
            *(python, "-m", "pytest", "-q", "-p", "scs_overlay", "-p", "no:cacheprovider"),
            "--continue-on-collection-errors",
            *("-c", FOLDER / "overlay" / "pytest.ini", f"--rootdir={folder}"),
            f"--junit-xml={report}",
            *(["--ds=scs_overlay"] if package.settings else ["--no-migrations"]),
            *package.arguments,
        ]
        done = subprocess.run(
            [*map(str, command)],
            cwd=folder,
            env={**variables, "TMPDIR": working},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        on = "sqlite" if url is None else url.partition(":")[0]
        name = f"{package.name}-{on}-{'ours' if ours else 'djangos'}.log"
        (CACHE / name).write_text(done.stdout)
        # A module that cannot be imported counts as one test that failed.
        if done.returncode not in (0, 1, 2) or not report.exists():
            raise PackageError(f"{package.name}:\n{done.stdout[-3000:]}")
        cases = list(ET.parse(report).iter("testcase"))
        if not cases:
            raise PackageError(f"{package.name} ran no test:\n{done.stdout[-3000:]}")
        return {f"{case.get('classname')}.{case.get('name')}": outcome(case) for case in cases}


@contextlib.contextmanager
def server(name: str) -> Iterator[str | None]:
    """Provide the URL of a database, or None for the one that each suite has by itself."""
    if name == "sqlite":
        yield None
    else:
        with SERVERS[name]() as running:
            yield running.url


def compare(packages: Sequence[Package], names: Sequence[str]) -> Iterator[Comparison]:
    """Run each package on each database that concerns it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    python = environment()
    for name in names:
        with server(name) as url:
            for package in packages:
                if name == "sqlite" or package.every_database:
                    print(f"{package.name} on {name}", flush=True)
                    results = [run(package, python, url, ours=ours) for ours in (False, True)]
                    yield Comparison(package, name, *results)


def unneeded(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the explanations that explain nothing, of the packages that ran."""
    names = {each.package.name for each in comparisons}
    differ = {(each.package.name, test) for each in comparisons for test in each.differences}
    return [
        f"{name}: {pattern}"
        for name in sorted(names)
        for pattern in explanations().get(name, {})
        if not any(of == name and fnmatch.fnmatchcase(test, pattern) for of, test in differ)
    ]


def documented(text: str, comparisons: Sequence[Comparison]) -> str:
    """Return a page with the lines of these runs in the place of the old ones of its table."""
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    names = [f"{package.name} {package.version}" for package in PACKAGES]
    new = rows_of(old) | {row[:2]: row for row in (each.row() for each in comparisons)}
    rows = [new[name, on] for name in names for on in DATABASES if (name, on) in new]
    reasons = [
        f"- {name}: `{pattern}` {reason}"
        for name, patterns in sorted(explanations().items())
        for pattern, reason in patterns.items()
    ]
    missing = [f"- {name}: {why}" for name, why in WITHOUT_TESTS.items()]
    parts = [
        table(rows),
        "The differences, and their reasons:\n\n" + "\n".join(reasons),
        "Not run, because the package index has no tests of them:\n\n" + "\n".join(missing),
    ]
    return f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if each difference is explained and each explanation needed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.packages", description=__doc__)
    parser.add_argument("--db", default="sqlite", help="with commas between; default: %(default)s")
    parser.add_argument("--docs", action="store_true", help="write docs/compatibility.md")
    parser.add_argument("packages", nargs="*", help="default: all")
    options = parser.parse_args(argv)
    known = {package.name: package for package in PACKAGES}
    if unknown := set(options.packages) - set(known):
        parser.error(f"no such packages: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in options.packages or known]
    comparisons = []
    with interruptible():
        for each in compare(chosen, options.db.split(",")):
            comparisons.append(each)
            for test in each.unexplained:
                print(f"  UNEXPLAINED {each.differences[test]}: {test}", flush=True)
    print(table(each.row() for each in comparisons))
    too_many = unneeded(comparisons)
    for line in too_many:
        print(f"EXPLAINS NOTHING {line}")
    if options.docs:
        DOCUMENT.write_text(documented(DOCUMENT.read_text(), comparisons))
    failed = sum(len(each.unexplained) for each in comparisons) + len(too_many)
    passed = sum(list(each.ours.values()).count("passed") for each in comparisons)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())
