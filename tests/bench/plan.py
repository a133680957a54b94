"""How much is measured. Imports the standard library only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple


class Extent(NamedTuple):
    """How often something is repeated: rounds, of so many repetitions each, while there is time."""

    rounds: int
    batch: int
    #: On a machine that is slow or busy there are fewer rounds.
    seconds: float

    def turns(self) -> Iterator[int]:
        """Yield the number of each round, from 1 on; one round there always is."""
        deadline = time.monotonic() + self.seconds
        for number in range(1, self.rounds + 1):
            yield number
            if time.monotonic() > deadline:
                return


@dataclass(frozen=True)
class Plan:
    """The extents: of the short sessions, of each larger size, of requests, of those over HTTP."""

    #: Rows of the two databases. On Redis: sessions that are gone through.
    small: int
    large: int
    short: Extent
    longer: Extent
    requests: Extent
    served: Extent
    #: Repetitions under the profiler.
    profiled: int
    #: Sessions that one process serves, to see it grow.
    sessions: int
    #: Under wrk, for each engine and kind of server.
    seconds: int


#: At most six minutes for each database.
FULL: Final = Plan(
    small=1_000,
    large=1_000_000,
    short=Extent(24, 25, 60),
    longer=Extent(10, 15, 30),
    requests=Extent(10, 25, 25),
    served=Extent(10, 20, 25),
    profiled=100,
    sessions=50_000,
    seconds=6,
)
QUICK: Final = Plan(
    small=1_000,
    large=50_000,
    short=Extent(2, 8, 10),
    longer=Extent(1, 5, 10),
    requests=Extent(1, 8, 10),
    served=Extent(1, 10, 10),
    profiled=10,
    sessions=5_000,
    seconds=1,
)
