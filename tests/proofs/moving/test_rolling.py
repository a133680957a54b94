"""Old and new processes serve the same browsers, forwards and back, and no browser notices."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.proofs.reliability.load import in_parallel

from .proxy import Proxy
from .site import ENGINES, Answer, Shop, Visitor

BROWSERS = 20
OURS = {"SESSION_ENGINE": "django_scs.backends.db"}


class Shopper:
    """A browser that logs in and out, fills its cart, and knows what must be in it."""

    def __init__(self, visitor: Visitor, name: str, *, logs_in: bool) -> None:
        self.visitor = visitor
        self.name = name
        self.logs_in = logs_in
        self.user = ""
        self.cart: set[str] = set()
        self.dead: list[str] = []
        self.faults: Counter[str] = Counter()
        self.requests = 0

    def act(self, turn: str) -> None:
        """Do one thing; compare what comes back with what must."""
        choice = random.random()
        if self.logs_in and choice < 0.08:
            self.log_out() if self.user else self.log_in()
        elif choice < 0.5:
            self.add(turn)
        else:
            self.load_page()

    def log_in(self) -> None:
        before = self.visitor.cookie
        if self.note(self.visitor.get("login", user=self.name)):
            self.user = self.name
            self.bury(before)

    def log_out(self) -> None:
        before = self.visitor.cookie
        if self.note(self.visitor.get("logout")):
            self.user, self.cart = "", set()
            self.bury(before)

    def add(self, turn: str) -> None:
        """Put something into the cart, slowly, while the browser also loads what a page needs.

        One thing at a time: of two that are put in at once Django's own engines keep one.
        """
        item = f"{self.name}-{turn}"
        several = 3 if self.visitor.cookie else 1
        requests: list[tuple[str, dict[str, Any]]] = [
            ("add", {"item": item, "pause": 0.02}),
            ("show", {}),
            ("show", {"pause": 0.01}),
        ]
        answers = in_parallel(several, lambda number: self.send(*requests[number]))
        if self.note(answers[0]):
            self.cart.add(item)
        for answer in answers[1:]:
            self.note(answer)
            self.faults["logged out"] += self.is_out(answer)
        for answer in answers:
            self.visitor.keep(answer)

    def send(self, path: str, query: dict[str, Any]) -> Answer:
        return self.visitor.send(path, **query)

    def load_page(self) -> None:
        answers = in_parallel(3, lambda _: self.visitor.send("show"))
        for answer in answers:
            self.note(answer)
            self.compare(answer)
            self.visitor.keep(answer)

    def note(self, answer: Answer) -> bool:
        self.requests += 1
        if answer.status != 200:
            self.faults[f"status {answer.status} {answer.error}"] += 1
        return answer.status == 200

    def compare(self, answer: Answer) -> None:
        if answer.status == 200:
            self.faults["logged out"] += self.is_out(answer)
            self.faults["logout undone"] += not self.user and answer.values["user"] != ""
            self.faults["lost"] += len(self.cart - set(answer.values["cart"]))

    def is_out(self, answer: Answer) -> bool:
        return bool(self.user) and answer.status == 200 and answer.values["user"] != self.user

    def bury(self, cookie: str | None) -> None:
        if cookie is not None and cookie != self.visitor.cookie:
            self.dead.append(cookie)

    def visit_graves(self) -> None:
        """Present each cookie from before a login or a logout: it must be nobody's."""
        for cookie in self.dead:
            answer = Visitor(self.visitor.address, cookie).send("show")
            self.requests += 1
            self.faults["dead cookie logs in"] += answer.values.get("user", "") != ""


class Rollout:
    """Shoppers before a proxy, and the phases of a rolling deployment."""

    def __init__(self, proxy: Proxy, names: list[str], shops: dict[str, Shop]) -> None:
        self.shops = shops
        self.proxy = proxy
        self.acts = 0
        self.shoppers = [
            Shopper(Visitor(proxy.address), name, logs_in=number % 4 != 3)
            for number, name in enumerate(names[:BROWSERS])
        ]

    def run(self, phase: str, turns: int) -> None:
        """Let all shoppers act on the backends of a phase, such as ``django+keep``."""
        self.proxy.backends = [self.shops[name].address for name in phase.split("+")]

        def shop(number: int) -> None:
            for _ in range(turns):
                self.shoppers[number].act(f"{phase}-{self.count()}")

        in_parallel(len(self.shoppers), shop)
        for shopper in self.shoppers:
            shopper.visit_graves()

    def count(self) -> int:
        self.acts += 1
        return self.acts

    @property
    def faults(self) -> Counter[str]:
        found = sum((shopper.faults for shopper in self.shoppers), Counter())
        return Counter({name: count for name, count in found.items() if count})

    @property
    def requests(self) -> int:
        return sum(shopper.requests for shopper in self.shoppers)


FORWARDS_AND_BACK = ["django", "django+keep", "keep", "keep+move", "move", "keep+move", "keep"]


def shops_of(start: Callable[..., Shop], name: str) -> dict[str, Shop]:
    engine = ENGINES[name]
    migrate: dict[str, Any] = {**OURS, "SCS_MIGRATE_FROM": engine.path}
    return {
        "django": start(SESSION_ENGINE=engine.path, SESSIONS=engine.middleware),
        "keep": start(**migrate, SCS_MIGRATE_MODE="keep"),
        "move": start(**migrate, SCS_MIGRATE_MODE="move"),
    }


# One that is moved in a transaction, and one that is moved with a mark.
FEW = ["db", pytest.param("cache", marks=pytest.mark.once)]
ALL = ["db", "cache", "cached_db", "file", "user_sessions", "qsessions"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", ALL if metafunc.config.getoption("--full", False) else FEW)


def turns(full: bool) -> int:
    """Return how often each browser acts in a phase: together about 3,000 requests, or 800."""
    return 8 if full else 2


def test_nobody_notices_a_rolling_deployment(
    name: str, start: Callable[..., Shop], users: list[str], full: bool
) -> None:
    began = time.monotonic()
    with Proxy() as proxy:
        rollout = Rollout(proxy, users, shops_of(start, name))
        for phase in FORWARDS_AND_BACK:
            before = rollout.requests
            rollout.run(phase, turns(full))
            print(
                f"\n{name}, {phase}: {rollout.requests - before} requests, {dict(rollout.faults)}"
            )
    print(f"{rollout.requests} requests in {time.monotonic() - began:.0f} s")
    logs = {name: shop.log() for name, shop in rollout.shops.items()}
    assert rollout.faults == Counter(), {name: log[-1500:] for name, log in logs.items()}


@pytest.mark.once
def test_the_proof_finds_a_move_without_keep(start: Callable[..., Shop], users: list[str]) -> None:
    """Old processes beside ones that move at once: what the middle step is for."""
    with Proxy() as proxy:
        rollout = Rollout(proxy, users, shops_of(start, "db"))
        rollout.run("django", 6)
        assert rollout.faults == Counter()
        rollout.run("django+move", 12)
    assert rollout.faults["logged out"] > 0
    assert rollout.faults["lost"] > 0
