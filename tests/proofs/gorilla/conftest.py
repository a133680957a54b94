"""The real gorilla/sessions, to share cookies with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .gorilla import Gorilla, build


@pytest.fixture(scope="session")
def gorilla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gorilla]:
    """Return a running Go program that opens and writes cookies with the real gorilla/sessions."""
    if shutil.which("go") is None:
        reason = "`go` is missing: NOTHING HERE WAS CHECKED AGAINST THE REAL GORILLA/SESSIONS"
        required = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        (pytest.fail if required else pytest.skip)(reason)
    with Gorilla(build(Path(tmp_path_factory.mktemp("gorilla")))) as running:
        yield running
