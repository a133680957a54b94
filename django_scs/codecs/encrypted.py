"""The codec that encrypts what another codec writes: AES-256-GCM, bound to the store key."""

import hmac
import os

from .crypto import AESGCM, InvalidTag
from .sealing import Key, SealingCodec

_NONCE = 12
_TAG = 16


class EncryptedCodec(SealingCodec):
    """Encrypts the data. Without the keys nobody can read it, change it or copy it to another row.

    After the head come a random nonce of 12 bytes, the ciphertext, and a tag of 16 bytes. The head
    and the store key are the associated data.
    """

    MAGIC = b"\x00E1"
    LABEL = b"django_scs.codecs.encrypted"
    CODEC_SETTING = "SCS_ENCRYPTED_CODEC"
    KEYS_SETTING = "SCS_ENCRYPTION_KEYS"

    def seal(self, key: Key, head: bytes, inner: bytes, row: bytes) -> bytes:
        """Implement SealingCodec.seal."""
        nonce = os.urandom(_NONCE)
        return nonce + _cipher(key, row).encrypt(nonce, inner, head + row)

    def unseal(self, key: Key, head: bytes, sealed: bytes, row: bytes) -> bytes | None:
        """Implement SealingCodec.unseal."""
        if len(sealed) < _NONCE + _TAG:
            return None
        try:
            return _cipher(key, row).decrypt(sealed[:_NONCE], sealed[_NONCE:], head + row)
        except InvalidTag:
            return None


def _cipher(key: Key, row: bytes) -> AESGCM:
    # Each row has its own key: as the nonces are random, one key for all sessions would be used up
    # after 2**32 saves. Source: NIST SP 800-38D, 8.3.
    return AESGCM(hmac.digest(key.secret, row, "sha256"))
