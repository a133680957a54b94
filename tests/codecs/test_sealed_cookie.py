"""Sessions in cookies of our own format."""

from __future__ import annotations

import builtins
import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from django.core.exceptions import ImproperlyConfigured

from django_scs.codecs import cookie_format
from django_scs.codecs.cookie_format import new_id
from django_scs.codecs.gob import GobCodec
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.sealed_cookie import SealedCookie
from django_scs.codecs.securecookie import BadBase64, BadMac, BadPayload, CookieError, TooLong
from django_scs.codecs.signed import SignedCodec
from django_scs.exceptions import EncodeError

from .cookies import DEADLINE, ID, Whole

NOW = 1_790_000_000.25
KEY, OLD_KEY = b"a key of this test, 32 bytes long", b"the key before it"
VALUES = {"user": "ann", "visits": 3}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def sealed(*keys: bytes, codec: Any = None) -> Whole:
    return Whole(SealedCookie(keys or [KEY], codec or JSONCodec(), clock=lambda: NOW))


def unbase64(cookie: str) -> bytes:
    return urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))


def base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_seal_and_open() -> None:
    opened = sealed().open("session", sealed().seal("session", VALUES))
    assert (opened.id, opened.deadline, opened.values) == (ID, DEADLINE, VALUES)
    assert opened.written_at == NOW
    assert not opened.rewrite
    assert opened.data == JSONCodec().encode(DEADLINE, VALUES)


@pytest.mark.parametrize("codec", [JSONCodec(), GobCodec(), SignedCodec(JSONCodec(), [KEY])])
def test_the_codec_writes_the_values(codec: Any) -> None:
    both = sealed(codec=codec)
    opened = both.open("session", both.seal("session", VALUES))
    again = both.open("session", both.seal_again("session", opened))
    assert again.values == VALUES
    assert again.data == opened.data


def test_two_cookies_of_one_session_share_nothing() -> None:
    first, second = (unbase64(sealed().seal("session", VALUES)) for _ in range(2))
    assert first[:5] == second[:5]
    assert first[5:21] != second[5:21]
    assert first[21:45] != second[21:45]


def test_the_layout_is_what_the_module_says() -> None:
    """Read a cookie with nothing but the package cryptography."""

    def derive(secret: bytes, what: bytes, size: int) -> bytes:
        return HKDF(hashes.SHA512(), size, None, b"django_scs cookie v1 " + what).derive(secret)

    raw = unbase64(sealed().seal("session", VALUES))
    assert raw[0] == 1
    assert raw[1:5] == derive(KEY, b"key id", 4)
    info = b"django_scs cookie v1 cookie" + raw[5:21]
    derived = HKDFExpand(hashes.SHA512(), 44, info).derive(derive(KEY, b"master", 64))
    plain = AESGCM(derived[:32]).decrypt(derived[32:], raw[21:], raw[:21] + b"session")
    assert plain[:22] == ID.encode()
    assert int.from_bytes(plain[22:30], "big") == NOW * 1_000_000
    assert JSONCodec().decode(plain[30:]) == (DEADLINE, VALUES)


def test_every_change_of_a_character_is_refused() -> None:
    cookie = sealed().seal("session", VALUES)
    for place, character in enumerate(cookie):
        other = ALPHABET[ALPHABET.index(character) ^ 1]
        with pytest.raises(CookieError):
            sealed().open("session", cookie[:place] + other + cookie[place + 1 :])


def test_every_truncation_is_refused() -> None:
    cookie = sealed().seal("session", VALUES)
    for length in range(len(cookie)):
        with pytest.raises(CookieError):
            sealed().open("session", cookie[:length])
    with pytest.raises(BadMac):
        sealed().open("session", cookie + "AAAA")


def test_the_name_is_sealed() -> None:
    cookie = sealed().seal("session", VALUES)
    with pytest.raises(BadMac):
        sealed().open("preferences", cookie)


def test_a_cookie_has_one_spelling() -> None:
    cookie = sealed().seal("session", {"a": "xx"})
    cookie = next(
        made for size in range(3) if len(made := sealed().seal("session", {"a": "x" * size})) % 4
    )
    last = ALPHABET[ALPHABET.index(cookie[-1]) + 1]
    padded = cookie + "=" * (-len(cookie) % 4)
    others = (cookie[:-1] + last, cookie + "=", padded, cookie + "\n", " " + cookie, cookie + "é")
    for other in others:
        with pytest.raises(BadBase64):
            sealed().open("session", other)


