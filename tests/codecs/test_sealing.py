"""The encrypted and the signed codec: what they let nobody do."""

import hmac
import os
import random
import subprocess
import sys
import traceback

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

from django_scs.codecs import sealing
from django_scs.codecs.base import load
from django_scs.codecs.encrypted import EncryptedCodec
from django_scs.codecs.gob import GobCodec
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.signed import SignedCodec
from django_scs.exceptions import DecodeError
from tests.contracts.codec import CodecContract

from .gob.cases import REGISTERED

DEADLINE, VALUES = CodecContract.DEADLINE, CodecContract.VALUES
KEY, OTHER = CodecContract.KEY, CodecContract.OTHER
OLD, NEW = "old" * 11, b"new" * 11
# `SCS_FUZZ=100000 pytest tests/codecs/test_sealing.py` is the full number.
DAMAGED = int(os.environ.get("SCS_FUZZ", "20000"))

both = pytest.mark.parametrize("kind", [EncryptedCodec, SignedCodec])


class TestEncryptedCodec(CodecContract):
    @pytest.fixture
    def codec(self):
        return EncryptedCodec(JSONCodec(), [NEW])


class TestEncryptedCodecWithAnOldKey(CodecContract):
    @pytest.fixture
    def codec(self):
        return EncryptedCodec(JSONCodec(), [NEW, OLD])


class TestEncryptedGobCodec(CodecContract):
    @pytest.fixture
    def codec(self):
        return EncryptedCodec(GobCodec(REGISTERED), [NEW])

    @pytest.mark.parametrize("value", [object(), {1, 2}])
    def test_encode_refuses_by_key_and_type(self, codec, value):
        super().test_encode_refuses_by_key_and_type(codec, value)


class TestSignedCodec(CodecContract):
    @pytest.fixture
    def codec(self):
        return SignedCodec(JSONCodec(), [NEW])


def test_encrypted_data_shows_nothing():
    data = EncryptedCodec(JSONCodec(), [NEW]).encode(DEADLINE, {"secret": "word"}, None, KEY)
    plain = JSONCodec().encode(DEADLINE, {"secret": "word"})
    assert not any(plain[place : place + 4] in data for place in range(len(plain) - 3))
    assert len(data) == len(plain) + 35


def test_encrypted_data_differs_each_time():
    codec = EncryptedCodec(JSONCodec(), [NEW])
    assert len({codec.encode(DEADLINE, {"a": 1}, None, KEY)[7:23] for _ in range(100)}) == 100


def test_signed_data_can_be_read():
    data = SignedCodec(JSONCodec(), [NEW]).encode(DEADLINE, {"a": "word"}, None, KEY)
    assert JSONCodec().encode(DEADLINE, {"a": "word"}) == data[39:]


@both
def test_data_of_one_key_opens_under_no_other(kind):
    data = kind(JSONCodec(), [NEW]).encode(DEADLINE, VALUES, None, KEY)
    with pytest.raises(DecodeError, match="key that is not there any more"):
        kind(JSONCodec(), [OLD]).decode(data, KEY)
    assert not set(kind(JSONCodec(), [NEW])._keys) & set(kind(JSONCodec(), [OLD])._keys)


@both
def test_data_of_another_key_with_a_forged_id_does_not_open(kind):
    """An attacker may write the id of the right key before what they sealed themselves."""
    codec = kind(JSONCodec(), [NEW])
    forged = kind(JSONCodec(), [OLD]).encode(DEADLINE, VALUES, None, KEY)
    right = codec.encode(DEADLINE, {}, None, KEY)
    with pytest.raises(DecodeError, match="does not open"):
        codec.decode(right[:7] + forged[7:], KEY)


def test_store_key_and_data_cannot_be_shifted():
    codec = SignedCodec(JSONCodec(), [NEW])
    data = codec.encode(DEADLINE, VALUES, None, KEY)
    with pytest.raises(DecodeError, match="does not open"):
        codec.decode(data[:39] + KEY[-1:].encode() + data[39:], KEY[:-1])


