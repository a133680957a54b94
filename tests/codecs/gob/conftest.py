"""The real scs, for what Python encodes to be decoded by."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .scs import Scs, build


@pytest.fixture(scope="session")
def scs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scs]:
    """Return a running Go program that decodes and encodes with the real scs."""
    if shutil.which("go") is None:
        reason = "`go` is missing: NOTHING HERE WAS CHECKED AGAINST THE REAL SCS"
        required = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        (pytest.fail if required else pytest.skip)(reason)
    with Scs(build(Path(tmp_path_factory.mktemp("reverse")))) as running:
        yield running
