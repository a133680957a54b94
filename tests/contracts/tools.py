"""What the contract suites share: moments, threads, a clock to be set, a store that fails."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.db import OperationalError, connections

from django_scs.backends.base import SessionStore
from django_scs.stores.base import Store

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
# Between the application's clock and a look at the result.
A_MOMENT = timedelta(seconds=30)
A_MILLISECOND = timedelta(milliseconds=1)


def now() -> datetime:
    return datetime.now(UTC)


def soon() -> datetime:
    return now() + HOUR


def past() -> datetime:
    return now() - HOUR


def in_parallel(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in its own thread, all at once, and return their results in order."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index: int) -> None:
        try:
            start.wait()
            results[index] = calls[index]()
        except Exception as exc:
            results[index] = exc
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Synchronous:
    """A session as a sync view uses it."""

    def __new__(cls, session: SessionStore) -> Any:
        return session


class Asynchronous:
    """A session whose every method is its async twin, where it has one."""

    def __init__(self, session: SessionStore) -> None:
        vars(self)["session"] = session

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.session, f"a{name}", None)
        if inspect.iscoroutinefunction(twin):
            return async_to_sync(twin)
        return getattr(self.session, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.session, name, value)


class Clock:
    """The application's clock, to be set. The store's own clock goes on as ever."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return now() + self.offset

    @contextmanager
    def back(self, by: timedelta) -> Iterator[None]:
        """Turn the clock back: what happens in the block happened ``by`` ago."""
        self.offset = -by
        yield
        self.offset = timedelta(0)


class FaultyStore:
    """A store whose operations can be made to fail, or to fail after they were done."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.replaced: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return self.replaced.get(name) or getattr(self.store, name)

    def with_columns(self, values: Any) -> "FaultyStore":
        """Return the store that also writes a project's own columns, with the same faults."""
        store = FaultyStore(self.store.with_columns(values))  # type: ignore[attr-defined]
        store.replaced = self.replaced
        return store

    def refuse(self, *names: str) -> None:
        """Let the operations raise OperationalError instead of doing anything."""
        for name in names:
            self.replaced[name] = self._refusal(name)

    def refuse_everything(self) -> None:
        """Let each operation of a store raise."""
        self.refuse(
            "find",
            "find_latest",
            "insert",
            "replace",
            "touch",
            "rename",
            "delete",
            "delete_expired",
        )

    def lose_reply_of(self, name: str) -> None:
        """Let the operation do its work once, and raise all the same."""

        def lost(*args: Any) -> Any:
            del self.replaced[name]
            getattr(self.store, name)(*args)
            raise OperationalError("lost connection during query")

        self.replaced[name] = lost

    def _refusal(self, name: str) -> Callable[..., Any]:
        def refuse(*args: Any) -> Any:
            raise OperationalError(f"no {name} today")

        return refuse
