import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_scs.codecs.base import load
from django_scs.codecs.serializer import SerializerCodec
from django_scs.exceptions import DecodeError, EncodeError
from tests.contracts.codec import CodecContract

DEADLINE = CodecContract.DEADLINE


class Pickle:
    def dumps(self, values):
        return pickle.dumps(values)

    def loads(self, data):
        return pickle.loads(data)


class Decimals:
    """Keeps decimals, as projects do that have a serializer of their own."""

    def dumps(self, values):
        return json.dumps(values, default=self._plain).encode()

    def _plain(self, value):
        if isinstance(value, Decimal):
            return {"decimal": str(value)}
        raise TypeError(f"no {type(value).__name__}")

    def loads(self, data):
        return json.loads(
            data, object_hook=lambda item: Decimal(item["decimal"]) if "decimal" in item else item
        )


class Text:
    def dumps(self, values):
        return json.dumps(values)


class TestSerializerCodec(CodecContract):
    VALUES = {  # noqa: RUF012
        key: value for key, value in CodecContract.VALUES.items() if key not in ("bytes", "time")
    }

    @pytest.fixture
    def codec(self):
        return SerializerCodec()


class TestSerializerCodecOverPickle(CodecContract):
    @pytest.fixture
    def codec(self):
        return SerializerCodec(f"{__name__}.Pickle")

    @pytest.mark.parametrize("value", [lambda: None, iter(lambda: 1, 2)])
    def test_encode_refuses_by_key_and_type(self, codec, value):
        super().test_encode_refuses_by_key_and_type(codec, value)

    def test_tuple_comes_back_as_a_list(self, codec):
        data = codec.encode(DEADLINE, {"a": (1,)})
        assert codec.decode(data)[1] == {"a": (1,)}

    def test_unchanged_values_are_unchanged_bytes(self, codec):
        word = "".join(["wo", "rd"])
        values = {"a": word, "b": word, "c": {1, 2}, "d": [datetime(2024, 1, 1, tzinfo=UTC)]}
        data = codec.encode(DEADLINE, values)
        _, decoded = codec.decode(data)
        # The same text, but not the same object: pickle writes it twice.
        decoded["b"] = "".join(["wo", "rd"])
        assert codec.encode(*codec.decode(data), data) == data
        assert codec.encode(DEADLINE, {**decoded, "a": 1}, data) != data
        assert codec.encode(DEADLINE, {**decoded, "c": {True, 2}}, data) != data


def test_serializer_of_the_project_is_used():
    read = {"SESSION_SERIALIZER": f"{__name__}.Decimals"}.get
    codec = load("django_scs.codecs.serializer.SerializerCodec", read)
    data = codec.encode(DEADLINE, {"price": Decimal("1.10")})
    assert codec.decode(data) == (DEADLINE, {"price": Decimal("1.10")})
    assert data.endswith(b'{"price": {"decimal": "1.10"}}')
    assert len(data) == 11 + len('{"price": {"decimal": "1.10"}}')


def test_without_setting_it_is_djangos():
    data = SerializerCodec.from_settings({}.get).encode(DEADLINE, {1: (2,)})
    assert SerializerCodec().decode(data) == (DEADLINE, {"1": [2]})


@pytest.mark.parametrize(
    "path",
    [
        "no.such",
        "json",
        "json.dumps",
        "collections.OrderedDict",
        f"{__name__}.Text",
        ".Text",
        5,
        None,
    ],
)
def test_what_is_no_serializer_is_refused(path):
    with pytest.raises(ImproperlyConfigured, match="SESSION_SERIALIZER") as refusal:
        SerializerCodec.from_settings({"SESSION_SERIALIZER": path}.get)
    assert repr(path) in str(refusal.value)


def test_errors_of_the_serializer_are_ours():
    codec = SerializerCodec(f"{__name__}.Decimals")
    with pytest.raises(EncodeError, match=r"'cart' holds a list .*SESSION_SERIALIZER.*no set"):
        codec.encode(DEADLINE, {"a": 1, "cart": [{1}]})
    data = codec.encode(DEADLINE, {})
    for foreign in (data[:11] + b"[]", data[:11] + b"{", b"{}", data[:3] + b"\xff" * 8 + b"{}"[:1]):
        with pytest.raises(DecodeError):
            codec.decode(foreign)
    with pytest.raises(DecodeError, match="OverflowError"):
        codec.decode(data[:3] + b"\x7f" + b"\xff" * 7 + b"{}")
