"""What ``pip install django-scs`` brings: built from a copy, as it is published."""

import ast
import email
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import django_scs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SOURCES = (
    *("django_scs", "docs", "example_project", "tests"),
    *(
        "setup.cfg",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "MANIFEST.in",
        "Makefile",
        "manage.py",
    ),
)


def run(*command, folder):
    """Run a command and return its output. It must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Return the folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    target = tmp_path_factory.mktemp("archives")
    run(sys.executable, "-m", "build", "--outdir", target, ".", folder=folder)
    return target


@pytest.fixture(scope="module")
def wheel(archives):
    (path,) = archives.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_wheel_has_every_file_of_the_package(wheel):
    package = ROOT / "django_scs"
    wanted = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted >= {
        "django_scs/py.typed",
        "django_scs/migrations/0001_initial.py",
        "django_scs/templatetags/scs.py",
        "django_scs/management/commands/clearsessions.py",
        "django_scs/codecs/gob/__init__.py",
    }
    assert wanted <= set(wheel.namelist())


def test_wheel_has_the_package_alone(wheel):
    version = django_scs.__version__
    assert {name.split("/")[0] for name in wheel.namelist()} == {
        "django_scs",
        f"django_scs-{version}.dist-info",
    }


def test_metadata_names_the_package(metadata):
    assert metadata["Name"] in ("django_scs", "django-scs")
    assert metadata["Version"] == django_scs.__version__
    assert metadata["License-Expression"] == "MIT" or metadata["License"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert len(metadata.get_payload()) > 1000


def test_metadata_asks_for_django_alone(metadata):
    required = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert [re.split(r"[^\w-]", each)[0].lower() for each in required] == ["django"]


@pytest.mark.parametrize(
    ("extra", "requirement"),
    [("mysql", "mysqlclient"), ("postgres", "psycopg"), ("test", "hypothesis")],
)
def test_metadata_has_the_extras(metadata, extra, requirement):
    assert extra in metadata.get_all("Provides-Extra")
    of_extra = [
        each
        for each in metadata.get_all("Requires-Dist")
        if f"extra == '{extra}'" in each.replace('"', "'")
    ]
    assert any(each.startswith(requirement) for each in of_extra)


def test_wheel_has_the_license(wheel):
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_archives_pass_the_check_of_the_package_index(archives):
    paths = sorted(archives.iterdir())
    assert [path.name.endswith((".whl", ".tar.gz")) for path in paths] == [True, True]
    run(sys.executable, "-m", "twine", "check", "--strict", *paths, folder=archives)


def test_source_archive_has_the_package_and_its_tests(archives):
    (path,) = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tests = {str(each.relative_to(ROOT)) for each in (ROOT / "tests").rglob("*.py")}
    assert names >= {"setup.cfg", "pyproject.toml", "LICENSE", "README.md", "Makefile", "manage.py"}
    assert names >= {"django_scs/py.typed", "docs/settings.md", "example_project/settings.py"}
    assert names >= tests


def test_metadata_names_the_project_pages(metadata):
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL"))
    assert urls.keys() >= {"Documentation", "Changes", "Source", "Issues"}
    assert all(url.startswith("https://") for url in urls.values())
    assert metadata["Author"]
    assert metadata["Keywords"]


SETTINGS = """
from project.settings import *

INSTALLED_APPS[INSTALLED_APPS.index("django.contrib.sessions")] = "django_scs"
MIDDLEWARE = [
    each.replace("django.contrib.sessions.", "django_scs.") for each in MIDDLEWARE
]
SESSION_ENGINE = "django_scs.backends.db"
ROOT_URLCONF = "guide"
ALLOWED_HOSTS = ["testserver"]
"""
VIEWS = """
from django.http import HttpResponse
from django.template import engines
from django.urls import path

from django_scs import flash

def put(request):
    flash.put(request, "Snippet successfully created!")
    return HttpResponse()

def show(request):
    page = engines["django"].from_string("{% load scs %}{% flash as message %}{{ message }}")
    return HttpResponse(page.render({}, request))

urlpatterns = [path("put/", put), path("show/", show)]
"""
VISIT = """
import django

django.setup()

from django.test import Client

client = Client()
print([client.get(f"/{page}/").content.decode() for page in ("put", "show", "show")])
"""


def test_wheel_works_in_an_empty_environment(archives, tmp_path):
    (path,) = archives.glob("*.whl")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", path, folder=tmp_path)
    run(python, "-m", "django", "startproject", "project", ".", folder=tmp_path)
    (tmp_path / "guide_settings.py").write_text(SETTINGS)
    (tmp_path / "guide.py").write_text(VIEWS)
    of_guide = ("/usr/bin/env", "DJANGO_SETTINGS_MODULE=guide_settings", python)

    run(*of_guide, "manage.py", "check", folder=tmp_path)
    run(*of_guide, "manage.py", "migrate", "--verbosity=0", folder=tmp_path)
    shown = run(*of_guide, "-c", VISIT, folder=tmp_path)
    assert ast.literal_eval(shown) == ["", "Snippet successfully created!", ""]
