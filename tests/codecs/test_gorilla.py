"""Sessions of gorilla/sessions: keys of any type, flashes, the entries that are ours."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from django.utils.translation import gettext_lazy

from django_scs.codecs import base, cookie_format, gob
from django_scs.codecs import gorilla as gorilla_module
from django_scs.codecs.gob import value as gob_value
from django_scs.codecs.gob import wire
from django_scs.codecs.gob.types import go_type
from django_scs.codecs.gorilla import (
    NO_DEADLINE,
    GoKey,
    GorillaCodec,
    GorillaCookie,
    Session,
    SessionSerializer,
)
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.securecookie import (
    HASH_FUNCTIONS,
    BadMac,
    BadPayload,
    CookieError,
    SecureCookie,
    TooLong,
)
from django_scs.exceptions import DecodeError, EncodeError, EncodeValueError
from tests.contracts.codec import CodecContract

from .cookies import DEADLINE, ID, Whole

VECTORS: dict[str, dict[str, Any]] = {
    case["name"]: case
    for case in json.loads(Path(__file__).with_name("securecookie_vectors.json").read_bytes())
}
PLAIN = {
    name: bytes.fromhex(case["plain_hex"])
    for name, case in VECTORS.items()
    if case["store"] == "session" and case["outcome"] == "ok"
}
NOW = 1_790_000_000
HASH_KEY, BLOCK_KEY = bytes(range(32)), bytes(range(32, 64))
ANY_MAP = "map[interface {}]interface {}"
SERIALIZER = SessionSerializer()


def read(payload: bytes) -> dict[Any, Any]:
    return SERIALIZER.loads(payload)[0].values


def write(
    values: dict[Any, Any],
    original: bytes | None = None,
    serializer: SessionSerializer = SERIALIZER,
    **ours: Any,
) -> bytes:
    session = Session(**{"id": "", "deadline": None, "values": values, "held": {}, **ours})
    return serializer.dumps((session, original))


def sent(payload: bytes, key: str) -> str:
    """Return the Go type under which a value was sent; "" for one that is plain, or nil."""
    held = SERIALIZER.loads(payload)[0].held.get(key)
    return held.go_type if held else ""


def gorilla(pairs: Any = ((HASH_KEY, BLOCK_KEY),), **options: Any) -> Whole:
    return Whole(GorillaCookie(pairs, clock=lambda: NOW, **options))


class TestGorillaCodec(CodecContract):
    @pytest.fixture
    def codec(self) -> base.Codec:
        return GorillaCodec(SessionSerializer(["time.Time", "map[string]interface {}"]))

    def test_decode_of_a_moved_row_is_refused_if_the_key_is_bound(self, codec: base.Codec) -> None:
        """The key is the id in the data, and only the cookie's MAC binds the data to anything."""
        data = codec.encode(self.DEADLINE, self.VALUES, None, self.KEY)
        for key in (self.KEY, self.OTHER):
            assert codec.decode(data, key) == (self.DEADLINE, self.VALUES)
        assert SERIALIZER.loads(data)[0].id == self.KEY

    # Without the contract's 1j: Go has complex numbers.
    @pytest.mark.parametrize("value", [object(), {1, 2}, datetime(2024, 1, 1), iter([])])
    def test_encode_refuses_by_key_and_type(self, codec: base.Codec, value: Any) -> None:
        super().test_encode_refuses_by_key_and_type(codec, value)


# Reading and writing again.


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_changed_nothing_written(name: str) -> None:
    values = copy.deepcopy(read(PLAIN[name]))
    assert write(values, PLAIN[name]) is PLAIN[name]


@pytest.mark.parametrize("name", PLAIN)
def test_changing_one_key_changes_nothing_else(name: str) -> None:
    before, payload = SERIALIZER.loads(PLAIN[name])
    after, _ = SERIALIZER.loads(write({**before.values, "new": "x"}, payload))
    assert after.values.pop("new") == "x"
    assert list(map(repr, after.values.items())) == list(map(repr, before.values.items()))
    assert after.held == before.held


