import enum
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from django_scs.codecs.json import JSONCodec
from django_scs.exceptions import DecodeError, EncodeError
from tests.contracts.codec import CodecContract

DEADLINE = CodecContract.DEADLINE
CODEC = JSONCodec()


class TestJSONCodec(CodecContract):
    @pytest.fixture
    def codec(self):
        return CODEC


class Colour(enum.IntEnum):
    RED = 1


class Plan(enum.StrEnum):
    FREE = "free"


class Text(str):
    """Text that says something else of itself than it is."""

    __slots__ = ()

    def __str__(self):
        return "something else"


def round_trip(value):
    return CODEC.decode(CODEC.encode(DEADLINE, {"key": value}))[1]["key"]


def envelope(value):
    return json.dumps({"deadline": "2030-01-01T00:00:00+00:00", "values": {"key": value}}).encode()


def picture(value):
    """Return what two values have in common if, and only if, they are the same in every respect."""
    if isinstance(value, dict):
        return "dict", [(picture(key), picture(item)) for key, item in value.items()]
    if isinstance(value, list):
        return "list", [picture(item) for item in value]
    if type(value) is int:
        return "int", value
    if isinstance(value, datetime):
        return "datetime", value.replace(tzinfo=None), value.utcoffset()
    return type(value).__name__, repr(value)


markers = st.sampled_from(
    ["$bytes", "$datetime", "$float", "$int", "$$bytes", "$$$int", "$", "$$", "$new"]
)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)
text = st.text(st.characters(exclude_categories=[]), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary(max_size=8) | moments
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(markers | text, inner, max_size=2),
    max_leaves=8,
)


@given(moments, st.dictionaries(markers | text, values, max_size=3))
def test_decode_gives_exactly_what_encode_got(deadline, session):
    data = CODEC.encode(deadline, session)
    decoded_deadline, decoded = CODEC.decode(data)
    assert decoded_deadline == deadline
    assert picture(decoded) == picture(session)
    assert CODEC.encode(decoded_deadline, decoded, data) == data


@pytest.mark.parametrize(
    "value",
    [
        {"$bytes": "aGk="},
        {"$$bytes": "aGk="},
        {"$bytes": {"$bytes": b"hi"}},
        {"$datetime": "no date", "b": 1},
        {"$unknown": 1},
        [{"$int": "0x1"}, {"$float": "nan"}],
        'a "$bytes" in text',
        0.1 + 0.2,
        -0.0,
        5e-324,
        math.inf,
        -math.inf,
        math.nan,
        2**63,
        -(2**64),
        10**5000,
        -(10**5000),
        2**14_000,
        2**14_000 - 1,
        "\ud800 lone",
        "\x00\u2028",
        b"",
        "",
        [],
        {},
        {"": None},
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30, seconds=7))),
    ],
    ids=lambda value: (
        repr(value)[:30] if not isinstance(value, int) else f"int of {value.bit_length()}"
    ),
)
def test_value_survives_exactly(value):
    assert picture(round_trip(value)) == picture(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (mark_safe("<b>"), "<b>"),
        (Text("what it is"), "what it is"),
        (Plan.FREE, "free"),
        (Colour.RED, 1),
        ({Plan.FREE: Colour.RED}, {"free": 1}),
    ],
)
def test_subclass_is_kept_as_what_it_is_made_of(value, kept):
    assert picture(round_trip(value)) == picture(kept)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ((1, 2), "tuple"),
        ({1: "a"}, "int"),
        ({None: "a"}, "NoneType"),
        ({b"a": "a"}, "bytes"),
        (datetime(2024, 1, 1), "naive datetime"),
        (date(2024, 1, 1), "date"),
        (Decimal("1.1"), "Decimal"),
        (bytearray(b"a"), "bytearray"),
        (frozenset(), "frozenset"),
        ([{"a": [1, {2}]}], "set"),
    ],
)
def test_encode_refuses_what_json_would_change(value, kind):
    with pytest.raises(EncodeError) as refusal:
        CODEC.encode(DEADLINE, {"fine": 1, "cart": value})
    assert "'cart'" in str(refusal.value)
    assert kind in str(refusal.value)


