"""Put our middleware in the place of Django's, whichever way a suite names it."""

from django.apps import AppConfig
from django.contrib.sessions import middleware

DjangoSessionMiddleware = middleware.SessionMiddleware


class SuitesConfig(AppConfig):
    """The replacement happens in each process that loads the apps, before a test is imported."""

    name = "tests.proofs.django_suites"
    label = "django_scs_suites"

    def ready(self) -> None:
        from django_scs.middleware import SessionMiddleware

        middleware.SessionMiddleware = SessionMiddleware
