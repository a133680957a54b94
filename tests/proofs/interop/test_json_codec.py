"""The Go codec in docs/go.md reads and writes what JSONCodec does."""

import math
import shutil
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import UUID

import pytest

from django_scs.backends.db import SessionStore
from django_scs.codecs.json import JSONCodec
from tests.go import build

from .browser import Browser
from .conftest import MODULE, Sites, documented
from .test_sessions import go_through

HARD: dict[str, Any] = {
    "large int": -(10**30),
    "huge int": 10**5000,
    "infinity": -math.inf,
    "whole": [2.0, 1e21, -0.0, 1e-7],
    "offset with seconds": datetime(1890, 1, 1, tzinfo=timezone(timedelta(seconds=3208))),
    "earliest": datetime(1, 1, 1, tzinfo=UTC),
    "latest": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "looks marked": [
        {"$bytes": "x"},
        {"$$bytes": b"x"},
        {"$int": {"$float": 1.5}},
        {"$later": 1},
        {"$bytes": 1, "b": 2},
    ],
    "exact": [Decimal("1.10"), Decimal("-0"), UUID(int=2**128 - 1), date(2024, 2, 29)],
    "spans": [time(1, 2, 3, 4), time(1, tzinfo=UTC), timedelta(-1, 5, 6), timedelta.max],
    "looks like one of the later markers": [
        {"$decimal": "1.10"},
        {"$uuid": {"$uuid": UUID(int=1)}},
        {"$date": "", "$time": ""},
        {"$$timedelta": [1, 2, 3]},
        {"$time": time(1)},
    ],
    "empty": ["", [], {}, b""],
    "<script>": "</script>\u2028\x00\U0001f642",
}


@pytest.fixture
def browser(sites: Sites) -> Browser:
    """Return a browser for two sites with the JSON codecs."""
    return sites(json=True)


def test_documentation_shows_what_is_compiled(tmp_path: Path) -> None:
    sources = {path.read_text() for path in MODULE.rglob("*.go")}
    sessions, program, codec = documented("go")
    assert sources.issuperset([sessions, codec])
    for name, text in (("sessions.go", sessions), ("main.go", program)):
        (tmp_path / name).write_text(text)
    for name in ("go.mod", "go.sum"):
        shutil.copy(MODULE / name, tmp_path)
    assert build(tmp_path, tmp_path / "site").exists()


@pytest.mark.parametrize(("here", "there"), [("go", "django"), ("django", "go")])
def test_everything_works_with_json(
    browser: Browser, users: list[int], here: str, there: str
) -> None:
    go_through(browser, here, there, users[0])


@pytest.mark.parametrize(("here", "there"), [("go", "django"), ("django", "go")])
def test_every_type_survives_changes_by_the_other(browser: Browser, here: str, there: str) -> None:
    browser.visit(here, "fill")
    assert browser.visit(here, "differences") == []
    browser.visit(there, "put", key="another", value="1")
    assert browser.visit(here, "differences") == []
    assert browser.visit(here, "get", key="another") == "1"


@pytest.mark.parametrize("key", HARD)
def test_hard_value_survives_a_change_by_go(browser: Browser, key: str) -> None:
    browser.visit("django", "put", key="word", value="1")
    session = SessionStore(browser.token)
    session[key] = HARD[key]
    session.save()
    browser.visit("go", "put", key="another", value="1")
    found = SessionStore(browser.token)
    assert found["another"] == "1"
    assert written(found[key]) == written(HARD[key])


def written(value: Any) -> bytes:
    """Return what tells a value from those that only equal it."""
    return JSONCodec().encode(datetime(2026, 1, 1, tzinfo=UTC), {"key": value})


@pytest.mark.parametrize("key", ["$bytes", "$$bytes", "$later", "$"])
def test_session_with_one_key_is_not_taken_for_a_marked_value(browser: Browser, key: str) -> None:
    browser.visit("go", "put", key=key, value="aGk=")
    assert browser.visit("django", "get", key=key) == "aGk="
    browser.visit("django", "put", key=key, value="eA==")
    assert browser.visit("go", "get", key=key) == "eA=="


def test_go_sees_its_own_types(browser: Browser) -> None:
    browser.visit("django", "fill")
    assert browser.visit("go", "values") == {
        "none": "<nil> <nil>",
        "str": "string Grüße, \x00 <b>&\U0001f642",
        "int": "int -3",
        "float": "float64 3",
        "bool": "bool true",
        "bytes": "[]uint8 [0 255]",
        "strs": "[]interface {} [a ]",
        "datetime": "time.Time 2026-07-08T09:10:11.123456+02:00",
        "dict": "map[string]interface {} map[list:[1 two <nil>] n:1]",
    }


def test_go_reports_a_type_that_json_lacks(browser: Browser) -> None:
    with pytest.raises(HTTPError, match="500") as caught:
        browser.visit("go", "put-struct")
    caught.value.close()
