"""What the proofs on Redis share: servers, and the Go program."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.go import build
from tests.redis_servers import redis_cluster, redis_server

from .scs import Scs

__all__ = ["redis_cluster", "redis_server"]

MODULE = Path(__file__).with_name("gostore")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Go program. Go itself knows what of it has to be compiled anew."""
    return build(MODULE, tmp_path_factory.mktemp("gostore") / "gostore")


@pytest.fixture
def scs(program: Path) -> Iterator[Callable[..., Scs]]:
    """Return what starts the real scs on one of its stores."""
    running: list[Scs] = []

    def start(*arguments: Any, password: str) -> Scs:
        running.append(Scs(program, *arguments, REDIS_PASSWORD=password))
        return running[-1]

    yield start
    for each in running:
        each.close()
