"""The README and docs/: each code block runs or compiles, and nothing of the package is missing."""

import ast
import configparser
import doctest
import importlib
import inspect
import itertools
import json
import logging
import re
import textwrap
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore as DjangosSessionStore
from django.dispatch import Signal
from django.http import HttpRequest
from django.template import engines
from django.test import override_settings

from django_scs import conf, signals, tokens
from django_scs.backends.db import SessionStore
from django_scs.codecs.json import JSONCodec
from django_scs.exceptions import SessionError
from tests.support import token_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A block in a list is indented.
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")


def blocks(*languages):
    return [
        pytest.param(textwrap.dedent(text), id=f"{page.name}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(BLOCK.findall(page.read_text()), 1)
        if language in languages
    ]


def python_with(word):
    """Return the Python blocks that contain a word, at least one."""
    found = [block for block in blocks("python") if word in block.values[0]]
    assert found, word
    return found


def test_every_language_is_tested():
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text())}
    assert found <= {"bash", "diff", "django", "go", "json", "pycon", "python", "sql"}


@pytest.fixture
def run_block():
    """Return a function that runs a block and returns its names; disconnect its receivers."""
    ran = []

    def run(text):
        names = {"__name__": "docs"}
        exec(compile(text, "docs", "exec"), names)
        ran.append(names)
        return names

    yield run
    for names in ran:
        for signal, receiver in itertools.product(names.values(), names.values()):
            if isinstance(signal, Signal) and callable(receiver):
                signal.disconnect(receiver)


@pytest.mark.parametrize("text", blocks("python"))
def test_python_block_runs(run_block, text):
    known = dict(apps.all_models["accounts"])
    names = run_block(text)
    found = {name: names[name] for name in names if name.startswith(("SCS_", "SESSION_"))}
    with override_settings(**found):
        # A page may name what a reader has, and the tests have not.
        assert [problem for problem in conf.problems() if "myproject" not in problem] == []
    apps.all_models["accounts"].clear()
    apps.all_models["accounts"].update(known)


@pytest.mark.django_db
@pytest.mark.parametrize("text", python_with("@receiver(user_logged_in)"))
def test_receiver_of_a_page_lets_the_test_client_log_in(run_block, client, django_user_model, text):
    """The test client logs in with a request that has no address."""
    run_block(text)
    client.force_login(django_user_model.objects.create_user("ada"))
    assert client.session["_auth_user_id"]


@pytest.mark.parametrize("text", python_with("def count_guesses"))
def test_receiver_of_a_page_counts_requests_without_an_address(run_block, capsys, text):
    names = run_block(text)
    for _ in range(100):
        names["unknown_token"].send(SessionStore, request=HttpRequest())
    assert capsys.readouterr().out.count("100 unknown session tokens") == 1


@pytest.mark.django_db
def test_record_of_a_login_is_in_the_log_that_the_page_shows(
    run_block, client, django_user_model, caplog
):
    """It has the fingerprint under which the other records of the session are found."""
    (logs,), (login,) = python_with("LOGGING = {"), python_with("def log_sign_in")
    config = run_block(*logs.values)["LOGGING"]
    ((name, logger),) = config["loggers"].items()
    formatter = logging.Formatter(config["formatters"]["events"]["format"], style="{")
    run_block(*login.values)
    ada = django_user_model.objects.create_user("ada")
    with caplog.at_level(logger["level"], name):
        client.force_login(ada)
    records = [each for each in caplog.records if each.name.split(".")[0] == name]
    fingerprint = tokens.fingerprint(token_of(client))
    line = f" INFO User {ada.pk} signed in [sign_in session={fingerprint} user={ada.pk}]"
    assert [text for text in map(formatter.format, records) if text.endswith(line)]


@pytest.mark.django_db
@pytest.mark.parametrize("text", blocks("pycon"))
def test_python_session_prints_what_it_says(text):
    test = doctest.DocTestParser().get_doctest(text, {}, "docs", None, 0)
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


def test_every_page_stays_in_the_site():
    # The README and the package's other files have absolute addresses: they are no pages of the site.
    outside = [
        (page.name, target)
        for page in PAGES[1:]
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).resolve().is_relative_to(ROOT / "docs")
    ]
    assert outside == []


def test_every_page_is_in_the_navigation():
    named = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(named) == [page.name for page in PAGES[1:]]


