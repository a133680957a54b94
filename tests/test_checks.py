import subprocess
import sys

import pytest
from django.core import checks as django_checks
from django.core.checks import registry
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import isolate_apps

from django_scs import checks, checks_project, conf
from tests.database import in_autocommit
from tests.support import DJANGOS, OURS

DJANGOS_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"


def test_checks_have_nothing_to_say_of_good_settings(settings):
    settings.SCS_LIFETIME = 3600
    assert checks.check_settings() == []


def test_checks_are_registered():
    assert checks.check_settings in registry.registry.get_checks()
    assert checks.check_time_zone in registry.registry.get_checks(include_deployment_checks=True)


def test_unknown_setting_is_refused_with_the_nearest(settings):
    settings.SCS_IDLE_TIME_OUT = 600
    (message,) = checks.check_settings()
    assert isinstance(message, django_checks.Error)
    assert message.id == "django_scs.E001"
    assert "SCS_IDLE_TIME_OUT" in message.msg
    assert message.hint == "Did you mean SCS_IDLE_TIMEOUT?"


def test_unknown_setting_is_refused_with_all_when_none_is_near(settings):
    settings.SCS_QQQ = 1
    (message,) = checks.check_settings()
    assert all(name in message.hint for name in conf.NAMES)


# Those of Redis are checked only on Redis: tests/test_checks_redis.py.
@pytest.mark.parametrize("name", sorted(n for n in conf.NAMES if not n.startswith("SCS_REDIS")))
def test_wrong_value_is_refused_by_name(settings, name):
    settings.SCS_IDLE_TIMEOUT = 600
    if name == "SCS_GOB_REGISTERED":
        settings.SCS_CODEC = "django_scs.codecs.gob.GobCodec"
    setattr(settings, name, object())
    found = checks.check_settings()
    assert {message.id for message in found} == {"django_scs.E002"}
    assert any(name in message.msg for message in found)


def test_check_command_fails(settings):
    settings.SCS_HASH_TOKENS = "yes"
    with pytest.raises(CommandError, match=r"django_scs.E002.*\n?.*SCS_HASH_TOKENS is 'yes'"):
        call_command("check")


@in_autocommit
@pytest.mark.vendors("mysql")
@pytest.mark.parametrize("zone", ["+00:00", "-08:00", "+05:30"])
def test_time_zone_of_one_offset_is_fine(zone):
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = %s", [zone])
    try:
        assert checks.check_time_zone(databases=["default"]) == []
    finally:
        connection.close()


@in_autocommit
@pytest.mark.vendors("mysql")
def test_time_zone_with_daylight_saving_is_warned_of():
    # Servers rarely have their zone tables filled: this one moves its clock in April and October.
    def save_daylight(execute, sql, *args):
        in_summer = "MONTH(FROM_UNIXTIME(@moment)) BETWEEN 4 AND 9"
        moved = f"FROM_UNIXTIME(@moment := %s) + INTERVAL ({in_summer}) HOUR"
        return execute(sql.replace("FROM_UNIXTIME(%s)", moved), *args)

    with connection.execute_wrapper(save_daylight):
        (message,) = checks.check_time_zone(databases=["default"])
    assert isinstance(message, django_checks.Warning)
    assert message.id == "django_scs.W001"
    assert "'default'" in message.msg
    assert "time_zone" in message.hint


@in_autocommit
@pytest.mark.vendors("sqlite", "postgresql")
def test_time_zone_of_other_vendors_does_not_matter():
    assert checks.check_time_zone(databases=["default"]) == []


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_time_zone_is_looked_at_only_where_databases_are(databases):
    assert checks.check_time_zone(databases=databases) == []


@pytest.mark.parametrize(
    ("wiring", "identifier"),
    [
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "django_scs.E003"),
        ({"SESSION_ENGINE": "no.such.engine"}, "django_scs.E003"),
        ({"MIDDLEWARE": [DJANGOS_MIDDLEWARE]}, "django_scs.W005"),
        ({"SESSION_SAVE_EVERY_REQUEST": True}, "django_scs.W004"),
    ],
)
def test_wiring_that_does_not_belong_together_is_found(settings, wiring, identifier):
    for name, value in wiring.items():
        setattr(settings, name, value)
    assert [message.id for message in checks.check_wiring()] == [identifier]


def test_save_every_request_beside_an_idle_timeout_is_fine(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.SCS_IDLE_TIMEOUT = 60
    assert checks.check_wiring() == []


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("SESSION_COOKIE_SECURE", "django_scs.W002"), ("SESSION_COOKIE_HTTPONLY", "django_scs.W003")],
)
def test_cookie_that_can_be_read_is_warned_of(settings, name, identifier):
    settings.SESSION_COOKIE_SECURE = settings.SESSION_COOKIE_HTTPONLY = True
    assert checks.check_cookie() == []
    setattr(settings, name, False)
    assert [message.id for message in checks.check_cookie()] == [identifier]


# What stands beside the sessions in a project


def found_by(check):
    return [(message.id, message.msg, message.hint) for message in check()]


def test_a_project_without_neighbours_is_fine(settings):
    assert checks_project.check_djangos_app() == []
    assert checks_project.check_serializer() == []
    assert checks_project.check_key_columns() == []


def test_checks_of_the_project_are_registered():
    registered = registry.registry.get_checks()
    assert {
        checks_project.check_djangos_app,
        checks_project.check_serializer,
        checks_project.check_key_columns,
    } <= set(registered)


def test_djangos_session_model_beside_ours_is_warned_of(settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.sessions"]
    ((identifier, message, hint),) = found_by(checks_project.check_djangos_app)

    assert identifier == "django_scs.W010"
    assert "django.contrib.sessions.models" in message
    assert "django_scs.models" in hint
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert found_by(checks_project.check_djangos_app) == []


def test_serializer_of_the_project_is_warned_of(settings):
    settings.SESSION_SERIALIZER = "shop.serializers.PickleSerializer"
    ((identifier, message, hint),) = found_by(checks_project.check_serializer)

    assert identifier == "django_scs.W011"
    assert "shop.serializers.PickleSerializer" in message
    assert "django_scs.codecs.serializer.SerializerCodec" in hint


@pytest.mark.parametrize(
    "codec", ["django_scs.codecs.serializer.SerializerCodec", "django_scs.codecs.json.JSONCodec"]
)
def test_serializer_beside_a_codec_that_was_chosen_is_fine(settings, codec):
    settings.SESSION_SERIALIZER = "django.contrib.sessions.serializers.PickleSerializer"
    settings.SCS_CODEC = codec
    assert found_by(checks_project.check_serializer) == []


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
    monkeypatch.setattr(checks_project.apps, "get_models", models_of_project.get_models)
    found = found_by(checks_project.check_key_columns)

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
