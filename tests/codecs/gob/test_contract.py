"""The contract of every codec."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from django_scs.codecs.base import Codec
from django_scs.codecs.gob import GobCodec
from tests.contracts.codec import CodecContract

from .cases import REGISTERED


class TestGobCodec(CodecContract):
    @pytest.fixture
    def codec(self) -> Codec:
        return GobCodec(REGISTERED)

    # Without the contract's 1j: Go has complex numbers.
    @pytest.mark.parametrize("value", [object(), {1, 2}, datetime(2024, 1, 1), iter([])])
    def test_encode_refuses_by_key_and_type(self, codec: Codec, value: Any) -> None:
        super().test_encode_refuses_by_key_and_type(codec, value)
