"""The harness itself: servers come and go as promised, and nothing is left out or miscounted."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db.utils import ConnectionHandler

from tests.conftest import find_defined, find_forgotten, find_in
from tests.machine import PURPOSES
from tests.newest import pythons, version
from tests.proofs.django_suites import adaptations
from tests.proofs.packages import PACKAGES, explanations
from tests.proofs.packages.__main__ import (
    BEGIN,
    END,
    Comparison,
    documented,
    rows_of,
    table,
    unneeded,
)
from tests.run import PASSES, ROOT, Counts, main, read_counts
from tests.servers import SERVERS, Server, ServerError
from tests.settings import database

needs_a_server = pytest.mark.vendors("mysql", "postgresql")


@pytest.fixture
def server(vendor: str) -> Iterator[Server]:
    """Return a server of the kind the suite runs on, but not the same one."""
    with SERVERS[vendor]() as running:
        yield running


def execute(server: Server, *statements: str) -> Any:
    """Execute statements on a new connection and return the first value of the last one."""
    connection = ConnectionHandler({"default": database(server.url)})["default"]
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


@needs_a_server
def test_server_keeps_its_data_when_it_is_killed(server: Server, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        execute(server, "CREATE TABLE numbers (n INTEGER)", "INSERT INTO numbers VALUES (7)")
        server.kill()
        server.start()
        assert execute(server, "SELECT n FROM numbers") == 7


@pytest.mark.vendors("mysql")
def test_servers_keep_their_temporary_files_apart(server: Server, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        assert Path(execute(server, "SELECT @@tmpdir")) == server.folder


@needs_a_server
def test_server_takes_arguments_and_environment(vendor: str, django_db_blocker: Any) -> None:
    argument, statement, number, zone_statement, zone = {
        "mysql": (
            "--explicit-defaults-for-timestamp=0",
            "SELECT @@explicit_defaults_for_timestamp",
            0,
            "SELECT @@system_time_zone",
            "JST",
        ),
        "postgresql": (
            "-cmax_connections=17",
            "SELECT current_setting('max_connections')::int",
            17,
            "SHOW log_timezone",
            "Asia/Tokyo",
        ),
    }[vendor]
    server = SERVERS[vendor](argument, environment={"TZ": "Asia/Tokyo"})
    with server, django_db_blocker.unblock():
        assert execute(server, statement) == number
        assert execute(server, zone_statement) == zone


@needs_a_server
def test_server_that_does_not_start_says_why_and_leaves_nothing(vendor: str) -> None:
    server = SERVERS[vendor]("--no-such-argument")
    with pytest.raises(ServerError, match="no-such-argument"), server:
        pass
    assert not server.folder.exists()


@needs_a_server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_server_ends_with_the_command_that_started_it(vendor: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.servers", vendor]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().removeprefix("DATABASE_URL="))
        log = Path(process.stdout.readline().removeprefix("log: ").strip())
        with socket.create_connection(("127.0.0.1", url.port or 0)):
            assert log.exists()
        process.send_signal(number)
        assert process.wait(60) == 0
    assert not log.parent.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", url.port or 0))


def test_find_in_sees_functions_methods_and_nested_classes() -> None:
    source = """
def test_a(): ...
def helper(): ...
class Checks:
    async def test_b(self): ...
    class Inner:
        def test_c(self): ...
"""
    found = set(find_in(ast.parse(source).body, "m"))
    assert found == {"m.test_a", "m.Checks.test_b", "m.Checks.Inner.test_c"}


@pytest.mark.slow
def test_find_forgotten_names_what_was_not_collected(request: pytest.FixtureRequest) -> None:
    everything = set(find_defined())
    this = f"{__name__}.{request.node.originalname}"
    assert this in everything
    assert everything - find_forgotten([request.node]) == {this}


def test_read_counts_counts_a_broken_teardown_as_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        "<testcase/><testcase/><testcase><failure/></testcase>"
        "<testcase><error/></testcase><testcase><skipped/></testcase>"
        "</testsuite></testsuites>"
    )
    assert read_counts(report) == Counts(passed=2, failed=2, skipped=1)


def test_counts_take_a_bad_status_for_a_failure(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "missing.xml").with_status(2) == Counts(failed=1)
    assert Counts(failed=3).with_status(1) == Counts(failed=3)
    assert Counts(passed=3).with_status(0) == Counts(passed=3)


class Upstream:
    def theirs(self) -> str:
        return "theirs"


def test_a_test_is_adapted_by_its_differing_line_alone() -> None:
    class Ours(Upstream):
        pass

    adaptations.adapt(Ours, "theirs", (('"theirs"', '"ours"'),))
    assert (Ours().theirs(), Upstream().theirs()) == ("ours", "theirs")


@pytest.mark.parametrize("name", ["theirs", "test_that_is_gone"])
def test_an_adaptation_of_what_is_no_longer_there_is_named(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}.*'a line'|no such test: .*{name}"):
        adaptations.adapt(Upstream, name, (("a line", "another"),))


def run_a_test(folder: Path, source: str, **environment: str) -> tuple[int, str]:
    """Run pytest with our conftest on one file of its own, and return the status and output."""
    (folder / "conftest.py").write_text("from tests.conftest import *")
    (folder / "test_it.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--rootdir={folder}", "--ds=tests.settings", str(folder)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


SKIPS = "import pytest\ndef test_it(): pytest.skip('no server')\ndef test_that(): pass\n"


MARKED = "import pytest\n@pytest.mark.slow\ndef test_a(): pass\ndef test_b(): pass\n"


@pytest.mark.slow
def test_a_quick_run_and_a_slow_one_make_the_whole(tmp_path: Path) -> None:
    outputs = [run_a_test(tmp_path, MARKED, PYTEST_ADDOPTS=f"-v {p[0]}")[1] for p in PASSES]
    assert [re.findall(r"::(test_\w)", output) for output in outputs] == [["test_b"], ["test_a"]]


@pytest.mark.slow
def test_a_skipped_test_is_listed(tmp_path: Path) -> None:
    status, output = run_a_test(tmp_path, SKIPS)
    assert (status, "1 x Skipped: no server" in output) == (0, True)


@pytest.mark.slow
def test_a_skipped_test_fails_continuous_integration(tmp_path: Path) -> None:
    status, output = run_a_test(tmp_path, SKIPS, CI="true")
    assert (status, "WHICH FAILS THIS RUN" in output) == (1, True)


NEEDS_A_PROGRAM = """
import pytest
from tests.servers import Redis
@pytest.fixture(scope="session")
def server():
    with Redis() as running: yield running
