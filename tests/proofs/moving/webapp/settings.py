"""The suite's settings, on the database of the running tests, with what one process wants changed.

``SITE`` is a JSON object of settings; those under ``DATABASE`` go into ``DATABASES["default"]``, and
``SESSIONS`` is the middleware that serves them.
"""

import json
import os
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

SESSIONS = "django_scs.middleware.SessionMiddleware"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "old_cache"}
}
_wanted: dict[str, Any] = json.loads(os.environ.get("SITE", "{}"))
DATABASES["default"].update(_wanted.pop("DATABASE", {}))
globals().update(_wanted)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "user_sessions",
    "qsessions",
    "django_scs",
]
ROOT_URLCONF = "tests.proofs.moving.webapp.views"
MIDDLEWARE = [
    "tests.proofs.reliability.webapp.errors.ErrorNameMiddleware",
    SESSIONS,
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
# Two packages that nobody has at once.
SILENCED_SYSTEM_CHECKS = ["fields.E304"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django_scs": {"handlers": ["stderr"]}},
}
