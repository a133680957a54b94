import base64
import hashlib
import re

import pytest

from django_scs import tokens

TOKEN = "abcABC0123456789-_abcABC0123456789-_abcABC0"


def test_new_is_32_random_bytes_in_43_characters():
    token = tokens.new()
    assert tokens.well_formed(token)
    assert len(base64.urlsafe_b64decode(token + "=")) == 32


def test_new_takes_its_bytes_from_the_system(monkeypatch):
    monkeypatch.setattr("secrets.token_bytes", lambda count: b"\xff" * count)
    assert tokens.new() == "_" * 42 + "8"


def test_new_never_repeats():
    assert len({tokens.new() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "token",
    [
        "",
        TOKEN[:-1],
        TOKEN + "a",
        TOKEN[:-1] + "=",
        TOKEN[:-1] + "+",
        TOKEN[:-1] + " ",
        TOKEN[:-1] + "\x00",
        TOKEN[:-1] + "\n",
        TOKEN + "\n",
        TOKEN[:-1] + "٣",
        TOKEN[:-1] + "ä",
        "a" * 1_000_000,
        TOKEN.encode(),
        None,
        43,
        list(TOKEN),
    ],
)
def test_well_formed_refuses(token):
    assert tokens.well_formed(token) is False


def test_well_formed_accepts():
    assert tokens.well_formed(TOKEN) is True


def test_store_key_is_the_token():
    assert tokens.store_key(TOKEN, hashed=False) == TOKEN


def test_store_key_is_the_hash_that_scs_makes():
    digest = hashlib.sha256(TOKEN.encode()).digest()
    key = tokens.store_key(TOKEN, hashed=True)
    assert base64.urlsafe_b64decode(key + "=") == digest
    assert tokens.well_formed(key)


def test_fingerprint_is_short_and_tells_nothing_of_the_key():
    fingerprint = tokens.fingerprint(TOKEN)
    assert re.fullmatch(r"[0-9a-f]{12}", fingerprint)
    assert fingerprint == tokens.fingerprint(TOKEN)
    assert fingerprint != tokens.fingerprint(TOKEN[::-1])
    assert not hashlib.sha256(TOKEN.encode()).hexdigest().startswith(fingerprint)
