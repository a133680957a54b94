"""The sessions of Go's gorilla/sessions, in the cookies that its CookieStore writes.

A session there is the gob of a ``map[interface {}]interface {}``: its keys are of any Go type. In
Python a string key is a str, any other key a GoKey. We add two entries, which Go keeps and Python
does not show: the deadline, an ``int64`` of microseconds since 1970 (``time.UnixMicro`` in Go), and
the session's id, a ``string``.

Source: gorilla/sessions v1.4.0 store.go CookieStore, sessions.go AddFlash, Flashes.
"""

import re
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Union

from ..exceptions import DecodeError, EncodeError, EncodeValueError
from .base import Codec, ReadSetting
from .cookie_format import LIMIT, Content, from_microseconds, to_microseconds
from .gob import value as gob_value
from .gob import wire
from .gob.plain import PLAIN, PLAIN_READERS, PLAIN_STRING, PLAIN_WRITERS, begin
from .gob.types import INTERFACE, STRING, GoType, go_type, read_registered, settle
from .gob.wire import Opaque, Reader, Writer, integer, sized, uint, utf8
from .securecookie import MAX_AGE, Clock, SecureCookies, Serializer, natural, one_of_hashes

#: The keys of our own entries.
DEADLINE_KEY = "_scs_deadline"
ID_KEY = "_scs_id"
#: The key of Go's flashes if the application names none. Source: sessions.go flashesKey.
FLASH_KEY = "_flash"

#: The deadline that the codec returns for a session that has none.
NO_DEADLINE = datetime.max.replace(tzinfo=UTC)

Key = Union[str, "GoKey"]
Held = dict[Key, Opaque | None]

_FLASHES = "[]interface {}"


class GoKey:
    """A session's key that is not a string in Go. Equal keys have the same Go type and value.

    ``GoKey(1)`` is Go's ``int``, ``GoKey(True)`` its ``bool``, ``GoKey(1.0)`` its ``float64``,
    ``GoKey(None)`` nil, ``GoKey(gob.Int8(1))`` or ``GoKey(1, "int8")`` an ``int8``. ``GoKey(1,
    "main.key")`` is of the type ``main.key``, which the Go application has registered, and defined
    as an ``int``. For a struct or an array, pass the Opaque that a session holds.

    Raises EncodeError for a value that Go cannot use as a key, such as bytes or a list, for one
    without a Go type, and for a str, which is a key itself.
    """

    __slots__ = ("_sent",)
    _sent: Opaque | None

    def __init__(self, value: Any, go_type: str | None = None) -> None:
        sent = _send_key(value, go_type)
        if not wire.hashable(wire.INTERFACE, sent):
            raise EncodeError(f"Go cannot use a value like {value!r} as a key.")
        if sent is not None and sent.go_type == STRING.name:
            raise EncodeError(f"The key {value!r} is a str: use it as it is.")
        self._sent = sent

    @classmethod
    def received(cls, sent: Opaque | None) -> "GoKey":
        """Return the key that a gob holds. Raise DecodeError if Go would panic on it."""
        if not wire.hashable(wire.INTERFACE, sent):
            raise DecodeError("a map or slice as a session's key")
        INTERFACE.load(sent)
        key = cls.__new__(cls)
        key._sent = sent
        return key

    @property
    def go_type(self) -> str:
        """The name of the Go type, such as ``"int"``; "" for nil."""
        return self._sent.go_type if self._sent else ""

    @property
    def value(self) -> Any:
        """The value: an int also for a type that Go defines as ``int``, an Opaque for a struct."""
        loaded = INTERFACE.load(self._sent)
        return gob_value.plain(loaded) if isinstance(loaded, Opaque) else loaded

    @property
    def sent(self) -> Opaque | None:
        """The key as an interface holds it."""
        return self._sent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GoKey) and self._sent == other._sent

    def __hash__(self) -> int:
        return hash((GoKey, self._sent))

    def __repr__(self) -> str:
        return f"GoKey({self.value!r}, {self.go_type!r})"

    def __copy__(self) -> "GoKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "GoKey":
        return self


def _send_key(value: Any, name: str | None) -> Opaque | None:
    known = go_type(name) if name else None
    if known:
        if not known.takes(value):
            raise EncodeError(f"{value!r} is no {name}.")
        return Opaque(known.name, known.wire, known.dump(value, None, ()))
    sent = INTERFACE.dump(value, None, ("time.Time",))
    if not name:
        return sent
    if sent is None:
        raise EncodeError(f"None is no {name}.")
    return Opaque(name, sent.wire, sent.raw)


