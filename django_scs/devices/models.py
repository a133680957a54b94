"""The table of devices: a row for each signed-in session."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import conf
from ..fields import ExpiryField, TokenField
from .clients import describe


class DeviceManager(models.Manager["Device"]):
    """Reads from the database that is written to, because a replica may not know a revocation."""

    def get_queryset(self) -> "models.QuerySet[Device]":
        return super().get_queryset().using(router.db_for_write(self.model))

    def revoke(self, ids: Iterable[uuid.UUID]) -> int:
        """End the sessions of some devices; return how many have ended. See ``devices.revoke``."""
        from . import revocation

        return revocation.revoke_rows(ids)


class Device(models.Model):
    """A browser, or another client, in which a user is signed in.

    Pages and URLs name it by ``id`` only. ``key`` is the session's store key, and no foreign key:
    that would fail on a table that a Go application made, and lose the row when that application
    writes. A row may outlive its session: only ``devices.of`` tells who is signed in.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    key = TokenField(_("store key"), unique=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=12, db_index=True)
    signed_in = models.DateTimeField(_("signed in"))
    #: Written at the sign-in and with each new token. ``seen`` is more exact.
    last_seen = models.DateTimeField(_("last seen"))
    #: The session's deadline, after which the row is of no use.
    ends = models.DateTimeField(_("ends"), db_index=True)
    address = models.GenericIPAddressField(_("address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    #: A revoked row stays until no session can name it any more.
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    #: The session's expiry, if the row was read together with its session.
    expiry: datetime | None = None

    objects = DeviceManager()

    class Meta:
        db_table = "scs_devices"
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """A name to be read by the user, such as "Chrome on Windows"."""
        return describe(self.user_agent)

    @property
    def seen(self) -> datetime:
        """When the session was last used: with an idle timeout, exact to the touch interval."""
        idle = conf.options().idle_timeout
        if idle is None or self.expiry is None or self.expiry > self.ends:
            return self.last_seen
        touched = self.expiry - timedelta(seconds=idle)
        return max(self.last_seen, touched) if touched <= timezone.now() else self.last_seen


class Revocation(models.Model):
    """When all sessions of a user were last ended. A login under way at that time must end too."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    #: By the clock of the database.
    at = ExpiryField()

    class Meta:
        db_table = "scs_revocations"

    def __str__(self) -> str:
        return f"{self.user_id} at {self.at}"
