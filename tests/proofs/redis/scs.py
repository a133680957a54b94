"""Drives the Go program in gostore/, which is the real scs."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple


class Session(NamedTuple):
    """What the program says of a session that it has loaded."""

    token: str
    values: dict[str, Any]


class Scs:
    """The program as it runs. A session that it has loaded stays loaded under its number."""

    def __init__(self, program: Path, *arguments: str, password: str) -> None:
        self._process = subprocess.Popen(
            [program, *arguments],
            env={**os.environ, "REDIS_PASSWORD": password},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, op: str, token: str = "", *, number: int = 0, **request: str) -> Session:
        """Do one thing with the session of that number. Raises AssertionError if scs says so."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"op": op, "token": token, "number": number, **request}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return Session(answer["token"], answer.get("values", {}))

    def create(self, **values: str) -> str:
        """Put a new session into the store and return its token."""
        self("load")
        for key, value in values.items():
            self("put", key=key, value=value)
        return self("commit").token

    def close(self) -> None:
        """End the program."""
        self._process.communicate()