def test_an_empty_session_is_what_gorilla_writes() -> None:
    assert write({}) == PLAIN["empty"]
    assert write({"user": "ann"}) == PLAIN["string_signed"]


@pytest.mark.parametrize("name", PLAIN)
def test_every_truncation_is_refused(name: str) -> None:
    for length in (*range(min(len(PLAIN[name]), 600)), len(PLAIN[name]) - 1):
        with pytest.raises(DecodeError):
            SERIALIZER.loads(PLAIN[name][:length])


def verdict(payload: bytes) -> Any:
    """Return a session as far as its content goes; None if it is none."""
    try:
        session = SERIALIZER.loads(payload)[0]
    except DecodeError:
        return None
    return session.id, session.deadline, list(map(repr, session.values.items())), session.held


def test_short_strings_are_read_by_the_rules_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = write({"user": "ann", "n": 1, "é" * 62: "x" * 125, "long": "x" * 126}, id=ID)
    payloads = []
    for payload in (ours, write({"a": "b"}, deadline=DEADLINE), *PLAIN.values()):
        for place in range(min(len(payload), 200)):
            for byte in (0, 6, payload[place] ^ 1, 126, 255):
                payloads.append(payload[:place] + bytes((byte,)) + payload[place + 1 :])
    found = [verdict(payload) for payload in payloads]
    monkeypatch.setattr(gorilla_module, "_SHORT_STRINGS", {})
    monkeypatch.setattr(gorilla_module, "_START", re.compile(b"(?!)"))
    assert [verdict(payload) for payload in payloads] == found
    assert 0 < found.count(None) < len(found)


def test_what_follows_the_session_is_ignored() -> None:
    assert read(PLAIN["string_signed"] + b"more") == {"user": "ann"}


def test_the_later_of_two_entries_of_one_key_counts() -> None:
    # Two keys of one length, the second then made the first.
    payload = write({"a": 1.5, "b": "x"}).replace(b"\x01b", b"\x01a")
    assert read(payload) == {"a": "x"}
    assert write({"a": "x"}, payload) is payload
    assert read(write({"a": "y"}, payload)) == {"a": "y"}


def test_a_map_of_str_keys_is_no_session() -> None:
    scs_blob = gob.GobCodec().encode(DEADLINE, {"a": "b"})
    for payload in (scs_blob, bytes.fromhex(VECTORS["filesystem_id"]["plain_hex"]), b"", b"\xff"):
        with pytest.raises(DecodeError):
            SERIALIZER.loads(payload)


def test_width_of_a_number_stays() -> None:
    values = read(PLAIN["all_widths"])
    payload = write({**values, "int16": 17, "float32": 0.5}, PLAIN["all_widths"])
    assert (sent(payload, "int16"), sent(payload, "float32")) == ("int16", "float32")


def test_opaque_values_survive() -> None:
    values = read(PLAIN["struct_registered"])
    again = read(write({**values, "seen": 4}, PLAIN["struct_registered"]))
    assert again == {"seen": 4, "user": values["user"]}
    assert repr(again["user"]) == "<Opaque main.User>"


def test_a_full_stack_is_no_other_error() -> None:
    value: Any = []
    for _ in range(99):
        value = [value]
    nested = {"a": {"a": value}}

    def recurse(levels: int) -> None:
        if levels:
            recurse(levels - 1)
        else:
            for encode in (write, lambda values: gob_value.dumps(values["a"], [ANY_MAP])):
                with pytest.raises(EncodeValueError, match="nested too deeply"):
                    encode(nested)

    recurse(sys.getrecursionlimit() - 100)


# Keys.


def test_keys_that_python_mixes_up() -> None:
    payload = PLAIN["keys_that_python_mixes_up"]
    values = read(payload)
    assert values == {
        "1": "string",
        GoKey(1): "int",
        GoKey(True): "bool",
        GoKey(1.0): "float64",
        GoKey(gob.Int8(1)): "int8",
    }
    assert read(write({**values, GoKey(2): True}, payload))[GoKey(2)] is True
    del values[GoKey(True)]
    assert read(write(values, payload)) == values


