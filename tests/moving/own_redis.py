"""An engine of a project: ours in Redis, under another name."""

from django_scs.backends import redis


class SessionStore(redis.SessionStore):
    """Keeps its sessions where the class that it derives from keeps them."""