class Session(NamedTuple):
    """The content of a session's gob. ``held`` has the values that are not plain (string, int or
    bool) as they were sent."""

    id: str
    deadline: datetime | None
    values: dict[Key, Any]
    held: Held


class Flashes(list[Any]):
    """A list that is written as ``[]interface {}`` under any key."""

    @staticmethod
    def key(name: str) -> str:
        """Return the key under which Go keeps the flashes that we name ``name``."""
        return FLASH_KEY if name == "flash" else name

    @classmethod
    def add(cls, session: Any, name: str, message: str) -> None:
        """Add a message to those that a session has. Source: sessions.go AddFlash."""
        session[cls.key(name)] = cls([*cls._of(session, name), message])

    @classmethod
    def take(cls, session: Any, name: str) -> Any:
        """Remove the oldest message from a session and return it; "" if there is none."""
        found = cls._of(session, name)
        if len(found) > 1:
            session[cls.key(name)] = cls(found[1:])
        elif found:
            del session[cls.key(name)]
        return found[0] if found else ""

    @classmethod
    def peek(cls, session: Any, name: str) -> Any:
        """Return the oldest message, and leave it; "" if there is none."""
        found = cls._of(session, name)
        return found[0] if found else ""

    @classmethod
    def _of(cls, session: Any, name: str) -> list[Any]:
        found = session.get(cls.key(name))
        return found if isinstance(found, list) else []


class SessionSerializer:
    """Reads and writes the gob of a session, with the deadline and the id among the values.

    ``registered`` are the Go types, beyond the basic ones and ``[]interface {}``, that the Go
    application registers. Under ``flash_keys`` a list is always written as ``[]interface {}``,
    because Go's ``Flashes`` and ``AddFlash`` panic on any other type.
    """

    def __init__(
        self, registered: Sequence[str] = (), flash_keys: Collection[str] = (FLASH_KEY,)
    ) -> None:
        self._declared = (_FLASHES, *registered)
        self._flash_keys = frozenset(flash_keys)

    def loads(self, payload: bytes) -> tuple[Session, bytes]:
        """Return the session, and the payload again."""
        try:
            return _read(payload), payload
        except RecursionError:
            raise DecodeError("nested too deeply") from None

    def dumps(self, value: tuple[Session, bytes | None]) -> bytes:
        """Return the payload for a session, given with the payload that its values came from.

        If nothing has changed since, that payload is returned. The session's ``held`` is not used.
        """
        session, original = value
        for key in (DEADLINE_KEY, ID_KEY):
            if key in session.values:
                raise EncodeError(f"The session key {key!r} is reserved.")
        try:
            old = _NOTHING if original is None else _read(original)
            held = self._hold(session.values, old)
            if original is not None and _same(session, held, old):
                return original
            return _write(session, held)
        except RecursionError:
            raise EncodeValueError("The session's values are nested too deeply.") from None

    def _hold(self, values: dict[Key, Any], old: Session) -> Held:
        """Return what to send for the values that are not plain, or were not plain before."""
        held: Held = {}
        for key, value in values.items():
            try:
                flashes = key in self._flash_keys or isinstance(value, Flashes)
                if flashes and not _unchanged(key, value, old):
                    held[key] = self._hold_flashes(settle(value), old.held.get(key))
                elif type(value) not in PLAIN_WRITERS or key in old.held:
                    held[key] = INTERFACE.dump(settle(value), old.held.get(key), self._declared)
            except EncodeError as exc:
                raise _at(key, exc) from None
        return held

    def _hold_flashes(self, value: Any, old: Opaque | None) -> Opaque:
        if not isinstance(value, list):
            raise EncodeError("flashes must be a list, or Go panics")
        before = old.raw if old and old.go_type == _FLASHES else None
        raw = _FLASHES_TYPE.dump(value, before, self._declared)
        return Opaque(_FLASHES, _FLASHES_TYPE.wire, raw)


def _unchanged(key: Key, value: Any, old: Session) -> bool:
    """Tell whether a value is no list and has not changed: then Go has put it there itself."""
    return not isinstance(value, list) and key in old.values and old.values[key] == value


