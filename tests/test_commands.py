"""``manage.py clearsessions``."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands

from django_scs import tokens
from django_scs.models import Session

pytestmark = pytest.mark.django_db


def add(count, expires_in):
    expiry = datetime.now(UTC) + expires_in
    Session.objects.bulk_create(
        Session(token=tokens.new(), data=b"", expiry=expiry) for _ in range(count)
    )


def test_clearsessions_removes_all_that_has_expired_and_nothing_else():
    add(2, timedelta(minutes=5))
    live = set(Session.objects.values_list("token", flat=True))
    add(1001, -timedelta(seconds=5))
    call_command("clearsessions")

    assert set(Session.objects.values_list("token", flat=True)) == live


def test_clearsessions_has_nothing_to_say_on_an_empty_table(capsys):
    call_command("clearsessions")

    assert capsys.readouterr() == ("", "")


def test_clearsessions_does_not_need_djangos_own_application():
    assert "django.contrib.sessions" not in settings.INSTALLED_APPS
    assert get_commands()["clearsessions"] == "django_scs"
