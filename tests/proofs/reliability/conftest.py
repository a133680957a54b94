"""What the proofs of reliability share: a site, sessions."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections

from django_scs.backends.db import SessionStore

from .site import Site


@pytest.fixture(scope="session")
def sites(django_db_setup: None) -> Iterator[Callable[..., Site]]:
    """Return a function that starts a site on the tests' database, once for the same settings."""
    running: dict[str, Site] = {}

    def start(**settings: Any) -> Site:
        name = repr(sorted(settings.items()))
        if name not in running:
            database = {"NAME": str(connection.settings_dict["NAME"])}
            database.update(settings.pop("DATABASE", {}))
            running[name] = Site(database, **settings).__enter__()
        return running[name]

    yield start
    for site in running.values():
        site.stop()


@pytest.fixture
def site(sites: Callable[..., Site], transactional_db: None) -> Site:
    """Return the site with the settings that the library has by itself."""
    return sites()


@pytest.fixture
def new_session(transactional_db: None) -> Iterator[Callable[..., SessionStore]]:
    """Return a function that puts a session with the given values into the store."""

    def create(**values: Any) -> SessionStore:
        session = SessionStore()
        session.update(values)
        session.save()
        return session

    yield create
    connections.close_all()
