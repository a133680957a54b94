"""The ``sessions`` table for the ORM, the admin and ``migrate``. Requests do not go through it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from . import tokens
from .fields import DataField, ExpiryField, TokenField

if TYPE_CHECKING:
    from .backends.base import SessionStore


class SessionManager(models.Manager["AbstractSession"]):
    """The methods of Django's BaseSessionManager, for our columns."""

    def encode(self, session_dict: dict[str, Any]) -> bytes:
        """Return the bytes for the data column, with the deadline of a new session.

        A codec that binds the data to its row needs the store key too: then use ``save``.
        """
        return self.model.get_session_store_class()().encode(session_dict)

    def save(
        self, session_key: str, session_dict: dict[str, Any], expire_date: datetime
    ) -> "AbstractSession":
        """Write a session under its token; delete one without data. Django: BaseSessionManager."""
        session_key = tokens.Key(session_key)
        store_class = self.model.get_session_store_class()
        key = store_class.store_key(session_key)
        data = store_class().encode(session_dict, key)
        session = self.model(token=key, data=data, expiry=expire_date)
        if session_dict:
            session.save()
        else:
            session.delete()
        return session


class AbstractSession(models.Model):
    """The columns of scs's table; the base of a project's own session model."""

    token = TokenField(_("token"), primary_key=True)
    data = DataField(_("data"))
    expiry = ExpiryField(_("expiry"), db_index=True)

    objects = SessionManager()

    class Meta:
        abstract = True
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return tokens.fingerprint(self.token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        """Return the SessionStore that reads and writes this model's table."""
        from .backends.db import SessionStore

        return SessionStore

    def get_decoded(self) -> dict[str, Any]:
        """Return the session's values; empty, with a line in the log, if they cannot be read."""
        return self.get_session_store_class()().decode(self.data, self.token)


class Session(AbstractSession):
    """A session in the ``sessions`` table, which a Go application with scs may share."""

    # Its index has the name that scs gives it.
    expiry = ExpiryField(_("expiry"))

    class Meta(AbstractSession.Meta):
        db_table = "sessions"
        indexes = (models.Index(fields=["expiry"], name="sessions_expiry_idx"),)
