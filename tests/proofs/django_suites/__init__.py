"""Run suites of Django's own with our engine and middleware in the place of Django's."""

SESSIONS = ["tests.proofs.django_suites.sessions"]

# Needs the models of messages_tests, which is among USERS.
MESSAGES = "tests.proofs.django_suites.messages"

# What signs in, keeps messages or asks the test client for a session.
USERS = [
    "auth_tests",
    "csrf_tests",
    "messages_tests",
    MESSAGES,
    "test_client",
    "test_client_regress",
]

# What drives the admin: large, and no different from one database to another as far as sessions go.
ADMIN = [
    "admin_autodiscover",
    "admin_changelist",
    "admin_checks",
    "admin_custom_urls",
    "admin_default_site",
    "admin_filters",
    "admin_inlines",
    "admin_ordering",
    "admin_registration",
    "admin_utils",
    "admin_views",
    "admin_widgets",
    "generic_inline_admin",
    "modeladmin",
]


def groups(*, everything: bool) -> list[list[str]]:
    """Return what to run together on a database: all, or what says something about the database."""
    return [SESSIONS, USERS + ADMIN if everything else USERS]