class GorillaCodec:
    """The codec of a session that gorilla/sessions can read; its ``key`` is the session's id.

    A session that Go wrote first has no deadline yet, and gets NO_DEADLINE. Implements Codec.
    """

    binds_key = True

    def __init__(self, serializer: SessionSerializer) -> None:
        self._serializer = serializer

    def encode(
        self,
        deadline: datetime,
        values: dict[Any, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode."""
        session = Session(key, None if deadline == NO_DEADLINE else deadline, values, {})
        return self._serializer.dumps((session, original))

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[Any, Any]]:
        """Implement Codec.decode."""
        session, _ = self._serializer.loads(data)
        return session.deadline or NO_DEADLINE, session.values


class GorillaCookie:
    """Seals and opens sessions as gorilla's CookieStore does. Implements CookieFormat.

    ``pairs`` are (hash key, block key or None): the first writes, all read. ``max_age`` is for how
    many seconds a cookie is valid, 0: for ever; ``hash_function`` and ``clock`` are those of
    SecureCookie, ``registered`` and ``flash_keys`` those of SessionSerializer. Raises ValueError
    for keys or options that cannot work.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[bytes | str, bytes | str | None]],
        *,
        max_age: int = MAX_AGE,
        hash_function: str = "sha256",
        registered: Sequence[str] = (),
        flash_keys: Collection[str] = (FLASH_KEY,),
        clock: Clock = time.time,
    ) -> None:
        serializer = SessionSerializer(registered, flash_keys)
        self.flashes = Flashes
        self.codec: Codec = GorillaCodec(serializer)

        def cookies(serializer: str | Serializer) -> SecureCookies:
            return SecureCookies(
                pairs,
                max_age=max_age,
                max_length=LIMIT,
                hash_function=hash_function,
                serializer=serializer,
                clock=clock,
                unpadded=True,
            )

        self._reading = cookies(serializer)
        self._writing = cookies("nop")

    @classmethod
    def from_settings(cls, read: ReadSetting, codec: Codec | None = None) -> "GorillaCookie":
        """Return the format that ``SCS_COOKIE_KEYS``, ``SCS_COOKIE_MAX_AGE``, ``SCS_COOKIE_HASH`` and
        ``SCS_GOB_REGISTERED`` describe. The format brings a codec of its own."""
        pairs = read("SCS_COOKIE_KEYS", None)
        if not isinstance(pairs, list | tuple):
            raise ValueError(
                "SCS_COOKIE_KEYS must be a list of pairs, (hash key, block key or None)."
            )
        return cls(
            pairs,
            max_age=natural("SCS_COOKIE_MAX_AGE", read("SCS_COOKIE_MAX_AGE", MAX_AGE)),
            hash_function=one_of_hashes("SCS_COOKIE_HASH", read("SCS_COOKIE_HASH", "sha256")),
            registered=read_registered(read),
        )

    def max_data(self, name: str) -> int:
        """Implement CookieFormat.max_data."""
        return self._writing.capacity(LIMIT - len(name.encode()))

    def seal(self, name: str, session_id: str, data: bytes) -> str:
        """Implement CookieFormat.seal. The id is in the data already."""
        return self._writing.encode(name, data)

    def open(self, name: str, cookie: str) -> Content:
        """Implement CookieFormat.open."""
        ((session, payload), timestamp), pair = self._reading.open(name, cookie)
        return Content(
            id=session.id,
            deadline=session.deadline,
            values=session.values,
            written_at=timestamp,
            data=payload,
            rewrite=pair > 0 or not session.id or session.deadline is None,
        )


def _read(data: bytes) -> Session:
    reader = _start(data)
    values: dict[Key, Any] = {}
    held: Held = {}
    moment: int | None = None
    for _ in range(reader.uint()):
        key = _read_key(reader)
        pos = reader.pos
        # Most values are short strings.
        size = _SHORT_STRINGS.get(data[pos : pos + _HEAD])
        if size is not None:
            reader.pos = pos = pos + _HEAD + size
            values[key] = data[pos - size : pos].decode("utf-8", "surrogateescape")
            held.pop(key, None)
        elif plain := PLAIN.match(data, pos, reader.end):
            reader.pos = plain.end()
            values[key] = PLAIN_READERS[plain.lastindex](reader)
            held.pop(key, None)
        elif key == DEADLINE_KEY and (ours := _DEADLINE.match(data, pos, reader.end)):
            reader.pos = ours.end()
            moment = reader.sint()
        else:
            held[key] = sent = _read_interface(reader)
            values[key] = INTERFACE.load(sent)
    if reader.pos > reader.end:
        raise DecodeError("unexpected end of data")
    # Our own entries are dropped if they have another type.
    for ours_too in (DEADLINE_KEY, ID_KEY):
        held.pop(ours_too, None)
    values.pop(DEADLINE_KEY, None)
    session_id = values.pop(ID_KEY, "")
    return Session(
        session_id if type(session_id) is str else "",
        None if moment is None else from_microseconds(moment),
        values,
        held,
    )


