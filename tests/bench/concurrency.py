"""Snippetbox under gunicorn, driven by wrk: requests a second, and how long they take."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from example_project.snippets.models import Snippet
from tests.bench import tables
from tests.bench.engines import ENGINES, OURS, SMALL
from tests.servers import ServerError, find_program, free_port

SERVERS = {
    "2 sync workers": ["--workers=2"],
    "1 worker, 8 threads": ["--workers=1", "--threads=8"],
}
CONNECTIONS = 8
SESSIONS = 200
PAGE = 12
START_SECONDS = 30


def drive(
    seconds: int, seed: int, folder: Path, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return the figures of each engine under each server; milliseconds for the latencies."""
    if find_program("wrk") is None:
        raise ServerError("wrk is not installed")
    tables.use(SMALL)
    user = get_user_model().objects.get_or_create(username="snippetbox")[0]
    now = timezone.now()
    for number in range(PAGE):
        Snippet(
            author=user,
            title=f"Snippet {number}",
            content="furu ike ya",
            created=now,
            expires=now + timedelta(days=7),
        ).save()
    results = []
    for title, options in SERVERS.items():
        for key in (OURS, "db"):
            say(f"{ENGINES[key].title} under gunicorn with {title}")
            file = folder / f"tokens-{key}"
            file.write_text("\n".join(_log_in(key, user)))
            with _gunicorn(key, options, folder / "gunicorn.log") as address:
                _wrk(address, file, max(seconds // 4, 1), seed)
                figures = _wrk(address, file, seconds, seed)
            results.append({"server": title, "engine": key, **figures})
    return results


def _log_in(key: str, user: AbstractBaseUser) -> list[str]:
    """Return the tokens of sessions that are logged in, made without the cost of a login."""
    made = []
    for _ in range(SESSIONS):
        session = ENGINES[key].open()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        made.append(session.session_key)
    return made


@contextlib.contextmanager
def _gunicorn(key: str, options: list[str], log: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", *options]
    # Servers of one run have passwords and ports that only its environment knows.
    environment = {
        **os.environ,
        "BENCHMARK_ENGINE": key,
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "example_project.wsgi"], env=environment, stdout=output, stderr=output
        )
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.1)
    raise ServerError(f"gunicorn did not start:\n{log.read_text()[-3000:]}")


def _wrk(address: str, file: Path, seconds: int, seed: int) -> dict[str, Any]:
    csrf = secrets.token_hex(16)
    script = str(Path(__file__).with_name("wrk.lua"))
    options = ["--threads=2", f"--connections={CONNECTIONS}", f"--duration={seconds}s"]
    arguments = [str(file), csrf, str(2 * CONNECTIONS), str(seed)]
    done = subprocess.run(
        ["wrk", *options, f"--script={script}", address, "--", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "requests_per_second": round(figures["requests"] / figures["seconds"], 1),
        "p50": round(figures["p50"], 2),
        "p99": round(figures["p99"], 2),
        "errors": figures["errors"],
    }
