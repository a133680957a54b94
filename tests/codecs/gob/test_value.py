"""A gob of one value, as Go's encoder writes it outside of a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import QueryDict
from django.utils.translation import gettext_lazy

from django_scs.codecs.gob import Float32, GobCodec, Int8, Opaque, Uint, value, wire
from django_scs.exceptions import DecodeError, EncodeError, EncodeValueError

from .cases import BLOBS, strict

DEADLINE = datetime(2031, 5, 17, 1, 2, 3, 456789, tzinfo=UTC)
ANY_MAP = "map[interface {}]interface {}"
DECLARED = ("time.Time", "map[string]interface {}", "[]interface {}", ANY_MAP)


@pytest.mark.parametrize(
    "given",
    [
        "text",
        "\udcff",
        -7,
        True,
        0.1,
        1 + 2j,
        b"\x00\xff",
        [1, 2],
        ["a"],
        [b"a", b"b"],
        DEADLINE,
        {"a": 1, "b": [None, True]},
        [1, "a", [DEADLINE]],
        {"a": 1, 2: "b"},
    ],
)
def test_loads_gives_what_dumps_got(given: Any) -> None:
    assert strict(value.loads(value.dumps(given, DECLARED))) == strict(given)


def test_the_gob_of_a_string() -> None:
    assert value.dumps("hi") == b"\x05\x0c\x00\x02hi"


@pytest.mark.parametrize(("given", "plain"), [(Int8(3), 3), (Uint(4), 4), (Float32(0.5), 0.5)])
def test_widths_do_not_show(given: Any, plain: Any) -> None:
    assert value.loads(value.dumps(given)) == plain


def test_tuples_and_lazy_texts_are_lists_and_texts() -> None:
    given = {gettext_lazy("Yes"): (1, gettext_lazy("No"))}
    assert strict(value.loads(value.dumps(given, DECLARED))) == strict({"Yes": [1, "No"]})


@pytest.mark.parametrize("given", [None, object(), {"a": 1}, DEADLINE, {1, 2}])
def test_what_has_no_type(given: Any) -> None:
    with pytest.raises(EncodeError):
        value.dumps(given)


def test_what_is_lost_in_writing_is_refused() -> None:
    with pytest.raises(EncodeError, match="QueryDict: store dict"):
        value.dumps([QueryDict("tag=tea&tag=cups")], DECLARED)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodeValueError, match="100 levels"):
        value.dumps(endless, DECLARED)


def test_a_struct_is_opaque_and_goes_back() -> None:
    found = value.loads(BLOBS["single_string"])
    assert isinstance(found, Opaque)
    assert GobCodec().decode(value.dumps(found))[1] == {"flash": "hi"}


@pytest.mark.parametrize("name", BLOBS)
def test_truncated(name: str) -> None:
    blob = BLOBS[name]
    for length in (*range(min(len(blob), 200)), len(blob) - 1):
        with pytest.raises(DecodeError):
            value.loads(blob[:length])


def test_a_type_within_itself_is_opaque() -> None:
    list_type = wire.Type(wire.SLICE)
    list_type.elems = (list_type,)
    sent = Opaque("main.List", list_type, [[], [[]]])
    found = value.loads(value.dumps(sent))
    assert isinstance(found, Opaque)
    assert found.raw == [[], [[]]]


def test_a_key_that_go_panics_on_is_refused() -> None:
    with pytest.raises(EncodeError, match="takes no"):
        value.dumps({"inner": {b"k": 1}}, (ANY_MAP,))
    harmless = value.dumps({"inner": {"k": 1}}, (ANY_MAP,))
    key = b"\x06string\x0c\x03\x00\x01k"
    forged = harmless.replace(key, b"\x07[]uint8\x0a\x03\x00\x01k")
    assert harmless.count(key) == 1
    with pytest.raises(DecodeError, match="slice"):
        value.loads(lengthened(forged, harmless))


def lengthened(forged: bytes, harmless: bytes) -> bytes:
    """Return a gob that has grown by a byte, with its last message's length mended."""
    before = len(harmless) - len(value_message(harmless))
    length = harmless[before - 1]
    return forged[: before - 1] + bytes((length + 1,)) + forged[before:]


def value_message(blob: bytes) -> bytes:
    """Return the last message of a gob whose messages are short."""
    pos = 0
    while pos + blob[pos] + 1 < len(blob):
        pos += blob[pos] + 1
    return blob[pos + 1 :]
