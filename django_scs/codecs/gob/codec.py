"""The codec of Go's scs: sessions as encoding/gob writes them, to share with a Go application.

Source: scs codec.go GobCodec, a gob of ``struct{Deadline time.Time; Values map[string]any}``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from ...exceptions import DecodeError, EncodeError
from ..base import ReadSetting
from . import wire
from .plain import PLAIN, PLAIN_READERS, PLAIN_WRITERS, begin
from .types import INTERFACE, TIME, VALUES, Unloadable, fits, read_registered, settle
from .wire import Opaque, Reader, Type, Writer, integer, sized, text, uint, utf8


class GobCodec:
    """Reads and writes the format of scs's GobCodec.

    An ``int`` is Go's ``int``, a ``str`` its ``string``, ``bytes`` its ``[]byte``; None is nil. A
    key that held a number of another width keeps it; ``gob.Int64(5)`` chooses one. A Go value for
    which Python has no type is an Opaque. ``registered`` is a sequence of the names of the types that
    the Go application registers with gob, such as ``map[string]interface {}`` for dicts. A type that is
    not registered is not written, because Go could then not read the session at all.
    """

    binds_key = False

    def __init__(self, registered: Sequence[str] = ()) -> None:
        self._registered = tuple(registered)

    @classmethod
    def from_settings(cls, read: ReadSetting) -> "GobCodec":
        """Return the codec with the types of ``SCS_GOB_REGISTERED``, a list or tuple of their names.

        Raises ImproperlyConfigured if the setting is anything else.
        """
        return cls(read_registered(read))

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode. A key is written as the Go type that it has in ``original``."""
        old = _EMPTY if original is None else _parse(original)
        packed = _pack_deadline(deadline, old.deadline)
        held = _hold(values, old.held, self._registered)
        if original is not None and packed == old.deadline and _same(values, held, old):
            return original
        return _write(packed, values, held)

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        session = _parse(data)
        return _load_deadline(session.deadline), session.values


class _Session(NamedTuple):
    """What a blob holds: the deadline as it was sent and the values. ``held`` has the values that are
    not plain (string, int or bool) as they were sent."""

    deadline: bytes
    values: dict[str, Any]
    held: dict[str, Opaque | None]


# Go leaves out a deadline that is its zero time, year 1 in UTC.
_NO_DEADLINE = TIME.pack(datetime(1, 1, 1, tzinfo=UTC))
_EMPTY = _Session(b"", {}, {})


def _load_deadline(raw: bytes) -> datetime:
    try:
        return TIME.load(raw)
    except Unloadable:
        # The year is out of Python's range.
        return (datetime.min if raw[1] > 127 else datetime.max).replace(tzinfo=UTC)


def _pack_deadline(deadline: datetime, old: bytes) -> bytes:
    if deadline.utcoffset() is None:
        raise EncodeError(f"The deadline {deadline} has no zone.")
    # The old deadline may have nanoseconds, which a datetime cannot hold.
    return old if old and _load_deadline(old) == deadline else TIME.pack(deadline)


def _parse(data: bytes) -> _Session:
    reader = begin(data, _PREFIX, _TYPES)
    try:
        return _read(reader)
    except RecursionError:
        raise DecodeError("nested too deeply") from None


def _read(reader: Reader) -> _Session:
    session = reader.next_type(in_interface=False)
    if session is not _SESSION:
        _check(session)
    deadline = _NO_DEADLINE
    values: dict[str, Any] = {}
    held: dict[str, Opaque | None] = {}
    index = -1
    while reader.pos < reader.end and (delta := reader.uint()):
        index += delta
        if index >= len(session.fields):
            raise DecodeError("a field that the session's type lacks")
        if session.fields[index] == b"Deadline":
            deadline = reader.blob()
        elif session.fields[index] == b"Values":
            _read_values(reader, values, held)
        else:
            reader.value(session.elems[index])
    return _Session(deadline, values, held)


def _check(session: Type) -> None:
    """Raise DecodeError unless scs would read a value of this type as a session."""
    found = dict(zip(session.fields, session.elems, strict=False))
    wanted = dict(zip(_SESSION.fields, _SESSION.elems, strict=True))
    if session.kind is not wire.STRUCT or (found and found.keys().isdisjoint(wanted)):
        raise DecodeError("not a session")
    for name in found.keys() & wanted.keys():
        if not fits(found[name], wanted[name]):
            raise DecodeError(f"wrong type of {text(name)}")


def _read_values(reader: Reader, values: dict[str, Any], held: dict[str, Opaque | None]) -> None:
    for _ in range(reader.uint()):
        key = reader.text()
        plain = PLAIN.match(reader.data, reader.pos, reader.end)
        if plain:
            reader.pos = plain.end()
            values[key] = PLAIN_READERS[plain.lastindex](reader)
            held.pop(key, None)
        else:
            held[key] = sent = wire.INTERFACE.kind.read(reader, wire.INTERFACE)
            values[key] = INTERFACE.load(sent)


def _hold(
    values: dict[str, Any], old: dict[str, Opaque | None], declared: Sequence[str]
) -> dict[str, Opaque | None]:
    """Return what to send for the values that are not plain, or were not plain before."""
    held: dict[str, Opaque | None] = {}
    for key, value in values.items():
        if type(value) in PLAIN_WRITERS and key not in old:
            continue
        try:
            held[key] = INTERFACE.dump(settle(value), old.get(key), declared)
        except EncodeError as exc:
            raise _at(key, exc) from None
    return held


def _same(values: dict[str, Any], held: dict[str, Opaque | None], old: _Session) -> bool:
    if values.keys() != old.values.keys() or held != old.held:
        return False
    for key, value in values.items():
        was = old.values[key]
        # To Python, True equals 1.
        if key not in held and (value != was or type(value) is not type(was)):
            return False
    return True


def _write(deadline: bytes, values: dict[str, Any], held: dict[str, Opaque | None]) -> bytes:
    writer = Writer(_NUMBERS)
    out = writer.out
    out += _OPENING + sized(deadline) + b"\x01" + uint(len(values))
    for key, value in values.items():
        try:
            out += _key(key)
            if key in held:
                wire.INTERFACE.kind.write(writer, wire.INTERFACE, held[key])
            else:
                head, dump = PLAIN_WRITERS[type(value)]
                out += head + sized(b"\x00" + dump(value))
        except EncodeError as exc:
            raise _at(key, exc) from None
    out += b"\x00"
    return _PREFIX + writer.definitions() + sized(out)


@lru_cache(maxsize=256)
def _key(key: Any) -> bytes:
    if not isinstance(key, str):
        raise EncodeError("a key must be a str")
    return sized(utf8(key))


def _at(key: Any, exc: EncodeError) -> EncodeError:
    return type(exc)(f"Session key {key!r}: {exc}.")


_SESSION = wire.struct(Deadline=TIME.wire, Values=VALUES.wire)
_standard = Writer({type_: number for number, type_ in wire.BUILTINS.items()})
_OPENING = integer(_standard.number(_SESSION)) + b"\x01"
_PREFIX = _standard.definitions()
_NUMBERS = _standard.numbers
_TYPES = {number: type_ for type_, number in _NUMBERS.items()}
