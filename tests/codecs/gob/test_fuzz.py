"""Random damage and random values. `fuzz.py` is for longer runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_scs.codecs.gob import GobCodec

from . import fuzz
from .cases import BLOBS, REGISTERED, strict

pytestmark = pytest.mark.extra

CODEC = GobCodec(REGISTERED)

blobs = st.sampled_from([blob for blob in BLOBS.values() if len(blob) < 1000])
# At a place, so many bytes give way to others.
edits = st.tuples(
    st.integers(0, 1000), st.integers(0, 4), st.binary(max_size=4) | st.sampled_from(fuzz.CHUNKS)
)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timedelta(minutes=offset // timedelta(minutes=1))
)
zones = st.just(UTC) | offsets.filter(lambda offset: offset != timedelta(minutes=-1)).map(timezone)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.binary(max_size=20).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
moments = st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
scalars = [
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(),
    st.complex_numbers(),
    texts,
]
leaves = st.one_of(
    st.none(),
    *scalars,
    st.binary(max_size=20),
    moments,
    *(st.lists(scalar, min_size=1, max_size=4) for scalar in scalars),
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
sessions = st.dictionaries(texts, anything, max_size=4)


@settings(max_examples=1000)
@given(blobs, st.lists(edits, min_size=1, max_size=4))
def test_damaged_sessions_are_read_or_refused(
    blob: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    data = bytearray(blob)
    for place, removed, added in changes:
        place %= len(data) + 1
        data[place : place + removed] = added
    started = time.perf_counter()
    fuzz.check(bytes(data))
    assert time.perf_counter() - started < fuzz.SECONDS_ALLOWED


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    fuzz.check(data)


@given(moments, sessions)
def test_what_was_written_is_read(deadline: datetime, values: dict[str, Any]) -> None:
    blob = CODEC.encode(deadline, values)
    read_deadline, read = CODEC.decode(blob)
    assert read_deadline == deadline
    assert strict(read) == strict(values)
    assert CODEC.encode(read_deadline, read, blob) is blob


@given(sessions, sessions, blobs)
def test_what_replaces_other_values_is_read(
    old: dict[str, Any], new: dict[str, Any], blob: bytes
) -> None:
    deadline, kept = CODEC.decode(blob)
    original = CODEC.encode(deadline, {**kept, **old}, blob)
    values = {**kept, **dict(zip(old, new.values(), strict=False)), **new}
    assert strict(CODEC.decode(CODEC.encode(deadline, values, original))[1]) == strict(values)
