"""Whole HTTP requests to async views under uvicorn, and to the same views under gunicorn.

Each engine has a server of either kind; one client asks them in turn. Both connect to the database as
docs/performance.md advises for ASGI: by a pool on PostgreSQL, else once for each request.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from django.conf import settings
from django.test import override_settings

from tests.bench import tables
from tests.bench.engines import OPERATIONS, SMALL, Engine
from tests.bench.lanes import POOL, SessionLane
from tests.bench.plan import Extent
from tests.servers import ServerError, free_port

START_SECONDS = 30
ASGI, WSGI = "asgi", "wsgi"
#: Operation, and the page that does it in async views; under WSGI it is the same without the prefix.
#: The first uses no session: what is more in the others is the session's.
PAGES = {
    "anonymous": "/async/anonymous/",
    "read": "/async/read/",
    "change": "/async/change/",
    "login": "/async/login/",
}
_COMMANDS = {
    ASGI: ["uvicorn", "--no-access-log", "--log-level=error", "tests.bench.served_app:application"],
    WSGI: ["gunicorn", "--threads=4", "--keep-alive=600", "tests.bench.served_app:wsgi"],
}
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server with one engine, and a connection to it."""

    def __init__(self, kind: str, engine: Engine, log: Path) -> None:
        self.kind = kind
        self.engine = engine
        self.cpu = 0.0
        self.requests = 0
        port = free_port()
        place = (
            ["--host=127.0.0.1", f"--port={port}"] if kind == ASGI else [f"--bind=127.0.0.1:{port}"]
        )
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *_COMMANDS[kind], *place],
                env={
                    **os.environ,
                    "BENCHMARK_SERVED": engine.module,
                    "BENCHMARK_MIDDLEWARE": engine.middleware,
                    "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
                },
                stdout=output,
                stderr=output,
            )
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._log = log

    def wait(self) -> None:
        """Return when it answers. Raises ServerError, with its log."""
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.get("/hops/")
                return
            self._client.close()
            time.sleep(0.1)
        raise ServerError(f"{self.kind} did not start:\n{self._log.read_text()[-3000:]}")

    def get(self, path: str, token: str = "") -> str:
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={token}"} if token else {}
        self._client.request("GET", path, headers=cookie)
        response = self._client.getresponse()
        body = response.read().decode()
        if response.status != 200:
            raise ServerError(f"{path} answered {response.status}:\n{body[:3000]}")
        return body

    def batch(self, operation: str, jobs: Sequence[str]) -> tuple[list[int], float]:
        """Return the nanoseconds of each request, and the server's own milliseconds for one."""
        path = PAGES[operation] if self.kind == ASGI else PAGES[operation].removeprefix("/async")
        before, times = self._cpu_seconds(), []
        for number, token in enumerate(jobs):
            start = perf_counter_ns()
            self.get(f"{path}?{perf_counter_ns()}{number}", token)
            times.append(perf_counter_ns() - start)
        return times, (self._cpu_seconds() - before) * 1000 / len(jobs)

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()

    def _cpu_seconds(self) -> float:
        """Return the seconds of CPU that the server and its workers have had."""
        total = 0
        for pid in (self._process.pid, *_children(self._process.pid)):
            # What follows the name of the program, which may have blanks in it.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextlib.contextmanager
def _running(engines: Sequence[Engine], log: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        servers = []
        for kind in (ASGI, WSGI):
            for engine in engines:
                servers.append(Server(kind, engine, log))
                stack.callback(servers[-1].stop)
        for server in servers:
            server.wait()
        yield servers


def drive(
    engines: Sequence[Engine],
    values: Mapping[str, str],
    extent: Extent,
    draw: random.Random,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return by kind of server, operation and engine: milliseconds (median), of CPU, and hops."""
    number = extent.batch
    lanes = {engine.key: SessionLane(engine, SMALL) for engine in engines}
    for lane in lanes.values():
        lane.fill(values)
    times: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    cpu: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    hops: dict[tuple[str, str, str], int] = {}
    with _running(engines, folder / "served.log") as servers:
        for turn in chain([0], extent.turns()):
            for operation in PAGES:
                for server in draw.sample(servers, len(servers)):
                    jobs = _tokens(lanes[server.engine.key], operation, number)
                    server.get("/hops/")
                    taken, spent = server.batch(operation, jobs)
                    key = (server.kind, operation, server.engine.key)
                    hops[key] = int(server.get("/hops/")) // number
                    if turn:
                        times[key] += taken
                        cpu[key].append(spent)
            say(f"served: round {turn} of {extent.rounds}")
    found: dict[str, Any] = {kind: {operation: {} for operation in PAGES} for kind in (ASGI, WSGI)}
    for (kind, operation, name), taken in times.items():
        found[kind][operation][name] = {
            "ms": round(statistics.median(taken) / 1e6, 3),
            "cpu": round(statistics.fmean(cpu[kind, operation, name]), 3),
            "hops": hops[kind, operation, name],
        }
    return found


def _tokens(lane: SessionLane, operation: str, number: int) -> list[str]:
    tables.use(SMALL)
    with override_settings(**lane.engine.settings_for(OPERATIONS[operation])):
        if OPERATIONS[operation].fresh:
            return [lane.create() for _ in range(number)]
        return [lane._pool[turn % POOL] for turn in range(number)]
