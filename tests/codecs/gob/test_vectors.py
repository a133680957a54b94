"""What Python reads in the sessions that the real scs wrote."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from django_scs.codecs.gob import GobCodec, Opaque
from django_scs.exceptions import DecodeError

from .cases import BLOBS, VECTORS, decoded, python_key, python_value, strict

CODEC = GobCodec()
each_vector = pytest.mark.parametrize("case", VECTORS, ids=list(BLOBS))


@each_vector
def test_decode_gives_what_scs_put_in(case: dict[str, Any]) -> None:
    deadline, values = CODEC.decode(BLOBS[case["name"]])
    expected = {python_key(key): python_value(each) for key, each in decoded(case).items()}
    assert strict(values) == strict_or_opaque(expected)
    zero = case["deadline"].startswith("0001")
    described = {"type": "time.Time", "value": case["deadline"].replace("Z", "+00:00")}
    if case["name"] == "deadline_fixed_offset":
        described["offset_seconds"] = 5 * 3600 + 1800
    assert deadline == python_value(described)
    assert zero == (deadline.year == 1)


def strict_or_opaque(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strict_or_opaque(each) for key, each in value.items()}
    if isinstance(value, list):
        return [strict_or_opaque(each) for each in value]
    return ... if value is ... else strict(value)


@each_vector
def test_opaque_values_show_the_name_of_their_type(case: dict[str, Any]) -> None:
    _, values = CODEC.decode(BLOBS[case["name"]])
    for value in values.values():
        if isinstance(value, Opaque):
            assert value.go_type in case["registered"]
            assert repr(value) == f"<Opaque {value.go_type}>"


@each_vector
def test_encode_returns_the_original_when_nothing_changed(case: dict[str, Any]) -> None:
    blob = BLOBS[case["name"]]
    deadline, values = CODEC.decode(blob)
    assert CODEC.encode(deadline, copy.deepcopy(values), blob) is blob


@each_vector
def test_what_was_written_again_reads_the_same(case: dict[str, Any]) -> None:
    blob = BLOBS[case["name"]]
    deadline, values = CODEC.decode(blob)
    again = CODEC.encode(deadline, {**values, "new": "x"}, blob)
    new_deadline, new_values = CODEC.decode(again)
    assert new_deadline == deadline
    assert new_values.pop("new") == "x"
    assert strict(new_values) == strict(values)
    assert {k: v for k, v in new_values.items() if isinstance(v, Opaque)} == {
        k: v for k, v in values.items() if isinstance(v, Opaque)
    }


def test_key_order_does_not_matter() -> None:
    assert CODEC.decode(BLOBS["key_order_abcd"]) == CODEC.decode(BLOBS["key_order_dcba"])


@each_vector
def test_every_truncation_is_refused(case: dict[str, Any]) -> None:
    blob = BLOBS[case["name"]]
    for length in (*range(min(len(blob), 3000)), len(blob) - 1):
        with pytest.raises(DecodeError):
            CODEC.decode(blob[:length])
