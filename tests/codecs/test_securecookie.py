"""Cookies of the real gorilla/securecookie, both ways, and what is refused."""

from __future__ import annotations

import base64
import builtins
import hmac
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from django_scs.codecs import securecookie
from django_scs.codecs.gob import Int8
from django_scs.codecs.gorilla import GoKey, SessionSerializer
from django_scs.codecs.keys import Mac
from django_scs.codecs.securecookie import (
    BadBase64,
    BadCiphertext,
    BadMac,
    BadPayload,
    BadTimestamp,
    CookieError,
    Expired,
    GobSerializer,
    SecureCookie,
    SecureCookies,
    TooEarly,
    TooLong,
)
from django_scs.exceptions import DecodeError, EncodeError

from .gob.cases import python_value, strict

VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("securecookie_vectors.json").read_bytes()
)
OUTCOMES = {
    "bad mac": BadMac,
    "bad base64": BadBase64,
    "bad timestamp": BadTimestamp,
    "expired": Expired,
    "too early": TooEarly,
    "too long": TooLong,
    "bad ciphertext": BadCiphertext,
    "bad payload": BadPayload,
}
NOW = 1_790_000_000
HASH_KEY = bytes(range(32))
BLOCK_KEY = bytes(range(32, 64))

each_vector = pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
each_good_vector = pytest.mark.parametrize(
    "case",
    [case for case in VECTORS if case["outcome"] == "ok"],
    ids=[case["name"] for case in VECTORS if case["outcome"] == "ok"],
)


def pairs(case: dict[str, Any]) -> list[tuple[bytes, bytes | None]]:
    return [
        (bytes.fromhex(pair["hash_hex"]), pair["block_hex"] and bytes.fromhex(pair["block_hex"]))
        for pair in case["pairs"]
    ]


def cookies(case: dict[str, Any], serializer: Any, now: str = "now") -> SecureCookies:
    limits = {name: case[name] for name in ("max_age", "min_age", "max_length") if name in case}
    return SecureCookies(
        pairs(case),
        hash_function=case["hash"],
        serializer=serializer,
        clock=lambda: case[now],
        **limits,
    )


def serializer(case: dict[str, Any]) -> Any:
    return SessionSerializer() if case["store"] == "session" else case["serializer"]


def python_session(described: dict[str, Any]) -> dict[Any, Any]:
    """Return a session's values for typed JSON."""
    values = {}
    for entry in described["entries"]:
        go, value = entry["key"]["type"], entry["key"].get("value")
        if go == "string":
            key = value
        elif go == "float64":
            key = GoKey(float(value))
        else:
            key = GoKey(None) if go == "nil" else GoKey(value, go)
        values[key] = python_value(entry["value"])
    return values


def comparable(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: ... if each is ... else strict(each) for key, each in values.items()}
    return strict(values)


@each_vector
def test_decode_says_what_gorilla_says(case: dict[str, Any]) -> None:
    reading = cookies(case, serializer(case))
    if case["outcome"] != "ok":
        with pytest.raises(CookieError) as refusal:
            reading.decode(case["cookie_name"], case["cookie"])
        assert type(refusal.value) is OUTCOMES[case["outcome"]]
        return
    found = reading.decode(case["cookie_name"], case["cookie"])
    if case["store"] == "session":
        session, payload = found
        assert payload.hex() == case["plain_hex"]
        assert comparable(session.values) == comparable(python_session(case["values"]))
    elif case["store"] == "string":
        assert found == case["values"]["value"]
    else:
        assert found == {"h": "<a&b> \u2028 é", "l": [True, None], "n": 1}


@each_good_vector
def test_decode_gives_the_payload(case: dict[str, Any]) -> None:
    # With the keys of the last pair, for a signature does not tell which block key it was.
    plain = cookies({**case, "pairs": case["pairs"][-1:]}, "nop")
    payload = plain.decode(case["cookie_name"], case["cookie"])
    assert payload.hex() == case["plain_hex"]


