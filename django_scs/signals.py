"""The events of sessions. Each event is a Django signal and a record in the log.

Receivers get ``sender``, the session class, and by name: ``session`` (None if the event is about
many), ``key`` (the store key, "" if there is none), ``fingerprint`` (the form of it that may be
shown), ``request`` (None outside of a request), ``user`` (the id of the logged-in user as Django
keeps it, or None), and the arguments that ``EVENTS`` lists. If a receiver raises, Django logs the
error and the request goes on. A signal without receivers is not sent. Records go to the logger
``django_scs`` with ``event``, ``session`` and ``user`` as extra fields.
"""

import logging
from typing import Any, Final, NamedTuple

from django.dispatch import Signal

from . import tokens

_log: Final = logging.getLogger("django_scs")

session_created = Signal()
session_renewed = Signal()
session_destroyed = Signal()
session_loaded = Signal()
session_saved = Signal()
session_lost = Signal()
session_merged = Signal()
session_corrupt = Signal()
session_busy = Signal()
changes_dropped = Signal()
touch_failed = Signal()
renewal_failed = Signal()
give_back_failed = Signal()
unknown_token = Signal()
expired_token = Signal()
malformed_token = Signal()
sessions_swept = Signal()
sweep_failed = Signal()
session_moved = Signal()
session_rekeyed = Signal()
values_left_behind = Signal()
unknown_old_key = Signal()


class Event(NamedTuple):
    """A signal, the level and message of its record (level None: no record), its arguments."""

    signal: Signal
    level: int | None
    message: str
    arguments: tuple[str, ...] = ()


EVENTS: Final = {
    "created": Event(session_created, logging.INFO, "Session %(session)s was created"),
    "renewed": Event(
        session_renewed,
        logging.INFO,
        "Session %(session)s has a new token, and was %(old_key)s",
        ("old_key",),
    ),
    "destroyed": Event(
        session_destroyed,
        logging.INFO,
        "Session %(session)s was destroyed: %(reason)s",
        ("reason",),
    ),
    # These happen in nearly every request, so they are not logged.
    "loaded": Event(session_loaded, None, "Session %(session)s was read"),
    "saved": Event(session_saved, None, "Session %(session)s was saved"),
    "lost": Event(
        session_lost,
        logging.INFO,
        "Session %(session)s was destroyed or renewed by another request, or expired, during this one",
    ),
    "dropped": Event(
        changes_dropped,
        logging.WARNING,
        "Session %(session)s was gone when the request ended;"
        " changes to these keys were dropped: %(keys)s",
        ("keys",),
    ),
    "merged": Event(
        session_merged,
        logging.DEBUG,
        "Session %(session)s was saved by another request first; both changes were merged",
    ),
    "corrupt": Event(
        session_corrupt,
        logging.WARNING,
        "The data of session %(session)s cannot be read: %(reason)s",
        ("reason",),
    ),
    "busy": Event(
        session_busy,
        logging.ERROR,
        "Session %(session)s was not saved: other requests always saved first",
    ),
    "touch_failed": Event(
        touch_failed,
        logging.ERROR,
        "The new expiry of session %(session)s could not be written",
        ("exc_info",),
    ),
    "renewal_failed": Event(
        renewal_failed,
        logging.ERROR,
        "Session %(session)s could not be given a new token",
        ("exc_info",),
    ),
    "give_back_failed": Event(
        give_back_failed,
        logging.ERROR,
        "A page took values from session %(session)s and failed, and they could not be put back",
        ("exc_info",),
    ),
    "unknown": Event(
        unknown_token, logging.INFO, "A token without a session was presented: %(session)s"
    ),
    "expired": Event(
        expired_token,
        logging.INFO,
        "The token of session %(session)s, which has expired, was presented: %(reason)s",
        ("reason",),
    ),
    "malformed": Event(malformed_token, logging.INFO, "A malformed token was presented"),
    "swept": Event(
        sessions_swept, logging.DEBUG, "Expired sessions were removed: %(count)s", ("count",)
    ),
    "sweep_failed": Event(
        sweep_failed, logging.ERROR, "The sweep of expired sessions failed", ("exc_info",)
    ),
    "moved": Event(
        session_moved,
        logging.INFO,
        "Session %(session)s was moved here from SCS_MIGRATE_FROM",
        ("old_key",),
    ),
    # One for each session while ``scs_hash_tokens`` runs.
    "rekeyed": Event(
        session_rekeyed,
        logging.DEBUG,
        "Session %(session)s has another store key for the same token, and was %(old_key)s",
        ("old_key",),
    ),
    "left_behind": Event(
        values_left_behind,
        logging.WARNING,
        "Session %(session)s was moved without these keys, whose values cannot be kept: %(keys)s",
        ("keys",),
    ),
    "unknown_old": Event(
        unknown_old_key,
        logging.INFO,
        "A key of SCS_MIGRATE_FROM without a session was presented: %(session)s",
    ),
}

# Where Django logs that a session's data is corrupt.
_django_log: Final = logging.getLogger("django.security.SuspiciousSession")


def is_heard(event: str) -> bool:
    """Tell whether an event may have a receiver, or has a record that is logged."""
    found = EVENTS[event]
    read = found.level is not None and _log.isEnabledFor(found.level)
    # ``tell`` also writes "corrupt" to Django's own log.
    return read or bool(found.signal.receivers) or event == "corrupt"


def tell(
    event: str,
    sender: type,
    key: str,
    *,
    session: Any = None,
    request: Any = None,
    user: Any = None,
    **info: Any,
) -> None:
    """Log an event if its level is enabled, and send its signal if it has receivers."""
    signal, level, message, _ = EVENTS[event]
    if level is not None and _log.isEnabledFor(level):
        fingerprint = tokens.fingerprint(key) if key else ""
        texts = {name: _text(name, value) for name, value in info.items()}
        _log.log(
            level,
            message,
            {"session": fingerprint, **texts},
            exc_info=info.get("exc_info"),
            extra={"event": event, "session": fingerprint, "user": _printable(user)},
        )
    if event == "corrupt":
        _django_log.warning("Session data corrupted: %s", tokens.fingerprint(key))
    if signal.has_listeners(sender):
        fingerprint = tokens.fingerprint(key) if key else ""
        known = {"key": key, "fingerprint": fingerprint, "session": session}
        # Django logs a receiver that fails.
        signal.send_robust(sender, **known, request=request, user=user, **info)


def _printable(user: Any) -> Any:
    # A user may have chosen the primary key, so it may contain a line break.
    return user if user is None or str(user).isprintable() else repr(user)


def _text(name: str, value: Any) -> str:
    """Return what a record shows of an argument: a key's fingerprint, or a Python literal."""
    # A literal escapes line breaks, so no key and no value can forge a line of the log.
    return tokens.fingerprint(value) if name == "old_key" else repr(value)
