"""The cookies of Go's gorilla/securecookie: signed values, encrypted if there is a block key.

For cookies of a Go application that hold no session; for sessions see ``gorilla.py``. Source:
gorilla/securecookie securecookie.go (v1.1.2). Imports ``crypto`` only when a key asks for it.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ..exceptions import DecodeError, EncodeError
from .gob import value as gob_value
from .keys import Mac

Clock = Callable[[], float]

#: For how many seconds a cookie is valid by default: 30 days, as in gorilla.
MAX_AGE = 30 * 86_400
#: How many characters a cookie's value may have by default, as in gorilla.
MAX_LENGTH = 4096
#: The hash functions that the HMAC may use.
HASH_FUNCTIONS = ("sha256", "sha512", "sha512_256", "sha1")


class CookieError(DecodeError):
    """Raised for a cookie that does not open; each reason is a subclass."""


class TooLong(CookieError):
    """The cookie is longer than ``max_length``. ``encode`` raises it as well."""


class BadBase64(CookieError):
    """The cookie, or the payload in it, is no base64."""


class BadMac(CookieError):
    """The cookie was not signed under this name by any of the keys."""


class BadTimestamp(CookieError):
    """The cookie is signed, but its date is no number."""


class TooEarly(CookieError):
    """The cookie is younger than ``min_age``."""


class Expired(CookieError):
    """The cookie is older than ``max_age``."""


class BadCiphertext(CookieError):
    """The cookie is signed, but too short to be encrypted."""


class BadPayload(CookieError):
    """The serializer does not understand the payload. A wrong block key looks like this."""


# In the order in which a cookie is checked. BadBase64 has the place of the second decoding: the
# first, before the check of the MAC, fails in the same way for every pair of keys.
_PROGRESS = (
    TooLong,
    BadMac,
    BadTimestamp,
    TooEarly,
    Expired,
    BadBase64,
    BadCiphertext,
    BadPayload,
)


class Serializer(Protocol):
    """Turns a value into the payload of a cookie, and back. Source: securecookie Serializer."""

    def dumps(self, value: Any) -> bytes:
        """Return the payload. Raise EncodeError for a value that ``loads`` could not give back."""
        ...

    def loads(self, payload: bytes) -> Any:
        """Return the value. Raise DecodeError, and nothing else, for any other payload."""
        ...


class NopSerializer:
    """The value is the payload, bytes. Source: securecookie NopEncoder."""

    def dumps(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray):
            raise EncodeError(f"The payload must be bytes, not {type(value).__qualname__}.")
        return bytes(value)

    def loads(self, payload: bytes) -> bytes:
        return payload


class JSONSerializer:
    """JSON as Go writes it. Source: securecookie JSONEncoder; Go encoding/json."""

    def dumps(self, value: Any) -> bytes:
        try:
            text = _json_dumps(value)
            # JSON has these characters only inside strings.
            return (text.translate(_JSON_ESCAPES) + "\n").encode()
        except (TypeError, ValueError, RecursionError) as exc:
            raise EncodeError(f"The value has no JSON form: {exc}.") from exc

    def loads(self, payload: bytes) -> Any:
        # As in Go, bytes that are no UTF-8 are replaced, and what follows the value is ignored.
        try:
            return _json_decoder.raw_decode(payload.decode("utf-8", "replace").lstrip(" \t\r\n"))[0]
        except (ValueError, RecursionError) as exc:
            raise DecodeError(f"No JSON: {type(exc).__name__}") from exc


class GobSerializer:
    """A gob of one value. Source: securecookie GobEncoder.

    ``registered`` are the Go types, beyond the basic ones, that the Go application registers.
    """

    def __init__(self, registered: Sequence[str] = ()) -> None:
        self._registered = tuple(registered)

    def dumps(self, value: Any) -> bytes:
        return gob_value.dumps(value, self._registered)

    def loads(self, payload: bytes) -> Any:
        return gob_value.loads(payload)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_json_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_json_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_JSON_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_SERIALIZERS: dict[str, Serializer] = {
    "gob": GobSerializer(),
    "json": JSONSerializer(),
    "nop": NopSerializer(),
}


class Opened(NamedTuple):
    """What a cookie holds, and when it was written (Unix seconds)."""

    value: Any
    timestamp: int


class SecureCookie:
    """Writes and reads the cookies of one pair of keys, as gorilla/securecookie does.

    ``hash_key`` signs; 32 or 64 bytes are recommended. ``block_key`` encrypts and has 16, 24 or 32
    bytes; without it anybody can read the cookie. ``max_age`` and ``min_age`` are seconds, and
    ``max_length`` characters; 0 turns a check off. ``hash_function`` is one of HASH_FUNCTIONS;
    ``serializer`` is ``"nop"`` (the payload is bytes), ``"json"``, ``"gob"``, or a Serializer.
    ``clock`` returns Unix seconds. With ``unpadded`` the date gets leading zeros if the cookie
    would otherwise end in ``=``, because Django would put it in quotes.

    Raises ValueError for keys or options that cannot work; the message never holds a key. Source:
    securecookie New, MaxAge, MinAge, MaxLength, HashFunc, SetSerializer.
    """

    def __init__(
        self,
        hash_key: bytes | str,
        block_key: bytes | str | None = None,
        *,
        max_age: int = MAX_AGE,
        min_age: int = 0,
        max_length: int = MAX_LENGTH,
        hash_function: str = "sha256",
        serializer: str | Serializer = "nop",
        clock: Clock = time.time,
        unpadded: bool = False,
    ) -> None:
        self._encrypt = None if block_key is None else _cipher(_key("block", block_key))
        self._max_age = natural("max_age", max_age)
        self._min_age = natural("min_age", min_age)
        self._max_length = natural("max_length", max_length)
        function = one_of_hashes("hash_function", hash_function)
        self._hash = Mac(_key("hash", hash_key), function)
        self._mac_size = hashlib.new(function).digest_size
        self._serializer = _serializer(serializer)
        self._clock = clock
        self._unpadded = unpadded

    def encode(self, name: str, payload: Any) -> str:
        """Return the cookie ``name`` that holds ``payload``: bytes, or what the serializer takes.

        Raises EncodeError for what the serializer cannot write, and TooLong. Source: securecookie
        Encode.
        """
        plain = self._serializer.dumps(payload)
        if self._encrypt is not None:
            if not plain:
                raise EncodeError("An empty payload cannot be read again when it is encrypted.")
            counter = secrets.token_bytes(16)
            plain = counter + self._encrypt(counter, plain)
        inner = urlsafe_b64encode(plain)
        date = b"%d" % int(self._clock())
        if self._unpadded:
            date = b"0" * (-(len(date) + len(inner) + self._mac_size + 2) % 3) + date
        body = b"%b|%b" % (date, inner)
        cookie = urlsafe_b64encode(b"%b|%b" % (body, self._mac(name, body))).decode("ascii")
        self._check_length(cookie)
        return cookie

    def decode(self, name: str, cookie: str) -> Any:
        """Return what the cookie ``name`` holds: bytes, or what the serializer makes of them.

        Raises the subclass of CookieError that tells the reason. Source: securecookie Decode.
        """
        return self.open(name, cookie).value

    def open(self, name: str, cookie: str) -> Opened:
        """Do what ``decode`` does, and return also when the cookie was written."""
        self._check_length(cookie)
        parts = unbase64(cookie).split(b"|", 2)
        if len(parts) != 3:
            raise BadMac("The cookie is not signed.")
        date, inner, mac = parts
        if not hmac.compare_digest(mac, self._mac(name, b"%b|%b" % (date, inner))):
            raise BadMac("The cookie was not signed under this name with this key.")
        timestamp = self._check_date(date)
        plain = unbase64(inner)
        if self._encrypt is not None:
            if len(plain) <= 16:
                raise BadCiphertext("The cookie is not encrypted.")
            plain = self._encrypt(plain[:16], plain[16:])
        try:
            return Opened(self._serializer.loads(plain), timestamp)
        except DecodeError as exc:
            raise BadPayload(str(exc)) from exc

    def capacity(self, length: int) -> int:
        """Return the most bytes of payload for which the cookie has at most ``length`` characters."""
        inner = length // 4 * 3 - len(b"%d||" % int(self._clock())) - self._mac_size
        return inner // 4 * 3 - (0 if self._encrypt is None else 16)

    def _check_length(self, cookie: str) -> None:
        if self._max_length and len(cookie) > self._max_length:
            raise TooLong(f"The cookie has {len(cookie)} characters of {self._max_length}.")

    def _mac(self, name: str, body: bytes) -> bytes:
        return self._hash.digest(name.encode("utf-8", "surrogateescape") + b"|" + body)

    def _check_date(self, date: bytes) -> int:
        if not _INTEGER.fullmatch(date) or not -(1 << 63) <= (seconds := int(date)) < 1 << 63:
            raise BadTimestamp("The cookie's date is no number.")
        now = int(self._clock())
        if self._min_age and seconds > now - self._min_age:
            raise TooEarly(f"The cookie is younger than {self._min_age} seconds.")
        if self._max_age and seconds < now - self._max_age:
            raise Expired(f"The cookie is older than {self._max_age} seconds.")
        return seconds


class SecureCookies:
    """Writes with the first of several pairs of keys, and reads with all.

    ``pairs`` are (hash key, block key or None), ``options`` those of SecureCookie. If a pair cannot
    decode a cookie, the next is tried, even if the MAC was right: two pairs may share a hash key.
    Raises ValueError if a key cannot work; gorilla would write with an older pair instead. Source:
    securecookie CodecsFromPairs, EncodeMulti, DecodeMulti.
    """

    def __init__(
        self, pairs: Sequence[tuple[bytes | str, bytes | str | None]], **options: Any
    ) -> None:
        if not pairs:
            raise ValueError("There must be one pair of keys at least.")
        self._cookies = [_of_pair(number, pair, options) for number, pair in enumerate(pairs, 1)]

    def encode(self, name: str, payload: Any) -> str:
        """Do what SecureCookie.encode does, with the first pair."""
        return self._cookies[0].encode(name, payload)

    def capacity(self, length: int) -> int:
        """Do what SecureCookie.capacity does, for the first pair."""
        return self._cookies[0].capacity(length)

    def decode(self, name: str, cookie: str) -> Any:
        """Do what SecureCookie.decode does, with the first pair that can.

        If none can, the error of the one that got furthest is raised.
        """
        return self.open(name, cookie)[0].value

    def open(self, name: str, cookie: str) -> tuple[Opened, int]:
        """Do what ``decode`` does; return also the number of the pair, counted from 0."""
        errors: list[CookieError] = []
        for number, each in enumerate(self._cookies):
            try:
                return each.open(name, cookie), number
            except CookieError as exc:
                errors.append(exc)
        raise max(errors, key=lambda error: _PROGRESS.index(type(error)))


def _of_pair(number: int, pair: Any, options: dict[str, Any]) -> SecureCookie:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f"Pair {number} must be a hash key and a block key or None.")
    try:
        return SecureCookie(*pair, **options)
    except ValueError as exc:
        raise ValueError(f"Pair {number}: {exc}") from None


def _key(kind: str, key: Any) -> bytes:
    if isinstance(key, str):
        key = key.encode()
    if not isinstance(key, bytes) or not key:
        # The message leaves out the value, which may be a secret.
        raise ValueError(f"The {kind} key must be bytes, or a str, and not empty.")
    return key


def _cipher(key: bytes) -> Callable[[bytes, bytes], bytes]:
    if len(key) not in (16, 24, 32):
        raise ValueError(
            f"The block key has {len(key)} bytes, and must have 16, 24 or 32;"
            " None: the cookie is signed, and not encrypted."
        )
    from .crypto import AesCtr

    return AesCtr(key)


def natural(name: str, number: Any) -> int:
    """Return ``number``. Raises ValueError, with ``name``, unless it is an int of at least 0."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"{name} is {number!r}, and must be a number of at least 0.")
    return number


