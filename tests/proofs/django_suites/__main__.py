"""Run Django's suites: `python -m tests.proofs.django_suites [labels]`.

On SQLite without DATABASE_URL.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.proofs import django_suites
from tests.proofs.django_suites.runner import COUNTS_FILE
from tests.proofs.django_suites.source import tests_folder


def run(labels: Sequence[str], parallel: int) -> int:
    """Run Django's runtests.py with our apps among those that it always installs."""
    import runtests

    installed = runtests.ALWAYS_INSTALLED_APPS
    position = installed.index("django.contrib.sessions")
    # Django's own tests of sessions import Django's model; nothing else may need it.
    of_sessions = ["django.contrib.sessions", "sessions_tests"]
    installed[position : position + 1] = [
        "django_scs",
        "tests.proofs.django_suites.apps.SuitesConfig",
        *(of_sessions if set(labels) & set(django_suites.SESSIONS) else []),
    ]
    failures: int = runtests.django_tests(
        verbosity=1,
        interactive=False,
        failfast=False,
        keepdb=False,
        reverse=False,
        test_labels=list(labels),
        debug_sql=False,
        parallel=parallel,
        tags=None,
        exclude_tags=["selenium"],
        test_name_patterns=None,
        start_at=None,
        start_after=None,
        pdb=False,
        buffer=False,
        timing=False,
        shuffle=False,
    )
    return int(failures > 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run Django's suites. Return 0 if nothing failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs.django_suites", description=__doc__
    )
    parser.add_argument("labels", nargs="*", default=django_suites.USERS)
    parser.add_argument("--parallel", type=int, default=1, help="processes; for SQLite only")
    parser.add_argument("--counts", type=Path, help="a file for the numbers, in JSON")
    options = parser.parse_args(argv)
    os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.proofs.django_suites.settings"
    if options.counts:
        os.environ[COUNTS_FILE] = str(options.counts)
    sys.path.insert(0, str(tests_folder()))
    with tempfile.TemporaryDirectory(prefix="django_scs-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        return run(options.labels, options.parallel)


if __name__ == "__main__":
    sys.exit(main())
