"""The Django application."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DjangoScsConfig(AppConfig):
    name = "django_scs"
    verbose_name = _("Sessions")

    def ready(self) -> None:
        from .checks import database, deploy, project, redis, settings, speed

        for module in (settings, project, redis, deploy, database, speed):
            module.register()
