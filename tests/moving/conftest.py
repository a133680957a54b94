"""Sessions of Django's engines, beside ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends import file
from django.db import connection
from django.test import override_settings

from django_scs.moving import sources
from django_scs.moving.current import MOVE, current
from tests.support import OURS, with_middleware

DJANGO = "django.contrib.sessions.backends"


@pytest.fixture(scope="session")
def old_table(django_db_setup: None, django_db_blocker: Any) -> None:
    """Create the table of Django's sessions."""
    apps = [*django_settings.INSTALLED_APPS, "django.contrib.sessions"]
    with django_db_blocker.unblock(), override_settings(INSTALLED_APPS=apps):
        from django.contrib.sessions.models import Session

        if Session._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(Session)


@pytest.fixture
def from_engine(
    settings: Any, old_table: None, tmp_path: Any, db: None, monkeypatch: Any
) -> Iterator[Any]:
    """Return a function that sets what sessions are moved from, and returns that engine's class."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.sessions"]
    settings.SESSION_FILE_PATH = str(tmp_path)
    # The class remembers its folder.
    monkeypatch.setattr(file.SessionStore, "_storage_path", str(tmp_path), raising=False)
    settings.MIDDLEWARE = with_middleware(OURS)

    def choose(name: str, mode: str = MOVE) -> Any:
        settings.SCS_MIGRATE_FROM = f"{DJANGO}.{name}"
        settings.SCS_MIGRATE_MODE = mode
        migration = current()
        assert migration is not None
        return migration.source.engine

    yield choose
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create_user("alice")


@pytest.fixture
def log_in(user):
    """Return a function that makes an old session with a login, and returns its key."""

    def make(engine, expiry=None, **values):
        session = engine()
        session.update(
            {
                SESSION_KEY: str(user.pk),
                BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
                HASH_SESSION_KEY: user.get_session_auth_hash(),
                **values,
            }
        )
        session.set_expiry(expiry)
        session.save()
        return session.session_key

    return make


@pytest.fixture
def looked_up(monkeypatch):
    """Return the keys that the old engine was asked for."""
    asked = []
    for kind in (sources.Source, *sources.Source.__subclasses__()):
        if "find" in vars(kind):

            def find(self, key, original=kind.find):
                asked.append(key)
                return original(self, key)

            monkeypatch.setattr(kind, "find", find)
    return asked
