"""The real scs, for what Python encodes to be decoded by."""

from collections.abc import Iterator

import pytest

from tests.go import build

from .scs import MODULE, Scs


@pytest.fixture(scope="session")
def scs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scs]:
    """Return a running Go program that decodes and encodes with the real scs."""
    with Scs(build(MODULE, tmp_path_factory.mktemp("reverse") / "reverse")) as running:
        yield running
