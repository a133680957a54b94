"""Drives the Go program in reverse/, which answers for the real scs."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

MODULE = Path(__file__).parent / "reverse"
SECONDS_TO_ANSWER = 20


def build(folder: Path) -> Path:
    """Build the program in ``folder`` and return its path."""
    program = folder / "reverse"
    command = ["go", "build", "-mod=readonly", "-o", str(program), "."]
    done = subprocess.run(
        command, cwd=MODULE, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return program


class Scs:
    """A running program. Its answers are typed JSON: see main.go."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Go calls the machine's own zone Local.
            env={**os.environ, "TZ": "UTC"},
        )

    def __enter__(self) -> Scs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def try_decode(self, blob: bytes) -> dict[str, Any]:
        """Return what scs makes of a blob; only "error" if scs refuses it, or never ends."""
        return self._ask({"decode": blob.hex()})

    def decode(self, blob: bytes) -> dict[str, Any]:
        """Return what scs reads in a blob that it must accept."""
        answer = self.try_decode(blob)
        assert "error" not in answer, answer["error"]
        return answer

    def sample(self, seed: int) -> dict[str, Any]:
        """Return a session that scs made up and wrote."""
        return self._ask({"sample": seed})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], SECONDS_TO_ANSWER)[0]:
            self._stop()
            self._process = self._start()
            return {"error": "no answer"}
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
