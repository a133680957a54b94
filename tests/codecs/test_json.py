import enum
import json
import math
import sys
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.signing import JSONSerializer
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy
from hypothesis import example, given
from hypothesis import strategies as st

from django_scs.codecs.json import JSONCodec
from django_scs.exceptions import DecodeError, EncodeError, EncodeValueError
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


Point = namedtuple("Point", "x y")


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
    if isinstance(value, datetime | time):
        return type(value).__name__, value.replace(tzinfo=None), value.utcoffset()
    return type(value).__name__, repr(value)


markers = st.sampled_from(
    ["$bytes", "$date", "$datetime", "$decimal", "$float", "$int", "$time", "$timedelta", "$uuid"]
) | st.sampled_from(["$$bytes", "$$$int", "$", "$$", "$new"])
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)
text = st.text(st.characters(exclude_categories=[]), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary(max_size=8) | moments
) | (
    st.decimals()
    | st.uuids()
    | st.dates()
    | st.times()
    | st.times(timezones=offsets)
    | st.timedeltas()
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
        10**4299,
        10**4300 - 1,
        10**4300,
        Decimal("1.10"),
        Decimal("-0"),
        Decimal("NaN"),
        Decimal("sNaN12"),
        Decimal("-Infinity"),
        Decimal("1E+1000000"),
        UUID("12345678-1234-5678-1234-567812345678"),
        date(2024, 2, 29),
        time(12, 30, 15, 123_456),
        time(12, tzinfo=timezone(timedelta(hours=-3, seconds=1))),
        timedelta.min,
        timedelta.max,
        timedelta(microseconds=-1),
        {"$uuid": "no UUID"},
        {"$timedelta": [1, 2, 3]},
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
        ((1, (2, {"a": ()})), [1, [2, {"a": []}]]),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (gettext_lazy("Yes"), "Yes"),
        ({"a": [format_lazy("{}!", gettext_lazy("No"))]}, {"a": ["No!"]}),
        ({gettext_lazy("Yes"): 1}, {"Yes": 1}),
        (lazy(lambda: 5, int)(), 5),
        (SimpleLazyObject(lambda: "text"), "text"),
        (SimpleLazyObject(lambda: SimpleLazyObject(lambda: 5)), 5),
        (SimpleLazyObject(lambda: {"a": (1,)}), {"a": [1]}),
        (SimpleLazyObject(lambda: Decimal("1.0")), Decimal("1.0")),
        ({1: "a", "1": [1.5], "b": 2.5}, {"1": [1.5], "b": 2.5}),
    ],
)
def test_subclass_is_kept_as_what_it_is_made_of(value, kept):
    assert picture(round_trip(value)) == picture(kept)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({b"a": "a"}, "bytes"),
        ({(1, 2): "a"}, "tuple"),
        ({UUID(int=1): "a"}, "UUID"),
        ({10**5000: "a"}, "key of type int"),
        (datetime(2024, 1, 1), "naive datetime: store an aware one"),
        (time(1, tzinfo=ZoneInfo("Europe/Paris")), "time in a zone"),
        (bytearray(b"a"), r"bytearray: store bytes\(value\)"),
        (frozenset(), "frozenset: store a list"),
        ([{"a": [1, {2}]}], "set: store a list"),
        (QueryDict("a=1&a=2"), r"QueryDict: store dict\(q.lists\(\)\)"),
        ({"a": MultiValueDict({"a": [1, 2]})}, r"MultiValueDict: store dict\(q.lists\(\)\)"),
        (SimpleLazyObject(lambda: {1}), "set"),
        (1j, "complex"),
        (object, "type"),
    ],
)
def test_encode_refuses_what_cannot_be_kept(value, kind):
    with pytest.raises(EncodeError, match=f"^Session key 'cart' holds a .*{kind}"):
        CODEC.encode(DEADLINE, {"fine": 1, "cart": value})


def test_advice_for_a_query_dict_works():
    query = QueryDict("a=1&a=2&b=3")
    assert round_trip(dict(query.lists())) == {"a": ["1", "2"], "b": ["3"]}


