"""Session tokens: how they are made, recognised, stored and shown.

The token is the only secret of a session and its only proof: whoever has it is the user. It is 256
bits from the operating system's CSPRNG, and it means nothing by itself. Imports the standard
library only.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from typing import TypeGuard

_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Key(str):
    """A token or store key whose ``repr`` is its fingerprint: what a report of an error shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<key {fingerprint(self)}>"


def new() -> str:
    """Return a fresh token: 32 random bytes as 43 characters of unpadded base64url.

    Source: scs data.go generateToken; OWASP Session Management asks for 64 bits at least.
    """
    return _text(secrets.token_bytes(32))


def well_formed(token: object) -> TypeGuard[str]:
    """Tell whether ``token`` could be one of ours; anything else must not reach a store."""
    return isinstance(token, str) and _WELL_FORMED.fullmatch(token) is not None


def store_key(token: str, *, hashed: bool) -> str:
    """Return what the ``token`` column holds for ``token``.

    That is the token itself or, when ``hashed``, its SHA-256: who reads the table can then not use
    what is found there. Source: scs data.go hashToken (``HashTokenInStore``).
    """
    return _text(hashlib.sha256(token.encode("ascii")).digest()) if hashed else token


def fingerprint(key: str) -> str:
    """Return 12 characters that stand for a store key in logs, the admin and on pages.

    They allow two mentions of one session to be matched, and nothing else.
    """
    return hashlib.sha256(b"django_scs fingerprint " + key.encode()).hexdigest()[:12]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
