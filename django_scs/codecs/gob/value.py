"""A gob of a single value, which has no Go name: what Go's ``gob.NewEncoder(w).Encode(v)`` writes.

On the wire an integer differs from a string and a list from a dict, but all widths of integers look
the same. Source: Go encoding/gob encoder.go Encode, decoder.go Decode.
"""

from collections.abc import Sequence
from typing import Any

from ...exceptions import DecodeError, EncodeError, EncodeValueError
from . import wire
from .types import INTERFACE, TIME, Unloadable, fits, go_type, settle
from .wire import Opaque, Reader, Type, Writer, sized

_STANDARD_NUMBERS = {type_: number for number, type_ in wire.BUILTINS.items()}
# Go's name of the widest type of each kind.
_NAMES = {
    wire.BOOL: "bool",
    wire.INT: "int64",
    wire.UINT: "uint64",
    wire.FLOAT: "float64",
    wire.BYTES: "[]uint8",
    wire.STRING: "string",
    wire.COMPLEX: "complex128",
    wire.INTERFACE: INTERFACE.name,
}


def loads(data: bytes) -> Any:
    """Return the value of a gob; an Opaque if Python has no type for it.

    Raises only DecodeError for bytes that are not a gob.
    """
    reader = Reader(data, 0, dict(wire.BUILTINS))
    try:
        type_ = reader.next_type(in_interface=False)
        read_start(reader, type_)
        return plain(Opaque(type_.name.decode("utf-8", "replace"), type_, reader.value(type_)))
    except RecursionError:
        raise DecodeError("nested too deeply") from None


def dumps(value: Any, declared: Sequence[str] = ()) -> bytes:
    """Return the gob of a value.

    ``declared`` are Go types to choose from if the value is neither basic nor a list of basic values,
    such as ``"map[string]interface {}"``. Raises EncodeError for a value without a Go type, as None.
    """
    try:
        sent = INTERFACE.dump(settle(value), None, declared)
        if sent is None:
            raise EncodeError("Go cannot encode nil")
        writer = Writer(_STANDARD_NUMBERS)
        out = bytearray(wire.integer(writer.number(sent.wire)))
        if sent.wire.kind is not wire.STRUCT:
            out += b"\x00"
        writer.value(sent.wire, sent.raw)
        message = out + writer.out
        return writer.definitions() + sized(message)
    except RecursionError:
        raise EncodeValueError("The value is nested too deeply.") from None


def read_start(reader: Reader, type_: Type) -> None:
    """Read what comes before a value that is not in an interface: a zero, unless it is a struct."""
    if type_.kind is not wire.STRUCT and reader.uint() != 0:
        raise DecodeError("malformed value")


def plain(sent: Opaque) -> Any:
    """Return the Python value for the type on the wire; ``sent`` if Python has no such type."""
    go = go_type(_name(sent.wire))
    if go is None or not fits(sent.wire, go.wire):
        return sent
    try:
        return go.load(sent.raw)
    except Unloadable:
        return sent


def _name(type_: Type, depth: int = 8) -> str:
    """Return a Go type that is the same on the wire, or "" if Python has no counterpart."""
    if type_ in _NAMES:
        return _NAMES[type_]
    if type_.kind is wire.GOB_ENCODER and type_.name == TIME.wire.name:
        return TIME.name
    pattern = _PATTERNS.get(type_.kind)
    # A type may contain itself.
    if pattern is None or not depth:
        return ""
    parts = [_name(each, depth - 1) for each in type_.elems]
    return pattern.format(*parts) if all(parts) else ""


_PATTERNS = {wire.SLICE: "[]{}", wire.MAP: "map[{}]{}"}
