"""What the codec writes of its own accord, what it keeps, and what it refuses."""

from __future__ import annotations

import copy
import enum
import math
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from django_scs.codecs import gob
from django_scs.codecs.gob import wire
from django_scs.exceptions import DecodeError, EncodeError, EncodeValueError

from .cases import BLOBS, REGISTERED, strict
from .scs import Scs

CODEC = gob.GobCodec()
Register = Callable[[Sequence[str]], None]
DEADLINE = datetime(2031, 5, 17, 1, 2, 3, 456789, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Role(enum.StrEnum):
    ADMIN = "admin"


class Level(enum.IntEnum):
    HIGH = 3


def encode(value: Any, original: bytes | None = None) -> bytes:
    return CODEC.encode(DEADLINE, {"k": value}, original)


def decode(blob: bytes) -> Any:
    return CODEC.decode(blob)[1]["k"]


def go_type(scs: Scs, blob: bytes) -> str:
    described = scs.decode(blob)["values"]["k"]
    return described["type"]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """Return what gives `CODEC` the names that the Go application registers."""
    return lambda names: monkeypatch.setitem(globals(), "CODEC", gob.GobCodec(names))


@pytest.fixture
def registered(register: Register) -> None:
    register(REGISTERED)


# Python value, its Go type, what is read back if not the same.
FREELY: list[tuple[Any, ...]] = [
    (None, "nil"),
    (True, "bool"),
    (False, "bool"),
    (0, "int"),
    (-1, "int"),
    (-(1 << 63), "int"),
    ((1 << 63) - 1, "int"),
    (0.0, "float64"),
    (-0.0, "float64"),
    (0.1, "float64"),
    (math.inf, "float64"),
    (math.nan, "float64"),
    (1.5 - 2j, "complex128"),
    ("", "string"),
    ("x" * 200, "string"),
    ("žluť \0 🐎", "string"),
    ("\udcff\udcfe not UTF-8", "string"),
    (b"", "[]uint8"),
    (b"\0\xff", "[]uint8"),
    ([], "[]string"),
    (["a", ""], "[]string"),
    ([1, -1], "[]int"),
    ([True], "[]bool"),
    ([0.5], "[]float64"),
    ([1j], "[]complex128"),
    (gob.Int(5), "int", 5),
    (gob.Int8(-128), "int8", -128),
    (gob.Int16(5), "int16", 5),
    (gob.Int32(5), "int32", 5),
    (gob.Int64(5), "int64", 5),
    (gob.Uint(5), "uint", 5),
    (gob.Uint8(255), "uint8", 255),
    (gob.Uint16(5), "uint16", 5),
    (gob.Uint32(5), "uint32", 5),
    (gob.Uint64((1 << 64) - 1), "uint64", (1 << 64) - 1),
    (gob.Uintptr(5), "uintptr", 5),
    (gob.Float32(0.5), "float32", 0.5),
    (gob.Float32(0.1), "float32", 0.10000000149011612),
    (gob.Float64(0.1), "float64", 0.1),
    (gob.Complex64(1j), "complex64", 1j),
    (gob.Complex128(1j), "complex128", 1j),
    ([gob.Int64(1), gob.Int64(2)], "[]int64", [1, 2]),
    (mark_safe("<b>"), "string", "<b>"),
    (Role.ADMIN, "string", "admin"),
    (Level.HIGH, "int", 3),
    (("a", "b"), "[]string", ["a", "b"]),
    ((), "[]string", []),
    ((gob.Int64(1),), "[]int64", [1]),
    (gettext_lazy("Yes"), "string", "Yes"),
    ([gettext_lazy("Yes"), "x"], "[]string", ["Yes", "x"]),
    (lazy(lambda: 5, int)(), "int", 5),
    (SimpleLazyObject(lambda: True), "bool", True),
    (SimpleLazyObject(lambda: ("a",)), "[]string", ["a"]),
]
REGISTERED_ONLY: list[tuple[Any, ...]] = [
    (NOON, "time.Time"),
    (NOON.replace(microsecond=1), "time.Time"),
    (NOON.replace(tzinfo=timezone(timedelta(hours=5, minutes=30))), "time.Time"),
    (NOON.replace(tzinfo=timezone(timedelta(seconds=-1172))), "time.Time"),
    (NOON.replace(tzinfo=timezone(timedelta(seconds=-59))), "time.Time"),
    (datetime.min.replace(tzinfo=UTC), "time.Time"),
    (datetime.max.replace(tzinfo=UTC), "time.Time"),
    (datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))), "time.Time"),
    (datetime.min.replace(tzinfo=timezone(timedelta(hours=23))), "time.Time"),
    ({}, "map[string]interface {}"),
    ({"a": {"b": None, "c": [NOON]}}, "map[string]interface {}"),
    (OrderedDict(a=1), "map[string]interface {}", {"a": 1}),
    ([None], "[]interface {}"),
    ([1, "a"], "[]interface {}"),
    ([1, True], "[]interface {}"),
    ([[1], [2.0], []], "[]interface {}"),
    ([{"a": 1}], "[]interface {}"),
    ([b"a"], "[]interface {}"),
    ([gob.Int8(1), 2], "[]interface {}", [1, 2]),
]


