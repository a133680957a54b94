"""What surrounds the pages: settings, database, demo data, files."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.module_loading import import_string

from example_project import database
from example_project.snippets import demo
from example_project.snippets.models import Snippet

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = {
    "DEBUG": "0",
    "SECRET_KEY": "a-key-of-fifty-characters-and-more-0123456789-abcdef-ghijkl",
    "ALLOWED_HOSTS": "snippets.example",
}
TEXT_ON_BACKGROUND = [
    ("text", "desk"),
    ("text", "card"),
    ("text", "field"),
    ("quiet", "desk"),
    ("quiet", "card"),
    ("ink", "desk"),
    ("ink", "card"),
    ("wrong", "card"),
    ("on-ink", "ink"),
    ("on-ink", "ink-strong"),
    ("note-text", "note"),
]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_settings_pass_the_checks_in_development() -> None:
    result = manage("check", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr


def test_settings_pass_the_checks_of_a_deployment() -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", **DEPLOYMENT)
    assert result.returncode == 0, result.stderr


def test_settings_of_a_deployment_want_tls() -> None:
    settings = manage("diffsettings", **DEPLOYMENT).stdout.splitlines()
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"):
        assert f"{name} = True" in settings


def test_settings_want_a_key_outside_development() -> None:
    result = manage("check", DEBUG="0")
    assert result.returncode != 0
    assert "SECRET_KEY must be set" in result.stderr


def test_applications_load() -> None:
    assert callable(import_string("example_project.wsgi.application"))
    assert callable(import_string("example_project.asgi.application"))


def test_database_is_a_file_by_default(tmp_path: Path) -> None:
    entry = database.configure(None, tmp_path)
    assert entry["ENGINE"] == "django.db.backends.sqlite3"
    assert entry["NAME"] == tmp_path / "db.sqlite3"
    assert entry["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_database_url_names_a_mysql_database(tmp_path: Path) -> None:
    entry = database.configure(
        "mysql://ada:pw@db.example:3307/snippets?ssl_mode=REQUIRED", tmp_path
    )
    assert entry["ENGINE"] == "django.db.backends.mysql"
    assert (entry["HOST"], entry["PORT"], entry["NAME"]) == ("db.example", 3307, "snippets")
    assert entry["OPTIONS"] == {
        "charset": "utf8mb4",
        "init_command": "SET time_zone = '+00:00'",
        "ssl_mode": "REQUIRED",
    }


def test_database_url_names_a_postgresql_database(tmp_path: Path) -> None:
    entry = database.configure("postgres://ada:pw@db.example/snippets", tmp_path)
    assert entry["ENGINE"] == "django.db.backends.postgresql"
    assert entry["OPTIONS"] == {}


def test_database_url_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "dj_database_url", None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'django_scs\[example\]'"):
        database.configure("postgres://localhost/snippets", tmp_path)
    assert database.configure("", tmp_path)["ENGINE"] == "django.db.backends.sqlite3"


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "snippets", check=True, dry_run=True, stdout=StringIO())


@pytest.fixture
def add_demo_data(db: None, settings: Any) -> Any:
    settings.DEBUG = True

    def add() -> str:
        output = StringIO()
        call_command("demo_data", stdout=output)
        return output.getvalue()

    return add


def test_demo_data_fills_the_box(add_demo_data: Any) -> None:
    assert f"{demo.EMAIL} / {demo.PASSWORD}" in add_demo_data()
    assert Snippet.objects.live().count() == len(demo.TEXTS)
    assert authenticate(username=demo.EMAIL, password=demo.PASSWORD)


def test_demo_data_comes_in_the_order_of_its_list(add_demo_data: Any) -> None:
    add_demo_data()
    titles = Snippet.objects.latest_first().values_list("title", flat=True)
    assert list(titles) == [text.title for text in demo.TEXTS]


def test_demo_data_adds_nothing_twice(add_demo_data: Any) -> None:
    add_demo_data()
    before = list(Snippet.objects.values_list("pk", "created"))
    add_demo_data()
    assert list(Snippet.objects.values_list("pk", "created")) == before
    assert User.objects.count() == 1


def test_demo_data_brings_back_what_has_expired(add_demo_data: Any) -> None:
    add_demo_data()
    Snippet.objects.update(expires=timezone.now() - timedelta(days=1))
    add_demo_data()
    assert Snippet.objects.live().count() == len(demo.TEXTS)


@pytest.mark.django_db
def test_demo_data_stays_out_of_production(settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("demo_data")
    assert not User.objects.exists()


def stylesheet() -> str:
    return Path(finders.find("snippets/style.css")).read_text()


def palettes() -> list[dict[str, str]]:
    """Return the light and the dark colours, by name."""
    roots = re.findall(r":root \{(.*?)\}", stylesheet(), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", root)) for root in roots]


def luminance(colour: str) -> float:
    """Return the relative luminance. Source: WCAG 2.2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize(("text", "background"), TEXT_ON_BACKGROUND)
def test_text_contrasts_with_its_background(
    palette: dict[str, str], text: str, background: str
) -> None:
    lighter, darker = sorted(
        (luminance(palette[text]), luminance(palette[background])), reverse=True
    )
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_stylesheet_loads_nothing() -> None:
    assert "url(" not in stylesheet()
    assert "@import" not in stylesheet()
