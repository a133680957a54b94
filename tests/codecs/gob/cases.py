"""The vectors: sessions that the real scs wrote, and what Python is to make of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from django_scs.codecs.gob import Opaque

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_bytes())
BLOBS = {case["name"]: bytes.fromhex(case["blob_hex"]) for case in VECTORS}
# What the Go program in reverse/ registers and Python has types for.
REGISTERED = ("time.Time", "map[string]interface {}", "[]interface {}")


def decoded(case: dict[str, Any]) -> dict[str, Any]:
    """Return what scs reads in a vector, as typed JSON."""
    values = case["go_values"] if case["decoded_same"] else case["decoded_values"]
    return values or {}


def python_key(key: str) -> str:
    """Return a map key as Python shows it."""
    marker, hexed = key[:5], key[5:]
    return _text(hexed) if marker == "\0hex:" else key


def python_value(described: dict[str, Any]) -> Any:
    """Return the Python value for typed JSON; for what has none, the Ellipsis."""
    go = described["type"]
    if go.startswith("[]") and go != "[]uint8":
        elems = [python_value(each) for each in described.get("elems", ())]
        return ... if "." in go or (... in elems and "interface" not in go) else elems
    if go.startswith("map["):
        return (
            ...
            if "." in go
            else {
                python_value(each["key"]): python_value(each["value"])
                for each in described["entries"]
            }
        )
    return _SCALARS.get(go, lambda described: ...)(described)


def strict(value: Any) -> Any:
    """Return what tells values apart that Python calls equal, and NaN not from NaN."""
    if isinstance(value, dict):
        return {key: strict(each) for key, each in value.items()}
    if isinstance(value, list):
        return [strict(each) for each in value]
    if isinstance(value, Opaque):
        return ...
    return (type(value), repr(value))


def _text(hexed: str) -> str:
    return bytes.fromhex(hexed).decode("utf-8", "surrogateescape")


def _float(described: dict[str, Any]) -> float:
    return struct.unpack(">d", bytes.fromhex(described["bits"]))[0]


def _time(described: dict[str, Any]) -> Any:
    text = described["value"]
    if text.startswith("-"):
        return ...
    seconds = described.get("offset_seconds", 0)
    local = datetime.fromisoformat(text[:19])
    fraction = text[19:].removesuffix("Z").partition("+")[0].partition("-")[0]
    microsecond = int(fraction[1:7].ljust(6, "0")) if fraction.startswith(".") else 0
    zone = timezone(timedelta(seconds=seconds))
    return local.replace(microsecond=microsecond, tzinfo=zone)


def _value(described: dict[str, Any]) -> Any:
    return described["value"]


_SCALARS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nil": lambda described: None,
    "string": lambda described: (
        _text(described["hex"]) if "hex" in described else described["value"]
    ),
    "bool": _value,
    **{f"{sign}int{bits}": _value for sign in ("", "u") for bits in ("", 8, 16, 32, 64)},
    "uintptr": _value,
    "float64": _float,
    "float32": _float,
    **{
        name: lambda described: complex(_float(described["real"]), _float(described["imag"]))
        for name in ("complex64", "complex128")
    },
    "[]uint8": lambda described: bytes.fromhex(described.get("hex", "")),
    "time.Time": _time,
}
