"""The outside probe: each of its four parts alone makes a sample down, whatever the core says."""

from __future__ import annotations

from itertools import pairwise

import pytest

from foxtrot.adapter.base_adapter import AdapterStatus
from foxtrot.adapter.session import Operation, VenueRequest
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.object import CancelRequest, OrderRequest
from harness.kernel import EPOCH
from harness.network import Delay, Drop, Hang, LinkRule

PARTS = ("connected", "ticking", "reconciled", "canary")
NAME = "BINANCE"
TICK, ORDER = b'"type":"tick"', b'"type":"order"'


BY_ID = CancelRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE, orderid="c1")


class Lost(LinkRule):
    """Loses the replies to these operations, and these frames."""

    def __init__(self, *operations, frames=None):
        self.operations = operations
        self.frames = frames

    def sending(self, request):
        return Hang() if request.operation in self.operations else None

    def framing(self, connection_id, frame):
        return Drop() if self.frames and self.frames in frame else None


class Slow(LinkRule):
    """Prices take `seconds` longer."""

    def __init__(self, seconds):
        self.seconds = seconds

    def framing(self, connection_id, frame):
        return Delay(self.seconds) if TICK in frame else None


def order(reference="c1", quantity=0.001):
    return OrderRequest(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        direction=Direction.LONG,
        type=OrderType.LIMIT,
        volume=quantity,
        price=50_000.0,
        reference=reference,
    )


async def sample(lab, name=NAME):
    """The parts of a sample taken now; its outcome must be what the parts say."""
    await lab.world.probe.sample_all()
    event = [e for e in lab.history.of("probe.sample") if e.id == name][-1]
    assert event.outcome == ("ok" if all(event.details.values()) else "down")
    assert tuple(event.details) == PARTS
    return tuple(part for part in PARTS if not event.details[part])


@pytest.fixture
def missing(in_lab):
    """What a sample misses after `harm(lab)` and a wait."""

    def run(harm, wait=0.0):
        async def body(lab):
            await lab.until(5)
            assert await sample(lab) == ()
            await harm(lab)
            await lab.clock.sleep(wait)
            lab.missing = await sample(lab)

        return in_lab(body).missing

    return run


async def _placed(lab):
    await lab.world.strategy.desk.place(NAME, order())


def _cancel_at_venue(lab):
    """Cancel the order `c1` behind the engine's back."""
    lab.venues[NAME].handle(
        VenueRequest(
            request_id="r",
            operation=Operation.CANCEL_ORDER,
            params={"symbol": "BTCUSDT", "client_id": "c1"},
            timestamp=EPOCH.timestamp() + lab.clock.now(),
            api_key=f"key-{NAME}",
        ),
        lab.clock.now(),
    )


class TestParts:
    def test_an_adapter_that_never_came_up_has_none(self, in_lab):
        async def body(lab):
            assert await sample(lab) == PARTS[:2] + PARTS[3:]

        in_lab(body, is_started=False)

    def test_a_healthy_adapter_has_all_four(self, in_lab):
        async def body(lab):
            await lab.until(5)
            assert await sample(lab) == ()

        (event,) = in_lab(body).history.of("probe.sample")
        assert (event.t, event.id, event.outcome) == (pytest.approx(5, abs=0.1), NAME, "ok")

    def test_a_connection_that_the_venue_does_not_know_is_down(self, missing):
        """And the canary is not asked to sing for what is down anyway."""

        async def harm(lab):
            lab.venues[NAME].disconnect(lab.links[NAME].connection_id, lab.clock.now())

        assert missing(harm) == ("connected", "canary")

    def test_a_stream_without_ticks_is_down(self, missing):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Lost(frames=TICK)

        assert missing(harm, wait=8.0) == ("ticking", "canary")

    def test_a_tick_may_be_late_by_a_few_intervals(self, missing):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Lost(frames=TICK)

        assert missing(harm, wait=2.5) == ()

    @pytest.mark.parametrize(("delay", "lost"), [(2.0, ()), (8.0, ("ticking", "canary"))])
    def test_a_steady_flow_of_prices_that_are_old_is_no_ticking(self, missing, delay, lost):
        """They arrive every second, and each is as old as the first."""

        async def harm(lab):
            lab.links[NAME].rules["F"] = Slow(delay)

        assert missing(harm, wait=12.0) == lost

    def test_a_price_made_before_the_fault_was_over_does_not_count_though_it_arrives_after(
        self, missing
    ):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Slow(1.4)
            await lab.until(9.2)
            lab.world.nemesis.cleared_at[NAME] = 9.2

        assert missing(harm, wait=1.0) == ("ticking", "canary")
        assert missing(harm, wait=3.0) == ()

    def test_a_tick_from_before_the_fault_was_over_does_not_count(self, missing):
        async def harm(lab):
            await lab.until(6.5)
            lab.world.nemesis.cleared_at[NAME] = 6.5

        assert missing(harm) == ("ticking", "canary")
        assert missing(harm, wait=1.0) == ()

    def test_an_order_that_only_the_venue_knows_is_not_reconciled(self, missing):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Lost(frames=ORDER)
            lab.venues[NAME].handle(
                VenueRequest(
                    request_id="stranger",
                    operation=Operation.PLACE_ORDER,
                    params={
                        "symbol": "BTCUSDT",
                        "side": "BUY",
                        "type": "LIMIT",
                        "price": 50_000.0,
                        "quantity": 0.001,
                        "client_id": "stranger",
                    },
                    timestamp=EPOCH.timestamp() + lab.clock.now(),
                    api_key=f"key-{NAME}",
                ),
                lab.clock.now(),
            )

        assert missing(harm, wait=1.0) == ()  # an update under way is no disagreement
        assert missing(harm, wait=8.0) == ("reconciled", "canary")

    def test_an_order_that_the_engine_has_otherwise_is_not_reconciled(self, missing):
        async def harm(lab):
            await lab.engine.send_order(order(), NAME)
            lab.links[NAME].rules["F"] = Lost(frames=ORDER)
            _cancel_at_venue(lab)

        assert missing(harm, wait=8.0) == ("reconciled", "canary")

    def test_a_disagreement_is_as_old_as_itself_not_as_the_order(self, missing):
        async def harm(lab):
            await lab.engine.send_order(order(), NAME)
            await lab.clock.sleep(8.0)
            lab.links[NAME].rules["F"] = Lost(frames=ORDER)
            _cancel_at_venue(lab)

        assert missing(harm, wait=1.0) == ()
        assert missing(harm, wait=8.0) == ("reconciled", "canary")

    def test_a_disagreement_that_has_ended_is_forgotten(self, missing):
        async def harm(lab):
            rules = lab.links[NAME].rules
            rules["F"] = Lost(frames=ORDER)
            await lab.engine.send_order(order(), NAME)
            await lab.engine.cancel_order(BY_ID, NAME)
            rules.clear()

        assert missing(harm, wait=9.0) == ()

    def test_an_order_that_the_engine_holds_unknown_is_not_reconciled_from_the_first_moment(
        self, missing
    ):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Lost(Operation.PLACE_ORDER, Operation.QUERY_ORDER)
            lab.tasks.spawn("order", _placed(lab))
            await lab.clock.sleep(5.5)
            (known,) = lab.engine.oms.orders()
            assert known.status is Status.UNKNOWN

        assert missing(harm) == ("reconciled", "canary")

    def test_a_call_that_a_user_would_make_and_that_hangs_is_down(self, missing):
        async def harm(lab):
            lab.links[NAME].rules["F"] = Lost(Operation.ACCOUNT)

        assert missing(harm) == ("canary",)


