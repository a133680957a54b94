"""Sessions that other tables refer to, and whose deletion somebody listens to."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext, isolate_apps

from django_scs import tokens
from django_scs.backends import db, redis
from django_scs.models import AbstractSession, Session
from django_scs.moving.current import current
from django_scs.stores.moving import MovingStore
from django_scs.stores.sql import SqlStore
from tests.contracts.store import HOUR, MINUTE, StoreContract
from tests.contracts.tools import in_parallel
from tests.database import in_autocommit
from tests.servers import Redis
from tests.stores.reports import shown_by

# In a registry of their own: otherwise they would refer to our sessions in every other test.
with isolate_apps("django_scs"):

    class Visit(AbstractSession):
        """A session that others refer to, with a column that no second row may repeat."""

        account = models.IntegerField(null=True, unique=True)

        class Meta:
            app_label = "django_scs"
            db_table = "visits"

    class Dependant(models.Model):
        class Meta:
            app_label = "django_scs"
            abstract = True

    class Profile(Dependant):  # noqa: DJ008
        """Has the session's key for its own."""

        visit = models.OneToOneField(Visit, models.CASCADE, primary_key=True)

    class Badge(Dependant):  # noqa: DJ008
        """Refers to the session through the profile."""

        profile = models.ForeignKey(Profile, models.CASCADE)

    class Note(Dependant):  # noqa: DJ008
        """Outlives the session."""

        visit = models.ForeignKey(Visit, models.SET_NULL, null=True, related_name="+")

    class PlainVisit(AbstractSession):
        """A session that nothing refers to."""

        class Meta:
            app_label = "django_scs"
            db_table = "plain_visits"


class SessionStore(db.SessionStore):
    """What SESSION_ENGINE finds in this module."""

    @classmethod
    def get_model_class(cls) -> type[AbstractSession]:
        return Visit

    def create_model_instance(self, data: dict[str, Any]) -> AbstractSession:
        instance = super().create_model_instance(data)
        instance.account = data.get("account")
        return instance


TABLES = (Visit, Profile, Badge, Note, PlainVisit)


@pytest.fixture(autouse=True)
def tables(transactional_db: None) -> Iterator[None]:
    with connection.schema_editor() as editor:
        for model in TABLES:
            editor.create_model(model)
    yield
    with connection.schema_editor() as editor:
        for model in reversed(TABLES):
            editor.delete_model(model)


@pytest.fixture
def store() -> SqlStore:
    return SqlStore(Visit)


@pytest.fixture
def key() -> str:
    return tokens.new()


@pytest.fixture
def deleted() -> Iterator[list[str]]:
    """Return a list to which receivers add the keys of sessions that are deleted."""

    def before(instance: Any, **kwargs: Any) -> None:
        found.append(f"pre {instance.pk}")

    def after(instance: Any, **kwargs: Any) -> None:
        found.append(f"post {instance.pk}")

    found: list[str] = []
    pre_delete.connect(before, sender=PlainVisit)
    post_delete.connect(after, sender=PlainVisit)
    yield found
    pre_delete.disconnect(before, sender=PlainVisit)
    post_delete.disconnect(after, sender=PlainVisit)


def refer_to(key: str) -> None:
    """Make one row in each table that refers to the session."""
    Badge.objects.create(profile=Profile.objects.create(visit_id=key))
    Note.objects.create(visit_id=key)


@pytest.mark.extra
@in_autocommit
class TestSqlStoreWithDependants(StoreContract):
    @pytest.fixture
    def store(self) -> SqlStore:
        return SqlStore(Visit)


@pytest.mark.extra
@in_autocommit
class TestSqlStoreWithListeners(StoreContract):
    @pytest.fixture
    def store(self, deleted: list[str]) -> SqlStore:
        return SqlStore(PlainVisit)


@in_autocommit
def test_delete_does_to_dependants_what_django_does(store: SqlStore, key: str) -> None:
    other = tokens.new()
    for each in (key, other):
        store.insert(each, b"data", HOUR)
        refer_to(each)
    assert store.delete(key) is True
    assert store.delete(key) is False
    assert [profile.pk for profile in Profile.objects.all()] == [other]
    assert Badge.objects.count() == 1
    assert set(Note.objects.values_list("visit_id", flat=True)) == {other, None}


@in_autocommit
def test_sweep_does_to_dependants_what_django_does(store: SqlStore, key: str) -> None:
    expired = [tokens.new() for _ in range(3)]
    store.insert(key, b"data", HOUR)
    for each in expired:
        store.insert(each, b"data", -MINUTE)
    for each in (key, *expired):
        refer_to(each)
    assert store.delete_expired(2) == 2
    assert store.delete_expired(100) == 1
    assert [profile.pk for profile in Profile.objects.all()] == [key]
    assert Badge.objects.count() == 1
    assert Note.objects.filter(visit=None).count() == 3


