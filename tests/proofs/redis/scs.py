"""Drives the Go program in gostore/, which is the real scs."""

from typing import Any, NamedTuple

from tests.go import Program


class Session(NamedTuple):
    """What the program says of a session that it has loaded."""

    token: str
    values: dict[str, Any]


class Scs(Program):
    """The program as it runs. A session that it has loaded stays loaded under its number."""

    def __call__(self, op: str, token: str = "", *, number: int = 0, **request: str) -> Session:
        """Do one thing with the session of that number. Raises AssertionError if scs says so."""
        answer = self.send({"op": op, "token": token, "number": number, **request})
        assert "error" not in answer, answer["error"]
        return Session(answer["token"], answer.get("values", {}))

    def create(self, **values: str) -> str:
        """Put a new session into the store and return its token."""
        self("load")
        for key, value in values.items():
            self("put", key=key, value=value)
        return self("commit").token
