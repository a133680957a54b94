"""What all tests share, and the rules of the suite: nothing is left out without a word."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import settings

from tests.servers import NotInstalled

# On a busy machine an example may take any time.
settings.register_profile("tests", deadline=None)
# For a run beside one with all: what it is about are versions.
settings.register_profile("few", deadline=None, max_examples=20)
settings.load_profile("tests")

FOLDER = Path(__file__).parent
# Django's own runner collects the first; the second runs other projects' tests.
ELSEWHERE = (FOLDER / "proofs" / "django_suites", FOLDER / "proofs" / "packages")
SLOW = (FOLDER / "proofs", FOLDER / "bench")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
REDIS_FIXTURES = {"redis_server", "redis_cluster"}
DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "vendor"}
MARKERS = (
    "devices: with django_scs.devices, which other tests do without",
    "browser: drives a real browser; runs on one database only",
    "once: is about something that is the same on every database; runs on one only",
    "slow: builds, installs or starts pytest; not in a run with --quick",
    "extra: a contract on one more implementation, or many examples; not in a run with --short",
    "vendors(*names): is about these databases alone (mysql, postgresql, sqlite)",
)


@pytest.fixture
def vendor() -> str:
    """Return the kind of database the suite runs on: mysql (MariaDB too), postgresql, sqlite."""
    return connection.vendor


@pytest.fixture(autouse=True)
def no_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the sweep, which follows one request in a hundred, to the tests that are about it."""
    monkeypatch.setattr("django_scs.manager._SWEEP_CHANCE", 0)


@pytest.fixture(autouse=True)
def no_devices(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave the devices of sessions to the tests that are about them."""
    if request.node.get_closest_marker("devices"):
        yield
        return
    from django_scs.devices import follow

    follow.disconnect()
    yield
    follow.connect()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only",
        action="store_true",
        help="leave out browser tests and tests that do not use the database, which another "
        "run of the suite, on another database, has covered",
    )
    parser.addoption(
        "--quick",
        action="store_true",
        help="leave out the proofs, the tests that drive a browser, and those marked as slow",
    )
    parser.addoption(
        "--short",
        action="store_true",
        help="leave out what --quick does, what needs Redis, and tests marked as extra",
    )
    parser.addoption("--slow", action="store_true", help="run only what --quick leaves out")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Tests also wait: one process more than there are processors is faster."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    short, slow = config.getoption("--short"), config.getoption("--slow")
    # To look once is enough: the run with --quick does.
    whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (short or slow)
    if whole_suite and not session.testsfailed and (forgotten := sorted(find_forgotten(items))):
        raise pytest.UsageError("never collected, so never run:\n  " + "\n  ".join(forgotten))
    database_only = config.getoption("--database-only")
    quick = config.getoption("--quick") or short
    left_out = {
        item
        for item in items
        if not belongs_here(item, database_only)
        or (quick and takes_long(item))
        or (slow and not takes_long(item))
        or (short and not is_of_the_core(item))
    }
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def belongs_here(item: pytest.Item, database_only: bool) -> bool:
    """Tell whether a test has something to say about the database of this run."""
    vendors = item.get_closest_marker("vendors")
    if vendors and connection.vendor not in vendors.args:
        return False
    once = item.get_closest_marker("browser") or item.get_closest_marker("once")
    return not database_only or (uses_database(item) and not once)


def takes_long(item: pytest.Item) -> bool:
    """Tell whether a test is a proof, drives a browser or is marked as slow."""
    return bool(
        item.get_closest_marker("browser")
        or item.get_closest_marker("slow")
        or any(item.path.is_relative_to(folder) for folder in SLOW)
    )


def is_of_the_core(item: pytest.Item) -> bool:
    """Tell whether a test belongs to the short form for daily work."""
    is_redis = "redis" in item.path.name or REDIS_FIXTURES.intersection(
        getattr(item, "fixturenames", ())
    )
    return not is_redis and not item.get_closest_marker("extra")


def uses_database(item: pytest.Item) -> bool:
    """Tell whether a test may use the database."""
    return bool(
        item.get_closest_marker("django_db")
        or DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        or issubclass(getattr(item, "cls", None) or object, TransactionTestCase)
    )


def find_forgotten(items: Iterable[Any]) -> set[str]:
    """Return the tests that the files under tests/ define and pytest did not collect.

    A method of a contract class counts as collected when a subclass runs it.
    """
    collected = set()
    for item in items:
        name = getattr(item, "originalname", None) or item.name
        collected.add(f"{item.module.__name__}.{name}")
        for base in getattr(item.cls, "__mro__", ()):
            collected.add(f"{base.__module__}.{base.__qualname__}.{name}")
    return set(find_defined()) - collected


def find_defined() -> Iterator[str]:
    """Yield each test function and method in the source, by its dotted name."""
    for path in FOLDER.rglob("*.py"):
        if not any(path.is_relative_to(folder) for folder in ELSEWHERE):
            module = ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
            yield from find_in(ast.parse(path.read_bytes()).body, module)


def find_in(body: Iterable[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the dotted names of the tests among some statements, those in classes included."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from find_in(node.body, f"{prefix}.{node.name}")
        elif isinstance(node, FUNCTIONS) and node.name.startswith("test"):
            yield f"{prefix}.{node.name}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Count a test whose server or other program is missing as skipped, whoever started it."""
    if call.excinfo is not None and isinstance(call.excinfo.value, NotInstalled):
        reason = f"{call.excinfo.value}: what needs it was not tested"
        call.excinfo = pytest.CallInfo.from_call(lambda: pytest.skip(reason), call.when).excinfo


def must_not_skip() -> bool:
    """Tell whether this is a run of continuous integration, where a skipped test is a failure."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def skip_reasons(reporter: Any) -> Counter[str]:
    """Count the skipped tests by reason."""
    return Counter(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in reporter.stats.get("skipped", [])
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = skip_reasons(terminalreporter)
    if not reasons:
        return
    title = "SKIPPED, WHICH FAILS THIS RUN" if must_not_skip() else "SKIPPED TESTS"
    terminalreporter.section(title, red=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} x {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # The processes of pytest-xdist have none; the one that started them has.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter and skip_reasons(reporter)
    if must_not_skip() and skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
