"""What two requests that overlap leave in the store: the table of docs/reliability.md, and more."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_scs.backends.base import UpdateError
from django_scs.backends.db import SessionStore
from django_scs.models import Session

Change = Callable[[SessionStore], Any]

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)


def overlap(base: dict[str, Any], first: Change, second: Change) -> SessionStore:
    """Return the session after two requests loaded ``base`` and saved one after the other."""
    session = SessionStore()
    session.update(base)
    session.save()
    faster, slower = SessionStore(session.session_key), SessionStore(session.session_key)
    faster.keys(), slower.keys()
    first(faster)
    faster.save()
    second(slower)
    slower.save()
    result = SessionStore(session.session_key)
    assert dict(result.items()) == dict(slower.items())
    return result


def put(**values: Any) -> Change:
    return lambda session: session.update(values)


def append(value: Any) -> Change:
    return lambda session: session.update({"list": [*session.get("list", []), value]})


def remove(key: str) -> Change:
    return lambda session: session.pop(key)


def nothing(session: SessionStore) -> None:
    session.modified = True


TABLE: dict[str, tuple[dict[str, Any], Change, Change, dict[str, Any]]] = {
    "both add keys": ({}, put(a=1), put(b=2), {"a": 1, "b": 2}),
    "different keys": ({"a": 0, "b": 0}, put(a=1), put(b=2), {"a": 1, "b": 2}),
    "the same key": ({"a": 0}, put(a=1), put(a=2), {"a": 2}),
    "the same key, alike": ({"a": 0}, put(a=1), put(a=1), {"a": 1}),
    "the same new key": ({}, put(a=1), put(a=2), {"a": 2}),
    "one changes, one nothing": ({"a": 0}, put(a=1), nothing, {"a": 1}),
    "one deletes, one nothing": ({"a": 0}, remove("a"), nothing, {}),
    "deleted, then changed": ({"a": 0}, remove("a"), put(a=2), {"a": 2}),
    "changed, then deleted": ({"a": 0}, put(a=1), remove("a"), {}),
    "both delete": ({"a": 0}, remove("a"), remove("a"), {}),
    "both append": ({"list": [0]}, append(1), append(2), {"list": [0, 1, 2]}),
    "both append the same": ({"list": []}, append(1), append(1), {"list": [1, 1]}),
    "both begin a list": ({}, append(1), append(2), {"list": [1, 2]}),
    "one appends, one replaces": ({"list": [0]}, append(1), put(list=[5]), {"list": [5]}),
    "nested dicts, different keys": (
        {"cart": {"tea": 1, "cups": {"n": 1}}},
        lambda s: s["cart"]["cups"].update(n=2),
        lambda s: s["cart"].update(tea=5),
        {"cart": {"tea": 5, "cups": {"n": 2}}},
    ),
    "nested dicts, the same key": (
        {"cart": {"tea": 1}},
        lambda s: s["cart"].update(tea=2),
        lambda s: s["cart"].update(tea=3),
        {"cart": {"tea": 3}},
    ),
    "nested dicts, deleted and added": (
        {"cart": {"tea": 1}},
        lambda s: s["cart"].pop("tea"),
        lambda s: s["cart"].update(cake=1),
        {"cart": {"cake": 1}},
    ),
    "1 becomes True": ({"a": 1}, put(a=True), put(b=2), {"a": True, "b": 2}),
    "a flash popped, another put": (
        {"flash": "1"},
        remove("flash"),
        put(flash="2"),
        {"flash": "2"},
    ),
    "all removed, one added": ({"a": 0}, lambda s: s.clear(), put(b=2), {"b": 2}),
    "one added, all removed": ({"a": 0}, put(b=2), lambda s: s.clear(), {"b": 2}),
}


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.django_db(transaction=True)
def test_the_table(case: str) -> None:
    base, first, second, expected = TABLE[case]
    found = dict(overlap(base, first, second).items())
    assert found == expected
    assert repr(found) == repr({key: expected[key] for key in found})


@pytest.mark.parametrize("expiry_first", [True, False])
@pytest.mark.django_db(transaction=True)
def test_set_expiry_and_a_change(expiry_first: bool) -> None:
    changes: list[Change] = [lambda session: session.set_expiry(300), put(a=1)]
    session = overlap({}, *(changes if expiry_first else reversed(changes)))
    assert session["a"] == 1
    assert session.get_expiry_age() == 300
    left = Session.objects.get(token=session.session_key).expiry - datetime.now(UTC)
    assert timedelta(seconds=270) < left <= timedelta(seconds=300)


@pytest.mark.parametrize("deadline_first", [True, False])
@pytest.mark.django_db(transaction=True)
def test_set_deadline_and_a_change(deadline_first: bool) -> None:
    changes: list[Change] = [lambda session: session.set_deadline(LATER), put(a=1)]
    session = overlap({}, *(changes if deadline_first else reversed(changes)))
    assert session["a"] == 1
    assert session.deadline() == LATER
    assert Session.objects.get(token=session.session_key).expiry == LATER


@pytest.mark.django_db(transaction=True)
def test_a_change_then_a_renewal() -> None:
    old = SessionStore()
    old["user"] = "alice"
    old.save()
    renewing, changing = SessionStore(old.session_key), SessionStore(old.session_key)
    renewing["role"] = "admin"
    changing["a"] = 1
    changing.save()
    renewing.renew_token()
    renewing.save()
    found = dict(SessionStore(renewing.session_key).items())
    assert found == {"user": "alice", "role": "admin", "a": 1}


@pytest.mark.django_db(transaction=True)
def test_a_renewal_then_a_change() -> None:
    old = SessionStore()
    old["user"] = "alice"
    old.save()
    renewing, changing = SessionStore(old.session_key), SessionStore(old.session_key)
    renewing.keys()
    changing["a"] = 1
    renewing.renew_token()
    renewing.save()
    with pytest.raises(UpdateError):
        changing.save()
    assert dict(SessionStore(renewing.session_key).items()) == {"user": "alice"}
    assert not old.exists(old.session_key)


leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "1"])
values = st.dictionaries(
    st.sampled_from("abcd"),
    leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.sampled_from("xyz"), leaves),
)


def become(wanted: dict[str, Any]) -> Change:
    def change(session: SessionStore) -> None:
        session.clear()
        session.update(wanted)

    return change


def alike(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)


@given(base=values, first=values, second=values)
@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.django_db(transaction=True)
def test_what_one_side_changed_stays(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    result = dict(overlap(base, become(first), become(second)).items())
    absent = object()
    for key in {*base, *first, *second, *result}:
        was, one, two, now = (each.get(key, absent) for each in (base, first, second, result))
        if alike(two, was):
            assert alike(now, one) or isinstance(one, dict)
        elif alike(one, was) or (alike(one, two) and not isinstance(one, list)):
            assert alike(now, two) or isinstance(two, dict)
        elif isinstance(one, dict) and isinstance(two, dict):
            assert set(now) <= {*one, *two}
        elif isinstance(one, list) and isinstance(two, list):
            start = len(was) if isinstance(was, list) else 0
            assert alike(now, two) or alike(now, one + two[start:])
        else:
            assert alike(now, two)
