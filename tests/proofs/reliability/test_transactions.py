"""Inside a transaction a save merges or raises the database's own error, and never hangs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction

from django_scs import backoff
from django_scs.backends.db import SessionStore

from .load import Reply, in_parallel
from .site import Site

SESSION = {
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL {}",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}",
}
LOCK_WAIT = {
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    "postgresql": "SET lock_timeout = '1s'",
    "sqlite": "PRAGMA busy_timeout = 1000",
}


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def put(token: str, key: str) -> None:
    session = SessionStore(token)
    session[key] = True
    session.save()


@contextmanager
def others(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run ``work`` on a connection of its own, at the same time as the block."""
    thread = threading.Thread(target=in_parallel, args=[1, lambda number: work()])
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def save_behind_its_back(token: str) -> OperationalError | None:
    """Load in a transaction, let another save, save in the transaction; return what it raised."""
    error = None
    try:
        with transaction.atomic():
            session = SessionStore(token)
            session["mine"] = True
            with others(lambda: put(token, "theirs")):
                pass
            session.save()
    except OperationalError as exc:
        error = exc
    return error


def in_own_thread(work: Callable[[], Any]) -> Any:
    """Run ``work`` on a connection whose settings end with it; return its result."""
    (result,) = in_parallel(1, lambda number: work())
    return result


def raises_on_conflict(level: str, snapshot: str) -> bool:
    """Tell whether the server refuses to change a row that changed since the transaction began."""
    if level != "REPEATABLE READ":
        return False
    return connection.vendor == "postgresql" or (snapshot == "ON" and has_snapshot_isolation())


