"""What ``check --database`` finds in the table, the clock and the connection of sessions."""

from collections.abc import Iterator

import pytest
from django.core import checks as django_checks
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from django_scs.checks import database as checks
from django_scs.models import Session
from tests.database import SCS_DDL, in_autocommit


@pytest.fixture
def limited(settings):
    settings.SCS_MAX_BYTES = 65_535


@pytest.fixture
def table() -> Iterator[None]:
    """Let a test change the table, and put ours back."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS sessions")
    with connection.schema_editor() as editor:
        editor.create_model(Session)


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def make(*replacements: tuple[str, str], index: bool = True) -> None:
    """Put a table in the place of ours that differs from that of scs's documentation."""
    create, create_index = SCS_DDL[connection.vendor]
    for old, new in replacements:
        assert old in create
        create = create.replace(old, new)
    execute("DROP TABLE sessions", create, *([create_index] if index else []))


def found() -> list[str]:
    messages = checks.check_database(databases=["default"])
    assert all(message.hint for message in messages)
    # An error would keep migrate from mending it.
    assert all(not message.is_serious() for message in messages)
    return sorted(str(message.id).removeprefix("django_scs.") for message in messages)


@in_autocommit
def test_our_own_table_is_as_it_should_be(limited: None) -> None:
    assert found() == []


@in_autocommit
def test_table_of_scs_is_as_it_should_be(limited: None, table: None, vendor: str) -> None:
    make()
    assert found() == (["W033"] if vendor == "mysql" else [])


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_database_is_looked_at_only_where_it_is_asked_for(databases: list[str] | None) -> None:
    assert checks.check_database(databases=databases) == []


@in_autocommit
def test_missing_table_is_warned_of(table: None) -> None:
    execute("DROP TABLE sessions")
    assert found() == ["W028"]


@in_autocommit
def test_table_that_is_to_be_made_is_not_warned_of(table: None) -> None:
    execute("DROP TABLE sessions")
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("django_scs", "0001_initial")
    try:
        assert found() == []
    finally:
        recorder.record_applied("django_scs", "0001_initial")


@in_autocommit
def test_missing_column_is_warned_of(limited: None, table: None) -> None:
    make(("data ", "blob_of_data "))
    assert "W029" in found()


WRONG_TYPE = {"mysql": "VARBINARY(900)", "postgresql": "TEXT", "sqlite": "TEXT"}
TYPE = {"mysql": "BLOB", "postgresql": "BYTEA", "sqlite": "BLOB"}


@in_autocommit
def test_column_of_another_type_is_warned_of(table: None, vendor: str, settings) -> None:
    settings.SCS_MAX_BYTES = 2048
    make((TYPE[vendor], WRONG_TYPE[vendor]))
    assert "W031" in found()
    make((TYPE[vendor], TYPE[vendor]))
    assert "W031" not in found()


@in_autocommit
def test_missing_index_is_warned_of(limited: None, table: None) -> None:
    make(index=False)
    assert "W032" in found()


@in_autocommit
@pytest.mark.vendors("mysql", "sqlite")
def test_collation_that_ignores_case_is_warned_of(limited: None, table: None, vendor: str) -> None:
    if vendor == "mysql":
        make()
    else:
        make(("token TEXT PRIMARY KEY", "token TEXT COLLATE NOCASE PRIMARY KEY"))
    assert found() == ["W033"]
    if vendor == "mysql":
        execute(
            "ALTER TABLE sessions MODIFY token CHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
        )
        assert found() == []


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_column_too_short_for_a_token_is_an_error(
    limited: None, table: None, vendor: str, settings
) -> None:
    make(
        ("token CHAR(43)", "token CHAR(40)")
        if vendor == "mysql"
        else ("token TEXT", "token VARCHAR(40)")
    )
    assert "W030" in found()
    settings.SCS_TOKEN_BYTES = 30
    assert "W030" not in found()
    settings.SCS_HASH_TOKENS = True
    assert "W030" in found()
    settings.SCS_HASH_TOKENS = False
    # The keys of other kinds are hashes.
    settings.SCS_SESSIONS = {"basket": {"COOKIE_NAME": "basket"}}
    assert "W030" in found()


