from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import F, Max, Min
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from django_scs import tokens
from django_scs.fields import DataField, ExpiryField, TokenField, from_julian_day, to_julian_day
from django_scs.models import Session
from tests.database import in_autocommit

MOMENT = datetime(2031, 7, 1, 12, 30, 15, 123_456, UTC)
HOUR = timedelta(hours=1)
KEPT = {"mysql": timedelta(0), "postgresql": timedelta(0), "sqlite": timedelta(milliseconds=1)}


def add(expiry, data=b"data"):
    return Session.objects.create(token=tokens.new(), data=data, expiry=expiry)


@pytest.fixture(params=[(True, "UTC"), (True, "America/New_York"), (False, "Asia/Tokyo")], ids=str)
def zone(request, settings):
    """Run the test in projects of several time zones, with USE_TZ and without."""
    settings.USE_TZ, settings.TIME_ZONE = request.param
    return timezone.get_default_timezone()


def local(moment, settings):
    """Return an aware datetime as the project sees it."""
    if settings.USE_TZ:
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


@in_autocommit
def test_expiry_comes_back_as_it_was(settings, zone, vendor):
    add(local(MOMENT, settings))
    expiry = Session.objects.get().expiry
    assert timezone.is_aware(expiry) is settings.USE_TZ
    assert abs(expiry - local(MOMENT, settings)) <= KEPT[vendor]


@in_autocommit
def test_expiry_comes_back_as_it_was_where_another_zone_is_active(settings, zone, vendor):
    with timezone.override("America/Chicago"):
        add(local(MOMENT, settings))
        expiry = Session.objects.get().expiry
    assert abs(expiry - local(MOMENT, settings)) <= KEPT[vendor]


@in_autocommit
def test_expiry_can_be_compared(settings, zone):
    now = timezone.now()
    dead, live = add(now - HOUR), add(now + HOUR)
    assert list(Session.objects.filter(expiry__gt=now)) == [live]
    assert list(Session.objects.filter(expiry__lte=now)) == [dead]
    assert list(Session.objects.filter(expiry__range=(now, now + 2 * HOUR))) == [live]
    assert list(Session.objects.exclude(expiry__gt=now)) == [dead]
    assert list(Session.objects.filter(expiry__lt=F("expiry"))) == []
    assert list(Session.objects.order_by("expiry")) == [dead, live]
    assert not Session.objects.filter(expiry__isnull=True)


@in_autocommit
def test_expiry_compares_to_the_millisecond(settings, zone):
    add(local(MOMENT, settings))
    step = timedelta(milliseconds=1)
    assert Session.objects.filter(expiry__gt=local(MOMENT - step, settings)).exists()
    assert not Session.objects.filter(expiry__gt=local(MOMENT + step, settings)).exists()


@in_autocommit
def test_expiry_can_be_aggregated_and_listed(settings, zone, vendor):
    for hours in range(3):
        add(local(MOMENT + hours * HOUR, settings))
    found = Session.objects.aggregate(first=Min("expiry"), last=Max("expiry"))
    assert abs(found["first"] - local(MOMENT, settings)) <= KEPT[vendor]
    assert abs(found["last"] - local(MOMENT + 2 * HOUR, settings)) <= KEPT[vendor]
    assert max(Session.objects.values_list("expiry", flat=True)) == found["last"]


@in_autocommit
def test_expiry_can_be_updated(settings, zone, vendor):
    add(local(MOMENT, settings))
    Session.objects.update(expiry=local(MOMENT + HOUR, settings))
    assert abs(Session.objects.get().expiry - local(MOMENT + HOUR, settings)) <= KEPT[vendor]


@in_autocommit
def test_expiry_can_be_compared_with_the_database_s_own_clock():
    from django.db.models.functions import Now

    dead, live = add(timezone.now() - HOUR), add(timezone.now() + HOUR)
    assert list(Session.objects.filter(expiry__gt=Now())) == [live]
    assert list(Session.objects.filter(expiry__lt=Now())) == [dead]
    assert list(Session.objects.filter(expiry__range=(Now(), Now() + 2 * HOUR))) == [live]


@in_autocommit
def test_expiry_can_be_set_to_the_database_s_own_clock():
    from django.db.models.functions import Now

    add(timezone.now() + HOUR)
    Session.objects.update(expiry=Now())
    Session.objects.create(token=tokens.new(), data=b"", expiry=Now())
    assert Session.objects.filter(expiry__lte=Now()).count() == 2
    for row in Session.objects.all():
        assert abs(row.expiry - timezone.now()) < HOUR


@in_autocommit
@pytest.mark.vendors("mysql")
@pytest.mark.parametrize(
    "moment", [datetime(2100, 1, 1, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC)]
)
def test_expiry_beyond_timestamp_is_clamped(moment):
    add(moment)
    assert (
        datetime(1970, 1, 2, tzinfo=UTC)
        < Session.objects.get().expiry
        < datetime(2038, 1, 19, tzinfo=UTC)
    )


@in_autocommit
@pytest.mark.vendors("sqlite")
def test_expiry_is_the_julian_day_that_sqlite_means(settings, zone):
    add(local(MOMENT, settings))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT strftime('%%Y-%%m-%%d %%H:%%M:%%f', expiry), typeof(expiry) FROM sessions", []
        )
        assert cursor.fetchone() == ("2031-07-01 12:30:15.123", "real")


@in_autocommit
@pytest.mark.parametrize("data", [b"", bytes(range(256)), b"x" * 60_000], ids=len)
def test_data_reads_as_bytes(data):
    add(MOMENT, data)
    assert type(Session.objects.get().data) is bytes
    assert Session.objects.get().data == data
    assert Session.objects.filter(data=data).exists()


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_julian_day_keeps_the_millisecond(moment):
    kept = from_julian_day(to_julian_day(moment))
    assert abs(kept - moment) <= timedelta(milliseconds=0.6)
    assert kept.microsecond % 1000 == 0


@pytest.mark.parametrize("day", [1e7, 1e9, 1e12, float("inf")])
def test_julian_day_beyond_the_calendar_is_its_end(day):
    assert from_julian_day(day).year == 9999
    assert from_julian_day(-day).year == 1


@pytest.mark.parametrize(
    "field", [TokenField(), DataField(), ExpiryField()], ids=lambda field: type(field).__name__
)
def test_column_of_an_unknown_vendor_is_refused(field, monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle")
    with pytest.raises(
        ImproperlyConfigured, match=f"{type(field).__name__}.*'oracle', only for 'mysql'"
    ):
        field.db_type(connection)


def test_fields_survive_migrations():
    for name in ("token", "data", "expiry"):
        field = Session._meta.get_field(name)
        path, args, kwargs = field.deconstruct()[1:]
        assert path == f"django_scs.fields.{type(field).__name__}"
        again = type(field)(*args, **kwargs)
        assert again.db_type(connection) == field.db_type(connection)
