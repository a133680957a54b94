"""Where Snippetbox keeps its data: SQLite beside manage.py, or what ``DATABASE_URL`` names."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

OPTIONS: dict[str, dict[str, Any]] = {
    # Readers do not wait for a writer under WAL, and a transaction that takes the write lock at its
    # start waits its turn instead of failing half way with "database is locked".
    "django.db.backends.sqlite3": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;",
    },
    # TIMESTAMP columns are read and written in the connection's time zone. In UTC no hour is
    # missing or doubled, and a Go application on the same table can say the same.
    "django.db.backends.mysql": {
        "charset": "utf8mb4",
        "init_command": "SET time_zone = '+00:00'",
    },
}


def configure(url: str | None, folder: Path) -> dict[str, Any]:
    """Return the ``DATABASES`` entry for ``url``, or for a SQLite file in ``folder`` without one.

    Raise ImproperlyConfigured if ``url`` is given and dj-database-url is not installed.
    """
    entry = _parse(url) if url else _sqlite(folder)
    options = OPTIONS.get(entry["ENGINE"], {})
    return {**entry, "OPTIONS": options | entry.get("OPTIONS", {})}


def _sqlite(folder: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}


def _parse(url: str) -> dict[str, Any]:
    try:
        import dj_database_url
    except ImportError as exc:
        raise ImproperlyConfigured(
            "DATABASE_URL needs the package dj-database-url: pip install 'django_scs[example]'"
        ) from exc
    return dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