@pytest.mark.parametrize("cookie", ["", "A", "AAAA", "\u0661", "=", '"', "a.b", "\x00"])
def test_garbage(cookie: str) -> None:
    with pytest.raises(CookieError):
        sealed().open("session", cookie)


def test_too_long_to_be_looked_at() -> None:
    with pytest.raises(TooLong):
        sealed().open("session", "A" * 4097)


def test_another_version_is_refused() -> None:
    raw = unbase64(sealed().seal("session", VALUES))
    with pytest.raises(BadMac):
        sealed().open("session", base64(b"\x02" + raw[1:]))


def test_what_another_codec_wrote() -> None:
    cookie = sealed(codec=GobCodec()).seal("session", VALUES)
    with pytest.raises(BadPayload):
        sealed().open("session", cookie)


def test_values_need_no_quotes() -> None:
    for size in range(20):
        assert re.fullmatch(r"[\w-]+", sealed().seal("session", {"a": "x" * size}))


# Keys.


def test_rewrite_after_an_old_key() -> None:
    cookie = sealed(OLD_KEY).seal("session", VALUES)
    opened = sealed(KEY, OLD_KEY).open("session", cookie)
    assert opened.rewrite
    assert opened.values == VALUES
    again = sealed(KEY, OLD_KEY).seal_again("session", opened)
    assert not sealed(KEY).open("session", again).rewrite
    with pytest.raises(BadMac):
        sealed(KEY).open("session", cookie)


def test_two_keys_of_one_id() -> None:
    both = sealed(KEY, OLD_KEY)
    cookie = sealed(OLD_KEY).seal("session", VALUES)
    keys = both.format._keys
    keys[0].id = keys[1].id
    assert both.open("session", cookie).rewrite


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_no_key(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        SealedCookie(keys, JSONCodec())


def from_settings(**settings: Any) -> Any:
    return Whole(cookie_format.load("scs", settings.get, JSONCodec()))


def test_keys_from_django() -> None:
    old = from_settings(SECRET_KEY="old").seal("session", VALUES)
    made = from_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    assert made.open("session", old).rewrite
    assert not made.open("session", made.seal("session", VALUES)).rewrite


def test_keys_of_their_own() -> None:
    key = "a" * 32
    made = from_settings(SCS_COOKIE_KEYS=[key.encode(), "b" * 32], SECRET_KEY="other")
    assert made.open("session", sealed(b"b" * 32).seal("session", VALUES)).rewrite
    with pytest.raises(BadMac):
        made.open("session", sealed(b"other").seal("session", VALUES))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "is empty"),
        ("Secret" * 8, "is a str"),
        ([("Secret" * 8, None)], r"SCS_COOKIE_KEYS\[0\] is a tuple"),
        (["Secret" * 8, "Secret"], r"SCS_COOKIE_KEYS\[1\] has 6 characters"),
    ],
)
def test_wrong_keys(keys: Any, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as refusal:
        from_settings(SCS_COOKIE_KEYS=keys)
    assert "Secret" not in str(refusal.value)


def test_no_secret_key() -> None:
    with pytest.raises(ImproperlyConfigured, match="empty"):
        from_settings(SECRET_KEY="")


# What is refused.


def test_new_id() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    for each in ids:
        assert re.fullmatch(r"[\w-]{22}", each)
        assert sealed().open("s", sealed().seal("s", VALUES, id=each)).id == each


@pytest.mark.parametrize("session_id", ["", "short", ID + "A", "!" * 22, "A" * 21 + "B", "é" * 22])
def test_a_wrong_id(session_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        sealed().seal("session", VALUES, id=session_id)


def test_what_the_codec_cannot_keep() -> None:
    with pytest.raises(EncodeError, match="'a'"):
        sealed().seal("session", {"a": object()})


@pytest.mark.parametrize("name", ["s", "session", "a" * 100])
def test_max_data_is_what_a_browser_keeps(name: str) -> None:
    fmt = sealed().format
    most = fmt.max_data(name)
    assert 4094 <= len(name) + len(fmt.seal(name, ID, bytes(most))) <= 4096
    assert len(name) + len(fmt.seal(name, ID, bytes(most + 1))) > 4096


def test_nothing_is_compressed() -> None:
    short, long = (len(sealed().seal("s", {"a": "x" * size})) for size in (0, 1500))
    assert long == short + 2000


def test_the_format_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "cryptography":
            raise ImportError(name)
        return found(name, *rest, **named)

    for name in ("crypto", "sealed_cookie"):
        monkeypatch.delitem(sys.modules, f"django_scs.codecs.{name}")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'django_scs\[crypto\]'"):
        from_settings(SECRET_KEY="a")
