"""Sessions over real HTTP: a server in a process of its own, and what it writes on the wire."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from django_scs import tokens
from django_scs.backends.db import SessionStore
from django_scs.models import Session
from tests.support import stored

ROOT = Path(__file__).parent.parent
SECONDS = 30

pytestmark = pytest.mark.django_db(transaction=True)


class Answer:
    """A response: its status, its headers, its body, and the session cookie that it sets."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        cookies = SimpleCookie("; ".join(response.headers.get_all("Set-Cookie", [])))
        self.cookie = cookies.get("sessionid")

    @property
    def token(self) -> str:
        return self.cookie.value


class Server:
    """The application behind a socket; connections wait until it has started."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, token: str | None = None) -> Answer:
        headers = {} if token is None else {"Cookie": f"sessionid={token}"}
        browser = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            browser.request("GET", path, headers=headers)
            return Answer(browser.getresponse())
        finally:
            browser.close()


@contextmanager
def serving(url: str, log: Path, **environment: str) -> Iterator[Server]:
    """Run gunicorn with the tests' views on a database, or by settings that the environment names."""
    names = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment}
    command = [sys.executable, "-m", "gunicorn", "--threads=4", "--graceful-timeout=1"]
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--bind=fd://{listener.fileno()}", "tests.wsgi:application"],
            cwd=ROOT,
            env={**os.environ, **names},
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
        try:
            yield Server(listener.getsockname()[1])
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(SECONDS)


def url_of(settings_dict: dict) -> str:
    """Return the DATABASE_URL of one of Django's connections."""
    name = settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    user, password = quote(settings_dict["USER"]), quote(settings_dict["PASSWORD"])
    port = settings_dict["PORT"] or ""
    return f"{connection.vendor}://{user}:{password}@{settings_dict['HOST']}:{port}/{name}"


@pytest.fixture(scope="module")
def server(django_db_setup, tmp_path_factory):
    log = tmp_path_factory.mktemp("http") / "gunicorn.log"
    with serving(url_of(connection.settings_dict), log) as server:
        yield server


@pytest.fixture(scope="module")
def server_without_database(django_db_setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    nowhere = {"HOST": "127.0.0.1", "PORT": 1, "NAME": str(folder / "missing" / "db")}
    url = url_of({**connection.settings_dict, **nowhere})
    with serving(url, folder / "gunicorn.log") as server:
        yield server


def test_new_session_sets_a_complete_cookie(server):
    answer = server.get("/put/")

    assert answer.status == 200
    assert tokens.well_formed(answer.token)
    assert stored(answer.token) == {"color": "red"}
    (header,) = answer.headers.get_all("Set-Cookie")
    attributes = [part.split("=")[0] for part in header.split("; ")]
    assert attributes == ["sessionid", "expires", "HttpOnly", "Max-Age", "Path", "SameSite"]
    assert answer.cookie["max-age"] == "1209600"
    assert (answer.cookie["path"], answer.cookie["samesite"]) == ("/", "Lax")
    assert answer.headers["Vary"] == "Cookie"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_known_session_is_read_without_a_new_cookie(server):
    token = server.get("/put/").token
    answer = server.get("/read/", token)

    assert answer.body == b'{"color": "red"}'
    assert answer.cookie is None
    assert answer.headers["Vary"] == "Cookie"
    assert "Cache-Control" not in answer.headers


def test_page_that_does_not_look_at_the_session_does_not_vary(server):
    answer = server.get("/untouched/", server.get("/put/").token)

    assert answer.status == 200
    assert "Vary" not in answer.headers


@pytest.mark.parametrize(
    "token", ["A" * 43, "", "short", "x" * 5000, "x" * 42 + "%00", "' OR '1'='1"]
)
def test_token_that_is_not_known_is_neither_adopted_nor_deleted(server, token):
    answer = server.get("/read/", token)

    assert (answer.status, answer.body, answer.cookie) == (200, b"{}", None)


def test_logout_deletes_row_and_cookie(server):
    token = server.get("/put/").token
    answer = server.get("/log_out/", token)

    assert (answer.cookie.value, answer.cookie["max-age"]) == ("", "0")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert not SessionStore().exists(token)
    assert server.get("/read/", token).body == b"{}"


def test_login_changes_the_token_and_the_old_one_is_anonymous(server, django_user_model):
    user = django_user_model.objects.create_user("alice")
    old = server.get("/put/").token
    new = server.get("/log_in/", old).token

    assert new != old
    assert stored(new)["_auth_user_id"] == str(user.pk)
    late = server.get("/read/", old)
    assert (late.body, late.cookie) == (b"{}", None)


@pytest.mark.parametrize("failure", ["status=503", "error=1"])
def test_renewed_token_reaches_the_browser_with_an_error(server, failure):
    old = server.get("/put/").token
    answer = server.get(f"/renew/?{failure}", old)

    assert answer.status >= 500
    assert answer.token != old
    assert stored(answer.token) == {"color": "red"}


def test_session_destroyed_meanwhile_is_no_error(server):
    answer = server.get("/put_while_destroyed/", server.get("/put/").token)

    assert (answer.status, answer.cookie) == (200, None)
    assert not Session.objects.exists()


def test_unreadable_session_is_a_normal_page(server):
    token = server.get("/put/").token
    Session.objects.update(data=b"written by something else")
    answer = server.get("/read/", token)

    assert (answer.status, answer.body, answer.cookie) == (200, b"{}", None)


def test_stream_comes_with_the_cookie(server):
    answer = server.get("/stream/")

    assert answer.body == b"streamed in parts"
    assert stored(answer.token) == {"color": "streamed"}


def test_of_many_parallel_requests_one_gets_the_flash(server):
    token = server.get("/put_flash/").token
    with ThreadPoolExecutor(8) as browsers:
        answers = list(browsers.map(lambda _: server.get("/pop_flash/", token), range(16)))

    assert sorted(answer.body for answer in answers) == [b""] * 15 + [b"Saved!"]
    assert {answer.status for answer in answers} == {200}


def test_parallel_requests_lose_no_change_of_each_other(server):
    token = server.get("/put/").token
    paths = [f"/put_flash/?key=slot{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as browsers:
        answers = list(browsers.map(lambda path: server.get(path, token), paths))

    assert {answer.status for answer in answers} == {200}
    assert len(stored(token)) == 17


@pytest.mark.parametrize("path", ["/read/", "/put/", "/log_out/"])
def test_database_that_is_down_is_an_error_and_not_a_logout(server_without_database, path):
    answer = server_without_database.get(path, tokens.new())

    assert (answer.status, answer.cookie) == (500, None)


def test_page_that_needs_no_session_works_without_a_database(server_without_database):
    assert server_without_database.get("/untouched/", tokens.new()).status == 200
