"""Session tokens: how they are made, recognised, stored and shown.

The token is the only secret of a session and its only proof: whoever has it is the user. It is 256
bits from the operating system's CSPRNG, and it means nothing by itself. Imports the standard
library only.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from typing import Final, TypeGuard

#: How many random bytes a token may have: 32, as scs's, or 30 for columns made for Django's keys,
#: which hold 40 characters.
BYTES: Final = (32, 30)

_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{40}", re.ASCII)


class Key(str):
    """A token or store key whose ``repr`` is its fingerprint: what a report of an error shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<key {fingerprint(self)}>"


def new(size: int = BYTES[0]) -> Key:
    """Return a fresh token of ``size`` random bytes, as unpadded base64url: 43 or 40 characters.

    Source: scs data.go generateToken; OWASP Session Management asks for 64 bits at least.
    """
    return Key(_text(secrets.token_bytes(size)))


def well_formed(token: object) -> TypeGuard[str]:
    """Tell whether ``token`` could be one of ours; anything else must not reach a store."""
    return isinstance(token, str) and _WELL_FORMED.fullmatch(token) is not None


def store_key(token: str, *, hashed: bool, kind: str = "default") -> Key:
    """Return what the ``token`` column holds for ``token``.

    That is the token itself or, when ``hashed``, its SHA-256: who reads the table can then not use
    what is found there. Source: scs data.go hashToken (``HashTokenInStore``). The token of another
    ``kind`` of session is always hashed, with the kind, so that it is worth nothing as one of the
    default kind.
    """
    if kind != "default":
        token = f"{kind} {token}"
    elif not hashed:
        return Key(token)
    return Key(_text(hashlib.sha256(token.encode()).digest()))


def fingerprint(key: str) -> str:
    """Return 12 characters that stand for a store key in logs, the admin and on pages.

    They allow two mentions of one session to be matched, and nothing else.
    """
    return hashlib.sha256(b"django_scs fingerprint " + key.encode()).hexdigest()[:12]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
