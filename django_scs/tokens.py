"""Session tokens: how they are made, recognised, stored and shown.

The token is the only secret of a session: somebody who has it can use the session. It is 256 bits
from the operating system's CSPRNG, or 240 (see ``BYTES``), and means nothing by itself. Imports the
standard library only.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, NamedTuple, TypeGuard

#: How many random bytes a token may have: 32, as scs's, or 30 for columns made for Django's keys,
#: which hold 40 characters.
BYTES: Final = (32, 30)

# 43 characters have two bits more than 32 bytes: the last two bits of a token are always 0.
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{40}", re.ASCII)
_LAST: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MARKED: Final = {last for number, last in enumerate(_LAST) if number & 3}


class Key(str):
    """A token or store key. Its ``repr``, which reports of errors show, is its fingerprint."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<key {fingerprint(self)}>"


def new(size: int = BYTES[0]) -> Key:
    """Return a fresh token of ``size`` random bytes, as unpadded base64url: 43 or 40 characters.

    Source: scs data.go generateToken; OWASP Session Management asks for 64 bits at least.
    """
    return Key(encode(secrets.token_bytes(size)))


def well_formed(token: object) -> TypeGuard[str]:
    """Tell whether ``token`` could be one of ours; anything else must not reach a store.

    A marked hash could not: see ``mark``.
    """
    return isinstance(token, str) and _WELL_FORMED.fullmatch(token) is not None


class Hashing(NamedTuple):
    """What a value of SCS_HASH_TOKENS means: the form of new keys, and the forms to look for.

    A key that another process changes meanwhile gets the later form. No process looks for both plain
    and hashed keys: a hash looks like a token, so somebody who has stolen the table could present it.
    A marked hash does not.
    """

    written: str
    found: tuple[str, ...]


#: Processes of a step may run beside processes of the step before it or after it.
HASHING: Final[dict[bool | str, Hashing]] = {
    False: Hashing("plain", ("plain",)),
    "prepare": Hashing("plain", ("plain", "marked")),
    "convert": Hashing("marked", ("plain", "marked")),
    "converted": Hashing("marked", ("marked", "hashed")),
    "finish": Hashing("hashed", ("marked", "hashed")),
    True: Hashing("hashed", ("hashed",)),
}


def store_key(token: str, *, hashed: bool | str, kind: str = "default") -> Key:
    """Return what the ``token`` column holds for ``token`` when it is written.

    That is the token itself or, when ``hashed``, its SHA-256, so that somebody who reads the table
    cannot use the sessions. Source: scs data.go hashToken (``HashTokenInStore``). The token of another
    ``kind`` of session is always hashed, together with the kind, and the result is no token: so neither
    opens a session of the default kind.
    """
    if kind != "default":
        return no_token(_hash(f"{kind} {token}"))
    return _FORMS[HASHING[hashed].written](token)


def store_keys(token: str, *, hashed: bool | str, kind: str = "default") -> tuple[Key, ...]:
    """Return what the ``token`` column may hold for ``token``, in the order in which to look."""
    if kind != "default" or isinstance(hashed, bool):
        return (store_key(token, hashed=hashed, kind=kind),)
    return tuple(_FORMS[form](token) for form in HASHING[hashed].found)


def later_keys(key: str, hashed: bool | str) -> tuple[str, ...]:
    """Return a store key, and the key to which another process may have changed it meanwhile."""
    found = HASHING[hashed].found
    if found == ("plain", "marked") and not is_marked(key):
        return key, mark(_hash(key))
    if found == ("marked", "hashed") and is_marked(key):
        return key, unmark(key)
    return (key,)


def no_token(key: str) -> Key:
    """Return a hash as a key that nobody can present: a dot is in no token and in no other hash."""
    return Key(f".{key[1:]}")


def is_no_token(key: str) -> bool:
    """Tell whether a store key is one that ``no_token`` has made."""
    return key.startswith(".")


def mark(key: str) -> Key:
    """Return a hash with a mark in its last character, which no token and no other hash has."""
    return Key(key[:-1] + _LAST[_LAST.index(key[-1]) | 1])


def unmark(key: str) -> Key:
    """Return the hash that was marked."""
    return Key(key[:-1] + _LAST[_LAST.index(key[-1]) & ~3])


def is_marked(key: str) -> bool:
    """Tell whether a store key is a marked hash."""
    return len(key) == 43 and key[-1] in _MARKED


def _hash(token: str) -> Key:
    return Key(encode(hashlib.sha256(token.encode()).digest()))


_FORMS: Final[dict[str, Callable[[str], Key]]] = {
    "plain": Key,
    "marked": lambda token: mark(_hash(token)),
    "hashed": _hash,
}


def fingerprint(key: str) -> str:
    """Return 12 characters that stand for a store key in logs, the admin and on pages.

    They show that two places mention the same session, and nothing else.
    """
    return hashlib.sha256(b"django_scs fingerprint " + key.encode()).hexdigest()[:12]


def encode(raw: bytes) -> str:
    """Return bytes as unpadded base64url, the form of tokens and store keys."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