@each_good_vector
def test_encode_writes_the_very_cookie(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = {**case, "pairs": case["pairs"][-1:]}
    inner = base64.urlsafe_b64decode(case["cookie"]).split(b"|")[1]
    counter = base64.urlsafe_b64decode(inner)[:16]
    monkeypatch.setattr(securecookie.secrets, "token_bytes", lambda size: counter[:size])
    writing = cookies(last, "nop", now="timestamp")
    payload = bytes.fromhex(case["plain_hex"])
    assert writing.encode(case["cookie_name"], payload) == case["cookie"]


@each_good_vector
def test_serializer_writes_what_it_reads(case: dict[str, Any]) -> None:
    both = cookies(case, serializer(case), now="timestamp")
    found = both.decode(case["cookie_name"], case["cookie"])
    if case["name"] != "longest":
        again = both.decode(case["cookie_name"], both.encode(case["cookie_name"], found))
        assert comparable(again) == comparable(found)


def test_encode_refuses_what_is_too_long() -> None:
    case = next(case for case in VECTORS if case["name"] == "too_long")
    with pytest.raises(TooLong):
        cookies(case, "nop").encode("session", bytes.fromhex(case["plain_hex"]))


# By hand: what the vectors do not show.


def signed(body: bytes, name: bytes = b"session", key: bytes = HASH_KEY) -> str:
    mac = hmac.digest(key, name + b"|" + body, "sha256")
    return base64.urlsafe_b64encode(body + b"|" + mac).decode()


def plain_cookie(**options: Any) -> SecureCookie:
    return SecureCookie(HASH_KEY, clock=lambda: NOW, **options)


def sealed_cookie(**options: Any) -> SecureCookie:
    return SecureCookie(HASH_KEY, BLOCK_KEY, clock=lambda: NOW, **options)


# Ends in "==".
PADDED = b"hi!!"
GOOD = signed(b"1790000000|aGkhIQ==")


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA",
        "AAA",
        "AA=",
        "A===",
        "AAAA=",
        "AAAA==",
        "AAAA====",
        "====",
        "A=AA",
        "AA=A",
        "AA==AA==",
    ],
)
def test_padding_is_exact(text: str) -> None:
    with pytest.raises(BadBase64):
        securecookie.unbase64(text)


@pytest.mark.parametrize("place", range(4))
def test_characters_are_those_of_base64url(place: int) -> None:
    good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for character in map(chr, range(256)):
        text = "AAAA"[:place] + character + "AAAA"[place + 1 :]
        if character in good or (character == "=" and place == 3):
            expected = base64.urlsafe_b64decode(text)
            assert securecookie.unbase64(text) == expected
        else:
            with pytest.raises(BadBase64):
                securecookie.unbase64(text)


@pytest.mark.parametrize("function", securecookie.HASH_FUNCTIONS)
@pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 65, 127, 128, 129, 300])
def test_mac_is_an_hmac(function: str, size: int) -> None:
    key = (b"\x01\xff\x36" * size)[:size]
    mac = Mac(key, function)
    for message in (b"", b"message", bytes(1000)):
        assert mac.digest(message) == hmac.digest(key, message, function)


def test_a_cookie_signed_by_hand_is_good() -> None:
    assert GOOD.endswith("==")
    assert plain_cookie().decode("session", GOOD) == PADDED
    assert plain_cookie().encode("session", PADDED) == GOOD


