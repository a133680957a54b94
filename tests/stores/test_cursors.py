"""The driver's cursor that is kept between statements, and when it is not."""

import asyncio
from contextlib import closing
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from pytest_django.plugin import DjangoDbBlocker

from django_scs.stores.cursors import Lent

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection() -> BaseDatabaseWrapper:
    return connections["default"]


def ask(connection: BaseDatabaseWrapper, number: int = 1) -> Any:
    """Ask something, and return the driver's cursor that was used."""
    with Lent(connection) as cursor:
        cursor.execute("SELECT %s + 0", [number])
        assert [tuple(row) for row in cursor.fetchall()] == [(number,)]
        return cursor.cursor


def test_cursor_is_kept(connection: BaseDatabaseWrapper) -> None:
    assert ask(connection) is ask(connection)


def test_query_log_sees_what_a_kept_cursor_sends(connection: BaseDatabaseWrapper) -> None:
    kept = ask(connection)
    with CaptureQueriesContext(connection) as captured:
        assert ask(connection) is kept
    assert len(captured) == 1
    assert ask(connection) is kept


def test_what_is_put_in_the_place_of_cursor_is_called(
    connection: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls, cursor = ask(connection), [], connection.cursor
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", lambda: calls.append(1) or cursor())
        assert ask(connection) is not before
        ask(connection)
    ask(connection)
    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "cursor", lambda self: calls.append(1) or cursor())
        ask(connection)
    assert calls == [1, 1, 1]


def test_cursor_of_another_connection_is_not_used(
    connection: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ask(connection)
    # What close() and the next statement do; a test's own connection must stay as it is.
    driver = connection.get_new_connection(connection.get_connection_params())
    with closing(driver), monkeypatch.context() as patch:
        patch.setattr(connection, "connection", driver)
        assert ask(connection) is not before
        vars(connection).pop("_django_scs_cursor")


def test_cursor_is_not_kept_after_an_error(
    connection: BaseDatabaseWrapper, transactional_db: None
) -> None:
    before = ask(connection)
    with pytest.raises(DatabaseError), Lent(connection) as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    assert ask(connection) is not before


def test_execute_wrapper_may_ask_too(connection: BaseDatabaseWrapper) -> None:
    asked: list[Any] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if params != [2]:
            asked.append(ask(connection, 2))
        return answer

    ask(connection)
    with connection.execute_wrapper(wrapper):
        ask(connection)
    assert asked


def test_event_loop_is_refused_as_by_django(connection: BaseDatabaseWrapper) -> None:
    ask(connection)

    async def in_a_loop() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            ask(connection)

    asyncio.run(in_a_loop())


def test_test_without_a_database_is_refused_as_by_pytest(
    connection: BaseDatabaseWrapper, django_db_blocker: DjangoDbBlocker
) -> None:
    ask(connection)
    with (
        django_db_blocker.block(),
        pytest.raises(RuntimeError, match="Database access not allowed"),
    ):
        ask(connection)
