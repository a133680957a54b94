"""Checks of what stands beside the sessions in a project."""

import subprocess
import sys

import pytest
from django.core.checks import registry
from django.db import models
from django.test.utils import isolate_apps

from django_scs.checks import project
from tests.support import DJANGOS, OURS


def found_by(check):
    return [(message.id, message.msg, message.hint) for message in check()]


def test_a_project_without_neighbours_is_fine(settings):
    assert project.check_djangos_app() == []
    assert project.check_serializer() == []
    assert project.check_key_columns() == []
    assert project.check_devices() == []


def test_devices_of_sessions_that_they_cannot_end_are_warned_of(settings):
    settings.SESSION_ENGINE = "django_scs.backends.cookie"
    ((identifier, message, _),) = found_by(project.check_devices)
    assert identifier == "django_scs.W013"
    assert "does not sign it out" in message
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ((identifier, message, _),) = found_by(project.check_devices)
    assert identifier == "django_scs.W013"
    assert "none can be signed out" in message
    settings.INSTALLED_APPS = [
        name for name in settings.INSTALLED_APPS if name != "django_scs.devices"
    ]
    assert project.check_devices() == []


def test_checks_of_the_project_are_registered():
    registered = registry.registry.get_checks()
    assert {
        project.check_djangos_app,
        project.check_serializer,
        project.check_key_columns,
        project.check_devices,
    } <= set(registered)


def test_djangos_session_model_beside_ours_is_warned_of(settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.sessions"]
    ((identifier, message, hint),) = found_by(project.check_djangos_app)

    assert identifier == "django_scs.W010"
    assert "django.contrib.sessions.models" in message
    assert "django_scs.models" in hint
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert found_by(project.check_djangos_app) == []


def test_djangos_session_model_is_fine_while_sessions_are_moved_from_it(settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.sessions"]
    settings.SCS_MIGRATE_FROM = "django.contrib.sessions.backends.db"
    assert found_by(project.check_djangos_app) == []


def test_serializer_of_the_project_is_warned_of(settings):
    settings.SESSION_SERIALIZER = "shop.serializers.PickleSerializer"
    ((identifier, message, hint),) = found_by(project.check_serializer)

    assert identifier == "django_scs.W011"
    assert "shop.serializers.PickleSerializer" in message
    assert "django_scs.codecs.serializer.SerializerCodec" in hint


@pytest.mark.parametrize(
    "codec", ["django_scs.codecs.serializer.SerializerCodec", "django_scs.codecs.json.JSONCodec"]
)
def test_serializer_beside_a_codec_that_was_chosen_is_fine(settings, codec):
    settings.SESSION_SERIALIZER = "django.contrib.sessions.serializers.PickleSerializer"
    settings.SCS_CODEC = codec
    assert found_by(project.check_serializer) == []


@pytest.fixture
def models_of_project():
    """Return a model with columns named like session keys, as several packages have them."""
    with isolate_apps("django_scs") as registry:

        class Cart(models.Model):  # noqa: DJ008
            session_key = models.CharField(max_length=40)
            last_sessionid = models.CharField(max_length=32)
            session = models.CharField(max_length=43)
            session_token = models.CharField(max_length=64)
            session_name = models.CharField(max_length=10)
            session_id = models.IntegerField()

            class Meta:
                app_label = "django_scs"

        yield registry


@pytest.mark.parametrize(
    ("size", "names"), [(32, ["session_key", "last_sessionid"]), (30, ["last_sessionid"])]
)
def test_columns_for_session_keys_that_are_too_short_are_found(
    settings, monkeypatch, models_of_project, size, names
):
    settings.SCS_TOKEN_BYTES = size
    monkeypatch.setattr(project.apps, "get_models", models_of_project.get_models)
    found = found_by(project.check_key_columns)

    assert [identifier for identifier, *_ in found] == ["django_scs.W012"] * len(names)
    for name, (_, message, hint) in zip(names, found, strict=True):
        assert f"Cart.{name} " in message
        assert "SCS_TOKEN_BYTES" in hint


FORGOTTEN = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
settings.configure(
    SECRET_KEY="x", MIDDLEWARE=[{middleware!r}], SESSION_ENGINE="django_scs.backends.db",
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
)
get_wsgi_application()
"""


@pytest.mark.parametrize("middleware", [OURS, DJANGOS], ids=["ours", "djangos"])
def test_app_that_was_forgotten_is_an_error_at_start(middleware):
    script = FORGOTTEN.format(middleware=middleware)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert run.returncode == 1
    assert "Add 'django_scs' to INSTALLED_APPS" in run.stderr.splitlines()[-1]