def test_an_engine_that_lies_does_not_fool_it(missing):
    """It says connected and ready, and the adapter says connected; the venue knows nobody."""

    async def harm(lab):
        lab.links[NAME].drop(ConnectionResetError, code=1006, outcome="reset")
        await lab.clock.sleep(0)
        lab.engine.adapters[NAME].status = AdapterStatus.CONNECTED
        lab.engine.connections[NAME].ready = True
        assert lab.engine.is_ready(NAME)
        assert lab.engine.adapters[NAME].connected

    assert missing(harm) == ("connected", "canary")


class TestCanary:
    def test_it_asks_for_the_account_and_for_an_order_once_there_is_one(self, in_lab):
        async def body(lab):
            await lab.until(5)
            await sample(lab)
            await lab.engine.send_order(order(), NAME)
            await sample(lab)

        invoked = in_lab(body).history.of("client.invoke")
        asked = [(e.details["operation"], e.details["canary"]) for e in invoked]
        assert asked == [("account", True), ("order.query", True)]

    def test_while_it_is_well_it_sings_in_every_fourth_sample(self, in_lab):
        """A venue that is sampled twice a second must not be tired out by the sampling."""

        async def body(lab):
            await lab.until(5)
            lab.world.nemesis.is_active = lambda _adapter: True
            lab.tasks.spawn("probe", lab.world.probe.run())
            await lab.until(10)

        history = in_lab(body).history
        songs = [event.t for event in history.of("client.invoke")]
        assert [round(b - a) for a, b in pairwise(songs)] == [2, 2]
        assert {event.outcome for event in history.of("probe.sample")} == {"ok"}


class TestRhythm:
    def test_ten_seconds_apart_in_calm_and_half_a_second_while_a_fault_is_on(
        self, in_lab, scenario_of
    ):
        async def body(lab):
            await lab.until(5)
            lab.tasks.spawn("nemesis", lab.world.nemesis.run())
            lab.tasks.spawn("probe", lab.world.probe.run())
            await lab.until(40)

        fault = {"kind": "reject", "variant": "market_closed", "at": "16s", "for": "2s"}
        samples = in_lab(body, scenario_of(fault)).history.of("probe.sample")
        near = [round(event.t * 2) / 2 for event in samples]
        assert near == [5.0, 15.0, 16.0, 16.5, 17.0, 17.5, 25.0, 35.0]

    def test_half_a_second_apart_while_anything_is_wrong(self, in_lab):
        async def body(lab):
            await lab.until(5)
            lab.venues[NAME].disconnect(lab.links[NAME].connection_id, lab.clock.now())
            lab.links[NAME].rules["F"] = Lost(frames=TICK)
            lab.tasks.spawn("probe", lab.world.probe.run())
            await lab.until(7.9)

        samples = in_lab(body).history.of("probe.sample")
        assert [round(e.t * 2) / 2 for e in samples] == [5.0, 5.5, 6.0, 6.5, 7.0, 7.5]

    def test_a_canary_that_hangs_holds_up_no_other_adapter(self, in_lab, scenario_of):
        async def body(lab):
            await lab.until(5)
            lab.links["ALPHA"].rules["F"] = Lost(Operation.ACCOUNT)
            lab.world.nemesis.is_active = lambda _adapter: True
            lab.tasks.spawn("probe", lab.world.probe.run())
            await lab.until(7.9)

        history = in_lab(body, scenario_of(venues=("ALPHA", "BETA"))).history
        times = [round(e.t * 2) / 2 for e in history.of("probe.sample") if e.id == "BETA"]
        assert times == [5.0, 5.5, 6.0, 6.5, 7.0, 7.5]
