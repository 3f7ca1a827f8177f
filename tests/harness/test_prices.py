"""What a subscriber notes of the age of the prices that it is handed."""

from __future__ import annotations

import datetime as dt

import pytest

from foxtrot.util.constants import Exchange
from foxtrot.util.errors import AdapterConnectionError, MarketDataError, OrderRejectionError
from foxtrot.util.event import EVENT_ERROR, EVENT_TICK, Event
from foxtrot.util.object import TickData
from harness.facts.prices import Prices as Judged
from harness.kernel import EPOCH
from harness.network import Delay, Drop, LinkRule
from harness.prices import PriceWatch
from harness.venue import Skew

NAME, SYMBOL = "BINANCE", "BTCUSDT.BINANCE"


class Prices(LinkRule):
    """Does this to every price."""

    def __init__(self, effect):
        self.effect = effect

    def framing(self, connection_id, frame):
        return self.effect if b'"type":"tick"' in frame else None


@pytest.fixture
def noted(in_lab):
    """What is noted while `happen(lab)` goes on, as (second, outcome, ready, told)."""

    def run(happen, scenario=None, policy=None):
        async def body(lab):
            lab.tasks.spawn("probe", lab.world.probe.run())
            await lab.until(5)
            lab.events = lab.engine.event_engine
            await happen(lab)

        history = in_lab(body, scenario, policy=policy).history
        errors = history.of("engine.error")
        assert "system" not in [e.details["category"] for e in errors]  # such as one of the watch's
        return [
            (round(e.t), e.outcome, e.details.get("ready"), e.details.get("told"))
            for e in history.of("client.price")
        ]

    return run


def tick(at):
    return TickData(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        adapter_name=NAME,
        datetime=EPOCH + dt.timedelta(seconds=at),
        last_price=60_000.0,
    )


def test_prices_that_keep_coming_are_not_worth_a_line(noted):
    async def happen(lab):
        await lab.until(40)

    assert noted(happen) == []


def test_a_silence_is_noted_by_what_is_claimed_meanwhile_until_a_price_comes(noted):
    async def happen(lab):
        lab.links[NAME].rules["F"] = Prices(Drop())
        await lab.until(25)
        lab.links[NAME].rules.clear()
        await lab.until(40)

    story = noted(happen)
    assert story[0] == (9, "old", True, False)
    assert story[1][1:] == ("old", False, True)
    assert 15 <= story[1][0] <= 20
    assert story[2:] == [(25, "new", None, None)]


def test_a_client_that_watches_nothing_claims_that_all_is_well(noted):
    async def happen(lab):
        lab.links[NAME].rules["F"] = Prices(Drop())
        await lab.until(60)

    assert noted(happen, policy="none") == [(9, "old", True, False)]


def test_a_price_that_comes_again_and_again_grows_old(noted, scenario_of):
    async def happen(lab):
        lab.tasks.spawn("nemesis", lab.world.nemesis.run())
        await lab.until(40)

    fault = {"kind": "stale", "variant": "frozen", "at": "8s", "for": "20s"}
    story = noted(happen, scenario_of(fault))
    assert [(t, outcome) for t, outcome, *_ in story if outcome == "new"] == [(28, "new")]
    assert story[0] == (13, "old", True, False)


def test_a_price_that_is_old_when_it_arrives_is_old_at_once(noted):
    async def happen(lab):
        lab.links[NAME].rules["F"] = Prices(Delay(7.0))
        await lab.until(30)

    story = noted(happen)
    assert story[0] == (9, "old", True, False)
    assert "new" not in [outcome for _, outcome, *_ in story]


def test_prices_that_all_come_late_are_each_as_old_as_they_are(in_lab):
    """Eight seconds late for half a minute: none that was served was half a minute old."""

    async def body(lab):
        lab.tasks.spawn("probe", lab.world.probe.run())
        lab.links[NAME].rules["F"] = Prices(Delay(8.0))
        await lab.until(40)

    judged = Judged(limit=12.0)
    for event in in_lab(body).history.of("client.price"):
        judged.take(event)
    judged.over(40.0)
    assert (judged.served.judged, judged.served.evidence) == (1, [])


