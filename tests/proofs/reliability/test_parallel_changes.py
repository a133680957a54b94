"""Of many requests that change one session at the same time, every change is kept."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from django_scs import backoff
from django_scs.backends import lifecycle
from django_scs.backends.db import SessionStore

from .load import Reply, in_parallel, milliseconds, spread
from .site import Site

REQUESTS = 20


class CountedPauses:
    """Stands in for ``pauses`` and notes, when a thread asks, how often its last save paused."""

    def __init__(self, pauses: Callable[[], Iterator[bool]]) -> None:
        self._pauses = pauses
        self._mine = threading.local()

    def __call__(self) -> Iterator[bool]:
        self._mine.count = 0
        return self._count(self._pauses())

    def _count(self, pauses: Iterator[bool]) -> Iterator[bool]:
        for pause in pauses:
            self._mine.count += 1
            yield pause

    @property
    def count(self) -> int:
        return int(self._mine.count)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> CountedPauses:
    counted = CountedPauses(backoff.pauses)
    monkeypatch.setattr(lifecycle, "pauses", counted)
    return counted


def test_all_of_20_parallel_changes_are_kept(
    new_session: Callable[..., SessionStore], full: bool, vendor: str
) -> None:
    rounds = 20 if full else 5
    kept = 0
    for _ in range(rounds):
        token = new_session(log=[]).token()
        loaded = threading.Barrier(REQUESTS)

        def change(number: int, token: str = token, loaded: threading.Barrier = loaded) -> None:
            session = SessionStore(token)
            session["log"] = [*session["log"], number]
            session[f"of {number}"] = number
            loaded.wait()
            session.save()

        in_parallel(REQUESTS, change)
        found = SessionStore(token)
        kept += sum(f"of {number}" in found for number in range(REQUESTS))
        assert sorted(found["log"]) == list(range(REQUESTS))
    print(f"\n{vendor}: {kept} of {rounds * REQUESTS} parallel changes kept")
    assert kept == rounds * REQUESTS


def test_all_of_20_parallel_requests_to_several_processes_are_kept(
    site: Site, full: bool, vendor: str
) -> None:
    rounds = 20 if full else 5
    kept, seconds = 0, []
    for _ in range(rounds):
        browser = site.browser()
        browser.get("put", key="of", value="nobody")

        def change(number: int, token: str | None = browser.token) -> Reply:
            return site.browser(token).send("put", key=f"of {number}", value=number, pause=0.2)

        replies = in_parallel(REQUESTS, change)
        assert {reply.status for reply in replies} == {200}
        seconds += [reply.seconds - 0.2 for reply in replies]
        kept += len(browser.get("show").values) - 1
    print(
        f"\n{vendor}, HTTP: {kept} of {rounds * REQUESTS} parallel changes kept;"
        f" request {milliseconds(seconds)} besides the view's own 200 ms"
    )
    assert kept == rounds * REQUESTS


def test_all_changes_of_many_hot_writers_are_kept(
    new_session: Callable[..., SessionStore], paused: CountedPauses, full: bool, vendor: str
) -> None:
    writers, writes = (50, 20) if full else (20, 10)
    token = new_session().token()

    def write(number: int) -> list[tuple[float, int]]:
        saves = []
        for turn in range(writes):
            session = SessionStore(token)
            assert session.get(f"of {number}", -1) == turn - 1
            session[f"of {number}"] = turn
            started = time.monotonic()
            session.save()
            saves.append((time.monotonic() - started, paused.count))
        return saves

    saves = [save for mine in in_parallel(writers, write) for save in mine]
    print(
        f"\n{vendor}, {writers} writers x {writes}: save {milliseconds(s for s, _ in saves)};"
        f" retries {spread(count for _, count in saves)}"
    )
    found = SessionStore(token)
    assert [found[f"of {number}"] for number in range(writers)] == [writes - 1] * writers


def test_all_changes_of_many_hot_requests_are_kept(site: Site, full: bool, vendor: str) -> None:
    writers, writes = (50, 20) if full else (20, 5)
    browser = site.browser()
    browser.get("put", key="of", value="nobody")

    def write(number: int) -> list[float]:
        mine, seconds = site.browser(browser.token), []
        for turn in range(writes):
            reply = mine.send("put", key=f"of {number}", value=turn)
            assert reply.status == 200, reply.error
            assert reply.values["was"] == (str(turn - 1) if turn else None)
            seconds.append(reply.seconds)
        return seconds

    seconds = [each for mine in in_parallel(writers, write) for each in mine]
    print(f"\n{vendor}, HTTP, {writers} writers x {writes}: request {milliseconds(seconds)}")
    kept = browser.get("show").values
    assert [kept[f"of {number}"] for number in range(writers)] == [str(writes - 1)] * writers
