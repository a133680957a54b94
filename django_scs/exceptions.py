"""The errors that django_scs raises itself. Imports nothing."""


class SessionError(Exception):
    """Base of all errors of django_scs."""


class DecodeError(SessionError, ValueError):
    """Raised by a codec for bytes that it did not write, or that were damaged afterwards."""


class EncodeError(SessionError, TypeError):
    """Raised by a codec for a value that it cannot store; names the session key and the type."""


class EncodeValueError(EncodeError, ValueError):
    """An EncodeError for a value whose type is right: a number out of range, dicts too deep."""


class ReservedKey(SessionError, ValueError):
    """Raised if anything but a login sets the session key that SCS_AUTH_USER_ID_KEY names."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return (
            f"The session key {self.key!r} is SCS_AUTH_USER_ID_KEY: whoever sets it logs a user in."
            " Call django.contrib.auth.login(), which sets it."
        )


class SessionTooLarge(SessionError, ValueError):
    """Raised, before anything is sent, for a session larger than its column or SCS_MAX_BYTES allows.

    ``size`` and ``limit`` are bytes; ``largest`` lists (session key, encoded bytes), largest first.
    """

    def __init__(self, size: int, limit: int, largest: list[tuple[str, int]]) -> None:
        # pickle makes the error again from these arguments.
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
    """Raised if a session could not be saved because other requests kept saving it first.

    ``fingerprint`` stands for the token; ``seconds`` is how long the save was tried.
    """

    def __init__(self, fingerprint: str, seconds: float) -> None:
        super().__init__(fingerprint, seconds)
        self.fingerprint = fingerprint
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"Others changed session {self.fingerprint} on each try for {self.seconds:g} seconds."
        )
