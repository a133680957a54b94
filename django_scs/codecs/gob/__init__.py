"""Sessions as Go's scs writes them. This module exports the public names."""

from .codec import GobCodec
from .types import (
    Complex64,
    Complex128,
    Float32,
    Float64,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
)
from .wire import Opaque

__all__ = [
    "Complex64",
    "Complex128",
    "Float32",
    "Float64",
    "GobCodec",
    "Int",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Opaque",
    "Uint",
    "Uint8",
    "Uint16",
    "Uint32",
    "Uint64",
    "Uintptr",
]
