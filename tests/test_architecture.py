"""The parts of the package import in one direction, and each async method is tested."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import django_scs
from django_scs.backends.db import SessionStore

PACKAGE = Path(django_scs.__file__).parent
TESTS = Path(__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
}
LEAVES = {"tokens", "exceptions", "merge", "backoff"}
#: The parts of the package, from the top floor down. Each imports from lower floors alone.
FLOORS = (
    {"apps", "pytest_plugin"},
    {"checks", "management"},
    {"devices", "context_processors", "templatetags"},
    {"middleware", "decorators", "flash", "messages", "admin", "tasks", "testing"},
    {"manager"},
    {"transports", "moving", "overview", "typing"},
    {"models"},
    {"backends"},
    {"conf", "expressions"},
    {"codecs", "stores", "signals", "go_login", "migrations"},
    {"tokens", "exceptions", "merge", "backoff", "fields", "requests"},
)
#: What two parts need of each other: the engine its model, the model its engine, at the first use.
MUTUAL = {("backends.db", "models")}
#: The parts that deal with sessions and requests, and name no store and no codec.
FACADES = set().union(*FLOORS[:6]) - {"checks", "management", "testing", "devices"}


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports, absolute, also inside of functions."""
    package = ["django_scs", *module.split(".")[:-1]]
    for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def imports_of_ours(module: str) -> set[str]:
    """Return the modules of the package that a module imports, without the package's name."""
    found = set()
    for name in imports(module):
        while name.startswith("django_scs.") and name.removeprefix("django_scs.") not in MODULES:
            name = name.rpartition(".")[0]
        if name.startswith("django_scs."):
            found.add(name.removeprefix("django_scs."))
    return found


def part(module: str) -> str:
    return module.split(".")[0]


def modules_of(*parts: str) -> list[str]:
    found = sorted(module for module in MODULES if part(module) in parts)
    assert {part(module) for module in found} == set(parts) & {part(name) for name in MODULES}
    return found


def test_imports_are_found() -> None:
    assert imports_of_ours("backends.db") >= {"backends.base", "stores.sql", "models"}
    assert "codecs.base" in imports_of_ours("codecs.json") | imports_of_ours("conf")


@pytest.mark.parametrize("module", sorted(LEAVES))
def test_leaves_import_the_standard_library_alone(module: str) -> None:
    assert {name.split(".")[0] for name in imports(module)} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", modules_of("codecs"))
def test_codecs_import_no_store_and_nothing_above(module: str) -> None:
    assert {part(name) for name in imports_of_ours(module)} <= {"codecs", "exceptions"}
    assert not [name for name in imports(module) if name.startswith(("django.http", "django.db"))]


@pytest.mark.parametrize("module", modules_of("stores"))
def test_stores_import_no_codec_and_nothing_above(module: str) -> None:
    allowed = {"stores", "exceptions", "tokens", "backoff", "fields"}
    assert {part(name) for name in imports_of_ours(module)} <= allowed


def test_each_part_stands_on_one_floor() -> None:
    parts = sorted(part for floor in FLOORS for part in floor)
    assert parts == sorted({part(module) for module in MODULES} - {"__init__"})


@pytest.mark.parametrize("number", range(len(FLOORS)))
def test_imports_lead_down(number: int) -> None:
    below = set().union(*FLOORS[number + 1 :])
    upwards = {
        (module, name)
        for module in modules_of(*FLOORS[number])
        for name in imports_of_ours(module)
        if part(name) not in below | {part(module)}
    }
    assert upwards <= MUTUAL


@pytest.mark.parametrize("module", modules_of(*FACADES))
def test_facades_know_no_store_and_no_codec(module: str) -> None:
    assert not {"stores", "codecs"} & {part(name) for name in imports_of_ours(module)}


def test_stores_and_codecs_are_reached_by_their_contracts() -> None:
    """The session knows contracts; what it runs on is named in one place each."""
    assert {name for name in imports_of_ours("backends.base") if part(name) == "stores"} == {
        "stores.base"
    }
    assert not [name for name in imports_of_ours("backends.base") if part(name) == "codecs"]


def test_lifecycle_knows_no_django_and_no_settings() -> None:
    allowed = {"tokens", "backoff", "codecs", "exceptions", "merge", "stores"}
    assert {part(name) for name in imports_of_ours("backends.lifecycle")} == allowed
    outside = {name.split(".")[0] for name in imports("backends.lifecycle")} - {"django_scs"}
    assert outside <= sys.stdlib_module_names


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) != "backends"])
def test_only_the_backends_set_anything_on_a_session(module: str) -> None:
    targets = [
        target
        for node in ast.walk(ast.parse(MODULES[module].read_bytes()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
    ]
    owners = {ast.unparse(target.value).split(".")[-1] for target in targets}
    assert not owners & {"session", "sessions"}


def test_dialects_are_the_only_place_that_speaks_sql() -> None:
    for module in modules_of("stores", "backends", "middleware", "flash", "models"):
        if module in ("stores.dialects", "stores.tombstones"):
            continue
        for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(
                    ("SELECT ", "UPDATE ", "INSERT INTO ", "DELETE FROM ")
                ), module


# Async twins


def async_methods() -> list[str]:
    return sorted(
        name
        for name, member in inspect.getmembers(SessionStore)
        if not name.startswith("_") and inspect.iscoroutinefunction(member)
    )


@cache
def names_used(path: Path) -> set[str]:
    tree = ast.parse(path.read_bytes())
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_twins_are_found() -> None:
    assert {"aget", "asave", "atake", "apop_string", "aclear_expired"} <= set(async_methods())


@pytest.mark.parametrize("name", async_methods())
def test_async_method_is_tested(name: str) -> None:
    """By its own name, or by its sync name in the contract, which is run through the twins too."""
    kind = name.removeprefix("aget_").removeprefix("apop_")
    by_type = name != kind and f'"{kind}"' in (TESTS / "backends/test_values.py").read_text()
    by_contract = name.removeprefix("a") in names_used(TESTS / "contracts/session.py")
    by_name = any(
        name in names_used(path) for path in TESTS.rglob("test_*.py") if path != Path(__file__)
    )
    assert by_contract or by_type or by_name


def test_method_that_may_load_has_a_twin() -> None:
    # These reach neither the store nor the values.
    harmless = {
        "create_model_instance",
        "decode",
        "encode",
        "fingerprint",
        "get_session_cookie_age",
        "is_commit_due",
        "status",
        "token",
    }
    ours = [each for each in SessionStore.__mro__ if each.__module__.startswith("django_scs.")]
    methods = {
        name
        for each in ours
        for name, member in vars(each).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }
    twins = set(async_methods())
    assert sorted(name for name in methods - twins - harmless if f"a{name}" not in twins) == []
