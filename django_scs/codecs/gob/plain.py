"""A short cut for strings, ints and bools, of which most sessions consist.

It exists only for speed: ``wire`` reads and writes all other types, and could do these as well.
"""

import re
from collections.abc import Callable
from typing import Any

from .types import INT
from .wire import BUILTINS, Reader, Type, integer, sized, uint, utf8

PLAIN_STRING, _INT, _BOOL = (
    sized(name) + integer(number) for name, number in ((b"string", 6), (b"int", 2), (b"bool", 1))
)
#: Matches the bytes before such a value: the type's name and number, a length of up to two bytes, a
#: zero. The number of the group that matches is the key in PLAIN_READERS.
PLAIN = re.compile(
    b"(?:(%b)|(%b)|(%b))(?:[\0-\x7f]|\xff.|\xfe..)\0" % (PLAIN_STRING, _INT, _BOOL), re.DOTALL
)
PLAIN_READERS: dict[int | None, Callable[[Reader], Any]] = {
    1: Reader.text,
    2: Reader.sint,
    3: lambda reader: reader.uint() != 0,
}
PLAIN_WRITERS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    str: (PLAIN_STRING, lambda value: sized(utf8(value))),
    int: (_INT, lambda value: integer(INT.write(value))),
    bool: (_BOOL, uint),
}


def begin(data: bytes, prefix: bytes, types: dict[int, Type]) -> Reader:
    """Return a reader of a gob, after ``prefix``, the definitions of ``types``, if it begins so."""
    # A Go process that has not used gob before writes this prefix, and so do we.
    if data.startswith(prefix):
        return Reader(data, len(prefix), dict(types))
    return Reader(data, 0, dict(BUILTINS))
