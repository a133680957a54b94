"""The suite's settings, with the pages that ``tests.bench.devices`` measures."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.devices.urls"
