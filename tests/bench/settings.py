"""The settings of the benchmark: those of the tests, with every engine's table and one warm connection.

The environment names DATABASE_URL, BENCHMARK_REDIS (a URL, if there is a Redis) and, for Snippetbox
under gunicorn, BENCHMARK_ENGINE. For the views of the benchmark under uvicorn and gunicorn it names
BENCHMARK_SERVED, an engine's module, and BENCHMARK_MIDDLEWARE.
"""

import os

from tests.bench.engines import ENGINES
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

# Devices follow each session that is read, which no other engine does.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django_scs.devices"]
INSTALLED_APPS += ["django.contrib.sessions", "user_sessions"]

DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # As the servers are set up: survives a killed process, not a power cut.
    DATABASES["default"]["OPTIONS"]["init_command"] += "; PRAGMA synchronous=NORMAL"

if "BENCHMARK_REDIS" in os.environ:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["BENCHMARK_REDIS"],
        }
    }
    SCS_REDIS = {"LOCATION": os.environ["BENCHMARK_REDIS"]}

if "BENCHMARK_SERVED" in os.environ:
    ROOT_URLCONF = "tests.bench.views"
    SESSION_ENGINE = os.environ["BENCHMARK_SERVED"]
    MIDDLEWARE = [
        os.environ["BENCHMARK_MIDDLEWARE"],
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 8}
    # The example project notes a datetime at login, which Django's engines cannot keep.
    INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("example_project")]
elif "BENCHMARK_ENGINE" not in os.environ:
    ROOT_URLCONF = "tests.bench.views"
else:
    # For Snippetbox under gunicorn. Its flash needs `take`, which Django's engine does not have.
    _engine = ENGINES[os.environ["BENCHMARK_ENGINE"]]
    SESSION_ENGINE = {"db": "tests.bench.db_with_take"}.get(_engine.key, _engine.module)
    MIDDLEWARE = [
        _engine.middleware if name.endswith(".SessionMiddleware") else name for name in MIDDLEWARE
    ]
