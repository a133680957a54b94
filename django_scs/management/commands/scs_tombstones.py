"""``manage.py scs_tombstones install|remove``: see docs/go.md."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections, router
from django.utils.module_loading import import_string

from ...backends.db import SessionStore
from ...stores import tombstones


class Command(BaseCommand):
    help = "Make the database refuse to bring destroyed sessions back, or stop it from doing so."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("install", "remove"))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        session_class = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        if not issubclass(session_class, SessionStore):
            raise CommandError(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}; only the sessions of"
                " 'django_scs.backends.db' leave tombstones."
            )
        model = session_class.get_model_class()
        connection, table = connections[router.db_for_write(model)], model._meta.db_table
        (tombstones.install if action == "install" else tombstones.remove)(connection, table)
        self.stdout.write(f"Tombstones for {table!r}: {action} done.")
