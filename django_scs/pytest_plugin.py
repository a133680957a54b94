"""``pytest_plugins = ["django_scs.pytest_plugin"]`` in a project's conftest.py: see docs/testing.md."""

from collections.abc import Callable

import pytest


@pytest.fixture
def age_sessions() -> Callable[..., int]:
    """Return ``django_scs.testing.age``, which lets sessions be older."""
    from .testing import age

    return age
