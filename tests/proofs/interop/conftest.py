"""The Go application: built once, started on a free port, on the tests' database."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection

from django_scs.models import Session
from tests.database import SCS_DDL
from tests.go import build
from tests.servers import MariaDB, require_program
from tests.settings import database

from .browser import Browser

MODULE = Path(__file__).parent / "snippetbox"
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "go.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NEW_YORK = "America/New_York"


def documented(language: str) -> list[str]:
    """Return the code blocks of docs/go.md in one language."""
    return [text for name, text in BLOCK.findall(DOCUMENTATION.read_text()) if name == language]


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Path:
    """Return the Go application, built anew where its source has changed."""
    sources = sorted(path for path in MODULE.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    assert pytestconfig.cache is not None
    program = pytestconfig.cache.mkdir("snippetbox") / digest[:16]
    if not program.exists():
        require_program("gcc", "clang")
        # Another run of the tests may look for it while it is being written.
        unfinished = program.with_suffix(f".{os.getpid()}")
        build(MODULE, unfinished, CGO_ENABLED="1")
        unfinished.rename(program)
    return program


def dsn(mysql_zone: str) -> str:
    """Return how Go is told where the tests' database is."""
    database = connection.settings_dict
    account = f"{database['USER']}:{quote(database['PASSWORD'])}"
    address = f"{database['HOST']}:{database['PORT']}"
    return {
        "mysql": f"{account}@tcp({address})/{database['NAME']}?time_zone={quote(repr(mysql_zone))}",
        "postgresql": f"postgres://{account}@{address}/{database['NAME']}",
        "sqlite": f"file:{database['NAME']}?_busy_timeout=20000",
    }[connection.vendor]


@dataclass
class Sites:
    """Starts the Go application, and makes the Django site agree with it."""

    program: Path
    django: str
    settings: Any
    _running: list[subprocess.Popen[str]]

    def __call__(
        self,
        *,
        hashed: bool = False,
        idle: float = 0,
        persist: bool = True,
        json: bool = False,
        int64: bool = False,
        mysql_zone: str = "+00:00",
        environment: dict[str, str] | None = None,
    ) -> Browser:
        """Return a browser for two sites with the same settings: those documented, and these."""
        self.settings.SCS_HASH_TOKENS = hashed
        self.settings.SCS_IDLE_TIMEOUT = timedelta(seconds=idle) if idle else None
        self.settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = not persist
        if json:
            self.settings.SCS_CODEC = "django_scs.codecs.json.JSONCodec"
        flags = {"hash": hashed, "persist": persist, "json": json, "int64": int64}
        arguments = [f"-{name}={str(on).lower()}" for name, on in flags.items()]
        process = subprocess.Popen(
            [self.program, f"-vendor={connection.vendor}", f"-idle={idle}s", *arguments],
            env={**os.environ, "DSN": dsn(mysql_zone), **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the Go application did not start; stderr says why"
        return Browser({"go": url, "django": self.django})

    def stop(self) -> None:
        """End what was started."""
        for process in self._running:
            process.terminate()
            process.communicate()


@pytest.fixture
def sites(program: Path, live_server: Any, settings: Any) -> Iterator[Sites]:
    """Return what starts the two sites, with the settings that the documentation shows."""
    names: dict[str, Any] = {}
    exec(documented("python")[0], names)
    for name in filter(str.isupper, names):
        setattr(settings, name, names[name])
    settings.ROOT_URLCONF = "tests.proofs.interop.site"
    # The tests speak plain HTTP.
    settings.SESSION_COOKIE_SECURE = False
    started = Sites(program, live_server.url.replace("localhost", "127.0.0.1"), settings, [])
    yield started
    started.stop()


@pytest.fixture
def browser(sites: Sites) -> Browser:
    """Return a browser for two sites without idle timeout that do not hash tokens."""
    return sites()


@pytest.fixture
def scs_table(transactional_db: None) -> Iterator[None]:
    """Replace the table that our migration makes by the one that scs documents."""
    with connection.schema_editor() as editor:
        editor.delete_model(Session)
        for statement in SCS_DDL[connection.vendor]:
            editor.execute(statement)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Session)
        editor.create_model(Session)


@pytest.fixture(scope="module")
def mariadb_in_new_york() -> Iterator[str]:
    """Return the URL of an empty database on a server in New York."""
    with MariaDB(environment={"TZ": NEW_YORK}) as server:
        yield server.url


@pytest.fixture
def in_new_york(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[None]:
    """Put the database server into New York, with what SQLite lacks left out."""
    if connection.vendor == "mysql":
        with elsewhere(request.getfixturevalue("mariadb_in_new_york")):
            yield
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
            cursor.execute(f"ALTER DATABASE {name} SET timezone TO '{NEW_YORK}'")
            yield
            cursor.execute(f"ALTER DATABASE {name} RESET timezone")
    else:
        yield


@contextmanager
def elsewhere(url: str) -> Iterator[None]:
    """Use the empty database of a URL in place of the tests'; give it a sessions table."""
    entry = connection.settings_dict
    before = dict(entry)
    entry.update(database(url))
    connection.close()
    try:
        with connection.schema_editor() as editor:
            editor.create_model(Session)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(Session)
    finally:
        entry.update(before)
        connection.close()


@pytest.fixture
def users(transactional_db: None) -> list[int]:
    """Return the ids of two users."""
    return [User.objects.create_user(name, password="secret").pk for name in ("ada", "grace")]
