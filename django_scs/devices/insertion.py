"""The one statement of a login: the row of a device, unless the user's sessions were just ended."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connections, router
from django.db.models import Field

from ..fields import adapt_expiry
from ..stores.dialects import DIALECTS
from ..stores.sql import again_if_undone
from .models import Device, Revocation

_INSERT: Final = (
    "INSERT INTO {devices} ({columns}) SELECT {values} FROM (SELECT 1) AS one"
    " WHERE NOT EXISTS (SELECT 1 FROM {revocations} WHERE {user} = %s AND {at} > {then})"
    " {or_update}"
)
_LOOK: Final = "SELECT 1 FROM {revocations} WHERE {user} = %s AND {at} > {then}"
# In seconds: a statement that takes longer is followed by another look, for which a sign-in has begun
# so much earlier. To check a password takes longer.
_SLOW: Final = 0.05
_ROOM: Final = 1.0
# A duplicate is updated, because an error would contain the key, which may be a token.
_OR_SEE: Final = {
    True: "ON DUPLICATE KEY UPDATE last_seen = VALUES(last_seen)",
    False: "ON CONFLICT ({key}) DO UPDATE SET last_seen = excluded.last_seen",
}

_NOTE: Final = "INSERT INTO {revocations} ({user}, {at}) VALUES (%s, {now}) {or_update}"
_OR_UPDATE: Final = {
    True: "ON DUPLICATE KEY UPDATE at = VALUES(at)",
    False: "ON CONFLICT (user_id) DO UPDATE SET at = excluded.at",
}


def insert(device: Device, seconds: float) -> bool:
    """Write a new row; False if all sessions of its user were ended within the last ``seconds``.

    If another request has written a row under the same key, only its ``last_seen`` changes.

    A revocation is written before its last look for rows, and this statement looks for a revocation
    as it writes the row. So at least one of the two finds the other. The server counts ``seconds``
    from the moment when it has the statement: if that took long, another statement looks once more.
    """
    connection, start = connections[router.db_for_write(Device)], time.monotonic()
    then = "%s" if connection.vendor == "sqlite" else DIALECTS[connection.vendor].then
    quote = connection.ops.quote_name
    fields: list[Field[object, object]] = list(Device._meta.concrete_fields)
    names = {
        "revocations": quote(Revocation._meta.db_table),
        "user": quote("user_id"),
        "at": quote("at"),
        "then": then,
    }
    sql = _INSERT.format(
        devices=quote(Device._meta.db_table),
        columns=", ".join(quote(str(field.column)) for field in fields),
        values=", ".join(["%s"] * len(fields)),
        **names,
        or_update=_OR_SEE[connection.vendor == "mysql"].format(key=quote("key")),
    )
    values = [field.get_db_prep_save(field.pre_save(device, True), connection) for field in fields]
    user = values[[field.name for field in fields].index("user")]

    def write() -> bool:
        sent = time.monotonic()
        began = _since(connection.vendor, seconds + sent - start)
        with connection.cursor() as cursor:
            cursor.execute(sql, [*values, user, began])
            written = bool(cursor.rowcount > 0)
            took = time.monotonic() - sent
            if not written or took < _SLOW:
                return written
            began = _since(connection.vendor, seconds + sent - start + took + _ROOM)
            cursor.execute(_LOOK.format(**names), [user, began])
            return cursor.fetchone() is None

    return again_if_undone(connection, write)


def _since(vendor: str, seconds: float) -> Any:
    """Return the parameter for the moment ``seconds`` ago."""
    if vendor == "sqlite":
        # SQLite uses this machine's clock, and reads it only after it has waited for the lock.
        return adapt_expiry(datetime.now(UTC) - timedelta(seconds=seconds), vendor)
    return DIALECTS[vendor].adapt_ttl(-seconds)


def note_revocation(user_id: Any) -> None:
    """Write down that all sessions of a user end now."""
    connection = connections[router.db_for_write(Revocation)]
    pk = Revocation._meta.pk
    sql = _NOTE.format(
        revocations=connection.ops.quote_name(Revocation._meta.db_table),
        user=connection.ops.quote_name("user_id"),
        at=connection.ops.quote_name("at"),
        now=DIALECTS[connection.vendor].now,
        or_update=_OR_UPDATE[connection.vendor == "mysql"],
    )

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, [pk.get_db_prep_save(user_id, connection)])

    again_if_undone(connection, write)
