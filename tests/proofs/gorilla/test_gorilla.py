"""Cookies to and fro between Python and the real gorilla/sessions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_scs.codecs import gob
from django_scs.codecs.gob import Opaque
from django_scs.codecs.gorilla import DEADLINE_KEY, ID_KEY, NO_DEADLINE, GoKey, GorillaCookie
from django_scs.codecs.securecookie import (
    HASH_FUNCTIONS,
    BadMac,
    BadPayload,
    Expired,
    SecureCookie,
    SecureCookies,
)

from ...codecs.cookies import DEADLINE, Whole
from ...codecs.gob.cases import python_value, strict
from .gorilla import Gorilla, Pair

HASH_KEY, OTHER_HASH_KEY = bytes(range(32)), b"another"
BLOCK_KEY, OTHER_BLOCK_KEY = bytes(range(32, 64)), bytes(range(16))
PAIRS: dict[str, list[Pair]] = {
    "signed": [(HASH_KEY, None)],
    "aes128": [(HASH_KEY, OTHER_BLOCK_KEY)],
    "aes256": [(HASH_KEY, BLOCK_KEY)],
}
PAIR = PAIRS["aes256"]
# What the Go program registers and Python has types for.
REGISTERED = (
    "map[string]interface {}",
    "map[interface {}]interface {}",
    "map[int]string",
    "time.Time",
)
MICROSECONDS = 1_936_746_123_456_789
SAMPLES = range(400)


def django(pairs: list[Pair] = PAIR, **options: Any) -> Whole:
    return Whole(GorillaCookie(pairs, registered=REGISTERED, **options))


def described_key(described: dict[str, Any]) -> Any:
    """Return what tells the key of an entry of typed JSON from others."""
    return repr(sorted(described.items()))


def entries(answer: dict[str, Any]) -> dict[Any, Any]:
    """Return the entries of a session that Go has read, without those that are ours."""
    found = {described_key(each["key"]): each["value"] for each in answer["values"]["entries"]}
    for key in (ID_KEY, DEADLINE_KEY):
        found.pop(string_key(key), None)
    return found


def string_key(key: str) -> Any:
    return described_key({"type": "string", "value": key})


def string(text: str) -> dict[str, Any]:
    return {"type": "string", "value": text}


# What Go wrote.


@pytest.mark.parametrize("seed", SAMPLES)
def test_a_session_of_go_survives_a_change(seed: int, gorilla: Gorilla) -> None:
    pairs = list(PAIRS.values())[seed % 3]
    made = gorilla.must("sample", pairs, seed=seed)
    before = entries(made)
    opened = django(pairs).open("session", made["cookie"])
    assert opened.rewrite
    assert len(opened.values) == len(before)

    def check(changed: dict[Any, Any], expected: dict[Any, Any]) -> None:
        sealed = django(pairs).seal("session", changed, id="x", original=opened.data)
        assert "=" not in sealed
        answer = gorilla.must("decode", pairs, cookie=sealed)
        assert entries(answer) == expected
        ours = {each["key"].get("value"): each["value"] for each in answer["values"]["entries"]}
        assert ours[DEADLINE_KEY] == {"type": "int64", "value": MICROSECONDS}
        assert ours[ID_KEY] == string("x")

    check(opened.values, before)
    check({**opened.values, "new": "ž"}, {**before, string_key("new"): string("ž")})
    named = {described_key(each["key"]): each["key"] for each in made["values"]["entries"]}
    for key in opened.values:
        removed = {other: value for other, value in opened.values.items() if other != key}
        answer = gorilla.must(
            "decode",
            pairs,
            cookie=django(pairs).seal("session", removed, id="x", original=opened.data),
        )
        (gone,) = before.keys() - entries(answer).keys()
        assert entries(answer) == {name: each for name, each in before.items() if name != gone}
        assert isinstance(key, str) == (named[gone]["type"] == "string")
        assert isinstance(key, str) or key.go_type == named[gone]["type"].replace("nil", "")


@pytest.mark.parametrize("seed", SAMPLES[:100])
def test_python_reads_what_go_wrote(seed: int, gorilla: Gorilla) -> None:
    made = gorilla.must("sample", PAIR, seed=seed)
    opened = django().open("session", made["cookie"])
    strings = {
        python_value(each["key"]): python_value(each["value"])
        for each in made["values"]["entries"]
        if each["key"]["type"] == "string"
    }
    assert {key for key in opened.values if isinstance(key, str)} == set(strings)
    for key, expected in strings.items():
        assert agrees(opened.values[key], expected), key


def agrees(found: Any, expected: Any) -> bool:
    """Tell whether Python has read what Go described; what is Opaque is compared by Go elsewhere."""
    if isinstance(found, Opaque) or expected is ...:
        return isinstance(found, Opaque)
    if isinstance(found, list):
        return len(found) == len(expected) and all(map(agrees, found, expected))
    return bool(strict(found) == strict(expected))


# What Python wrote.


def some_value(chance: random.Random, depth: int = 0) -> Any:
    number = chance.getrandbits(chance.randrange(1, 63)) * chance.choice((1, -1))
    plain = [
        number,
        number / 7,
        "text",
        "č☃",
        "\udcfe",
        b"\0\xff",
        True,
        None,
        gob.Int8(3),
        gob.Uint64(1 << 63),
        gob.Float32(0.5),
        1 - 2j,
        ["a", "b"],
        [1, 2, number],
        [1.5],
        DEADLINE + timedelta(microseconds=number % 10**9),
    ]
    if depth < 2:
        plain += [
            [some_value(chance, depth + 1), "x", 1],
            {"a": some_value(chance, depth + 1), "b": 2},
            {1: "x", "1": some_value(chance, depth + 1)},
        ]
    return chance.choice(plain)


def some_key(chance: random.Random) -> Any:
    number = chance.randrange(4)
    return chance.choice(
        [
            f"key{number}",
            "ključ",
            GoKey(number),
            GoKey(number == 1),
            GoKey(float(number)),
            GoKey(number, "int8"),
            GoKey(number, "main.key"),
            GoKey(None),
            GoKey(DEADLINE),
        ]
    )


@pytest.mark.parametrize("seed", SAMPLES)
def test_go_reads_what_python_wrote(seed: int, gorilla: Gorilla) -> None:
    chance = random.Random(seed)
    pairs = list(PAIRS.values())[seed % 3]
    values = {some_key(chance): some_value(chance) for _ in range(chance.randrange(9))}
    answer = gorilla.must("decode", pairs, cookie=django(pairs).seal("session", values))
    found = {
        each["key"]["value"]: each["value"]
        for each in answer["values"]["entries"]
        if each["key"]["type"] == "string"
    }
    for key, value in values.items():
        if isinstance(key, str):
            assert strict(python_value(found[key])) == strict(plain(value))
    types = sorted(each["key"]["type"] for each in answer["values"]["entries"])
    ours = ["string", "string"]
    assert types == sorted([*map(go_type, values), *ours])


def go_type(key: Any) -> str:
    return "string" if isinstance(key, str) else key.go_type or "nil"


def plain(value: Any) -> Any:
    """Return a value of a plain Python type."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


