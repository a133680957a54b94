"""What the real scs reads in the sessions that Python wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_scs.codecs import gob

from .cases import BLOBS, VECTORS, decoded, python_key, strict
from .scs import Scs

pytestmark = pytest.mark.extra

CODEC = gob.GobCodec()
DEADLINE = datetime(2031, 5, 17, 1, 2, 3, 456789, tzinfo=UTC)
SAMPLES = range(150)
each_vector = pytest.mark.parametrize("case", VECTORS, ids=list(BLOBS))

STRING = {"type": "string", "value": "žluť"}
STRINGS = {"type": "[]string", "elems": [{"type": "string", "value": "a"}]}


def check_changes(scs: Scs, blob: bytes, before: dict[str, Any]) -> None:
    """Change the session of a blob in many ways; each time scs must read exactly that."""
    deadline, values = CODEC.decode(blob)
    described = before["values"] or {}

    def check(changed: dict[str, Any], expected: dict[str, Any]) -> None:
        after = scs.decode(CODEC.encode(deadline, changed, blob))
        assert after["values"] == expected
        assert after["deadline_hex"] == before["deadline_hex"]

    check({**values, "new": "žluť"}, {**described, "new": STRING})
    check({**values, "new": ["a"]}, {**described, "new": STRINGS})
    for name in list(described)[:20]:
        key = python_key(name)
        check({k: v for k, v in values.items() if k != key}, without(described, name))
        check({**values, key: "žluť"}, {**described, name: STRING})
        # Renamed: the old key's type is of no help to the new one, unless it is opaque.
        if isinstance(values[key], gob.Opaque):
            moved = {**without(described, name), "moved": described[name]}
            check({**without(values, key), "moved": values[key]}, moved)
    later = scs.decode(CODEC.encode(DEADLINE, values, blob))
    assert later["values"] == described
    assert later["deadline_hex"] == gob_time(DEADLINE)


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != key}


def gob_time(instant: datetime) -> str:
    span = instant - datetime(1, 1, 1, tzinfo=UTC)
    seconds, nanoseconds = span // timedelta(seconds=1), span.microseconds * 1000
    return f"01{seconds:016x}{nanoseconds:08x}ffff"


@each_vector
def test_the_program_reads_the_vectors_as_scs_did(case: dict[str, Any], scs: Scs) -> None:
    answer = scs.decode(BLOBS[case["name"]])
    assert (answer["values"] or {}) == decoded(case)
    assert answer["deadline_hex"] == case["decoded_deadline_hex"]


@each_vector
def test_changing_a_vector_changes_nothing_else(case: dict[str, Any], scs: Scs) -> None:
    blob = BLOBS[case["name"]]
    check_changes(scs, blob, scs.decode(blob))


@pytest.mark.parametrize("seed", SAMPLES)
def test_changing_a_sample_changes_nothing_else(seed: int, scs: Scs) -> None:
    sample = scs.sample(seed)
    check_changes(
        scs, bytes.fromhex(sample["blob_hex"]), scs.decode(bytes.fromhex(sample["blob_hex"]))
    )


@pytest.mark.parametrize("seed", SAMPLES)
def test_a_session_that_scs_wrote_again_is_the_same(seed: int, scs: Scs) -> None:
    sample = scs.sample(seed)
    if "again_hex" not in sample:
        pytest.fail(f"scs cannot write {sample} again")
    deadline, values = CODEC.decode(bytes.fromhex(sample["blob_hex"]))
    new_deadline, new_values = CODEC.decode(bytes.fromhex(sample["again_hex"]))
    assert new_deadline == deadline
    assert strict(new_values) == strict(values)
    assert opaque(new_values) == opaque(values)


def opaque(values: dict[str, Any]) -> dict[str, gob.Opaque]:
    return {key: value for key, value in values.items() if isinstance(value, gob.Opaque)}
