"""Django's tests of a session engine and of the session middleware, run on ours."""

from unittest import mock

from sessions_tests import tests as django_tests

from django_scs.backends.db import SessionStore
from tests.proofs.django_suites.apps import DjangoSessionMiddleware


class EngineTests(django_tests.DatabaseSessionTests):
    """SessionTestsMixin, and what Django asks of an engine on a database."""

    backend = SessionStore
    session_engine = "django_scs.backends.db"


class EngineWithTimeZoneTests(django_tests.DatabaseSessionWithTimeZoneTests):
    """The same with USE_TZ on."""

    backend = SessionStore
    session_engine = "django_scs.backends.db"


class MiddlewareTests(django_tests.SessionMiddlewareTests):
    """Django's tests of the middleware, on our engine and our middleware."""


@mock.patch.object(django_tests, "SessionMiddleware", DjangoSessionMiddleware)
class EngineUnderDjangosMiddlewareTests(django_tests.SessionMiddlewareTests):
    """The same on our engine and Django's middleware."""
