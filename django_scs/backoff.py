"""How to share a database with other requests: how long to retry, and when to pause for them.

Imports the standard library only.
"""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

#: For how many seconds a statement or a save is tried again before it fails.
LIMIT: Final = 10.0
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.1
# A request that has just arrived does not pause, so it can overtake one that does. After a second the
# pauses are short again.
_PATIENCE: Final = 1.0
_IMPATIENT_PAUSE: Final = 0.005

#: About how many seconds a batch holds its locks, and so how long a request may have to wait.
_BATCH_SECONDS: Final = 0.02
_SMALLEST_BATCH: Final = 200
# MariaDB makes a subquery of an IN with 1000 values, and SQLite once took 999 parameters.
_LARGEST_BATCH: Final = 900


def pauses(start: float | None = None) -> Iterator[bool]:
    """Sleep, then yield True, again and again until LIMIT seconds have passed.

    They count from ``start``, a ``time.monotonic()``, or from the call. The first pause takes up to
    1 ms, each further one up to twice as long, at most 100 ms. Pauses are random, so that two
    requests that have collided do not collide again.
    """
    # The time counts from the call, not from the first pause: a statement that has waited long for a
    # lock before it failed must not wait as long again.
    return _pauses(time.monotonic() if start is None else start)


def _pauses(start: float) -> Iterator[bool]:
    longest = _FIRST_PAUSE
    while (waited := time.monotonic() - start) < LIMIT:
        if waited > _PATIENCE:
            longest = _IMPATIENT_PAUSE
        time.sleep(random.uniform(0, longest))  # noqa: S311 -- not a secret
        longest = min(2 * longest, _LONGEST_PAUSE)
        yield True


def paced(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield ``items`` in batches. After each batch, sleep for as long as it took.

    A batch is made to take 20 ms at the speed of the one before. Its size doubles at most.
    """
    start, size = 0, _SMALLEST_BATCH
    while start < len(items):
        began = time.monotonic()
        yield items[start : start + size]
        took = time.monotonic() - began
        start += size
        ideal = size * min(2, _BATCH_SECONDS / max(took, 1e-6))
        size = min(max(int(ideal), _SMALLEST_BATCH), _LARGEST_BATCH)
        if start < len(items):
            time.sleep(took)
