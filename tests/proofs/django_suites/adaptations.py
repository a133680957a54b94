"""The tests of Django's that assert what is different here, each with the lines that differ.

Everything else in them stays as Django has it. A test that Django no longer has, or a line that it no
longer contains, stops the run, so that this list stays true.
"""

import inspect
import sys
import textwrap
import types
from typing import Any, Final, NamedTuple

HERE: Final = "tests.proofs.django_suites.sessions"
ENGINES: Final = ("EngineTests", "EngineWithTimeZoneTests")
MIDDLEWARES: Final = ("MiddlewareTests", "EngineUnderDjangosMiddlewareTests")

Lines = tuple[tuple[str, str], ...]


class Adaptation(NamedTuple):
    """Why some tests are different here, and which lines take the place of which."""

    reason: str
    tests: tuple[str, ...]
    lines: Lines


def _in(classes: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(f"{HERE}.{each}.{name}" for each in classes)


_COLUMNS: Final = "Our columns are named as in scs, so that a Go application finds them"
_OUR_STORE: Final = ("request.session = DatabaseSession()", "request.session = OurStore()")

ADAPTATIONS: Final = (
    Adaptation(
        _COLUMNS,
        _in(ENGINES, "test_session_get_decoded"),
        (("objects.get(session_key=", "objects.get(token="),),
    ),
    Adaptation(
        f"{_COLUMNS}; the str of a row is its fingerprint, as tokens are not shown",
        _in(ENGINES, "test_session_str"),
        (
            ("objects.get(session_key=", "objects.get(token="),
            ("assertEqual(str(s), session_key)", "assertEqual(str(s), self.session.fingerprint())"),
        ),
    ),
    Adaptation(
        _COLUMNS,
        _in(ENGINES, "test_sessionmanager_save"),
        (
            ("objects.get(session_key=", "objects.get(token="),
            ('save(s.session_key, {"y": 2}, s.expire_date)', 'save(s.token, {"y": 2}, s.expiry)'),
        ),
    ),
    Adaptation(
        "The row is in our table",
        _in(MIDDLEWARES, "test_empty_session_saved"),
        (("Session.objects.get(session_key=", "OurSession.objects.get(token="),),
    ),
    Adaptation(
        "Only what could be a token of ours reaches the database",
        _in(ENGINES, "test_session_key_valid_string_saved"),
        (('"12345678"', '"12345678" * 5'),),
    ),
    Adaptation(
        "Our middleware sends the response of a session that was destroyed meanwhile",
        _in(MIDDLEWARES[:1], "test_session_update_error_redirect"),
        (
            _OUR_STORE,
            ("with self.assertRaisesMessage(SessionInterrupted, msg):", "with self.subTest(msg):"),
            ("middleware(request)", "self.assertEqual(middleware(request).cookies, {})"),
        ),
    ),
    Adaptation(
        "The engine under test is ours",
        _in(MIDDLEWARES[1:], "test_session_update_error_redirect"),
        (_OUR_STORE,),
    ),
    Adaptation(
        "OWASP Session Management: renew the session ID after any privilege level change",
        (
            "auth_tests.test_views.LoginTest.test_session_key_flushed_on_login_after_password_change",
        ),
        (("assertEqual(original_session_key,", "assertNotEqual(original_session_key,"),),
    ),
    Adaptation(
        "The settings of Django's suites name Django's middleware, of which our check warns",
        (
            "admin_checks.tests.SystemChecksTestCase.test_checks_are_performed",
            "admin_checks.tests.SystemChecksTestCase.test_custom_adminsite",
        ),
        (
            (
                "errors = checks.run_checks()",
                "errors = [e for e in checks.run_checks() if getattr(e, 'id', '') != W005]",
            ),
        ),
    ),
)


def apply() -> list[str]:
    """Adapt the tests of the modules that are loaded; return their names."""
    adapted = []
    for adaptation in ADAPTATIONS:
        for name in adaptation.tests:
            module, cls, method = name.rsplit(".", 2)
            if module in sys.modules:
                adapt(getattr(sys.modules[module], cls), method, adaptation.lines)
                adapted.append(name)
    return adapted


def adapt(cls: type, name: str, lines: Lines) -> None:
    """Replace a test by itself with other lines. Raises RuntimeError if Django has none such."""
    label = f"{cls.__module__}.{cls.__qualname__}.{name}"
    original = getattr(cls, name, None)
    if original is None:
        raise RuntimeError(f"Adapted, but Django has no such test: {label}")
    function = inspect.unwrap(original)
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in lines:
        if source.count(old) == 0:
            raise RuntimeError(f"{label} has no line {old!r} any more")
        source = source.replace(old, new)
    # The module's own names, which a patch may replace while the test runs.
    function.__globals__.update(_ours())
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<adapted {label}>", "exec"), function.__globals__, namespace)
    setattr(cls, name, _patched_like(original, namespace[name]))


def _patched_like(original: Any, adapted: types.FunctionType) -> Any:
    # What mock.patch.object puts around each test of a class.
    for patching in getattr(original, "patchings", ()):
        adapted = patching.copy().decorate_callable(adapted)
    return adapted


def _ours() -> dict[str, Any]:
    from django_scs.backends.db import SessionStore
    from django_scs.models import Session

    return {"OurStore": SessionStore, "OurSession": Session, "W005": "django_scs.W005"}
