"""The settings of the tests, with sessions in the Redis that REDIS_URL names, for gunicorn."""

import os

from tests.settings import *  # noqa: F403

SESSION_ENGINE = "django_scs.backends.redis"
SCS_REDIS = {"LOCATION": os.environ["REDIS_URL"]}
SCS_HASH_TOKENS = True
