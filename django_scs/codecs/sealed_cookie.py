"""Our own format of a session in a cookie: encrypted and authenticated, with any codec.

=================  ==================================================================
1 byte             version, 1
4 bytes            id of the key
16 bytes           salt, random
the rest           AES-256-GCM of the plain text, tag included
=================  ==================================================================

The plain text is the session's id (22 characters), the time of writing (microseconds since 1970, 8
bytes) and the codec's data. A master key is derived from each key by HKDF-SHA512; key and nonce of
a cookie are expanded from it with the salt, so no two cookies share them. Header and cookie name are
associated data: a cookie does not open under another name. Nothing is compressed, because then the
length would reveal content. The whole is base64url without padding. Needs the extra ``crypto``.
"""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Sequence

from ..exceptions import DecodeError
from .base import Codec, ReadSetting
from .cookie_format import ID_LENGTH, LIMIT, Content, is_id
from .crypto import AESGCM, InvalidTag
from .keys import Mac, expand, extract, read_secrets
from .securecookie import STANDARD, BadBase64, BadMac, BadPayload, Clock, TooLong

_VERSION = b"\x01"
_LABEL = b"django_scs cookie v1 "
_SALT_SIZE = 16
_HEADER_SIZE = 1 + 4 + _SALT_SIZE
_TIME_SIZE = 8
_TAG_SIZE = 16
_DATA = ID_LENGTH + _TIME_SIZE
_COOKIE = _LABEL + b"cookie"
_HASH = "sha512"
# By the number of characters modulo 4: the last characters whose unused bits are zero, and the
# padding that the cookie leaves out.
_ENDS = {
    0: ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", b""),
    2: ("AQgw", b"=="),
    3: ("AEIMQUYcgkosw048", b"="),
}


class _Key:
    """A master key and its id. It is no tuple, because error reports show a tuple's items."""

    __slots__ = ("id", "master")

    def __init__(self, secret: str | bytes) -> None:
        extracted = extract(secret, _HASH)
        self.id = expand(extracted, _LABEL + b"key id", 4, _HASH)
        self.master = Mac(expand(extracted, _LABEL + b"master", 64, _HASH), _HASH)


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
        return (LIMIT - len(name.encode())) * 3 // 4 - _HEADER_SIZE - _DATA - _TAG_SIZE

    def seal(self, name: str, session_id: str, data: bytes) -> str:
        """Implement CookieFormat.seal. Raises ValueError for an id that is not from ``new_id``."""
        if not is_id(session_id):
            raise ValueError("The id of a session in a cookie must be one of new_id().")
        written_at = int(self._clock() * 1_000_000).to_bytes(_TIME_SIZE, "big")
        key = self._keys[0]
        header = _VERSION + key.id + secrets.token_bytes(_SALT_SIZE)
        aead, nonce = _cipher(key, header)
        plain = session_id.encode() + written_at + data
        sealed = header + aead.encrypt(nonce, plain, header + name.encode())
        return urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, name: str, cookie: str) -> Content:
        """Implement CookieFormat.open."""
        raw = _unbase64(cookie)
        header, sealed = raw[:_HEADER_SIZE], raw[_HEADER_SIZE:]
        number, plain = self._decrypt(header, sealed, header + name.encode())
        session_id, data = plain[:ID_LENGTH].decode("ascii"), plain[_DATA:]
        try:
            deadline, values = self.codec.decode(data, session_id)
        except DecodeError as exc:
            raise BadPayload(str(exc)) from exc
        return Content(
            id=session_id,
            deadline=deadline,
            values=values,
            written_at=int.from_bytes(plain[ID_LENGTH:_DATA], "big") / 1_000_000,
            data=data,
            rewrite=number > 0,
        )

    def _decrypt(self, header: bytes, sealed: bytes, associated: bytes) -> tuple[int, bytes]:
        """Return the number of the key that opens it, and the plain text."""
        if header.startswith(_VERSION) and len(sealed) >= _DATA + _TAG_SIZE:
            for number, key in enumerate(self._keys):
                if hmac.compare_digest(key.id, header[1:5]):
                    aead, nonce = _cipher(key, header)
                    try:
                        return number, aead.decrypt(nonce, sealed, associated)
                    except InvalidTag:
                        continue
        raise BadMac("The cookie was not sealed under this name by any of the keys.")


def _cipher(key: _Key, header: bytes) -> tuple[AESGCM, bytes]:
    # This is HKDF-Expand, because one output of the hash function is enough.
    derived = key.master.digest(_COOKIE + header[5:] + b"\x01")
    return AESGCM(derived[:32]), derived[32:44]


def _unbase64(cookie: str) -> bytes:
    """Return the bytes of a cookie, in the one spelling that is written."""
    if len(cookie) > LIMIT:
        raise TooLong(f"The cookie has {len(cookie)} characters of {LIMIT}.")
    last, padding = _ENDS.get(len(cookie) % 4, ("", b""))
    try:
        if cookie[-1:] in last:
            return a2b_base64(
                cookie.encode("ascii").translate(STANDARD) + padding, strict_mode=True
            )
    except ValueError:
        pass
    raise BadBase64("The cookie is no base64 in the one spelling that is written.")
