"""Applies the changes of an old session to the session that it was moved to."""

from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from .. import signals
from ..backends.base import SessionStore
from ..merge import merge


def add(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    """Save the changes from ``base`` to ``values`` in a session, unless the session is gone."""
    try:
        if not session.is_stored():
            raise UpdateError
        apply(session, base, values)
        session.save()
    except UpdateError:
        signals.tell("dropped", type(session), "", keys=sorted(values, key=str))


def apply(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    """Apply the changes from ``base`` to ``values`` to a session; nothing is saved."""
    now = dict(session.items())
    merged = merge(base, values, now)
    for name in now.keys() - merged.keys():
        del session[name]
    for name, value in merged.items():
        if name not in now or now[name] != value:
            session[name] = value
