"""How tests see what is sent to the database in autocommit, and the table as scs creates it."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import DjangoDbBlocker

from django_scs.models import Session

#: Real transactions, and the sessions table emptied after each test: of all tables it alone.
in_autocommit = pytest.mark.django_db(transaction=True, available_apps=["django_scs"])

#: From the README of each of scs's stores. MySQL's has the collation that servers had by default.
SCS_DDL = {
    "mysql": (
        """CREATE TABLE sessions (
            token CHAR(43) PRIMARY KEY,
            data BLOB NOT NULL,
            expiry TIMESTAMP(6) NOT NULL
        ) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci""",
        "CREATE INDEX sessions_expiry_idx ON sessions (expiry)",
    ),
    "postgresql": (
        """CREATE TABLE sessions (
            token TEXT PRIMARY KEY,
            data BYTEA NOT NULL,
            expiry TIMESTAMPTZ NOT NULL
        )""",
        "CREATE INDEX sessions_expiry_idx ON sessions (expiry)",
    ),
    "sqlite": (
        """CREATE TABLE sessions (
            token TEXT PRIMARY KEY,
            data BLOB NOT NULL,
            expiry REAL NOT NULL
        )""",
        "CREATE INDEX sessions_expiry_idx ON sessions(expiry)",
    ),
}


@pytest.fixture(scope="class")
def scs_table(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let scs's own DDL create the table, and ``migrate --fake-initial`` adopt it."""
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.delete_model(Session)
        MigrationRecorder.Migration.objects.filter(app="django_scs").delete()
        with connection.cursor() as cursor:
            for statement in SCS_DDL[connection.vendor]:
                cursor.execute(statement)
        call_command("migrate", "django_scs", fake_initial=True, verbosity=0)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(Session)
        editor.create_model(Session)
