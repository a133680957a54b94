"""The codec for projects that already have their own SESSION_SERIALIZER.

See docs/codecs.md for the format.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..exceptions import DecodeError, EncodeError, EncodeValueError
from .base import ReadSetting
from .values import TOO_DEEP, key_too_deep

# No session in JSON or gob begins with a zero.
_MAGIC = b"\x00S1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEAD = len(_MAGIC) + 8


class SerializerCodec:
    """Writes the deadline, and after it the bytes that a serializer of Django's kind returns.

    ``serializer`` is the dotted path of a class with ``dumps(values) -> bytes`` and ``loads(bytes)``.
    It decides which values can be stored, and what happens at reading: a pickle can run any code.
    """

    binds_key = False

    def __init__(
        self, serializer: str = "django.contrib.sessions.serializers.JSONSerializer"
    ) -> None:
        try:
            self._serializer = import_string(serializer)
            made = self._serializer()
            found = callable(made.dumps) and callable(made.loads)
        except (ImportError, AttributeError, TypeError, ValueError) as exc:
            raise ImproperlyConfigured(_no_serializer(serializer)) from exc
        if not found:
            raise ImproperlyConfigured(_no_serializer(serializer))

    @classmethod
    def from_settings(cls, read: ReadSetting) -> "SerializerCodec":
        """Return the codec with the project's ``SESSION_SERIALIZER``.

        Raises ImproperlyConfigured if that is no dotted path of a serializer.
        """
        return cls(read("SESSION_SERIALIZER", "django.contrib.sessions.serializers.JSONSerializer"))

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode."""
        data = _pack(deadline) + self._dumps(values)
        if original is None or data == original or original[:_HEAD] != data[:_HEAD]:
            return data
        return original if self._is_unchanged(original, values, data) else data

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        if len(data) < _HEAD or not data.startswith(_MAGIC):
            raise DecodeError("Not written by the serializer codec")
        try:
            microseconds = int.from_bytes(data[len(_MAGIC) : _HEAD], "big", signed=True)
            deadline = _EPOCH + microseconds * _MICROSECOND
            values = self._serializer().loads(data[_HEAD:])
        # A serializer may raise any error.
        except Exception as exc:
            raise DecodeError(f"The serializer cannot read it: {type(exc).__name__}") from exc
        if not isinstance(values, dict):
            raise DecodeError("The serializer gives no dict")
        return deadline, values

    def _dumps(self, values: dict[str, Any]) -> bytes:
        name = key_too_deep(values)
        if name is not None:
            raise EncodeValueError(f"Session key {name!r} holds {TOO_DEEP}")
        problem = self._problem(values)
        if isinstance(problem, bytes):
            return problem
        for key, value in values.items():
            of_key = self._problem({key: value})
            if isinstance(of_key, Exception):
                raise EncodeError(
                    f"Session key {key!r} holds a {type(value).__qualname__} that SESSION_SERIALIZER"
                    f" cannot keep: {of_key}"
                ) from of_key
        raise EncodeError(f"SESSION_SERIALIZER cannot keep the values: {problem}") from problem

    def _problem(self, values: dict[str, Any]) -> bytes | Exception:
        """Return the bytes that the serializer makes of the values, or the error."""
        try:
            data = self._serializer().dumps(values)
        except Exception as exc:
            return exc
        if isinstance(data, bytes):
            return data
        return TypeError(f"it returns {type(data).__qualname__} instead of bytes")

    def _is_unchanged(self, original: bytes, values: dict[str, Any], data: bytes) -> bool:
        """Tell whether ``original`` has the same values: two pickles of one value may differ."""
        try:
            before = self.decode(original)[1]
            # To Python True equals 1, so their bytes are compared as well.
            return bool(before == values) and self._dumps(before) == data[_HEAD:]
        except Exception:
            return False


def _pack(deadline: datetime) -> bytes:
    return _MAGIC + ((deadline - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)


def _no_serializer(path: Any) -> str:
    return (
        f"SESSION_SERIALIZER is {path!r}, and must be the dotted path of a class with dumps() and"
        " loads(), such as 'django.contrib.sessions.serializers.JSONSerializer'."
    )