def check_written(scs: Scs, value: Any, name: str, *back: Any) -> None:
    blob = encode(value)
    assert strict(decode(blob)) == strict(back[0] if back else value)
    assert go_type(scs, blob) == name
    assert encode(copy.deepcopy(value), blob) == blob


@pytest.mark.parametrize("case", FREELY, ids=lambda case: f"{type(case[0]).__name__}-{case[1]}")
def test_basic_values_are_written_without_registering(case: tuple[Any, ...], scs: Scs) -> None:
    check_written(scs, *case)


@pytest.mark.parametrize("case", REGISTERED_ONLY, ids=str)
@pytest.mark.usefixtures("registered")
def test_other_values_are_written_as_what_is_registered(case: tuple[Any, ...], scs: Scs) -> None:
    check_written(scs, *case)


@pytest.mark.parametrize("case", REGISTERED_ONLY, ids=str)
def test_other_values_are_refused_unless_registered(case: tuple[Any, ...]) -> None:
    with pytest.raises(EncodeError, match=r"'k'.*SCS_GOB_REGISTERED") as caught:
        encode(case[0])
    assert case[1] in str(caught.value)


UNWRITABLE = {
    "no Go type": (object(), "object"),
    "naive datetime": (datetime(2026, 1, 1), "zone"),
    "Decimal": (Decimal("1"), r"Decimal: store str\(value\)"),
    "UUID": (UUID(int=1), r"UUID: store str\(value\)"),
    "date": (date(2026, 1, 1), r"date: store value.isoformat\(\)"),
    "time": (time(1), r"time: store value.isoformat\(\)"),
    "timedelta": (timedelta(1), r"timedelta: store value.total_seconds\(\)"),
    "set": ({1}, "set"),
    "bytearray": (bytearray(b"x"), "bytearray"),
    "too large": (1 << 63, r"int, -9223372036854775808 to 9223372036854775807"),
    "too small": (-(1 << 63) - 1, "range"),
    "too large to be written": (10**5000, "an int of 16610 bits is out of the range of Go's int"),
    "too large in a list": ([1 << 63], "range"),
    "too large for a float32": (gob.Float32(1e39), "range"),
    "too large for a uint8": (gob.Uint8(256), "uint8, 0 to 255"),
    "negative uint": (gob.Uint(-1), "uint, 0 to"),
    "surrogate": ("\ud800", "surrogates"),
    "surrogates that would come back as a letter": ("\udcc3\udca9", "surrogates"),
    "int key": ({1: 2}, "dict"),
    "offset of -60 seconds": (NOON.replace(tzinfo=timezone(timedelta(seconds=-60))), "offset"),
    "offset of -119 seconds": (NOON.replace(tzinfo=timezone(timedelta(seconds=-119))), "offset"),
    "offset of microseconds": (NOON.replace(tzinfo=timezone(timedelta(microseconds=1))), "offset"),
    "keys that Go lacks": ({(1, 2): 1}, "keys of type tuple"),
    "a query": (QueryDict("a=1&a=2"), r"QueryDict: store dict\(q.lists\(\)\)"),
    "a query deep in others": ([{"q": QueryDict("a=1")}], "QueryDict"),
    "a set": ({1}, "set: store a list"),
    "naive": (datetime(2026, 1, 1), "naive datetime"),
    "deep in others": ({"a": [{"b": object()}]}, "object"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
@pytest.mark.usefixtures("registered")
def test_what_go_cannot_hold_is_refused(name: str) -> None:
    value, why = UNWRITABLE[name]
    with pytest.raises(EncodeError, match=f"Session key 'k': .*{why}"):
        encode(value)


@pytest.mark.usefixtures("registered")
def test_values_that_hold_themselves_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (endless, nested(101), nested(100_000)):
        with pytest.raises(EncodeValueError, match=r"^Session key 'k': more than 100 levels"):
            encode(value)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value, "a"] if level % 2 else {"a": value}
    return value


@pytest.mark.usefixtures("registered")
def test_100_levels_are_written_and_read(scs: Scs) -> None:
    blob = encode(nested(100))
    assert repr(decode(blob)) == repr(nested(100))
    deadline, values = CODEC.decode(blob)
    changed = CODEC.encode(deadline, {**values, "n": 1}, blob)
    assert repr(CODEC.decode(changed)[1]["k"]) == repr(nested(100))
    assert "error" not in scs.try_decode(changed)


@pytest.mark.usefixtures("registered")
def test_deep_values_take_linear_time() -> None:
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep, "b": [deep if not isinstance(deep, dict) else 2, "x"]}
    blob = encode(deep)
    deeper = copy.deepcopy(deep)
    deeper["b"].append(1)
    assert decode(encode(deeper, blob)) == deeper