def test_one(server): pass
def test_another(server): pass
def test_that_starts_its_own():
    with Redis(): pass
def test_that_needs_none(): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "outcome"), [({}, (0, "SKIPPED TESTS")), ({"CI": "true"}, (1, "FAILS THIS"))]
)
def test_a_test_whose_server_is_missing_is_skipped(
    tmp_path: Path, environment: dict[str, str], outcome: tuple[int, str]
) -> None:
    status, output = run_a_test(tmp_path, NEEDS_A_PROGRAM, PATH=str(tmp_path), **environment)
    assert "1 passed, 3 skipped" in output
    assert "3 x Skipped: redis-server is not installed: what needs it was not tested" in output
    assert status == outcome[0]
    assert outcome[1] in output


def test_run_refuses_an_unknown_database(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--db", "oracle"])
    assert "must be among sqlite, mysql, postgresql" in capsys.readouterr().err


# Stands in for an environment without these packages, however the one of the tests was made.
WITHOUT_DRIVERS = """
import sys
for name in ("MySQLdb", "psycopg"):
    sys.modules[name] = None
"""


@pytest.mark.slow
def test_the_suite_is_collected_without_drivers_and_programs(tmp_path: Path) -> None:
    (tmp_path / "without_drivers.py").write_text(WITHOUT_DRIVERS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "without_drivers"],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("target", "purpose"),
    [
        ("run", "run"),
        ("test-quick", "run"),
        ("test DB=sqlite", "run"),
        ("test", "all"),
        ("run DATABASE_URL=mysql://name", "mysql"),
        ("run DATABASE_URL=postgres://name", "run"),
        ("test-cluster", "cluster"),
    ],
)
def test_make_asks_the_machine_for_what_a_target_needs(target: str, purpose: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", *target.split()],
        cwd=ROOT,
        # What the make that runs the tests was told is not for this one.
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    asked = re.findall(r"-m tests\.machine (\w+)", done.stdout)
    assert asked[-1] == purpose


def test_python_alone_is_all_that_make_run_needs() -> None:
    needed = [need.what for part in PURPOSES["run"] for need in part()]
    assert all("Python" in what for what in needed)


def compared(djangos: dict[str, str], ours: dict[str, str]) -> Comparison:
    return Comparison(PACKAGES[0], "sqlite", djangos, ours)


def test_packages_that_differ_are_named_unless_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons = {PACKAGES[0].name: {"a.*": "reads Django's table", "c.*": "was mended"}}
    monkeypatch.setattr("tests.proofs.packages.__main__.explanations", lambda: reasons)
    both = compared(
        {"a.t": "passed", "b.t": "passed", "d.t": "passed"},
        {"a.t": "failed", "b.t": "failed", "d.t": "passed", "e.t": "passed"},
    )

    assert both.explained == {"a.t": "reads Django's table"}
    assert both.unexplained == ["b.t", "e.t"]
    assert both.differences["e.t"] == "absent -> passed"
    assert both.row()[2:] == ("3", "3", "2", "1", "2")
    assert unneeded([both]) == [f"{PACKAGES[0].name}: c.*"]


def test_a_run_replaces_its_own_lines_of_the_table_alone() -> None:
    name = f"{PACKAGES[0].name} {PACKAGES[0].version}"
    old = [(name, "sqlite", *"11100"), (name, "mysql", *"22200"), ("gone 1.0", "sqlite", *"11100")]
    both = compared({"a.t": "passed"}, {"a.t": "passed", "b.t": "passed"})
    page = f"above\n{BEGIN}\n\n{table(old)}\n\n{END}\nbelow\n"
    new = documented(page, [both])
    assert list(rows_of(new).values()) == [(name, "sqlite", *"11201"), (name, "mysql", *"22200")]
    assert new.startswith("above\n")
    assert new.endswith("below\n")
    assert documented(new, []) == new


def test_explanations_are_about_packages_that_run() -> None:
    assert explanations().keys() <= {package.name for package in PACKAGES}


@pytest.mark.slow
def test_the_newest_python_is_found_and_can_be_run() -> None:
    assert version(Path(sys.executable)) == sys.version_info[:3]
    assert max(map(version, pythons())) >= sys.version_info[:3]
