"""Removes expired sessions as a task of ``django.tasks``, in Django 6.0 and later."""

from django.core.exceptions import ImproperlyConfigured

from . import signals
from .manager import session_class

try:
    from django.tasks import task
except ImportError as exc:
    raise ImproperlyConfigured(
        "django_scs.tasks needs Django 6.0 or later. With an earlier one call"
        " SessionStore.clear_expired() in a task of your own, or run manage.py clearsessions."
    ) from exc


@task
def sweep(limit: int = 100_000) -> int:
    """Remove at most ``limit`` expired sessions, and their devices; return how many there were."""
    engine = session_class()
    count = engine._store().delete_expired(limit)
    signals.tell("swept", engine, "", count=count)
    return count