@pytest.mark.parametrize("key", [1, None, b"k", "\ud800"])
def test_keys_that_are_no_go_strings_are_refused(key: Any) -> None:
    with pytest.raises(EncodeError, match="Session key"):
        CODEC.encode(DEADLINE, {key: "x"})


def test_settings_give_the_registered_names() -> None:
    codec = gob.GobCodec.from_settings({"SCS_GOB_REGISTERED": ["time.Time"]}.get)
    assert codec.decode(codec.encode(DEADLINE, {"k": NOON})) == (DEADLINE, {"k": NOON})
    with pytest.raises(EncodeError, match="SCS_GOB_REGISTERED"):
        codec.encode(DEADLINE, {"k": {}})
    with pytest.raises(EncodeError, match="SCS_GOB_REGISTERED"):
        gob.GobCodec.from_settings({}.get).encode(DEADLINE, {"k": NOON})


@pytest.mark.parametrize("names", ["time.Time", None, [1], {"time.Time"}])
def test_settings_that_are_no_names_are_refused(names: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        gob.GobCodec.from_settings({"SCS_GOB_REGISTERED": names}.get)
    assert "SCS_GOB_REGISTERED" in str(refusal.value)
    assert repr(names) in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "value", "expected"),
    [
        (["map[string]string", "map[string]interface {}"], {"a": "b"}, "map[string]string"),
        (["map[string]string", "map[string]interface {}"], {"a": 1}, "map[string]interface {}"),
        (["map[string]interface {}", "map[string]string"], {"a": "b"}, "map[string]interface {}"),
        (["main.User", "map[int]string"], {1: "a"}, "map[int]string"),
        (["map[string]map[string]int"], {"a": {"b": 1}}, "map[string]map[string]int"),
        (["[][]string"], [["a"], []], "[][]string"),
        (["[]time.Time"], [NOON], "[]time.Time"),
        (["[][]uint8"], [b"a"], "[][]uint8"),
        (["map[interface {}]interface {}"], {1: "a", "b": 2}, "map[interface {}]interface {}"),
    ],
)
def test_the_first_registered_type_that_fits_is_taken(
    names: list[str], value: Any, expected: str, register: Register, scs: Scs
) -> None:
    register(names)
    blob = encode(value)
    assert go_type(scs, blob) == expected
    assert strict(decode(blob)) == strict(value)


