"""The Django application. Its label is ``scs_devices``."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DevicesConfig(AppConfig):
    name = "django_scs.devices"
    label = "scs_devices"
    verbose_name = _("Devices")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import follow, policy

        follow.connect()
        policy.connect()
