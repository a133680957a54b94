"""Queries for the rows of devices together with their sessions."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from django.db import connections, router
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from .. import conf
from ..backends import old_engine
from ..expressions import StoreNow
from ..manager import find_model, session_class, uses_our_engine
from ..stores.sql import again_if_undone
from .models import Device

T = TypeVar("T")

#: How many rows a statement removes at most.
_SWEEP: Final = 200


def write(work: Callable[[], T]) -> T:
    """Write to the table of devices, and do it again if the server has undone it (deadlock, busy)."""
    return again_if_undone(connections[router.db_for_write(Device)], work)


def with_expiry(rows: "QuerySet[Device]") -> "QuerySet[Device] | None":
    """Return the rows, each with the expiry of its session, or None if that is dead.

    Return None if the sessions are in no table, in another database, or in two stores.
    """
    model = find_model()
    if (
        model is None
        or old_engine.find()
        or router.db_for_write(model) != router.db_for_write(Device)
    ):
        return None
    live = model._base_manager.filter(token=OuterRef("key"), expiry__gt=StoreNow())
    return rows.annotate(**{"expiry": Subquery(live.values("expiry")[:1])})  # noqa: PIE804 -- a name of ours


def alive(rows: "QuerySet[Device]") -> list[Device]:
    """Return the rows whose sessions are alive, each with its session's expiry. One statement.

    If ``with_expiry`` cannot join them, the store is asked for each row, and no expiry is set.
    """
    joined = with_expiry(rows)
    if joined is not None:
        return [row for row in joined if row.expiry is not None]
    if not uses_our_engine():
        return []
    store = session_class()._store()
    return [row for row in rows if (found := store.find(row.key)) is not None and found.is_live]


def sweep(limit: int) -> int:
    """Remove about ``limit`` rows that no living session can name; return how many were removed."""
    removed = 0
    while (count := _sweep_batch()) and (removed := removed + count) < limit:
        pass
    return removed


def _sweep_batch() -> int:
    now = timezone.now()
    over = Device.objects.filter(ends__lt=now).order_by("ends").values_list("pk", flat=True)
    keys = list(over[:_SWEEP])
    if not keys:
        return 0
    rows = Device.objects.filter(pk__in=keys)
    living = [row.pk for row in alive(rows.filter(revoked_at=None))]
    if living:
        # The deadline of these sessions was moved.
        later = now + timedelta(seconds=conf.options().lifetime)
        rows.filter(pk__in=living).update(ends=later)
    return rows.exclude(pk__in=living).delete()[0]
