import math
from collections import Counter, OrderedDict
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from django_scs.codecs.values import key_text
from django_scs.merge import merge, same

ABSENT = object()
CET = timezone(timedelta(hours=1))

scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(width=16) | st.sampled_from("ab")
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=4,
)
sessions = st.dictionaries(st.sampled_from("klmn"), values, max_size=4)


def picture(value):
    """Return what two values have in common if, and only if, they are stored alike."""
    if isinstance(value, dict):
        return "dict", sorted((str(key), picture(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "list", [picture(item) for item in value]
    return type(value).__name__, repr(value)


def differs(left, right, key):
    return picture(left.get(key, ABSENT)) != picture(right.get(key, ABSENT))


def agree(left, right):
    return picture(left) == picture(right)


@given(sessions, sessions, sessions)
def test_merge_never_loses_a_key_that_changed_on_one_side(base, ours, theirs):
    merged = merge(base, ours, theirs)
    for key in {*base, *ours, *theirs}:
        if not differs(theirs, base, key):
            assert not differs(merged, ours, key)
        elif not differs(ours, base, key):
            assert not differs(merged, theirs, key)


@given(sessions, sessions)
def test_merge_is_a_no_op_when_one_side_did_not_change(base, changed):
    assert agree(merge(base, changed, base), changed)
    assert agree(merge(base, base, changed), changed)


@given(sessions, sessions, sessions)
def test_merge_adds_no_key_of_its_own(base, ours, theirs):
    assert merge(base, ours, theirs).keys() <= {*ours, *theirs}


@given(sessions, sessions, sessions)
def test_merge_leaves_its_arguments_alone(base, ours, theirs):
    before = deepcopy((base, ours, theirs))
    merge(base, ours, theirs)
    assert agree(list(before), [base, ours, theirs])


@given(sessions, sessions, sessions)
def test_merge_is_commutative_where_no_key_changed_on_both_sides(base, ours, theirs):
    both = {key for key in {*base, *ours, *theirs} if differs(ours, base, key)}
    theirs = {key: base[key] for key in both if key in base} | {
        key: value for key, value in theirs.items() if key not in both
    }
    assert agree(merge(base, ours, theirs), merge(base, theirs, ours))


@given(sessions, sessions, sessions)
def test_merge_again_with_the_result_changes_nothing(base, ours, theirs):
    merged = merge(base, ours, theirs)
    assert agree(merge(theirs, merged, theirs), merged)


@given(sessions, sessions)
def test_merge_of_one_change_that_both_made_is_that_change(base, changed):
    assert agree(merge(base, changed, deepcopy(changed)), changed)


few = st.lists(st.sampled_from([1, 2, True, "1", 0.0, -0.0, (1,), [1]]), max_size=5)


@given(few, few, few)
def test_merge_of_lists_has_what_either_added_and_not_what_either_removed(base, ours, theirs):
    merged = merge({"list": base}, {"list": ours}, {"list": theirs})["list"]
    for item in [*base, *ours, *theirs, *merged]:
        was, our, their, now = (
            sum(agree(item, other) for other in each) for each in (base, ours, theirs, merged)
        )
        assert now >= max(our - was, their - was, 0)
        assert now <= was + min(our - was, their - was, 0) + max(our - was, 0) + max(their - was, 0)


def facts(value, path=()):
    """Yield each place in the dicts of a session; of a list, each different item is one."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from facts(item, (*path, key))
    elif isinstance(value, list):
        yield from ((path, "holds", repr(picture(item))) for item in value)
    else:
        yield path, "is", repr(picture(value))


def entries(value, path=()):
    """Yield the path of each dict entry, at any depth, and the type of what is there."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), type(item)
            yield from entries(item, (*path, key))


deep = st.dictionaries(
    st.sampled_from("kl"),
    st.recursive(
        st.integers(1, 3) | st.lists(st.integers(1, 3), max_size=3),
        lambda inner: st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=5,
    ),
    max_size=2,
)


@given(deep, deep, deep)
def test_merge_brings_nothing_back_that_either_side_removed(base, ours, theirs):
    removed = (set(facts(base)) - set(facts(ours))) | (set(facts(base)) - set(facts(theirs)))
    # One more of a list's item was added, not brought back.
    added = (Counter(facts(ours)) - Counter(facts(base))) | (
        Counter(facts(theirs)) - Counter(facts(base))
    )
    assert not (removed - set(added)) & set(facts(merge(base, ours, theirs)))


def test_item_that_one_side_added_to_a_list_is_there_though_the_other_removed_the_list():
    assert merge({"a": {"b": [1]}}, {"a": {}}, {"a": {"b": [1, 1]}}) == {"a": {"b": [1]}}


@given(deep, deep, deep)
def test_merge_loses_nothing_that_one_side_added_where_the_other_did_nothing(base, ours, theirs):
    merged = set(facts(merge(base, ours, theirs)))
    for one, other in ((ours, theirs), (theirs, ours)):
        touched = {fact[0] for fact in set(facts(base)) ^ set(facts(other))}
        touched |= {path for path, _ in set(entries(base)) ^ set(entries(other))}
        for fact in set(facts(one)) - set(facts(base)):
            path = fact[0]
            if not any(path[: len(each)] == each[: len(path)] for each in touched):
                assert fact in merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}),
        ({"a": 1}, {}, {"a": 3}, {}),
        ({"a": 1}, {"a": 2}, {}, {"a": 2}),
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1}, {"a": 1.0}, {"a": 1.0}),
        # Lists.
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3, 2]}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 3]}, {"a": [3, 2]}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": []}, {"a": [2]}),
        ({"a": [1]}, {"a": [1, 2]}, {}, {"a": [2]}),
        ({"a": [1]}, {}, {"a": [1, 2]}, {"a": [2]}),
        ({"a": [1, 2]}, {"a": [1]}, {}, {}),
        ({"a": [1, 2]}, {}, {"a": [1]}, {}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": "none"}, {"a": [2]}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": "none"}, {"a": "none"}),
        ({"a": [1]}, {"a": "none"}, {"a": [1, 2]}, {"a": "none"}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": [1]}, {"a": [1, 2, 4]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3, 4]}),
        ({}, {"a": [2]}, {"a": [2]}, {"a": [2]}),
        ({}, {"a": {"x": [2]}}, {"a": {"x": [2], "y": 1}}, {"a": {"x": [2], "y": 1}}),
        ({}, {"a": [2]}, {"a": [3]}, {"a": [3, 2]}),
        ({"a": "x"}, {"a": [2]}, {"a": [3]}, {"a": [3, 2]}),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, {"a": [2, 3]}, {"a": [2]}),
        ({"a": [1, 1]}, {"a": [1]}, {"a": [1, 1, 2]}, {"a": [1, 2]}),
        ({"a": [1, 1]}, {"a": [1]}, {"a": [1]}, {"a": [1]}),
        ({"a": [0, 0, 0]}, {"a": [1, 0, 0]}, {"a": [0, 2, 0]}, {"a": [1, 2, 0]}),
        ({"a": [1, 2]}, {"a": [2, 3]}, {"a": [2, 4]}, {"a": [2, 4, 3]}),
        ({"a": [1]}, {"a": (1, 2)}, {"a": [1, 3]}, {"a": [1, 3, 2]}),
        ({"a": [1, 2]}, {"a": (1, 2)}, {"a": [2]}, {"a": [2]}),
        # Dicts.
        ({"a": {"x": 1}}, {"a": {"x": 2}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 2, "y": 2}}),
        ({}, {"a": {"x": 2}}, {"a": {"y": 2}}, {"a": {"x": 2, "y": 2}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1, "y": 1}}, {"a": {"y": 1}}),
        ({"a": {"x": 1}}, {}, {"a": {"x": 2}}, {}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {}, {}),
        ({"a": {"x": {"z": 1}}}, {"a": {"x": {"z": 2}}}, {"a": {}}, {"a": {}}),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, {"a": None}, {"a": None}),
        ({"a": {"x": 1}}, {"a": None}, {"a": {"x": 2}}, {"a": None}),
        ({"a": {"x": [1]}}, {"a": {"x": [1, 2]}}, {"a": {"x": [1, 3]}}, {"a": {"x": [1, 3, 2]}}),
        ({"a": {"1": 1}}, {"a": {1: 2}}, {"a": {"1": 1, "2": 1}}, {"a": {"1": 2, "2": 1}}),
        ({"a": {"1": 1}}, {"a": {1: 1, 3: 3}}, {"a": {}}, {"a": {"3": 3}}),
        ({"a": {1: 1}}, {"a": {1: 1, 3: 3}}, {"a": {1: 2}}, {"a": {1: 2, 3: 3}}),
        ({}, {None: 1, True: 2, 1.5: 3}, {"null": 0}, {"null": 1, True: 2, 1.5: 3}),
    ],
)
def test_merge_of_both_changes(base, ours, theirs, expected):
    assert agree(merge(base, ours, theirs), expected)


