"""The default codec: JSON, with markers for types that JSON lacks. See docs/codecs.md."""

import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.datastructures import MultiValueDict

from ..exceptions import DecodeError, EncodeError, EncodeValueError
from .values import MAX_DEPTH, TOO_DEEP, describe, key_text, resolve

# The most digits of a decimal integer that Python reads by default.
_MOST_DIGITS = 4300


class JSONCodec:
    """Writes ``{"deadline": "2026-11-21T21:40:41.123456+00:00", "values": {...}}``.

    Stores what Django's JSONSerializer stores, with the same result: a tuple comes back as a list, a
    dict's key 1 as ``"1"``, lazy text as text. It also stores int of any size, all floats, bytes,
    Decimal, UUID, date, time, timedelta and aware datetime (the UTC offset, not the zone's name). A
    value of a type that JSON lacks is a dict of one key, its marker: ``{"$bytes": "aGk="}``. A dict
    of the application that looks like a marker gets another ``$``.
    """

    binds_key = False

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode. ``original`` is not used: ``values`` have all that is in it."""
        session = {"deadline": deadline.astimezone(UTC).isoformat(), "values": values}
        # Values that JSON has need no copy; the copy would take most of the time.
        if type(values) is dict and _is_plain(values, MAX_DEPTH):
            try:
                return _dumps(session).encode()
            except ValueError:
                # A float that is not finite, or a long int.
                pass
        try:
            session["values"] = _plain_dict(values, MAX_DEPTH)
        except _Refused as exc:
            raise exc.error(f"Session key {exc.path[-1]!r} holds {exc.problem}") from None
        return _dumps(session).encode()

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        try:
            text = data.strip().decode()
            envelope, end = (_read_marked if '"$' in text else _read_unmarked)(text)
            if end != len(text):
                raise ValueError("data after the envelope")
            deadline = _read_datetime(envelope["deadline"]).astimezone(UTC)
            values = envelope["values"]
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as exc:
            raise DecodeError(f"Not written by the JSON codec: {type(exc).__name__}") from exc
        if not isinstance(values, dict):
            raise DecodeError("Not written by the JSON codec: no values")
        return deadline, values


def _is_plain(container: Any, levels: int) -> bool:
    """Tell whether JSON has all that a dict, list or tuple holds, at ``levels`` levels at most."""
    if type(container) is dict:
        if len(container) == 1:
            (key,) = container
            if type(key) is not str or key.startswith("$"):
                return False
        # The two loops are nearly alike for speed: this runs at each save.
        for key, item in container.items():
            kind = type(item)
            if type(key) is not str or not (kind in _SCALARS or _is_plain_part(item, kind, levels)):
                return False
    else:
        for item in container:
            kind = type(item)
            if not (kind in _SCALARS or _is_plain_part(item, kind, levels)):
                return False
    return True


def _is_plain_part(item: Any, kind: type, levels: int) -> bool:
    return kind in _CONTAINERS and levels > 0 and _is_plain(item, levels - 1)


class _Refused(Exception):
    """Carries what is wrong, and the keys that lead to it, innermost first."""

    def __init__(self, problem: str, error: type[EncodeError] = EncodeError) -> None:
        self.problem = problem
        self.error = error
        self.path: list[Any] = []


def _plain(value: Any, levels: int) -> Any:
    """Return ``value`` in types that JSON has."""
    value = resolve(value)
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if isinstance(value, dict):
        return _plain_dict(value, _next(levels))
    if isinstance(value, list | tuple):
        return _plain_list(value, _next(levels))
    write = _WRITERS.get(kind) or next(
        (write for base, write in _WRITERS.items() if isinstance(value, base)), None
    )
    if write is None:
        raise _Refused(f"{describe(value)} {_KEEPS}")
    return write(value)


def _next(levels: int) -> int:
    if not levels:
        raise _Refused(TOO_DEEP, EncodeValueError)
    return levels - 1


def _plain_dict(value: dict[Any, Any], levels: int) -> dict[str, Any]:
    if isinstance(value, MultiValueDict):
        raise _Refused(describe(value))
    plain = {}
    for key, item in value.items():
        try:
            plain[_plain_key(key)] = _plain(item, levels)
        except _Refused as exc:
            exc.path.append(key)
            raise
    if len(plain) == 1:
        ((key, item),) = plain.items()
        if key in _READERS or key.startswith("$$"):
            return {f"${key}": item}
    return plain


def _plain_key(key: Any) -> str:
    text = key_text(key)
    if text is None:
        kind = type(key).__qualname__
        raise _Refused(f"a dict with a key of type {kind}: store str(key) or another text instead.")
    return text


def _plain_list(value: Iterable[Any], levels: int) -> list[Any]:
    return [_plain(item, levels) for item in value]


def _plain_int(value: int) -> Any:
    number = int(value)
    digits = min(sys.get_int_max_str_digits() or _MOST_DIGITS, _MOST_DIGITS)
    return number if abs(number) < 10**digits else {"$int": hex(number)}


def _plain_float(value: float) -> Any:
    number = float(value)
    return number if number - number == 0 else {"$float": repr(number)}


def _plain_datetime(value: datetime) -> Any:
    if value.utcoffset() is None:
        raise _Refused(describe(value))
    return {"$datetime": value.isoformat()}


def _plain_time(value: time) -> Any:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise _Refused("a time in a zone whose offset depends on the date: store a datetime.")
    return {"$time": value.isoformat()}


_SCALARS = {str, int, float, bool, type(None)}
_CONTAINERS = {dict, list, tuple}
# A datetime is also a date, so it has to come first.
_WRITERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: _plain_int,
    float: _plain_float,
    bytes: lambda value: {"$bytes": b64encode(value).decode("ascii")},
    datetime: _plain_datetime,
    date: lambda value: {"$date": value.isoformat()},
    time: _plain_time,
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
}
_KEEPS = (
    "The JSON codec keeps str, int, float, bool, None, list, tuple, dict, bytes, Decimal, UUID, date,"
    " time, timedelta and aware datetime."
)


def _read_int(text: str) -> int:
    if not re.fullmatch(r"-?0x[0-9a-f]+", text):
        raise ValueError("malformed $int")
    return int(text, 16)


def _read_datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("naive datetime")
    return moment


def _read_timedelta(parts: list[int]) -> timedelta:
    if [type(part) for part in parts] != [int, int, int]:
        raise ValueError("malformed $timedelta")
    return timedelta(*parts)


def _text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Return a reader that takes a str only."""

    def read_text(item: Any) -> Any:
        if not isinstance(item, str):
            raise ValueError("a marker without text")
        return read(item)

    return read_text


_READERS: dict[str, Callable[[Any], Any]] = {
    "$bytes": _text(lambda text: b64decode(text, validate=True)),
    "$date": _text(date.fromisoformat),
    "$datetime": _text(_read_datetime),
    "$decimal": _text(Decimal),
    "$float": _text(float),
    "$int": _text(_read_int),
    "$time": _text(time.fromisoformat),
    "$timedelta": _read_timedelta,
    "$uuid": _text(UUID),
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


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_read_unmarked = json.JSONDecoder().raw_decode
_read_marked = json.JSONDecoder(object_hook=_unmark).raw_decode
