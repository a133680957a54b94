from datetime import UTC, datetime, timedelta

import pytest
from django.core import checks as django_checks
from django.core.checks import registry
from django.core.management import CommandError, call_command

from django_scs import conf
from django_scs.checks import database, deploy, project, redis, speed
from django_scs.checks import settings as checks

CODEC_OF = {
    "SCS_GOB_REGISTERED": "gob.GobCodec",
    "SCS_ENCRYPTED_CODEC": "encrypted.EncryptedCodec",
    "SCS_ENCRYPTION_KEYS": "encrypted.EncryptedCodec",
    "SCS_SIGNED_CODEC": "signed.SignedCodec",
    "SCS_SIGNING_KEYS": "signed.SignedCodec",
}
PREFERENCES = {"preferences": {"COOKIE_NAME": "preferences"}}
DJANGOS_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"


def test_checks_have_nothing_to_say_of_good_settings(settings):
    settings.SCS_LIFETIME = 3600
    assert checks.check_settings() == []


@pytest.mark.parametrize("module", [checks, database, deploy, project, redis, speed])
def test_checks_are_registered(module):
    ours = [
        found
        for name, found in vars(module).items()
        if name.startswith("check_") and found.__module__ == module.__name__
    ]
    assert ours
    registered = registry.registry.get_checks(include_deployment_checks=True)
    assert [check for check in ours if check not in registered] == []


ODD = [
    *(None, 0, -1, True, 1.5, float("nan"), 10**30, timedelta(1), b"x", object(), int),
    *("", "x", ".x", "..x", "a b", "\ud800", "a.b.c", "django_scs", "django_scs.backends.db"),
    *([], ["x"], [1], [b"x"], [["x"]], (), ("x",), {"x"}, {}, {"a": 1}, {"a": {}}, {1: {}}),
    *({"a": {"COOKIE_NAME": ["x"]}}, {"a": {"COOKIE_NAME": "x", "ENGINE": ["x"]}}, {"a": ["x"]}),
    *({"LOCATION": 1}, {"LOCATION": ".x"}, {"LOCATION": [None]}, {"OPTIONS": "x"}),
]
DJANGOS_SETTINGS = ["SESSION_COOKIE_AGE", "SESSION_COOKIE_NAME", "SESSION_ENGINE"]


@pytest.mark.extra
@pytest.mark.parametrize("name", sorted(conf.NAMES) + DJANGOS_SETTINGS)
def test_no_value_makes_a_check_raise(settings, name):
    if name in CODEC_OF:
        settings.SCS_CODEC = f"django_scs.codecs.{CODEC_OF[name]}"
    for prefix, engine in ("SCS_COOKIE_", "cookie"), ("SCS_REDIS", "redis"):
        if name.startswith(prefix):
            settings.SESSION_ENGINE = f"django_scs.backends.{engine}"
    for value in ODD:
        setattr(settings, name, value)
        for module in (checks, database, deploy, project, redis, speed):
            for check, found in vars(module).items():
                if check.startswith("check_"):
                    found(app_configs=None, databases=[])


@pytest.mark.parametrize("engine", ["cookie", "redis", "tests.moving.own_redis"])
def test_steps_of_hashing_need_a_table(settings, engine):
    settings.SESSION_ENGINE = engine if "." in engine else f"django_scs.backends.{engine}"
    settings.SCS_HASH_TOKENS = "prepare"
    (message,) = checks.check_settings()
    assert "SCS_HASH_TOKENS is 'prepare'" in message.msg
    settings.SCS_HASH_TOKENS = True
    assert checks.check_settings() == []


def test_other_kinds_need_no_table_for_steps_of_hashing(settings):
    entry = {"COOKIE_NAME": "preferences", "ENGINE": "django_scs.backends.redis"}
    settings.SCS_SESSIONS = {"preferences": entry}
    settings.SCS_HASH_TOKENS = "prepare"
    assert checks.check_settings() == []


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


# Those of Redis are checked only on Redis: tests/checks/test_redis.py.
@pytest.mark.parametrize("name", sorted(n for n in conf.NAMES if not n.startswith("SCS_REDIS")))
def test_wrong_value_is_refused_by_name(settings, name):
    settings.SCS_IDLE_TIMEOUT = 600
    if name in CODEC_OF:
        settings.SCS_CODEC = f"django_scs.codecs.{CODEC_OF[name]}"
    if name.startswith("SCS_COOKIE"):
        settings.SESSION_ENGINE = conf.COOKIE_ENGINE
        settings.SCS_COOKIE_FORMAT = "gorilla"
        settings.SCS_COOKIE_KEYS = [(b"k" * 32, None)]
    assert checks.check_settings() == []
    setattr(settings, name, object())
    found = checks.check_settings()
    assert {message.id for message in found} == {"django_scs.E002"}
    assert any(name in message.msg for message in found)


