"""The three columns of the ``sessions`` table, as scs declares them for each database vendor."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.utils import timezone

_UNIX_EPOCH_AS_JULIAN_DAY: Final = 2_440_587.5
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The latest expiry. Every time zone and every database except MySQL can represent it.
LAST_EXPIRY: Final = datetime(9999, 12, 30, tzinfo=UTC)
#: Every time zone can represent it.
_LONG_AGO: Final = datetime(1, 1, 3, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_julian_day(moment: datetime) -> float:
    """Return an aware datetime as SQLite's ``julianday()`` would, exact to 0.1 ms."""
    return _UNIX_EPOCH_AS_JULIAN_DAY + (moment - _UNIX_EPOCH) / timedelta(days=1)


def from_julian_day(day: float) -> datetime:
    """Return a Julian day as an aware UTC datetime, in whole milliseconds, as scs writes them."""
    days = day - _UNIX_EPOCH_AS_JULIAN_DAY
    try:
        return _UNIX_EPOCH + round(timedelta(days=days) / _MILLISECOND) * _MILLISECOND
    except OverflowError:
        return LAST_EXPIRY if days > 0 else _LONG_AGO


def _column_type(
    field: "models.Field[Any, Any]", types: dict[str, str], connection: BaseDatabaseWrapper
) -> str:
    try:
        return types[connection.vendor]
    except KeyError:
        raise ImproperlyConfigured(
            f"{type(field).__name__} has no column type for {connection.vendor!r},"
            f" only for {', '.join(map(repr, types))}."
        ) from None


class TokenField(models.CharField):  # type: ignore[type-arg]
    """The store key of a session: 43 characters of ASCII, compared exactly."""

    _types: Final = {
        "mysql": "char(43) CHARACTER SET ascii COLLATE ascii_bin",
        # In capitals, because Django's schema editor adds an index for LIKE to a type "text".
        "postgresql": "TEXT",
        "sqlite": "TEXT",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 43)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return _column_type(self, self._types, connection)


class DataField(models.BinaryField):  # type: ignore[type-arg]
    """The encoded data of a session; reads as ``bytes`` on every vendor."""

    _types: Final = {"mysql": "blob", "postgresql": "bytea", "sqlite": "BLOB"}

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return _column_type(self, self._types, connection)

    def from_db_value(self, value: Any, *args: Any) -> bytes | None:
        return None if value is None else bytes(value)


class ExpiryField(models.DateTimeField):  # type: ignore[type-arg]
    """When a session expires. UTC in the column, whatever the project's time zone is.

    Keeps microseconds on MySQL and PostgreSQL, and milliseconds on SQLite, whose column is a Julian
    day.
    """

    _types: Final = {
        "mysql": "timestamp(6)",
        "postgresql": "timestamp with time zone",
        "sqlite": "REAL",
    }

    def get_internal_type(self) -> str:
        # Django chooses its converters by this name. Those of a DateTimeField expect text on SQLite,
        # and our column is a number.
        return "ExpiryField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return _column_type(self, self._types, connection)

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        moment = value if prepared else self.get_prep_value(value)
        if not isinstance(moment, datetime):
            return moment
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment, timezone.get_default_timezone())
        return adapt_expiry(moment, connection.vendor)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if _is_text(value, connection):
            return models.Func(value, function="julianday", output_field=self)
        return super().get_db_prep_save(value, connection)

    def get_placeholder(self, value: Any, compiler: Any, connection: BaseDatabaseWrapper) -> str:
        """Return what an UPDATE puts an expression into."""
        return "julianday(%s)" if _is_text(value, connection) else "%s"

    def get_placeholder_sql(
        self, value: Any, compiler: Any, connection: BaseDatabaseWrapper
    ) -> tuple[str, Any]:
        """Do what ``get_placeholder`` does, which Django 6.1 does not ask any more."""
        sql, params = compiler.compile(value) if hasattr(value, "as_sql") else ("%s", (value,))
        return self.get_placeholder(value, compiler, connection) % sql, params

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        # The driver cannot return 'infinity', which another application may have written. A column
        # in a function or a subquery is formatted there, if it is selected.
        if compiler.connection.vendor == "postgresql" and "(" not in sql:
            sql = (
                f"CASE {sql} WHEN 'infinity' THEN '{LAST_EXPIRY}' WHEN '-infinity'"
                f" THEN '{_UNIX_EPOCH}' ELSE {sql} END"
            )
        return sql, params

    def from_db_value(
        self, value: Any, expression: Any, connection: BaseDatabaseWrapper
    ) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, float):
            moment = from_julian_day(value)
        elif timezone.is_aware(value):
            moment = value
        else:
            # MySQL returns the UTC literal that was written. PostgreSQL's driver returns the local
            # time if USE_TZ is off.
            zone = UTC if connection.vendor == "mysql" else timezone.get_default_timezone()
            moment = value.replace(tzinfo=zone)
        if settings.USE_TZ:
            return moment
        return timezone.make_naive(moment, timezone.get_default_timezone())


def _is_text(value: Any, connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a value is an expression that SQLite returns as text, such as ``Now()``.

    To SQLite any number is less than any text, so it has to become a number.
    """
    is_expression = connection.vendor == "sqlite" and hasattr(value, "as_sql")
    return is_expression and not isinstance(value.output_field, ExpiryField)


class _WithDatabaseTime:
    """Lets a lookup compare the column with an expression, such as ``Now()``, on SQLite too."""

    rhs: Any

    def process_rhs(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        sql, params = super().process_rhs(compiler, connection)  # type: ignore[misc]
        return f"julianday({sql})" if _is_text(self.rhs, connection) else sql, params


class _Range(lookups.Range):
    """Lets a range begin or end with an expression, on SQLite too."""

    def resolve_expression_parameter(
        self, compiler: Any, connection: BaseDatabaseWrapper, sql: str, param: Any
    ) -> tuple[str, Any]:
        found, params = super().resolve_expression_parameter(compiler, connection, sql, param)
        return f"julianday({found})" if _is_text(param, connection) else found, params


_LOOKUPS: Final[tuple["type[lookups.Lookup[Any]]", ...]] = (
    lookups.Exact,
    lookups.GreaterThan,
    lookups.GreaterThanOrEqual,
    lookups.LessThan,
    lookups.LessThanOrEqual,
)
for _lookup in _LOOKUPS:
    ExpiryField.register_lookup(type(_lookup.__name__, (_WithDatabaseTime, _lookup), {}))
ExpiryField.register_lookup(_Range)


# MySQL's TIMESTAMP holds 1970-01-01 00:00:01 to 2038-01-19 03:14:07 UTC on older servers, and reads
# our UTC literals in the connection's time zone: a distance of a day from both ends is safe.
MYSQL_FIRST: Final = datetime(1970, 1, 3, tzinfo=UTC)
MYSQL_LAST: Final = datetime(2038, 1, 18, tzinfo=UTC)


def last_expiry(vendor: str) -> datetime:
    """Return the latest expiry that the column of ``vendor`` holds; later ones are cut to it."""
    return MYSQL_LAST if vendor == "mysql" else LAST_EXPIRY


def adapt_expiry(moment: datetime, vendor: str) -> datetime | float:
    """Return an aware datetime as the parameter that the expiry column of ``vendor`` takes."""
    if vendor == "sqlite":
        return to_julian_day(moment)
    if vendor == "mysql":
        moment = min(max(moment, MYSQL_FIRST), last_expiry(vendor))
        return moment.astimezone(UTC).replace(tzinfo=None)
    return moment