WIDTHS = [
    (gob.Int8, -128, 127),
    (gob.Int16, -(1 << 15), (1 << 15) - 1),
    (gob.Int32, -(1 << 31), (1 << 31) - 1),
    (gob.Int64, -(1 << 63), (1 << 63) - 1),
    (gob.Uint, 0, (1 << 64) - 1),
    (gob.Uint8, 0, 255),
    (gob.Uint16, 0, (1 << 16) - 1),
    (gob.Uint32, 0, (1 << 32) - 1),
    (gob.Uint64, 0, (1 << 64) - 1),
    (gob.Uintptr, 0, (1 << 64) - 1),
]


@pytest.mark.parametrize(("explicit", "low", "high"), WIDTHS)
def test_a_key_keeps_its_width(explicit: Any, low: int, high: int, scs: Scs) -> None:
    name = explicit.__name__.lower()
    held = encode(explicit(1))
    for number in (low, high, 2):
        changed = encode(number, held)
        assert (decode(changed), type(decode(changed))) == (number, int)
        assert go_type(scs, changed) == name
    for number in (low - 1, high + 1):
        with pytest.raises(EncodeError, match=rf"'k'.*{name}, {low} to {high}"):
            encode(number, held)
    assert go_type(scs, encode("text", held)) == "string"
    assert go_type(scs, encode(True, held)) == "bool"
    assert go_type(scs, encode(gob.Int(5), held)) == "int"


@pytest.mark.parametrize(
    ("explicit", "low", "high"), [case for case in WIDTHS if case[0] is not gob.Uint8]
)
def test_a_key_keeps_the_width_of_a_slice(explicit: Any, low: int, high: int, scs: Scs) -> None:
    name = explicit.__name__.lower()
    held = encode([explicit(1)])
    for numbers in ([low, high], []):
        assert decode(encode(numbers, held)) == numbers
        assert go_type(scs, encode(numbers, held)) == f"[]{name}"
    with pytest.raises(EncodeError, match=rf"'k'.*{name}, {low} to {high}"):
        encode([1, high + 1], held)
    assert go_type(scs, encode(["text"], held)) == "[]string"
    assert go_type(scs, encode([gob.Int(5)], held)) == "[]int"


def test_a_key_keeps_float32_and_complex64(scs: Scs) -> None:
    held = encode(gob.Float32(1.5))
    assert go_type(scs, encode(0.1, held)) == "float32"
    assert decode(encode(0.1, held)) == struct.unpack("<f", struct.pack("<f", 0.1))[0]
    with pytest.raises(EncodeError, match=r"'k'.*float32"):
        encode(1e39, held)
    assert go_type(scs, encode(2, held)) == "int"
    held = encode(gob.Complex64(1j))
    assert go_type(scs, encode(2j, held)) == "complex64"


@pytest.mark.parametrize("old", [True, 1, 1.0])
@pytest.mark.parametrize("new", [True, 1, 1.0])
def test_python_types_that_compare_equal_are_told_apart(old: Any, new: Any) -> None:
    original = encode(old)
    changed = encode(new, original)
    assert (changed is original) == (old is new)
    assert strict(decode(changed)) == strict(new)


def test_nan_is_unchanged_and_minus_zero_is_not_zero() -> None:
    blob = encode(math.nan)
    assert encode(float("nan"), blob) is blob
    blob = encode(0.0)
    assert encode(-0.0, blob) != blob


def test_nothing_of_a_session_may_be_missing() -> None:
    two = CODEC.encode(DEADLINE, {"a": 1, "b": 0.5})
    assert CODEC.decode(CODEC.encode(DEADLINE, {"a": 1}, two))[1] == {"a": 1}
    assert CODEC.decode(CODEC.encode(DEADLINE, {"b": 0.5}, two))[1] == {"b": 0.5}
    assert CODEC.decode(CODEC.encode(DEADLINE, {}, two))[1] == {}
    assert CODEC.decode(CODEC.encode(DEADLINE, {"a": 1, "c": 1, "b": 0.5}, two))[1]["c"] == 1


