"""Shared by the codecs: resolve lazy values, limit nesting, advise what to store instead."""

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.datastructures import MultiValueDict
from django.utils.functional import LazyObject, Promise

#: Levels of dicts and lists within a session's value, such as 2 for ``{"a": [1]}``. To read, copy or
#: compare a value may take several Python frames for each level, and Python allows a thousand.
MAX_DEPTH = 100
TOO_DEEP = f"more than {MAX_DEPTH} levels of dicts and lists: store it flatter, or as JSON text."


def resolve(value: Any) -> Any:
    """Return the value behind a lazy value, and any other value as it is."""
    while isinstance(value, Promise | LazyObject):
        # Model fields call the first method, pickle calls the second.
        cast = getattr(value, "_proxy____cast", None)
        value = cast() if cast else value.__reduce__()[1][0]
    return value


def key_too_deep(values: dict[Any, Any]) -> Any:
    """Return the first session key under which there are more than MAX_DEPTH levels, or None.

    A value that contains itself has endless levels.
    """
    if not _deeper(values, MAX_DEPTH + 1):
        return None
    return next(key for key, value in values.items() if _deeper([value], MAX_DEPTH + 1))


def _deeper(container: Any, levels: int) -> bool:
    level = [container]
    for _ in range(levels):
        parts: list[Any] = []
        for each in level:
            parts += each.values() if isinstance(each, dict) else each
        # Each part once: a list that contains itself twice has twice as many parts at each level.
        level = list({id(part): part for part in parts if isinstance(part, _CONTAINERS)}.values())
        if not level:
            return False
    return True


def describe(value: Any) -> str:
    """Return a refused value's type, and what to store instead if that is known."""
    kind = type(value).__qualname__
    if isinstance(value, datetime):
        kind = "naive datetime"
    advice = next((text for types, text in _ADVICE if isinstance(value, types)), None)
    return f"a {kind}: {advice}." if advice else f"a {kind}."


def key_text(key: Any) -> str | None:
    """Return the text that json.dumps makes of a dict's key, or None if it refuses the key."""
    key = resolve(key)
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return _CONSTANTS[key]
    if isinstance(key, int):
        # Python refuses to write an int of too many digits.
        with suppress(ValueError):
            return int.__repr__(key)
    if isinstance(key, float):
        text = float.__repr__(key)
        return _CONSTANTS.get(text, text)
    return None


_CONTAINERS = (dict, list, tuple)
_CONSTANTS: dict[Any, str] = {
    True: "true",
    False: "false",
    None: "null",
    "nan": "NaN",
    "inf": "Infinity",
    "-inf": "-Infinity",
}
_ADVICE: tuple[tuple[Any, str], ...] = (
    (MultiValueDict, "store dict(q.lists()) instead, which has all values of each key"),
    (datetime, "store an aware one, such as django.utils.timezone.make_aware(value)"),
    ((set, frozenset), "store a list, such as sorted(value)"),
    ((bytearray, memoryview), "store bytes(value)"),
    ((Decimal, UUID), "store str(value)"),
    ((date, time), "store value.isoformat()"),
    (timedelta, "store value.total_seconds()"),
)