def test_keys_of_a_named_type() -> None:
    values = read(PLAIN["key_of_named_type"])
    assert values[GoKey(0, "main.ctxKey")] == "user id"
    assert values[GoKey(1, "main.ctxKey")] == 5
    assert values[GoKey(0)] == "plain int"
    (key,) = (key for key in values if values[key] == 5)
    assert (key.go_type, key.value, repr(key)) == ("main.ctxKey", 1, "GoKey(1, 'main.ctxKey')")


def test_nil_as_a_key() -> None:
    assert read(PLAIN["nil_key_and_nil_value"]) == {GoKey(None): "under nil", "nothing": None}
    assert (GoKey(None).go_type, GoKey(None).value) == ("", None)


def test_keys_are_equal_by_type_and_value() -> None:
    keys = [
        *map(GoKey, (1, True, 1.0, 1 + 0j, gob.Int8(1), gob.Uint(1), None, DEADLINE)),
        *(GoKey(1, name) for name in ("int16", "main.key", "main.other")),
        GoKey("1", "main.name"),
    ]
    assert len(set(keys)) == len(keys)
    assert not {1, "1", None} & set(keys)
    assert GoKey(1) == GoKey(gob.Int(1)) == GoKey(1, "int") == copy.deepcopy(GoKey(1))
    assert copy.copy(keys[0]) is keys[0]
    again = read(write({key: number for number, key in enumerate(keys)}))
    assert again == {key: number for number, key in enumerate(keys)}
    assert [key.value for key in again] == [key.value for key in keys]


@pytest.mark.parametrize("value", [b"k", ["a"], "text", object(), 1 << 80])
def test_what_is_no_key(value: Any) -> None:
    with pytest.raises(EncodeError):
        GoKey(value)


def test_a_key_in_the_range_of_its_type() -> None:
    for value, name in ((300, "uint8"), ("x", "int"), (-1, "uint"), (None, "main.key")):
        with pytest.raises(EncodeError):
            GoKey(value, name)


@pytest.mark.parametrize("key", [1, True, None, b"k", ("a",), 1.5])
def test_keys_of_other_types_are_refused_by_name(key: Any) -> None:
    with pytest.raises(EncodeError, match=r"Session key .*: a key must be a str or a GoKey"):
        write({key: "x"})


def test_a_string_key_may_hold_any_bytes() -> None:
    assert read(write({"\udcff\x00": 1})) == {"\udcff\x00": 1}
    with pytest.raises(EncodeError):
        write({"\ud800": 1})


# Keys that make Go panic.


def unhashable_payloads() -> dict[str, bytes]:
    """Return sessions that Go panics on, made of ones with a harmless key of the same length."""
    slice_key = b"\x07[]uint8\x0a\x03\x00\x01k"
    struct_type = wire.struct(A=wire.INT, B=wire.BYTES)
    any_field = wire.struct(A=wire.INTERFACE)
    data = gob.Opaque("[]uint8", wire.BYTES, b"k")
    array = wire.Type(wire.ARRAY, (wire.INTERFACE,), length=1)
    arrays = wire.Type(wire.ARRAY, (wire.BYTES,), length=1)
    found = {
        "struct": gob.Opaque("main.S", struct_type, ((0, b"A", 1),)),
        "interface in a struct": gob.Opaque("main.S", any_field, ((0, b"A", data),)),
        "interface in an array": gob.Opaque("[1]interface {}", array, (data,)),
        "array": gob.Opaque("[1][]uint8", arrays, (b"k",)),
        "map": gob.Opaque("map[int]int", go_type("map[int]int").wire, {1: 2}),
        "slice": gob.Opaque("[]int", go_type("[]int").wire, [1]),
    }
    payloads = {
        "bytes": write({"k": 1}).replace(b"\x06string\x0c\x03\x00\x01k", slice_key),
    }
    payloads["bytes"] = payloads["bytes"].replace(b"\x16\xff\x80", b"\x17\xff\x80")
    for name, opaque in found.items():
        key = GoKey.__new__(GoKey)
        key._sent = opaque
        payloads[name] = write({key: 1})
    return payloads


