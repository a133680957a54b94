"""``pytest_plugins = ["django_scs.pytest_plugin"]`` in a project's conftest.py: see docs/testing.md."""

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def age_sessions() -> Callable[..., int]:
    """Return ``django_scs.testing.age``, which makes sessions older."""
    from .testing import age

    return age


@pytest.fixture(autouse=True, scope="session")
def sessions_apart_in_redis() -> Iterator[None]:
    """Run all tests in ``django_scs.testing.apart_in_redis``."""
    from .testing import apart_in_redis

    with apart_in_redis():
        yield
