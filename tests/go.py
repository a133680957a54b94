"""The Go programs of the tests: how they are built, and how they are asked."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers import require_program

SECONDS_TO_ANSWER = 20


def build(module: Path, program: Path, **environment: str) -> Path:
    """Build the Go module in a folder as ``program``, and return that.

    Raise NotInstalled without Go.
    """
    command = [require_program("go"), "build", "-mod=readonly", "-o", str(program), "."]
    done = subprocess.run(
        command,
        cwd=module,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return program


class Program:
    """A running Go program that answers each line of JSON with another. See its main.go."""

    def __init__(self, program: Path, *arguments: str, **environment: str) -> None:
        self._command = [str(program), *arguments]
        # Go calls the machine's own zone Local.
        self._environment = {**os.environ, "TZ": "UTC", **environment}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def send(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer. If there is none, start the program anew and say so as an "error"."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked
        assert answers
        print(json.dumps(request), file=asked, flush=True)
        if not select.select([answers], [], [], SECONDS_TO_ANSWER)[0]:
            self.close()
            self._process = self._start()
            return {"error": "no answer"}
        answer: dict[str, Any] = json.loads(answers.readline())
        return answer