@both
def test_rotation(kind):
    before = kind(JSONCodec(), [OLD])
    data = before.encode(DEADLINE, VALUES, None, KEY)
    rotating = kind(JSONCodec(), [NEW, OLD])
    after = kind(JSONCodec(), [NEW])

    assert rotating.decode(data, KEY) == (DEADLINE, VALUES)
    # A touch leaves it as it is; a change is sealed with the new key.
    assert rotating.encode(DEADLINE, VALUES, data, KEY) is data
    changed = rotating.encode(DEADLINE, {**VALUES, "new": 1}, data, KEY)
    assert after.decode(changed, KEY) == (DEADLINE, {**VALUES, "new": 1})

    rewritten = rotating.rewrite(data, KEY)
    assert after.decode(rewritten, KEY) == (DEADLINE, VALUES)
    assert rotating.rewrite(rewritten, KEY) is rewritten
    assert before.rewrite(data, KEY) is data
    for wrong, key in ((data[:-1], KEY), (data, OTHER), (b"{}", KEY)):
        with pytest.raises(DecodeError):
            rotating.rewrite(wrong, key)
    with pytest.raises(DecodeError):
        after.decode(data, KEY)


@both
def test_codec_within_sees_what_it_wrote_before(kind):
    """Gob keeps what Python does not understand, from the original."""
    codec = kind(GobCodec(), [NEW])
    _, values = GobCodec(REGISTERED).decode(GobCodec(REGISTERED).encode(DEADLINE, {"d": {"a": 1}}))
    data = kind(GobCodec(REGISTERED), [NEW]).encode(DEADLINE, values, None, KEY)
    changed = codec.encode(DEADLINE, {"d": {"a": 2}}, data, KEY)
    assert codec.decode(changed, KEY)[1] == {"d": {"a": 2}}


def damaged(chance, blobs):
    data = bytearray(chance.choice(blobs))
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                data[place : place + 1] = bytes(
                    byte ^ (1 << chance.randrange(8)) for byte in data[place : place + 1]
                )
            case 2:
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                del data[place : place + chance.choice((1, 2, 12, 16, len(data)))]
            case 4:
                other = chance.choice(blobs)
                data[place:] = other[chance.randrange(len(other)) :]
    return bytes(data)


@both
def test_damaged_data_does_not_open(kind):
    chance = random.Random(11)
    codec = kind(JSONCodec(), [NEW, OLD])
    keys = [KEY, OTHER, "", "ä" * 43]
    sealed = {}
    for secret in (NEW, OLD):
        for key in keys:
            for values in ({}, VALUES):
                data = kind(JSONCodec(), [secret]).encode(DEADLINE, values, None, key)
                sealed[data] = key
    blobs = [*sealed, JSONCodec().encode(DEADLINE, VALUES)]
    opened = 0
    for _ in range(DAMAGED):
        data, key = damaged(chance, blobs), chance.choice(keys)
        try:
            codec.decode(data, key)
        except DecodeError:
            assert sealed.get(data) != key
        else:
            # Now and then the damage mends itself.
            opened += 1
            assert sealed.get(data) == key
    assert opened < DAMAGED / 20


def shown_by_frames(error):
    return [
        repr(value)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename != __file__
        for value in frame.f_locals.values()
    ]


def settings(**values):
    return {"SECRET_KEY": "django" * 8, "SECRET_KEY_FALLBACKS": [], **values}.get


PATHS = {
    EncryptedCodec: ("django_scs.codecs.encrypted.EncryptedCodec", "SCS_ENCRYPT", "ED", "ION"),
    SignedCodec: ("django_scs.codecs.signed.SignedCodec", "SCS_SIGN", "ED", "ING"),
}


def names(kind):
    path, stem, past, present = PATHS[kind]
    return path, f"{stem}{past}_CODEC", f"{stem}{present}_KEYS"


@both
def test_settings_give_codec_and_keys(kind):
    path, codec_name, keys_name = names(kind)
    read = settings(**{codec_name: "django_scs.codecs.gob.GobCodec", keys_name: [NEW, OLD]})
    codec = load(path, read)
    assert type(codec) is kind
    assert type(codec.codec) is GobCodec
    data = kind(GobCodec(), [OLD]).encode(DEADLINE, {"a": 1}, None, KEY)
    assert codec.decode(data, KEY) == (DEADLINE, {"a": 1})


@both
def test_keys_are_derived_from_the_secret_key_and_its_fallbacks(kind):
    path, _, _ = names(kind)
    before = load(path, settings(SECRET_KEY="a" * 50))
    data = before.encode(DEADLINE, VALUES, None, KEY)
    after = load(path, settings(SECRET_KEY="b" * 50, SECRET_KEY_FALLBACKS=["a" * 50]))
    assert type(after.codec) is JSONCodec
    assert after.decode(data, KEY) == (DEADLINE, VALUES)
    assert after.rewrite(data, KEY) != data
    with pytest.raises(DecodeError):
        load(path, settings(SECRET_KEY="b" * 50)).decode(data, KEY)


