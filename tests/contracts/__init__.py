"""What each store, codec and session class must do: one suite per contract.

An implementation runs a suite by deriving from it and giving the fixture that makes an instance.
"""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.store", "tests.contracts.codec", "tests.contracts.session"
)