def test_values_are_always_sent(scs: Scs) -> None:
    assert scs.decode(CODEC.encode(DEADLINE, {}))["values"] == {}
    deadline, values = CODEC.decode(BLOBS["nil_map"])
    changed = CODEC.encode(deadline + timedelta(hours=1), values, BLOBS["nil_map"])
    assert scs.decode(changed)["values"] == {}


NESTED = {"n": gob.Int64(1), "t": NOON, "l": [gob.Int8(1), "x"]}


@pytest.mark.usefixtures("registered")
def test_what_is_inside_a_dict_keeps_its_type(scs: Scs) -> None:
    original = encode(NESTED)
    values = decode(original)
    values["n"] = 7
    values["l"][0] = 100
    values["new"] = {"more": 1}
    inside = {
        entry["key"]["value"]: entry["value"]
        for entry in scs.decode(encode(values, original))["values"]["k"]["entries"]
    }
    assert inside["n"] == {"type": "int64", "value": 7}
    assert [each["type"] for each in inside["l"]["elems"]] == ["int8", "string"]
    assert inside["t"]["type"] == "time.Time"
    values["l"][0] = 128
    with pytest.raises(EncodeError, match=r"'k'.*int8, -128 to 127"):
        encode(values, original)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda queue: queue.pop(0), ["uint8", "string", "int"]),
        (lambda queue: queue.pop(), ["int64", "uint8", "string"]),
        (lambda queue: queue.pop(1), ["int64", "string", "int"]),
        (lambda queue: queue.insert(0, 5), ["int", "int64", "uint8", "string", "int"]),
        (lambda queue: queue.append(5), ["int64", "uint8", "string", "int", "int"]),
        (lambda queue: queue.clear(), []),
    ],
)
@pytest.mark.usefixtures("registered")
def test_what_is_inside_a_list_keeps_its_type(change: Any, expected: list[str], scs: Scs) -> None:
    original = encode([gob.Int64(1), gob.Uint8(2), "x", 1000])
    queue = decode(original)
    change(queue)
    described = scs.decode(encode(queue, original))["values"]["k"]
    assert described["type"] == "[]interface {}"
    assert [each["type"] for each in described.get("elems", ())] == expected


def test_the_keys_of_a_map_keep_their_types(register: Register, scs: Scs) -> None:
    register(["map[interface {}]interface {}"])
    original = encode({gob.Int64(1): "a", gob.Uint8(2): gob.Int8(3), "s": 1})
    values = decode(original)
    assert encode(values, original) is original
    values[2] = 4
    values[3] = "new"
    described = scs.decode(encode(values, original))["values"]["k"]["entries"]
    types = {
        each["key"]["value"]: (each["key"]["type"], each["value"]["type"]) for each in described
    }
    assert types == {
        1: ("int64", "string"),
        2: ("uint8", "int8"),
        "s": ("string", "int"),
        3: ("int", "string"),
    }
    assert {type(key) for key in decode(encode({True: "t", 2: "u"}, original))} == {bool, int}


def test_a_type_that_go_wrote_under_a_key_needs_no_setting(scs: Scs) -> None:
    blob = BLOBS["map_any_3_deep"]
    deadline, values = CODEC.decode(blob)
    values["m"]["b"] = {"other": {"still": "deeper"}}
    changed = CODEC.encode(deadline, values, blob)
    assert CODEC.decode(changed) == (deadline, values)
    scs.decode(changed)
    with pytest.raises(EncodeError, match=r"'other'.*SCS_GOB_REGISTERED"):
        CODEC.encode(deadline, {**values, "other": {}}, blob)


