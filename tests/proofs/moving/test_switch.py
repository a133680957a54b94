"""A standstill of a second: from each engine fifty users come along, with all that they have."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY

from django_scs.backends.db import SessionStore
from tests.proofs.reliability.load import in_parallel

from .site import ENGINES, Answer, Shop, Visitor

REQUESTS = 6
DAY = 86_400
OURS = {"SESSION_ENGINE": "django_scs.backends.db"}
# The others read nothing from a database, or what one of these reads too.
IN_TABLES = ("db", "cached_db", "user_sessions", "qsessions")
REMEMBER: list[dict[str, int]] = [{"remember": 30 * DAY}, {"remember": 3600}, {}]


def log_in(shop: Shop, name: str, number: int) -> Visitor:
    """Return a visitor with a cart: each third is remembered, each other third has an hour."""
    visitor = shop.visitor()
    visitor.get("add", item=f"first {number}")
    visitor.get("login", user=name, **REMEMBER[number % 3])
    visitor.get("add", item=f"second {number}")
    return visitor


def load_page(visitor: Visitor) -> list[Answer]:
    """Send the requests of one page at once, with the cookie that the browser has."""
    answers = in_parallel(REQUESTS, lambda _: visitor.send("show"))
    for answer in answers:
        visitor.keep(answer)
    return answers


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in IN_TABLES else [pytest.mark.once]) for name in ENGINES],
)
def test_fifty_users_are_moved(name: str, start: Callable[..., Shop], users: list[str]) -> None:
    engine = ENGINES[name]
    common: dict[str, Any] = {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True}
    old = start(SESSION_ENGINE=engine.path, SESSIONS=engine.middleware, **common)
    visitors = [log_in(old, user, number) for number, user in enumerate(users)]
    before = [visitor.send("show").values for visitor in visitors]
    old_cookies = [visitor.cookie for visitor in visitors]
    old.stop()
    new = start(SCS_MIGRATE_FROM=engine.path, **OURS, **common)
    for visitor in visitors:
        visitor.address = new.address
    pages = [load_page(visitor) for visitor in visitors]
    assert [answer.status for page in pages for answer in page] == [200] * len(users) * REQUESTS
    for number, (page, was) in enumerate(zip(pages, before, strict=True)):
        assert {answer.cookie for answer in page} == {visitors[number].cookie}
        for answer in page:
            found = dict(answer.values)
            assert found.pop("age") == pytest.approx(was["age"], abs=120)
            assert found == {key: value for key, value in was.items() if key != "age"}
            assert bool(answer.max_age) is not was["at_close"]
    rows = [session for session in SessionStore.iterate() if SESSION_KEY in session]
    assert len(rows) == len(users)
    assert {row.session_key for row in rows} == {visitor.cookie for visitor in visitors}
    check_logout(new, visitors, old_cookies)


def check_logout(shop: Shop, visitors: list[Visitor], old_cookies: list[str | None]) -> None:
    for visitor, old_cookie in zip(visitors, old_cookies, strict=True):
        cookie = visitor.cookie
        assert visitor.get("logout").cookie == ""
        for dead in (cookie, old_cookie):
            assert shop.visitor(dead).send("show").values["user"] == ""
