"""Cleaning up on one node of a cluster does not make the visitors of the others wait."""

import os
import time

from django.db import OperationalError
from django.utils import timezone

from django_scs.backends.db import SessionStore
from django_scs.models import Session

from ..reliability.table import count, fill
from ..reliability.test_sweep import Phase
from ..reliability.traffic import traffic
from .connect import CERTIFICATION_FAILED
from .galera import Galera

ROWS, EXPIRED = 60_000, 50_000
QUIET_SECONDS = 4
EXPIRED_ON = "SELECT COUNT(*) FROM sessions WHERE expiry <= UTC_TIMESTAMP(6)"


def environments(cluster: Galera) -> list[dict[str, str]]:
    """Return what visitors of each node are told."""
    return [{**os.environ, "DATABASE_URL": node.url, "SITE": "{}"} for node in cluster.nodes]


class OneDelete:
    """Deletes all that has expired in one statement, which a cluster may refuse."""

    TRIES = 5

    def __init__(self) -> None:
        self.refused = 0

    def __call__(self) -> None:
        for _ in range(self.TRIES):
            try:
                Session.objects.filter(expiry__lt=timezone.now()).delete()
            except OperationalError as exc:
                # A visitor of another node was faster to change one of the rows.
                if exc.args[0] != CERTIFICATION_FAILED:
                    raise
                self.refused += 1
            else:
                return


def test_a_sweep_on_one_node_lets_the_visitors_of_all_through(first_node: Galera) -> None:
    fill(ROWS, EXPIRED)
    first_node.settle()
    with traffic(ROWS, EXPIRED, *environments(first_node)) as samples:
        quiet = Phase("quiet", lambda: time.sleep(QUIET_SECONDS))
        ours = Phase("clear_expired", SessionStore.clear_expired)
    quiet.add(samples)
    ours.add(samples)
    first_node.settle()
    left = [node.query(EXPIRED_ON)[0][0] for node in first_node.nodes]
    live = count()
    fill(ROWS, EXPIRED)
    first_node.settle()
    with traffic(ROWS, EXPIRED, *environments(first_node)) as samples:
        delete = OneDelete()
        theirs = Phase("one DELETE", delete)
    theirs.add(samples)
    print(f"\n{EXPIRED} of {ROWS} rows have expired; visitors on all nodes")
    print(quiet, ours, theirs, f"the DELETE was refused {delete.refused} times", sep="\n")
    assert left == [0, 0, 0]
    assert live >= ROWS - EXPIRED
    assert quiet.errors() + ours.errors() == []
    # What a cluster refuses at once keeps nobody waiting, and cleans nothing up either.
    assert delete.refused or ours.longest_wait() * 4 < theirs.longest_wait()