@in_autocommit
@pytest.mark.parametrize("data", [None, b"new"])
@pytest.mark.parametrize("inside", [False, True])
def test_rename_takes_dependants_along(
    store: SqlStore, key: str, inside: bool, data: bytes | None
) -> None:
    other, new_key = tokens.new(), tokens.new()
    for number, each in enumerate((key, other)):
        store.with_columns([number]).insert(each, b"data", HOUR)
        refer_to(each)
    badge = Badge.objects.get(profile=key)
    expected = None if data is None else b"data"
    if inside:
        with transaction.atomic():
            assert store.rename(key, new_key, HOUR, data, expected) is True
    else:
        assert store.rename(key, new_key, HOUR, data, expected) is True
    assert store.rename(key, tokens.new(), HOUR, data, expected) is False
    connection.check_constraints()
    assert {visit.pk: visit.account for visit in Visit.objects.all()} == {new_key: 0, other: 1}
    assert {profile.pk for profile in Profile.objects.all()} == {new_key, other}
    assert Badge.objects.get(pk=badge.pk).profile_id == new_key
    assert set(Note.objects.values_list("visit_id", flat=True)) == {new_key, other}


@in_autocommit
def test_hashing_takes_dependants_along(settings: Any) -> None:
    settings.SESSION_ENGINE = __name__
    made = []
    for _ in range(2):
        session = SessionStore()
        session["color"] = "red"
        session.save()
        refer_to(session.token())
        made.append(session.token())
    owners = {badge.pk: badge.profile_id for badge in Badge.objects.all()}
    for step in tokens.HASHING:
        settings.SCS_HASH_TOKENS = step
        call_command("scs_hash_tokens", stdout=StringIO())
        connection.check_constraints()
        keys = {token: SessionStore.store_key(token) for token in made}
        assert set(Visit.objects.values_list("pk", flat=True)) == set(keys.values())
        assert set(Note.objects.values_list("visit_id", flat=True)) == set(keys.values())
        assert {badge.pk: badge.profile_id for badge in Badge.objects.all()} == {
            pk: keys[token] for pk, token in owners.items()
        }
    assert SessionStore(made[0]).flush()
    assert Badge.objects.count() == Profile.objects.count() == 1
    assert set(Note.objects.values_list("visit_id", flat=True)) == {keys[made[1]], None}


@in_autocommit
def test_a_session_that_moves_here_fills_the_columns(settings: Any, redis_server: Redis) -> None:
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    settings.SESSION_ENGINE = redis.SessionStore.__module__
    session = redis.SessionStore()
    session["account"] = 5
    session.save()
    settings.SESSION_ENGINE, settings.SCS_MIGRATE_FROM = __name__, settings.SESSION_ENGINE
    assert SessionStore(session.token())["account"] == 5
    assert Visit.objects.get(token=session.token()).account == 5


@in_autocommit
@pytest.mark.parametrize("moves", [False, True])
def test_receivers_are_told_of_a_session_that_ends_on_the_way_by_its_key(
    key: str, deleted: list[str], moves: bool
) -> None:
    stores = SqlStore(PlainVisit), SqlStore(Session)
    store = MovingStore(*(stores[::-1] if moves else stores), moves=moves)
    assert SqlStore(PlainVisit).insert(key, b"data", HOUR)
    assert store.delete(key)
    assert deleted == [f"pre {key}", f"post {key}"]


@in_autocommit
def test_a_value_that_no_second_row_may_repeat_is_no_taken_key(store: SqlStore) -> None:
    own = store.with_columns([5])
    assert own.insert(tokens.new(), b"data", HOUR)
    with pytest.raises(IntegrityError):
        own.insert(tokens.new(), b"data", HOUR)
    key = tokens.new()
    assert store.insert(key, b"data", HOUR)
    assert not store.with_columns([6]).insert(key, b"data", HOUR)


@in_autocommit
def test_sessions_with_columns_cannot_be_kept(settings: Any, redis_server: Redis) -> None:
    settings.SCS_REDIS = {"LOCATION": redis_server.url}
    settings.SESSION_ENGINE, settings.SCS_MIGRATE_FROM = redis.SessionStore.__module__, __name__
    session = SessionStore()
    session["account"] = 5
    session.save()
    refer_to(session.token())
    assert redis.SessionStore(session.token())["account"] == 5
    assert not Visit.objects.exists()
    assert not Badge.objects.exists()
    settings.SCS_MIGRATE_MODE = "keep"
    with pytest.raises(ImproperlyConfigured, match="columns of your own"):
        current()


