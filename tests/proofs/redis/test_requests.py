"""Whole requests on Redis: what the tests of the middleware, flashes and logins say of the table."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.servers import Redis

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