def test_security_cases_bring_nothing_back():
    perms = {"perms": {"admin": True, "seen": 0}}
    assert merge(perms, {"perms": {"admin": True, "seen": 1}}, {}) == {}
    roles = {"roles": ["staff", "admin"]}
    changed = merge(roles, {"roles": ["staff", "admin", "x"]}, {"roles": ["staff"]})
    assert changed == {"roles": ["staff", "x"]}


def test_merge_of_large_lists_takes_linear_time():
    base = [{"id": number} for number in range(10_000)]
    ours, theirs = [*base[::-1], 1], base[5000:] + base[:4000] + [2]
    merged = merge({"a": base}, {"a": ours}, {"a": theirs})["a"]
    assert merged == [*theirs, 1]


@pytest.mark.parametrize("item", [{1}, bytearray(b"a"), object()])
def test_merge_takes_items_without_hash(item):
    assert merge({"a": [item]}, {"a": [item, 1]}, {"a": [item, 2]}) == {"a": [item, 2, 1]}


@given(values, values)
def test_items_of_a_list_are_the_same_where_values_are(one, other):
    merged = merge({}, {"a": [one]}, {"a": [other]})["a"]
    assert (len(merged) == 1) is same(one, other) is agree(one, other)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (0.0, -0.0),
        (1, 1.0),
        ("a", b"a"),
        ([True], [1]),
        ({"a": 0}, {"a": False}),
        ([1], [1, 2]),
        ({}, []),
        ({1: 0}, {"2": 0}),
        ({1: 0}, {"1": 1}),
        ({b"1": 0}, {"1": 0}),
        (date(2024, 1, 1), datetime(2024, 1, 1)),
        (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=CET)),
        (time(12, tzinfo=UTC), time(13, tzinfo=CET)),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal(1), 1),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_same_tells_apart(left, right):
    assert not same(left, right)
    assert not same(right, left)


@pytest.mark.parametrize("value", [math.nan, [math.nan], {"a": [math.nan, {"b": 1}]}, "x", None])
def test_same_takes_a_copy_for_the_value(value):
    assert same(value, deepcopy(value))
    assert same(float("nan"), math.nan)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, (2,)), [1, [2]]),
        (
            {0: "a", 2.5: "b", None: "c", True: "d"},
            {"0": "a", "2.5": "b", "null": "c", "true": "d"},
        ),
        ({math.nan: 1, -math.inf: 2}, {"NaN": 1, "-Infinity": 2}),
        ({"a": {1: ()}}, {"a": {"1": []}}),
        (OrderedDict(a=1), {"a": 1}),
        (mark_safe("<b>"), "<b>"),
        (Decimal("NaN"), Decimal("NaN")),
        (timedelta(1), timedelta(hours=24)),
        (UUID(int=1), UUID(int=1)),
    ],
)
def test_same_takes_what_is_stored_alike_for_the_same(left, right):
    assert same(left, right)
    assert same(right, left)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3))
def test_keys_are_the_same_if_json_writes_them_alike(key):
    assert same({key: 0}, {key_text(key): 0})
