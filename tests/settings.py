"""The settings of the test suite: Snippetbox's apps plus the admin, on what DATABASE_URL names."""

import os
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent

OPTIONS: dict[str, dict[str, Any]] = {
    "django.db.backends.sqlite3": {
        "init_command": "PRAGMA journal_mode=WAL",
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
    },
    "django.db.backends.mysql": {
        "charset": "utf8mb4",
        "init_command": "SET time_zone = '+00:00'",
    },
    "django.db.backends.postgresql": {},
}
# A file, because threads cannot share Django's in-memory default the way processes share a file.
# The number keeps two runs on one machine apart; nothing is created before a test asks for it.
SQLITE_FILE = Path(tempfile.gettempdir()) / f"django_scs-{os.getpid()}.sqlite3"


def database(url: str) -> dict[str, Any]:
    """Return the DATABASES entry for a DATABASE_URL."""
    # A connection kept open would keep the test database from being dropped.
    entry: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=0))
    test: dict[str, str] = {}
    if entry["ENGINE"] == "django.db.backends.sqlite3":
        path = Path(entry["NAME"])
        test["NAME"] = str(path.with_name(f"test_{path.name}"))
    elif entry["ENGINE"] == "django.db.backends.mysql":
        test["CHARSET"] = "utf8mb4"
    return {
        **entry,
        "OPTIONS": {**OPTIONS[entry["ENGINE"]], **entry.get("OPTIONS", {})},
        "TEST": test,
    }


DATABASES = {"default": database(os.environ.get("DATABASE_URL") or f"sqlite:///{SQLITE_FILE}")}

SECRET_KEY = "for-tests-only"
ALLOWED_HOSTS = ["*"]
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django_scs",
    "django_scs.devices",
    "example_project.snippets",
]

MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django_scs.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

SESSION_ENGINE = "django_scs.backends.db"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django_scs.context_processors.flash",
            ],
        },
    },
]

ROOT_URLCONF = "example_project.urls"
STATIC_URL = "static/"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

# Django 6.1 warns without it; the test runner puts its own mailer in this one's place.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}

# Fast, and of no use outside tests.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
