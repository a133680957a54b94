"""Turns Go values into Python values and back, by the Go name of their type.

Go distinguishes the types of values in an interface by name only: ``int`` and ``int64`` look the same
on the wire. Source: Go encoding/gob type.go registerBasics.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import takewhile
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured
from django.utils.datastructures import MultiValueDict

from ...exceptions import DecodeError, EncodeError, EncodeValueError
from ..base import ReadSetting
from ..values import MAX_DEPTH, TOO_DEEP, describe, resolve
from . import wire
from .wire import Opaque, Raw, Type


class Explicit:
    """Base of the classes that choose the Go type of a number, whatever type its key had before."""

    __slots__ = ()


class Int(Explicit, int):
    """An int that is written as Go's ``int``."""


class Int8(Explicit, int):
    """An int that is written as Go's ``int8``."""


class Int16(Explicit, int):
    """An int that is written as Go's ``int16``."""


class Int32(Explicit, int):
    """An int that is written as Go's ``int32``."""


class Int64(Explicit, int):
    """An int that is written as Go's ``int64``."""


class Uint(Explicit, int):
    """An int that is written as Go's ``uint``."""


class Uint8(Explicit, int):
    """An int that is written as Go's ``uint8``."""


class Uint16(Explicit, int):
    """An int that is written as Go's ``uint16``."""


class Uint32(Explicit, int):
    """An int that is written as Go's ``uint32``."""


class Uint64(Explicit, int):
    """An int that is written as Go's ``uint64``."""


class Uintptr(Explicit, int):
    """An int that is written as Go's ``uintptr``."""


class Float32(Explicit, float):
    """A float that is written as Go's ``float32``, rounded to it."""


class Float64(Explicit, float):
    """A float that is written as Go's ``float64``."""


class Complex64(Explicit, complex):
    """A complex that is written as Go's ``complex64``, rounded to it."""


class Complex128(Explicit, complex):
    """A complex that is written as Go's ``complex128``."""


class Unloadable(Exception):
    """Raised by ``load`` if the Python type cannot hold a Go value, which then stays an Opaque."""


class GoType(Protocol):
    """A Go type that has a Python counterpart."""

    @property
    def name(self) -> str: ...

    @property
    def wire(self) -> Type: ...

    def load(self, raw: Raw) -> Any:
        """Return the Python value. Raise DecodeError where Go would fail, or Unloadable."""
        ...

    def takes(self, value: Any) -> bool:
        """Tell whether ``value`` is of the Python type that stands for this one."""
        ...

    def dump(self, value: Any, old: Raw, declared: Sequence[str]) -> Raw:
        """Return the raw form of a value that the type takes.

        ``old`` is the raw form of the value before, or None. Parts whose value has not changed keep
        the details that Python cannot hold. ``declared`` are names that the Go application
        registers. Raises EncodeError, for example if a number is out of range.
        """
        ...


@dataclass(frozen=True)
class Basic:
    """A type whose values have no parts."""

    name: str
    wire: Type
    python: type
    load: Callable[[Raw], Any]
    write: Callable[[Any], Raw]

    def takes(self, value: Any) -> bool:
        return isinstance(value, self.python) and isinstance(value, bool) == (self.python is bool)

    def dump(self, value: Any, old: Raw, declared: Sequence[str]) -> Raw:
        return self.write(value)


@dataclass(frozen=True)
class _Within:
    """The range of a Go integer type. A call returns the number, or raises ``error``."""

    name: str
    low: int
    high: int
    error: type[Exception]

    def __call__(self, number: int) -> int:
        if not self.low <= number <= self.high:
            # Python refuses to write an int of thousands of digits.
            size = number.bit_length()
            which = str(int(number)) if size <= 128 else f"an int of {size} bits"
            raise self.error(
                f"{which} is out of the range of Go's {self.name}, {self.low} to {self.high}"
            )
        return int(number)


