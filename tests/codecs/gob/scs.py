"""Drives the Go program in reverse/, which answers for the real scs."""

from pathlib import Path
from typing import Any

from tests.go import Program

MODULE = Path(__file__).parent / "reverse"


class Scs(Program):
    """The running program. Its answers are typed JSON."""

    def try_decode(self, blob: bytes) -> dict[str, Any]:
        """Return what scs makes of a blob; only "error" if scs refuses it, or never ends."""
        return self.send({"decode": blob.hex()})

    def decode(self, blob: bytes) -> dict[str, Any]:
        """Return what scs reads in a blob that it must accept."""
        answer = self.try_decode(blob)
        assert "error" not in answer, answer["error"]
        return answer

    def sample(self, seed: int) -> dict[str, Any]:
        """Return a session that scs made up and wrote."""
        return self.send({"sample": seed})
