"""``manage.py scs_migrate``: how far the move from SCS_MIGRATE_FROM is. See docs/moving.md."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ... import migrate_from
from ...backoff import paced
from ...manager import session_class


class Command(BaseCommand):
    help = "Say how many sessions of SCS_MIGRATE_FROM are still alive; move them ahead of time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--move", action="store_true", help="move all that are alive, and let requests through"
        )

    def handle(self, *args: Any, move: bool, **options: Any) -> None:
        migration = migrate_from.current()
        if migration is None:
            raise CommandError("SCS_MIGRATE_FROM is not set: there is nothing to move.")
        self._engine = migration.source.engine.__module__
        if move:
            self._move(migration)
        count = migration.source.count()
        if count is None:
            self._cannot_tell()
        elif count:
            self.stdout.write(f"{count} old sessions are alive.")
        else:
            self.stdout.write("No old session is alive.")
            self._may_go(migration)

    def _move(self, migration: migrate_from.Migration) -> None:
        if migration.mode != migrate_from.MOVE:
            raise CommandError("SCS_MIGRATE_MODE is 'keep': nothing is moved before it is 'move'.")
        if not migration.source.lists:
            raise CommandError(f"The sessions of {self._engine!r} cannot be listed.")
        moved = sum(
            migration.move(session_class(), key) is not None
            for batch in paced(list(migration.source.keys()))
            for key in batch
        )
        self.stdout.write(f"{moved} old sessions were moved.")

    def _may_go(self, migration: migrate_from.Migration) -> None:
        if migration.mode != migrate_from.MOVE:
            return
        self.stdout.write(
            "If you never used --move, SCS_MIGRATE_FROM can go now. Otherwise wait"
            f" {self._age()} after the last --move, because browsers may still have the old"
            f" cookies. If you ran it today, wait until {self._end()}."
        )

    def _cannot_tell(self) -> None:
        self.stdout.write(
            f"The sessions of {self._engine!r} cannot be counted. SCS_MIGRATE_FROM can go"
            f" {self._age()} after the last old process has ended. If that is now, wait until"
            f" {self._end()}."
        )

    def _age(self) -> str:
        return str(timedelta(seconds=settings.SESSION_COOKIE_AGE)).removesuffix(", 0:00:00")

    def _end(self) -> str:
        return f"{timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE):%Y-%m-%d %H:%M}"
