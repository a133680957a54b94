"""scs commits by upsert, which brings destroyed sessions back; tombstones keep them dead."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from django_scs.backends.db import SessionStore
from django_scs.models import Session

from .browser import Held
from .conftest import Sites

TRIES = 200
WRITES = {"key": "late", "value": "1"}


@pytest.fixture
def tombstones(transactional_db: None) -> Iterator[None]:
    """Install the tombstones for one test."""
    call_command("scs_tombstones", "install", verbosity=0)
    yield
    call_command("scs_tombstones", "remove", verbosity=0)


def is_alive(token: str) -> bool:
    """Tell whether the table has a live session under a token."""
    return SessionStore().exists(token)


@pytest.mark.parametrize(
    ("idle", "parameters"), [(0, WRITES), (1200, {})], ids=["writes", "reads with idle timeout"]
)
def test_go_request_in_flight_revives_a_session_that_django_destroyed(
    sites: Sites, idle: float, parameters: dict[str, str]
) -> None:
    browser = sites(idle=idle)
    browser.visit("django", "put", key="word", value="secret")
    late = browser.twin()
    held = Held(late, **parameters)
    browser.visit("django", "destroy")
    assert not Session.objects.exists()
    assert held.finish() == 200
    assert late.visit("django", "get", key="word") == "secret"


def test_go_request_in_flight_undoes_what_django_changes(sites: Sites) -> None:
    browser = sites(idle=1200)
    browser.visit("django", "flash", message="Hello")
    held = Held(browser)
    assert browser.visit("django", "page") == "Hello"
    browser.visit("django", "put", key="word", value="1")
    held.finish()
    assert browser.visit("django", "get", key="word") == ""
    assert browser.visit("django", "page") == "Hello"


def test_django_keeps_what_go_changes_meanwhile(sites: Sites) -> None:
    browser = sites()
    browser.visit("go", "put", key="word", value="1")
    session = SessionStore(browser.token)
    session["by django"] = "2"
    browser.visit("go", "put", key="by go", value="3")
    session.save()
    for site in ("go", "django"):
        found = [browser.visit(site, "get", key=key) for key in ("word", "by django", "by go")]
        assert found == ["1", "2", "3"]


@pytest.mark.parametrize("action", ["destroy", "renew", "login", "logout"])
def test_with_tombstones_it_stays_dead(
    sites: Sites, users: list[int], tombstones: None, action: str
) -> None:
    browser = sites(idle=1200)
    browser.visit("django", "put", key="word", value="secret")
    late = browser.twin()
    held = Held(late, **WRITES)
    browser.visit("django", action, id=users[0])
    assert held.finish() == 200
    assert not is_alive(late.token)
    for site in ("go", "django"):
        assert late.twin().visit(site, "get", key="word") == ""


def test_no_revival_by_requests_in_flight(sites: Sites, tombstones: None) -> None:
    browser = sites(idle=1200)
    revived = 0
    for number in range(TRIES):
        browser.visit("go", "put", key="word", value="secret")
        token = browser.token
        held = Held(browser, **(WRITES if number % 2 else {}))
        SessionStore(token).flush()
        held.finish()
        revived += is_alive(token)
    assert revived == 0


def test_no_revival_by_requests_that_end_at_the_same_moment(sites: Sites, tombstones: None) -> None:
    browser = sites(idle=1200)
    revived = 0
    statuses: Counter[int] = Counter()
    for number in range(TRIES):
        browser.visit("go", "put", key="word", value="secret")
        token = browser.token
        rivals = [Held(browser.twin(), **WRITES), Held(browser.twin())]
        threads = [threading.Thread(target=finish, args=(held, statuses)) for held in rivals]
        for thread in threads:
            thread.start()
        # What the Go application does meanwhile takes about as long.
        time.sleep(number % 20 / 20_000)
        SessionStore(token).flush()
        for thread in threads:
            thread.join()
        revived += is_alive(token)
    assert revived == 0
    # The others are deadlocks, of which the database chose the Go application for the victim.
    assert statuses[200] > 1.5 * TRIES


def test_no_revival_by_a_request_that_waited_for_the_deletion(
    sites: Sites, tombstones: None
) -> None:
    browser = sites()
    browser.visit("go", "put", key="word", value="secret")
    token = browser.token
    held = Held(browser, **WRITES)
    rival = threading.Thread(target=held.finish)
    with transaction.atomic():
        SessionStore(token).flush()
        rival.start()
        rival.join(0.3)
        assert rival.is_alive()
    rival.join()
    assert not is_alive(token)


def finish(held: Held, statuses: Counter[int]) -> None:
    """Let a request go on, and count the status of its response."""
    statuses[held.finish()] += 1


def test_sessions_that_are_alive_are_left_alone(sites: Sites, tombstones: None) -> None:
    browser = sites(idle=1200)
    browser.visit("django", "put", key="word", value="1")
    for site in ("go", "django", "go"):
        browser.visit(site, "put", key=site, value=site)
        browser.visit(site, "renew")
    assert [browser.visit("django", "get", key=key) for key in ("word", "go", "django")] == [
        "1",
        "go",
        "django",
    ]


def test_clearsessions_forgets_tombstones_of_the_past(tombstones: None) -> None:
    session = SessionStore()
    session["word"] = "1"
    session.save()
    session.flush()
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
        assert cursor.fetchone() == (1,)
        call_command("clearsessions")
        cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
        assert cursor.fetchone() == (1,)
        past = Session._meta.get_field("expiry").get_db_prep_value(
            timezone.now() - timedelta(seconds=1), connection
        )
        cursor.execute("UPDATE sessions_tombstones SET expiry = %s", [past])
        call_command("clearsessions")
        cursor.execute("SELECT COUNT(*) FROM sessions_tombstones")
        assert cursor.fetchone() == (0,)


def test_removal_brings_everything_back_as_it_was(sites: Sites, users: list[int]) -> None:
    call_command("scs_tombstones", "install", verbosity=0)
    call_command("scs_tombstones", "remove", verbosity=0)
    browser = sites()
    browser.visit("django", "put", key="word", value="secret")
    late = browser.twin()
    held = Held(late, **WRITES)
    browser.visit("django", "destroy")
    held.finish()
    assert is_alive(late.token)


@pytest.mark.vendors("postgresql")
def test_role_of_the_go_application_needs_the_documented_rights(tombstones: None) -> None:
    role = f"go_{os.getpid()}"
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO {role}")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            write_and_delete(cursor, role)
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE ON sessions_tombstones TO {role}")
        write_and_delete(cursor, role)
        transaction.set_rollback(True)


def write_and_delete(cursor: Any, role: str) -> None:
    """Do with a session what scs does, as another role."""
    cursor.execute(f"SET LOCAL ROLE {role}")
    cursor.execute("INSERT INTO sessions VALUES ('a', '', now() + interval '1 day')")
    cursor.execute("DELETE FROM sessions WHERE token = 'a'")
    cursor.execute("RESET ROLE")