@in_autocommit
@pytest.mark.vendors("mysql", "postgresql")
def test_foreign_keys_are_looked_at_again_after_a_rename(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", HOUR)
    refer_to(key)
    assert store.rename(key, tokens.new(), HOUR) is True
    with pytest.raises(IntegrityError):
        Note.objects.create(visit_id=key)


@in_autocommit
def test_rename_in_parallel_takes_dependants_to_the_winner(store: SqlStore, key: str) -> None:
    store.insert(key, b"data", HOUR)
    refer_to(key)
    calls = [lambda: store.rename(key, tokens.new(), HOUR) for _ in range(6)]
    assert sorted(in_parallel(*calls)) == [False] * 5 + [True]
    assert Badge.objects.get().profile.visit == Visit.objects.get() != Visit(pk=key)
    assert Note.objects.get().visit == Visit.objects.get()


@in_autocommit
def test_deletion_tells_its_listeners(key: str, deleted: list[str]) -> None:
    store = SqlStore(PlainVisit)
    expired = tokens.new()
    store.insert(key, b"data", HOUR)
    store.insert(expired, b"data", -MINUTE)
    assert store.delete_expired(100) == 1
    assert store.delete(key) is True
    assert store.delete(key) is False
    assert deleted == [f"{when} {each}" for each in (expired, key) for when in ("pre", "post")]
    assert not PlainVisit.objects.exists()


@in_autocommit
@pytest.mark.vendors("mysql")
def test_deletion_is_exact_about_case(deleted: list[str]) -> None:
    store = SqlStore(PlainVisit)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE plain_visits CONVERT TO CHARACTER SET utf8mb4")
        cursor.execute("ALTER TABLE plain_visits MODIFY token CHAR(43) COLLATE utf8mb4_general_ci")
    store.insert("a" * 43, b"data", HOUR)
    assert PlainVisit.objects.filter(pk="A" * 43).exists()
    assert store.delete("A" * 43) is False
    assert deleted == []


@in_autocommit
def test_listener_that_fails_undoes_the_deletion(store: SqlStore, key: str) -> None:
    def refuse(**kwargs: Any) -> None:
        raise RuntimeError("not this one")

    store.insert(key, b"data", HOUR)
    refer_to(key)
    post_delete.connect(refuse, sender=Visit)
    try:
        with pytest.raises(RuntimeError):
            store.delete(key)
    finally:
        post_delete.disconnect(refuse, sender=Visit)
    assert store.find(key) is not None
    assert Profile.objects.exists()


@in_autocommit
def test_nothing_that_refers_to_a_session_costs_a_session_nothing(key: str) -> None:
    store = SqlStore(PlainVisit)
    # Once an hour this asks whether there are tombstones.
    store.delete_expired(10)
    store.insert(key, b"data", HOUR)
    store.insert(tokens.new(), b"data", -MINUTE)
    with CaptureQueriesContext(connection) as found:
        assert store.rename(key, key[::-1], HOUR) is True
        assert store.delete(key[::-1]) is True
        assert store.delete_expired(10) == 1
    assert [each["sql"].split()[0] for each in found] == ["UPDATE", "DELETE", "SELECT", "DELETE"]


@in_autocommit
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_no_frame_of_ours_shows_a_key(store: SqlStore, key: str, verb: str) -> None:
    def write() -> None:
        if verb == "DELETE":
            store.delete(key)
        else:
            store.rename(key, new_key, HOUR)

    def fail(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith(verb) and "visits" not in sql:
            raise OperationalError("no such luck")
        return execute(sql, *args)

    new_key = tokens.new()
    store.insert(key, b"data", HOUR)
    refer_to(key)
    with connection.execute_wrapper(fail), pytest.raises(OperationalError) as caught:
        write()
    shown = shown_by(caught.value, "django_scs")
    assert [line for line in shown if tokens.fingerprint(key) in line]
    assert not [line for line in shown if key in line or new_key in line]


@in_autocommit
@pytest.mark.parametrize("landed", [True, False])
def test_lost_reply_of_a_rename_is_looked_up(
    store: SqlStore, key: str, landed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        monkeypatch.undo()
        if landed:
            connection.commit()
        connection.close()
        raise OperationalError("server has gone away")

    new_key = tokens.new()
    store.insert(key, b"data", HOUR)
    refer_to(key)
    monkeypatch.setattr(connection, "commit", lose)
    assert store.rename(key, new_key, HOUR) is True
    assert [record.key for record in store.all()] == [new_key]
    assert Badge.objects.get().profile_id == new_key
