"""The base of the codecs that seal the bytes of another codec: ``encrypted`` and ``signed``.

See docs/codecs.md for the format.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Self

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..exceptions import DecodeError
from .base import Codec, ReadSetting, load
from .keys import expand, extract, read_secrets

_KEY_ID = 4


class Key:
    """A derived key of 32 bytes, ``secret``, which error reports do not show."""

    __slots__ = ("secret",)

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return "<Key>"


class SealingCodec:
    """Base of the codecs that seal. A row has ``MAGIC``, the id of the key, and what ``seal`` returns.

    ``codec`` is the inner codec. ``secrets`` are texts or bytes from which the keys are derived: the
    first seals, all open. The data can be opened only with its store key.
    """

    binds_key = True

    #: The first bytes of the data. The first of them is a zero, as in no session in JSON or gob.
    MAGIC: ClassVar[bytes]
    #: Makes these keys different from others that are derived from the same secrets.
    LABEL: ClassVar[bytes]
    CODEC_SETTING: ClassVar[str]
    KEYS_SETTING: ClassVar[str]

    def __init__(self, codec: Codec, secrets: Sequence[str | bytes]) -> None:
        self.codec = codec
        keys = [Key(derive(secret, self.LABEL)) for secret in secrets]
        heads = [self.MAGIC + derive(key.secret, b"id")[:_KEY_ID] for key in keys]
        self._keys = dict(zip(reversed(heads), reversed(keys), strict=True))
        self._head = heads[0]

    @classmethod
    def from_settings(cls, read: ReadSetting) -> Self:
        """Return the codec from ``CODEC_SETTING`` and ``KEYS_SETTING``.

        If they are not set, the inner codec is JSON, and the keys are derived from ``SECRET_KEY`` and
        ``SECRET_KEY_FALLBACKS``. Raises ImproperlyConfigured, which shows no key, if they are wrong.
        """
        path = read(cls.CODEC_SETTING, "django_scs.codecs.json.JSONCodec")
        if _seals(path):
            raise ImproperlyConfigured(
                f"{cls.CODEC_SETTING} is {path!r}, and must be a codec that does not seal itself, such"
                " as 'django_scs.codecs.json.JSONCodec'."
            )
        try:
            codec = load(path, read)
        except ImproperlyConfigured as exc:
            raise ImproperlyConfigured(f"{cls.CODEC_SETTING}: {exc}") from exc
        # Last: an error report shows the variables of each frame.
        return cls(codec, read_secrets(read, cls.KEYS_SETTING))

    def encode(
        self,
        deadline: datetime,
        values: dict[str, Any],
        original: bytes | None = None,
        key: str = "",
    ) -> bytes:
        """Implement Codec.encode. Data that an old key sealed stays until the session changes."""
        before = None
        if original is not None:
            # After a renewal the original is sealed for the old store key, and does not open.
            with suppress(DecodeError):
                before = self._open(original, key)
        inner = self.codec.encode(deadline, values, before, key)
        return original if original is not None and inner == before else self._close(inner, key)

    def decode(self, data: bytes, key: str = "") -> tuple[datetime, dict[str, Any]]:
        """Implement Codec.decode."""
        return self.codec.decode(self._open(data, key), key)

    def rewrite(self, data: bytes, key: str = "") -> bytes:
        """Return the data sealed with the first key; the same object if that key sealed it.

        Raises DecodeError if the data does not open.
        """
        inner = self._open(data, key)
        return data if data.startswith(self._head) else self._close(inner, key)

    def seal(self, key: Key, head: bytes, inner: bytes, row: bytes) -> bytes:
        """Return ``inner`` sealed. Only the same key, head and ``row``, a store key, open it."""
        raise NotImplementedError

    def unseal(self, key: Key, head: bytes, sealed: bytes, row: bytes) -> bytes | None:
        """Return what was sealed, or None if it does not open."""
        raise NotImplementedError

    def _open(self, data: bytes, key: str) -> bytes:
        head = data[: len(self._head)]
        sealing = self._keys.get(head)
        if sealing is None:
            name = type(self).__name__
            raise DecodeError(f"Not written by {name}, or with a key that is not there any more")
        inner = self.unseal(sealing, head, data[len(head) :], key.encode())
        if inner is None:
            raise DecodeError("The data does not open: it was changed, or is another session's")
        return inner

    def _close(self, inner: bytes, key: str) -> bytes:
        sealed = self.seal(self._keys[self._head], self._head, inner, key.encode())
        return self._head + sealed


def derive(secret: str | bytes, label: bytes) -> bytes:
    """Return 32 bytes that are derived from a secret by HKDF-SHA256."""
    return expand(extract(secret, "sha256"), label, 32, "sha256")


def _seals(path: Any) -> bool:
    try:
        found = import_string(path)
    except (ImportError, AttributeError, TypeError, ValueError):
        # ``load`` will raise a better error.
        return False
    return isinstance(found, type) and issubclass(found, SealingCodec)
