import pytest

from django_scs.backends.db import SessionStore
from tests.contracts import Asynchronous, SessionContract
from tests.database import in_autocommit


@in_autocommit
class TestDatabaseSession(SessionContract):
    @pytest.fixture
    def engine(self) -> type[SessionStore]:
        return SessionStore


class TestAsyncDatabaseSession(TestDatabaseSession):
    face = Asynchronous
