"""The engine on the database: the contract, what it sends, and a project's own model."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, models, transaction
from django.db.models.functions import Length
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from django_scs import backoff, tokens
from django_scs.backends.db import SessionStore
from django_scs.exceptions import SessionBusy, SessionTooLarge
from django_scs.models import AbstractSession, Session
from tests.contracts.session import SessionContract
from tests.contracts.tools import Asynchronous, FaultyStore, in_parallel, past
from tests.database import in_autocommit
from tests.support import statements, use_repeatable_read, verbs


@in_autocommit
class TestDatabaseSession(SessionContract):
    @pytest.fixture
    def engine(self) -> type[SessionStore]:
        return SessionStore


@pytest.mark.extra
class TestAsyncDatabaseSession(TestDatabaseSession):
    face = Asynchronous


@pytest.mark.extra
class TestEncryptedDatabaseSession(TestDatabaseSession):
    """The same on a codec that binds the data to its row."""

    @pytest.fixture(autouse=True)
    def encrypt(self, settings: Any) -> None:
        settings.SCS_CODEC = "django_scs.codecs.encrypted.EncryptedCodec"

    def test_renewal_that_fails_after_a_merge_can_be_done_again(
        self, session: Any, saved: Any, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = saved(log=["first"])
        mine, other = session(token), session(token)
        mine.put("log", ["first", "mine"])
        other.put("log", ["first", "theirs"])
        other.save()
        monkeypatch.setattr(backoff, "LIMIT", 0.2)
        faulty.replaced["rename"] = lambda *args: False
        with pytest.raises(SessionBusy):
            mine.cycle_key()
        del faulty.replaced["rename"]
        mine.cycle_key()
        mine.save()
        assert session(mine.session_key).get("log") == ["first", "theirs", "mine"]


@pytest.mark.extra
class TestSignedDatabaseSession(TestDatabaseSession):
    @pytest.fixture(autouse=True)
    def sign(self, settings: Any) -> None:
        settings.SCS_CODEC = "django_scs.codecs.signed.SignedCodec"


@pytest.fixture
def token() -> str:
    session = SessionStore()
    session.update({"a": 1, "flash": "hello"})
    session.save()
    return session.session_key


# What is sent


def read(session: SessionStore) -> None:
    session.get("a")


def change(session: SessionStore) -> None:
    session["a"] = 2
    session.save()


def create(session: SessionStore) -> None:
    session.create()


def renew(session: SessionStore) -> None:
    session.cycle_key()
    session.save()


def take(session: SessionStore) -> None:
    assert session.take("flash") == "hello"


def take_what_is_not_there(session: SessionStore) -> None:
    session.take("nothing")


def put_and_take(session: SessionStore) -> None:
    session["flash"] = "new"
    assert session.take("flash") == "new"


def renew_unsaved(session: SessionStore) -> None:
    session["a"] = 1
    session.cycle_key()
    session.renew_token()


def change_overtaken(session: SessionStore) -> None:
    session["a"] = 2
    other = SessionStore(session.session_key)
    other["b"] = 3
    other.save()
    session.save()


def destroy(session: SessionStore) -> None:
    session.flush()


def merge(session: SessionStore) -> None:
    session.merge_session(tokens.new())


@in_autocommit
@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (read, ["SELECT"]),
        (change, ["SELECT", "UPDATE"]),
        (renew, ["SELECT", "RENAME", "UPDATE"]),
        (take, ["SELECT", "UPDATE"]),
        (take_what_is_not_there, ["SELECT"]),
        (put_and_take, ["SELECT"]),
        (destroy, ["DELETE"]),
        (merge, ["SELECT", "SELECT"]),
        (change_overtaken, ["SELECT", "SELECT", "UPDATE", "UPDATE", "SELECT", "UPDATE"]),
    ],
)
def test_stored_session_costs(
    token: str, use: Callable[[SessionStore], None], expected: list[str]
) -> None:
    with statements() as found:
        use(SessionStore(token))
    assert verbs(found) == expected


@in_autocommit
@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (read, []),
        (change, ["INSERT"]),
        (create, ["INSERT"]),
        (renew, ["INSERT", "UPDATE"]),
        (renew_unsaved, ["INSERT", "RENAME"]),
        (put_and_take, []),
        (destroy, []),
        (merge, ["SELECT"]),
    ],
)
def test_new_session_costs(use: Callable[[SessionStore], None], expected: list[str]) -> None:
    with statements() as found:
        use(SessionStore())
    assert verbs(found) == expected


@in_autocommit
@pytest.mark.parametrize(("idle_for", "expected"), [(50, ["SELECT"]), (70, ["SELECT", "UPDATE"])])
def test_touch_costs(settings: Any, token: str, idle_for: int, expected: list[str]) -> None:
    settings.SCS_IDLE_TIMEOUT = 600
    Session.objects.update(expiry=timezone.now() + timedelta(seconds=600 - idle_for))
    with statements() as found:
        session = SessionStore(token)
        session.get("a")
        if session.modified:
            session.save()
    assert verbs(found) == expected
    assert all("data" not in sql.split("WHERE")[0] for sql in found[1:])


@in_autocommit
def test_async_twins_cost_the_same(token: str) -> None:
    async def change() -> None:
        session = SessionStore(token)
        await session.aset("a", 2)
        await session.asave()

    with statements() as found:
        async_to_sync(change)()
    assert verbs(found) == ["SELECT", "UPDATE"]


@in_autocommit
@pytest.mark.parametrize(
    "token",
    [
        "",
        "a" * 42,
        "a" * 44,
        "a" * 42 + "\n",
        "\x00" * 43,
        "é" * 43,
        "٣" * 43,
        "a" * 1_000_000,
        b"a" * 43,
        43,
    ],
    ids=lambda token: repr(token)[:12],
)
def test_malformed_token_reaches_no_database(token: Any) -> None:
    with statements() as found:
        for use in (read, put_and_take, destroy):
            use(SessionStore(token))
        assert not SessionStore().exists(token)
        SessionStore().delete(token)
        SessionStore().merge_session(token)
    assert found == []


# What can go wrong


@in_autocommit
@pytest.mark.vendors("mysql")
def test_session_too_large_for_its_column_is_refused_before_it_is_sent(token: str) -> None:
    session = SessionStore(token)
    session.update({"small": "x" * 1000, "large": "x" * 60_000, "middle": "x" * 6000})
    with statements() as found, pytest.raises(SessionTooLarge, match=r"64511.*'large'") as refusal:
        session.save()
    assert found == []
    assert refusal.value.limit == 65_535 - 1024
    assert refusal.value.size > 67_000
    assert [key for key, _ in refusal.value.largest] == ["large", "middle", "small"]
    assert 60_000 < refusal.value.largest[0][1] < 60_200
    assert SessionStore(token)["a"] == 1


@in_autocommit
@pytest.mark.vendors("postgresql", "sqlite")
def test_session_may_be_large_where_its_column_is(token: str) -> None:
    session = SessionStore(token)
    session["large"] = "x" * 1_000_000
    session.save()
    assert SessionStore(token)["large"] == "x" * 1_000_000


@in_autocommit
def test_database_that_fails_is_no_empty_session(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = SessionStore(token)
    session["a"] = 2
    with connection.schema_editor() as editor:
        editor.alter_db_table(Session, "sessions", "sessions_away")
    try:
        for use in (read, change, create, renew, take, destroy):
            with pytest.raises(DatabaseError):
                use(SessionStore(token))
        with pytest.raises(DatabaseError):
            session.save()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Session, "sessions_away", "sessions")
    session.save()
    assert SessionStore(token)["a"] == 2


@in_autocommit
def test_corrupt_data_is_logged_without_the_token(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    Session.objects.update(data=b"\x00 foreign")
    with caplog.at_level(logging.DEBUG):
        assert dict(SessionStore(token).items()) == {}
    assert len(caplog.messages) == 2
    assert all(tokens.fingerprint(token) in message for message in caplog.messages)
    assert token not in caplog.text
    assert bytes(Session.objects.get().data) == b"\x00 foreign"


# Inside a transaction of the caller's


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
@pytest.mark.parametrize("use", ["save", "take"])
def test_conflict_inside_a_transaction_is_merged(token: str, vendor: str, use: str) -> None:
    def change_elsewhere() -> None:
        other = SessionStore(token)
        other["b"] = 2
        other.save()

    if vendor == "mysql":
        use_repeatable_read()
    with transaction.atomic():
        session = SessionStore(token)
        session["a"] = 3
        assert in_parallel(change_elsewhere) == [None]
        if use == "take":
            assert session.take("flash") == "hello"
        session.save()
    after = dict(SessionStore(token).items())
    assert after.pop("flash", None) == (None if use == "take" else "hello")
    assert after == {"a": 3, "b": 2}
    connection.close()


@in_autocommit
def test_renewal_in_a_transaction_that_is_rolled_back_never_was(token: str) -> None:
    with transaction.atomic():
        session = SessionStore(token)
        session.cycle_key()
        session.save()
        transaction.set_rollback(True)
    assert not SessionStore().exists(session.session_key)
    assert SessionStore(token)["a"] == 1


@in_autocommit
def test_sweep_inside_a_transaction_waits_for_another_time(token: str) -> None:
    Session.objects.update(expiry=past())
    with transaction.atomic():
        SessionStore.sweep()
    assert Session.objects.count() == 1
    SessionStore.sweep()
    assert Session.objects.count() == 0


# Models


def test_engine_needs_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: False)
    with pytest.raises(ImproperlyConfigured, match="'django_scs' to INSTALLED_APPS"):
        SessionStore.get_model_class()


@in_autocommit
def test_model_instance_stands_for_the_session(token: str) -> None:
    session = SessionStore(token)
    instance = session.create_model_instance({"b": 2})
    assert isinstance(instance, Session)
    assert instance.token == token
    assert instance.get_decoded() == {"b": 2}
    assert abs(instance.expiry - session.get_expiry_date()) < timedelta(seconds=1)
    assert session.model is Session


class HowWritten(models.CharField):
    """A column that says by which statement its row was last written."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        return "insert" if add else "update"


