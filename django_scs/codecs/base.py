"""The contract of a codec, and ``load``, which makes one. Imports no store and no other codec."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

#: Returns a setting by its full name (``"SCS_..."``), or the default if it is not set.
ReadSetting = Callable[[str, Any], Any]


class Codec(Protocol):
    """Turns (deadline, values) into the bytes that a store keeps, and back.

    One object is shared by all threads. Its options are arguments of its constructor; a class with
    options has a classmethod ``from_settings(read: ReadSetting)``, which makes it from the project's
    settings, and the others are made without arguments. Source: scs codec.go Codec.
    """

    @property
    def binds_key(self) -> bool:
        """Whether the data can be decoded only with the store key that it was encoded for."""
        ...

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Return the bytes that stand for ``deadline`` (aware) and ``values``.

        ``original`` is the blob from which the values were decoded, if any, under the same ``key``
        or, at a renewal, under the key before: a codec that then cannot open it does without.
        Parts that the codec does not understand go into the result unchanged. If this codec wrote
        ``original`` and neither deadline nor values have changed, the result equals ``original``:
        so a comparison tells whether there is anything to write. ``key`` is the store key, for a
        codec that binds the data to its row.

        Raises EncodeError, naming the session key and the type, for a value that ``decode`` could
        not give back.
        """
        ...

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Return the deadline (aware) and the values that ``encode`` was given.

        Never executes what it reads and never trusts a length in it: time and memory are bounded
        by the size of ``data``. Raises only DecodeError for bytes that ``encode`` did not write.
        """
        ...


def load(path: str, read: ReadSetting) -> Codec:
    """Return the codec of the class at the dotted ``path``, made from the project's settings.

    Raises ImproperlyConfigured, with the path and an example, if there is no such codec class.
    """
    problem = (
        f"{path!r} is no codec: it must be the dotted path of a codec class, such as"
        " 'django_scs.codecs.json.JSONCodec'"
    )
    try:
        found = import_string(path)
        make = getattr(found, "from_settings", None)
        codec = found() if make is None else make(read)
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"{problem}: {exc}") from exc
    if not (callable(getattr(codec, "encode", None)) and callable(getattr(codec, "decode", None))):
        raise ImproperlyConfigured(f"{problem}: it lacks encode() or decode().")
    return cast(Codec, codec)