def _integer(name: str, bits: int) -> Basic:
    signed = name.startswith("int")
    low, high = (-1 << bits - 1, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    load, dump = (_Within(name, low, high, error) for error in (DecodeError, EncodeValueError))
    return Basic(name, wire.INT if signed else wire.UINT, int, load, dump)


def _load_float(raw: int) -> float:
    # The wire has the bytes of the IEEE double in reverse.
    (number,) = struct.unpack("<d", raw.to_bytes(8, "big"))
    return float(number)


def _dump_float(number: float) -> int:
    return int.from_bytes(struct.pack("<d", number), "big")


def _round(number: float, error: type[Exception]) -> float:
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError as exc:
        raise error(
            f"{number!r} is out of the range of Go's float32, ±3.4028234663852886e+38"
        ) from exc
    return float(rounded)


def _load_float32(raw: int) -> float:
    return _round(_load_float(raw), DecodeError)


def _dump_float32(number: float) -> int:
    return _dump_float(_round(number, EncodeValueError))


def _complex(name: str, load: Callable[[int], float], dump: Callable[[float], int]) -> Basic:
    return Basic(
        name,
        wire.COMPLEX,
        complex,
        lambda raw: complex(load(raw[0]), load(raw[1])),
        lambda value: (dump(value.real), dump(value.imag)),
    )


# After the byte of the version: seconds since year 1, nanoseconds, minutes of the zone's offset.
_INSTANT = struct.Struct(">qih")
_LENGTHS = {b"\x01": 15, b"\x02": 16}
_YEAR_1 = datetime(1, 1, 1)
_UTC_YEAR_1 = _YEAR_1.replace(tzinfo=UTC)


class Time:
    """``time.Time``: an aware datetime.

    A datetime cannot hold nanoseconds, nor an offset of a day or more, which is read as UTC. Both stay
    in the session until the value is changed. Source: Go time.go MarshalBinary, UnmarshalBinary.
    """

    name = "time.Time"
    wire = Type(wire.GOB_ENCODER, name=b"Time")

    def load(self, raw: bytes) -> datetime:
        if len(raw) != _LENGTHS.get(raw[:1]):
            raise DecodeError("malformed time.Time")
        seconds, nanoseconds, minutes = _INSTANT.unpack_from(raw, 1)
        try:
            span = timedelta(0, seconds, nanoseconds // 1000)
            # Version 2 adds seconds to the offset, which Go reads as unsigned.
            offset = minutes * 60 + int.from_bytes(raw[15:])
            if offset != -60:
                with suppress(OverflowError, ValueError):
                    zone = timezone(timedelta(seconds=offset))
                    return (_YEAR_1 + (span + timedelta(seconds=offset))).replace(tzinfo=zone)
            return _UTC_YEAR_1 + span
        except OverflowError as exc:
            raise Unloadable from exc

    def takes(self, value: Any) -> bool:
        return isinstance(value, datetime)

    def dump(self, value: datetime, old: bytes | None, declared: Sequence[str]) -> bytes:
        offset = value.utcoffset()
        if offset is None:
            raise EncodeError(describe(value).removesuffix("."))
        if old is not None:
            with suppress(Unloadable):
                before = self.load(old)
                if before == value and before.utcoffset() == offset:
                    return old
        return self.pack(value, offset)

    def pack(self, value: datetime, offset: timedelta = timedelta(0)) -> bytes:
        """Return the bytes that Go reads as the instant ``value``, in the zone of ``offset``."""
        minutes, seconds = divmod(offset, timedelta(minutes=1))
        if not offset:
            minutes = -1
        # Minute -1 means UTC to Go, so Go refuses to write an offset that truncates to -1 minute.
        elif offset % timedelta(seconds=1) or -120 < offset.total_seconds() <= -60:
            raise EncodeValueError(f"Go's time.Time cannot hold the zone offset {offset}")
        span = value - _UTC_YEAR_1
        whole = span.days * 86_400 + span.seconds
        packed = _INSTANT.pack(whole, span.microseconds * 1000, minutes)
        return b"\x02" + packed + bytes((seconds.seconds,)) if seconds else b"\x01" + packed


class Interface:
    """``interface {}``: None, or the name of a type and a value of that type."""

    name = "interface {}"
    wire = wire.INTERFACE

    def load(self, raw: Opaque | None) -> Any:
        go = raw and go_type(raw.go_type)
        if not raw or not go:
            return raw
        if not fits(raw.wire, go.wire):
            raise DecodeError(f"malformed {go.name}")
        try:
            return go.load(raw.raw)
        except Unloadable:
            return raw

    def takes(self, value: Any) -> bool:
        return True

    def dump(self, value: Any, old: Opaque | None, declared: Sequence[str]) -> Opaque | None:
        if value is None or isinstance(value, Opaque):
            return value
        held = go_type(old.go_type) if old and not _is_explicit(value) else None
        if old and held and held.takes(value):
            # The value before had this type, so the Go application knows it.
            return _wrap(held, held.dump(value, old.raw, (*declared, held.name)))
        for go in _candidates(value, declared):
            if go.takes(value):
                return _wrap(go, go.dump(value, None, declared))
        raise EncodeError(_explain(value))


@dataclass(frozen=True)
class SliceOf:
    """``[]T``: a list. Go gives an empty one back as nil."""

    name: str
    elem: GoType
    wire: Type

    def load(self, raw: list[Raw]) -> list[Any]:
        return [self.elem.load(each) for each in raw]

    def takes(self, value: Any) -> bool:
        return isinstance(value, list) and all(map(self.elem.takes, value))

    def dump(self, value: list[Any], old: list[Raw] | None, declared: Sequence[str]) -> list[Raw]:
        before = self._align(old, value) if old else [None] * len(value)
        return [
            self.elem.dump(each, was, declared) for each, was in zip(value, before, strict=True)
        ]

    def _align(self, old: list[Raw], new: list[Any]) -> list[Raw]:
        """Return for each new element the old one that belongs to it, or None.

        Equal elements at the beginning and at the end belong together, as in a queue that has grown at
        one end and shrunk at the other.
        """
        try:
            was = self.load(old)
        except Unloadable:
            was = []
        head = _count_equal(was, new)
        tail = _count_equal(was[head:][::-1], new[head:][::-1])
        gap = len(new) - head - tail
        middle = old[head : len(old) - tail] if len(old) == len(new) else [None] * gap
        return old[:head] + middle + old[len(old) - tail :]


@dataclass(frozen=True)
class MapOf:
    """``map[K]V``: a dict."""

    name: str
    key: GoType
    elem: GoType
    wire: Type

    def load(self, raw: dict[Raw, Raw]) -> dict[Any, Any]:
        try:
            loaded = {self.key.load(key): self.elem.load(each) for key, each in raw.items()}
        except TypeError as exc:
            raise Unloadable from exc
        # To Python 1, 1.0 and True are one key.
        if len(loaded) < len(raw):
            raise Unloadable
        return loaded

    def takes(self, value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(map(self.key.takes, value))
            and all(map(self.elem.takes, value.values()))
        )

    def dump(
        self, value: dict[Any, Any], old: dict[Raw, Raw] | None, declared: Sequence[str]
    ) -> dict[Raw, Raw]:
        old = old or {}
        known = self._known(old)
        dumped = {}
        for key, each in value.items():
            raw_key = self.key.dump(key, known.get((type(key), key)), declared)
            dumped[raw_key] = self.elem.dump(each, old.get(raw_key), declared)
        return dumped

    def _known(self, old: dict[Raw, Raw]) -> dict[tuple[type, Any], Raw]:
        try:
            keys = [(self.key.load(raw), raw) for raw in old]
            return {(type(key), key): raw for key, raw in keys}
        except (Unloadable, TypeError):
            return {}


def _map_of(key: GoType, elem: GoType) -> MapOf:
    name = f"map[{key.name}]{elem.name}"
    return MapOf(name, key, elem, Type(wire.MAP, (key.wire, elem.wire), name=name.encode()))


def _wrap(go: GoType, raw: Raw) -> Opaque:
    return Opaque(go.name, go.wire, raw)


def _count_equal(old: list[Any], new: list[Any]) -> int:
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def fits(found: Type, wanted: Type) -> bool:
    """Tell whether Go would read a value of one type as a value of the other."""
    if wanted in wire.BUILTINS.values():
        return found is wanted
    return found.kind is wanted.kind and all(map(fits, found.elems, wanted.elems))


TIME = Time()
INTERFACE = Interface()

STRING = Basic("string", wire.STRING, str, wire.text, wire.utf8)
INT = _integer("int", 64)
_BASICS: tuple[Basic, ...] = (
    STRING,
    INT,
    Basic("bool", wire.BOOL, bool, bool, int),
    *(_integer(f"int{bits}", bits) for bits in (8, 16, 32, 64)),
    _integer("uint", 64),
    *(_integer(f"uint{bits}", bits) for bits in (8, 16, 32, 64)),
    _integer("uintptr", 64),
    Basic("float64", wire.FLOAT, float, _load_float, _dump_float),
    Basic("float32", wire.FLOAT, float, _load_float32, _dump_float32),
    _complex("complex128", _load_float, _dump_float),
    _complex("complex64", _load_float32, _dump_float32),
    Basic("[]uint8", wire.BYTES, bytes, bytes, bytes),
)
VALUES = _map_of(STRING, INTERFACE)
_OTHERS: tuple[GoType, ...] = (TIME, INTERFACE, VALUES)
_PARTS: dict[str, GoType] = {go.name: go for go in (*_BASICS, *_OTHERS)}
# The names that Go knows without Register.
_KNOWN = {go.name for go in _BASICS} | {f"[]{go.name}" for go in _BASICS if go.name[0] != "["}

_NATURAL: dict[type, str] = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "float64",
    complex: "complex128",
    bytes: "[]uint8",
    **{cls: cls.__name__.lower() for cls in Explicit.__subclasses__()},
}
# A type's name may have any length, but a deep type would take too many Python frames.
_DEEPEST_NAME = 16


@lru_cache(maxsize=256)
def go_type(name: str) -> GoType | None:
    """Return the type of a value in an interface by its name, or None if the name is not known."""
    return None if name == INTERFACE.name or name.count("[") > _DEEPEST_NAME else _parse(name)


def _parse(name: str) -> GoType | None:
    if name in _PARTS:
        return _PARTS[name]
    if name.startswith("[]"):
        elem = _parse(name[2:])
        return elem and SliceOf(name, elem, Type(wire.SLICE, (elem.wire,)))
    if name.startswith("map["):
        # The type of a key has no brackets here: Python cannot use a list or dict as a key.
        key_name, _, elem_name = name[4:].partition("]")
        key, elem = _parse(key_name), _parse(elem_name)
        if key and elem:
            return _map_of(key, elem)
    return None


def _natural(value: Any) -> str | None:
    """Return the name under which Go knows a basic value without Register."""
    return next((_NATURAL[cls] for cls in type(value).__mro__ if cls in _NATURAL), None)


def _is_explicit(value: Any) -> bool:
    if isinstance(value, list) and value:
        return all(isinstance(each, Explicit) for each in value)
    return isinstance(value, Explicit)


def _candidates(value: Any, declared: Sequence[str]) -> Iterator[GoType]:
    """Yield the types to try for a value: the one that Go always knows, then those declared."""
    name = _natural(value)
    if isinstance(value, list):
        names = set(map(_natural, value)) or {"string"}
        name = f"[]{names.pop()}" if len(names) == 1 else None
    for each in (name if name in _KNOWN else None, *declared):
        if each and (go := go_type(each)):
            yield go


_EXAMPLES: dict[type, str] = {
    datetime: "time.Time",
    dict: "map[string]interface {}",
    list: "[]interface {}",
}


def _explain(value: Any) -> str:
    kind = type(value).__qualname__
    for cls, example in _EXAMPLES.items():
        if isinstance(value, cls):
            return (
                f"Go knows this {kind} only under a name that the Go application registers with"
                f" gob.Register, such as {example!r}: declare it in SCS_GOB_REGISTERED"
                f"{_explain_keys(value)}"
            )
    return describe(value).removesuffix(".")


def _explain_keys(value: Any) -> str:
    keys = value if isinstance(value, dict) else ()
    kinds = {type(key).__qualname__ for key in keys} - {"str"}
    return f". It has keys of type {', '.join(sorted(kinds))}; str(key) may do" if kinds else ""


def read_registered(read: ReadSetting) -> Sequence[str]:
    """Return the names in ``SCS_GOB_REGISTERED``. Raise ImproperlyConfigured if it has none."""
    names: Sequence[str] = read("SCS_GOB_REGISTERED", ())
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ImproperlyConfigured(
            f"SCS_GOB_REGISTERED is {names!r}, and must be a list or tuple of names of Go types,"
            " such as 'time.Time' or 'map[string]interface {}'."
        )
    return names


def settle(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return a value in which tuples are lists, and lazy values are resolved.

    Raises EncodeError for a QueryDict, and for more than ``levels`` levels of dicts and lists.
    """
    value = resolve(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if not levels:
        raise EncodeValueError(TOO_DEEP.removesuffix("."))
    if isinstance(value, MultiValueDict):
        raise EncodeError(describe(value).removesuffix("."))
    if isinstance(value, dict):
        return {resolve(key): settle(item, levels - 1) for key, item in value.items()}
    return [settle(item, levels - 1) for item in value]