class OwnSession(AbstractSession):
    """A project's model, with a column of a name that needs care, and two that are computed."""

    user_id = models.IntegerField(null=True, db_index=True)
    tenant = models.CharField(max_length=20, db_column="order")
    seen = models.DateTimeField(auto_now=True, null=True)
    written = HowWritten(max_length=10)
    version = models.IntegerField(db_default=1)
    size = models.GeneratedField(
        expression=Length("tenant"), output_field=models.IntegerField(), db_persist=True
    )

    class Meta:
        app_label = "tests"
        db_table = "own_sessions"

    @classmethod
    def get_session_store_class(cls) -> type["OwnSessionStore"]:
        return OwnSessionStore


class OwnSessionStore(SessionStore):
    @classmethod
    def get_model_class(cls) -> type[AbstractSession]:
        return OwnSession

    def create_model_instance(self, data: dict[str, Any]) -> AbstractSession:
        instance = super().create_model_instance(data)
        instance.user_id = data.get("user_id")
        instance.tenant = data.get("tenant", "nobody")
        if "version" in data:
            instance.version = data["version"]
        return instance


@pytest.fixture(scope="module")
def own_table(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.create_model(OwnSession)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(OwnSession)


@pytest.fixture
def own_sessions(own_table: None, transactional_db: None) -> Iterator[None]:
    yield
    OwnSession.objects.all().delete()


@pytest.mark.extra
@in_autocommit
@pytest.mark.usefixtures("own_sessions")
class TestSessionInAModelOfTheProject(SessionContract):
    @pytest.fixture
    def engine(self) -> type[SessionStore]:
        return OwnSessionStore


@in_autocommit
@pytest.mark.usefixtures("own_sessions")
def test_columns_of_the_project_follow_the_values() -> None:
    session = OwnSessionStore()
    session.update({"user_id": 7, "tenant": "acme"})
    session.save()
    row = OwnSession.objects.get(user_id=7)
    assert (row.token, row.tenant, row.get_decoded()["tenant"]) == (
        session.session_key,
        "acme",
        "acme",
    )
    session["user_id"] = 8
    session.save()
    assert OwnSession.objects.get().user_id == 8
    session.take("tenant")
    assert OwnSession.objects.get().tenant == "nobody"
    assert not Session.objects.exists()


@in_autocommit
@pytest.mark.usefixtures("own_sessions")
def test_columns_of_the_project_may_fill_themselves() -> None:
    session = OwnSessionStore()
    session.create()
    seen = OwnSession.objects.get().seen
    assert seen is not None
    assert abs(seen - timezone.now()) < timedelta(seconds=30)


@in_autocommit
@pytest.mark.usefixtures("own_sessions")
def test_columns_of_the_project_may_be_filled_by_the_database() -> None:
    def version() -> int:
        return OwnSession.objects.values_list("version", flat=True).get()

    session = OwnSessionStore()
    session["tenant"] = "acme"
    session.save()
    assert OwnSession.objects.filter(size=4).count() == 1
    assert version() == 1
    OwnSession.objects.update(version=2)
    session["tenant"] = "other"
    session.save()
    session.cycle_key()
    assert version() == 2
    session["version"] = 3
    session.save()
    assert version() == 3
    assert OwnSession.objects.filter(size=5).count() == 1


@in_autocommit
@pytest.mark.usefixtures("own_sessions")
def test_columns_of_the_project_know_an_insert_from_an_update() -> None:
    def written() -> str:
        return OwnSession.objects.get().written

    session = OwnSessionStore()
    session.create()
    assert written() == "insert"
    session["tenant"] = "acme"
    session.save()
    assert written() == "update"
    OwnSession.objects.update(written="")
    session.save()
    assert written() == "update"
    OwnSession.objects.update(written="")
    session.cycle_key()
    assert written() == "update"


@pytest.mark.usefixtures("own_sessions")
@in_autocommit
def test_index_on_expiry_comes_with_a_model_of_the_project() -> None:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "own_sessions").values()
    assert ["expiry"] in [each["columns"] for each in found if each["index"]]
