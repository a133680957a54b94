"""AES from the package ``cryptography``, which no other module imports.

Importing this module fails where that package is missing. A module that also works without it imports
this one only when AES is asked for.
"""

import threading

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as exc:
    raise ImportError(
        "Encryption needs the package cryptography: pip install 'django_scs[crypto]'"
    ) from exc

__all__ = ["AESGCM", "AesCtr", "InvalidTag"]


class AesCtr:
    """AES in counter mode with a ``key`` of 16, 24 or 32 bytes. Source: Go crypto/cipher NewCTR."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # A context takes twenty times as long to make as to use, and threads must not share one.
        self._contexts = threading.local()

    def __call__(self, counter: bytes, data: bytes) -> bytes:
        """Return ``data`` encrypted, or decrypted.

        The 16 bytes of ``counter`` are one big-endian number.
        """
        try:
            context = self._contexts.context
            context.reset_nonce(counter)
        except AttributeError:
            cipher = Cipher(algorithms.AES(self._key), modes.CTR(counter))
            context = self._contexts.context = cipher.encryptor()
        encrypted: bytes = context.update(data)
        return encrypted
