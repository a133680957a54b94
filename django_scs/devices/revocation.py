"""Ends sessions, also those that get a new token meanwhile."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.db import connections, router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from .. import conf
from ..backoff import LIMIT
from ..exceptions import SessionBusy
from ..manager import is_ours, session_class
from . import follow, insertion
from .models import Device
from .rows import with_expiry, write

#: How many rows are ended at once.
_BATCH: Final = 500


def revoke(device: Device) -> bool:
    """See ``devices.revoke``."""
    return revoke_rows([device.pk]) > 0


def revoke_rows(ids: Iterable[Any]) -> int:
    """End the sessions of some devices, given the ids of the rows; return how many have ended."""
    return _revoke(Device.objects.filter(pk__in=list(ids)))


def revoke_user(user: Any, *, keep: HttpRequest | None = None, scan: bool = False) -> int:
    """See ``devices.revoke_user``."""
    kept = None if keep is None else keep.session
    # A session of another engine has no device.
    return revoke_others(user, kept if is_ours(kept) else None, scan=scan)


def revoke_others(user: Any, kept: Any, *, scan: bool = False) -> int:
    """Do what ``revoke_user`` does, given the session to be kept, or None."""
    rows = Device.objects.filter(user=user)
    if kept is not None:
        rows = rows.exclude(key=_key_of(kept))
        if (device_id := follow.device_id(kept)) is not None:
            rows = rows.exclude(pk=device_id)
    try:
        ended = _revoke(rows, partial(insertion.note_revocation, user.pk))
    finally:
        follow.outlive_revocation(user._meta.pk.value_to_string(user), kept)
    return ended + _scan(user, kept) if scan else ended


def _revoke(rows: "QuerySet[Device]", note: Callable[[], None] | None = None) -> int:
    """Destroy the sessions of some rows, and mark the rows, until none is unmarked.

    Both use the keys that were just read, so a row that has moved to a new key is found again. A
    renewal moves its row after its session, and destroys the session if the row is marked. ``note``
    is called before each look but the first (see ``insertion.insert``); later sign-ins do not end.
    """
    ended, until = 0, time.monotonic() + LIMIT
    batch = _unmarked(rows)
    while batch or note is not None:
        if batch and time.monotonic() > until:
            raise SessionBusy(batch[0].fingerprint, LIMIT)
        if batch:
            ended += _end(batch)
        if note is not None:
            note()
        batch = _unmarked(rows)
        if not batch:
            break
    return ended


def _end(batch: list[Device]) -> int:
    keys = [row.key for row in batch]
    # If the rows were not joined with their sessions, it is unknown which sessions are dead.
    dead = [row.key for row in batch if vars(row).get("expiry", ...) is None]
    user = Device._meta.get_field("user").value_to_string(batch[0])
    ended = session_class().destroy_keys(keys, dead=dead, user=user)
    now = timezone.now()
    # Until ``ends`` a session that another application has renewed can name the row.
    ends = now + timedelta(seconds=conf.options().lifetime)
    marked = Device.objects.filter(key__in=keys, revoked_at=None)
    write(lambda: marked.update(revoked_at=now, ends=ends))
    return ended


def _unmarked(rows: "QuerySet[Device]") -> list[Device]:
    rows = rows.filter(revoked_at=None).only("key", "fingerprint", "user_id")
    joined = with_expiry(rows)
    rows = rows if joined is None else joined
    if connections[router.db_for_write(Device)].in_atomic_block:
        # A transaction's snapshot would always show the same rows; a locking read sees new ones.
        rows = rows.select_for_update()
    return list(rows[:_BATCH])


def _scan(user: Any, kept: Any) -> int:
    """Destroy the sessions of a user that are left: they have no row, or a marked one."""
    user_id = user._meta.pk.value_to_string(user)
    fingerprint = "" if kept is None else kept.fingerprint()
    device_id = None if kept is None else follow.device_id(kept)

    def is_kept(session: Any) -> bool:
        # Another request may have given it a new token meanwhile; it names its device still.
        return session.fingerprint() == fingerprint or (
            device_id is not None and follow.device_id(session) == device_id
        )

    return session_class().destroy_where(
        lambda session: session.user_id() == user_id and not is_kept(session)
    )


def _key_of(session: Any) -> str:
    token = session.token()
    return str(session.store_key(token)) if token else ""