@pytest.mark.parametrize(
    ("cookie", "error"),
    [
        ("", BadMac),
        ("====", BadBase64),
        ("a", BadBase64),
        (GOOD.rstrip("="), BadBase64),
        (GOOD[:-1], BadBase64),
        (GOOD + "=", BadBase64),
        (GOOD + "\u0661", BadBase64),
        (GOOD[:20] + " " + GOOD[20:], BadBase64),
        (GOOD[:20] + "+" + GOOD[21:], BadBase64),
        (GOOD[:20] + "/" + GOOD[21:], BadBase64),
        (GOOD[:20] + "\x00" + GOOD[21:], BadBase64),
        (base64.urlsafe_b64encode(b"no bars").decode(), BadMac),
        (base64.urlsafe_b64encode(b"1790000000|aGk=").decode(), BadMac),
        (base64.urlsafe_b64encode(b"1790000000|aGk=|").decode(), BadMac),
        (signed(b"1790000000|aGk=", name=b"other"), BadMac),
        (signed(b"1790000000|aGk=", key=b"other"), BadMac),
        *((signed(date + b"|aGk="), BadTimestamp) for date in (b"", b"x", b"+", b"1_790_000_000")),
        *(
            (signed(date + b"|aGk="), BadTimestamp)
            for date in (b" 7", b"7 ", b"7\n", b"0x7", b"7.")
        ),
        (signed("\u0661\u0662|aGk=".encode()), BadTimestamp),
        (signed(b"9223372036854775808|aGk="), BadTimestamp),
        (signed(b"-9223372036854775809|aGk="), BadTimestamp),
        (signed(b"-9223372036854775808|aGk="), Expired),
        (signed(b"1787407999|aGk="), Expired),
        (signed(b"1790000000|aGk"), BadBase64),
        (signed(b"1790000000|a Gk="), BadBase64),
    ],
)
def test_refused(cookie: str, error: type[CookieError]) -> None:
    with pytest.raises(CookieError) as refusal:
        plain_cookie().decode("session", cookie)
    assert type(refusal.value) is error
    assert isinstance(refusal.value, DecodeError)


@pytest.mark.parametrize(
    "cookie",
    [
        signed(b"1790000000|aGk=")[:10] + "\r\n" + signed(b"1790000000|aGk=")[10:] + "\n",
        signed(b"+1790000000|aGk="),
        signed(b"0001790000000|aGk="),
        signed(b"9223372036854775807|aGk="),
        signed(b"1787408000|aGk="),
        signed(b"1790000000|aGl="),
    ],
)
def test_accepted_as_by_go(cookie: str) -> None:
    assert plain_cookie().decode("session", cookie) == b"hi"


def test_several_spellings_of_one_cookie() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = GOOD.rstrip("=")[-1]
    others = [GOOD.replace(last + "==", other + "==") for other in alphabet]
    found = [other for other in others if opens(other)]
    assert len(found) == 16
    assert GOOD in found


def opens(cookie: str) -> bool:
    try:
        return plain_cookie().decode("session", cookie) == PADDED
    except BadMac:
        return False


def test_the_mac_may_contain_a_bar() -> None:
    for second in range(NOW, NOW + 2000):
        cookie = SecureCookie(HASH_KEY, clock=lambda second=second: second)
        made = cookie.encode("session", b"hi")
        if base64.urlsafe_b64decode(made).count(b"|") > 2:
            assert cookie.decode("session", made) == b"hi"
            return
    pytest.fail("no such MAC")


def test_the_name_may_contain_a_bar() -> None:
    cookie = plain_cookie()
    made = cookie.encode("a|1", b"hi")
    assert cookie.decode("a|1", made) == b"hi"
    for name in ("a", "a|", "1", ""):
        with pytest.raises(BadMac):
            cookie.decode(name, made)


@pytest.mark.parametrize(
    ("age", "good"), [(0, False), (9, False), (10, True), (60, True), (61, False)]
)
def test_ages(age: int, good: bool) -> None:
    made = plain_cookie().encode("session", b"hi")
    reading = SecureCookie(HASH_KEY, min_age=10, max_age=60, clock=lambda: NOW + age)
    if good:
        assert reading.decode("session", made) == b"hi"
    else:
        with pytest.raises(TooEarly if age < 10 else Expired):
            reading.decode("session", made)


def test_no_age_and_no_length_is_checked_at_zero() -> None:
    free = SecureCookie(HASH_KEY, max_age=0, max_length=0, clock=lambda: NOW)
    assert free.decode("session", signed(b"1|aGk=")) == b"hi"
    assert free.decode("session", free.encode("session", bytes(9000))) == bytes(9000)