@both
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("hunter2" * 9, "is a str"),
        (b"hunter2" * 9, "is a bytes"),
        ({"hunter2" * 9}, "is a set"),
        ([], "is empty"),
        (["x" * 40, "hunter2"], r"\[1\] has 7 characters"),
        ([b"hunter2" * 4], r"\[0\] has 28 characters"),
        ([["hunter2" * 9]], r"\[0\] is a list"),
        ([None], r"\[0\] is a NoneType"),
    ],
)
def test_wrong_keys_are_refused_and_not_shown(kind, keys, problem):
    path, _, keys_name = names(kind)
    with pytest.raises(ImproperlyConfigured, match=f"{keys_name}.*{problem}|{problem}") as refusal:
        load(path, settings(**{keys_name: keys}))
    assert "list of texts or bytes of at least 32 characters" in str(refusal.value)
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))


@both
def test_empty_secret_key_is_refused(kind):
    path, _, keys_name = names(kind)
    with pytest.raises(ImproperlyConfigured, match=f"{keys_name}.*SECRET_KEY"):
        load(path, settings(SECRET_KEY=""))
    with pytest.raises(ImproperlyConfigured, match=f"{keys_name}.*SECRET_KEY_FALLBACKS"):
        load(path, settings(SECRET_KEY="a" * 50, SECRET_KEY_FALLBACKS=[""]))


@both
@pytest.mark.parametrize("inner", [path for path, *_ in PATHS.values()])
def test_codec_that_seals_is_refused_within(kind, inner):
    path, codec_name, _ = names(kind)
    with pytest.raises(ImproperlyConfigured, match=f"{codec_name}.*{inner}"):
        load(path, settings(**{codec_name: inner}))


@both
@pytest.mark.parametrize("inner", ["no.such.Codec", "json.dumps", 5, ".Codec", "..codecs.Codec"])
def test_wrong_codec_within_is_refused(kind, inner):
    path, codec_name, keys_name = names(kind)
    read = settings(**{codec_name: inner, keys_name: ["hunter2" * 9]})
    with pytest.raises(ImproperlyConfigured, match=f"^{codec_name}: .*{inner}") as refusal:
        load(path, read)
    assert not any("hunter2" in each for each in shown_by_frames(refusal.value))


@both
def test_keys_do_not_show_in_frames(kind):
    codec = kind(JSONCodec(), [NEW])
    secret = codec._keys[codec._head].secret
    data = codec.encode(DEADLINE, VALUES, None, KEY)
    for wrong in (data[:-1], data[:20], b""):
        try:
            codec.decode(wrong, KEY)
        except DecodeError as exc:
            shown = shown_by_frames(exc)
            assert shown
            assert not any(repr(secret)[2:-1] in each or "new" in each for each in shown)


def hkdf(secret, label):
    return HKDF(SHA256(), 32, salt=None, info=label).derive(secret)


def test_encrypted_data_is_what_the_documentation_says():
    data = EncryptedCodec(JSONCodec(), [NEW]).encode(DEADLINE, VALUES, None, KEY)
    key = hkdf(NEW, b"django_scs.codecs.encrypted")
    assert data[:7] == b"\x00E1" + hkdf(key, b"id")[:4]
    of_session = AESGCM(hmac.digest(key, KEY.encode(), "sha256"))
    plain = of_session.decrypt(data[7:19], data[19:], data[:7] + KEY.encode())
    assert plain == JSONCodec().encode(DEADLINE, VALUES)


def test_signed_data_is_what_the_documentation_says():
    data = SignedCodec(JSONCodec(), [NEW]).encode(DEADLINE, VALUES, None, KEY)
    key = hkdf(NEW, b"django_scs.codecs.signed")
    assert data[:7] == b"\x00H1" + hkdf(key, b"id")[:4]
    signed = data[:7] + b"\0\0\0\x2b" + KEY.encode() + data[39:]
    assert data[7:39] == hmac.digest(key, signed, "sha256")


def test_derive_is_hkdf_as_the_rfc_defines_it():
    # RFC 5869, test case 3: no salt, no info; the first 32 bytes.
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert sealing.derive(b"\x0b" * 22, b"").hex() == expected
    assert sealing.derive("é", b"a") == sealing.derive("é".encode(), b"a")


def test_without_cryptography_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from django_scs.codecs.base import load\n"
        "import django_scs.codecs.signed\n"
        "load('django_scs.codecs.encrypted.EncryptedCodec', {}.get)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImproperlyConfigured" in run.stderr
    assert "pip install 'django_scs[crypto]'" in run.stderr.splitlines()[-1]
