"""What to expect at 1, 10 and 100 million live sessions: arithmetic, and a simulated table.

    python -m tests.proofs.cluster.expect

Prints what docs/scaling.md quotes. The bytes are those that tests/proofs/cluster/sizes.py has measured.
"""

from __future__ import annotations

import math
import os
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import django

DAY = 86_400
CREATED_A_DAY = 40_000


@dataclass(frozen=True)
class Assumptions:
    """What each session does from its creation to its end."""

    days: int = 14
    reads_a_day: int = 10
    saves_a_day: int = 1
    renewals: int = 1
    # The busiest hour against the mean of the day.
    peak: int = 3
    # From sizes.py, with 300 bytes of data: the whole table, each row changed once.
    mariadb_bytes: int = 709
    postgresql_bytes: int = 608
    row_bytes: int = 573
    # Binary log of a save, and of creation, renewal and deletion together: as MariaDB has it by
    # default, and with binlog_row_image=MINIMAL and binlog_annotate_row_events=OFF.
    log: tuple[int, int] = (1653, 985 + 1081 + 630)
    small_log: tuple[int, int] = (525, 523 + 267 + 214)
    # Less than a quarter of what an idle MariaDB did.
    swept_a_second: int = 1_000


def figures(live: int, given: Assumptions) -> list[tuple[str, str]]:
    """Return what ``live`` sessions mean, each line with its arithmetic."""
    born = live / given.days / DAY
    saved = live * given.saves_a_day / DAY
    writes = born * (2 + given.renewals) + saved
    reads = live * given.reads_a_day / DAY
    log, small_log = (
        (saved * save + born * rest) * DAY / 1e9 for save, rest in (given.log, given.small_log)
    )
    sweep = born * DAY / given.swept_a_second
    return [
        ("created, and swept, a second", f"{born:,.1f}"),
        ("saves a second", f"{saved:,.0f}"),
        ("all writes a second, mean", f"{writes:,.0f}"),
        ("all writes a second, peak", f"{writes * given.peak:,.0f}"),
        ("reads a second, mean", f"{reads:,.0f}"),
        ("reads a second, peak", f"{reads * given.peak:,.0f}"),
        ("MariaDB, table and indexes", f"{live * given.mariadb_bytes / 1e9:,.1f} GB"),
        ("PostgreSQL, table and indexes", f"{live * given.postgresql_bytes / 1e9:,.1f} GB"),
        ("MariaDB's binary log a day, by default", f"{log:,.1f} GB"),
        ("MariaDB's binary log a day, small", f"{small_log:,.1f} GB"),
        ("a day's expired rows, swept in", f"{sweep / 60:,.1f} min"),
    ]


def creations(a_day: int, days: float, rhythm: float, draw: random.Random) -> Iterator[float]:
    """Yield the times, in days, at which sessions are created; most at noon, fewest at midnight."""
    now = 0.0
    while now < days:
        now += draw.expovariate(a_day * (1 + rhythm))
        busy = 1 - rhythm * math.cos(2 * math.pi * now)
        if draw.random() * (1 + rhythm) < busy:
            yield now


def simulate(a_day: int, lifetime: float, rhythm: float) -> tuple[float, float, int]:
    """Run a table without any cron job through five days after its first expiry.

    Returns the mean of all rows over live rows, the highest quotient, and the most expired rows
    that were in the table.
    """
    from django_scs.backends.base import _SWEEP_AFTER_REQUEST
    from django_scs.middleware import _SWEEP_CHANCE

    draw = random.Random(1)
    live: deque[float] = deque()
    dead, most_dead, quotients = 0, 0, []
    for now in creations(a_day, lifetime + 5, rhythm, draw):
        live.append(now + lifetime)
        while live[0] <= now:
            live.popleft()
            dead += 1
        if draw.random() < _SWEEP_CHANCE:
            dead -= min(_SWEEP_AFTER_REQUEST, dead)
        if now > lifetime:
            quotients.append(1 + dead / len(live))
            most_dead = max(most_dead, dead)
    return sum(quotients) / len(quotients), max(quotients), most_dead


def touched_pages(share: float, given: Assumptions, page: int = 16_384) -> float:
    """Return which share of InnoDB's pages holds a session of a random ``share`` of them all."""
    return 1 - (1 - share) ** (page // given.row_bytes)


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    given = Assumptions()
    print(given)
    columns = [figures(live, given) for live in (10**6, 10**7, 10**8)]
    for lines in zip(*columns, strict=True):
        print(f"| {lines[0][0]} | {' | '.join(text for _, text in lines)} |")
    for share in (0.01, 0.04, 0.1):
        print(f"{share:.0%} of the sessions are on {touched_pages(share, given):.0%} of the pages")
    print(f"\nA table without a cron job, {CREATED_A_DAY:,} sessions created a day:")
    for lifetime in (14, 0.5):
        for rhythm in (0, 0.5, 0.9):
            mean, highest, dead = simulate(CREATED_A_DAY, lifetime, rhythm)
            print(
                f"living {lifetime} days, busiest hour {1 + rhythm:.1f} x and quietest"
                f" {1 - rhythm:.1f} x the mean: rows over live rows {mean:.2f}, at most"
                f" {highest:.2f}; at most {dead:,} expired rows"
            )


if __name__ == "__main__":
    main()