def test_wrong_value_that_two_options_are_read_from_is_told_once(settings):
    settings.SCS_IDLE_TIMEOUT = "30m"
    (message,) = checks.check_settings()
    assert "SCS_IDLE_TIMEOUT is '30m'" in message.msg


def test_check_command_fails(settings):
    settings.SCS_HASH_TOKENS = "yes"
    with pytest.raises(CommandError, match=r"django_scs.E002.*\n?.*SCS_HASH_TOKENS is 'yes'"):
        call_command("check")


@pytest.mark.parametrize(
    ("wiring", "identifier"),
    [
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "django_scs.E003"),
        ({"SESSION_ENGINE": "no.such.engine"}, "django_scs.E003"),
        ({"MIDDLEWARE": [DJANGOS_MIDDLEWARE]}, "django_scs.W005"),
        (
            {"MIDDLEWARE": [DJANGOS_MIDDLEWARE], "SESSION_ENGINE": conf.COOKIE_ENGINE},
            "django_scs.E004",
        ),
        ({"MIDDLEWARE": [], "SCS_SESSIONS": PREFERENCES}, "django_scs.W006"),
        ({"SESSION_SAVE_EVERY_REQUEST": True}, "django_scs.W004"),
    ],
)
def test_wiring_that_does_not_belong_together_is_found(settings, wiring, identifier):
    for name, value in wiring.items():
        setattr(settings, name, value)
    assert [message.id for message in checks.check_wiring()] == [identifier]


def test_our_middleware_may_serve_other_kinds_alone(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    settings.SCS_SESSIONS = PREFERENCES
    assert checks.check_wiring() == []


def test_save_every_request_beside_an_idle_timeout_is_fine(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.SCS_IDLE_TIMEOUT = 60
    assert checks.check_wiring() == []


@pytest.mark.parametrize(
    ("cookie", "word"),
    [
        ({"NAME": "__Host-id", "SECURE": False}, "Secure is not set"),
        ({"NAME": "__Secure-id", "SECURE": False}, "Secure is not set"),
        ({"NAME": "__HOST-id", "SECURE": False}, "Secure is not set"),
        ({"NAME": "__Host-id", "DOMAIN": "example.com"}, "Domain is 'example.com'"),
        ({"NAME": "__Host-id", "PATH": "/app"}, "Path is '/app'"),
        ({"NAME": "__Host-id"}, ""),
        ({"NAME": "__Secure-id", "DOMAIN": "example.com", "PATH": "/app"}, ""),
        ({"NAME": "sessionid", "SECURE": False, "DOMAIN": "example.com"}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["default", "another"])
def test_prefix_that_the_cookie_does_not_keep_is_refused(settings, cookie, word, kind):
    attributes = {"SECURE": True, **cookie}
    if kind == "default":
        for name, value in attributes.items():
            setattr(settings, f"SESSION_COOKIE_{name}", value)
    else:
        settings.SCS_SESSIONS = {kind: {f"COOKIE_{k}": v for k, v in attributes.items()}}
    found = checks.check_prefixes()
    assert [message.id for message in found] == (["django_scs.E010"] if word else [])
    assert all(word in message.msg and message.hint for message in found)


def test_prefixes_are_not_looked_at_where_settings_are_wrong(settings):
    settings.SCS_LIFETIME = "long"
    assert checks.check_prefixes() == []


def test_go_key_that_is_djangos_own_is_refused(settings):
    settings.SCS_AUTH_USER_ID_KEY = "_auth_user_id"
    assert [message.id for message in checks.check_settings()] == ["django_scs.E002"]


def test_keys_of_another_kind_are_the_projects(settings):
    settings.SCS_SESSIONS = {
        "another": {"COOKIE_NAME": "another", "CODEC": "django_scs.codecs.encrypted.EncryptedCodec"}
    }
    assert checks.check_settings() == []
    codec = conf.options("another").codec
    now = datetime.now(UTC)
    assert codec.decode(codec.encode(now, {"a": 1}, None, "key"), "key") == (now, {"a": 1})
