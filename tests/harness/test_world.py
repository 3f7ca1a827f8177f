"""Building: one seed, one world; each part at its place; and the harness's own tasks."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from foxtrot.server.policy import POLICIES
from foxtrot.util.constants import Exchange
from harness.kernel import run_virtual
from harness.scenario import VenueSpec
from harness.world import (
    NAMES,
    PROFILES,
    Tasks,
    build_world,
    exchange_of,
    instrument_of,
    subscriptions,
)


def build(kept, scenario):
    async def main(loop):
        return build_world(scenario, POLICIES["default"], loop, kept(loop.time))

    return run_virtual(main)


def fingerprint(world):
    """Everything of a new world that chance decides."""
    streams = [world.strategy.rng, *(link._rng for link in world.links.values())]
    tapes = []
    for venue in world.venues.values():
        trades = [venue._next_trade, *(trade for trade, _ in zip(venue._tape, range(20)))]  # noqa: B905 - the tape has no end
        tapes.append(trades)
    return (
        [stream.random() for stream in streams],
        tapes,
        world.occurrences,
        [fault.site.rng.random() for fault in world.nemesis.faults],
    )


RANDOM = {
    "count": 5,
    "kinds": [{"kind": "refuse"}, {"kind": "reject", "variants": ["market_closed"]}],
    "between": ["5s", "50s"],
    "for": ["1s", "5s"],
}


class TestBuilding:
    def test_the_same_seed_builds_the_same_world_and_another_seed_another(self, kept, scenario_of):
        scenarios = [scenario_of(seed=seed, random=RANDOM) for seed in (3, 3, 4)]
        first, same, other = (fingerprint(build(kept, scenario)) for scenario in scenarios)
        assert first == same
        assert all(ours != theirs for ours, theirs in zip(first, other, strict=True))

    def test_a_second_venue_shifts_nothing_of_the_first(self, kept, scenario_of):
        """Streams go by name: what is added next door must not change what was found here."""
        alone = build(kept, scenario_of(seed=3))
        together = build(kept, scenario_of(seed=3, venues=("BINANCE", "OTHER")))
        assert alone.links["BINANCE"]._rng.random() == together.links["BINANCE"]._rng.random()
        assert together.links["BINANCE"]._rng is not together.links["OTHER"]._rng
        assert [next(alone.venues["BINANCE"]._tape) for _ in range(9)] == [
            next(together.venues["BINANCE"]._tape) for _ in range(9)
        ]

    def test_nothing_runs_and_nothing_is_written_before_it_is_driven(self, kept, scenario_of):
        world = build(kept, scenario_of())
        assert world.history.kept == []
        assert world.links["BINANCE"].connection_id is None

    def test_every_part_is_named_after_its_venue(self, kept, scenario_of):
        names = ("ALPHA", "BETA")
        world = build(kept, scenario_of(venues=names))
        assert tuple(world.venues) == tuple(world.links) == tuple(world.engine.adapters) == names
        assert [market.adapter for market in world.markets] == ["ALPHA", "BETA"]
        assert all(world.links[name].venue is world.venues[name] for name in names)

    def test_a_standby_is_built_and_subscribed_but_not_traded_on(self, kept, scenario_of):
        symbols = {"BTCUSDT": {"price": 60_000.0}}
        venues = [
            {"name": "ALPHA", "profile": "binance", "symbols": symbols},
            {"name": "BETA", "profile": "binance", "symbols": symbols, "standby_for": "ALPHA"},
        ]
        world = build(kept, scenario_of(document={"venues": venues}))
        assert tuple(world.engine.adapters) == ("ALPHA", "BETA")
        assert [market.adapter for market in world.strategy.markets] == ["ALPHA"]
        assert [each.symbol for each in subscriptions(world, "BETA")] == ["BTCUSDT"]
        assert world.engine.connections["BETA"].standby_for == "ALPHA"

    def test_the_words_for_scenarios_are_those_of_the_parts(self):
        assert NAMES.profiles == tuple(PROFILES)
        assert NAMES.policies == tuple(POLICIES)


class TestNaming:
    @pytest.mark.parametrize(
        ("name", "exchange"),
        [("BINANCE", Exchange.BINANCE), ("BINANCEUS", Exchange.BINANCE)],
    )
    def test_an_exchange_goes_by_its_own_name_or_its_profile_s(self, name, exchange):
        spec = VenueSpec(name=name, profile="binance", symbols={"X": {"price": 1.0}})
        assert exchange_of(spec) is exchange

    def test_a_name_that_is_no_exchange_at_all_is_local(self):
        spec = VenueSpec(name="NOWHERE", profile="nothing", symbols={"X": {"price": 1.0}})
        assert exchange_of(spec) is Exchange.LOCAL

    @pytest.mark.parametrize(
        ("symbol", "base", "quote"),
        [
            ("BTCUSDT", "BTC", "USDT"),
            ("DOGEUSDC", "DOGE", "USDC"),
            ("ADABTC", "ADA", "BTC"),
            ("BTC", "BTC", "USD"),
            ("ODD", "ODD", "USD"),
        ],
    )
    def test_an_instrument_opens_at_its_price_in_its_quote_currency(self, symbol, base, quote):
        instrument = instrument_of(symbol, 12.5)
        named = (instrument.symbol, instrument.base, instrument.quote, instrument.start_price)
        assert named == (symbol, base, quote, Decimal("12.5"))


def run_tasks(body):
    async def main(loop):
        tasks = Tasks()
        return await body(tasks, loop)

    return run_virtual(main)


class TestTasks:
    def test_they_end_in_the_order_in_which_they_began(self):
        ended = []

        async def body(tasks, loop):
            for name in "abc":
                tasks.spawn(name, forever(name))
            await asyncio.sleep(1)
            await tasks.end()
            return loop.time(), [task.get_name() for task in loop.pending_tasks()]

        async def forever(name):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(name)

        assert run_tasks(body) == (1.0, ["main"])
        assert ended == ["a", "b", "c"]

    def test_with_patience_they_may_end_by_themselves(self):
        ended = []

        async def body(tasks, loop):
            tasks.spawn("short", short())
            tasks.spawn("long", asyncio.sleep(100))
            await tasks.end(patience=5)
            return loop.time()

        async def short():
            await asyncio.sleep(3)
            ended.append("short")

        assert run_tasks(body) == 5.0
        assert ended == ["short"]

    def test_the_first_error_that_ended_one_is_raised(self):
        """A broken harness must not pass for a result."""

        async def body(tasks, loop):
            tasks.spawn("late", fail(2))
            tasks.spawn("early", fail(1))
            tasks.check()
            await asyncio.sleep(3)
            with pytest.raises(LookupError, match="after 1"):
                tasks.check()
            with pytest.raises(LookupError, match="after 1"):
                await tasks.end()
            return "checked"

        async def fail(seconds):
            await asyncio.sleep(seconds)
            raise LookupError(f"after {seconds}")

        assert run_tasks(body) == "checked"

    def test_being_cancelled_is_no_error(self):
        async def body(tasks, loop):
            tasks.spawn("a", asyncio.sleep(100)).cancel()
            await asyncio.sleep(1)
            await tasks.end()
            return "ended"

        assert run_tasks(body) == "ended"


def test_the_pump_moves_the_market_tick_by_tick_until_the_tape_ends(in_lab, scenario_of, tmp_path):
    zero = 1_700_000_000_000
    rows = [f"{n},{60_000 + n}.0,0.1,6000.0,{zero + n * 1000},True,True" for n in range(5)]
    tape = tmp_path / "trades.csv"
    tape.write_text("\n".join(rows) + "\n")
    venue = {
        "name": "BINANCE",
        "profile": "binance",
        "symbols": {"BTCUSDT": {"price": 60_000.0}},
        "tape": {"csv": str(tape)},
    }
    scenario = scenario_of(document={"venues": [venue]}, duration="3s")
    ticks = []

    async def body(lab):
        lab.engine.event_engine.register("eTick.", lambda event: ticks.append(event.data))
        await lab.until(20)
        lab.pumping = [t.get_name() for t in lab.world.loop.pending_tasks()]

    lab = in_lab(body, scenario)
    assert [tick.last_price for tick in ticks] == [60_002.0, 60_003.0, 60_004.0]
    assert "harness: pump BINANCE" not in lab.pumping
