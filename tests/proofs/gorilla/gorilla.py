"""Drives the Go program in server/, which answers for the real gorilla/sessions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.go import Program

MODULE = Path(__file__).parent / "server"

Pair = tuple[bytes, bytes | None]


class Gorilla(Program):
    """The running program. Its answers are typed JSON."""

    def ask(self, op: str, pairs: Sequence[Pair], name: str = "session", **rest: Any) -> Any:
        """Return the answer; an ``"error"``, or a ``"panic"``, is one."""
        keys = [{"hash": key.hex(), "block": block and block.hex()} for key, block in pairs]
        return self.send({"op": op, "name": name, "pairs": keys, **rest})

    def must(self, op: str, pairs: Sequence[Pair], name: str = "session", **rest: Any) -> Any:
        """Return an answer that is neither an error nor a panic."""
        answer = self.ask(op, pairs, name, **rest)
        assert not {"error", "panic"} & set(answer), answer
        return answer
