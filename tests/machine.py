"""See to it that the machine has what the tests need. Uses the standard library only.

`python3 -m tests.machine run|mysql|all|cluster` looks for programs and headers, never for package
names, so that whatever the machine has counts. As root on Debian and Ubuntu the missing packages
are installed, without starting a service; elsewhere it says what to install and fails.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import find_program, interruptible

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
MINIMUM_PYTHON = (3, 11)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
POLICY = Path("/usr/sbin/policy-rc.d")
GALERA_FOLDERS = ("/usr/lib/galera", "/usr/lib64/galera-4", "/usr/lib/galera-4")


@dataclass(frozen=True)
class Need:
    """Something to look for, and the Debian packages that bring it; none if no package does."""

    what: str
    is_there: Callable[[], bool]
    packages: tuple[str, ...] = ()


def _has(*names: str) -> Callable[[], bool]:
    return lambda: find_program(*names) is not None


def _has_venv() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def _has_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").exists()


def _has_client_library() -> bool:
    program = find_program("pkg-config")
    return program is not None and any(
        subprocess.run([program, "--exists", name], check=False).returncode == 0
        for name in ("mysqlclient", "libmariadb", "mariadb")
    )


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _is_debian() -> bool:
    release = _os_release()
    return "debian" in [release.get("ID"), *release.get("ID_LIKE", "").split()]


def _of_distribution(package: str) -> tuple[str, ...]:
    """Return a package of Python's, unless the interpreter does not come from the distribution."""
    return (f"{PYTHON}-{package}",) if sys.base_prefix == "/usr" else ()


def _python() -> list[Need]:
    version = ".".join(map(str, MINIMUM_PYTHON))
    return [
        Need(f"Python {version} or newer", lambda: sys.version_info >= MINIMUM_PYTHON),
        Need("Python's venv and ensurepip", _has_venv, _of_distribution("venv")),
    ]


def _driver() -> list[Need]:
    """Return what it takes to build mysqlclient, which has no wheels for Linux."""
    return [
        Need("a C compiler", _has("cc", "gcc", "clang"), ("gcc", "libc6-dev")),
        Need("Python's headers", _has_headers, _of_distribution("dev")),
        Need("pkg-config", _has("pkg-config"), ("pkg-config",)),
        Need("MariaDB's or MySQL's client library", _has_client_library, ("libmariadb-dev",)),
    ]


def _servers_and_browser() -> list[Need]:
    # Ubuntu's packages of Chromium are snaps, which need a running snapd.
    browser = () if _os_release().get("ID") == "ubuntu" else ("chromium", "chromium-driver")
    return [
        Need("a MariaDB server", _has("mariadbd"), ("mariadb-server",)),
        Need("MariaDB's installer", _has("mariadb-install-db"), ("mariadb-server",)),
        Need("a PostgreSQL server", _has("initdb"), ("postgresql",)),
        Need("a Redis server", _has("redis-server"), ("redis-server",)),
        Need("Redis's command line", _has("redis-cli"), ("redis-tools",)),
        Need("Chromium or Google Chrome", _has(*BROWSERS), browser),
        Need("chromedriver", _has("chromedriver"), browser),
    ]


def _galera() -> list[Need]:
    library = [Path(folder, "libgalera_smm.so") for folder in GALERA_FOLDERS]
    return [
        Need("Galera", lambda: any(path.exists() for path in library), ("galera-4",)),
        Need("rsync", _has("rsync"), ("rsync",)),
    ]


# What each purpose needs. `run` is Snippetbox, and the tests, on SQLite; `mysql` Snippetbox on MySQL.
PURPOSES: dict[str, tuple[Callable[[], list[Need]], ...]] = {
    "run": (_python,),
    "mysql": (_python, _driver),
    "all": (_python, _driver, _servers_and_browser),
    "cluster": (_python, _driver, _servers_and_browser, _galera),
}


@contextlib.contextmanager
def services_stay_down() -> Iterator[None]:
    """Keep a package's installation from starting its service (Debian policy, invoke-rc.d)."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(packages: Sequence[str]) -> None:
    """Install Debian packages. Raise CalledProcessError if apt-get fails, after what it said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    print(f"Installing with apt-get: {' '.join(packages)}", flush=True)
    with services_stay_down():
        for each in (["apt-get", "update"], command):
            done = subprocess.run(
                each, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                sys.stderr.buffer.write(done.stdout)
                done.check_returncode()


def _instructions(missing: Sequence[Need], packages: Sequence[str]) -> str:
    lines = ["This machine lacks:", *(f"  - {need.what}" for need in missing)]
    if packages:
        lines += ["On Debian or Ubuntu:", f"  sudo apt-get install {shlex.join(packages)}"]
    lines.append("`make run` and `make test DB=sqlite` need Python alone.")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the machine has everything, where possible after installing it, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    parser.add_argument("purpose", choices=PURPOSES)
    wanted = [need for part in PURPOSES[parser.parse_args(argv).purpose] for need in part()]
    missing = [need for need in wanted if not need.is_there()]
    packages = list(dict.fromkeys(name for need in missing for name in need.packages))
    if packages and os.geteuid() == 0 and _is_debian():
        with interruptible():
            install(packages)
        missing = [need for need in wanted if not need.is_there()]
    if missing:
        print(_instructions(missing, packages), file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
