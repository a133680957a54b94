"""The wire format of Go's encoding/gob: reads and writes values by walking their types.

It returns raw forms, not Python values, so that writing them again loses nothing:

========================  ==================================================================
bool, int, uint, float    int; a float's is the number that stands for its bits
complex                   tuple of two floats
[]byte, string, encoders  bytes
slice, array, map         list, tuple, dict
struct                    tuple of (field number, field name, raw) for each field that was sent
interface                 Opaque, or None
========================  ==================================================================

Source: Go encoding/gob doc.go, decode.go, encode.go. Imports only the package's exceptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...exceptions import DecodeError, EncodeError, EncodeValueError

Raw = Any
_Field = tuple[int, bytes, Raw]

# Levels of nesting; a dict or list in an interface takes two. Reading takes two Python frames for each
# level, and Python allows a thousand.
MAX_DEPTH = 210
# encoding/gob decodeInterface.
MAX_NAME = 1024
FIRST_FREE_NUMBER = 64


class Kind(NamedTuple):
    """How values of some types are read and written."""

    read: Callable[[Reader, Type], Raw]
    write: Callable[[Writer, Type, Raw], None]


@dataclass(slots=True, eq=False)
class Type:
    """A type as a blob defines it. Its kind is UNDEFINED until the blob has defined it."""

    kind: Kind
    elems: tuple[Type, ...] = ()
    fields: tuple[bytes, ...] = ()
    length: int = 0
    name: bytes = b""
    # True once it is known that no part of the type is a slice or a map.
    comparable: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """A Go value as an interface holds it: its type's name, its type, what was sent.

    A session has one in place of each value for which Python has no type. Two of them are equal if
    name and content are the same, even if they come from different blobs.
    """

    go_type: str
    wire: Type = field(compare=False)
    raw: Raw

    def __repr__(self) -> str:
        return f"<Opaque {self.go_type}>"

    def __hash__(self) -> int:
        try:
            return hash((self.go_type, self.raw))
        except TypeError:
            return hash((self.go_type, _frozen(self.raw)))

    def __copy__(self) -> Opaque:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Opaque:
        return self

    def __reduce__(self) -> tuple[Callable[[bytes], Opaque], tuple[bytes]]:
        # A type has functions, which cannot be pickled: the pickle has a gob.
        writer = Writer({type_: number for number, type_ in BUILTINS.items()})
        INTERFACE.kind.write(writer, INTERFACE, self)
        message = integer(writer.numbers[INTERFACE]) + writer.out
        return _from_gob, (writer.definitions() + sized(message),)


def _from_gob(data: bytes) -> Opaque:
    reader = Reader(data, 0, dict(BUILTINS))
    opaque: Opaque = INTERFACE.kind.read(reader, reader.next_type(in_interface=False))
    return opaque


def _frozen(raw: Raw) -> Raw:
    """Return a raw form in which tuples and sets stand for the lists and dicts."""
    if isinstance(raw, list | tuple):
        return tuple(map(_frozen, raw))
    if isinstance(raw, dict):
        return frozenset((key, _frozen(value)) for key, value in raw.items())
    return raw


def text(data: bytes) -> str:
    """Return a Go string, which may hold any bytes, as a str that ``utf8`` turns back into them."""
    return data.decode("utf-8", "surrogateescape")


def utf8(string: str) -> bytes:
    """Return the bytes of a Go string. Raise EncodeValueError if ``text`` would return another str."""
    try:
        return string.encode()
    except UnicodeEncodeError:
        pass
    try:
        data = string.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b""
    if text(data) != string:
        raise EncodeValueError("a str with lone surrogates has no UTF-8 form")
    return data


class Reader:
    """Reads values from ``data``: ``pos`` is the next byte, ``end`` the end of the message."""

    __slots__ = ("data", "depth", "end", "pos", "types")

    def __init__(self, data: bytes, pos: int, types: dict[int, Type]) -> None:
        self.data = data
        self.pos = self.end = pos
        self.types = types
        self.depth = 0

    def uint(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise DecodeError("unexpected end of data")
        number = self.data[pos]
        pos += 1
        if number > 127:
            stop = pos + 256 - number
            if number < 248 or stop > self.end:
                raise DecodeError("malformed number")
            number = int.from_bytes(self.data[pos:stop], "big")
            pos = stop
        self.pos = pos
        return number

    def sint(self) -> int:
        number = self.uint()
        return (number >> 1) ^ -(number & 1)

    def blob(self) -> bytes:
        pos = self.pos
        # Most blobs are short, and need no further call.
        size = self.data[pos] if pos < self.end else 128
        pos += 1
        if size > 127:
            size = self.uint()
            pos = self.pos
        self.pos = stop = pos + size
        if stop > self.end:
            raise DecodeError("unexpected end of data")
        return self.data[pos:stop]

    def text(self) -> str:
        return self.blob().decode("utf-8", "surrogateescape")

    def value(self, type_: Type) -> Raw:
        """Read a value that lies inside another one."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DecodeError("nested too deeply")
        raw = type_.kind.read(self, type_)
        self.depth -= 1
        return raw

    def next_type(self, *, in_interface: bool) -> Type:
        """Read definitions up to a value, and return the value's type.

        A definition ends its message. In an interface, a number to skip and the value may follow
        it in the same message. Source: encoding/gob decodeTypeSequence.
        """
        while True:
            if self.pos == self.end:
                self._open_message()
            number = self.sint()
            if number >= 0:
                return self._type(number)
            self._define(-number)
            if self.pos < self.end:
                if not in_interface:
                    raise DecodeError("extra data after a type definition")
                self.uint()

    def _open_message(self) -> None:
        self.end = len(self.data)
        size = self.uint()
        self.end = self.pos + size
        if self.end > len(self.data):
            raise DecodeError("unexpected end of data")

    def _type(self, number: int) -> Type:
        known = self.types.get(number)
        if known is None:
            known = self.types[number] = Type(UNDEFINED)
        return known

    def _define(self, number: int) -> None:
        new = self._type(number)
        if number < FIRST_FREE_NUMBER or new.kind is not UNDEFINED:
            raise DecodeError("duplicate type definition")
        definition = self.value(_DEFINITION)
        if len(definition) != 1:
            raise DecodeError("malformed type definition")
        ((index, _, raw),) = definition
        parts = _parts(raw)
        fields = [_parts(each) for each in parts.get(b"Field", ())]
        numbers = [parts[name] for name in _ELEMS if name in parts]
        new.kind = _KINDS[index]
        new.elems = tuple(map(self._type, numbers + [each.get(b"Id", 0) for each in fields]))
        new.fields = tuple(each.get(b"Name", b"") for each in fields)
        new.length = parts.get(b"Len", 0)
        new.name = _parts(parts.get(b"CommonType", ())).get(b"Name", b"")
        if len(new.elems) < _LEAST_ELEMS.get(new.kind, 0):
            raise DecodeError("malformed type definition")


