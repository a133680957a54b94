"""Who is signed in where, and how to end it: an optional application. See docs/devices.md.

Nothing is imported before it is used, for Django imports this package before there are models.
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

    It is dead for the next statement of any request, and stays dead if it gets a new token meanwhile.
    """
    from . import revocation

    return revocation.revoke(device)


def revoke_user(user: Any, *, keep: HttpRequest | None = None, scan: bool = False) -> int:
    """End all sessions of ``user``, but not that of the request ``keep``; return how many there were.

    Looks again until nothing is left, so that a session that gets a new token meanwhile is caught.
    ``scan`` also reads every session in the store: for sessions that a Go application opened or
    renewed, and that have made no request here since. Raises SessionBusy if sessions were still left
    after ten seconds.
    """
    from . import revocation

    return revocation.revoke_user(user, keep=keep, scan=scan)
