import json
import logging
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.database import in_autocommit, scs_table

__all__ = ["scs_table"]

EXPIRY = datetime(2031, 7, 1, 12, 30, 15, 123_456, UTC)

#: What each vendor says of the columns: name, type, nullable, and what else matters.
COLUMNS = {
    "mysql": (
        "SELECT column_name, column_type, is_nullable, column_key, character_set_name, collation_name,"
        " column_default, extra FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = 'sessions' ORDER BY ordinal_position",
        [
            ("token", "char(43)", "NO", "PRI", "ascii", "ascii_bin", None, ""),
            ("data", "blob", "NO", "", None, None, None, ""),
            ("expiry", "timestamp(6)", "NO", "MUL", None, None, None, ""),
        ],
    ),
    "postgresql": (
        "SELECT column_name, data_type, is_nullable, collation_name, column_default"
        " FROM information_schema.columns WHERE table_name = 'sessions' ORDER BY ordinal_position",
        [
            ("token", "text", "NO", None, None),
            ("data", "bytea", "NO", None, None),
            ("expiry", "timestamp with time zone", "NO", None, None),
        ],
    ),
    "sqlite": (
        "SELECT name, type, \"notnull\", pk FROM pragma_table_info('sessions')",
        [("token", "TEXT", 1, 1), ("data", "BLOB", 1, 0), ("expiry", "REAL", 1, 0)],
    ),
}


def rows(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def indexes():
    """Return the columns of each index beside the primary key, by its name."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "sessions")
    return {
        name: each["columns"]
        for name, each in found.items()
        if (each["index"] or each["unique"]) and not each["primary_key"]
    }


@in_autocommit
class TestTable:
    def test_columns_are_those_of_scs(self, vendor):
        sql, expected = COLUMNS[vendor]
        assert list(map(tuple, rows(sql))) == expected

    def test_index_on_expiry_is_the_only_one(self):
        assert indexes() == {"sessions_expiry_idx": ["expiry"]}

    @pytest.mark.vendors("postgresql")
    def test_index_for_like_is_not_there(self):
        found = rows("SELECT indexdef FROM pg_indexes WHERE tablename = 'sessions'")
        assert len(found) == 2
        assert not any("pattern_ops" in definition for (definition,) in found)


@in_autocommit
@pytest.mark.usefixtures("scs_table")
class TestTableOfScs:
    def test_migrate_adopts_it_as_it_is(self, vendor):
        if vendor == "mysql":
            ((_, definition),) = rows("SHOW CREATE TABLE sessions")
            assert "utf8mb4_general_ci" in definition
        assert indexes() == {"sessions_expiry_idx": ["expiry"]}
        plan = StringIO()
        call_command("migrate", "django_scs", plan=True, stdout=plan)
        assert "No planned migration operations." in plan.getvalue()

    def test_session_lives_in_it(self):
        session = SessionStore()
        session["a"] = 1
        session.save()
        session["a"] = 2
        session.save()
        session.cycle_key()
        assert SessionStore(session.session_key)["a"] == 2
        assert Session.objects.filter(expiry__gt=timezone.now()).count() == 1
        session.flush()
        assert not Session.objects.exists()

    def test_token_in_another_case_is_no_session(self):
        session = SessionStore()
        session["a"] = 1
        session.save()
        other = SessionStore(session.session_key.swapcase())
        assert other.session_key != session.session_key
        assert other.get("a") is None
        SessionStore(session.session_key.swapcase()).flush()
        assert SessionStore(session.session_key)["a"] == 1


@pytest.mark.django_db
def test_model_needs_no_further_migration():
    call_command("makemigrations", "django_scs", check=True, dry_run=True, verbosity=0)


def test_text_of_a_session_is_its_fingerprint():
    token = tokens.new()
    session = Session(token=token)
    assert str(session) == tokens.fingerprint(token)
    assert repr(session) == f"<Session: {tokens.fingerprint(token)}>"


def test_get_session_store_class_is_the_engine():
    assert Session.get_session_store_class() is SessionStore


@in_autocommit
class TestManager:
    @pytest.mark.parametrize("hashed", [False, True])
    def test_save_writes_what_the_engine_reads(self, settings, hashed):
        settings.SCS_HASH_TOKENS = hashed
        token = tokens.new()
        saved = Session.objects.save(token, {"a": 1}, EXPIRY)
        assert isinstance(saved, Session)
        assert (saved.token == token) is not hashed
        assert SessionStore(token)["a"] == 1
        assert abs(Session.objects.get().expiry - EXPIRY) < timedelta(milliseconds=1)

    @pytest.mark.parametrize("step", ["convert", True])
    def test_save_binds_the_data_to_its_row(self, settings, step):
        settings.SCS_CODEC = "django_scs.codecs.signed.SignedCodec"
        settings.SCS_HASH_TOKENS = step
        token = tokens.new()
        saved = Session.objects.save(token, {"a": 1}, EXPIRY)
        assert saved.get_decoded() == SessionStore(token).load() == {"a": 1}

    def test_save_of_no_values_deletes_the_session(self):
        token = tokens.new()
        Session.objects.save(token, {"a": 1}, EXPIRY)
        Session.objects.save(token, {}, EXPIRY)
        assert not Session.objects.exists()

    def test_encode_is_what_the_engine_writes(self):
        data = Session.objects.encode({"a": 1})
        assert json.loads(data)["values"] == {"a": 1}
        assert Session(data=data).get_decoded() == {"a": 1}

    def test_get_decoded_gives_the_values_of_a_row(self):
        session = SessionStore()
        session["a"] = b"b"
        session.save()
        assert Session.objects.get(token=session.session_key).get_decoded() == {"a": b"b"}


def test_get_decoded_of_corrupt_data_says_which_session(caplog):
    session = Session(token=tokens.new(), data=b"\xff foreign")
    with caplog.at_level(logging.WARNING, "django.security.SuspiciousSession"):
        assert session.get_decoded() == {}
    assert [str(session) in message for message in caplog.messages] == [True, True]