def uint(number: int) -> bytes:
    """Return the wire form of an unsigned number."""
    if number < 128:
        return _BYTES[number]
    size = (number.bit_length() + 7) >> 3
    return _BYTES[256 - size] + number.to_bytes(size, "big")


def integer(number: int) -> bytes:
    """Return the wire form of a signed number."""
    return uint(number << 1 if number >= 0 else ~number << 1 | 1)


def sized(data: bytes | bytearray) -> bytes:
    """Return the length of ``data``, followed by ``data``."""
    size = len(data)
    return (_BYTES[size] if size < 128 else uint(size)) + data


_BYTES = [bytes((number,)) for number in range(256)]


class Writer:
    """Writes values to ``out``. New types get the numbers after those in ``numbers``."""

    __slots__ = ("_depth", "_new", "numbers", "out")

    def __init__(self, numbers: dict[Type, int]) -> None:
        self.numbers = dict(numbers)
        self._new: list[Type] = []
        self._depth = 0
        self.out = bytearray()

    def value(self, type_: Type, raw: Raw) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise EncodeValueError("nested too deeply")
        type_.kind.write(self, type_, raw)
        self._depth -= 1

    def number(self, type_: Type) -> int:
        """Return the number of a type; ``definitions`` will define it if it is new."""
        known = self.numbers.get(type_)
        if known is None:
            known = self.numbers[type_] = len(self.numbers) - len(BUILTINS) + FIRST_FREE_NUMBER
            if type_.kind is not UNDEFINED:
                self._new.append(type_)
        return known

    def definitions(self) -> bytes:
        """Return the messages that define the new types of the values written so far."""
        messages = bytearray()
        # A definition may mention further new types, which lengthens the list.
        for type_ in self._new:
            self.out = bytearray(integer(-self.numbers[type_]))
            self.value(_DEFINITION, self._definition(type_))
            messages += sized(self.out)
        return bytes(messages)

    def _definition(self, type_: Type) -> Raw:
        index = _KINDS.index(type_.kind)
        numbers = [self.number(elem) for elem in type_.elems]
        parts = {
            b"CommonType": _fill(_COMMON, {b"Name": type_.name, b"Id": self.number(type_)}),
            b"Len": type_.length,
            b"Field": [
                _fill(_FIELD, {b"Name": name, b"Id": number})
                for name, number in zip(type_.fields, numbers, strict=False)
            ],
        }
        if not type_.fields:
            names = [name for name in _ELEMS if name in _DEFINITION.elems[index].fields]
            parts |= zip(names, numbers, strict=True)
        return ((index, b"", _fill(_DEFINITION.elems[index], parts)),)


