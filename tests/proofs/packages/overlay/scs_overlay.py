"""Puts our engine and another database into the settings of somebody else's tests.

A pytest plugin and a settings module, on a path of its own: the name `tests` belongs to the others.
The environment says what to do, in OVERLAY: `settings` is the dotted path of theirs, or "" where
their conftest.py calls settings.configure(), `ours` whether our engine takes part, `both_apps`
whether Django's app stays installed, `database` an entry for DATABASES or null.
"""

import importlib
import json
import os
from typing import Any

from django.conf import LazySettings

WANTED = json.loads(os.environ["OVERLAY"])
APPS = {"django.contrib.sessions": ("django_scs",)}
if WANTED["both_apps"]:
    APPS["django.contrib.sessions"] += ("django.contrib.sessions",)
MIDDLEWARE = {
    "django.contrib.sessions.middleware.SessionMiddleware": (
        "django_scs.middleware.SessionMiddleware",
    )
}


def change(theirs: dict[str, Any]) -> dict[str, Any]:
    """Return settings with our engine and the database that is wanted."""
    changed = dict(theirs)
    if WANTED["ours"]:
        changed["SESSION_ENGINE"] = "django_scs.backends.db"
        # Models of theirs have columns of 40 characters for session keys: check W012.
        changed["SCS_TOKEN_BYTES"] = 30
        for name, ours in (("INSTALLED_APPS", APPS), ("MIDDLEWARE", MIDDLEWARE)):
            changed[name] = [new for old in theirs[name] for new in ours.get(old, (old,))]
    if WANTED["database"]:
        changed["DATABASES"] = {
            alias: database_of(alias) for alias in theirs.get("DATABASES", {"default": {}})
        }
    return changed


def database_of(alias: str) -> dict[str, Any]:
    """Return the entry of one alias, with a test database of its own."""
    test = {**WANTED["database"].get("TEST", {}), "NAME": f"test_{alias}"}
    return {**WANTED["database"], "TEST": test}


def configure(self: LazySettings, *args: Any, **options: Any) -> None:
    """Do what LazySettings.configure does, with the settings changed."""
    original_configure(self, *args, **change(options))


original_configure = LazySettings.configure
if WANTED["settings"]:
    module = importlib.import_module(WANTED["settings"])
    globals().update(
        change({name: getattr(module, name) for name in dir(module) if name.isupper()})
    )
else:
    LazySettings.configure = configure