def test_a_cookie_from_the_future_is_good() -> None:
    assert plain_cookie().decode("session", signed(b"1990000000|aGk=")) == b"hi"


def test_clock_is_the_systems_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SecureCookie(HASH_KEY).encode("session", b"hi")
    assert SecureCookie(HASH_KEY, max_age=5).open("session", made).timestamp > NOW - 10**9


@pytest.mark.parametrize("size", [16, 24, 32])
def test_encryption(size: int) -> None:
    cookie = SecureCookie(HASH_KEY, bytes(size), clock=lambda: NOW)
    made = cookie.encode("session", b"secret" * 20)
    assert made != cookie.encode("session", b"secret" * 20)
    assert b"secret" not in base64.urlsafe_b64decode(base64.urlsafe_b64decode(made).split(b"|")[1])
    assert cookie.decode("session", made) == b"secret" * 20
    assert plain_cookie().decode("session", made)[16:] != b"secret" * 20


@pytest.mark.parametrize("size", [0, 1, 16])
def test_too_short_to_be_encrypted(size: int) -> None:
    with pytest.raises(BadCiphertext):
        sealed_cookie().decode("session", plain_cookie().encode("session", bytes(size)))


def test_an_empty_payload_is_not_encrypted() -> None:
    assert plain_cookie().decode("session", plain_cookie().encode("session", b"")) == b""
    with pytest.raises(EncodeError, match="empty"):
        sealed_cookie().encode("session", b"")


@pytest.mark.parametrize("function", securecookie.HASH_FUNCTIONS)
def test_hash_functions(function: str) -> None:
    cookie = plain_cookie(hash_function=function)
    made = cookie.encode("session", b"hi")
    assert cookie.decode("session", made) == b"hi"
    mac = base64.urlsafe_b64decode(made).split(b"|", 2)[2]
    assert len(mac) == {"sha256": 32, "sha512": 64, "sha512_256": 32, "sha1": 20}[function]
    for other in set(securecookie.HASH_FUNCTIONS) - {function}:
        with pytest.raises(BadMac):
            plain_cookie(hash_function=other).decode("session", made)


def test_unpadded_cookies_need_no_quotes() -> None:
    for size in range(40):
        for function in securecookie.HASH_FUNCTIONS:
            made = plain_cookie(unpadded=True, hash_function=function).encode("s", bytes(size))
            assert "=" not in made
            reading = plain_cookie(hash_function=function)
            assert reading.open("s", made) == (bytes(size), NOW)