@pytest.mark.parametrize("name", unhashable_payloads())
def test_unhashable_key_is_refused_in_reading(name: str) -> None:
    with pytest.raises(DecodeError, match="slice"):
        SERIALIZER.loads(unhashable_payloads()[name])


def test_unhashable_key_is_refused_in_writing() -> None:
    either = SessionSerializer([ANY_MAP])
    for value in ({b"k": 1}, {"inner": {b"k": 1}}, [{"a": 1}, {b"k": 1}]):
        with pytest.raises(EncodeError, match="takes no"):
            write({"a": value}, serializer=either)
    assert read(write({"a": {"b": 1, 2: "c"}}, serializer=either)) == {"a": {"b": 1, 2: "c"}}


def test_pointers_and_times_are_keys() -> None:
    struct_type = wire.struct(A=wire.BYTES)
    pointer = gob.Opaque("*main.S", struct_type, ((0, b"A", b"k"),))
    values = {GoKey(pointer): 1, GoKey(DEADLINE): 2}
    assert read(write(values)) == values


def test_a_struct_without_slices_is_a_key() -> None:
    struct_type = wire.struct(A=wire.INT, B=wire.INTERFACE)
    key = GoKey(gob.Opaque("main.S", struct_type, ((0, b"A", 1), (1, b"B", None))))
    assert read(write({key: 1})) == {key: 1}
    assert key.value == key.sent


# Flashes.


@pytest.mark.parametrize("value", [["a"], [], [1, 2], [True, "a", None], [["a"]]])
def test_flashes_are_always_a_slice_of_interfaces(value: list[Any]) -> None:
    for original in (None, write({"_flash": "hi"}, serializer=SessionSerializer(flash_keys=()))):
        payload = write({"_flash": value}, original)
        assert sent(payload, "_flash") == "[]interface {}"
        assert read(payload) == {"_flash": value}


def test_flashes_that_grow_keep_the_types_of_the_others() -> None:
    payload = PLAIN["flash_many"]
    values = read(payload)
    values["_flash"].append("new")
    values["warnings"].append("newer")
    again = write(values, payload)
    assert sent(again, "_flash") == sent(again, "warnings") == "[]interface {}"
    assert read(again) == values


def test_flashes_under_another_key() -> None:
    assert sent(write({"notes": ["a"]}), "notes") == "[]string"
    payload = write({"notes": ["a"]}, serializer=SessionSerializer(flash_keys=["notes"]))
    assert sent(payload, "notes") == "[]interface {}"


def test_flashes_may_be_a_tuple_of_lazy_texts() -> None:
    assert read(write({"_flash": (gettext_lazy("Yes"), "b")})) == {"_flash": ["Yes", "b"]}


@pytest.mark.parametrize("key", ["search", "_flash"])
def test_a_query_dict_is_refused(key: str) -> None:
    either = SessionSerializer([ANY_MAP])
    with pytest.raises(EncodeError, match=f"'{key}': a QueryDict: store dict"):
        write({key: [QueryDict("tag=tea&tag=cups")]}, serializer=either)


def test_refusals_of_numbers_are_value_errors_too() -> None:
    with pytest.raises(EncodeValueError, match=r"'k'.*range"):
        write({"k": 1 << 63})


@pytest.mark.parametrize("name", ["struct_registered", "key_of_named_type"])
def test_keys_and_values_of_gos_own_types_can_be_pickled(name: str) -> None:
    values = read(PLAIN[name])
    again = pickle.loads(pickle.dumps(values))
    assert again == values
    assert read(write(again)) == values


@pytest.mark.parametrize("value", ["a", None, 1, {"a": 1}, b"a"])
def test_flashes_must_be_a_list(value: Any) -> None:
    with pytest.raises(EncodeError, match="'_flash': flashes must be a list"):
        write({"_flash": value})


