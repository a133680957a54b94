"""The tables of the old engines, on the tests' database, and users."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from .site import Shop, manage

OLD_TABLES = ("django_session", "user_sessions_session", "qsessions_session", "old_cache")
# They refer to the table of users, which the tests empty by statements that name what may refer to it.
FOREIGN_KEYS = ("user_sessions_session", "qsessions_session")


@pytest.fixture(scope="session")
def database(django_db_setup: None, django_db_blocker: Any) -> dict[str, Any]:
    """Return what differs from DATABASES["default"], on a database with the old engines' tables."""
    found = {"NAME": str(connection.settings_dict["NAME"])}
    for app in ("sessions", "user_sessions", "qsessions"):
        manage(found, "migrate", app, "--fake-initial", "--verbosity=0")
    manage(found, "createcachetable")
    with django_db_blocker.unblock():
        drop_foreign_keys()
    return found


@pytest.fixture
def start(
    transactional_db: None, database: dict[str, Any], tmp_path: Path
) -> Iterator[Callable[..., Shop]]:
    """Return a function that starts a shop with some settings; all are stopped in the end."""
    empty_old_tables()
    with ExitStack() as running:
        running.callback(empty_old_tables)

        def run(**settings: Any) -> Shop:
            common = {"processes": 1, "threads": 20, "SESSION_FILE_PATH": str(tmp_path)}
            return running.enter_context(Shop(database, **{**common, **settings}))

        yield run


def empty_old_tables() -> None:
    with connection.cursor() as cursor:
        for table in OLD_TABLES:
            cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def users(transactional_db: None) -> list[str]:
    """Return the names of fifty users."""
    names = [f"user{number}" for number in range(50)]
    model = get_user_model()
    model.objects.bulk_create(model(username=name) for name in names)
    return names


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Tell whether to run at full size. The whole suite never does."""
    return bool(pytestconfig.getoption("--full", default=False))


def drop_foreign_keys() -> None:
    """Let the users be removed without regard to the old sessions, as the tests' flush does."""
    with connection.cursor() as cursor:
        for table in FOREIGN_KEYS:
            constraints = connection.introspection.get_constraints(cursor, table)
            for name, constraint in constraints.items():
                if constraint["foreign_key"] and connection.vendor != "sqlite":
                    kind = "FOREIGN KEY" if connection.vendor == "mysql" else "CONSTRAINT"
                    cursor.execute(f"ALTER TABLE {table} DROP {kind} {name}")
