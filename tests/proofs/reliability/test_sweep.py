"""Cleaning up a table of millions does not make visitors wait."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from django_scs import tokens
from django_scs.backends.db import SessionStore, UpdateError
from django_scs.models import Session

from .load import in_parallel, milliseconds
from .site import ROOT
from .table import DATA, count, fill, make_room
from .traffic import Sample, traffic

EXPIRED = {
    "mysql": "expiry <= UTC_TIMESTAMP(6)",
    "postgresql": "expiry <= current_timestamp",
}


def environment() -> dict[str, str]:
    database = {"NAME": str(connection.settings_dict["NAME"])}
    return {
        **os.environ,
        "SITE": json.dumps({"DATABASE": database}),
        "DJANGO_SETTINGS_MODULE": "tests.proofs.reliability.webapp.settings",
    }


def clear_sessions() -> int:
    """Run ``manage.py clearsessions`` and return the most memory that it had, in kB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "clearsessions"], cwd=ROOT, env=environment()
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def one_delete() -> None:
    """Do what Django's own ``clear_expired`` does."""
    Session.objects.filter(expiry__lt=timezone.now()).delete()


class Phase:
    """What visitors saw while something ran."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.began = time.monotonic()
        self.result = work()
        self.ended = time.monotonic()
        self._samples: list[Sample] = []

    def add(self, samples: list[Sample]) -> None:
        """Take those samples that were being measured during this phase."""
        self._samples = [
            each
            for each in samples
            if each.began <= self.ended and each.began + each.seconds >= self.began
        ]

    def errors(self) -> list[str]:
        return [sample.error for sample in self._samples if sample.error]

    def seconds(self, *kinds: str) -> list[float]:
        """Return how long the requests of the given kinds took; of all kinds without any."""
        return [each.seconds for each in self._samples if not kinds or each.kind in kinds]

    def longest_wait(self) -> float:
        """Return the longest wait of a visitor, as a part of the phase: 1 waited for all of it.

        A busy machine makes both longer, so that it does not decide a comparison.
        """
        return max(self.seconds()) / (self.ended - self.began)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.ended - self.began:.1f} s"]
        lines += [
            f"  {kind:9} {milliseconds(self.seconds(kind))}"
            for kind in sorted({sample.kind for sample in self._samples})
        ]
        return "\n".join(lines)


@contextmanager
def watched(vendor: str, every: float) -> Iterator[set[int]]:
    """Collect, during the block, the different numbers of expired rows that others see."""
    seen: set[int] = set()
    over = threading.Event()

    def watch(number: int) -> None:
        while not over.wait(every):
            seen.add(count(EXPIRED[vendor]))

    watcher = threading.Thread(target=in_parallel, args=[1, watch])
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.django_db(transaction=True)
def test_the_sweep_of_a_big_table_lets_visitors_through(full: bool, vendor: str) -> None:
    rows, expired = (2_000_000, 1_000_000) if full else (60_000, 50_000)
    if full:
        make_room()
    at_rest = clear_sessions()
    print(
        f"\n{vendor}: {rows} rows filled in {fill(rows, expired):.0f} s, {expired} of them expired"
    )
    with traffic(rows, expired, environment()) as samples:
        quiet = Phase("quiet", lambda: time.sleep(5 if full else 2))
        with watched(vendor, 2 if full else 0.02) as numbers:
            ours = Phase("clearsessions", clear_sessions)
    quiet.add(samples)
    ours.add(samples)
    print(
        quiet,
        ours,
        f"  memory {ours.result / 1024:.0f} MB, at rest {at_rest / 1024:.0f} MB",
        sep="\n",
    )
    assert count(EXPIRED[vendor]) == 0
    assert count() >= rows - expired
    fill(rows, expired)
    with traffic(rows, expired, environment()) as samples:
        theirs = Phase("one DELETE", one_delete)
    theirs.add(samples)
    print(theirs)
    connections.close_all()
    assert quiet.errors() + ours.errors() == []
    assert ours.result < at_rest + 30_000
    assert len(numbers) > 5
    if full:
        # On PostgreSQL the one DELETE is over in a second, and any hiccup weighs more.
        times = 20 if vendor == "mysql" else 10
        assert max(ours.seconds()) * times < max(theirs.seconds())


def test_a_storm_of_all_statements_leaves_no_error(
    new_session: Callable[..., SessionStore], full: bool, vendor: str
) -> None:
    shared = [new_session(user="alice").token() for _ in range(5)]
    store, end = SessionStore.get_store(), time.monotonic() + (15 if full else 3)
    done: Counter[str] = Counter()

    def save() -> None:
        session = SessionStore(random.choice(shared))
        session["at"] = time.monotonic()
        try:
            session.save()
        except UpdateError:
            # Another has renewed it meanwhile: the middleware would log that.
            done["save too late"] += 1

    def renew() -> None:
        number = random.randrange(len(shared))
        session = SessionStore(shared[number])
        session.renew_token()
        if session.session_key:
            session.save()
            shared[number] = session.session_key

    def insert() -> None:
        store.insert(tokens.new(), DATA, random.uniform(-0.05, 0.05))

    def come_and_go() -> None:
        session = SessionStore()
        session["user"] = "alice"
        session.save()
        session.flush()

    works = [save, save, save, renew, renew, insert, insert, insert, come_and_go]
    works += [SessionStore.sweep, SessionStore.clear_expired]

    def act(number: int) -> None:
        while time.monotonic() < end:
            works[number]()
            done[works[number].__name__] += 1

    in_parallel(len(works), act)
    print(f"\n{vendor}, storm: {dict(done)}, no error")
    assert all(done[work.__name__] for work in works)
