"""A session that is used on all nodes of a Galera cluster loses nothing, also when a node dies."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db import DatabaseError, connections, transaction

from django_scs.backends.base import UpdateError
from django_scs.backends.db import SessionStore
from django_scs.exceptions import SessionBusy

from ..reliability.load import Browser, Reply, in_parallel, milliseconds, spread
from .connect import CERTIFICATION_FAILED, Statements, connect, use
from .galera import NODES, Galera, Node

CONTENT = "SELECT COUNT(*), SUM(CRC32(CONCAT(token, HEX(data), expiry))) FROM sessions"
LONGEST_PAUSE_SECONDS = 30
# For threads that wait for each other, on a machine that has much else to do.
PATIENCE_SECONDS = 300


def new_session(cluster: Galera, **values: object) -> str:
    """Return the token of a new session that all nodes know."""
    session = SessionStore()
    session.update(values)
    session.save()
    cluster.settle()
    return session.session_key


def save(session: SessionStore) -> int:
    """Save a session, and again as long as others keep it busy; return how often they did.

    On a busy machine so many writers may take more than the ten seconds of a save.
    """
    busy = 0
    while True:
        try:
            session.save()
        except SessionBusy:
            busy += 1
        else:
            return busy


def assert_nodes_are_alike(cluster: Galera) -> None:
    cluster.settle()
    assert len({node.query(CONTENT)[0] for node in cluster.nodes}) == 1


@pytest.mark.parametrize("server_retries", [1, 0])
def test_all_changes_through_all_nodes_are_kept(server_retries: int, first_node: Galera) -> None:
    writers, writes = 15, 20
    token = new_session(first_node, log=[])
    together = threading.Barrier(writers)
    conflicts = first_node.sum("wsrep_local_cert_failures")
    aborts = first_node.sum("wsrep_local_bf_aborts")

    def write(number: int) -> list[tuple[float, int, int, int]]:
        use(first_node.nodes[number % NODES], server_retries=server_retries)
        saves = []
        for turn in range(writes):
            session = SessionStore(token)
            session["log"] = [*session["log"], [number, turn]]
            session[f"of {number}"] = turn
            # When all have loaded, all but one of the saves must meet another.
            together.wait(PATIENCE_SECONDS)
            started = time.monotonic()
            with Statements() as statements:
                busy = save(session)
            seconds = time.monotonic() - started
            saves.append((seconds, statements.sent - 1, statements.refused, busy))
        return saves

    seconds, retries, refused, busy = zip(
        *(save for mine in in_parallel(writers, write) for save in mine), strict=True
    )
    print(
        f"\n{writers} writers x {writes} on {NODES} nodes, wsrep_retry_autocommit={server_retries}:"
        f" save {milliseconds(seconds)};"
        f" retries {spread(retries)}; {sum(refused)} times 1213, {sum(busy)} times SessionBusy"
        f" (the nodes: {first_node.sum('wsrep_local_cert_failures') - conflicts} conflicts at"
        f" certification, {first_node.sum('wsrep_local_bf_aborts') - aborts} aborts)"
    )
    assert_nodes_are_alike(first_node)
    found = SessionStore(token)
    expected = [[number, turn] for number in range(writers) for turn in range(writes)]
    assert sorted(found["log"]) == expected
    assert all(found[f"of {number}"] == writes - 1 for number in range(writers))
    # Without conflicts nothing has been shown.
    assert max(retries) > 0
    assert server_retries or sum(refused) > 0


def test_in_a_transaction_a_change_is_kept_or_refused(first_node: Galera) -> None:
    writers, writes = 9, 15
    token = new_session(first_node, log=[])

    def write(number: int) -> tuple[list[list[int]], Counter[int]]:
        use(first_node.nodes[number % NODES])
        kept, refused = [], Counter[int]()
        for turn in range(writes):
            try:
                with transaction.atomic():
                    session = SessionStore(token)
                    session["log"] = [*session["log"], [number, turn]]
                    session.save()
            except DatabaseError as exc:
                refused[exc.args[0]] += 1
            else:
                kept.append([number, turn])
        return kept, refused

    found = in_parallel(writers, write)
    kept = [change for mine, _ in found for change in mine]
    refused = sum((mine for _, mine in found), Counter[int]())
    print(f"\nin transactions, on {NODES} nodes: {len(kept)} kept, refused {dict(refused)}")
    assert_nodes_are_alike(first_node)
    assert sorted(SessionStore(token)["log"]) == sorted(kept)
    assert set(refused) <= {CERTIFICATION_FAILED}


def test_all_changes_by_processes_on_all_nodes_are_kept(browser: Callable[..., Browser]) -> None:
    rounds, requests = 5, 21
    kept, seconds = 0, []
    for _ in range(rounds):
        visitor = browser(0)
        visitor.get("put", key="of", value="nobody")

        def change(number: int, token: str | None = visitor.token) -> Reply:
            return browser(number, token).send("put", key=f"of {number}", value=number, pause=0.2)

        replies = in_parallel(requests, change)
        assert {reply.status for reply in replies} == {200}
        seconds += [reply.seconds - 0.2 for reply in replies]
        kept += len(browser(1, visitor.token).get("show").values) - 1
    print(
        f"\nHTTP, a site on each node: {kept} of {rounds * requests} parallel changes kept;"
        f" request {milliseconds(seconds)} besides the view's own 200 ms"
    )
    assert kept == rounds * requests


@pytest.mark.parametrize("sync_wait", [0, 1])
def test_what_another_node_sees_at_once(sync_wait: int, cluster: Galera) -> None:
    threads, tries = 6, 80

    def create_and_read(number: int) -> tuple[int, int, list[float]]:
        here = connect(cluster.nodes[number % NODES])
        there = connect(cluster.nodes[(number + 1) % NODES], sync_wait=sync_wait)
        absent = stale = 0
        seconds = []
        for turn in range(tries):
            connections["default"] = here
            session = SessionStore()
            session["turn"] = turn
            session.save()
            connections["default"] = there
            started = time.monotonic()
            absent += "turn" not in SessionStore(session.session_key)
            seconds.append(time.monotonic() - started)
            connections["default"] = here
            session["turn"] = -turn
            session.save()
            connections["default"] = there
            stale += SessionStore(session.session_key).get("turn") != -turn
        here.close()
        return absent, stale, seconds

    found = in_parallel(threads, create_and_read)
    absent, stale = sum(each[0] for each in found), sum(each[1] for each in found)
    print(
        f"\nwsrep_sync_wait={sync_wait}: of {threads * tries} sessions {absent} not there yet on"
        f" another node, {stale} with old values; read"
        f" {milliseconds(second for each in found for second in each[2])}"
    )
    if sync_wait:
        assert (absent, stale) == (0, 0)


def test_one_of_many_takers_on_all_nodes_gets_the_value(first_node: Galera) -> None:
    takers, rounds = 12, 25
    sessions = [SessionStore() for _ in range(rounds)]
    for session in sessions:
        session["flash"] = "saved"
        session.save()
    first_node.settle()
    together = threading.Barrier(takers)

    def take(number: int) -> list[str]:
        use(first_node.nodes[number % NODES])
        taken = []
        for session in sessions:
            mine = SessionStore(session.session_key)
            mine.keys()
            together.wait(PATIENCE_SECONDS)
            taken.append(mine.take("flash", ""))
        return taken

    shown = [sum(map(bool, each)) for each in zip(*in_parallel(takers, take), strict=True)]
    print(f"\ntake, {takers} takers on {NODES} nodes, {rounds} rounds: {Counter(shown)}")
    assert shown == [1] * rounds


def test_one_of_many_requests_to_all_nodes_shows_the_flash(
    browser: Callable[..., Browser],
) -> None:
    rounds, poppers = 5, 30
    for turn in range(rounds):
        visitor = browser(0)
        visitor.get("flash/put", value=f"saved {turn}")

        def pop(number: int, token: str | None = visitor.token) -> str:
            reply = browser(number, token).send("flash/pop", pause=0.3)
            assert reply.status == 200
            return str(reply.values["flash"])

        assert [flash for flash in in_parallel(poppers, pop) if flash] == [f"saved {turn}"]
    print(f"\nHTTP: shown {rounds} times in {rounds} rounds of {poppers} requests to {NODES} sites")


def test_one_of_many_renewals_on_all_nodes_wins(first_node: Galera) -> None:
    renewers, rounds = 9, 15
    tokens = [new_session(first_node, round=turn) for turn in range(rounds)]
    together = threading.Barrier(renewers)

    def renew(number: int) -> list[str]:
        use(first_node.nodes[number % NODES])
        mine = []
        for token in tokens:
            session = SessionStore(token)
            session.keys()
            together.wait(PATIENCE_SECONDS)
            session.renew_token()
            mine.append(session.session_key if "round" in session else "")
        return mine

    renewed = [list(filter(None, each)) for each in zip(*in_parallel(renewers, renew), strict=True)]
    assert [len(each) for each in renewed] == [1] * rounds
    assert_nodes_are_alike(first_node)
    assert not any(SessionStore().exists(token) for token in tokens)
    assert [SessionStore(each[0])["round"] for each in renewed] == list(range(rounds))


class Visitor:
    """Changes sessions through one node, and through another when that one is down."""

    def __init__(self, number: int, nodes: list[Node], tokens: list[str]) -> None:
        self.number = number
        self.acknowledged: list[tuple[str, int]] = []
        self.moments: list[float] = []
        self.errors: Counter[str] = Counter()
        self._nodes = nodes
        self._tokens = tokens
        self._node = number
        use(nodes[number % NODES])

    def change(self, turn: int) -> None:
        token = random.choice(self._tokens)
        try:
            session = SessionStore(token)
            session["log"] = [*session["log"], [self.number, turn]]
            session.save()
        except (DatabaseError, UpdateError) as exc:
            self.errors[f"{type(exc).__name__} {exc.args[:1]}"] += 1
            self._node += 1
            use(self._nodes[self._node % NODES])
        else:
            self.acknowledged.append((token, turn))
            self.moments.append(time.monotonic())


def test_a_killed_node_takes_no_acknowledged_change_with_it(first_node: Galera) -> None:
    before, after, visitors_per_node = 5, 12, 2
    cluster, victim = first_node, first_node.nodes[2]
    tokens = [new_session(cluster, log=[]) for _ in range(24)]
    over, killed = threading.Event(), threading.Event()

    def act(number: int) -> Visitor | None:
        if number == 0:
            time.sleep(before)
            victim.kill()
            killed.set()
            time.sleep(after)
            over.set()
            return None
        visitor, turn = Visitor(number, cluster.nodes, tokens), 0
        while not over.is_set():
            visitor.change(turn)
            turn += 1
        return visitor

    visitors = [each for each in in_parallel(visitors_per_node * NODES + 1, act) if each]
    rejoined = cluster.rejoin(victim)
    moments = sorted(moment for visitor in visitors for moment in visitor.moments)
    pause = max(later - earlier for earlier, later in pairwise(moments))
    errors = sum((visitor.errors for visitor in visitors), Counter())
    missing = []
    for node in cluster.nodes:
        use(node, sync_wait=1)
        logs = {token: SessionStore(token)["log"] for token in tokens}
        missing += [
            (node.number, visitor.number, turn)
            for visitor in visitors
            for token, turn in visitor.acknowledged
            if [visitor.number, turn] not in logs[token]
        ]
    print(
        f"\nkill -9 of one node of {NODES}: {len(moments)} changes acknowledged, {len(missing)}"
        f" missing; all writes paused for {pause:.1f} s; errors {dict(errors)};"
        f" the node was back in sync after {rejoined:.1f} s"
    )
    assert missing == []
    assert moments[-1] - moments[0] > before + after / 4
    assert pause < LONGEST_PAUSE_SECONDS
    assert_nodes_are_alike(cluster)
