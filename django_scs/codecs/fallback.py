"""The codec for a site that changes its codec: it also reads data that other codecs wrote."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ..exceptions import DecodeError, EncodeError
from .base import Codec, ReadSetting, load

_SETTING = "SCS_CODEC_FALLBACKS"


class FallbackCodec:
    """Writes with ``codec``. Reads with it, or else with the first of ``fallbacks`` that can.

    Data that a fallback wrote is written by ``codec`` when the session changes.
    """

    def __init__(self, codec: Codec, fallbacks: Sequence[Codec]) -> None:
        self.codec = codec
        self.fallbacks = tuple(fallbacks)
        self.binds_key = any(each.binds_key for each in (codec, *fallbacks))

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode. If nothing changed, a fallback's ``original`` is returned."""
        writer = None
        if original is not None:
            # After a renewal the original is sealed for the old store key, and does not open.
            with suppress(DecodeError):
                writer = self._read(original, key)[0]
        if writer is self.codec:
            return self.codec.encode(deadline, values, original, key)
        if writer is not None and original is not None:
            # The new value may be of a type that only the new codec can store.
            with suppress(EncodeError):
                if writer.encode(deadline, values, original, key) == original:
                    return original
        return self.codec.encode(deadline, values, None, key)

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        _, deadline, values = self._read(data, key)
        return deadline, values

    def rewrite(self, data: bytes, key: str = "") -> bytes:
        """Return the data as ``codec`` writes it; the same object if ``codec`` wrote it so.

        Raises DecodeError if no codec reads it, EncodeError if ``codec`` cannot store a value in it.
        """
        writer, deadline, values = self._read(data, key)
        if writer is self.codec:
            return rewrite(self.codec, data, key)
        return self.codec.encode(deadline, values, None, key)

    def _read(self, data: bytes, key: str) -> tuple[Codec, datetime, dict[str, Any]]:
        """Return the codec that reads the data, and what it reads."""
        problem = None
        for codec in (self.codec, *self.fallbacks):
            try:
                return codec, *codec.decode(data, key)
            except DecodeError as exc:
                problem = problem or exc
        raise DecodeError(f"Written by none of the codecs: {problem}") from problem


def rewrite(codec: Codec, data: bytes, key: str = "") -> bytes:
    """Return the data as ``codec`` would write it today; the same object if nothing would change.

    For a command that goes through the table after a change of keys or codec. Raises DecodeError or
    EncodeError if this is not possible.
    """
    write = getattr(codec, "rewrite", None)
    return data if write is None else write(data, key)


def with_fallbacks(codec: Codec, read: ReadSetting) -> Codec:
    """Return ``codec`` with the fallbacks of ``SCS_CODEC_FALLBACKS``, or as it is if there are none.

    Raises ImproperlyConfigured if the setting is no list or tuple of dotted paths of codec classes.
    """
    paths = read(_SETTING, ())
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
        raise ImproperlyConfigured(
            f"{_SETTING} is {paths!r}, and must be a list or tuple of dotted paths of codec classes,"
            " such as ['django_scs.codecs.json.JSONCodec']."
        )
    try:
        return FallbackCodec(codec, [load(path, read) for path in paths]) if paths else codec
    except ImproperlyConfigured as exc:
        raise ImproperlyConfigured(f"{_SETTING}: {exc}") from exc