def test_times_keep_what_python_does_not_show(scs: Scs) -> None:
    blob = BLOBS["times"]
    before = scs.decode(blob)["values"]
    deadline, values = CODEC.decode(blob)
    assert values["sub_minute"].utcoffset() == timedelta(seconds=1172)
    assert values["offset"].utcoffset() == timedelta(hours=5, minutes=30)
    values["west"] = values["west"] + timedelta(microseconds=1)
    values["utc"] = values["utc"].astimezone(ZoneInfo("America/New_York"))
    after = scs.decode(CODEC.encode(deadline, values, blob))["values"]
    assert after.pop("west")["value"] == "2024-02-29T16:00:00-08:00"
    assert after.pop("utc")["value"] == "2024-02-29T18:59:59.999999-05:00"
    assert after == {key: value for key, value in before.items() if key not in {"west", "utc"}}


def test_an_offset_of_days_is_shown_as_utc(scs: Scs) -> None:
    raw = bytes.fromhex("010000000edd73117f00000000") + (40 * 60).to_bytes(2, "big")
    with_offset = CODEC.encode(NOON, {"k": "x"}).replace(
        b"\x06string\x0c\x03\x00\x01x", b"\x09time.Time\xff\x82\x11\x00\x0f" + raw
    )
    # The message is longer now, by what was put into it.
    grown = len(with_offset) - len(CODEC.encode(NOON, {"k": "x"}))
    blob = with_offset[:95] + bytes((with_offset[95] + grown,)) + with_offset[96:]
    assert decode(blob) == datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    deadline, values = CODEC.decode(blob)
    after = scs.decode(CODEC.encode(deadline, {**values, "new": 1}, blob))["values"]["k"]
    assert after["marshal_hex"] == raw.hex()


