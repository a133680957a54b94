"""Sessions of Django's engines, beside ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings

from django_scs import migrate_from
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
def from_engine(settings: Any, old_table: None, tmp_path: Any, db: None) -> Iterator[Any]:
    """Return a function that sets what sessions are moved from, and returns that engine's class."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.sessions"]
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.MIDDLEWARE = with_middleware(OURS)

    def choose(name: str, mode: str = migrate_from.MOVE) -> Any:
        settings.SCS_MIGRATE_FROM = f"{DJANGO}.{name}"
        settings.SCS_MIGRATE_MODE = mode
        migration = migrate_from.current()
        assert migration is not None
        return migration.source.engine

    yield choose
    from django.core.cache import cache

    cache.clear()
