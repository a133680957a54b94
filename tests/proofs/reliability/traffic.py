"""Visitors, in a process of their own: ``python -m tests.proofs.reliability.traffic ROWS EXPIRED``.

They use a table that ``table.fill`` has filled. When all are at work they print a line; when the
standard input ends they print what they measured, as JSON.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import django
from django.db import connections

from django_scs.stores import base

from .site import ROOT

SAVERS = 4
MEAN_PAUSE_SECONDS = 0.01
KNOWN_TOKENS = 20_000
YEAR = 365 * 24 * 3600.0


class Sample(NamedTuple):
    """One measured request: when it began (time.monotonic), its kind, its seconds, its error."""

    began: float
    kind: str
    seconds: float
    error: str | None


@contextmanager
def traffic(rows: int, expired: int, *environments: Mapping[str, str]) -> Iterator[list[Sample]]:
    """Let visitors in during the block, from a process for each environment.

    All are at work when the block begins. After it the list that it was given has their samples.
    """
    samples: list[Sample] = []
    with ExitStack() as processes:
        running = []
        for environment in environments:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(rows), str(expired)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            running.append(processes.enter_context(process))
            processes.callback(process.kill)
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline(), "the visitors did not come; stderr says why"
        yield samples
        for process in running:
            output, _ = process.communicate()
            samples += [Sample(*each) for each in json.loads(output)]


class Visitors:
    """Threads that send one request after another and measure them."""

    def __init__(self, rows: int, expired: int) -> None:
        from .table import token

        self.samples: list[Sample] = []
        self.ended = threading.Event()
        self._live = [token(random.randrange(expired, rows)) for _ in range(KNOWN_TOKENS)]
        self._expired = [token(random.randrange(expired)) for _ in range(KNOWN_TOKENS)]

    def run(self) -> None:
        """Send requests until ``ended`` is set."""
        kinds = [self.change] * SAVERS + [self.save_late, self.come_and_go]
        at_work = threading.Barrier(len(kinds), action=lambda: print(flush=True))
        threads = [threading.Thread(target=self._repeat, args=[kind, at_work]) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def change(self) -> None:
        """Load a live session, change and save it."""
        from django_scs.backends.db import SessionStore

        session = SessionStore(random.choice(self._live))
        self._measure("read", session.keys)
        session["last_seen"] = time.monotonic()
        self._measure("save", session.save)

    def save_late(self) -> None:
        """Save a session that has expired since it was loaded, and leave it expired."""
        from django_scs.backends.db import SessionStore

        from .table import DATA

        key, store = random.choice(self._expired), SessionStore.get_store()
        self._measure("late save", lambda: store.replace(key, DATA, -60, DATA))

    def come_and_go(self) -> None:
        """Create a session, renew its token, and destroy it."""
        from django_scs.backends.db import SessionStore

        session = SessionStore()
        session["user"] = "alice"
        self._measure("create", session.save)
        self._measure("renew", session.renew_token)
        self._measure("save", session.save)
        self._measure("destroy", session.flush)

    def _repeat(self, request: Callable[[], None], at_work: threading.Barrier) -> None:
        request()
        at_work.wait()
        while not self.ended.is_set():
            request()
            time.sleep(random.uniform(0, 2 * MEAN_PAUSE_SECONDS))
        connections.close_all()

    def _measure(self, kind: str, request: Callable[[], object]) -> None:
        began, error = time.monotonic(), None
        try:
            request()
        except Exception as exc:
            error = f"{type(exc).__name__}: {exc}"
        self.samples.append(Sample(began, kind, time.monotonic() - began, error))


def main() -> None:
    """Run visitors until the standard input ends; print their samples."""
    # The rows expired longer ago than a late save may reach, and it is to meet the sweep at them.
    base.GRACE = YEAR
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.proofs.reliability.webapp.settings"
    django.setup()
    visitors = Visitors(int(sys.argv[1]), int(sys.argv[2]))
    running = threading.Thread(target=visitors.run)
    running.start()
    sys.stdin.read()
    visitors.ended.set()
    running.join()
    json.dump(visitors.samples, sys.stdout)


if __name__ == "__main__":
    main()
