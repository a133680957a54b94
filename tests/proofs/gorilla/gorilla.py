"""Drives the Go program in server/, which answers for the real gorilla/sessions."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

MODULE = Path(__file__).parent / "server"
SECONDS_TO_ANSWER = 20

Pair = tuple[bytes, bytes | None]


def build(folder: Path) -> Path:
    """Build the program in ``folder`` and return its path."""
    program = folder / "gorilla"
    command = ["go", "build", "-mod=readonly", "-o", str(program), "."]
    done = subprocess.run(
        command, cwd=MODULE, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return program


class Gorilla:
    """A running program. Its answers are typed JSON: see main.go."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TZ": "UTC"},
        )

    def __enter__(self) -> Gorilla:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, op: str, pairs: Sequence[Pair], name: str = "session", **rest: Any) -> Any:
        """Return the answer; an ``"error"``, or a ``"panic"``, is one."""
        keys = [{"hash": key.hex(), "block": block and block.hex()} for key, block in pairs]
        request = {"op": op, "name": name, "pairs": keys, **rest}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], SECONDS_TO_ANSWER)[0], "no answer"
        return json.loads(self._process.stdout.readline())

    def must(self, op: str, pairs: Sequence[Pair], name: str = "session", **rest: Any) -> Any:
        """Return an answer that is neither an error nor a panic."""
        answer = self.ask(op, pairs, name, **rest)
        assert not {"error", "panic"} & set(answer), answer
        return answer
