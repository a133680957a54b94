"""``manage.py clearsessions``: without options it does what Django's does, for any engine."""

import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.contrib.sessions.management.commands import clearsessions
from django.core.management.base import CommandError
from django.db import close_old_connections

from ... import overview, signals
from ...manager import find_model, session_class, uses_our_engine
from ._sessions import are_in_cookies, counted, model_of_sessions

_BATCH: Final = 10_000
_BAR: Final = 30


class Command(clearsessions.Command):
    help = "Remove expired sessions, in batches that let requests through."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch-size",
            type=_positive,
            help=f"how many sessions to remove between two pauses; default: {_BATCH}",
        )
        parser.add_argument(
            "--pause", type=_seconds, help="seconds between two batches; default: 0"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count the sessions that have expired"
        )
        parser.add_argument(
            "--interval",
            type=_seconds,
            help="go on: begin again so many seconds after the end, until SIGTERM or Ctrl-C",
        )

    def handle(self, **options: Any) -> None:
        chosen = {
            name: options.get(name)
            for name in ("batch_size", "pause", "dry_run", "interval")
            if options.get(name)
        }
        if not uses_our_engine():
            if chosen:
                raise CommandError("The options are for the session engines of django_scs.")
            return super().handle(**options)
        if are_in_cookies() or not session_class()._store().keeps_expired:
            self.stdout.write("Nothing to do: no session is kept after it has expired.")
            return None
        if options.get("dry_run"):
            count = overview.count_expired(model_of_sessions())
            found = counted(count, "expired session", "expired sessions")
            self.stdout.write(f"{found} would be removed.")
            return None
        with _stopped_by_signals() as stop:
            self._run(stop, chosen, options)
        return None

    def _run(self, stop: threading.Event, chosen: dict[str, Any], options: dict[str, Any]) -> None:
        interval = options.get("interval")
        while True:
            started = time.monotonic()
            count = self._clear(stop, options)
            # Without options it prints nothing, like Django's, because cron would mail the output.
            if chosen or self.stdout.isatty() or options.get("verbosity", 1) > 1:
                seconds = time.monotonic() - started
                removed = counted(count, "expired session", "expired sessions")
                self.stdout.write(f"Removed {removed} in {seconds:.1f} s.")
                self.stdout.flush()
            if interval is None or stop.wait(interval):
                break
            # As at the start of a request: the server may have ended a connection that was idle.
            close_old_connections()

    def _clear(self, stop: threading.Event, options: dict[str, Any]) -> int:
        """Remove batch after batch until nothing is left or ``stop`` is set; return the count."""
        engine = session_class()
        store = engine._store()
        size, pause = options.get("batch_size") or _BATCH, options.get("pause") or 0
        model = find_model() if self.stdout.isatty() else None
        bar = None if model is None else _Bar(self.stdout, overview.count_expired(model))
        total = 0
        while not stop.is_set():
            count = store.delete_expired(size)
            total += count
            signals.tell("swept", engine, "", count=count)
            if bar is not None:
                bar.show(total)
            if count < size or stop.wait(pause):
                break
        # Each batch has removed as many tombstones as sessions at most, so some may be left.
        sweep_tombstones = getattr(engine.get_store(), "sweep_tombstones", None)
        while sweep_tombstones and not stop.is_set() and sweep_tombstones(size):
            stop.wait(pause)
        if bar is not None:
            bar.end()
        return total


class _Bar:
    """A progress bar on a terminal."""

    def __init__(self, stdout: Any, expected: int) -> None:
        self._stdout = stdout
        self._expected = expected

    def show(self, done: int) -> None:
        share = min(1.0, done / self._expected) if self._expected else 1.0
        filled = "#" * int(share * _BAR)
        self._stdout.write(f"\r[{filled:<{_BAR}}] {share:4.0%} {done}", ending="")
        self._stdout.flush()

    def end(self) -> None:
        self._stdout.write("")


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set, so that the current batch is finished."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    number = float(text)
    # An event cannot wait longer.
    if not 0 <= number <= threading.TIMEOUT_MAX:
        raise ValueError
    return number
