"""The suite of ``django_scs.codecs.base.Codec``."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from django_scs.codecs.base import Codec
from django_scs.exceptions import DecodeError, EncodeError, EncodeValueError

from .tools import HOUR


class CodecContract:
    """The suite of ``django_scs.codecs.base.Codec``."""

    # Two store keys.
    KEY, OTHER = "k" * 43, "K" * 43
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

    def test_decode_of_a_moved_row_is_refused_if_the_key_is_bound(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES, None, self.KEY)
        assert codec.decode(data, self.KEY) == (self.DEADLINE, self.VALUES)
        for other in (self.OTHER, "", self.KEY[:-1], self.KEY + "k"):
            if codec.binds_key:
                with pytest.raises(DecodeError):
                    codec.decode(data, other)
            else:
                assert codec.decode(data, other) == (self.DEADLINE, self.VALUES)

    def test_encode_with_another_key_is_a_renewal(self, codec: Codec) -> None:
        old = codec.encode(self.DEADLINE, self.VALUES, None, self.KEY)
        for original in (None, old):
            data = codec.encode(self.DEADLINE, self.VALUES, original, self.OTHER)
            assert codec.decode(data, self.OTHER) == (self.DEADLINE, self.VALUES)
            assert (data == old) is not codec.binds_key

    def test_encode_of_no_values(self, codec: Codec) -> None:
        assert codec.decode(codec.encode(self.DEADLINE, {})) == (self.DEADLINE, {})

    def test_encode_of_what_was_decoded_equals_the_original(self, codec: Codec) -> None:
        for key in ("", self.KEY):
            data = codec.encode(self.DEADLINE, self.VALUES, None, key)
            assert codec.encode(*codec.decode(data, key), data, key) == data
            again = codec.encode(*codec.decode(data, key), bytes(bytearray(data)), key)
            assert codec.decode(again, key) == (self.DEADLINE, self.VALUES)

    def test_encode_tells_changes_from_the_original(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, self.VALUES)
        deadline, values = codec.decode(data)
        for changed in (8, True, "-7", -7.0, None):
            new = codec.encode(deadline, {**values, "int": changed}, data)
            assert new != data
            assert repr(codec.decode(new)[1]["int"]) == repr(changed)
        assert codec.encode(deadline + HOUR, values, data) != data

    def test_encode_leaves_its_arguments_alone(self, codec: Codec) -> None:
        values = {"list": [["a"]], "dict": {"$bytes": {"a": "b"}}}
        codec.encode(self.DEADLINE, values)
        assert values == {"list": [["a"]], "dict": {"$bytes": {"a": "b"}}}

    def test_tuple_comes_back_as_a_list(self, codec: Codec) -> None:
        data = codec.encode(self.DEADLINE, {"cart": ("a", "b")})
        assert codec.decode(data)[1] == {"cart": ["a", "b"]}
        assert codec.encode(self.DEADLINE, {"cart": ("a", "b")}, data) == data

    @pytest.mark.parametrize("levels", [101, 400, 100_000])
    def test_encode_refuses_too_many_levels_by_key(self, codec: Codec, levels: int) -> None:
        value: Any = {}
        for _ in range(levels - 1):
            value = {"a": value}
        with pytest.raises(EncodeValueError, match=r"'cart'.*more than 100 levels"):
            codec.encode(self.DEADLINE, {"fine": 1, "cart": value})

    def test_encode_refuses_what_contains_itself_by_key(self, codec: Codec) -> None:
        endless: list[Any] = []
        endless += [endless, {"a": endless}]
        with pytest.raises(EncodeValueError, match=r"'cart'.*more than 100 levels"):
            codec.encode(self.DEADLINE, {"fine": 1, "cart": endless})

    def test_encode_takes_100_levels(self, codec: Codec) -> None:
        value: Any = {}
        for _ in range(99):
            value = {"a": value}
        assert codec.decode(codec.encode(self.DEADLINE, {"cart": value}))[1] == {"cart": value}

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
