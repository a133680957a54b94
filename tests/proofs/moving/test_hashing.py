"""SCS_HASH_TOKENS is turned on under traffic: two steps side by side, and the command meanwhile."""

from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from django_scs import tokens
from django_scs.models import Session

from .proxy import Proxy
from .site import Shop, manage
from .test_rolling import OURS, Rollout

STEPS = {str(step): step for step in tokens.HASHING}
ON_THE_WAY = [
    "False",
    "False+prepare",
    "prepare+convert",
    "convert",
    "convert+converted",
    "converted+finish",
    "finish",
    "finish+True",
    "True",
]
WITH_COMMAND = {"convert", "finish"}


def rows() -> list[str]:
    return list(Session.objects.values_list("token", flat=True))


@pytest.mark.parametrize("size", [32, pytest.param(30, marks=pytest.mark.once)])
def test_nobody_is_logged_out_and_no_change_is_lost(
    size: int, start: Callable[..., Shop], users: list[str], database: dict[str, Any], full: bool
) -> None:
    common = {**OURS, "SCS_TOKEN_BYTES": size}
    shops = {name: start(**common, SCS_HASH_TOKENS=step) for name, step in STEPS.items()}
    said: list[str] = []

    def run_command(step: str) -> None:
        for _ in range(2):
            said.append(manage(database, "scs_hash_tokens", **common, SCS_HASH_TOKENS=STEPS[step]))

    with Proxy() as proxy:
        rollout = Rollout(proxy, users, shops)
        for phase in ON_THE_WAY:
            command = Thread(target=run_command, args=[phase])
            if phase in WITH_COMMAND:
                command.start()
            rollout.run(phase, 6 if full else 2)
            if phase in WITH_COMMAND:
                command.join()
                assert {tokens.is_marked(key) for key in rows()} == {phase == "convert"}
            print(f"\n{size} bytes, {phase}: {len(rows())} rows, {dict(rollout.faults)}")
    print(f"{rollout.requests} requests", *said, sep="\n")
    assert rollout.faults == Counter()
    cookies = [shopper.visitor.cookie for shopper in rollout.shoppers if shopper.user]
    assert cookies
    assert {tokens.store_key(cookie or "", hashed=True) for cookie in cookies} <= set(rows())
