"""The tests of Django's that we do not pass, each with the reason.

They run all the same: one that passes unexpectedly fails the run, and so does one that Django no
longer has, so that this list stays true.
"""

HERE = "tests.proofs.django_suites.sessions"

BY_REASON: dict[str, tuple[str, ...]] = {
    # Ours are named as in scs, so that a Go application finds them: token, data, expiry.
    "looks for the columns of Django's model": (
        f"{HERE}.EngineTests.test_session_get_decoded",
        f"{HERE}.EngineTests.test_session_str",
        f"{HERE}.EngineTests.test_sessionmanager_save",
        f"{HERE}.EngineWithTimeZoneTests.test_session_get_decoded",
        f"{HERE}.EngineWithTimeZoneTests.test_session_str",
        f"{HERE}.EngineWithTimeZoneTests.test_sessionmanager_save",
    ),
    "looks for the row in Django's own table": (
        f"{HERE}.MiddlewareTests.test_empty_session_saved",
        f"{HERE}.EngineUnderDjangosMiddlewareTests.test_empty_session_saved",
    ),
    # Only the 43 characters that we hand out ever reach the database.
    "wants a key of 8 characters accepted": (
        f"{HERE}.EngineTests.test_session_key_valid_string_saved",
        f"{HERE}.EngineWithTimeZoneTests.test_session_key_valid_string_saved",
    ),
    # Our middleware sends the response, without a session cookie.
    "wants status 400 for a session that was destroyed meanwhile": (
        f"{HERE}.MiddlewareTests.test_session_update_error_redirect",
    ),
    # OWASP Session Management: renew the session ID after any privilege level change.
    "wants the session key kept when the same user signs in again": (
        "auth_tests.test_views.LoginTest.test_session_key_flushed_on_login_after_password_change",
    ),
    # The middleware says so at start-up, rather than working by half.
    "uses an engine that is not ours with our middleware": (
        "test_client.tests.ClientTest.test_logout_cookie_sessions",
        "test_client.tests.ClientTest.test_sessions_app_is_not_installed",
        "test_client.tests.ClientTest.test_view_with_login_when_sessions_app_is_not_installed",
        "test_client_regress.tests.SessionEngineTests.test_login",
    ),
    "counts all warnings, and sets Django's middleware, of which our check warns": (
        "admin_checks.tests.SystemChecksTestCase.test_checks_are_performed",
        "admin_checks.tests.SystemChecksTestCase.test_custom_adminsite",
    ),
}

REASONS = {test: reason for reason, tests in BY_REASON.items() for test in tests}


def gone(existing: set[str]) -> set[str]:
    """Return the exclusions that are not among the tests of the modules that were loaded."""
    loaded = {test.rsplit(".", 2)[0] for test in existing}
    return {test for test in REASONS if test.rsplit(".", 2)[0] in loaded} - existing
