"""Fill Snippetbox, so that its first page is not empty."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from example_project.snippets import demo
from example_project.snippets.models import Snippet


class Command(BaseCommand):
    help = "Add a demo user and a few snippets. Running it again adds nothing twice."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("demo_data adds a user whose password is published: set DEBUG=1.")
        user = _user()
        for text in demo.TEXTS:
            _add(user, text)
        login = f"{demo.EMAIL} / {demo.PASSWORD}"
        self.stdout.write(
            f"Try first: open /try/ in two tabs; then log in as {login}, and look at your account."
        )


def _user() -> User:
    user, created = User.objects.get_or_create(
        username=demo.EMAIL, defaults={"email": demo.EMAIL, "first_name": demo.NAME}
    )
    if created:
        user.set_password(demo.PASSWORD)
        user.save()
    return user


def _add(user: User, text: demo.Text) -> None:
    now = timezone.now()
    fresh = {"content": text.content, "expires": now + timedelta(days=text.days)}
    Snippet.objects.update_or_create(
        author=user,
        title=text.title,
        defaults=fresh,
        create_defaults={**fresh, "created": now - timedelta(minutes=text.age)},
    )
