"""The real gorilla/sessions, to share cookies with."""

from collections.abc import Iterator

import pytest

from tests.go import build

from .gorilla import MODULE, Gorilla


@pytest.fixture(scope="session")
def gorilla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gorilla]:
    """Return a running Go program that opens and writes cookies with the real gorilla/sessions."""
    with Gorilla(build(MODULE, tmp_path_factory.mktemp("gorilla") / "gorilla")) as running:
        yield running