def test_encode_refuses_a_session_key_that_is_no_str():
    with pytest.raises(EncodeError, match="int"):
        CODEC.encode(DEADLINE, {5: "a"})


def circle():
    value = {}
    value["self"] = [value]
    return value


def tower():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("make", [circle, tower])
def test_encode_refuses_what_has_no_end_by_its_key(make):
    with pytest.raises(EncodeError, match="'cart'"):
        CODEC.encode(DEADLINE, {"fine": 1, "cart": make()})


def test_encode_writes_the_documented_format():
    values = {"b": b"hi", "t": datetime(2024, 1, 1, tzinfo=UTC), "n": math.nan, "d": {"$int": 1}}
    assert CODEC.encode(datetime(2030, 1, 1, tzinfo=UTC), values) == (
        b'{"deadline":"2030-01-01T00:00:00+00:00","values":{"b":{"$bytes":"aGk="},'
        b'"t":{"$datetime":"2024-01-01T00:00:00+00:00"},"n":{"$float":"nan"},"d":{"$$int":1}}}'
    )


def test_marker_of_a_later_version_is_written_back_as_it_was():
    data = CODEC.encode(DEADLINE, {}).replace(b"{}", b'{"key":{"$uuid":"5"},"a":1}')
    deadline, values = CODEC.decode(data)
    assert CODEC.encode(deadline, {**values, "a": 2}, data) == data.replace(b'"a":1', b'"a":2')


HOSTILE = [
    b'{"deadline":"2030-01-01T00:00:00","values":{}}',
    b'{"deadline":null,"values":{}}',
    b'{"deadline":"2030-01-01T00:00:00+00:00","values":[]}',
    b'{"deadline":"2030-01-01T00:00:00+00:00"}',
    b'{"values":{}}',
    b'["deadline","values"]',
    b'"deadline"',
    b"5",
    b"1" * 10_000,
    b"[" * 1_000_000,
    b'{"a":' * 100_000,
    b'\xef\xbb\xbf{"deadline":"2030-01-01T00:00:00+00:00","values":{}}',
    envelope({"$bytes": 5}),
    envelope({"$bytes": "a"}),
    envelope({"$bytes": "ä"}),
    envelope({"$datetime": 5}),
    envelope({"$datetime": "2030"}),
    envelope({"$float": []}),
    envelope({"$float": "x"}),
    envelope({"$int": 5}),
    envelope({"$int": "0x"}),
    envelope({"$int": "1_0"}),
    envelope({"$int": None}),
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[-30:].decode("latin-1"))
def test_decode_refuses_hostile_bytes(data):
    with pytest.raises(DecodeError):
        CODEC.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        envelope({"$datetime": "2030-01-01T00:00:00"}),
        b'{"deadline":"0001-01-01T00:00:00+23:00","values":{}}',
        b'{"deadline":"9999-12-31T23:59:59-23:00","values":{}}',
    ],
)
def test_decode_gives_nothing_that_encode_would_refuse(data):
    with pytest.raises(DecodeError):
        CODEC.decode(data)


@given(st.binary() | values.map(lambda value: repr(value).encode(errors="replace")))
def test_decode_of_any_bytes_raises_decode_error_alone(data):
    with pytest.raises(DecodeError):
        CODEC.decode(data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["0x1", "nan", "aGk="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(markers, inner, max_size=2),
    max_leaves=5,
)


@given(json_values)
def test_decode_of_any_json_gives_what_encode_can_write_or_decode_error(value):
    try:
        deadline, decoded = CODEC.decode(envelope(value))
    except DecodeError:
        return
    data = CODEC.encode(deadline, decoded)
    assert picture(CODEC.decode(data)[1]) == picture(decoded)