# Put, pop and flashes in a real handler.


def test_put_and_pop_both_ways(gorilla: Gorilla) -> None:
    first = django().seal("session", {"from django": "a", "stays": 1})
    visited = gorilla.must(
        "visit", PAIR, cookie=first, steps=[["pop", "from django"], ["put", "from go", "b"]]
    )
    assert visited["results"][0] == string("a")
    opened = django().open("session", visited["cookie"])
    assert opened.values == {"stays": 1, "from go": "b"}
    assert opened.deadline == DEADLINE
    assert opened.id == django().open("session", first).id
    assert not opened.rewrite
    assert opened.values.pop("from go") == "b"
    opened.values["again"] = "c"
    last = gorilla.must(
        "visit",
        PAIR,
        cookie=django().seal_again("session", opened),
        steps=[["pop", "again"], ["pop", "from go"]],
    )
    assert last["results"] == [string("c"), {"type": "nil"}]


def test_flashes_both_ways(gorilla: Gorilla) -> None:
    first = django().seal("session", {"_flash": ["from django"]})
    steps = [["flash", "from go"], ["flash", "warning", "warnings"]]
    visited = gorilla.must("visit", PAIR, cookie=first, steps=steps)
    opened = django().open("session", visited["cookie"])
    assert opened.values == {"_flash": ["from django", "from go"], "warnings": ["warning"]}
    opened.values["_flash"] = opened.values["_flash"][1:]
    opened.values["warnings"].append("more")
    visited = gorilla.must(
        "visit",
        PAIR,
        cookie=django().seal_again("session", opened),
        steps=[["flashes"], ["flashes", "warnings"], ["flashes"]],
    )
    flashes, warnings, none = visited["results"]
    assert python_value(flashes) == ["from go"]
    assert python_value(warnings) == ["warning", "more"]
    assert python_value(none) == []
    assert django().open("session", visited["cookie"]).values == {}


def test_go_panics_on_other_flashes(gorilla: Gorilla) -> None:
    """The reason why flashes are written the way they are."""
    careless = django(flash_keys=())
    sealed = careless.seal("session", {"_flash": ["a"]})
    answer = gorilla.ask("visit", PAIR, cookie=sealed, steps=[["flashes"]])
    assert "[]string" in answer["panic"]


@pytest.mark.parametrize("name", ["bytes", "nested"])
def test_go_panics_on_a_slice_as_a_key(name: str, gorilla: Gorilla) -> None:
    """The reason why such a key is refused."""
    data = Opaque("[]uint8", gob.wire.BYTES, b"k")
    key = GoKey.__new__(GoKey)
    key._sent = data
    if name == "nested":
        place = gob.wire.struct(Row=gob.wire.INT, Col=gob.wire.INTERFACE)
        key._sent = Opaque("main.place", place, ((1, b"Col", data),))
    sealed = django().seal("session", {key: 1})
    answer = gorilla.ask("decode", PAIR, cookie=sealed)
    assert "hash of unhashable type []uint8" in answer["panic"]
    with pytest.raises(BadPayload):
        django().open("session", sealed)


