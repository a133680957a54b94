"""Rows of devices beside the sessions that they are about."""

from django.db import router
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from ..expressions import StoreNow
from ..manager import session_class
from .models import Device


def with_expiry(rows: "QuerySet[Device]") -> "QuerySet[Device] | None":
    """Return the rows with the expiry of their sessions, None for dead ones.

    None if the sessions are in no table, or in another database.
    """
    find_model = getattr(session_class(), "get_model_class", None)
    if find_model is None:
        return None
    model = find_model()
    if router.db_for_read(model) != router.db_for_read(Device):
        return None
    live = model._base_manager.filter(token=OuterRef("key"), expiry__gt=StoreNow())
    return rows.annotate(expiry=Subquery(live.values("expiry")[:1]))


def alive(rows: "QuerySet[Device]") -> list[Device]:
    """Return the rows whose sessions are alive, each with its session's expiry. One statement.

    Where they cannot be joined it is one look into the store for each row.
    """
    joined = with_expiry(rows)
    if joined is not None:
        return [row for row in joined if row.expiry is not None]
    store = session_class().get_store()
    return [row for row in rows if store.find(row.key) is not None]


def sweep(limit: int) -> int:
    """Remove at most ``limit`` rows that no living session can name; return how many were removed."""
    over = list(Device.objects.filter(ends__lt=timezone.now()).order_by("ends")[:limit])
    if not over:
        return 0
    # A deadline can be moved.
    keys = [row.pk for row in over]
    living = {row.pk for row in alive(Device.objects.filter(pk__in=keys, revoked_at=None))}
    return Device.objects.filter(pk__in=set(keys) - living).delete()[0]
