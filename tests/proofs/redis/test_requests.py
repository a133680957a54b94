"""Whole requests on Redis: what the tests of the middleware, flashes and logins say of the table."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import Redis
from tests.test_http import Server, serving

ROOT = Path(__file__).parents[3]
FILES = ("middleware", "flash", "async", "login", "contrib", "templatetags")
#: So that it is noticed when tests are left out that should not be.
AT_LEAST = 150


def test_middleware_flashes_and_logins_work_on_redis(redis_server: Redis) -> None:
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    files = [f"tests/test_{name}.py" for name in FILES]
    done = subprocess.run(
        [*command, "-p", "tests.proofs.redis.instead_of_table", *files],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": redis_server.url, "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout[-300:])
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= AT_LEAST


@pytest.fixture(scope="module")
def server(redis_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("http")
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.proofs.redis.served_settings",
        "REDIS_URL": redis_server.url,
    }
    url = f"sqlite:///{folder}/empty.sqlite3"
    with serving(url, folder / "gunicorn.log", **environment) as server:
        yield server


def _at_once(server: Server, paths: list[str], token: str) -> list[bytes]:
    with ThreadPoolExecutor(8) as browsers:
        answers = list(browsers.map(lambda path: server.get(path, token), paths))
    assert {answer.status for answer in answers} == {200}
    return [answer.body for answer in answers]


def test_of_many_parallel_requests_one_gets_the_flash(server: Server) -> None:
    token = server.get("/put_flash/").token
    bodies = _at_once(server, ["/pop_flash/"] * 16, token)
    assert sorted(bodies) == [b""] * 15 + [b"Saved!"]


def test_parallel_requests_lose_no_change_of_each_other(server: Server) -> None:
    token = server.get("/put/").token
    _at_once(server, [f"/put_flash/?key=slot{number}" for number in range(16)], token)
    assert len(json.loads(server.get("/read/", token).body)) == 17


def test_logout_is_final(server: Server) -> None:
    token = server.get("/put/").token
    assert server.get("/log_out/", token).cookie["max-age"] == "0"
    assert server.get("/read/", token).body == b"{}"
