"""An engine whose sweep follows each request that creates a session, and takes a second."""

import logging
import time

from django_scs import manager
from django_scs.backends import db
from django_scs.backends.db import CreateError, UpdateError

__all__ = ["CreateError", "SessionStore", "UpdateError"]

SECONDS = 1

manager._SWEEP_CHANCE = 1


class SessionStore(db.SessionStore):
    @classmethod
    def sweep(cls) -> None:
        time.sleep(SECONDS)
        super().sweep()
        logging.getLogger("django_scs").warning("Swept")