def one_of_hashes(name: str, function: Any) -> str:
    """Return ``function``. Raises ValueError, with ``name``, unless it is in HASH_FUNCTIONS."""
    if not isinstance(function, str) or function not in HASH_FUNCTIONS:
        choices = ", ".join(map(repr, HASH_FUNCTIONS))
        raise ValueError(f"{name} is {function!r}, and must be one of: {choices}.")
    return function


def _serializer(found: Any) -> Serializer:
    if isinstance(found, str):
        if found not in _SERIALIZERS:
            raise ValueError(
                f"The serializer {found!r} must be one of: {', '.join(map(repr, _SERIALIZERS))}."
            )
        return _SERIALIZERS[found]
    serializer: Serializer = found
    return serializer


# What Go's ParseInt accepts; int() would also accept underscores and blanks.
_INTEGER = re.compile(rb"[+-]?[0-9]+")
#: Turns base64url into the standard alphabet; ``+`` and ``/``, which base64url lacks, become ``!``.
STANDARD = bytes.maketrans(b"-_+/", b"+/!!")


def unbase64(data: bytes | str) -> bytes:
    """Return what Go's base64.URLEncoding decodes: no other alphabet, no blanks, no missing padding.

    As in Go, line ends are skipped and the last character's unused bits may be anything.
    """
    try:
        raw = data.encode("ascii") if isinstance(data, str) else data
        raw = raw.replace(b"\n", b"").replace(b"\r", b"")
        # Up to Python 3.12 strict mode accepts padding after data that needs none.
        if len(raw) % 4 == 0 and not raw.endswith(b"==="):
            return a2b_base64(raw.translate(STANDARD), strict_mode=True)
    except ValueError:
        pass
    raise BadBase64("The cookie is no base64.")
