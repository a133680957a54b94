"""A flash message is shown once, and one that is put while another is popped is not lost."""

from .load import in_parallel
from .site import Site

POPPERS = 50


def test_one_of_50_parallel_requests_shows_the_flash(site: Site, full: bool, vendor: str) -> None:
    rounds = 20 if full else 4
    for turn in range(rounds):
        browser = site.browser()
        browser.get("flash/put", value=f"saved {turn}")

        def pop(number: int, token: str | None = browser.token) -> str:
            reply = site.browser(token).send("flash/pop", pause=0.3)
            assert reply.status == 200
            return str(reply.values["flash"])

        shown = [flash for flash in in_parallel(POPPERS, pop) if flash]
        assert shown == [f"saved {turn}"]
        assert browser.get("show").values == {}
    print(f"\n{vendor}, HTTP: shown {rounds} times in {rounds} rounds of {POPPERS} requests")


def test_a_flash_put_while_another_is_popped_is_shown(site: Site, full: bool, vendor: str) -> None:
    rounds, poppers = (50, 10) if full else (8, 10)
    first_shown = 0
    for turn in range(rounds):
        browser = site.browser()
        browser.get("flash/put", value="first")

        def act(number: int, token: str | None = browser.token, turn: int = turn) -> str:
            mine = site.browser(token)
            # The put comes a little earlier or later from round to round.
            if number == poppers:
                return str(mine.send("flash/put", value="second", pause=turn % 8 / 100).status)
            return str(mine.send("flash/pop", pause=number / 100).values["flash"])

        *shown, status = in_parallel(poppers + 1, act)
        assert status == "200"
        shown.append(browser.get("flash/pop").values["flash"])
        assert shown.count("second") == 1
        assert shown.count("first") <= 1
        first_shown += shown.count("first")
    print(
        f"\n{vendor}, HTTP: the second shown once in each of {rounds}, the first in {first_shown}"
    )