def test_a_price_that_was_overtaken_is_noted_and_is_not_the_newest(in_lab):
    async def body(lab):
        await lab.until(5)
        lab.engine.event_engine.put(Event(EVENT_TICK, tick(2.0)))
        assert lab.world.probe._prices.priced_at(NAME, SYMBOL) == 4.0

    (event,) = in_lab(body).history.of("client.price")
    assert (event.id, event.outcome) == (SYMBOL, "back")
    assert event.details == {"adapter": NAME, "made_at": 2.0, "newest": 4.0}


def test_the_same_price_again_does_not_go_back(in_lab):
    async def body(lab):
        await lab.until(5)
        lab.engine.event_engine.put(Event(EVENT_TICK, tick(4.0)))

    assert in_lab(body).history.of("client.price") == []


@pytest.mark.parametrize("seconds", [30.0, -30.0])
def test_a_venue_that_sets_its_clock_makes_no_price_old_nor_older(noted, seconds):
    """Even that which was under way meanwhile, and is stamped by the old time."""

    async def happen(lab):
        lab.links[NAME].rules["F"] = Prices(Delay(2.0))
        await lab.until(10.5)
        lab.venues[NAME].impose("S", Skew(seconds=seconds))
        await lab.until(30)
        lab.venues[NAME].lift("S")
        await lab.until(50)

    assert noted(happen) == []


BROKEN = AdapterConnectionError(NAME, "lost", context={"adapter": NAME, "operation": "heartbeat"})
STRANGERS = AdapterConnectionError("OTHER", "lost", context={"operation": "heartbeat"})
REFUSED = OrderRejectionError("c1", "no", context={"adapter": NAME, "operation": "order.place"})


def stale(symbol=SYMBOL):
    context = {"adapter": NAME, "operation": "stream", "vt_symbol": symbol}
    return MarketDataError(symbol, "no tick", context=context)


@pytest.mark.parametrize(
    ("error", "after", "told"),
    [
        (stale(), 6.0, True),
        (stale(), 0.0, False),
        (BROKEN, 0.0, True),
        (STRANGERS, 6.0, False),
        (REFUSED, 6.0, False),
    ],
    ids=["stale", "data was bad before it fell silent", "connection", "another's", "an order"],
)
def test_what_is_said_counts_when_it_is_about_prices_that_are_old(noted, error, after, told):
    """A gap that is told a moment before a silence says nothing of the silence."""

    async def happen(lab):
        lab.links[NAME].rules["F"] = Prices(Drop())
        await lab.clock.sleep(after)
        lab.events.put(Event(EVENT_ERROR, error))
        await lab.until(12)

    assert noted(happen, policy="none")[-1] == (11 if after and told else 9, "old", True, told)


def test_what_was_said_of_the_last_silence_says_nothing_of_the_next(noted):
    async def happen(lab):
        rules = lab.links[NAME].rules
        rules["F"] = Prices(Drop())
        lab.events.put(Event(EVENT_ERROR, BROKEN))
        await lab.until(12)
        rules.clear()
        await lab.until(15.5)
        rules["F"] = Prices(Drop())
        await lab.until(25)

    assert noted(happen, policy="none") == [
        (9, "old", True, True),
        (12, "new", None, None),
        (20, "old", True, False),
    ]


def test_where_nobody_knows_the_venues_clock_a_price_is_as_old_as_its_arrival(in_lab):
    async def body(lab):
        watch = PriceWatch(lab.engine, {NAME: None}, history=lab.history, clock=lab.clock)
        watch.listen()
        lab.links[NAME].rules["F"] = Prices(Delay(8.0))
        await lab.until(30.5)
        assert watch.priced_at(NAME, SYMBOL) == pytest.approx(30.0, abs=0.2)
        assert watch.priced_at(NAME, "ETHUSDT.BINANCE") is None

    in_lab(body)
