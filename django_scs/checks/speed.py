"""System checks of slow settings: connections under ASGI, and options of prepared statements."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections, router

from .. import conf
from ..manager import find_model

_BINDING, _THRESHOLD = "server_side_binding", "prepare_threshold"


def check_asgi_connections(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of connections under ASGI that stay open after a request, and that no other can use."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    return [
        _stays_open(alias, options["CONN_MAX_AGE"])
        for alias, options in _databases()
        # A connection of SQLite is closed when its thread ends.
        if connections[alias].vendor != "sqlite" and options["CONN_MAX_AGE"] != 0
    ]


def check_prepared_statements(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn if only one of the two options that make psycopg prepare statements is set."""
    return [
        _half_prepared(alias)
        for alias, options in _databases()
        if connections[alias].vendor == "postgresql"
        and bool(options["OPTIONS"].get(_BINDING))
        != (options["OPTIONS"].get(_THRESHOLD) is not None)
    ]


def register() -> None:
    """Register these checks with Django."""
    checks.register(check_asgi_connections)
    checks.register(check_prepared_statements)


def _databases() -> list[tuple[str, dict[str, Any]]]:
    """Return the aliases of the databases that have sessions, with their settings."""
    models = [] if conf.problems() else filter(None, map(find_model, conf.kinds()))
    aliases = {
        alias
        for model in models
        for alias in (router.db_for_read(model), router.db_for_write(model))
    }
    return [(alias, connections[alias].settings_dict) for alias in sorted(aliases)]


def _stays_open(alias: str, age: Any) -> checks.CheckMessage:
    return checks.Warning(
        f"Under ASGI each request has a thread of its own, and DATABASES[{alias!r}] has CONN_MAX_AGE"
        f" {age!r}: each request leaves a connection open that no other can use.",
        hint="Set CONN_MAX_AGE to 0, on PostgreSQL with OPTIONS['pool'].",
        id="django_scs.W050",
    )


def _half_prepared(alias: str) -> checks.CheckMessage:
    return checks.Warning(
        f"DATABASES[{alias!r}]['OPTIONS'] has only one of {_BINDING!r} and {_THRESHOLD!r}, which does"
        " not make sessions faster without the other.",
        hint=f"Set {_BINDING!r} to True and {_THRESHOLD!r} to 0, or neither.",
        id="django_scs.W051",
    )
