"""One kind of session: opened for a request, committed at its end. Source: scs SessionManager."""

import random
from collections.abc import Iterable
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables

from . import conf, signals, transports
from .backends.base import Outcome, SessionStore
from .moving.current import current
from .moving.kept import Kept, close_kept

if TYPE_CHECKING:
    from .models import AbstractSession

#: The chance of a sweep after a request that created a session, unless the last left some over.
_SWEEP_CHANCE: Final = 0.01


class SessionManager:
    """Opens and commits the sessions of one kind: ``request.session``, or an entry of SCS_SESSIONS."""

    def __init__(self, kind: str = conf.DEFAULT) -> None:
        self.kind = kind
        self.session_class = session_class(kind)
        # Whether the last sweep left expired sessions. If so, the next new session sweeps too.
        self._behind = False

    def open(self, request: HttpRequest) -> SessionStore:
        """Return the session of the request. It is read at its first use. Source: scs Load.

        With SCS_MIGRATE_FROM, it may be moved at once, before a transaction of the view begins.
        """
        transport = transports.choose(request, self._options)
        tokens = transport.read(request)
        move = current() if self.kind == conf.DEFAULT else None
        in_header = isinstance(transport, transports.Header)
        # Engines that are not ours know only cookies.
        if move is None or (in_header and move.gives_new_tokens):
            return self.session_class.for_request(tokens, request)
        session: SessionStore = move.open(self.session_class, tokens, request)
        return session

    def commit(self, session: SessionStore, response: HttpResponse) -> Outcome:
        """Save the session, unless the view failed, and return what to tell the client."""
        return session.commit(failed=response.status_code >= 500)

    def tell(
        self,
        session: SessionStore,
        request: HttpRequest,
        response: HttpResponse,
        outcome: Outcome,
    ) -> None:
        """Put the outcome of a commit into the response. Source: scs WriteSessionCookie."""
        transport = transports.choose(request, self._options)
        if outcome.forget:
            transport.delete(request, response)
        elif outcome.token:
            transport.write(response, outcome.token, outcome.max_age)
        if session.accessed:
            transports.patch_vary(response, self._options)
        if outcome.created and self._is_sweep_due():
            # It runs after the response has been sent, and before the connection is closed.
            closers = response._resource_closers  # type: ignore[attr-defined]
            closers.append(self._sweep)

    @property
    def _options(self) -> conf.Options:
        return conf.options(self.kind)

    def _is_sweep_due(self) -> bool:
        return self._behind or random.random() < _SWEEP_CHANCE  # noqa: S311 -- not a secret

    def _sweep(self) -> None:
        try:
            self._behind = self.session_class.sweep()
        except Exception:
            # The response has been sent, so an error here must not fail the request.
            signals.tell("sweep_failed", self.session_class, "", exc_info=True)


@sensitive_variables()
def close(
    sessions: Iterable[tuple[SessionManager, SessionStore]],
    request: HttpRequest,
    response: HttpResponse,
) -> HttpResponse:
    """Commit a request's sessions, and put the outcomes into the response. Source: scs LoadAndSave.

    Raises the first error of a commit, or returns an error page for it if a new token must be sent.
    """
    outcomes, failure = [], None
    kept: list[tuple[SessionManager, Any]] = []
    for manager, session in sessions:
        if isinstance(session, Kept):
            kept.append((manager, session))
            continue
        try:
            outcome = manager.commit(session, response)
        except Exception as exc:
            failure, outcome = failure or exc, _give_up(session)
        outcomes.append((manager, session, outcome))
    if failure is not None:
        for _, session, _ in outcomes:
            # The page that shows what was taken from this session is not sent.
            _give_up(session)
        # An old token may be dead: the new one must reach the browser with the error page.
        if not any(outcome.token for _, _, outcome in outcomes):
            raise failure
        response = _error_page(request, failure)
    for manager, session, outcome in outcomes:
        manager.tell(session, request, response, outcome)
    for manager, old in kept:
        response = close_kept(old, request, response, partial(_close_one, manager))
    return response


def _give_up(session: SessionStore) -> Outcome:
    """Return what to tell the browser about a session whose commit, or page, has failed."""
    try:
        return session.commit(failed=True)
    except Exception:
        # The first error is the one that is raised.
        return Outcome()


def _error_page(request: HttpRequest, failure: Exception) -> HttpResponse:
    # Django, error reporters and the test client take the error from sys.exc_info().
    try:
        raise failure
    except Exception:
        return response_for_exception(request, failure)


def _close_one(
    manager: SessionManager, session: SessionStore, request: HttpRequest, response: HttpResponse
) -> HttpResponse:
    return close([(manager, session)], request, response)


def session_class(kind: str = conf.DEFAULT) -> type[SessionStore]:
    """Return the session class of a kind. Raises ImproperlyConfigured if its engine is not ours."""
    engine = conf.options(kind).engine
    try:
        found: Any = import_module(engine).SessionStore
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(_wrong_engine(kind, engine)) from exc
    if not is_ours(found):
        raise ImproperlyConfigured(_wrong_engine(kind, engine))
    if kind == conf.DEFAULT:
        return found  # type: ignore[no-any-return]
    return _of_kind(found, kind)


@cache
def _of_kind(found: type[SessionStore], kind: str) -> type[SessionStore]:
    names = {"_kind": kind, "__module__": found.__module__, "__reduce_ex__": _reduce}
    return type(found.__name__, (found,), names)


def _reduce(session: SessionStore, protocol: int) -> tuple[Any, ...]:
    # A pickle cannot find this class by its name.
    return _unpickled, (session._kind,), session.__getstate__()


def _unpickled(kind: str) -> SessionStore:
    found = session_class(kind)
    return found.__new__(found)


def uses_our_engine(kind: str = conf.DEFAULT) -> bool:
    """Tell whether the engine of a kind is one of django_scs."""
    try:
        session_class(kind)
    except ImproperlyConfigured:
        return False
    return True


def find_model(kind: str = conf.DEFAULT) -> "type[AbstractSession] | None":
    """Return the model whose table keeps a kind of session; None if it is in no table of ours."""
    if not apps.is_installed("django_scs"):
        return None
    find = getattr(session_class(kind), "get_model_class", None) if uses_our_engine(kind) else None
    model: type[AbstractSession] | None = None if find is None else find()
    return model


def _wrong_engine(kind: str, engine: Any) -> str:
    name = "SESSION_ENGINE" if kind == conf.DEFAULT else f"SCS_SESSIONS[{kind!r}]['ENGINE']"
    return (
        f"{name} is {engine!r}, and must be 'django_scs.backends.db', or a module whose SessionStore"
        " derives from one of django_scs."
    )


def may_wait() -> bool:
    """Tell whether opening a session may have to wait, which in an event loop must be in a thread.

    With SCS_MIGRATE_FROM the session is looked up. A receiver of ``malformed_token`` may look
    something up, or be async.
    """
    return current() is not None or bool(signals.malformed_token.receivers)


def is_served(session: Any) -> bool:
    """Tell whether ``close`` takes a session: one of ours, or one that SCS_MIGRATE_FROM keeps."""
    return is_ours(session) or isinstance(session, Kept)


def is_ours(found: Any) -> bool:
    """Tell whether ``found`` is a session or session class of django_scs, even in a LazyObject."""
    return (isinstance(found, type) and issubclass(found, SessionStore)) or isinstance(
        found, SessionStore
    )
