"""What two requests that overlap leave in the store: the table of docs/reliability.md, and more."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_scs.backends.base import UpdateError
from django_scs.backends.db import SessionStore
from django_scs.merge import same
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
    assert same(dict(result.items()), dict(slower.items()))
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
    "both append the same": ({"list": []}, append(1), append(1), {"list": [1]}),
    "both begin a list": ({}, append(1), append(2), {"list": [1, 2]}),
    "both begin the same list": ({}, put(list=[1, 2]), put(list=[1, 2]), {"list": [1, 2]}),
    "both begin the same list, nested": (
        {"a": {}},
        lambda s: s["a"].update(list=[1]),
        lambda s: s["a"].update(list=[1]),
        {"a": {"list": [1]}},
    ),
    "one appends, one replaces": ({"list": [0]}, append(1), put(list=[5]), {"list": [1, 5]}),
    "an item removed, another appended": (
        {"roles": ["staff", "admin"]},
        lambda s: s["roles"].remove("admin"),
        lambda s: s["roles"].append("editor"),
        {"roles": ["staff", "editor"]},
    ),
    "an item appended, another removed": (
        {"roles": ["staff", "admin"]},
        lambda s: s["roles"].append("editor"),
        lambda s: s["roles"].remove("admin"),
        {"roles": ["staff", "editor"]},
    ),
    "both remove items": (
        {"list": [1, 2, 3]},
        lambda s: s["list"].remove(1),
        lambda s: s["list"].remove(3),
        {"list": [2]},
    ),
    "items in different places": (
        {"answers": [None, None, None]},
        lambda s: s["answers"].__setitem__(0, "a"),
        lambda s: s["answers"].__setitem__(2, "a"),
        {"answers": ["a", None, "a"]},
    ),
    "a list removed, one appends": ({"list": [0]}, remove("list"), append(1), {"list": [1]}),
    "one appends, the list removed": ({"list": [0]}, append(1), remove("list"), {"list": [1]}),
    "a dict removed, one changes something inside": (
        {"perms": {"admin": True, "seen": 0}},
        remove("perms"),
        lambda s: s["perms"].update(seen=1),
        {},
    ),
    "something inside changed, the dict removed": (
        {"perms": {"admin": True, "seen": 0}},
        lambda s: s["perms"].update(seen=1),
        remove("perms"),
        {},
    ),
    "a dict in a dict removed, one changes something inside": (
        {"user": {"perms": {"admin": True}}},
        lambda s: s["user"].pop("perms"),
        lambda s: s["user"]["perms"].update(seen=1),
        {"user": {}},
    ),
    "one changes, one puts back the same as a tuple": (
        {"list": [1, 2]},
        append(3),
        put(list=(1, 2)),
        {"list": [1, 2, 3]},
    ),
    "one changes, one puts back the same with keys of int": (
        {"cart": {"1": 2}},
        lambda s: s["cart"].update({"1": 5}),
        put(cart={1: 2}),
        {"cart": {"1": 5}},
    ),
    "both change, one with keys of int": (
        {"cart": {"1": 2}},
        lambda s: s["cart"].update({"3": 5}),
        put(cart={1: 4, 2: 1}),
        {"cart": {"1": 4, "3": 5, "2": 1}},
    ),
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
    # The store is told for how long, and counts that from its own now.
    expiry = Session.objects.get(token=session.session_key).expiry
    assert abs(expiry - LATER) < timedelta(seconds=1)


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


ABSENT = object()
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


def facts(values: dict[str, Any]) -> Counter[tuple[str, ...]]:
    """Return each entry and each item of the values, with its type, and how often it is there."""
    found: Counter[tuple[str, ...]] = Counter()
    for key, value in values.items():
        if isinstance(value, dict):
            found.update((key, inner, repr(item)) for inner, item in value.items())
        elif isinstance(value, list):
            found.update((key, "item", repr(item)) for item in value)
        else:
            found[key, repr(value)] += 1
    return found


@given(base=values, first=values, second=values)
@settings(
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.django_db(transaction=True)
def test_nothing_comes_back_and_nothing_is_missing(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    result = dict(overlap(base, become(first), become(second)).items())
    was, one, two, now = map(facts, (base, first, second, result))
    for fact in was | one | two | now:
        changes = one[fact] - was[fact], two[fact] - was[fact]
        # Nothing that was removed is there, unless the other side added as much of it again.
        assert now[fact] <= was[fact] + min(*changes, 0) + sum(max(each, 0) for each in changes)
    for key in {*base, *first, *second}:
        old, one_has, two_has = (each.get(key, ABSENT) for each in (base, first, second))
        if same(one_has, two_has) or same(one_has, old):
            assert same(result.get(key, ABSENT), two_has)
        elif same(two_has, old):
            assert same(result.get(key, ABSENT), one_has)
        elif isinstance(one_has, list) and isinstance(two_has, list):
            assert not facts({key: one_has}) - was - now
            assert not facts({key: two_has}) - was - now
