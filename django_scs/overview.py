"""Queries about all sessions in a table, for the admin and the commands. Pages of a site use none."""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, Final

from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from . import tokens
from .expressions import StoreNow
from .models import AbstractSession

_FORM: Final = re.compile(r"[0-9a-f]{12}")
_FINGERPRINT: Final = {
    "mysql": "LEFT(SHA2(CONCAT('django_scs fingerprint ', {token}), 256), 12)",
    "postgresql": (
        "left(encode(sha256(convert_to('django_scs fingerprint ' || {token}, 'UTF8')), 'hex'), 12)"
    ),
    "sqlite": "django_scs_fingerprint({token})",
}
_ESTIMATE: Final = {
    "mysql": (
        "SELECT TABLE_ROWS FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
    ),
    # It is -1 until the table is analysed for the first time.
    "postgresql": "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)",
    "sqlite": "SELECT count(*) FROM {table} WHERE %s <> ''",
}


def estimate(model: type[AbstractSession]) -> int:
    """Return the database's estimate of how many rows the table has; -1 if it has none."""
    connection = connections[router.db_for_read(model)]
    table = connection.ops.quote_name(model._meta.db_table)
    name = table if connection.vendor == "postgresql" else model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(_ESTIMATE[connection.vendor].format(table=table), [name])
        row = cursor.fetchone()
    return -1 if row is None or row[0] is None else int(row[0])


def keys_of(model: type[AbstractSession], fingerprints: Collection[str]) -> dict[str, str]:
    """Return the store keys of sessions by their fingerprints; unknown ones are left out.

    Devices are looked at first. A fingerprint that no device has is searched for in the whole table,
    which takes half a second for a million sessions.
    """
    wanted = set(filter(_FORM.fullmatch, fingerprints))
    found = _of_devices(wanted)
    rest = sorted(wanted - set(found))
    return found | (_scan(model, rest) if rest else {})


def _of_devices(fingerprints: Collection[str]) -> dict[str, str]:
    if not apps.is_installed("django_scs.devices"):
        return {}
    device = apps.get_model("scs_devices", "Device")
    rows = device._default_manager.filter(fingerprint__in=fingerprints)
    return dict(rows.values_list("fingerprint", "key"))


def _scan(model: type[AbstractSession], fingerprints: list[str]) -> dict[str, str]:
    connection = connections[router.db_for_read(model)]
    table = connection.ops.quote_name(model._meta.db_table)
    token = connection.ops.quote_name(str(model._meta.pk.column))
    mark = _FINGERPRINT[connection.vendor].format(token=token)
    places = ", ".join(["%s"] * len(fingerprints))
    _prepare(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {token} FROM {table} WHERE {mark} IN ({places})", fingerprints)  # noqa: S608
        return {tokens.fingerprint(key): key for (key,) in cursor.fetchall()}


def _prepare(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.create_function("django_scs_fingerprint", 1, tokens.fingerprint)


def destroy(keys: Iterable[str], destroy_keys: Callable[..., int]) -> int:
    """Destroy sessions by their store keys, with their devices; return how many there were.

    A session with a device is found by the device, so it ends even if it gets a new token meanwhile.
    """
    found, ended = set(keys), 0
    if apps.is_installed("django_scs.devices"):
        device: Any = apps.get_model("scs_devices", "Device")
        rows = device._default_manager.filter(key__in=found, revoked_at=None)
        known = dict(rows.values_list("pk", "key"))
        ended = device._default_manager.revoke(known)
        found -= set(known.values())
    return ended + destroy_keys(found)


def count_expired(model: type[AbstractSession]) -> int:
    """Return how many sessions have expired and are still in the table."""
    return model._base_manager.filter(expiry__lte=StoreNow()).count()


def next_to_expire(model: type[AbstractSession]) -> datetime | None:
    """Return the earliest expiry of all live sessions; None if there is none."""
    live = model._base_manager.filter(expiry__gt=StoreNow()).order_by("expiry")
    return live.values_list("expiry", flat=True).first()


def oldest_sign_in() -> datetime | None:
    """Return the time of the oldest sign-in whose session has not been ended; None without devices."""
    if not apps.is_installed("django_scs.devices"):
        return None
    device: Any = apps.get_model("scs_devices", "Device")
    rows = device._default_manager.filter(revoked_at=None).order_by("signed_in")
    found: datetime | None = rows.values_list("signed_in", flat=True).first()
    return found
