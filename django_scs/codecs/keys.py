"""The secrets that the settings give to codecs and cookies, and the keys derived from them."""

import hashlib
import hmac
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .base import ReadSetting

_SHORTEST = 32


def read_secrets(read: ReadSetting, setting: str) -> list[str | bytes]:
    """Return the secrets of ``setting``, or of ``SECRET_KEY`` and its fallbacks if it is not set.

    The first writes, all read. Raises ImproperlyConfigured, which shows no secret, if they are wrong.
    """
    secrets = read(setting, None)
    if secrets is None:
        secrets = [read("SECRET_KEY", ""), *read("SECRET_KEY_FALLBACKS", ())]
        if not all(secrets):
            raise ImproperlyConfigured(
                f"{setting} is not set, and SECRET_KEY or one of SECRET_KEY_FALLBACKS, which stand in"
                " for it, is empty."
            )
    else:
        _check(secrets, setting)
    return list(secrets)


class Mac:
    """The HMAC of one key. The part that depends on the key alone is computed once, so each call
    takes a third of the time of ``hmac.digest``. Source: RFC 2104.
    """

    def __init__(self, key: bytes, hash_function: str) -> None:
        block_size = hashlib.new(hash_function).block_size
        if len(key) > block_size:
            key = hashlib.new(hash_function, key).digest()
        padded = key.ljust(block_size, b"\0")
        self._inner, self._outer = (
            hashlib.new(hash_function, bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C)
        )

    def digest(self, message: bytes) -> bytes:
        """Return the HMAC of a message."""
        # The originals never change, so threads can share them.
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def extract(secret: str | bytes, hash_function: str) -> bytes:
    """Return a key for a secret of any length. Source: RFC 5869 HKDF-Extract, without salt."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(b"", raw, hash_function)


def expand(key: bytes, info: bytes, size: int, hash_function: str) -> bytes:
    """Return ``size`` bytes derived from a key, at most one output of the hash function.

    Source: RFC 5869 HKDF-Expand.
    """
    return hmac.digest(key, info + b"\x01", hash_function)[:size]


def _check(secrets: Any, setting: str) -> None:
    wanted = (
        f"must be a list of texts or bytes of at least {_SHORTEST} characters each, the first of which"
        ' writes; python -c "import secrets; print(secrets.token_urlsafe(32))" makes one.'
    )
    if not isinstance(secrets, list | tuple):
        raise ImproperlyConfigured(f"{setting} is a {type(secrets).__qualname__}, and {wanted}")
    if not secrets:
        raise ImproperlyConfigured(f"{setting} is empty, and {wanted}")
    for place, secret in enumerate(secrets):
        if not isinstance(secret, str | bytes):
            kind = type(secret).__qualname__
            raise ImproperlyConfigured(f"{setting}[{place}] is a {kind}: {setting} {wanted}")
        if len(secret) < _SHORTEST:
            raise ImproperlyConfigured(
                f"{setting}[{place}] has {len(secret)} characters: {setting} {wanted}"
            )
