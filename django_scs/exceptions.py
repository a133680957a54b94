"""The errors that django_scs raises itself. Imports nothing."""


class SessionError(Exception):
    """Base of all of them."""


class DecodeError(SessionError, ValueError):
    """Raised by a codec for bytes that it did not write, or that were damaged since."""


class EncodeError(SessionError, TypeError):
    """Raised by a codec for a value that it cannot keep; names the session key and the type."""


class EncodeValueError(EncodeError, ValueError):
    """The EncodeError of a value whose type is kept: a number out of range, dicts too deep."""


class SessionTooLarge(SessionError, ValueError):
    """Raised before a session is sent that its column cannot hold.

    ``size`` and ``limit`` are bytes; ``largest`` lists (session key, encoded bytes), largest first.
    """

    def __init__(self, size: int, limit: int, largest: list[tuple[str, int]]) -> None:
        # As they are, so that pickle can make the error anew.
        super().__init__(size, limit, largest)
        self.size = size
        self.limit = limit
        self.largest = largest

    def __str__(self) -> str:
        keys = ", ".join(f"{key!r} ({length} bytes)" for key, length in self.largest)
        return (
            f"The session takes {self.size} bytes, at most {self.limit} fit. Largest keys: {keys}."
        )


class SessionBusy(SessionError):
    """Raised when a session could not be saved because others saved it again and again meanwhile.

    ``fingerprint`` stands for the token; ``seconds`` is for how long it was tried.
    """

    def __init__(self, fingerprint: str, seconds: float) -> None:
        super().__init__(fingerprint, seconds)
        self.fingerprint = fingerprint
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"Others changed session {self.fingerprint} on each try for {self.seconds:g} seconds."
        )
