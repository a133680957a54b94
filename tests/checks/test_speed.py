"""The checks of settings that are slow."""

from typing import Any

import pytest
from django.db import connection

from django_scs.backends import db
from django_scs.checks.speed import check_asgi_connections, check_prepared_statements


class SessionStore(db.SessionStore):
    """A project's own."""


@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize("age", [60, None])
def test_connection_that_outlives_its_request_under_asgi(
    settings: Any, monkeypatch: pytest.MonkeyPatch, age: int | None
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", age)
    settings.ASGI_APPLICATION = None
    assert check_asgi_connections() == []
    settings.ASGI_APPLICATION = "example_project.asgi.application"
    (message,) = check_asgi_connections()
    assert message.id == "django_scs.W050"
    assert repr(age) in message.msg
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    assert check_asgi_connections() == []


def test_connection_to_sqlite_and_sessions_elsewhere_are_not_meant(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASGI_APPLICATION = "example_project.asgi.application"
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    assert len(check_asgi_connections()) == (connection.vendor != "sqlite")
    settings.SESSION_ENGINE = "django_scs.backends.cookie"
    assert check_asgi_connections() == []


@pytest.mark.vendors("mysql", "postgresql")
def test_engine_of_a_project_counts_as_ours(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASGI_APPLICATION = "example_project.asgi.application"
    settings.SESSION_ENGINE = __name__
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    assert len(check_asgi_connections()) == 1


@pytest.mark.vendors("postgresql")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, []),
        ({"server_side_binding": True, "prepare_threshold": 0}, []),
        ({"server_side_binding": True}, ["django_scs.W051"]),
        ({"prepare_threshold": 5}, ["django_scs.W051"]),
        ({"server_side_binding": True, "prepare_threshold": None}, ["django_scs.W051"]),
    ],
)
def test_half_of_prepared_statements(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], found: list[str]
) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    assert [message.id for message in check_prepared_statements()] == found
