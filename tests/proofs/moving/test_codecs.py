"""The codec of a live site is changed under traffic: nobody is logged out, and no change is lost."""

from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from django_scs.models import Session

from .proxy import Proxy
from .site import Shop, manage
from .test_rolling import OURS, Rollout

pytestmark = pytest.mark.once

JSON = "django_scs.codecs.json.JSONCodec"
GOB = "django_scs.codecs.gob.GobCodec"
ENCRYPTED = "django_scs.codecs.encrypted.EncryptedCodec"
SERIALIZER = "django_scs.codecs.serializer.SerializerCodec"
CHANGES = {
    "JSON to gob": (JSON, GOB),
    "gob to JSON": (GOB, JSON),
    "JSON to encrypted": (JSON, ENCRYPTED),
    "serializer to JSON": (SERIALIZER, JSON),
}
FEW = ["gob to JSON", "JSON to encrypted"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "change" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full", False)
        metafunc.parametrize("change", CHANGES if full else FEW)


def test_nobody_notices_another_codec(
    change: str, start: Callable[..., Shop], users: list[str], database: dict[str, Any], full: bool
) -> None:
    old, new = CHANGES[change]
    settings: dict[str, dict[str, Any]] = {
        "before": {"SCS_CODEC": old},
        "reads": {"SCS_CODEC": old, "SCS_CODEC_FALLBACKS": [new]},
        "writes": {"SCS_CODEC": new, "SCS_CODEC_FALLBACKS": [old]},
        "after": {"SCS_CODEC": new},
    }
    shops = {name: start(**OURS, **values) for name, values in settings.items()}
    said: list[str] = []

    def rewrite() -> None:
        said.append(manage(database, "scs_reencode", **OURS, **settings["writes"]))

    with Proxy() as proxy:
        rollout = Rollout(proxy, users, shops)
        for phase in ("before", "before+reads", "reads+writes"):
            rollout.run(phase, 4 if full else 2)
        command = Thread(target=rewrite)
        command.start()
        rollout.run("writes", 4 if full else 2)
        command.join()
        for phase in ("writes+after", "after"):
            rollout.run(phase, 4 if full else 2)
    print(f"\n{change}: {rollout.requests} requests, {dict(rollout.faults)}", *said, sep="\n")
    assert rollout.faults == Counter(), {name: shop.log()[-1500:] for name, shop in shops.items()}
    assert Session.objects.count() > 0
