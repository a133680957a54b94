"""Two tabs of one browser, on two session engines: what the page "Try it in two tabs" shows.

Each request goes through the engine's own middleware, with the cookie that the browser has when it is
sent. Where a request is slow, the other tab's request is made while its view is under way.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DjangosSessionStore
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_scs import flash
from django_scs.backends.db import SessionStore
from django_scs.middleware import SessionMiddleware

from .models import DjangosSession

View = Callable[[Any], Any]
OURS, DJANGOS = "django_scs", "django.contrib.sessions"


class DjangosStore(DjangosSessionStore):
    """Django's engine, on a table of its own."""

    @classmethod
    def get_model_class(cls) -> Any:
        return DjangosSession


class Browser:
    """One browser: its two tabs share a cookie."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.cookie = ""
        self._tokens: set[str] = set()

    def send(self, view: View, cookie: str | None = None) -> tuple[int, Any]:
        """Send a request; return the status and what the view returned."""
        request = RequestFactory().get("/")
        if sent := self.cookie if cookie is None else cookie:
            request.COOKIES[settings.SESSION_COOKIE_NAME] = sent
        answers: list[Any] = []

        def respond(request: HttpRequest) -> HttpResponse:
            answers.append(view(request))
            return HttpResponse()

        response: Any = convert_exception_to_response(self._middleware(respond))(request)
        morsel = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if morsel is not None:
            self.cookie = morsel.value
            self._tokens.add(morsel.value)
        return response.status_code, answers[0]

    def clean_up(self) -> None:
        """Remove the sessions of all tokens that the browser has had."""
        store = SessionStore if self.engine == OURS else DjangosStore
        for token in filter(None, self._tokens):
            store().delete(token)

    def _middleware(self, respond: Callable[[HttpRequest], HttpResponse]) -> Any:
        if self.engine == OURS:
            return SessionMiddleware(respond)
        middleware = DjangosMiddleware(respond)
        middleware.SessionStore = DjangosStore
        return middleware


class Result(NamedTuple):
    """What happened: steps, each with its tab ("A", "B" or ""), the end, and whether it is good."""

    steps: list[tuple[str, str]]
    end: str
    good: bool


def merge(browser: Browser) -> Result:
    """Let both tabs add something to one basket."""

    def put_milk(request: Any) -> None:
        request.session["basket"] = ["milk"]

    def add_bread(request: Any) -> None:
        request.session["basket"] = [*request.session["basket"], "bread"]

    def add_apples(request: Any) -> None:
        basket = request.session["basket"]
        browser.send(add_bread)
        request.session["basket"] = [*basket, "apples"]

    browser.send(put_milk)
    browser.send(add_apples)
    _, basket = browser.send(lambda request: request.session["basket"])
    return Result(
        [
            ("", "The basket holds milk."),
            ("B", "reads the basket, and takes its time."),
            ("A", "adds bread. Done."),
            ("B", "adds apples. Done."),
        ],
        f"In the basket: {', '.join(basket)}.",
        len(basket) == 3,
    )


def flash_once(browser: Browser) -> Result:
    """Let both tabs show a message that is meant to be shown once."""
    shown: dict[str, Any] = {}

    def pop(request: Any) -> Any:
        return flash.pop(request) if browser.engine == OURS else request.session.pop("flash", None)

    def put(request: Any) -> None:
        request.session["flash"] = "Saved!"

    def show_in_a(request: Any) -> None:
        shown["A"] = pop(request)

    def show_in_b(request: Any) -> None:
        request.session.get("flash")
        browser.send(show_in_a)
        shown["B"] = pop(request)

    browser.send(put)
    browser.send(show_in_b)
    times = sum(map(bool, shown.values()))
    return Result(
        [
            ("", "A form was saved, with a message."),
            ("B", "loads, and takes its time."),
            ("A", _says(shown["A"])),
            ("B", _says(shown["B"])),
        ],
        f"Shown {'once' if times == 1 else 'twice'}.",
        times == 1,
    )


def late_request(browser: Browser) -> Result:
    """Let a request with the old token arrive after a login has given the session a new one."""

    def visit(request: Any) -> None:
        request.session["basket"] = ["milk"]

    def log_in(request: Any) -> None:
        request.session.cycle_key()
        request.session["user"] = "Ada"

    browser.send(visit)
    old = browser.cookie
    browser.send(log_in)
    browser.send(lambda request: request.session.get("basket"), cookie=old)
    _, user = browser.send(lambda request: request.session.get("user"))
    return Result(
        [
            ("", "Somebody is about to log in."),
            ("B", "asks for a picture. The request is slow to arrive."),
            ("A", "logs in, and gets a new token."),
            ("B", "arrives, with the old token."),
        ],
        f"{user} is still signed in." if user else "The cookie is gone: signed out again.",
        bool(user),
    )


def destroyed(browser: Browser) -> Result:
    """Let one tab log out while a request of the other is under way."""

    def log_in(request: Any) -> None:
        request.session.cycle_key()
        request.session["user"] = "Ada"

    def log_out(request: Any) -> None:
        request.session.flush()

    def draft(request: Any) -> None:
        request.session.get("user")
        browser.send(log_out)
        request.session["draft"] = "Dear"

    browser.send(log_in)
    token = browser.cookie
    status, _ = browser.send(draft)
    _, user = browser.send(lambda request: request.session.get("user"), cookie=token)
    phrase = HTTPStatus(status).phrase
    return Result(
        [
            ("", "Ada is signed in."),
            ("B", "writes a draft, and takes its time."),
            ("A", "logs out. The session is destroyed."),
            ("B", f"is done: {status} {phrase}."),
        ],
        ("The session came back. " if user else "The session stays destroyed. ")
        + ("The page is shown." if status == HTTPStatus.OK else "An error page is shown."),
        status == HTTPStatus.OK and not user,
    )


class Experiment(NamedTuple):
    """One of the things to try."""

    title: str
    question: str
    run: Callable[[Browser], Result]


EXPERIMENTS: Final = {
    "merge": Experiment(
        "Two changes at once", "Both tabs add to one basket. What is in it?", merge
    ),
    "flash": Experiment(
        "A flash that shows once", "Both tabs load at the same moment. Who shows it?", flash_once
    ),
    "late": Experiment(
        "The late request", "A picture arrives after the login. Who is signed in?", late_request
    ),
    "destroyed": Experiment(
        "The destroyed session",
        "One tab logs out while the other saves. What does it show?",
        destroyed,
    ),
}


def run(name: str) -> dict[str, Result]:
    """Run an experiment on both engines; leave none of its sessions behind."""
    results = {}
    for engine in (OURS, DJANGOS):
        browser = Browser(engine)
        results[engine] = EXPERIMENTS[name].run(browser)
        browser.clean_up()
    return results


def _says(message: str | None) -> str:
    return f"says “{message}”" if message else "says nothing."
