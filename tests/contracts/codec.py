"""The suite of ``django_scs.codecs.base.Codec``."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from django_scs.codecs.base import Codec
from django_scs.exceptions import DecodeError, EncodeError

from .tools import HOUR


class CodecContract:
    """The suite of ``django_scs.codecs.base.Codec``."""

    DEADLINE = datetime(2030, 5, 17, 12, 30, 15, 123_456, UTC)
    VALUES: ClassVar[dict[str, Any]] = {
        "str": "snippet ☃",
        "int": -7,
        "float": 0.1,
        "true": True,
        "false": False,
        "bytes": b"\x00\xff",
        "time": datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC),
        "list": ["a", "b"],
        "dict": {"a": "b"},
    }

    @pytest.fixture
    def codec(self) -> Codec:
        """Return the codec."""
        raise NotImplementedError

    def test_decode_gives_what_encode_got(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES)
        assert type(data) is bytes
        deadline, values = codec.decode(data)
        assert deadline == self.DEADLINE
        assert deadline.utcoffset() is not None
        assert values == self.VALUES
        assert {key: type(value) for key, value in values.items()} == {
            key: type(value) for key, value in self.VALUES.items()
        }

    def test_encode_of_no_values(self, codec: Codec) -> None:
        assert codec.decode(codec.encode(self.DEADLINE, {})) == (self.DEADLINE, {})

    def test_encode_of_what_was_decoded_equals_the_original(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES)
        assert codec.encode(*codec.decode(data), data) == data

    def test_encode_tells_changes_from_the_original(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES)
        deadline, values = codec.decode(data)
        assert codec.encode(deadline, {**values, "int": 8}, data) != data
        assert codec.encode(deadline + HOUR, values, data) != data

    def test_encode_leaves_its_arguments_alone(self, codec: Codec) -> None:
        values = {"list": [["a"]], "dict": {"$bytes": {"a": b"b"}}}
        codec.encode(self.DEADLINE, values)
        assert values == {"list": [["a"]], "dict": {"$bytes": {"a": b"b"}}}

    @pytest.mark.parametrize("value", [object(), {1, 2}, 1j, datetime(2024, 1, 1), iter([])])
    def test_encode_refuses_by_key_and_type(self, codec: Codec, value: Any) -> None:
        with pytest.raises(EncodeError, match="(?s)'cart'.*" + type(value).__name__):
            codec.encode(self.DEADLINE, {"fine": "a", "cart": value})

    @pytest.mark.parametrize(
        "data", [b"", b"\x00", b"null", b"hello", b"\xff" * 40, b"[" * 100_000]
    )
    def test_decode_refuses_foreign_bytes(self, codec: Codec, data: bytes) -> None:
        with pytest.raises(DecodeError):
            codec.decode(data)

    def test_decode_of_cut_off_bytes_is_refused(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES)
        for length in range(len(data)):
            with pytest.raises(DecodeError):
                codec.decode(data[:length])
