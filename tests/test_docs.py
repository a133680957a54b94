"""Every code block in the README and in docs/ is run, or at least compiled by what would run it."""

import doctest
import json
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.template import engines
from django.test import override_settings

from django_scs import conf
from django_scs.backends.db import SessionStore
from django_scs.codecs.json import JSONCodec

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")


def blocks(*languages):
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(BLOCK.findall(page.read_text()), 1)
        if language in languages
    ]


def test_every_language_is_tested():
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text())}
    assert found <= {"bash", "diff", "django", "go", "json", "pycon", "python", "sql"}


@pytest.mark.parametrize("text", blocks("python"))
def test_python_block_runs(text):
    names = {"SessionStore": SessionStore, "__name__": "docs"}
    known = dict(apps.all_models["accounts"])
    exec(compile(text, "docs", "exec"), names)
    apps.all_models["accounts"].clear()
    apps.all_models["accounts"].update(known)


@pytest.mark.django_db
@pytest.mark.parametrize("text", blocks("pycon"))
def test_python_session_prints_what_it_says(text):
    test = doctest.DocTestParser().get_doctest(
        text, {"SessionStore": SessionStore}, "docs", None, 0
    )
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("text", blocks("django"))
def test_template_block_compiles(text):
    engines["django"].from_string(text)


@pytest.mark.parametrize("text", blocks("json"))
def test_json_block_is_what_the_codec_writes(text):
    codec = JSONCodec()
    assert codec.encode(*codec.decode(text.strip().encode())).decode() == text.strip()
    json.loads(text)


@pytest.mark.parametrize("text", blocks("diff"))
def test_settings_diff_is_accepted(text):
    result = "\n".join(line[1:] for line in text.splitlines() if line[0] in " +")
    names: dict[str, object] = {}
    exec(result, names)
    del names["__builtins__"]
    assert "django_scs" in names["INSTALLED_APPS"]
    with override_settings(**names):
        assert conf.problems() == []


@pytest.mark.parametrize("text", blocks("bash"))
def test_shell_block_names_what_exists(text):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for extra in re.findall(r"\.\[(\w+)\]", text):
        assert re.search(rf"^{extra} =", (ROOT / "setup.cfg").read_text(), re.MULTILINE), extra


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in sorted(conf.NAMES) if f"`{name}`" not in text] == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_security_page_names_files_that_exist():
    text = (ROOT / "docs" / "security.md").read_text()
    found = set(re.findall(r"`((?:tests|django_scs)/[\w/]+\.py)`", text))
    assert found
    assert [name for name in sorted(found) if not (ROOT / name).exists()] == []


def test_every_check_is_documented():
    sources = [
        *(ROOT / "django_scs" / "checks").glob("*.py"),
        *(ROOT / "django_scs").glob("checks_*.py"),
    ]
    found = {
        ident for path in sources for ident in re.findall(r"\b([EW]\d{3})\b", path.read_text())
    }
    pages = "".join(page.read_text() for page in PAGES)
    assert found
    assert [ident for ident in sorted(found) if f"django_scs.{ident}" not in pages] == []
