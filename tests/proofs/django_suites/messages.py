"""Django's tests of a messages storage in the session, run on ours."""

from unittest import mock

from django.contrib.messages import Message
from messages_tests import test_session as django_tests

from django_scs.messages import SessionStorage


def set_session_data(storage: SessionStorage, messages: list[Message]) -> None:
    """Do what Django's helper of that name does, with a session key for each message."""
    storage._store(messages, None)
    if hasattr(storage, "_loaded_data"):
        del storage._loaded_data


def stored_session_messages_count(storage: SessionStorage) -> int:
    """Do what Django's helper of that name does, with a session key for each message."""
    return len(storage._peek())


@mock.patch.object(django_tests, "set_session_data", set_session_data)
@mock.patch.object(django_tests, "stored_session_messages_count", stored_session_messages_count)
class SessionTests(django_tests.SessionTests):
    """Django's tests of its SessionStorage, on ours."""

    storage_class = SessionStorage


del django_tests
