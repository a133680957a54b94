"""``SESSION_ENGINE = "django_scs.backends.db"``: sessions in a table of the database."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.utils.functional import cached_property

from .. import conf, tokens
from ..stores.base import Record, Store
from ..stores.converting import ConvertingStore
from ..stores.sql import SqlStore
from . import base
from .base import CreateError, UpdateError

if TYPE_CHECKING:
    from ..models import AbstractSession

__all__ = ["CreateError", "SessionStore", "UpdateError"]

_TOMBSTONES_AT_ONCE: Final = 10_000


def _require_app() -> None:
    if not apps.is_installed("django_scs"):
        raise ImproperlyConfigured("Add 'django_scs' to INSTALLED_APPS for its sessions table.")


# The middleware imports this module, so the error shows at start, not at the first request.
if apps.apps_ready:
    _require_app()


@cache
def _store(session_class: "type[SessionStore]", hashing: bool | str) -> SqlStore:
    model = session_class.get_model_class()
    if isinstance(hashing, bool):
        return SqlStore(model)
    return ConvertingStore(model, partial(tokens.later_keys, hashed=hashing))


class SessionStore(base.SessionStore):
    """A session in a model's table: in ours, unless ``get_model_class`` returns another model."""

    @classmethod
    def get_model_class(cls) -> "type[AbstractSession]":
        """Return the model whose table holds the sessions. Override this to use your own model."""
        _require_app()
        from ..models import Session

        return Session

    @classmethod
    def _place(cls) -> str:
        model = cls.get_model_class()
        return f"{router.db_for_write(model)}.{model._meta.db_table}"

    @classmethod
    def get_store(cls) -> SqlStore:
        return _store(cls, conf.options(cls._kind).hash_tokens)

    @cached_property
    def model(self) -> "type[AbstractSession]":
        """The model class. Django: backends.db.SessionStore.model."""
        return self.get_model_class()

    def create_model_instance(self, data: dict[str, Any]) -> "AbstractSession":
        """Return the model instance that stands for this session with the values ``data``.

        Override it to fill in a project's own columns. Our columns are not taken from it.
        Django: backends.db.SessionStore.create_model_instance.
        """
        return self.model(
            token=self._key() or "", data=self.encode(data), expiry=self.get_expiry_date()
        )

    @classmethod
    def clear_expired(cls) -> None:
        super().clear_expired()
        while cls.get_store().sweep_tombstones(_TOMBSTONES_AT_ONCE):
            pass

    @classmethod
    def sweep(cls) -> bool:
        # In the caller's transaction, the sweep would hold its locks until the transaction ends.
        return not cls.get_store().in_transaction and super().sweep()

    @classmethod
    def _inserter(cls, record: Record) -> Store:
        if not cls.get_store().extra_fields:
            return cls.get_store()
        session = cls()
        values = session.decode(record.data, record.key)
        session._session_cache = values
        return session._with_columns(values, True)

    def _store_for(self, values: dict[str, Any], adding: bool) -> Store:
        if not self.get_store().extra_fields:
            return self._store()
        return self._beside_old(self._with_columns(values, adding))

    def _with_columns(self, values: dict[str, Any], adding: bool) -> SqlStore:
        store, instance = self.get_store(), self.create_model_instance(values)
        return store.with_columns(
            [field.pre_save(instance, adding) for field in store.extra_fields]
        )
