"""A running cluster for the tests of this folder, which need --cluster to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.servers import interruptible

from ..reliability.load import Browser
from ..reliability.site import Site
from .connect import options, use
from .galera import Galera

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests of tests/proofs/cluster, on three nodes",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--cluster", default=False):
        return
    ours = [item for item in items if item.path.is_relative_to(FOLDER)]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session")
def cluster(django_db_blocker: DjangoDbBlocker) -> Iterator[Galera]:
    """Return a cluster with our table."""
    with interruptible(), django_db_blocker.unblock(), Galera() as cluster:
        use(cluster.nodes[0])
        call_command("migrate", "django_scs", verbosity=0)
        cluster.settle()
        yield cluster
        connections.close_all()


@pytest.fixture
def first_node(cluster: Galera) -> Iterator[Galera]:
    """Return the cluster, with this thread's connection made to its first node."""
    use(cluster.nodes[0])
    yield cluster
    connections.close_all()


@pytest.fixture(scope="session")
def browser(cluster: Galera) -> Iterator[Callable[..., Browser]]:
    """Return a function that makes a visitor of one of three sites, each on a node of its own."""
    with ExitStack() as sites:
        running = [
            sites.enter_context(
                Site({"OPTIONS": options(sync_wait=1)}, url=node.url, processes=1, threads=20)
            )
            for node in cluster.nodes
        ]
        yield lambda number, token=None: running[number % len(running)].browser(token)
