"""Run the unit tests on the newest Python of this machine with the newest Django it can have.

    python -m tests.newest [pytest arguments]
    python -m tests.newest --install    only makes the environment

Uses the standard library only. The virtual environment is .venv-newest, and made anew when the
package's metadata or the Python is newer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-newest"
STAMP = FOLDER / "complete"
METADATA = (ROOT / "setup.cfg", ROOT / "pyproject.toml")
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
# No pre-releases: their names have letters.
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
MINORS = range(11, 30)
TELL = "import platform; print(platform.python_version())"


def pythons() -> Iterator[Path]:
    """Yield the Python programs of this machine: this one, those on the PATH, and pyenv's."""
    yield Path(sys.executable).resolve()
    for minor in MINORS:
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    yield from PYENV.glob("versions/*/bin/python3")


def version(python: Path) -> tuple[int, ...]:
    """Return the version of a Python; () if it is no release or does not run."""
    done = subprocess.run(
        [python, "-I", "-c", TELL], capture_output=True, text=True, check=False, timeout=60
    )
    found = RELEASE.fullmatch(done.stdout.strip())
    return tuple(map(int, found.groups())) if found else ()


def environment() -> Path:
    """Return the Python of the virtual environment."""
    newest = max(pythons(), key=version)
    python = FOLDER / "bin" / "python"
    wanted = ".".join(map(str, version(newest)))
    complete = STAMP.exists() and STAMP.read_text() == wanted
    if not complete or any(path.stat().st_mtime > STAMP.stat().st_mtime for path in METADATA):
        subprocess.run([newest, "-m", "venv", "--clear", FOLDER], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.run([*pip, "--editable", ".[test]"], cwd=ROOT, check=True)
        STAMP.write_text(wanted)
    return python


def main(arguments: list[str]) -> int:
    """Return pytest's status, or 1 without an environment."""
    try:
        python = environment()
    except subprocess.CalledProcessError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments == ["--install"]:
        return 0
    pytest = ["-X", "dev", "-m", "pytest", "--quick", "--numprocesses=auto", "-q"]
    pytest += ["--hypothesis-profile=few", *arguments]
    tell = f"import django; {TELL.removesuffix(')')}, 'with Django', django.get_version())"
    subprocess.run([python, "-c", tell], cwd=ROOT, check=True)
    # Throw-away databases of its own: what this run is about are versions, not servers.
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run([python, *pytest], cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
