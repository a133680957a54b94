"""Saves, creations and logouts in several threads, and what of it was acknowledged."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from django_scs import tokens
from django_scs.stores.redis import RedisStore
from django_scs.stores.redis_wire import ERRORS

HOUR = 3600.0
SESSIONS = 40
THREADS = 4
# One in so many turns creates a session, or destroys one.
CREATES = 10
DESTROYS = 15


@dataclass
class Found:
    """What is left after a failure."""

    saves: int
    lost_saves: int
    sessions: int
    lost_sessions: int
    logouts: int
    undone_logouts: int
    errors: Counter[str]
    longest_pause: float

    def __str__(self) -> str:
        return (
            f"{self.saves} saves acknowledged, {self.lost_saves} lost; {self.lost_sessions} of"
            f" {self.sessions} sessions gone; {self.undone_logouts} of {self.logouts} logouts undone;"
            f" longest pause {self.longest_pause:.1f} s; errors {dict(self.errors)}"
        )


@dataclass
class Worker:
    """Works on sessions of its own, so that it alone knows what each must hold.

    The data of a session is a number, which counts its saves: what was lost is counted exactly.
    """

    store: RedisStore
    acknowledged: dict[str, int] = field(default_factory=dict)
    # What was last sent, acknowledged or not.
    sent: dict[str, int] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    in_doubt: set[str] = field(default_factory=set)
    saves: int = 0
    lost_saves: int = 0
    lost_sessions: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    longest_pause: float = 0

    def create(self) -> None:
        key = tokens.new()
        if self.store.insert(key, b"0", HOUR):
            self.acknowledged[key] = self.sent[key] = 0

    def work(self, over: threading.Event) -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            started = time.monotonic()
            try:
                self.act(turn)
            except ERRORS as exc:
                self.errors[type(exc).__name__] += 1
            self.longest_pause = max(self.longest_pause, time.monotonic() - started)

    def act(self, turn: int) -> None:
        keys = list(self.acknowledged)
        key = keys[turn % len(keys)]
        if turn % CREATES == 0:
            self.create()
        elif turn % DESTROYS == 0:
            self.destroy(key)
        else:
            self.save(key)

    def destroy(self, key: str) -> None:
        # Whether it is dead is not promised before the answer.
        self.in_doubt.add(key)
        del self.acknowledged[key]
        if self.store.delete(key):
            self.dead.append(key)

    def save(self, key: str) -> None:
        number = self.sent[key] + 1
        expected = b"%d" % self.acknowledged[key]
        self.sent[key] = number
        if self.store.replace(key, b"%d" % number, HOUR, expected):
            self.acknowledged[key] = number
            self.saves += 1
        else:
            self.compare(key)

    def compare(self, key: str) -> None:
        """Look at what is stored: as it was last sent, as acknowledged, or older."""
        record = self.store.find_latest(key)
        if record is None:
            self.lost_sessions += 1
            del self.acknowledged[key]
            return
        found = int(record.data)
        self.lost_saves += max(0, self.acknowledged[key] - found)
        self.acknowledged[key] = found


class Load:
    """As a context manager it works while the block runs; ``found`` compares afterwards."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.workers = [Worker(store) for _ in range(THREADS)]
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=worker.work, args=[self._over]) for worker in self.workers
        ]

    def __enter__(self) -> Self:
        for worker in self.workers:
            for _ in range(SESSIONS):
                worker.create()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def found(self) -> Found:
        """Compare what is stored with what was acknowledged."""
        for worker in self.workers:
            for key in list(worker.acknowledged):
                worker.compare(key)
        dead = [key for worker in self.workers for key in worker.dead]
        return Found(
            saves=sum(worker.saves for worker in self.workers),
            lost_saves=sum(worker.lost_saves for worker in self.workers),
            sessions=sum(len(worker.sent) for worker in self.workers),
            lost_sessions=sum(worker.lost_sessions for worker in self.workers),
            logouts=len(dead),
            undone_logouts=sum(self.store.find_latest(key) is not None for key in dead),
            errors=sum((worker.errors for worker in self.workers), Counter()),
            longest_pause=max(worker.longest_pause for worker in self.workers),
        )
