"""The settings of Django's own suites, with our engine, on the database of DATABASE_URL."""

import os

from tests.settings import database

URL = os.environ["DATABASE_URL"]


def alias(suffix: str) -> dict[str, object]:
    """Return one of the two databases that Django's suites ask for."""
    entry = database(URL)
    if entry["ENGINE"] == "django.db.backends.sqlite3":
        # In memory, as Django runs them: none of these tests looks at concurrency.
        return {"ENGINE": entry["ENGINE"]}
    entry["TEST"]["NAME"] = f"test_suites_{suffix}"
    return entry


DATABASES = {"default": alias("default"), "other": alias("other")}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SECRET_KEY = "for-tests-only"
SESSION_ENGINE = "django_scs.backends.db"
TEST_RUNNER = "tests.proofs.django_suites.runner.Runner"
USE_TZ = False
