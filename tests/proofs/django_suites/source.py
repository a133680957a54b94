"""Fetch Django's source distribution, the only place where Django's tests are published."""

import subprocess
import sys
import tempfile
from pathlib import Path

import django

CACHE = Path(__file__).resolve().parents[3] / ".cache"


def tests_folder() -> Path:
    """Return the folder of the installed Django's tests, downloaded through pip at first."""
    version = django.get_version()
    source = CACHE / f"django-{version}"
    if not source.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            download(version, folder)
            # Renamed when it is complete: an interrupted run leaves nothing half unpacked.
            Path(folder, source.name).rename(source)
    return source / "tests"


def download(version: str, folder: str) -> None:
    """Download and unpack one version. Raise CalledProcessError if pip or tar fails."""
    print(f"Downloading the source of Django {version}", flush=True)
    only_its_source = ("--no-deps", "--no-binary=:all:")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={folder}"]
    subprocess.run([*pip, *only_its_source, f"django=={version}"], check=True)
    subprocess.run(["tar", "-xzf", f"django-{version}.tar.gz"], cwd=folder, check=True)