@in_autocommit
@pytest.mark.vendors("mysql")
def test_column_narrower_than_what_is_set_is_warned_of(settings) -> None:
    settings.SCS_MAX_BYTES = 65_536
    assert found() == ["W034"]


@in_autocommit
@pytest.mark.vendors("postgresql", "sqlite")
def test_column_without_an_end_is_warned_of() -> None:
    assert found() == ["W039"]


@in_autocommit
@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 3])
def test_clocks_that_are_apart_are_warned_of(
    limited: None, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    real = checks.time.time
    monkeypatch.setattr(checks.time, "time", lambda: real() + offset)
    assert found() == (["W035"] if abs(offset) == 3 else [])


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize(
    ("level", "vendors"),
    [
        ("READ COMMITTED", ()),
        ("REPEATABLE READ", ("postgresql",)),
        ("SERIALIZABLE", ("mysql", "postgresql")),
    ],
)
def test_isolation_level_is_looked_at(
    limited: None, vendor: str, level: str, vendors: tuple[str, ...]
) -> None:
    scope = "SESSION" if vendor == "mysql" else "SESSION CHARACTERISTICS AS"
    execute(f"SET {scope} TRANSACTION ISOLATION LEVEL {level}")
    try:
        assert found() == (["W036"] if vendor in vendors else [])
    finally:
        connection.close()


@in_autocommit
def test_lifetime_past_2038_is_warned_of_where_it_ends(limited: None, settings, vendor) -> None:
    settings.SCS_LIFETIME = 20 * 365 * 86_400
    assert found() == (["W037"] if vendor == "mysql" else [])


class Replica:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


@in_autocommit
def test_sessions_read_from_a_replica_are_warned_of(limited: None, settings) -> None:
    settings.DATABASE_ROUTERS = [Replica()]
    assert found() == ["W038"]


@in_autocommit
def test_table_of_several_kinds_is_looked_at_once(settings, table: None) -> None:
    settings.SCS_SESSIONS = {"another": {"COOKIE_NAME": "another"}}
    execute("DROP TABLE sessions")
    assert found() == ["W028"]


def test_wrong_settings_are_anothers_affair(settings) -> None:
    settings.SCS_LIFETIME = "long"
    assert checks.check_database(databases=["default"]) == []
    settings.SCS_LIFETIME = 60
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert checks.check_database(databases=["default"]) == []


# The time zone of the connection


@in_autocommit
@pytest.mark.vendors("mysql")
@pytest.mark.parametrize("zone", ["+00:00", "-08:00", "+05:30"])
def test_time_zone_of_one_offset_is_fine(zone):
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = %s", [zone])
    try:
        assert checks.check_time_zone(databases=["default"]) == []
    finally:
        connection.close()


@in_autocommit
@pytest.mark.vendors("mysql")
def test_time_zone_with_daylight_saving_is_warned_of():
    # Servers rarely have their zone tables filled: this one moves its clock in April and October.
    def save_daylight(execute, sql, *args):
        in_summer = "MONTH(FROM_UNIXTIME(@moment)) BETWEEN 4 AND 9"
        moved = f"FROM_UNIXTIME(@moment := %s) + INTERVAL ({in_summer}) HOUR"
        return execute(sql.replace("FROM_UNIXTIME(%s)", moved), *args)

    with connection.execute_wrapper(save_daylight):
        (message,) = checks.check_time_zone(databases=["default"])
    assert isinstance(message, django_checks.Warning)
    assert message.id == "django_scs.W001"
    assert "'default'" in message.msg
    assert "time_zone" in message.hint


@in_autocommit
@pytest.mark.vendors("sqlite", "postgresql")
def test_time_zone_of_other_vendors_does_not_matter():
    assert checks.check_time_zone(databases=["default"]) == []


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_time_zone_is_looked_at_only_where_databases_are(databases):
    assert checks.check_time_zone(databases=databases) == []


@pytest.mark.django_db
def test_checks_are_silent_where_the_app_is_not_installed():
    """The registry outlives an override of INSTALLED_APPS, as Django's own tests of the admin do."""
    with override_settings(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"]):
        found = django_checks.run_checks(include_deployment_checks=True, databases=["default"])
    assert [each for each in found if each.id and each.id.startswith("django_scs.W02")] == []
