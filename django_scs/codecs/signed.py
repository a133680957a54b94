"""The codec that signs what another codec writes: in the table it can be read, but not changed."""

import hmac

from .sealing import Key, SealingCodec

_TAG = 32


class SignedCodec(SealingCodec):
    """Signs the data. Without the keys nobody can change it or copy it to another row.

    The head is followed by an HMAC-SHA256 of 32 bytes over the head, the store key and the data.
    """

    MAGIC = b"\x00H1"
    LABEL = b"django_scs.codecs.signed"
    CODEC_SETTING = "SCS_SIGNED_CODEC"
    KEYS_SETTING = "SCS_SIGNING_KEYS"

    def seal(self, key: Key, head: bytes, inner: bytes, row: bytes) -> bytes:
        """Implement SealingCodec.seal."""
        return _tag(key, head, inner, row) + inner

    def unseal(self, key: Key, head: bytes, sealed: bytes, row: bytes) -> bytes | None:
        """Implement SealingCodec.unseal."""
        inner = sealed[_TAG:]
        return inner if hmac.compare_digest(sealed[:_TAG], _tag(key, head, inner, row)) else None


def _tag(key: Key, head: bytes, inner: bytes, row: bytes) -> bytes:
    # The length keeps the end of the store key apart from the beginning of the data.
    signed = head + len(row).to_bytes(4, "big") + row + inner
    return hmac.digest(key.secret, signed, "sha256")
