"""Four rights on one table are all that the account of the database needs."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, connections, transaction
from django.db.utils import OperationalError

from django_scs.backends.db import SessionStore
from django_scs.models import Session
from django_scs.testing import age
from tests.database import in_autocommit

pytestmark = [in_autocommit, pytest.mark.vendors("mysql", "postgresql")]
PASSWORD = secrets.token_urlsafe()
RIGHTS = {
    "mysql": (
        "CREATE USER 'web'@'%%' IDENTIFIED BY '{password}'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.sessions TO 'web'@'%%'",
    ),
    "postgresql": (
        "CREATE ROLE web LOGIN PASSWORD '{password}'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO web",
    ),
}
NO_RIGHTS = {
    "mysql": ("DROP USER 'web'@'%%'",),
    "postgresql": ("DROP OWNED BY web", "DROP ROLE web"),
}


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(
                statement.format(password=PASSWORD, database=connection.settings_dict["NAME"])
            )


@pytest.fixture
def web(vendor: str) -> Iterator[None]:
    """Let the application use an account with four rights on the table of sessions alone."""
    execute(*(statement.replace("%%", "%") for statement in RIGHTS[vendor]))
    account = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update(USER="web", PASSWORD=PASSWORD)
    yield
    connection.close()
    connection.settings_dict.update(account)
    execute(*(statement.replace("%%", "%") for statement in NO_RIGHTS[vendor]))


def test_four_rights_suffice(web: None, settings: Any) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    session = SessionStore()
    session.update({"a": 1, "flash": "hi"})
    session.save()
    age(300, session.token())
    with transaction.atomic():
        again = SessionStore(session.token())
        again["a"] = 2
        other = SessionStore(session.token())
        other["b"] = 2
        other.save()
        again.save()
    assert again.take("flash") == "hi"
    again.cycle_key()
    again.save()
    assert dict(SessionStore(again.token()).items()) == {"a": 2, "b": 2}
    assert [each["a"] for each in SessionStore.iterate()] == [2]
    assert SessionStore.destroy_where(lambda each: True) == 1
    expired = SessionStore()
    expired.set_expiry(-1)
    expired.save()
    SessionStore.clear_expired()
    assert not Session.objects.exists()


def test_account_has_no_other_right(web: None) -> None:
    for statement in ("SELECT * FROM django_migrations", "DROP TABLE sessions"):
        with (
            pytest.raises((ProgrammingError, OperationalError)),
            connections["default"].cursor() as cursor,
        ):
            cursor.execute(statement)
