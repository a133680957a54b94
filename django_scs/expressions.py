"""The store's clock in a query of the ORM."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func

from .fields import ExpiryField
from .stores.dialects import DIALECTS


class StoreNow(Func):
    """The UTC time when the database began the statement, in the form of the column ``expiry``."""

    def __init__(self) -> None:
        super().__init__(output_field=ExpiryField())

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: BaseDatabaseWrapper, **kwargs: Any
    ) -> tuple[str, tuple[()]]:
        return DIALECTS[connection.vendor].now, ()
