"""Our own format of a session in a cookie: encrypted and authenticated, whatever the codec.

=================  ==================================================================
1 byte             version, 1
4 bytes            id of the key
16 bytes           salt, random
the rest           AES-256-GCM of the plain text, tag included
=================  ==================================================================

The plain text is the session's id (16 bytes), when it was written (microseconds since 1970, 8 bytes)
and what the codec wrote. A master key is derived from each key by HKDF-SHA512; key and nonce of a
cookie are expanded from it with the salt, so no two cookies share them. Header and cookie name are
associated data: a cookie renamed is a cookie forged. Nothing is compressed, for then the length would
tell of the content. The whole is base64url without padding. Needs the extra ``crypto``.
"""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress

from ..exceptions import DecodeError
from .base import Codec, ReadSetting
from .cookie_format import LIMIT, Content, from_microseconds
from .crypto import AESGCM, InvalidTag
from .keys import expand, extract, read_secrets
from .securecookie import BadBase64, BadMac, BadPayload, Clock, TooLong, unbase64

_VERSION = b"\x01"
_LABEL = b"django_scs cookie v1 "
_SALT_SIZE = 16
_HEADER_SIZE = 1 + 4 + _SALT_SIZE
_ID_SIZE = 16
_TIME_SIZE = 8
_TAG_SIZE = 16
_HASH = "sha512"
# The last characters whose unused bits are zero, by how many characters there are past fours.
_LAST = {0: "", 2: "AQgw", 3: "AEIMQUYcgkosw048"}


class _Key:
    """A master key and its id. No report of an error shows them, as it would those of a tuple."""

    __slots__ = ("id", "master")

    def __init__(self, secret: str | bytes) -> None:
        extracted = extract(secret, _HASH)
        self.id = _expand(extracted, _LABEL + b"key id", 4)
        self.master = _expand(extracted, _LABEL + b"master", 64)


class SealedCookie:
    """Seals sessions with the first of several keys, and opens them with all.

    ``keys`` are secrets of any length, ``codec`` writes the values, ``clock`` returns Unix seconds.
    Implements CookieFormat.
    """

    def __init__(
        self, keys: Sequence[str | bytes], codec: Codec, *, clock: Clock = time.time
    ) -> None:
        if not keys or not all(keys):
            raise ValueError("There must be one key at least, and none may be empty.")
        self._keys = [_Key(key) for key in keys]
        self.codec = codec
        self._clock = clock

    @classmethod
    def from_settings(cls, read: ReadSetting, codec: Codec) -> "SealedCookie":
        """Return the format with the keys of ``SCS_COOKIE_KEYS``, or else of Django's SECRET_KEY and
        SECRET_KEY_FALLBACKS."""
        return cls(read_secrets(read, "SCS_COOKIE_KEYS"), codec)

    def max_data(self, name: str) -> int:
        """Implement CookieFormat.max_data."""
        overhead = _HEADER_SIZE + _ID_SIZE + _TIME_SIZE + _TAG_SIZE
        return (LIMIT - len(name.encode())) * 3 // 4 - overhead

    def seal(self, name: str, session_id: str, data: bytes) -> str:
        """Implement CookieFormat.seal. Raises ValueError for an id that is not one of ``new_id``."""
        written_at = int(self._clock() * 1_000_000).to_bytes(_TIME_SIZE, "big")
        key = self._keys[0]
        header = _VERSION + key.id + secrets.token_bytes(_SALT_SIZE)
        aead, nonce = _cipher(key, header)
        plain = _id_bytes(session_id) + written_at + data
        return _base64(header + aead.encrypt(nonce, plain, header + name.encode()))

    def open(self, name: str, cookie: str) -> Content:
        """Implement CookieFormat.open."""
        raw = _unbase64(cookie)
        header, sealed = raw[:_HEADER_SIZE], raw[_HEADER_SIZE:]
        number, plain = self._decrypt(header, sealed, header + name.encode())
        stop = _ID_SIZE + _TIME_SIZE
        data = plain[stop:]
        try:
            deadline, values = self.codec.decode(data)
        except DecodeError as exc:
            raise BadPayload(str(exc)) from exc
        return Content(
            id=_base64(plain[:_ID_SIZE]),
            deadline=deadline,
            values=values,
            written_at=from_microseconds(int.from_bytes(plain[_ID_SIZE:stop], "big")),
            data=data,
            rewrite=number > 0,
        )

    def _decrypt(self, header: bytes, sealed: bytes, associated: bytes) -> tuple[int, bytes]:
        """Return which key it was, and the plain text."""
        if header.startswith(_VERSION) and len(sealed) >= _ID_SIZE + _TIME_SIZE + _TAG_SIZE:
            for number, key in enumerate(self._keys):
                if hmac.compare_digest(key.id, header[1:5]):
                    aead, nonce = _cipher(key, header)
                    try:
                        return number, aead.decrypt(nonce, sealed, associated)
                    except InvalidTag:
                        continue
        raise BadMac("The cookie was not sealed under this name by any of the keys.")


def _expand(key: bytes, info: bytes, size: int) -> bytes:
    return expand(key, info, size, _HASH)


def _cipher(key: _Key, header: bytes) -> tuple[AESGCM, bytes]:
    derived = _expand(key.master, _LABEL + b"cookie" + header[5:], 44)
    return AESGCM(derived[:32]), derived[32:]


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _unbase64(cookie: str) -> bytes:
    """Return the bytes of a cookie, of which there is one spelling only."""
    if len(cookie) > LIMIT:
        raise TooLong(f"The cookie has {len(cookie)} characters of {LIMIT}.")
    past = len(cookie) % 4
    last = _LAST.get(past)
    if last is None or (past and cookie[-1] not in last) or "\n" in cookie or "\r" in cookie:
        raise BadBase64("The cookie is no base64 in the one spelling that is written.")
    return unbase64(cookie + "=" * (-past % 4))


def _id_bytes(session_id: str) -> bytes:
    with suppress(DecodeError):
        raw = _unbase64(session_id)
        if len(raw) == _ID_SIZE:
            return raw
    raise ValueError("The id of a session in a cookie must be one of new_id().")
