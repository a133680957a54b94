"""What a codec promises. Imports nothing of Django, no store and no other codec."""

from datetime import datetime
from typing import Any, Protocol


class Codec(Protocol):
    """Turns (deadline, values) into the bytes that a store keeps, and back.

    A codec is built without arguments and shared by all threads. Source: scs codec.go Codec.
    """

    def encode(
        self, deadline: datetime, values: dict[str, Any], original: bytes | None = None
    ) -> bytes:
        """Return the bytes that stand for ``deadline`` (aware) and ``values``.

        ``original`` is the blob those values were decoded from, if any. What the codec met there
        and could not understand goes into the result unchanged. When deadline and values are still
        those of an ``original`` that this codec wrote, the result equals it: comparing the two
        tells whether there is anything to write.

        Raises EncodeError, naming the session key and the type, for a value that ``decode`` could
        not give back exactly.
        """
        ...

    def decode(self, data: bytes) -> tuple[datetime, dict[str, Any]]:
        """Return the deadline (aware) and the values that ``encode`` was given.

        Never executes what it reads and never trusts a length in it: time and memory are bounded
        by the size of ``data``. Raises DecodeError, and nothing else, for bytes of any other origin.
        """
        ...
