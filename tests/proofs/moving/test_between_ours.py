"""Sessions move from a table to Redis, and from Redis to a table, over HTTP: nobody notices."""

from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from django_scs.backends import db, redis
from tests.redis_servers import client_of, redis_server
from tests.servers import Redis

from .proxy import Proxy
from .site import Shop, manage
from .test_rolling import Rollout
from .test_switch import check_logout, load_page, log_in

__all__ = ["redis_server"]

DB, REDIS = "django_scs.backends.db", "django_scs.backends.redis"
WAYS = {"to redis": (DB, REDIS), "to db": (REDIS, DB)}
THERE_AND_BACK = [
    "old",
    "old+keep",
    "keep",
    "keep+move",
    "move",
    "keep+move",
    "keep",
    "keep+back",
    "back",
    "back+old",
    "old",
]
# With the settings of which step the command runs meanwhile.
WITH_COMMAND = {"keep+move": "move", "back": "back"}


@pytest.fixture(params=WAYS)
def steps(
    request: pytest.FixtureRequest, settings: Any, redis_server: Redis
) -> dict[str, dict[str, Any]]:
    """Return the settings of each step; both stores are empty."""
    with client_of(redis_server) as client:
        client.flushall()
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    old, new = WAYS[request.param]
    common = {"SCS_REDIS": settings.SCS_REDIS, "SESSION_EXPIRE_AT_BROWSER_CLOSE": True}
    move = {**common, "SESSION_ENGINE": new, "SCS_MIGRATE_FROM": old}
    return {
        "old": {**common, "SESSION_ENGINE": old},
        "keep": {**move, "SCS_MIGRATE_MODE": "keep"},
        "move": move,
        "new": {**common, "SESSION_ENGINE": new},
        "back": {**common, "SESSION_ENGINE": old, "SCS_MIGRATE_FROM": new},
    }


def count(engine: str) -> int:
    found = {DB: db.SessionStore, REDIS: redis.SessionStore}[engine]
    return sum(1 for _ in found.get_store().all())


@pytest.mark.parametrize("hashed", [False, pytest.param(True, marks=pytest.mark.once)])
def test_fifty_users_are_moved(
    steps: dict[str, dict[str, Any]], hashed: bool, start: Callable[..., Shop], users: list[str]
) -> None:
    common = {"SCS_HASH_TOKENS": hashed}
    old = start(**steps["old"], **common)
    visitors = [log_in(old, user, number) for number, user in enumerate(users)]
    before = [visitor.send("show").values for visitor in visitors]
    cookies = [visitor.cookie for visitor in visitors]
    old.stop()
    new = start(**steps["move"], **common)
    for visitor in visitors:
        visitor.address = new.address
    pages = [load_page(visitor) for visitor in visitors]
    for page, was in zip(pages, before, strict=True):
        for answer in page:
            assert answer.status == 200
            # The cookie that it has is good.
            assert answer.cookie is None
            assert answer.values.pop("age") == pytest.approx(was["age"], abs=120)
            assert answer.values == {key: value for key, value in was.items() if key != "age"}
    places = steps["old"]["SESSION_ENGINE"], steps["new"]["SESSION_ENGINE"]
    assert [count(place) for place in places] == [0, len(users)]
    check_logout(new, visitors, cookies)
    for step in ("old", "new"):
        elsewhere = start(**steps[step], **common)
        for cookie in cookies:
            assert elsewhere.visitor(cookie).send("show").values["user"] == ""


def test_nobody_notices_a_rolling_deployment_there_and_back(
    steps: dict[str, dict[str, Any]],
    start: Callable[..., Shop],
    users: list[str],
    database: dict[str, Any],
    full: bool,
) -> None:
    shops = {name: start(**values) for name, values in steps.items() if name != "new"}
    said: list[str] = []

    def move_all(step: str) -> None:
        said.append(manage(database, "scs_migrate", "--move", **steps[step]))

    with Proxy() as proxy:
        rollout = Rollout(proxy, users, shops)
        for phase in THERE_AND_BACK:
            command = Thread(target=move_all, args=[WITH_COMMAND.get(phase, "")])
            if phase in WITH_COMMAND:
                command.start()
            rollout.run(phase, 8 if full else 2)
            if phase in WITH_COMMAND:
                command.join()
            print(f"\n{phase}: {rollout.requests} requests so far, {dict(rollout.faults)}")
    print(*said, sep="\n")
    logs = {name: shop.log()[-1500:] for name, shop in shops.items()}
    assert rollout.faults == Counter(), logs
    assert "No old session is alive." in said[-1]
    assert count(steps["new"]["SESSION_ENGINE"]) == 0
