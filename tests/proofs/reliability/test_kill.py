"""A database or a worker that is killed takes no acknowledged change and no user with it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from django_scs import backoff
from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.servers import SERVERS, Server

from .load import Browser, in_parallel
from .site import ROOT, Site

CHANGERS = 6
RENEWERS = 2


@contextmanager
def site_of_its_own(vendor: str) -> Iterator[tuple[Server, Site]]:
    """Run a database server that may be killed, and a site on it that keeps its connections."""
    database = {"CONN_MAX_AGE": 60}
    with SERVERS[vendor]() as server:
        environment = {
            **os.environ,
            "DATABASE_URL": server.url,
            "DJANGO_SETTINGS_MODULE": "tests.proofs.reliability.webapp.settings",
            "SITE": json.dumps({"DATABASE": database}),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        with Site(database, url=server.url, threads=10) as site:
            yield server, site


class Visitor:
    """Sends requests one after another and keeps count of what was promised."""

    def __init__(self, browser: Browser, number: int) -> None:
        self.browser = browser
        self.number = number
        self.acknowledged: list[str] = []
        self.renewals = 0
        self.errors: Counter[str] = Counter()
        browser.get("put", key="user", value=str(number))

    def change(self, turn: int) -> None:
        reply = self.browser.get("append", key="log", value=str(turn))
        if reply.status == 200:
            self.acknowledged.append(str(turn))
        else:
            self.errors[reply.error or f"status {reply.status}"] += 1

    def renew(self, turn: int) -> None:
        reply = self.browser.get("renew")
        if reply.status == 200:
            self.renewals += 1
        else:
            self.errors[reply.error or f"status {reply.status}"] += 1

    def is_logged_in(self) -> bool:
        return bool(self.browser.send("show").values.get("user") == str(self.number))

    def missing(self) -> set[str]:
        """Return the acknowledged changes that are not there."""
        return set(self.acknowledged) - set(self.browser.send("show").values.get("log", []))


def until_it_answers(browser: Browser) -> None:
    """Wait until no worker holds a connection that died with the server."""
    in_a_row = 0
    while in_a_row < 60:
        in_a_row = in_a_row + 1 if browser.send("show").status == 200 else 0


@pytest.mark.vendors("mysql", "postgresql")
def test_a_killed_database_loses_nothing_that_was_acknowledged(vendor: str, full: bool) -> None:
    seconds, kills = (6, 5) if full else (2, 1)
    with site_of_its_own(vendor) as (server, site):
        visitors = [Visitor(site.browser(), n) for n in range(CHANGERS + RENEWERS)]
        over = threading.Event()

        def act(number: int) -> None:
            if number == len(visitors):
                for _ in range(kills):
                    time.sleep(seconds)
                    server.kill()
                    time.sleep(0.5)
                    server.start()
                time.sleep(seconds)
                over.set()
                return
            turn, visitor = 0, visitors[number]
            while not over.is_set():
                visitor.change(turn) if number < CHANGERS else visitor.renew(turn)
                turn += 1

        in_parallel(len(visitors) + 1, act)
        until_it_answers(site.browser(visitors[0].browser.token))
        acknowledged = sum(len(visitor.acknowledged) for visitor in visitors)
        renewals = sum(visitor.renewals for visitor in visitors)
        missing = [turn for visitor in visitors for turn in visitor.missing()]
        out = [visitor.number for visitor in visitors if not visitor.is_logged_in()]
        errors = sum((visitor.errors for visitor in visitors), Counter())
        print(
            f"\n{vendor}, {kills} x kill -9: {acknowledged} changes and {renewals} renewals"
            f" acknowledged, {len(missing)} missing, {len(out)} of {len(visitors)} logged out,"
            f" errors meanwhile {dict(errors)}"
        )
    assert missing == []
    assert out == []
    assert errors
    assert all(error.startswith("database:") for error in errors)


def test_a_worker_killed_between_load_and_save_leaves_the_session_whole(site: Site) -> None:
    browser = site.browser()
    browser.get("put", key="user", value="alice")
    for _ in range(3):
        with pytest.raises(OSError, match=r"."):
            browser.get("die")
    assert browser.get("show").values == {"user": "alice"}
    assert browser.get("put", key="a", value=1).status == 200
    assert browser.get("show").values == {"user": "alice", "a": "1"}


KILL = {
    "mysql": ("SELECT connection_id()", "KILL CONNECTION %s"),
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s, 5000)"),
}


class CutConnection:
    """Has the server cut the connection at the first UPDATE: before it, or before its reply."""

    def __init__(self, *, executed: bool) -> None:
        self.executed = executed
        self.whoami, self.kill = KILL[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(self.whoami)
            (self.number,) = cursor.fetchone()

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if self.number is None or not sql.startswith("UPDATE"):
            return execute(sql, params, many, context)
        if self.executed:
            execute(sql, params, many, context)
        another = connection.copy()
        with another.cursor() as cursor:
            cursor.execute(self.kill, [self.number])
        another.close()
        self.number = None
        return execute("SELECT 1", None, many, context)


@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize("executed", [True, False])
def test_a_renewal_whose_reply_was_lost_leaves_the_session_with_its_new_token(
    executed: bool, new_session: Callable[..., SessionStore]
) -> None:
    old = new_session(user="alice")
    session = SessionStore(old.session_key)
    session.keys()
    with connection.execute_wrapper(CutConnection(executed=executed)):
        session.renew_token()
    session.save()
    assert SessionStore(session.session_key)["user"] == "alice"
    assert [row.token for row in Session.objects.all()] == [session.session_key]


@pytest.mark.vendors("mysql", "postgresql")
def test_a_renewal_that_another_was_faster_with_is_lost_also_without_a_reply(
    new_session: Callable[..., SessionStore],
) -> None:
    old = new_session(user="alice")
    session = SessionStore(old.session_key)
    session.keys()
    old.renew_token()
    with connection.execute_wrapper(CutConnection(executed=False)):
        session.renew_token()
    assert session.session_key is None
    assert SessionStore(old.session_key)["user"] == "alice"


@pytest.mark.vendors("mysql", "postgresql")
def test_a_renewal_without_a_database_fails_in_time(
    new_session: Callable[..., SessionStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LIMIT", 0.5)
    session = new_session(user="alice")

    def refuse(*args: Any) -> None:
        raise OperationalError(2002, "Can't connect")

    started = time.monotonic()
    with monkeypatch.context() as patch, connection.execute_wrapper(CutConnection(executed=False)):
        patch.setattr(connections["default"], "connect", refuse)
        with pytest.raises(OperationalError) as caught:
            session.renew_token()
    assert "Can't connect" not in str(caught.value)
    assert 0.4 < time.monotonic() - started < 3
    assert SessionStore(session.session_key)["user"] == "alice"
