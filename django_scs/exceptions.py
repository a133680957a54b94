"""The errors that django_scs raises itself. Imports nothing."""


class DecodeError(ValueError):
    """Raised by a codec for bytes that it did not write, or that were damaged since."""


class EncodeError(TypeError):
    """Raised by a codec for a value that it cannot keep exactly; names the session key and the type."""


class SessionTooLarge(ValueError):
    """Raised before a session is sent that its column, or its cookie, cannot hold.

    ``size`` and ``limit`` are bytes; ``largest`` lists (session key, encoded bytes), largest first;
    ``holder`` says in the message what it is that is too small.
    """

    def __init__(
        self,
        size: int,
        limit: int,
        largest: list[tuple[str, int]],
        holder: str = "its column",
    ) -> None:
        self.size = size
        self.limit = limit
        self.largest = largest
        keys = ", ".join(f"{key!r} ({length} bytes)" for key, length in largest)
        super().__init__(
            f"The session takes {size} bytes, {holder} holds {limit}. Largest keys: {keys}."
        )


class SessionBusy(Exception):
    """Raised when a session could not be saved because others saved it again and again meanwhile."""