def _start(data: bytes) -> Reader:
    """Return a reader that stands before the number of entries."""
    usual = _START.match(data)
    if usual:
        reader = Reader(data, usual.end(), dict(_TYPES))
        size = usual.lastindex or 0
        reader.end = usual.end(size) + int.from_bytes(usual[size], "big")
        if reader.end <= len(data):
            return reader
    reader = begin(data, _PREFIX, _TYPES)
    type_ = reader.next_type(in_interface=False)
    if type_.kind is not wire.MAP or type_.elems != _SESSION.elems:
        raise DecodeError("not a session of gorilla")
    gob_value.read_start(reader, type_)
    return reader


def _read_interface(reader: Reader) -> Opaque | None:
    sent: Opaque | None = wire.INTERFACE.kind.read(reader, wire.INTERFACE)
    return sent


def _read_key(reader: Reader) -> Key:
    data, pos = reader.data, reader.pos
    size = _SHORT_STRINGS.get(data[pos : pos + _HEAD])
    if size is not None:
        reader.pos = pos = pos + _HEAD + size
        return data[pos - size : pos].decode("utf-8", "surrogateescape")
    sent = _read_interface(reader)
    if sent is not None and sent.go_type == STRING.name:
        key: str = INTERFACE.load(sent)
        return key
    return GoKey.received(sent)


def _same(session: Session, held: Held, old: Session) -> bool:
    if (session.id, session.deadline) != (old.id, old.deadline):
        return False
    if session.values.keys() != old.values.keys() or held != old.held:
        return False
    for key, value in session.values.items():
        was = old.values[key]
        # To Python, True equals 1.
        if key not in held and (value != was or type(value) is not type(was)):
            return False
    return True


def _write(session: Session, held: Held) -> bytes:
    writer = Writer(_NUMBERS)
    out = writer.out
    ours = _ours(session)
    out += _OPENING + uint(len(session.values) + len(ours)) + b"".join(ours)
    for key, value in session.values.items():
        try:
            _write_key(writer, key)
            if key in held:
                wire.INTERFACE.kind.write(writer, wire.INTERFACE, held[key])
            else:
                head, dump = PLAIN_WRITERS[type(value)]
                out += head + sized(b"\x00" + dump(value))
        except EncodeError as exc:
            raise _at(key, exc) from None
    return _PREFIX + writer.definitions() + sized(out)


def _ours(session: Session) -> list[bytes]:
    """Return the entries that are ours."""
    found = []
    if session.id:
        found.append(_string_key(ID_KEY) + PLAIN_STRING + sized(b"\x00" + sized(utf8(session.id))))
    if session.deadline is not None:
        if session.deadline.utcoffset() is None:
            raise EncodeError(f"The deadline {session.deadline} has no zone.")
        moment = integer(to_microseconds(session.deadline))
        found.append(_string_key(DEADLINE_KEY) + _INT64 + sized(b"\x00" + moment))
    return found


def _write_key(writer: Writer, key: Any) -> None:
    if isinstance(key, str):
        writer.out += _string_key(key)
    elif isinstance(key, GoKey):
        wire.INTERFACE.kind.write(writer, wire.INTERFACE, key.sent)
    else:
        raise EncodeError("a key must be a str or a GoKey")


@lru_cache(maxsize=256)
def _string_key(key: str) -> bytes:
    return PLAIN_STRING + sized(b"\x00" + sized(utf8(key)))


def _at(key: Any, exc: EncodeError) -> EncodeError:
    return type(exc)(f"Session key {key!r}: {exc}.")


def _known(name: str) -> GoType:
    found = go_type(name)
    if found is None:
        raise LookupError(name)
    return found


_NOTHING = Session("", None, {}, {})
_FLASHES_TYPE = _known(_FLASHES)
_SESSION = wire.Type(wire.MAP, (wire.INTERFACE, wire.INTERFACE))
_standard = Writer({type_: number for number, type_ in wire.BUILTINS.items()})
_OPENING = integer(_standard.number(_SESSION)) + b"\x00"
_PREFIX = _standard.definitions()
_NUMBERS = _standard.numbers
_TYPES = {number: type_ for type_, number in _NUMBERS.items()}

# A Go process that has not used gob before begins a session like this, and so do we.
_START = re.compile(
    re.escape(_PREFIX) + b"(?:([\0-\x7f])|\xff(.)|\xfe(..))" + re.escape(_OPENING), re.DOTALL
)
_INT64 = sized(b"int64") + integer(2)
_DEADLINE = re.compile(_INT64 + b"[\0-\x7f]\0")
# Maps the bytes before a short string to its length: at most 125, so that each number is one byte.
_SHORT_STRINGS = {PLAIN_STRING + bytes((size + 2, 0, size)): size for size in range(126)}
_HEAD = len(PLAIN_STRING) + 3