def test_the_deadline_keeps_its_nanoseconds_unless_it_changes(scs: Scs) -> None:
    blob = BLOBS["deadline_fixed_offset"]
    deadline, values = CODEC.decode(blob)
    same = CODEC.encode(deadline.astimezone(UTC), {**values, "new": 1}, blob)
    assert scs.decode(same)["deadline_hex"] == scs.decode(blob)["deadline_hex"]
    blob = BLOBS["login_session"]
    deadline, values = CODEC.decode(blob)
    assert scs.decode(CODEC.encode(deadline, {}, blob))["deadline_hex"][18:26] == "075bcd15"
    later = deadline + timedelta(microseconds=1)
    changed = CODEC.encode(later, values, blob)
    assert CODEC.decode(changed) == (later, values)
    assert scs.decode(changed)["deadline_hex"][18:26] == f"{123_457_000:08x}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ("ffffffffabbbaf80", datetime.min.replace(tzinfo=UTC)),
        ("0000005e0b5a8700", datetime.max.replace(tzinfo=UTC)),
        ("7fffffffffffffff", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_deadline_beyond_pythons_years_is_shown_as_the_nearest(
    seconds: str, shown: datetime
) -> None:
    blob = BLOBS["single_string"].replace(bytes.fromhex("0000000ee0e7b000"), bytes.fromhex(seconds))
    deadline, values = CODEC.decode(blob)
    assert deadline == shown
    assert bytes.fromhex(seconds) in CODEC.encode(deadline, {**values, "new": 1}, blob)


def test_the_deadline_is_written_in_utc() -> None:
    local = DEADLINE.astimezone(timezone(timedelta(seconds=-90)))
    assert CODEC.encode(local, {}) == CODEC.encode(DEADLINE, {})
    for edge in (datetime.max, datetime.min):
        zone = timezone(timedelta(hours=5 if edge is datetime.max else -5))
        deadline = edge.replace(tzinfo=zone)
        assert CODEC.decode(CODEC.encode(deadline, {}))[0] == deadline


def test_a_deadline_without_zone_is_refused() -> None:
    with pytest.raises(EncodeError, match="deadline"):
        CODEC.encode(datetime(2026, 1, 1), {})


def test_an_opaque_value_may_move(scs: Scs) -> None:
    _, cart = CODEC.decode(BLOBS["struct_cart"])
    deadline, values = CODEC.decode(BLOBS["struct_user"])
    blob = CODEC.encode(deadline, {**values, "cart": cart["cart"]}, BLOBS["struct_user"])
    after = scs.decode(blob)["values"]
    assert after["cart"] == scs.decode(BLOBS["struct_cart"])["values"]["cart"]
    assert after["user"] == scs.decode(BLOBS["struct_user"])["values"]["user"]


def test_an_opaque_value_is_equal_to_a_copy_of_itself_only() -> None:
    _, values = CODEC.decode(BLOBS["struct_user"])
    _, again = CODEC.decode(BLOBS["struct_user"])
    assert (
        values["user"] == again["user"] == copy.deepcopy(values["user"]) == copy.copy(again["user"])
    )
    assert hash(values["user"]) == hash(again["user"])
    assert values["user"] != values["zero"]
    assert repr(values["user"]) == "<Opaque example.com/shop/models.User>"
    with pytest.raises(AttributeError):
        values["user"].raw = ()


def test_a_map_that_python_cannot_hold_stays_opaque(scs: Scs) -> None:
    found = {
        value.go_type
        for seed in range(150)
        for value in CODEC.decode(bytes.fromhex(scs.sample(seed)["blob_hex"]))[1].values()
        if isinstance(value, gob.Opaque)
    }
    # It has the keys 1, 1.0 and true.
    assert "map[interface {}]interface {}" in found
    assert "map[string]time.Time" not in found


def test_refusals_are_domain_errors() -> None:
    assert issubclass(DecodeError, ValueError)
    with pytest.raises(DecodeError):
        CODEC.encode(DEADLINE, {}, b"nonsense")


ANY_MAP = "map[interface {}]interface {}"


@pytest.mark.parametrize("value", [{b"k": 1}, {"inner": {b"k": 1}}, {"l": [1, "a", {b"k": 1}]}])
def test_keys_that_go_cannot_hash_are_not_written(value: Any, register: Register) -> None:
    register([ANY_MAP, "[]interface {}"])
    with pytest.raises(
        EncodeError, match=r"^Session key 'k': Go takes no \[\]uint8 as a map's key"
    ):
        encode(value)


@pytest.mark.parametrize("value", [{"kk": 1}, {"inner": {"kk": 1}}])
def test_keys_that_go_cannot_hash_are_not_read(value: Any, register: Register, scs: Scs) -> None:
    register([ANY_MAP])
    name = b"\x06string\x0c\x04\x00\x02kk"
    blob = encode(value)
    assert blob.count(name) == 1
    # As long as the name it replaces, so that no length changes.
    damaged = blob.replace(name, b"\x07[]uint8\x0a\x03\x00\x01k")
    with pytest.raises(DecodeError, match="map's key"):
        decode(damaged)
    assert "panic: runtime error: hash of unhashable type" in scs.try_decode(damaged)["error"]


def test_keys_of_unknown_types_are_judged_by_what_they_hold(register: Register) -> None:
    register([ANY_MAP])
    array = wire.Type(wire.ARRAY, (wire.INTERFACE,), length=1)
    text, data = (gob.Opaque("x", type_, b"k") for type_ in (wire.STRING, wire.BYTES))
    fine = gob.Opaque("[1]interface {}", array, (text,))
    with pytest.raises(EncodeError, match="as a map's key"):
        encode({gob.Opaque("[1]interface {}", array, (data,)): 1})
    # Go compares pointers by where they point to.
    for key in (fine, gob.Opaque("*main.Key", wire.BYTES, b"k")):
        assert decode(encode({key: 1})) == {key: 1}


@pytest.mark.usefixtures("registered")
def test_lazy_keys_are_text() -> None:
    (key,) = decode(encode({gettext_lazy("Yes"): (1,)}))
    assert (key, type(key)) == ("Yes", str)


def test_a_tuple_keeps_widths_like_a_list(register: Register, scs: Scs) -> None:
    register(["[]interface {}"])
    held = encode([[gob.Int64(1), "x"], 2])
    assert encode(((1, "x"), 2), held) is held
    described = scs.decode(encode(((1, "x"), 3), held))["values"]["k"]["elems"][0]["elems"]
    assert [each["type"] for each in described] == ["int64", "string"]


def test_refusals_of_numbers_are_value_errors_too() -> None:
    with pytest.raises(ValueError, match="range"):
        encode(1 << 63)
    with pytest.raises(TypeError):
        encode(1 << 63)
