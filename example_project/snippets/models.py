"""Snippets: short texts that expire."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince


class SnippetQuerySet(models.QuerySet["Snippet"]):
    """Snippets, and the ways to choose among them."""

    def live(self) -> "SnippetQuerySet":
        """Return those that have not expired."""
        return self.filter(expires__gt=timezone.now())

    def latest_first(self) -> "SnippetQuerySet":
        """Return them newest first."""
        return self.order_by("-created", "-pk")


class Snippet(models.Model):
    """A short text with a title, shown until it expires."""

    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="snippets")
    title = models.CharField(max_length=100)
    content = models.TextField()
    created = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    expires = models.DateTimeField()

    objects = SnippetQuerySet.as_manager()

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("view", args=[self.pk])

    @property
    def lines(self) -> list[str]:
        """The content line by line, without line ends."""
        return self.content.split("\n")

    @property
    def age(self) -> str:
        """How long ago the snippet was created, in its largest unit."""
        if timezone.now() - self.created < timedelta(minutes=1):
            return "just now"
        return f"{timesince(self.created, depth=1)} ago"


class DjangosSession(AbstractBaseSession):
    """A session of Django's own engine, which stands beside ours on the page "Try it in two tabs"."""

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    @classmethod
    def get_session_store_class(cls) -> Any:
        from .duel import DjangosStore

        return DjangosStore
