"""Changing the codec of a live site: each row is read, and written anew when it changes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_scs.codecs.encrypted import EncryptedCodec
from django_scs.codecs.fallback import FallbackCodec, rewrite, with_fallbacks
from django_scs.codecs.gob import GobCodec
from django_scs.codecs.json import JSONCodec
from django_scs.codecs.serializer import SerializerCodec
from django_scs.codecs.signed import SignedCodec
from django_scs.exceptions import DecodeError, EncodeError
from tests.contracts.codec import CodecContract

from .gob.cases import BLOBS, REGISTERED

DEADLINE, KEY, OTHER = CodecContract.DEADLINE, CodecContract.KEY, CodecContract.OTHER
VALUES = {"user": "5", "visits": 3, "on": True, "off": None, "rate": 0.5, "list": ["a", "b"]}
SECRET = "s" * 32
CODECS = {
    "json": JSONCodec(),
    "gob": GobCodec(REGISTERED),
    "serializer": SerializerCodec(),
    "encrypted": EncryptedCodec(JSONCodec(), [SECRET]),
    "signed": SignedCodec(JSONCodec(), [SECRET]),
}
MOVES = [(old, new) for old in CODECS for new in CODECS if old != new]
moves = pytest.mark.parametrize(("old", "new"), MOVES)


class TestFallbackCodec(CodecContract):
    @pytest.fixture
    def codec(self):
        return FallbackCodec(JSONCodec(), [GobCodec(REGISTERED)])


class TestFallbackCodecThatEncrypts(CodecContract):
    @pytest.fixture
    def codec(self):
        return FallbackCodec(EncryptedCodec(JSONCodec(), [SECRET]), [JSONCodec()])


class TestFallbackCodecOnItsWayBack(CodecContract):
    @pytest.fixture
    def codec(self):
        return FallbackCodec(JSONCodec(), [EncryptedCodec(JSONCodec(), [SECRET])])

    def test_decode_of_a_moved_row_is_refused_if_the_key_is_bound(self, codec):
        """What it writes itself is not bound; what the fallback wrote is."""
        data = EncryptedCodec(JSONCodec(), [SECRET]).encode(DEADLINE, VALUES, None, KEY)
        assert codec.decode(data, KEY) == (DEADLINE, VALUES)
        with pytest.raises(DecodeError):
            codec.decode(data, OTHER)

    def test_encode_with_another_key_is_a_renewal(self, codec):
        old = EncryptedCodec(JSONCodec(), [SECRET]).encode(DEADLINE, VALUES, None, KEY)
        for original in (None, old):
            data = codec.encode(DEADLINE, VALUES, original, OTHER)
            assert codec.decode(data, OTHER) == (DEADLINE, VALUES)


@moves
def test_row_is_read_kept_and_written_anew(old, new):
    main, before = CODECS[new], CODECS[old]
    codec = FallbackCodec(main, [before])
    data = before.encode(DEADLINE, VALUES, None, KEY)

    deadline, values = codec.decode(data, KEY)
    assert (deadline, values) == (DEADLINE, VALUES)
    assert codec.encode(deadline, values, data, KEY) == data

    changes = [
        (deadline, {**values, "visits": 4}),
        (deadline, {**values, "on": 1}),
        (deadline + timedelta(hours=1), values),
        (deadline, {}),
    ]
    for changed in changes:
        written = codec.encode(*changed, data, KEY)
        assert repr(main.decode(written, KEY)) == repr(changed)
        with pytest.raises(DecodeError):
            before.decode(written, KEY)
        assert codec.encode(*codec.decode(written, KEY), written, KEY) == written

    rewritten = codec.rewrite(data, KEY)
    assert main.decode(rewritten, KEY) == (DEADLINE, VALUES)
    assert codec.rewrite(rewritten, KEY) is rewritten


@moves
def test_without_the_fallback_the_row_is_not_read(old, new):
    data = CODECS[old].encode(DEADLINE, VALUES, None, KEY)
    with pytest.raises(DecodeError):
        CODECS[new].decode(data, KEY)
    with pytest.raises(DecodeError, match="none of the codecs"):
        FallbackCodec(CODECS[new], []).decode(data, KEY)


@pytest.mark.parametrize("name", BLOBS)
@pytest.mark.parametrize("codec", ["json", "serializer", "encrypted", "signed"])
def test_rows_that_go_wrote_are_of_no_other_codec(codec, name):
    with pytest.raises(DecodeError):
        CODECS[codec].decode(BLOBS[name], KEY)


def test_a_change_to_what_only_the_new_codec_keeps():
    codec = FallbackCodec(JSONCodec(), [SerializerCodec()])
    data = SerializerCodec().encode(DEADLINE, {"a": 1})
    changed = codec.encode(DEADLINE, {"a": Decimal("1.0")}, data)
    assert JSONCodec().decode(changed) == (DEADLINE, {"a": Decimal("1.0")})


def test_what_the_new_codec_cannot_keep_is_an_encode_error():
    codec = FallbackCodec(GobCodec(), [JSONCodec()])
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    data = JSONCodec().encode(DEADLINE, {"seen": moment})
    assert codec.encode(*codec.decode(data), data) == data
    for refused in (
        lambda: codec.rewrite(data),
        lambda: codec.encode(DEADLINE, {"seen": moment, "a": 1}, data),
    ):
        with pytest.raises(EncodeError, match="'seen'"):
            refused()


def test_first_fallback_that_reads_it_counts():
    codec = FallbackCodec(JSONCodec(), [GobCodec(), SerializerCodec()])
    for name in ("gob", "serializer"):
        assert codec.decode(CODECS[name].encode(DEADLINE, VALUES)) == (DEADLINE, VALUES)


def test_binds_key_if_one_of_them_does():
    for codecs in MOVES:
        main, fallback = (CODECS[name] for name in codecs)
        bound = FallbackCodec(main, [fallback]).binds_key
        assert bound is bool({"encrypted", "signed"} & set(codecs))


def test_rewrite_of_a_codec_that_has_nothing_to_rewrite():
    data = JSONCodec().encode(DEADLINE, VALUES)
    assert rewrite(JSONCodec(), data, KEY) is data
    rotating = FallbackCodec(EncryptedCodec(JSONCodec(), ["n" * 32, SECRET]), [JSONCodec()])
    sealed = CODECS["encrypted"].encode(DEADLINE, VALUES, None, KEY)
    for old in (data, sealed):
        new = rewrite(rotating, old, KEY)
        assert EncryptedCodec(JSONCodec(), ["n" * 32]).decode(new, KEY) == (DEADLINE, VALUES)


def test_settings_name_the_fallbacks():
    paths = ["django_scs.codecs.json.JSONCodec", "django_scs.codecs.gob.GobCodec"]
    settings = {"SCS_CODEC_FALLBACKS": paths, "SCS_GOB_REGISTERED": ["time.Time"]}
    codec = with_fallbacks(CODECS["encrypted"], settings.get)
    assert codec.codec is CODECS["encrypted"]
    assert [type(each) for each in codec.fallbacks] == [JSONCodec, GobCodec]
    for name in ("json", "gob"):
        assert codec.decode(CODECS[name].encode(DEADLINE, VALUES), KEY) == (DEADLINE, VALUES)


@pytest.mark.parametrize("paths", [{}, {"SCS_CODEC_FALLBACKS": []}, {"SCS_CODEC_FALLBACKS": ()}])
def test_without_fallbacks_the_codec_stays_as_it_is(paths):
    assert with_fallbacks(CODECS["json"], paths.get) is CODECS["json"]


@pytest.mark.parametrize("paths", ["django_scs.codecs.json.JSONCodec", None, [JSONCodec]])
def test_what_is_no_list_of_paths_is_refused(paths):
    with pytest.raises(ImproperlyConfigured, match="SCS_CODEC_FALLBACKS") as refusal:
        with_fallbacks(CODECS["json"], {"SCS_CODEC_FALLBACKS": paths}.get)
    assert repr(paths) in str(refusal.value)


@pytest.mark.parametrize(
    "path", ["no.such", "json.dumps", "django_scs.codecs.fallback.FallbackCodec"]
)
def test_path_of_no_codec_is_refused(path):
    with pytest.raises(ImproperlyConfigured, match=f"^SCS_CODEC_FALLBACKS: .*{path}"):
        with_fallbacks(CODECS["json"], {"SCS_CODEC_FALLBACKS": [path]}.get)