def test_readme_works_on_an_index_page():
    relative = LINK.findall((ROOT / "README.md").read_text())
    assert relative == []
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    source = f"{config['metadata']['url']}/blob/main/"
    raw = source.replace("//github.com", "//raw.githubusercontent.com").replace("/blob/", "/")
    text = (ROOT / "README.md").read_text()
    for target in re.findall(rf"\]\((?:{source}|{raw})([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_security_page_names_files_that_exist():
    text = (ROOT / "docs" / "security.md").read_text()
    found = set(re.findall(r"`((?:tests|django_scs)/[\w/]+\.py)`", text))
    assert found
    assert [name for name in sorted(found) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lists_and_tables_begin_after_an_empty_line(page):
    # Elsewhere the site shows them as part of the paragraph.
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?![-|\s#*\d>!]).+\n(?:[-*] |1\. |\|).*", text, re.MULTILINE) == []


# What the package has, and what the pages say of it


def read(page):
    return (ROOT / "docs" / page).read_text()


def sources():
    return sorted((ROOT / "django_scs").rglob("*.py"))


def public_names(path):
    """Return the classes and functions that a module defines, each with whether it has a docstring."""
    tree = ast.parse(path.read_text())
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in tree.body if isinstance(node, kinds) and node.name[0] != "_"]
    return {node.name: ast.get_docstring(node) is not None for node in found}


def module_path(name):
    """Return the file of the module that a dotted name is in, or None if it is not in the package."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        path = ROOT.joinpath(*parts[:length])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.exists():
                return candidate
    return None


def documented():
    """Return the dotted names that the API reference shows, each with its module's file."""
    names = re.findall(r"^::: (\S+)$", read("api.md"), re.MULTILINE)
    return {name: module_path(name) for name in names}


def test_every_setting_is_documented():
    text = read("settings.md")
    assert [name for name in sorted(conf.NAMES) if f"`{name}`" not in text] == []


def test_every_check_is_documented():
    checks = (path for path in sources() if "checks" in f"{path.parent.name} {path.name}")
    ids = {ident for path in checks for ident in re.findall(r"\b[EWI]\d{3}\b", path.read_text())}
    assert len(ids) > 10
    text = "".join(page.read_text() for page in PAGES[1:])
    assert [ident for ident in sorted(ids) if f"`django_scs.{ident}`" not in text] == []


def level(event):
    return logging.getLevelName(event.level).lower() if event.level else "not logged"


def test_every_event_is_documented():
    text = read("signals.md")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\w ]+) \| (.*?) ?\| \S", text, re.MULTILINE)
    documented = {event: tuple(row) for event, *row in rows}
    assert documented == {
        name: (
            next(each for each, value in vars(signals).items() if value is event.signal),
            level(event),
            ", ".join(f"`{argument}`" for argument in event.arguments),
        )
        for name, event in signals.EVENTS.items()
    }


def test_every_public_name_of_a_session_is_documented():
    """Django's own names need no words of ours; an async twin is documented by its sync name."""
    text = read("sessions.md")
    named = set(re.findall(r"[`.](\w+)[`(]", text))
    names = {name for name in dir(SessionStore) if not name.startswith("_")}
    ours = names - set(dir(DjangosSessionStore))
    twins = {name for name in ours if name[0] == "a" and name[1:] in names}
    assert sorted(ours - twins - named) == []


def test_every_event_has_a_cause_and_a_cure():
    text = read("troubleshooting.md")
    for name, event in signals.EVENTS.items():
        message = re.sub(r"%\(\w+\)s", "...", event.message)
        assert f"| `{name}` | {level(event)} | {message} |" in text


def test_every_error_is_documented():
    for path in sources():
        # Also of the modules that nothing here has imported yet.
        if "SessionError" in path.read_text() or "CookieError" in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    errors, found = [SessionError], set()
    while errors:
        error = errors.pop()
        errors += error.__subclasses__()
        if error.__module__.startswith("django_scs."):
            found.add(error.__name__)
    assert len(found) > 5
    text = read("troubleshooting.md")
    assert [name for name in sorted(found) if f"{name}`" not in text] == []


def test_every_command_is_documented():
    text = "".join(page.read_text() for page in PAGES[1:])
    commands = ROOT.glob("django_scs/**/management/commands/*.py")
    names = [path.stem for path in commands if path.stem[0] != "_"]
    assert [name for name in names if f"manage.py {name}" not in text] == []


def test_every_name_that_a_page_imports_is_in_the_api_reference():
    text = "".join(page.read_text() for page in PAGES)
    names = [
        f"{module}.{name.strip()}"
        for module, what in re.findall(r"from (django_scs[\w.]*) import ([\w, ]+)", text)
        for name in what.split(",")
    ]
    names += re.findall(r"\"(django_scs(?:\.\w+)+)\"", text)
    shown = documented()
    assert len(names) > 10
    missing = {
        name
        for name in names
        if (path := module_path(name)) is not None and public_names(path)
        if path not in shown.values()
    }
    assert sorted(missing) == []


def test_every_name_of_the_api_reference_has_a_docstring():
    shown = documented()
    assert [name for name, path in shown.items() if path is None] == []
    bare = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in set(shown.values())
        for name, has_docstring in public_names(path).items()
        if not has_docstring
    ]
    assert sorted(bare) == []


def test_every_method_of_a_session_has_a_docstring():
    # Django's own methods have few.
    names = [
        name
        for name in dir(SessionStore)
        if name[0] != "_" and not hasattr(DjangosSessionStore, name)
    ]
    methods = [name for name in names if callable(getattr(SessionStore, name))]
    assert [name for name in methods if not inspect.getdoc(getattr(SessionStore, name))] == []
