"""The suite's settings, on the database of the running tests, with what one test wants changed.

``SITE`` is a JSON object of settings; those under ``DATABASE`` go into ``DATABASES["default"]``.
"""

import json
import os
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

_wanted: dict[str, Any] = json.loads(os.environ.get("SITE", "{}"))
DATABASES["default"].update(_wanted.pop("DATABASE", {}))

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_scs"]
ROOT_URLCONF = "tests.proofs.reliability.webapp.views"
MIDDLEWARE = [
    "tests.proofs.reliability.webapp.errors.ErrorNameMiddleware",
    "django_scs.middleware.SessionMiddleware",
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django_scs": {"handlers": ["stderr"]}},
}
globals().update(_wanted)
