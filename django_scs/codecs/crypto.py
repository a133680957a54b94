"""AES, from the package ``cryptography``: the only place that imports it.

Importing this module fails where that package is missing. Whoever can do without it imports this
module only when AES is asked for.
"""

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as exc:
    raise ImportError(
        "Encrypted cookies need the package cryptography: pip install 'django_scs[crypto]'"
    ) from exc

__all__ = ["AESGCM", "InvalidTag", "aes_ctr"]


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Return ``data`` encrypted, or decrypted, by AES in counter mode.

    ``key`` has 16, 24 or 32 bytes; ``counter`` has 16, all of which count, big-endian. Source: Go
    crypto/cipher NewCTR.
    """
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(data)
