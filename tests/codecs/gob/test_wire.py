"""Sessions made by hand: what no Go program writes, and what few do."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from django_scs.codecs.gob import GobCodec, Opaque
from django_scs.codecs.gob.wire import MAX_DEPTH, integer, sized, uint
from django_scs.exceptions import DecodeError

from .cases import BLOBS
from .scs import Scs

CODEC = GobCodec()
BLOB = BLOBS["single_string"]
# The message that holds the session itself is the fourth and last.
DEFINITIONS, SESSION = BLOB[:95], BLOB[95:]
DEADLINE = bytes.fromhex("010000000ee0e7b00000000000ffff")
HUGE = b"\xf8" + b"\xff" * 8
BOOL, INT, UINT, BYTES, STRING, INTERFACE = 1, 2, 3, 5, 6, 8


def define(number: int, kind: int, *fields: bytes) -> bytes:
    """Return a type definition; ``fields`` come after its CommonType, ``kind`` is that of wireType."""
    common = b"\x02" + integer(number) + b"\x00"
    body = b"\x01" + common + b"".join(b"\x01" + field for field in fields) + b"\x00"
    return sized(integer(-number) + uint(kind) + body + b"\x00")


def array_of(number: int, elem: int, length: int) -> bytes:
    return define(number, 1, integer(elem), integer(length))


def slice_of(number: int, elem: int) -> bytes:
    return define(number, 2, integer(elem))


def struct_of(number: int, **fields: int) -> bytes:
    parts = [
        b"\x01" + sized(name.encode()) + b"\x01" + integer(elem) + b"\x00"
        for name, elem in fields.items()
    ]
    return define(number, 3, uint(len(parts)) + b"".join(parts))


def map_of(number: int, key: int, elem: int) -> bytes:
    return define(number, 4, integer(key), integer(elem))


def encoder_of(number: int, kind: int = 5) -> bytes:
    return define(number, kind)


def entry(key: str, name: str, number: int, payload: bytes) -> bytes:
    """Return an entry of Values, with the zero that comes before all values but structs."""
    return sized(key.encode()) + item(name, number, payload)


def item(name: str, number: int, payload: bytes) -> bytes:
    return sized(name.encode()) + integer(number) + sized(b"\x00" + payload)


def session(*entries: bytes, number: int = 64, definitions: bytes = DEFINITIONS) -> bytes:
    values = b"\x01" + uint(len(entries)) + b"".join(entries)
    body = integer(number) + b"\x01" + sized(DEADLINE) + values + b"\x00"
    return definitions + sized(body)


def with_types(*definitions: bytes) -> bytes:
    return DEFINITIONS + b"".join(definitions)


STANDARD = struct_of(64, Deadline=65, Values=66), encoder_of(65), map_of(66, STRING, INTERFACE)
HI = entry("k", "string", STRING, b"\x02hi")
CHAIN = b"".join(slice_of(100 + n, 101 + n) for n in range(5000))

HOSTILE = {
    "nothing": b"",
    "one zero": b"\x00",
    "definitions only": DEFINITIONS,
    "message longer than the data": HUGE,
    "message of 2 GiB": b"\xfc\x7f\xff\xff\xff\xff\x80",
    "number of 9 bytes": session(entry("k", "int", INT, b"\xf7" + bytes(8) + b"\x02")),
    "end in the midst of a number": DEFINITIONS
    + sized(session(entry("k", "int", INT, b"\xfe\x01\x00"))[96:-2])
    + b"\x00\x00",
    "key longer than the data": session(HUGE),
    "more entries than data": session(HI)[:-9] + HUGE,
    "count of 2**64 - 1": DEFINITIONS
    + sized(integer(64) + b"\x01" + sized(DEADLINE) + b"\x01" + HUGE + HI),
    "string longer than the message": session(entry("k", "string", STRING, HUGE + b"hi")),
    "long slice of nothing": session(
        entry("k", "[]int", 70, HUGE), definitions=with_types(slice_of(70, INT))
    ),
    "long map of nothing": session(
        entry("k", "m", 70, HUGE), definitions=with_types(map_of(70, INT, INT))
    ),
    "long array of nothing": session(
        entry("k", "a", 70, HUGE), definitions=with_types(array_of(70, INT, (1 << 63) - 1))
    ),
    "long slice of empty structs": session(
        entry("k", "s", 71, HUGE), definitions=with_types(struct_of(70, X=INT), slice_of(71, 70))
    ),
    "long map of empty structs": session(
        entry("k", "m", 71, HUGE), definitions=with_types(struct_of(70, X=INT), map_of(71, 70, 70))
    ),
    "array of another length": session(
        entry("k", "a", 70, b"\x02\x02\x02"), definitions=with_types(array_of(70, INT, 3))
    ),
    "slice of itself, deep": session(
        entry("k", "s", 70, b"\x01" * 60_000 + b"\x00"), definitions=with_types(slice_of(70, 70))
    ),
    "array of itself": session(
        entry("k", "a", 70, b"\x01" * 60_000), definitions=with_types(array_of(70, 70, 1))
    ),
    "map of itself, deep": session(
        entry("k", "m", 70, b"\x01\x02" * 30_000 + b"\x00"),
        definitions=with_types(map_of(70, INT, 70)),
    ),
    "struct in itself, deep": session(
        sized(b"k") + sized(b"s") + integer(70) + sized(b"\x01" * 60_000),
        definitions=with_types(struct_of(70, Next=70)),
    ),
    "interfaces in interfaces, deep": session(
        entry("k", "l", 70, (b"\x01\x01l" + integer(70) + b"\x01\x00") * 5000),
        definitions=with_types(slice_of(70, INTERFACE)),
    ),
    "definitions without end": slice_of(70, INT) * 2,
    "type defined twice": session(
        HI, definitions=with_types(slice_of(70, INT), slice_of(70, STRING))
    ),
    "built-in type defined": session(HI, definitions=with_types(slice_of(STRING, INT))),
    "type 63 defined": session(HI, definitions=with_types(slice_of(63, INT))),
    "standard type defined twice": session(HI, definitions=with_types(slice_of(65, INT))),
    "type of no kind": session(HI, definitions=with_types(sized(integer(-70) + b"\x00"))),
    "type of two kinds": session(
        HI, definitions=with_types(sized(integer(-70) + b"\x05\x00\x01\x00\x00"))
    ),
    "type of the eighth kind": session(
        HI, definitions=with_types(sized(integer(-70) + b"\x08\x00\x00"))
    ),
    "slice without elements": session(
        HI, definitions=with_types(sized(integer(-70) + b"\x02\x00\x00"))
    ),
    "map without elements": session(
        HI, definitions=with_types(sized(integer(-70) + b"\x04\x02\x0c\x00\x00"))
    ),
    "data after a definition": session(
        HI, definitions=with_types(sized(slice_of(70, INT)[1:] + b"\x00"))
    ),
    "value of an undefined type": session(entry("k", "[]int", 70, b"\x00")),
    "elements of an undefined type": session(
        entry("k", "s", 70, b"\x01\x02"), definitions=with_types(slice_of(70, 71))
    ),
    "session of an undefined type": session(HI, number=99),
    "session that is a number": sized(integer(INT) + b"\x00\x02"),
    "session that is a slice": session(
        HI, number=70, definitions=with_types(slice_of(70, INTERFACE))
    ),
    "session without our fields": session(
        HI, number=70, definitions=with_types(struct_of(70, A=65, B=66))
    ),
    "field beyond the type": DEFINITIONS + sized(integer(64) + b"\x03\x00"),
    "Deadline that is a string": session(
        HI, definitions=struct_of(64, Deadline=STRING, Values=66) + STANDARD[2]
    ),
    "Deadline of a BinaryMarshaler": session(
        HI, definitions=STANDARD[0] + encoder_of(65, 6) + STANDARD[2]
    ),
    "Deadline undefined": session(HI, definitions=STANDARD[0] + STANDARD[2]),
    "Values of strings": session(
        HI, definitions=STANDARD[0] + STANDARD[1] + map_of(66, STRING, STRING)
    ),
    "Values of other keys": session(
        HI, definitions=STANDARD[0] + STANDARD[1] + map_of(66, BYTES, INTERFACE)
    ),
    "empty deadline": session(HI).replace(sized(DEADLINE), b"\x00"),
    "deadline of version 3": session(HI).replace(DEADLINE, b"\x03" + DEADLINE[1:]),
    "deadline of version 2, too short": session(HI).replace(DEADLINE, b"\x02" + DEADLINE[1:]),
    "name too long": session(entry("k", "x" * 1025, STRING, b"\x00")),
    "number before a value": session(b"\x01k" + b"\x03int\x04\x02\x01\x02"),
    "number before a plain value": session(b"\x01k" + b"\x06string\x0c\x02\x01\x00"),
    "slice as a map's key": session(
        entry("k", "m", 71, b"\x01\x01\x02\x02"),
        definitions=with_types(slice_of(70, INT), map_of(71, 70, INT)),
    ),
    "int as uint": session(entry("k", "int", UINT, b"\x02")),
    "string as bytes": session(entry("k", "string", BYTES, b"\x02hi")),
    "bool as uint": session(entry("k", "bool", UINT, b"\x01")),
    "int8 out of range": session(entry("k", "int8", INT, b"\xff\xfe\x02\x00")),
    "uint8 out of range": session(entry("k", "uint8", UINT, b"\xfe\x01\x00")),
    "int8 out of range in a slice": session(
        entry("k", "[]int8", 70, b"\x01\xfe\x02\x00"), definitions=with_types(slice_of(70, INT))
    ),
    "float32 out of range": session(entry("k", "float32", 4, b"\xf8" + b"\xff" * 6 + b"\xef\x7f")),
    "slice under another's name": session(
        entry("k", "[]int", 70, b"\x01\x02"), definitions=with_types(slice_of(70, STRING))
    ),
    "map under a slice's name": session(entry("k", "[]int", 66, b"\x00")),
    "time too short": session(entry("k", "time.Time", 65, b"\x01\x01")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sessions_are_refused_at_once(name: str) -> None:
    started = time.perf_counter()
    with pytest.raises(DecodeError):
        CODEC.decode(HOSTILE[name])
    assert time.perf_counter() - started < 1


# scs takes types that make no sense as long as no value is of them; and the map would keep it busy
# until the end of days.
ONLY_HERE = {
    "type of no kind",
    "type of two kinds",
    "slice without elements",
    "map without elements",
    "long map of empty structs",
}


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - ONLY_HERE))
def test_hostile_sessions_are_refused_by_scs_too(name: str, scs: Scs) -> None:
    assert "error" in scs.try_decode(HOSTILE[name])


INTS = entry("k", "[]int", 70, b"\x02\x02\x04")
INTS_TYPE = slice_of(70, INT)
# An interface's value that needs a type which is defined in the midst of it.
NESTED = b"\x01k\x0e[]interface {}" + integer(71)

UNUSUAL: dict[str, tuple[bytes, dict[str, Any]]] = {
    "bytes after the session": (session(HI) + b"more", {"k": "hi"}),
    "bytes after the value": (DEFINITIONS + sized(session(HI)[96:] + b"more"), {"k": "hi"}),
    "no final zero": (DEFINITIONS + sized(session(HI)[96:-1]), {"k": "hi"}),
    "wrong length before a plain value": (
        session(b"\x01k\x06string\x0c\x7f\x00\x02hi"),
        {"k": "hi"},
    ),
    "wrong length before a value": (
        session(b"\x01k\x05int64\x04\x00\x00\x02"),
        {"k": 1},
    ),
    "padded numbers": (
        session(b"\x01k" + b"\xfe\x00\x03int\xfe\x00\x04" + b"\x02\x00\xfd\0\0\x02"),
        {"k": 1},
    ),
    "padded plain numbers": (
        session(entry("k", "int", INT, b"\xf8" + bytes(7) + b"\x02")),
        {"k": 1},
    ),
    "no entries": (session(), {}),
    "key twice, last plain": (session(entry("k", "int64", INT, b"\x02"), HI), {"k": "hi"}),
    "key twice, first plain": (session(HI, entry("k", "int64", INT, b"\x02")), {"k": 1}),
    "key twice, both plain": (session(HI, entry("k", "int", INT, b"\x02")), {"k": 1}),
    "definitions backwards": (session(HI, definitions=b"".join(STANDARD[::-1])), {"k": "hi"}),
    "definitions not used": (session(HI, definitions=with_types(INTS_TYPE)), {"k": "hi"}),
    "definition not used, of what is undefined": (
        session(HI, definitions=with_types(slice_of(70, 99))),
        {"k": "hi"},
    ),
    "thousands of definitions": (session(HI, definitions=with_types(CHAIN)), {"k": "hi"}),
    "high numbers of types": (
        session(
            HI,
            number=(1 << 31) - 1,
            definitions=struct_of((1 << 31) - 1, Deadline=70_000, Values=1 << 30)
            + encoder_of(70_000)
            + map_of(1 << 30, STRING, INTERFACE),
        ),
        {"k": "hi"},
    ),
    "fields in another order": (
        struct_of(64, Values=66, Deadline=65)
        + STANDARD[1]
        + STANDARD[2]
        + sized(integer(64) + b"\x01\x01" + HI + b"\x01" + sized(DEADLINE) + b"\x00"),
        {"k": "hi"},
    ),
    "further fields": (
        struct_of(64, A=STRING, Deadline=65, B=67, Values=66)
        + STANDARD[1]
        + STANDARD[2]
        + slice_of(67, INT)
        + sized(
            integer(64)
            + b"\x01\x02xx\x01"
            + sized(DEADLINE)
            + b"\x01\x02\x02\x02\x01\x01"
            + HI
            + b"\x00"
        ),
        {"k": "hi"},
    ),
    "no Deadline in the type": (
        struct_of(64, Values=66) + STANDARD[2] + sized(integer(64) + b"\x01\x01" + HI + b"\x00"),
        {"k": "hi"},
    ),
    "defined in the midst": (
        DEFINITIONS
        + sized(session(INTS)[96:].partition(b"[]int")[0] + b"[]int" + INTS_TYPE[1:])
        + sized(integer(70) + sized(b"\x00\x02\x02\x04") + b"\x00"),
        {"k": [1, 2]},
    ),
    "several defined in the midst, the value in one message with the last": (
        DEFINITIONS
        + sized(session(INTS)[96:].partition(b"[]int")[0] + b"[]int" + INTS_TYPE[1:])
        + slice_of(71, STRING)
        + sized(slice_of(72, 99)[1:] + b"\x7f" + integer(70) + b"\x05\x00\x02\x02\x04" + b"\x00"),
        {"k": [1, 2]},
    ),
    "defined inside a nested value": (
        session(
            NESTED
            + b"\x09\x00\x02"
            + b"\x05[]int"
            + INTS_TYPE[1:]
            + b"\x07"
            + integer(70)
            + sized(b"\x00\x02\x02\x04")
            + item("[]int", 70, b"\x00"),
            definitions=with_types(slice_of(71, INTERFACE)),
        ),
        {"k": [[1, 2], []]},
    ),
    "bool of 2": (session(entry("k", "bool", BOOL, b"\x02")), {"k": True}),
    "float32 that is none": (
        session(entry("k", "float32", 4, b"\xf8\x9a\x99\x99\x99\x99\x99\xb9\x3f")),
        {"k": 0.10000000149011612},
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_sessions_are_read(name: str) -> None:
    blob, expected = UNUSUAL[name]
    deadline, values = CODEC.decode(blob)
    assert values == expected
    # What Go rounds when it reads has changed when it is written.
    assert (CODEC.encode(deadline, values, blob) is blob) == (name != "float32 that is none")
    assert CODEC.decode(CODEC.encode(deadline, {**values, "new": 1}, blob)) == (
        deadline,
        {**values, "new": 1},
    )


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_sessions_are_read_as_scs_does(name: str, scs: Scs) -> None:
    blob, expected = UNUSUAL[name]
    answer = scs.decode(blob)
    assert answer["values"].keys() == expected.keys()
    deadline, values = CODEC.decode(blob)
    after = scs.decode(CODEC.encode(deadline, {**values, "new": 1}, blob))
    assert after["values"] == {**answer["values"], "new": {"type": "int", "value": 1}}
    assert after["deadline_hex"] == answer["deadline_hex"]


def test_nesting_ends_at_a_limit() -> None:
    types = with_types(slice_of(70, 70))
    # The interface's value is the first level.
    deepest = session(entry("k", "x", 70, b"\x01" * (MAX_DEPTH - 1) + b"\x00"), definitions=types)
    deadline, values = CODEC.decode(deepest)
    assert CODEC.decode(CODEC.encode(deadline, {**values, "n": 1}, deepest))[1]["k"] == values["k"]
    with pytest.raises(DecodeError, match="too deeply"):
        CODEC.decode(session(entry("k", "x", 70, b"\x01" * MAX_DEPTH + b"\x00"), definitions=types))


def test_a_full_stack_is_no_other_error() -> None:
    types = with_types(slice_of(70, 70))
    blob = session(entry("k", "x", 70, b"\x01" * (MAX_DEPTH - 1) + b"\x00"), definitions=types)

    def recurse(levels: int) -> None:
        if levels:
            recurse(levels - 1)
        else:
            with pytest.raises(DecodeError):
                CODEC.decode(blob)

    recurse(sys.getrecursionlimit() - 200)


def test_wide_types_take_linear_time() -> None:
    fields = {f"F{n}": INT for n in range(5000)}
    last = uint(5000) + b"\x02\x00"
    blob = session(
        sized(b"k") + sized(b"s") + integer(71) + sized(b"\x00" + uint(10_000) + last * 10_000),
        definitions=with_types(struct_of(70, **fields), slice_of(71, 70)),
    )
    started = time.perf_counter()
    deadline, values = CODEC.decode(blob)
    assert isinstance(values["k"], Opaque)
    CODEC.encode(deadline, {**values, "new": 1}, blob)
    assert time.perf_counter() - started < 2


def test_keys_of_wide_types_take_linear_time() -> None:
    fields = {f"F{n}": INT for n in range(5000)}
    types = struct_of(70, **fields), map_of(71, 70, INT), slice_of(72, 71)
    maps = uint(10_000) + b"\x01\x00\x02" * 10_000
    blob = session(
        sized(b"k") + sized(b"s") + integer(72) + sized(b"\x00" + maps),
        definitions=with_types(*types),
    )
    started = time.perf_counter()
    deadline, values = CODEC.decode(blob)
    CODEC.encode(deadline, {**values, "new": 1}, blob)
    assert time.perf_counter() - started < 2


def test_keys_that_are_pointers_to_slices_take_linear_time() -> None:
    keys = b"".join(item("*s", 70, b"\x01" + integer(number)) + b"\x02" for number in range(5000))
    blob = session(
        sized(b"k") + sized(b"s") + integer(71) + sized(b"\x00" + uint(5000) + keys),
        definitions=with_types(slice_of(70, INT), map_of(71, INTERFACE, INT)),
    )
    started = time.perf_counter()
    _, values = CODEC.decode(blob)
    assert len(values["k"].raw) == 5000
    assert time.perf_counter() - started < 1


def test_a_key_whose_type_is_not_defined_is_refused() -> None:
    types = with_types(struct_of(70, X=INT, Y=99), map_of(71, 70, INT))
    blob = session(entry("k", "s", 71, b"\x01\x01\x02\x00\x02"), definitions=types)
    with pytest.raises(DecodeError, match="as a map's key"):
        CODEC.decode(blob)


def test_a_type_may_mention_what_is_never_defined() -> None:
    types = with_types(struct_of(70, X=INT, Y=99))
    blob = session(b"\x01k\x01s" + integer(70) + sized(b"\x01\x02\x00"), definitions=types)
    deadline, values = CODEC.decode(blob)
    again = CODEC.encode(deadline, {**values, "new": 1}, blob)
    assert CODEC.decode(again)[1]["k"] == values["k"]


def test_a_type_of_very_many_parts_stays_opaque() -> None:
    chain = b"".join(slice_of(70 + n, 71 + n if n < 16 else INT) for n in range(17))
    blob = session(
        entry("deep", "[]" * 17 + "int", 70, b"\x00"),
        entry("less deep", "[]" * 16 + "int", 71, b"\x00"),
        definitions=with_types(chain),
    )
    _, values = CODEC.decode(blob)
    assert isinstance(values["deep"], Opaque)
    assert values["less deep"] == []


def test_equal_opaque_values_do_not_depend_on_numbers_or_order() -> None:
    one = session(
        entry("k", "m", 70, b"\x02\x02\x01a\x04\x01b"),
        definitions=with_types(map_of(70, INT, STRING)),
    )
    two = session(
        entry("k", "m", 90, b"\x02\x04\x01b\x02\x01a"),
        definitions=with_types(map_of(90, INT, STRING)),
    )
    other = session(
        entry("k", "m", 70, b"\x02\x02\x01a\x04\x01c"),
        definitions=with_types(map_of(70, INT, STRING)),
    )
    values = [CODEC.decode(blob)[1]["k"] for blob in (one, two, other)]
    assert values[0] == values[1]
    assert hash(values[0]) == hash(values[1])
    assert values[0] != values[2]
    assert values[0] != "m"
