"""How long to go on when others are faster. Imports the standard library only."""

import random
import time
from collections.abc import Iterator
from typing import Final

#: For how many seconds a statement or a save is tried again before it fails.
LIMIT: Final = 10.0
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.1


def pauses() -> Iterator[bool]:
    """Sleep before each True: for up to 1 ms, doubling to 100 ms; end LIMIT seconds after the call.

    The pauses are random so that those who collided once do not collide again.
    """
    # Counted from the call, not from the first pause: a statement that has waited long for a lock
    # before it failed must not wait as long again.
    return _pauses(time.monotonic() + LIMIT)


def _pauses(end: float) -> Iterator[bool]:
    longest = _FIRST_PAUSE
    while time.monotonic() < end:
        time.sleep(random.uniform(0, longest))  # noqa: S311 -- not a secret
        longest = min(2 * longest, _LONGEST_PAUSE)
        yield True
