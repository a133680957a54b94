"""What the proofs on Redis share: servers, and the Go program."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import must_not_skip
from tests.redis_servers import redis_cluster, redis_server

from .scs import Scs

__all__ = ["redis_cluster", "redis_server"]

MODULE = Path(__file__).with_name("gostore")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Go program. Go itself knows what of it has to be compiled anew."""
    go = shutil.which("go")
    if go is None:
        message = "NO GO: what shares sessions with Go was not tested; install Go 1.21 or newer"
        (pytest.fail if must_not_skip() else pytest.skip)(message)
    program = tmp_path_factory.mktemp("gostore") / "gostore"
    command = [go, "build", "-mod=readonly", "-o", str(program), "."]
    built = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture
def scs(program: Path) -> Iterator[Callable[..., Scs]]:
    """Return what starts the real scs on one of its stores."""
    running: list[Scs] = []

    def start(*arguments: Any, password: str) -> Scs:
        running.append(Scs(program, *arguments, password=password))
        return running[-1]

    yield start
    for each in running:
        each.close()
