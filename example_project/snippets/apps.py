"""The Django application."""

from django.apps import AppConfig


class SnippetsConfig(AppConfig):
    name = "example_project.snippets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import signals

        signals.connect()