def test_an_empty_session(gorilla: Gorilla) -> None:
    visited = gorilla.must("visit", PAIR, steps=[])
    assert django().open("session", visited["cookie"]).values == {}
    sealed = django().seal("session", {}, id="", deadline=NO_DEADLINE)
    assert gorilla.must("decode", PAIR, cookie=sealed)["values"]["entries"] == []


@pytest.mark.parametrize("change", [False, True])
def test_the_benchmark_times_what_it_says(change: bool, gorilla: Gorilla) -> None:
    sealed = django().seal("session", {"a": "b"})
    once, often = (
        gorilla.must("time", PAIR, cookie=sealed, number=number, change=change)["nanoseconds"]
        for number in (1, 500)
    )
    assert 0 < once < often
    assert "error" in gorilla.ask("time", PAIR, cookie="bad", number=1)


# Keys, ages, names.


def test_keys_rotate_on_either_side_first(gorilla: Gorilla) -> None:
    old, new = PAIRS["signed"], [*PAIRS["aes256"], *PAIRS["signed"]]
    by_old_go = gorilla.must("visit", old, steps=[["put", "a", "go"]])["cookie"]
    by_new_go = gorilla.must("visit", new, steps=[["put", "a", "go"]])["cookie"]
    by_old_django = django(old).seal("session", {"a": "django"})
    by_new_django = django(new).seal("session", {"a": "django"})
    for cookie in (by_old_go, by_new_go, by_old_django, by_new_django):
        assert django(new).open("session", cookie).values["a"] in ("go", "django")
        assert "values" in gorilla.must("decode", new, cookie=cookie)
    assert django(new).open("session", by_old_django).rewrite
    assert not django(new).open("session", by_new_django).rewrite
    for cookie in (by_new_go, by_new_django):
        assert "error" in gorilla.ask("decode", old, cookie=cookie)
        with pytest.raises(BadPayload):
            django(old).open("session", cookie)


def test_another_name_is_refused_by_both(gorilla: Gorilla) -> None:
    made = gorilla.must("visit", PAIR, steps=[["put", "a", "b"]])["cookie"]
    with pytest.raises(BadMac):
        django().open("other", made)
    sealed = django().seal("session", {})
    assert "not valid" in gorilla.ask("decode", PAIR, name="other", cookie=sealed)["error"]


def test_both_expire_a_cookie(gorilla: Gorilla) -> None:
    now = datetime.now(UTC).timestamp()
    for age, good in ((30, True), (90, False)):
        sealed = django(clock=lambda age=age: now - age).seal("session", {})
        answer = gorilla.ask("decode", PAIR, cookie=sealed, maxage=60)
        assert ("values" in answer) is good
        assert good or "expired timestamp" in answer["error"]
        if not good:
            with pytest.raises(Expired):
                django(max_age=60).open("session", sealed)


@pytest.mark.parametrize("function", HASH_FUNCTIONS)
def test_hash_functions(function: str, gorilla: Gorilla) -> None:
    ours = django(hash_function=function)
    sealed = ours.seal("session", {"a": "b"})
    visited = gorilla.must("visit", PAIR, hash=function, cookie=sealed, steps=[["pop", "a"]])
    assert visited["results"] == [string("b")]
    assert ours.open("session", visited["cookie"]).values == {}


@pytest.mark.parametrize("pairs", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("payload", [b"x", b"\x00\xff|" * 50])
def test_payloads_of_bytes(pairs: list[Pair], payload: bytes, gorilla: Gorilla) -> None:
    ours = SecureCookies(pairs, serializer="nop")
    made = gorilla.must("encode", pairs, serializer="nop", payload=payload.hex())["cookie"]
    assert ours.decode("session", made) == payload
    answer = gorilla.must("decode", pairs, serializer="nop", cookie=ours.encode("session", payload))
    assert bytes.fromhex(answer["payload"]) == payload


@pytest.mark.parametrize("value", [None, "é<&>", {"a": [1, 2.5, True, {}]}, [[]], "\u2028"])
def test_payloads_of_json(value: Any, gorilla: Gorilla) -> None:
    ours = SecureCookie(HASH_KEY, BLOCK_KEY, serializer="json")
    answer = gorilla.must("decode", PAIR, serializer="json", cookie=ours.encode("session", value))
    assert answer["value"] == value


def test_go_reads_any_spelling_that_python_reads(gorilla: Gorilla) -> None:
    made = SecureCookie(HASH_KEY, serializer="nop").encode("session", b"hi!!")
    signed = PAIRS["signed"]
    for cookie in (made, made[:9] + "\n" + made[9:], made[:-2], made + "=", made + "A", made[1:]):
        answer = gorilla.ask("decode", signed, serializer="nop", cookie=cookie)
        try:
            found = SecureCookie(HASH_KEY, serializer="nop").decode("session", cookie).hex()
        except ValueError:
            found = None
        assert answer.get("payload") == found, cookie