def _parts(raw: Raw) -> dict[bytes, Raw]:
    """Return a struct's fields by name."""
    return {name: value for _, name, value in raw}


def _fill(type_: Type, parts: dict[bytes, Raw]) -> Raw:
    """Return a struct. As in Go, fields that hold their zero value are not sent."""
    return tuple(
        (index, name, parts[name]) for index, name in enumerate(type_.fields) if parts.get(name)
    )


def _read_undefined(reader: Reader, type_: Type) -> Raw:
    raise DecodeError("undefined type")


def _write_undefined(writer: Writer, type_: Type, raw: Raw) -> None:
    raise EncodeError("undefined type")


def _write_uint(writer: Writer, type_: Type, raw: int) -> None:
    writer.out += uint(raw)


def _write_int(writer: Writer, type_: Type, raw: int) -> None:
    writer.out += integer(raw)


def _read_complex(reader: Reader, type_: Type) -> tuple[int, int]:
    return reader.uint(), reader.uint()


def _write_complex(writer: Writer, type_: Type, raw: tuple[int, int]) -> None:
    writer.out += uint(raw[0]) + uint(raw[1])


def _write_bytes(writer: Writer, type_: Type, raw: bytes) -> None:
    writer.out += sized(raw)


def _read_slice(reader: Reader, type_: Type) -> list[Raw]:
    # A count that is too large does no harm: reading fails at the end of the data, as each element
    # takes at least a byte. Up to Python 3.11 a comprehension would take one more frame.
    elements = []
    for _ in range(reader.uint()):
        elements.append(reader.value(type_.elems[0]))
    return elements


def _write_slice(writer: Writer, type_: Type, raw: list[Raw] | tuple[Raw, ...]) -> None:
    writer.out += uint(len(raw))
    for element in raw:
        writer.value(type_.elems[0], element)


def _read_array(reader: Reader, type_: Type) -> tuple[Raw, ...]:
    elements = _read_slice(reader, type_)
    if len(elements) != type_.length:
        raise DecodeError("array of the wrong length")
    return tuple(elements)


def _read_map(reader: Reader, type_: Type) -> dict[Raw, Raw]:
    key_type, elem_type = type_.elems
    entries: dict[Raw, Raw] = {}
    for _ in range(reader.uint()):
        key = reader.value(key_type)
        # Only the first key needs a check of the type.
        if not (_holds_keys if entries else hashable)(key_type, key):
            raise DecodeError("a map or slice as a map's key")
        entries[key] = reader.value(elem_type)
    return entries


def _write_map(writer: Writer, type_: Type, raw: dict[Raw, Raw]) -> None:
    writer.out += uint(len(raw))
    for key, element in raw.items():
        if not hashable(type_.elems[0], key):
            kind = getattr(key, "go_type", "slice or map")
            raise EncodeError(f"Go takes no {kind} as a map's key: store a text instead")
        writer.value(type_.elems[0], key)
        writer.value(type_.elems[1], element)


def _read_struct(reader: Reader, type_: Type) -> tuple[_Field, ...]:
    fields = []
    index = -1
    if reader.pos >= reader.end:
        raise DecodeError("unexpected end of data")
    # For Go the end of the message ends the struct, too.
    while reader.pos < reader.end and (delta := reader.uint()):
        index += delta
        if index >= len(type_.fields):
            raise DecodeError("a struct's field that its type lacks")
        fields.append((index, type_.fields[index], reader.value(type_.elems[index])))
    return tuple(fields)


def _write_struct(writer: Writer, type_: Type, raw: tuple[_Field, ...]) -> None:
    last = -1
    for index, _, value in raw:
        writer.out += uint(index - last)
        writer.value(type_.elems[index], value)
        last = index
    writer.out.append(0)


def _read_interface(reader: Reader, type_: Type) -> Opaque | None:
    name = reader.blob()
    if not name:
        return None
    if len(name) > MAX_NAME:
        raise DecodeError("type name too long")
    concrete = reader.next_type(in_interface=True)
    # The length of what follows, up to the first definition in it. It is not needed, and may be wrong.
    reader.uint()
    if concrete.kind is not STRUCT and reader.uint() != 0:
        raise DecodeError("malformed value in an interface")
    return Opaque(text(name), concrete, reader.value(concrete))


