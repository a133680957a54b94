"""Brings what was changed in an old session into the one that it was moved to."""

from typing import Any

from django.contrib.sessions.backends.base import UpdateError

from .. import signals
from ..backends.base import SessionStore
from ..merge import merge


def add(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    """Save what changed between ``base`` and ``values`` in a session, unless that is gone."""
    if session.is_stored():
        apply(session, base, values)
        try:
            session.save()
        except UpdateError:
            signals.tell("dropped", type(session), "", keys=sorted(values))


def apply(session: SessionStore, base: dict[str, Any], values: dict[str, Any]) -> None:
    """Do to a session what was changed between ``base`` and ``values``; nothing is saved."""
    now = dict(session.items())
    merged = merge(base, values, now)
    for name in now.keys() - merged.keys():
        del session[name]
    for name, value in merged.items():
        if name not in now or now[name] != value:
            session[name] = value
