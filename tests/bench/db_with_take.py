"""Django's `db` engine with the one method that Snippetbox's flash needs and Django does not have."""

from typing import Any

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """Pops where ours takes: what a Django project does."""

    def take(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)
