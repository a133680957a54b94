"""Who is signed in where, and how to end it: an optional application. See docs/devices.md.

Modules are imported when they are used: Django imports this package before the models are ready.
"""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

if TYPE_CHECKING:
    from .models import Device

__all__ = ["current", "of", "revoke", "revoke_user"]


def of(user: Any) -> "list[Device]":
    """Return where ``user`` is signed in now, last seen first. One statement."""
    from . import listing

    return listing.of(user)


def current(request: HttpRequest) -> "Device | None":
    """Return the device that sent the request; None if nobody is signed in. One statement at most."""
    from . import listing

    return listing.current(request)


def revoke(device: "Device") -> bool:
    """End the session of a device; False if it had ended already.

    Every later statement of any request finds it ended, even if it gets a new token meanwhile.
    """
    from . import revocation

    return revocation.revoke(device)


def revoke_user(user: Any, *, keep: HttpRequest | None = None, scan: bool = False) -> int:
    """End all sessions of ``user`` except that of the request ``keep``; return how many have ended.

    Looks again until nothing is left, so it also ends a session that gets a new token meanwhile.
    ``scan`` also reads every session in the store. That finds sessions that a Go application opened
    or renewed, and that have made no request here since. Raises SessionBusy if sessions are still
    left after ten seconds.
    """
    from . import revocation

    return revocation.revoke_user(user, keep=keep, scan=scan)
