"""No write leaves the expiry to a server that has its own idea of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from django_scs.backends.db import SessionStore
from django_scs.models import Session

# As scs's README has it.
SCS_TABLE = """
CREATE TABLE sessions (
    token CHAR(43) PRIMARY KEY,
    data BLOB NOT NULL,
    expiry TIMESTAMP(6) NOT NULL
)
"""


@pytest.fixture
def implicit_timestamps(transactional_db: None) -> Iterator[None]:
    """Have scs's table as a server with explicit_defaults_for_timestamp=0 creates it."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW CREATE TABLE sessions")
        ours = cursor.fetchone()[1]
        cursor.execute("DROP TABLE sessions")
        cursor.execute("SET SESSION explicit_defaults_for_timestamp = 0")
        cursor.execute(SCS_TABLE)
        cursor.execute("CREATE INDEX sessions_expiry_idx ON sessions (expiry)")
        cursor.execute("SHOW CREATE TABLE sessions")
        assert "ON UPDATE current_timestamp(6)" in cursor.fetchone()[1]
        yield
        cursor.execute("DROP TABLE sessions")
        # Otherwise the table that other tests use would be such a one too.
        cursor.execute("SET SESSION explicit_defaults_for_timestamp = 1")
        cursor.execute(ours)
        cursor.execute("SHOW CREATE TABLE sessions")
        assert cursor.fetchone()[1] == ours


def change(session: SessionStore) -> None:
    session["a"] = 1
    session.save()


def save_unchanged(session: SessionStore) -> None:
    session.modified = True
    session.save()


WRITES: tuple[Callable[[SessionStore], Any], ...] = (
    change,
    save_unchanged,
    SessionStore.renew_token,
    lambda session: session.take("flash"),
)


@pytest.mark.vendors("mysql")
@pytest.mark.parametrize("write", WRITES, ids=["save", "touch", "rename", "take"])
def test_every_write_sets_the_expiry(
    write: Callable[[SessionStore], Any], implicit_timestamps: None
) -> None:
    session = SessionStore()
    session["flash"] = "saved"
    session.save()
    deadline = session.deadline()
    session = SessionStore(session.session_key)
    session.keys()
    write(session)
    assert Session.objects.get(token=session.session_key).expiry - deadline < timedelta(seconds=30)
    assert Session.objects.get(token=session.session_key).expiry > datetime.now(UTC) + timedelta(
        days=13
    )
    assert session.exists(session.session_key)


@pytest.mark.vendors("mysql")
def test_a_write_that_leaves_the_expiry_out_would_end_the_session(
    implicit_timestamps: None,
) -> None:
    session = SessionStore()
    session["user"] = "alice"
    session.save()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sessions SET data = CONCAT(data, ' ')")
    assert not session.exists(session.session_key)
