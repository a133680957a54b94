"""The option --full."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the proofs at full size, with their figures"
    )


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Tell whether to run at full size. The whole suite never does."""
    return bool(pytestconfig.getoption("--full", default=False))
