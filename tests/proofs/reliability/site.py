"""Gunicorn with several worker processes that serves the web application of these tests."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers import free_port

from .load import Browser

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 30


class Site:
    """A running site; as a context manager it is gone after its block.

    ``database`` is what differs from the suite's DATABASES["default"], ``url`` its DATABASE_URL, and
    ``settings`` are the site's own.
    """

    application = "tests.proofs.reliability.webapp.wsgi"

    def __init__(
        self,
        database: Mapping[str, Any],
        *,
        url: str | None = None,
        processes: int = 3,
        # A worker accepts more requests than it has threads for, and lets them wait.
        threads: int = 50,
        **settings: Any,
    ) -> None:
        self.address = ("127.0.0.1", free_port())
        self._command = [
            *(sys.executable, "-m", "gunicorn", self.application),
            *("--bind", "{}:{}".format(*self.address), "--no-control-socket"),
            *("--workers", str(processes), "--threads", str(threads), "--graceful-timeout", "2"),
            # A machine that stands still for a while must not cost a worker its life.
            *("--timeout", "300"),
            *("--log-level", "warning"),
        ]
        wanted = json.dumps({**settings, "DATABASE": dict(database)})
        self._environment = {**os.environ, "SITE": wanted, **({"DATABASE_URL": url} if url else {})}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by stop()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def browser(self, token: str | None = None) -> Browser:
        """Return a new visitor, or one with the cookie of another."""
        return Browser(self.address, token)

    def stop(self) -> None:
        """Stop all processes of the site."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
        self._log.close()

    def log(self) -> str:
        """Return what the site has logged so far."""
        return os.pread(self._log.fileno(), 10**7, 0).decode(errors="replace")

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.browser().send("worker").status == 200:
                    return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The site did not start:\n{self.log()}")
            time.sleep(0.05)
