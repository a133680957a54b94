"""``manage.py scs_migrate``: how far the move from SCS_MIGRATE_FROM is. See docs/moving.md."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ... import conf
from ...backoff import paced
from ...manager import session_class
from ...moving.current import Move, current
from ._sessions import counted


class Command(BaseCommand):
    help = "Say how many sessions of SCS_MIGRATE_FROM are still alive; move them ahead of time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--move", action="store_true", help="move all that are alive, and let requests through"
        )

    def handle(self, *args: Any, move: bool, **options: Any) -> None:
        found = current()
        if found is None:
            raise CommandError("SCS_MIGRATE_FROM is not set: there is nothing to move.")
        if move:
            self._move(found)
        count = found.count()
        if count is None:
            self._cannot_tell(found)
        elif count:
            self.stdout.write(counted(count, "old session is alive.", "old sessions are alive."))
        else:
            self.stdout.write("No old session is alive.")
            self._may_go(found)

    def _move(self, found: Move) -> None:
        if found.keeps:
            raise CommandError("SCS_MIGRATE_MODE is 'keep': nothing is moved before it is 'move'.")
        if not found.lists:
            raise CommandError(f"The sessions of {found.name!r} cannot be listed.")
        if shared := found.shared_with():
            raise CommandError(
                f"{found.name!r} also keeps the sessions of {', '.join(shared)}, whose keys look like"
                " tokens. Without --move the next request of each browser moves its session."
            )
        if not found.gives_new_tokens:
            self.stdout.write(
                "SCS_HASH_TOKENS must be what it was in the old store. It is"
                f" {conf.options().hash_tokens!r}."
            )
        moved = sum(
            found.move(session_class(), key) is not None
            for batch in paced(list(found.keys()))
            for key in batch
        )
        self.stdout.write(counted(moved, "old session was moved.", "old sessions were moved."))

    def _may_go(self, found: Move) -> None:
        if found.keeps:
            return
        if not found.gives_new_tokens:
            self.stdout.write("SCS_MIGRATE_FROM can go now.")
            return
        self.stdout.write(
            "If you never used --move, SCS_MIGRATE_FROM can go now. Otherwise wait"
            f" {self._age()} after the last --move, because browsers may still have the old"
            f" cookies. If you ran it today, wait until {self._end()}."
        )

    def _cannot_tell(self, found: Move) -> None:
        self.stdout.write(
            f"The sessions of {found.name!r} cannot be counted. SCS_MIGRATE_FROM can go"
            f" {self._age()} after the last old process has ended. If that is now, wait until"
            f" {self._end()}."
        )

    def _age(self) -> str:
        return str(timedelta(seconds=settings.SESSION_COOKIE_AGE)).removesuffix(", 0:00:00")

    def _end(self) -> str:
        return f"{timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE):%Y-%m-%d %H:%M}"
