"""The test suites of other projects that this suite runs with Django's engine and with ours.

The sources come from the package index. No file of theirs is changed: overlay/ stands between
their settings and Django.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Package:
    """A project, and how its tests are run.

    `settings` is the dotted path of its settings for tests; "" where its conftest.py calls
    settings.configure(). `paths` are folders of its source that have to be importable, `arguments`
    are pytest's. `both_apps` keeps django.contrib.sessions installed beside ours, for a test module
    that imports its model. `every_database` means that it runs on MariaDB and PostgreSQL too.
    """

    name: str
    version: str
    settings: str
    arguments: tuple[str, ...]
    extras: str = ""
    paths: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    both_apps: bool = False
    every_database: bool = False

    @property
    def requirement(self) -> str:
        """What pip installs, with the extras that the tests need."""
        return f"{self.name}{self.extras}=={self.version}"


PACKAGES = (
    Package(
        "django-allauth",
        "65.21.1",
        "tests.projects.regular.settings",
        ("tests",),
        extras="[headless-spec,idp-oidc,mfa,openid,socialaccount,steam]",
        needs=("djangorestframework", "django-ninja", "Pillow", "pytest-asyncio"),
        every_database=True,
    ),
    Package(
        "django-formtools",
        "2.7",
        "tests.settings",
        # Without the mixin that pytest takes for a class of tests.
        ("tests", "-o", "python_classes="),
        every_database=True,
    ),
    # The last versions of django-hijack have no tests in their sources.
    Package(
        "django-hijack", "3.4.5", "hijack.tests.test_app.settings", ("hijack",), both_apps=True
    ),
    Package("social-auth-app-django", "8.0.0", "tests.settings", ("tests",)),
    Package(
        "django-otp",
        "1.7.5",
        "test_project.settings",
        ("src/django_otp",),
        paths=("src", "test"),
        needs=("freezegun", "qrcode", "segno"),
    ),
    Package("django-axes", "8.3.1", "tests.settings", ("tests",), extras="[ipware]"),
    Package("djangorestframework", "3.18.3", "", ("tests",), needs=("pytz",)),
)

# What the index has no tests of, with the version that was looked at.
WITHOUT_TESTS = {
    "channels 4.3.2": "its source has no tests",
    "django-oscar 4.2.1": "its source has the helpers of its tests and no tests",
    "django-two-factor-auth 1.18.1": "its source lacks the settings and URLs of its tests",
}


def explanations() -> dict[str, dict[str, str]]:
    """Return, by package, the reason for each pattern of test names whose outcome differs."""
    found: dict[str, dict[str, str]] = json.loads((FOLDER / "differences.json").read_text())
    return found
