"""The default codec: JSON, with markers for what JSON lacks. See docs/codecs.md for the format."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..exceptions import DecodeError, EncodeError

# Python parses and prints decimal integers of up to 4300 digits; 14000 bits are 4215 digits.
_LONGEST_DECIMAL = 14_000


class JSONCodec:
    """Writes ``{"deadline": "2026-11-21T21:40:41.123456+00:00", "values": {...}}``.

    Keeps str, int of any size, float, bool, None, list, dict with str keys, aware datetime (its UTC
    offset, not its zone's name) and bytes. A value that JSON lacks is a dict of one key, its marker:
    ``{"$bytes": "aGk="}``. A dict of the application's that looks like one gets another ``$``.
    """

    binds_key = False

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode; there is nothing in ``original`` that ``values`` lack."""
        try:
            plain = _plain_dict(values)
            when = deadline.astimezone(UTC).isoformat()
            return _dumps({"deadline": when, "values": plain}).encode()
        except _Unsupported as exc:
            problem, name = exc.problem, exc.path[-1]
        except RecursionError:
            problem, name = "values nested too deeply, or within themselves,", _deepest(values)
        raise EncodeError(
            f"Session key {name!r} holds {problem} which the JSON codec cannot keep. It keeps str, int,"
            " float, bool, None, bytes, aware datetime, list, and dict with str keys."
        )

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        try:
            loads = _decode_marked if b'"$' in data else _decode_unmarked
            envelope = loads(data.decode())
            deadline = _read_datetime(envelope["deadline"]).astimezone(UTC)
            values = envelope["values"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            raise DecodeError(f"Not written by the JSON codec: {type(exc).__name__}") from exc
        if not isinstance(values, dict):
            raise DecodeError("Not written by the JSON codec: no values")
        return deadline, values


class _Unsupported(Exception):
    """Carries what is wrong, and the keys that lead to it, innermost first."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.path: list[Any] = []


def _plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    write = _WRITERS.get(kind) or next(
        (write for base, write in _WRITERS.items() if isinstance(value, base)), None
    )
    if write is None:
        raise _Unsupported(f"a {kind.__qualname__},")
    return write(value)


def _plain_dict(value: dict[Any, Any]) -> dict[str, Any]:
    plain = {}
    for key, item in value.items():
        try:
            if not isinstance(key, str):
                raise _Unsupported(f"a dict key of type {type(key).__qualname__},")
            plain[key] = _plain(item)
        except _Unsupported as exc:
            exc.path.append(key)
            raise
    if len(plain) == 1:
        (key,) = plain
        if key in _READERS or key.startswith("$$"):
            return {f"${key}": plain[key]}
    return plain


def _deepest(values: dict[str, Any]) -> str:
    """Return the key under which there is no end."""
    for key, value in values.items():
        try:
            _dumps(_plain(value))
        except RecursionError:
            return key
    return ""


def _plain_list(value: list[Any]) -> list[Any]:
    return [_plain(item) for item in value]


def _plain_int(value: int) -> Any:
    number = int(value)
    return number if number.bit_length() <= _LONGEST_DECIMAL else {"$int": hex(number)}


def _plain_float(value: float) -> Any:
    number = float(value)
    return number if number - number == 0 else {"$float": repr(number)}


def _plain_datetime(value: datetime) -> Any:
    if value.utcoffset() is None:
        raise _Unsupported("a naive datetime,")
    return {"$datetime": value.isoformat()}


def _plain_bytes(value: bytes) -> Any:
    return {"$bytes": b64encode(value).decode("ascii")}


_WRITERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: _plain_int,
    float: _plain_float,
    list: _plain_list,
    dict: _plain_dict,
    datetime: _plain_datetime,
    bytes: _plain_bytes,
}


def _read_int(text: str) -> int:
    if not re.fullmatch(r"-?0x[0-9a-f]+", text):
        raise ValueError("malformed $int")
    return int(text, 16)


def _read_datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("naive datetime")
    return moment


_READERS: dict[str, Callable[[str], Any]] = {
    "$bytes": lambda text: b64decode(text, validate=True),
    "$datetime": _read_datetime,
    "$float": float,
    "$int": _read_int,
}


def _unmark(value: dict[str, Any]) -> Any:
    """Undo what the writers marked; called by the JSON parser for each dict, innermost first."""
    if len(value) != 1:
        return value
    ((key, item),) = value.items()
    if key.startswith("$$"):
        return {key[1:]: item}
    read = _READERS.get(key)
    # A marker of a later version stays as it is, and is written back as it is.
    return value if read is None else read(item)


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode_unmarked = json.JSONDecoder().decode
_decode_marked = json.JSONDecoder(object_hook=_unmark).decode
