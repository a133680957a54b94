from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_scs import conf
from django_scs.backends.db import SessionStore
from django_scs.codecs.json import JSONCodec


class Recording(JSONCodec):
    """A codec of a project's own."""


class Mute:
    """No codec at all."""


class Needy(JSONCodec):
    """A codec that cannot be made without arguments."""

    def __init__(self, key):
        self.key = key


SECONDS = {
    "SCS_LIFETIME": lambda: conf.options().lifetime,
    "SCS_IDLE_TIMEOUT": lambda: conf.options().idle_timeout,
    "SCS_TOUCH_INTERVAL": lambda: conf.options().touch_interval,
}


@pytest.fixture(autouse=True)
def idle_timeout(settings):
    settings.SCS_IDLE_TIMEOUT = 36_525 * 86_400


def test_settings_have_their_defaults(settings):
    del settings.SCS_IDLE_TIMEOUT
    settings.SESSION_COOKIE_AGE = 1234
    assert conf.options().lifetime == 1234
    assert conf.options().idle_timeout is None
    assert conf.options().touch_interval == 0
    assert conf.options().hash_tokens is False
    assert type(conf.options().codec) is JSONCodec


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (0.5, 0.5), (timedelta(minutes=2), 120), (timedelta(days=365), 31_536_000)],
)
def test_seconds_are_a_number_or_a_timedelta(settings, name, value, seconds):
    setattr(settings, name, value)
    assert SECONDS[name]() == seconds


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize(
    "value",
    ["90", True, -1, timedelta(-1), float("nan"), float("inf"), 10**12, [90], 36_526 * 86_400],
)
def test_seconds_are_refused_by_name_and_value(settings, name, value):
    setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured) as refusal:
        SECONDS[name]()
    assert name in str(refusal.value)
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize("name", ["SCS_LIFETIME", "SCS_IDLE_TIMEOUT"])
def test_seconds_of_a_clock_are_more_than_zero(settings, name):
    setattr(settings, name, 0)
    with pytest.raises(ImproperlyConfigured, match=f"{name} is 0, .* more than zero"):
        SECONDS[name]()


def test_touch_interval_is_a_tenth_of_the_idle_timeout(settings):
    settings.SCS_IDLE_TIMEOUT = 600
    assert conf.options().touch_interval == 60


def test_touch_interval_may_be_zero(settings):
    settings.SCS_TOUCH_INTERVAL = 0
    assert conf.options().touch_interval == 0


@pytest.mark.parametrize("interval", [600, 601, timedelta(minutes=11)])
def test_touch_interval_is_less_than_the_idle_timeout(settings, interval):
    settings.SCS_IDLE_TIMEOUT = 600
    settings.SCS_TOUCH_INTERVAL = interval
    with pytest.raises(
        ImproperlyConfigured, match=r"SCS_TOUCH_INTERVAL .* less than SCS_IDLE_TIMEOUT"
    ):
        conf.options()


@pytest.mark.parametrize("value", [1, "True", None])
def test_hash_tokens_is_true_or_false(settings, value):
    settings.SCS_HASH_TOKENS = value
    with pytest.raises(ImproperlyConfigured, match=f"SCS_HASH_TOKENS is {value!r}.* True or False"):
        conf.options()
    settings.SCS_HASH_TOKENS = True
    assert conf.options().hash_tokens is True


def test_codec_is_the_class_at_a_dotted_path(settings):
    settings.SCS_CODEC = f"{__name__}.Recording"
    assert type(conf.options().codec) is Recording
    assert conf.options().codec is conf.options().codec


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "django_scs.codecs.xml.XMLCodec",
        "django_scs.codecs.json.XMLCodec",
        f"{__name__}.Mute",
        f"{__name__}.Needy",
        f"{__name__}.SECONDS",
        ".JSONCodec",
        None,
        JSONCodec,
    ],
)
def test_codec_is_refused_by_its_path(settings, path):
    settings.SCS_CODEC = path
    with pytest.raises(ImproperlyConfigured) as refusal:
        conf.options()
    assert f"SCS_CODEC: {path!r} is no codec" in str(refusal.value)
    assert "'django_scs.codecs.json.JSONCodec'" in str(refusal.value)


def test_settings_are_read_again_when_one_changes(settings):
    settings.SCS_LIFETIME = 60
    assert conf.options().lifetime == 60
    settings.SCS_LIFETIME = None
    settings.SESSION_COOKIE_AGE = 61
    assert conf.options().lifetime == 61
    settings.SESSION_COOKIE_AGE = 62
    assert conf.options().lifetime == 62
    settings.SCS_IDLE_TIMEOUT = 600
    assert conf.options().touch_interval == 60


def test_a_session_that_is_held_sees_a_setting_that_changes(settings):
    session = SessionStore()
    assert not session.get_expire_at_browser_close()
    settings.SCS_IDLE_TIMEOUT = "never"
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
    settings.SCS_IDLE_TIMEOUT = None
    assert session.get_expire_at_browser_close()
