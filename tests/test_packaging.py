"""What ``pip install django-scs`` brings: built from a copy, as it is published."""

import email
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import django_scs

ROOT = Path(__file__).parent.parent
SOURCES = ("django_scs", "setup.cfg", "pyproject.toml", "LICENSE", "README.md", "MANIFEST.in")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        target,
        ".",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = target.glob("*.whl")
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
