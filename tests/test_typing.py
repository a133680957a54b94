"""A project's code type-checks: mypy and django-stubs run on it as its developers run them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONFIGURATION = """
[mypy]
strict = true
plugins = mypy_django_plugin.main
follow_imports = silent
[mypy.plugins.django-stubs]
django_settings_module = "project_settings"
"""
SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_scs"]
SESSION_ENGINE = "django_scs.backends.db"
"""
HEAD = "from typing import Any\nfrom django_scs.typing import HttpRequest\n"
VIEWS = """
from datetime import datetime
from django.contrib.auth.decorators import login_required
from django.contrib.auth import login
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views import View
from django_scs import flash
from typing import assert_type

@login_required
def view(request: HttpRequest) -> HttpResponse:
    session = request.session
    session["theme"] = session.get("theme", "dark")
    assert_type(session.take("invitation"), Any)
    assert_type(session.take_all(["a", "b"]), dict[str, Any])
    assert_type(session.get_int("visits"), int)
    session.put("visits", 1)
    session.renew_token()
    session.remember_me(True)
    assert_type(session.deadline(), datetime)
    assert_type(session.token(), str)
    assert_type(session.pop("theme", None), Any)
    assert_type(flash.pop(request), str)
    request.sessions["preferences"].put("color", "red")
    return render(request, "page.html")

async def aview(request: HttpRequest) -> HttpResponse:
    session = request.session
    assert_type(await session.aget("x", 1), Any)
    assert_type(await session.apop("x", 1), Any)
    await session.aset("x", await session.atake("y", 2))
    await session.arenew_token()
    await session.aput("x", 1)
    assert_type(await session.adeadline(), datetime)
    await flash.aput(request, "Saved!")
    assert_type(await flash.apop(request), str)
    return HttpResponse()

class Account(View):
    request: HttpRequest

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(self.request.session.take("flash"))

urlpatterns = [path("a", view), path("b", aview), path("c", Account.as_view())]
"""
WRONG = """
def view(request: HttpRequest) -> None:
    request.session.take(1)
    request.session.no_such_method()
    request.session.get_int("a").upper()
"""


@pytest.fixture
def check(tmp_path: Path, pytestconfig: pytest.Config) -> Callable[[str], str]:
    """Return a function that type-checks a module of a project and returns what mypy prints."""
    (tmp_path / "mypy.ini").write_text(CONFIGURATION)
    (tmp_path / "project_settings.py").write_text(SETTINGS)
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("mypy_of_project")

    def check(source: str) -> str:
        (tmp_path / "views.py").write_text(HEAD + source)
        run = subprocess.run(
            [sys.executable, "-m", "mypy", f"--cache-dir={cache}", "views.py"],
            cwd=tmp_path,
            env={**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return run.stdout + run.stderr

    return check


def test_views_of_a_project_type_check(check: Callable[[str], str]) -> None:
    assert check(VIEWS).startswith("Success")


def test_what_is_wrong_is_found(check: Callable[[str], str]) -> None:
    output = check(WRONG)

    assert output.count("error:") == 3, output
    assert "no_such_method" in output


@pytest.mark.parametrize("page", ["docs/start.md", "docs/testing.md"])
def test_the_code_of_the_docs_type_checks(check: Callable[[str], str], page: str) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text())
    source = "\n".join(blocks).replace("(request):", "(request: HttpRequest) -> Any:")

    assert source.count("HttpRequest") >= 2
    assert check(source).startswith("Success")