def _write_interface(writer: Writer, type_: Type, raw: Opaque | None) -> None:
    if raw is None:
        writer.out.append(0)
        return
    writer.out += sized(raw.go_type.encode("utf-8", "surrogateescape"))
    writer.out += integer(writer.number(raw.wire))
    outer, writer.out = writer.out, bytearray() if raw.wire.kind is STRUCT else bytearray(1)
    writer.value(raw.wire, raw.raw)
    outer += sized(writer.out)
    writer.out = outer


UNDEFINED = Kind(_read_undefined, _write_undefined)
ARRAY = Kind(_read_array, _write_slice)
SLICE = Kind(_read_slice, _write_slice)
STRUCT = Kind(_read_struct, _write_struct)
MAP = Kind(_read_map, _write_map)

_UINT = Kind(lambda reader, _: reader.uint(), _write_uint)
_BYTE_STRING = Kind(lambda reader, _: reader.blob(), _write_bytes)

BOOL = Type(_UINT)
INT = Type(Kind(lambda reader, _: reader.sint(), _write_int))
UINT = Type(_UINT)
FLOAT = Type(_UINT)
BYTES = Type(_BYTE_STRING)
STRING = Type(_BYTE_STRING)
COMPLEX = Type(Kind(_read_complex, _write_complex))
INTERFACE = Type(Kind(_read_interface, _write_interface))
BUILTINS = dict(enumerate((BOOL, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE), start=1))


def hashable(type_: Type, raw: Raw) -> bool:
    """Tell whether Go can use a value as the key of a map. It panics on any other.

    A slice, such as ``[]byte``, and a map cannot be keys, nor can a type that may contain one,
    whatever the value is. A type that encodes itself can be a key, and so can a pointer: its type's
    name begins with ``*``. Source: Go specification, comparison operators.
    """
    return _comparable(type_) and _holds_keys(type_, raw)


def _comparable(type_: Type) -> bool:
    """Tell whether every part of a type is defined, and none is a slice or a map."""
    # A struct may contain itself. The parts are noted, because many keys may have wide types.
    parts = {} if type_.comparable else {type_: None}
    found = list(parts)
    for part in found:
        if part is BYTES or part.kind in (SLICE, MAP, UNDEFINED):
            return False
        new = {each: None for each in part.elems if not (each.comparable or each in parts)}
        parts.update(new)
        found += new
    for part in parts:
        part.comparable = True
    return True


def _holds_keys(type_: Type, raw: Raw) -> bool:
    """Tell whether each interface within a value holds a value that can be a key."""
    if type_ is INTERFACE:
        return raw is None or raw.go_type.startswith("*") or hashable(raw.wire, raw.raw)
    if type_.kind is ARRAY:
        return all(_holds_keys(type_.elems[0], each) for each in raw)
    if type_.kind is STRUCT:
        return all(_holds_keys(type_.elems[index], each) for index, _, each in raw)
    return True


def struct(**fields: Type) -> Type:
    """Return a struct type."""
    return Type(STRUCT, tuple(fields.values()), tuple(map(str.encode, fields)))


# Three kinds of types that encode themselves: the same on the wire, but different to Go.
GOB_ENCODER = Kind(lambda reader, _: reader.blob(), _write_bytes)
_BINARY_MARSHALER = Kind(lambda reader, _: reader.blob(), _write_bytes)
_TEXT_MARSHALER = Kind(lambda reader, _: reader.blob(), _write_bytes)

# encoding/gob type.go wireType: the type of type definitions.
_COMMON = struct(Name=STRING, Id=INT)
_ENCODER = struct(CommonType=_COMMON)
_FIELD = struct(Name=STRING, Id=INT)
_DEFINITION = struct(
    ArrayT=struct(CommonType=_COMMON, Elem=INT, Len=INT),
    SliceT=struct(CommonType=_COMMON, Elem=INT),
    StructT=struct(CommonType=_COMMON, Field=Type(SLICE, (_FIELD,))),
    MapT=struct(CommonType=_COMMON, Key=INT, Elem=INT),
    GobEncoderT=_ENCODER,
    BinaryMarshalerT=_ENCODER,
    TextMarshalerT=_ENCODER,
)
# In the order of the fields above.
_KINDS = (ARRAY, SLICE, STRUCT, MAP, GOB_ENCODER, _BINARY_MARSHALER, _TEXT_MARSHALER)
_ELEMS = (b"Key", b"Elem")
_LEAST_ELEMS = {ARRAY: 1, SLICE: 1, MAP: 2}
