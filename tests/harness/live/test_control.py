"""The control: what a bare ccxt client makes of the same faults, with nothing of the core.

The workload, the venue, the proxy and the plan of faults are those of the story; the client is
ccxt.pro as it comes, and a bot around it that tries three times what raised. Facts are read off
the venue's ledger and the links. No figure here depends on how fast the machine is.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.bare_facts import BareFacts
from harness.batch import Job

pytestmark = [
    pytest.mark.live,
    # What ccxt and its dependencies warn of is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


#: Each of them has its facts below.
STORIES = (
    "closed_door", "cut_reply", "gibberish", "hung_up", "long_way", "lost_reply", "narrow_way",
    "revolving_door", "shown_out", "swallowed", "too_many",
)  # fmt: skip


@pytest.fixture(scope="module")
def bare(server: Any, stories: Any, tmp_path_factory: Any) -> dict[str, BareFacts]:
    """All of them side by side: they wait more than they work."""
    from harness.live.bare import bare_of, run_bare
    from harness.toxiproxy import Toxiproxy

    folder = tmp_path_factory.mktemp("bare")
    jobs = [Job(each, folder / each.name) for each in stories if each.name in STORIES]
    with Toxiproxy(server.address) as client:
        run_bare(jobs, client, at_a_time=len(jobs))
    found = {each.name: bare_of(each) for each in jobs}
    assert all(found.values()), found
    return found


def test_a_disabled_proxy_loses_the_orders_whose_tries_fall_into_it(
    bare: dict[str, BareFacts],
) -> None:
    """Nothing was sent, the port is back soon, and the orders are gone for good."""
    facts = bare["closed_door"]
    assert facts.given_up
    assert facts.doubled == ()
    assert facts.errors["ExchangeNotAvailable"] >= 3


def test_resets_lose_orders(bare: dict[str, BareFacts]) -> None:
    """Three tries, three resets, and it has given up what a patient one would have placed."""
    facts = bare["hung_up"]
    assert facts.given_up
    assert facts.errors["ExchangeNotAvailable"] >= 3


def test_a_blackhole_has_it_trade_on_a_price_that_stands_still(bare: dict[str, BareFacts]) -> None:
    """The stream is open and silent; ccxt says nothing, and the last price is as good as any."""
    facts = bare["swallowed"]
    assert facts.blind >= 1
    assert facts.dark >= 5.0


def test_latency_below_its_patience_does_it_no_harm(bare: dict[str, BareFacts]) -> None:
    """Slow is all it is: every order arrives once, and the bare client is as good as the core."""
    facts = bare["long_way"]
    assert facts.orders == facts.asked
    assert (facts.doubled, facts.given_up, facts.too_soon) == ((), (), 0)


def test_a_slow_link_does_it_no_harm(bare: dict[str, BareFacts]) -> None:
    """Each request has a connection of its own, and so a link of its own; nothing piles up."""
    facts = bare["narrow_way"]
    assert facts.orders == facts.asked
    assert (facts.doubled, facts.given_up, facts.too_soon) == ((), (), 0)


def test_a_truncated_reply_has_it_buy_twice(bare: dict[str, BareFacts]) -> None:
    """The order stands, half an answer is an exception, and after that one tries again."""
    facts = bare["cut_reply"]
    assert facts.doubled
    assert set(facts.doubled) <= set(facts.lost), "in its books it is there once"
    assert facts.orders > facts.asked


def test_after_a_429_it_knocks_on_and_loses_what_it_asks_for(bare: dict[str, BareFacts]) -> None:
    """The wait is in a header that nobody reads; the venue makes a ban of the knocking."""
    facts = bare["too_many"]
    assert facts.too_soon >= 3
    assert facts.given_up


def test_during_a_ban_it_knocks_on_until_the_ban_has_no_end(bare: dict[str, BareFacts]) -> None:
    """The fault is six seconds long, and it has not placed one order since."""
    facts = bare["shown_out"]
    assert facts.too_soon >= 3
    assert facts.given_up[-1] == f"BINANCE-i{facts.asked}"


def test_a_lost_acknowledgement_has_it_buy_twice(bare: dict[str, BareFacts]) -> None:
    """Two acknowledgements were lost: two intents, four orders, and books that know of two."""
    facts = bare["lost_reply"]
    assert len(facts.doubled) == 2
    assert set(facts.doubled) <= set(facts.lost)
    assert facts.errors["RequestTimeout"] == 2


def test_replies_that_are_none_are_orders_that_it_never_hears_of(
    bare: dict[str, BareFacts],
) -> None:
    """ccxt makes an order without a number of an empty body, and raises nothing."""
    facts = bare["gibberish"]
    assert facts.lost
    assert "ExchangeNotAvailable" not in facts.errors


def test_a_path_that_comes_and_goes_is_exceptions_and_no_prices(bare: dict[str, BareFacts]) -> None:
    """Nothing more can be said for sure: what falls into a gap is up to chance."""
    facts = bare["revolving_door"]
    assert sum(facts.errors.values()) >= 1
    assert facts.dark >= 1.0