@pytest.mark.parametrize("value", ["a", None, 1, b"a"])
def test_what_go_has_put_in_place_of_flashes_stays(value: Any) -> None:
    original = write({"_flash": value}, serializer=SessionSerializer(flash_keys=()))
    assert read(write({"_flash": value, "a": 1}, original)) == {"_flash": value, "a": 1}


# What is ours.


@pytest.mark.parametrize(
    "deadline",
    [
        DEADLINE,
        DEADLINE.astimezone(UTC) - timedelta(days=40_000),
        datetime.max.replace(tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_deadline_and_id_travel(deadline: datetime) -> None:
    payload = write({"a": 1}, id=ID, deadline=deadline)
    session, _ = SERIALIZER.loads(payload)
    assert session == (ID, deadline, {"a": 1}, {})
    assert write({"a": 1}, payload, id=ID, deadline=deadline) is payload
    changed = write({"a": 1}, payload, id=ID, deadline=DEADLINE - timedelta(microseconds=1))
    assert SERIALIZER.loads(changed)[0].deadline == DEADLINE - timedelta(microseconds=1)
    assert SERIALIZER.loads(write({"a": 1}, payload, deadline=deadline))[0].id == ""


def test_deadline_is_an_int64() -> None:
    payload = write({}, id=ID, deadline=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    number = b"\xfd" + (2_000_000).to_bytes(3, "big")
    assert b"\x06string\x0c\x0f\x00\x0d_scs_deadline\x05int64\x04\x05\x00" + number in payload


def test_a_deadline_needs_a_zone() -> None:
    with pytest.raises(EncodeError, match="zone"):
        write({}, deadline=datetime(2030, 1, 1))


@pytest.mark.parametrize("key", ["_scs_deadline", "_scs_id"])
def test_our_keys_are_reserved(key: str) -> None:
    with pytest.raises(EncodeError, match="reserved"):
        write({key: 1})


def test_our_keys_with_values_of_other_types() -> None:
    payload = write({"_scs_deadlinX": "x", "_scs_iX": 1}).replace(b"linX", b"line")
    session, _ = SERIALIZER.loads(payload.replace(b"_iX", b"_id"))
    assert session == ("", None, {}, {})


def test_a_deadline_past_those_of_python() -> None:
    for number, expected in ((1 << 62, datetime.max), (-1 << 62, datetime.min)):
        payload = write({"_scs_deadlinX": gob.Int64(number)}).replace(b"linX", b"line")
        assert SERIALIZER.loads(payload)[0].deadline == expected.replace(tzinfo=UTC)


# The format.


def test_seal_and_open() -> None:
    values = {"user": "ann", GoKey(1): True, "_flash": ["hi"]}
    sealed = gorilla().seal("session", values)
    opened = gorilla().open("session", sealed)
    assert (opened.id, opened.deadline, opened.values) == (ID, DEADLINE, values)
    assert opened.written_at == NOW
    assert not opened.rewrite
    assert opened.data
    with pytest.raises(BadMac):
        gorilla().open("other", sealed)


def test_values_need_no_quotes() -> None:
    for size in range(40):
        assert "=" not in gorilla().seal("session", {"a": "x" * size})


def test_values_do_not_show_in_repr() -> None:
    opened = gorilla().open("session", gorilla().seal("session", {"a": "secret"}))
    assert "secret" not in repr(opened)


def test_rewrite_after_an_old_key() -> None:
    old = gorilla([(b"old", None)])
    both = gorilla([(HASH_KEY, BLOCK_KEY), (b"old", None)])
    opened = both.open("session", old.seal("session", {"a": 1}))
    assert opened.rewrite
    assert not both.open("session", both.seal_again("session", opened)).rewrite


def test_rewrite_of_what_go_wrote() -> None:
    made = SecureCookie(HASH_KEY, BLOCK_KEY).encode("session", PLAIN["flash_one"])
    opened = GorillaCookie([(HASH_KEY, BLOCK_KEY)]).open("session", made)
    assert (opened.id, opened.deadline, opened.rewrite) == ("", None, True)


def test_a_wrong_block_key() -> None:
    sealed = gorilla().seal("session", {"a": 1})
    with pytest.raises(BadPayload):
        gorilla([(HASH_KEY, bytes(32))]).open("session", sealed)


@pytest.mark.parametrize("function", HASH_FUNCTIONS)
@pytest.mark.parametrize("block_key", [None, BLOCK_KEY])
@pytest.mark.parametrize("name", ["s", "session", "a" * 100])
def test_max_data_is_what_a_browser_keeps(
    name: str, block_key: bytes | None, function: str
) -> None:
    fmt = gorilla([(HASH_KEY, block_key)], hash_function=function).format
    most = fmt.max_data(name)
    assert 4080 <= len(name) + len(fmt.seal(name, ID, bytes(most))) <= 4096
    with pytest.raises(TooLong):
        fmt.seal(name, ID, bytes(most + 100))


def test_the_codec() -> None:
    codec = gorilla().format.codec
    data = codec.encode(DEADLINE, {"a": 1}, None, ID)
    assert codec.decode(data, ID) == (DEADLINE, {"a": 1})
    assert codec.encode(DEADLINE, {"a": 1}, data, ID) is data
    assert codec.encode(DEADLINE, {"a": 1}, data, "other") != data
    assert codec.decode(PLAIN["empty"]) == (NO_DEADLINE, {})
    assert codec.encode(NO_DEADLINE, {}, PLAIN["empty"]) is PLAIN["empty"]


def test_what_gorilla_lets_through_is_read() -> None:
    longest = VECTORS["longest"]
    (pair,) = longest["pairs"]
    keys = (bytes.fromhex(pair["hash_hex"]), bytes.fromhex(pair["block_hex"]))
    reading = gorilla([keys])
    assert reading.open("session", longest["cookie"]).values["x"].startswith("xx")
    with pytest.raises(TooLong):
        reading.open("session", VECTORS["too_long"]["cookie"])


def from_settings(name: str = "gorilla", **settings: Any) -> Any:
    return Whole(cookie_format.load(name, settings.get, JSONCodec()))


def test_settings() -> None:
    made = from_settings(
        SCS_COOKIE_KEYS=[(HASH_KEY, BLOCK_KEY), ("old", None)],
        SCS_COOKIE_MAX_AGE=0,
        SCS_COOKIE_HASH="sha512",
        SCS_GOB_REGISTERED=["map[string]interface {}"],
    )
    sealed = made.seal("session", {"a": {"b": 1}})
    assert made.open("session", sealed).values == {"a": {"b": 1}}
    old = SecureCookie("old", hash_function="sha512", clock=lambda: 1)
    assert made.open("session", old.encode("session", write({"a": 1}))).values == {"a": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "list of pairs"),
        ({"SCS_COOKIE_KEYS": b"abc"}, "list of pairs"),
        ({"SCS_COOKIE_KEYS": []}, "one pair"),
        ({"SCS_COOKIE_KEYS": ["Secret"]}, "Pair 1 must be"),
        ({"SCS_COOKIE_KEYS": [("Secret", "Secret")]}, "Pair 1: The block key has 6 bytes"),
        (
            {"SCS_COOKIE_KEYS": [("Secret", None)], "SCS_COOKIE_MAX_AGE": -1},
            "SCS_COOKIE_MAX_AGE is -1",
        ),
        (
            {"SCS_COOKIE_KEYS": [("Secret", None)], "SCS_COOKIE_HASH": "md5"},
            "SCS_COOKIE_HASH is 'md5', and must be one",
        ),
        (
            {"SCS_COOKIE_KEYS": [("Secret", None)], "SCS_GOB_REGISTERED": "time.Time"},
            "SCS_GOB_REGISTERED is 'time.Time', and must be a list",
        ),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as refusal:
        from_settings(**settings)
    assert "Secret" not in str(refusal.value)


@pytest.mark.parametrize("name", ["json", None, []])
def test_another_format(name: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be one of: 'scs', 'gorilla'"):
        from_settings(name)


def test_garbage() -> None:
    for cookie in ("", "x", "=", "\x00", "é", "a" * 5000):
        with pytest.raises(CookieError):
            gorilla().open("session", cookie)