def has_snapshot_isolation() -> bool:
    """Tell whether the server is a MariaDB that knows innodb_snapshot_isolation."""
    with connection.cursor() as cursor:
        return bool(cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"))


@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize(
    ("level", "snapshot"),
    [
        ("READ COMMITTED", "OFF"),
        ("READ COMMITTED", "ON"),
        ("REPEATABLE READ", "OFF"),
        ("REPEATABLE READ", "ON"),
    ],
)
def test_a_save_in_a_transaction_merges_or_raises(
    level: str, snapshot: str, new_session: Callable[..., SessionStore], vendor: str
) -> None:
    token = new_session(user="alice").token()

    def work() -> OperationalError | None:
        execute(SESSION[vendor].format(level))
        # The server's own default is ON from MariaDB 11.6 on, and OFF before.
        if vendor == "mysql" and has_snapshot_isolation():
            execute(f"SET SESSION innodb_snapshot_isolation = {snapshot}")
        return save_behind_its_back(token)

    started = time.monotonic()
    error = in_own_thread(work)
    found = dict(SessionStore(token).items())
    print(f"\n{vendor}, {level}, snapshot isolation {snapshot}: {error or 'merged'}")
    assert time.monotonic() - started < 5
    assert (error is not None) == raises_on_conflict(level, snapshot)
    assert not (error and vendor == "mysql") or error.args[0] == 1020
    assert found == {"user": "alice", "theirs": True, **({} if error else {"mine": True})}


@pytest.mark.vendors("sqlite")
def test_a_save_in_a_deferred_transaction_raises_at_once(
    new_session: Callable[..., SessionStore],
) -> None:
    token = new_session(user="alice").token()

    def work() -> OperationalError | None:
        connection.ensure_connection()
        connection.transaction_mode = None
        return save_behind_its_back(token)

    started = time.monotonic()
    error = in_own_thread(work)
    assert "database is locked" in str(error)
    assert time.monotonic() - started < 5
    assert dict(SessionStore(token).items()) == {"user": "alice", "theirs": True}


def hold(token: str, seconds: float, held: threading.Event) -> None:
    """Save in a transaction, and keep it open."""
    with transaction.atomic():
        put(token, "holder")
        held.set()
        time.sleep(seconds)


def test_saves_wait_for_one_in_a_transaction_and_merge(
    new_session: Callable[..., SessionStore],
) -> None:
    token, held = new_session().token(), threading.Event()

    def change(number: int) -> None:
        held.wait()
        put(token, f"of {number}")

    with others(lambda: hold(token, 1, held)):
        in_parallel(5, change)
    assert set(SessionStore(token).keys()) == {"holder", *(f"of {number}" for number in range(5))}


def test_a_save_outlives_lock_waits(new_session: Callable[..., SessionStore], vendor: str) -> None:
    token, held = new_session().token(), threading.Event()

    def change() -> None:
        execute(LOCK_WAIT[vendor])
        held.wait()
        put(token, "waited")

    with others(lambda: hold(token, 3, held)):
        in_own_thread(change)
    assert set(SessionStore(token).keys()) == {"holder", "waited"}


@pytest.mark.parametrize("inside", [False, True])
def test_a_save_that_cannot_get_the_lock_raises_in_time(
    inside: bool,
    new_session: Callable[..., SessionStore],
    vendor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.5)
    token, held = new_session().token(), threading.Event()

    def change() -> float:
        execute(LOCK_WAIT[vendor])
        held.wait()
        started = time.monotonic()
        around = transaction.atomic() if inside else nullcontext()
        with pytest.raises(OperationalError), around:
            put(token, "late")
        return time.monotonic() - started

    with others(lambda: hold(token, 3, held)):
        seconds = in_own_thread(change)
    # The first lock wait, of one second, is the last.
    assert seconds < 1.8
    assert set(SessionStore(token).keys()) == {"holder"}


def test_one_of_two_transactions_that_deadlock_raises(
    new_session: Callable[..., SessionStore], vendor: str
) -> None:
    tokens = [new_session().token() for _ in range(2)]
    both_hold = threading.Barrier(2)

    def change(number: int) -> bool:
        try:
            with transaction.atomic():
                put(tokens[number], f"of {number}")
                # SQLite has one lock: the second waits in its BEGIN for the first to commit.
                if vendor != "sqlite":
                    both_hold.wait()
                put(tokens[1 - number], f"of {number}")
        except OperationalError:
            return False
        return True

    committed = in_parallel(2, change)
    assert sum(committed) == (2 if vendor == "sqlite" else 1)
    expected = {f"of {number}" for number in range(2) if committed[number]}
    assert [set(SessionStore(token).keys()) for token in tokens] == [expected] * 2


class Undo:
    """Makes the first statements fail as a server does that has undone them."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left = error, times

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql.startswith("UPDATE") and self.left:
            self.left -= 1
            raise OperationalError(*self.error.args) from self.error
        return execute(sql, params, many, context)


def transient_errors(vendor: str) -> list[Exception]:
    if vendor == "mysql":
        return [OperationalError(code, "") for code in (1213, 1205, 1020)]
    if vendor == "postgresql":
        from psycopg import errors

        return [
            errors.SerializationFailure(),
            errors.DeadlockDetected(),
            errors.LockNotAvailable(),
        ]
    import sqlite3

    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
    return [busy]


def test_an_undone_statement_is_sent_again_outside_a_transaction_only(
    new_session: Callable[..., SessionStore], vendor: str
) -> None:
    for error in transient_errors(vendor):
        token = new_session().token()
        with connection.execute_wrapper(Undo(error, 3)):
            put(token, "a")
        assert SessionStore(token)["a"]
        with (
            connection.execute_wrapper(Undo(error, 1)),
            pytest.raises(OperationalError),
            transaction.atomic(),
        ):
            put(token, "b")
        assert "b" not in SessionStore(token)


def isolated(vendor: str, level: str, snapshot: str) -> dict[str, Any]:
    """Return the OPTIONS of a site's database that give its transactions an isolation level."""
    options: dict[str, Any] = dict(settings.DATABASES["default"]["OPTIONS"])
    if vendor == "mysql":
        options["isolation_level"] = level.lower()
        if has_snapshot_isolation():
            options["init_command"] += f", SESSION innodb_snapshot_isolation = {snapshot}"
    elif vendor == "postgresql":
        escaped = level.lower().replace(" ", "\\ ")
        options["options"] = f"-c default_transaction_isolation={escaped}"
    return options


@pytest.mark.parametrize(
    ("level", "snapshot"),
    [
        ("READ COMMITTED", "OFF"),
        ("REPEATABLE READ", "OFF"),
        pytest.param("REPEATABLE READ", "ON", marks=pytest.mark.vendors("mysql")),
    ],
)
def test_atomic_requests(
    level: str,
    snapshot: str,
    sites: Callable[..., Site],
    transactional_db: None,
    vendor: str,
) -> None:
    options = isolated(vendor, level, snapshot)
    site = sites(DATABASE={"ATOMIC_REQUESTS": True, "OPTIONS": options})
    browser = site.browser()
    browser.get("flash/put", value="saved")

    def act(number: int) -> Reply:
        mine = site.browser(browser.token)
        if number % 2:
            return mine.send("flash/pop", pause=0.05)
        return mine.send("put", key=f"of {number}", value=number, pause=0.05)

    started = time.monotonic()
    replies = in_parallel(20, act)
    errors = [reply.error for reply in replies if reply.status != 200]
    puts, pops = replies[::2], replies[1::2]
    shown = [reply.values["flash"] for reply in pops if reply.values.get("flash")]
    print(
        f"\n{vendor}, ATOMIC_REQUESTS, {level}, snapshot isolation {snapshot}:"
        f" {len(errors)} of 20 raised {errors[:1]}"
    )
    assert time.monotonic() - started < 15
    assert set(errors) <= {"database:OperationalError"}
    assert not errors or raises_on_conflict(level, snapshot)
    kept = set(browser.get("show").values)
    assert kept - {"flash"} == {
        f"of {2 * n}" for n, reply in enumerate(puts) if reply.status == 200
    }
    # Where each request that would have taken it raised, it is still there.
    assert (shown, "flash" in kept) in [(["saved"], False), ([], bool(errors))]
