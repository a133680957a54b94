import math
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_scs.merge import merge, same

ABSENT = object()

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
    """Return what two values have in common if, and only if, they are the same in every respect."""
    if isinstance(value, dict):
        return "dict", sorted((key, picture(item)) for key, item in value.items())
    if isinstance(value, list):
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


@given(st.lists(values, max_size=3), st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_merge_keeps_all_that_lists_have_grown_by(start, ours, theirs):
    base = {"list": start}
    merged = merge(base, {"list": start + ours}, {"list": start + theirs})["list"]
    for grown in (start + ours, start + theirs):
        rest = list(merged)
        for item in grown:
            index = next(i for i, other in enumerate(rest) if agree(item, other))
            del rest[index]


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
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3, 2]}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 3]}, {"a": [2]}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": []}, {"a": [1, 2]}),
        ({}, {"a": [2]}, {"a": [3]}, {"a": [3, 2]}),
        ({"a": "x"}, {"a": [2]}, {"a": [3]}, {"a": [3, 2]}),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 2, "y": 2}}),
        ({}, {"a": {"x": 2}}, {"a": {"y": 2}}, {"a": {"x": 2, "y": 2}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1, "y": 1}}, {"a": {"y": 1}}),
        ({"a": {"x": 1}}, {}, {"a": {"x": 2}}, {}),
        ({"a": {"x": [1]}}, {"a": {"x": [1, 2]}}, {"a": {"x": [1, 3]}}, {"a": {"x": [1, 3, 2]}}),
    ],
)
def test_merge_of_both_changes(base, ours, theirs, expected):
    assert agree(merge(base, ours, theirs), expected)


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
    ],
)
def test_same_tells_apart(left, right):
    assert not same(left, right)
    assert not same(right, left)


@pytest.mark.parametrize("value", [math.nan, [math.nan], {"a": [math.nan, {"b": 1}]}, "x", None])
def test_same_takes_a_copy_for_the_value(value):
    assert same(value, deepcopy(value))
    assert same(float("nan"), math.nan)