json_keys = st.none() | st.booleans() | st.integers() | st.floats() | text
django_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(json_keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(json_keys, django_values, max_size=3))
def test_what_django_takes_comes_back_as_from_django(session):
    expected = JSONSerializer().loads(JSONSerializer().dumps(session))
    data = CODEC.encode(DEADLINE, session)
    decoded = CODEC.decode(data)[1]
    assert picture(decoded) == picture(expected)
    assert CODEC.encode(DEADLINE, decoded, data) == data


@given(st.dictionaries(text, django_values, max_size=3))
@example({"$int": None})
def test_bytes_do_not_depend_on_whether_a_copy_was_needed(session):
    decoded = CODEC.decode(CODEC.encode(DEADLINE, session))[1]
    without = CODEC.encode(DEADLINE, decoded)
    subclassed = {mark_safe(key): OrderedDict(a=item) for key, item in decoded.items()}
    assert CODEC.encode(DEADLINE, subclassed) == CODEC.encode(
        DEADLINE, {key: {"a": item} for key, item in decoded.items()}
    )
    assert without == CODEC.encode(DEADLINE, OrderedDict(decoded))


def test_values_may_be_a_subclass_of_dict():
    values = {"$bytes": b"hi"}
    assert CODEC.decode(CODEC.encode(DEADLINE, OrderedDict(values)))[1] == values


def test_python_that_reads_fewer_digits_writes_what_it_can_read():
    before = sys.get_int_max_str_digits()
    for digits in (640, 0):
        sys.set_int_max_str_digits(digits)
        try:
            kept = round_trip(7**3000), round_trip([7**6000])
        finally:
            sys.set_int_max_str_digits(before)
        assert kept == (7**3000, [7**6000])


def circle():
    value = {}
    value["self"] = [value]
    return value


def nested(levels):
    value = 1
    for level in range(levels):
        value = [value, 1] if level % 2 else {"a": value, "b": 1}
    return value


@pytest.mark.parametrize("value", [circle(), nested(101), nested(100_000), [b"", nested(100)]])
def test_encode_refuses_too_many_levels_by_session_key(value):
    with pytest.raises(EncodeValueError, match=r"^Session key 'cart' holds more than 100 levels"):
        CODEC.encode(DEADLINE, {"fine": 1, "cart": value})


@pytest.mark.parametrize("value", [nested(100), [b"", nested(99)], {1: nested(99)}])
def test_encode_takes_100_levels(value):
    assert repr(round_trip(value)).count("1") == repr(value).count("1")


def test_encode_writes_the_documented_format():
    values = {"b": b"hi", "t": datetime(2024, 1, 1, tzinfo=UTC), "n": math.nan, "d": {"$int": 1}}
    assert CODEC.encode(datetime(2030, 1, 1, tzinfo=UTC), values) == (
        b'{"deadline":"2030-01-01T00:00:00+00:00","values":{"b":{"$bytes":"aGk="},'
        b'"t":{"$datetime":"2024-01-01T00:00:00+00:00"},"n":{"$float":"nan"},"d":{"$$int":1}}}'
    )


def test_marker_of_a_later_version_is_written_back_as_it_was():
    data = CODEC.encode(DEADLINE, {}).replace(b"{}", b'{"key":{"$later":"5"},"a":1}')
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
    envelope(5) + envelope(6),
    envelope(5) + b",",
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
    envelope({"$date": "2030-01-01T00:00:00"}),
    envelope({"$date": 5}),
    envelope({"$decimal": "x"}),
    envelope({"$decimal": 5}),
    envelope({"$time": "25:00"}),
    envelope({"$timedelta": [1, 2]}),
    envelope({"$timedelta": [1, 2, 3.0]}),
    envelope({"$timedelta": [1, 2, True]}),
    envelope({"$timedelta": 5}),
    envelope({"$timedelta": [10**30, 0, 0]}),
    envelope({"$uuid": "5"}),
    envelope({"$uuid": {}}),
]


@pytest.mark.parametrize("data", [b" \n" + envelope(5), envelope(5) + b"\r\n"])
def test_decode_takes_what_an_encoder_of_another_language_puts_around_the_text(data):
    assert CODEC.decode(data) == CODEC.decode(envelope(5))


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
