"""The sweep as a task: on Django 6.0 in a process of its own, before it an error that says so."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import django
import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
#: A Python with Django 6.0 or later; where this one has it, this one.
PYTHON = sys.executable if django.VERSION >= (6, 0) else os.environ.get("DJANGO_6_PYTHON", "")
ENVIRONMENT = ROOT / ".cache" / "django-6"
SCRIPT = """
import os
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django_scs", "django_scs.devices",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SESSION_ENGINE="django_scs.backends.db",
    USE_TZ=True,
    TASKS={"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_scs import testing
from django_scs.backends.db import SessionStore
from django_scs.tasks import sweep

for number in range(3):
    session = SessionStore()
    session["number"] = number
    session.save()
assert sweep.enqueue().return_value == 0
testing.age(10**7)
assert sweep.enqueue(limit=2).return_value == 2
assert sweep.enqueue().return_value == 1
print("swept on", django.get_version())
"""


def python_with_django_6() -> str:
    """Return a Python with Django 6.0; make an environment for it under .cache if there is none."""
    if PYTHON:
        return PYTHON
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        base = newest_python()
        subprocess.run([base, "-m", "venv", ENVIRONMENT], check=True, timeout=120)
        command = [python, "-m", "pip", "install", "--quiet", "django~=6.0.0"]
        subprocess.run(command, check=True, timeout=300)
    return str(python)


def newest_python() -> str:
    """Return a Python that Django 6.0 takes: 3.12 or later."""
    if sys.version_info >= (3, 12):
        return sys.executable
    found = sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"))
    if not found:
        pytest.skip("NO PYTHON 3.12: Django 6.0 needs it; name one by DJANGO_6_PYTHON")
    return str(found[-1])


def test_sweep_is_a_task() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [python_with_django_6(), "-W", "error", "-c", SCRIPT],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.startswith("swept on 6."), done.stderr


def test_django_without_tasks_is_told_so() -> None:
    if django.VERSION >= (6, 0):
        assert importlib.import_module("django_scs.tasks").sweep.name == "sweep"
    else:
        with pytest.raises(ImproperlyConfigured, match=r"needs Django 6\.0"):
            importlib.import_module("django_scs.tasks")