# Pairs of keys.


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("",), "hash key"),
        ((b"",), "hash key"),
        ((None,), "hash key"),
        ((HASH_KEY, b""), "block key"),
        ((HASH_KEY, 7), "block key"),
        ((HASH_KEY, b"Top secret key"), "14 bytes"),
        ((HASH_KEY, "Top secret key of more than 32 bytes"), "36 bytes"),
    ],
)
def test_keys_that_cannot_work(keys: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        SecureCookie(*keys)
    assert "secret" not in str(refusal.value)
    with pytest.raises(ValueError, match=f"Pair 2: .*{message}") as refusal:
        SecureCookies([(HASH_KEY, None), (*keys, None)[:2]])
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("wrong", [[], [HASH_KEY], [(HASH_KEY,)], [(HASH_KEY, None, None)]])
def test_what_is_no_pair(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"[Pp]air") as refusal:
        SecureCookies(wrong)
    assert repr(HASH_KEY) not in str(refusal.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": -1},
        {"max_age": None},
        {"min_age": True},
        {"max_length": 1.5},
        {"hash_function": "md5"},
        {"serializer": "pickle"},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SecureCookie(HASH_KEY, **options)


def test_keys_never_show() -> None:
    cookie = SecureCookie("my signing key", "my encryption key of 32 bytes ..")
    assert "my" not in repr(cookie)


def test_str_keys_are_utf8() -> None:
    made = SecureCookie("ključ", clock=lambda: NOW).encode("session", b"hi")
    assert SecureCookie("ključ".encode(), clock=lambda: NOW).decode("session", made) == b"hi"


def test_first_pair_writes_and_all_read() -> None:
    old = SecureCookies([(b"old", None)], serializer="json")
    new = SecureCookies([(HASH_KEY, BLOCK_KEY), (b"old", None)], serializer="json")
    made = new.encode("session", [1])
    assert new.open("session", made)[1] == 0
    assert SecureCookie(HASH_KEY, BLOCK_KEY, serializer="json").decode("session", made) == [1]
    opened, pair = new.open("session", old.encode("session", [2]))
    assert (opened.value, pair) == ([2], 1)


def test_a_decode_error_goes_on_to_the_next_pair() -> None:
    # Not as JSON: like Go's decoder, ours reads the first value, which noise may begin with.
    made = SecureCookie(HASH_KEY, bytes(32), serializer="gob").encode("session", "text")
    rotated = SecureCookies(
        [(HASH_KEY, BLOCK_KEY), (HASH_KEY, None), (HASH_KEY, bytes(32))], serializer="gob"
    )
    opened, pair = rotated.open("session", made)
    assert (opened.value, pair) == ("text", 2)


def test_the_error_that_got_furthest_is_raised() -> None:
    garbage = SecureCookie(HASH_KEY, bytes(32), serializer="nop").encode("session", bytes(40))
    others = [(b"other", None), (HASH_KEY, BLOCK_KEY), (b"third", None)]
    with pytest.raises(BadPayload):
        SecureCookies(others, serializer="gob").decode("session", garbage)
    with pytest.raises(Expired):
        SecureCookies(others, max_age=1).decode("session", signed(b"1|aGk="))
    with pytest.raises(BadMac):
        SecureCookies(others).decode("other", garbage)


# Serializers.


def test_json_as_go_writes_it() -> None:
    json_ = securecookie.JSONSerializer()
    assert json_.dumps({"h": "<a&b> \u2028\u2029 é"}) == (
        '{"h":"\\u003ca\\u0026b\\u003e \\u2028\\u2029 é"}\n'.encode()
    )
    assert json_.loads(b' {"a": [1, "\xff"]} and more') == {"a": [1, "\ufffd"]}


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"NaN", b"-Infinity", b"\xff", b"[" * 100_000, b"1" * 5000, b"\xef\xbb\xbf1"],
)
def test_what_is_no_json(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        securecookie.JSONSerializer().loads(payload)


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {1, 2}, "\ud800"])
def test_what_has_no_json(value: Any) -> None:
    with pytest.raises(EncodeError):
        securecookie.JSONSerializer().dumps(value)


@pytest.mark.parametrize("value", ["text", 7, None, [1]])
def test_nop_takes_bytes_alone(value: Any) -> None:
    with pytest.raises(EncodeError, match="must be bytes"):
        plain_cookie().encode("session", value)


@pytest.mark.parametrize("value", ["text", 7, True, 1.5, b"\x00\xff", ["a"], {"a": 1, "b": [True]}])
def test_gob_of_a_value(value: Any) -> None:
    cookie = sealed_cookie(serializer=GobSerializer(["map[string]interface {}"]))
    assert strict(cookie.decode("x", cookie.encode("x", value))) == strict(value)


def test_gob_by_name() -> None:
    cookie = plain_cookie(serializer="gob")
    assert cookie.decode("x", cookie.encode("x", Int8(3))) == 3
    for value in ({"a": 1}, None, object()):
        with pytest.raises(EncodeError):
            cookie.encode("x", value)


# Without the package.


def test_encryption_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without_cryptography(monkeypatch)
    assert plain_cookie().decode("session", GOOD) == PADDED
    with pytest.raises(ImportError, match=r"django_scs\[crypto\]"):
        SecureCookie(HASH_KEY, BLOCK_KEY)


def without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "cryptography":
            raise ImportError(name)
        return found(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "django_scs.codecs.crypto", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
