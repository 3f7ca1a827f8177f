"""The strategy and its desk: how calls end, what is written down, and that chance is its own."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.policy import Lane
from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.errors import OrderRejectionError
from foxtrot.util.object import CancelRequest, OrderRequest
from harness.network import CURRENT_CALL, Drop, Hang, LinkRule
from harness.venue import Reject

NAME = "BINANCE"
BY_ID = CancelRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE, orderid="c1")


def order(**changes):
    facts = {
        "symbol": "BTCUSDT",
        "exchange": Exchange.BINANCE,
        "direction": Direction.SHORT,
        "type": OrderType.LIMIT,
        "volume": 0.001,
        "price": 80_000.0,
        "reference": "c1",
        **changes,
    }
    return OrderRequest(**facts)


class AckLost(LinkRule):
    """Loses every word about orders, asked or pushed: what is unknown cannot be cleared up."""

    def replying(self, request, reply):
        return Hang() if request.operation.value.startswith("order") else None

    def framing(self, connection_id, frame):
        return Drop() if b'"type":"order"' in frame else None


@pytest.fixture
def desk_story(in_lab):
    """What the desk wrote, and returned, for the calls that `body(lab, desk)` makes."""

    def run(body, **options):
        async def main(lab):
            await lab.until(3)
            lab.returned = await body(lab, lab.world.strategy.desk)

        lab = in_lab(main, **options)
        return lab, lab.returned

    return run


class TestDesk:
    def test_a_call_whose_caller_is_ended_has_not_failed(self, desk_story):
        async def body(lab, desk):
            call = asyncio.create_task(desk.place(NAME, order()))
            await asyncio.sleep(0)
            call.cancel()
            return await asyncio.gather(call, return_exceptions=True)

        lab, (ended,) = desk_story(body)
        assert isinstance(ended, asyncio.CancelledError)
        assert [each.outcome for each in lab.history.of("client.return")] == ["abandoned"]

    def test_a_call_is_written_before_it_is_made_and_when_it_ended(self, desk_story):
        async def body(lab, desk):
            return [
                await desk.place(NAME, order()),
                await desk.look_up(NAME, BY_ID),
                await desk.cancel(NAME, BY_ID),
                await desk.account(NAME, canary=True),
            ]

        lab, returned = desk_story(body)
        assert returned == [True] * 4
        invoked, ended = lab.history.of("client.invoke"), lab.history.of("client.return")
        assert [(e.id, e.details) for e in invoked] == [
            (
                "op-1",
                {
                    "adapter": NAME,
                    "operation": "order.place",
                    "lane": "orders",
                    "client_id": "c1",
                    "symbol": "BTCUSDT",
                    "side": "SELL",
                    "type": "LIMIT",
                    "quantity": 0.001,
                    "price": 80_000.0,
                },
            ),
            (
                "op-2",
                {
                    "adapter": NAME,
                    "operation": "order.query",
                    "lane": "queries",
                    "client_id": "c1",
                    "canary": False,
                },
            ),
            (
                "op-3",
                {
                    "adapter": NAME,
                    "operation": "order.cancel",
                    "lane": "cancels",
                    "client_id": "c1",
                    "symbol": "BTCUSDT",
                },
            ),
            (
                "op-4",
                {"adapter": NAME, "operation": "account", "lane": "queries", "canary": True},
            ),
        ]
        nothing = {"error_id": "", "category": ""}
        assert [(e.id, e.outcome, e.details) for e in ended] == [
            ("op-1", "ok", {**nothing, "client_id": "c1"}),
            ("op-2", "ok", {**nothing, "client_id": "c1"}),
            ("op-3", "ok", {**nothing, "client_id": "c1"}),
            ("op-4", "ok", {**nothing, "client_id": ""}),
        ]
        assert all(a.t < b.t for a, b in zip(invoked, ended, strict=True))

    def test_the_requests_of_a_call_carry_its_id_and_those_of_nobody_carry_none(self, desk_story):
        async def body(lab, desk):
            lab.history.kept.clear()
            await desk.place(NAME, order())
            assert CURRENT_CALL.get() == ""
            await lab.engine.query_account(NAME)

        lab, _ = desk_story(body)
        sent = [(e.details["operation"], e.details["call"]) for e in lab.history.of("link.sent")]
        assert sent[:2] == [("order.place", "op-1"), ("account", "")]

    def test_what_the_venue_refused_has_failed(self, desk_story):
        async def body(lab, desk):
            lab.world.nemesis.intervened = lambda *_: None
            lab.venues[NAME].impose("F", Reject(code=-2010, message="no money"))
            return await desk.place(NAME, order())

        lab, returned = desk_story(body)
        (ended,) = lab.history.of("client.return")
        (error,) = lab.history.of("engine.error")
        assert (returned, ended.outcome, ended.details["category"]) == (
            False,
            "failed",
            "order_execution",
        )
        assert ended.details["error_id"] == error.id == "E1"

    def test_what_an_open_breaker_refused_was_blocked_and_nothing_was_sent(self, desk_story):
        async def body(lab, desk):
            lab.engine.connections[NAME].guard.breakers[Lane.ORDERS].force_open()
            lab.history.kept.clear()
            return await desk.place(NAME, order())

        lab, returned = desk_story(body)
        (ended,) = lab.history.of("client.return")
        assert (returned, ended.outcome) == (False, "blocked")
        operations = [e.details["operation"] for e in lab.history.of("link.sent")]
        assert Operation.PLACE_ORDER.value not in operations

    def test_an_order_whose_reply_was_lost_is_unknown(self, desk_story):
        async def body(lab, desk):
            lab.links[NAME].rules["F"] = AckLost()
            returned = await desk.place(NAME, order())
            lab.links[NAME].rules.clear()
            return returned

        lab, returned = desk_story(body)
        assert (returned, lab.history.of("client.return")[0].outcome) == (False, "unknown")
        assert lab.history.of("client.return")[0].details["client_id"] == "c1"

    def test_an_error_that_is_not_ours_is_written_down_and_goes_on(self, desk_story):
        async def body(lab, desk):
            async def broken(*_):
                raise LookupError("a bug in the core")

            lab.engine.send_order = broken
            with pytest.raises(LookupError):
                await desk.place(NAME, order())

        lab, _ = desk_story(body)
        assert [e.outcome for e in lab.history.of("client.return")] == ["failed"]

    @pytest.mark.parametrize(
        ("facts", "outcome"),
        [
            ({"outcome": "REJECTED"}, "failed"),
            ({"outcome": "NONE"}, "failed"),
            ({"outcome": "NOT_SENT"}, "blocked"),
            ({"outcome": "NOT_SENT", "context": {"attempted": True}}, "failed"),
            ({"outcome": "UNKNOWN"}, "unknown"),
        ],
    )
    def test_an_error_ends_a_call_as_its_outcome_says(self, desk_story, facts, outcome):
        from foxtrot.util.errors import Outcome

        async def body(lab, desk):
            async def failing(*_):
                raise OrderRejectionError(
                    "c1", "no", **{**facts, "outcome": Outcome[facts["outcome"]]}
                )

            lab.engine.cancel_order = failing
            return await desk.cancel(NAME, BY_ID)

        lab, returned = desk_story(body)
        assert (returned, lab.history.of("client.return")[0].outcome) == (False, outcome)


@pytest.fixture
def traded(in_lab, scenario_of):
    """A world in which the strategy traded for a while."""

    def run(seconds=120.0, **workload):
        async def body(lab):
            await lab.until(2)
            trading = lab.tasks.spawn("strategy", lab.world.strategy.trade())
            await lab.until(seconds)
            trading.cancel()
            await lab.until(seconds + 20)

        return in_lab(body, scenario_of(workload=workload, seed=5))

    return run


def invoked(lab, operation):
    events = lab.history.of("client.invoke")
    return [event for event in events if event.details["operation"] == operation]


class TestStrategy:
    def test_it_trades_at_the_rates_and_shares_of_its_workload(self, traded):
        workload = {"orders": "4/s", "queries": "1/s", "cancels": 0.5, "market_orders": 0.25}
        lab = traded(202.0, **workload, sides=["SELL"], notional=300.0)
        orders = invoked(lab, "order.place")
        assert 700 < len(orders) < 900
        assert {event.details["side"] for event in orders} == {"SELL"}
        kinds = [event.details["type"] for event in orders]
        assert 0.2 < kinds.count("MARKET") / len(kinds) < 0.3
        assert {
            event.details["price"] for event in orders if event.details["type"] == "MARKET"
        } == {0.0}
        sizes = [e.details["quantity"] * 60_000 for e in orders]
        assert all(250 < size < 350 for size in sizes)
        questions = len(invoked(lab, "account")) + len(invoked(lab, "order.query"))
        assert 150 < questions < 250
        assert 0.1 < len(invoked(lab, "account")) / questions < 0.3
        assert len(invoked(lab, "order.cancel")) > 30

    def test_each_intent_has_an_id_of_its_own_named_for_its_adapter(self, traded):
        orders = invoked(traded(60.0, orders="4/s"), "order.place")
        ids = [event.details["client_id"] for event in orders]
        assert ids == [f"{NAME}-i{number}" for number in range(1, len(ids) + 1)]

    def test_a_rate_of_zero_is_never(self, traded):
        lab = traded(60.0, orders="0/s", queries="0/s")
        assert lab.history.of("client.invoke") == []

    def test_orders_that_are_filled_or_at_market_are_not_cancelled(self, traded):
        lab = traded(60.0, orders="4/s", cancels=1.0, market_orders=1.0)
        assert len(invoked(lab, "order.place")) > 150
        assert invoked(lab, "order.cancel") == []

    def test_orders_that_went_to_a_standby_are_cancelled_there(self, in_lab, scenario_of):
        symbols = {"BTCUSDT": {"price": 60_000.0}}
        primary = {"name": NAME, "profile": "binance", "symbols": symbols}
        spare = {**primary, "name": "SPARE", "standby_for": NAME}

        async def body(lab):
            await lab.until(2)
            lab.engine.switch(NAME, "SPARE")
            trading = lab.tasks.spawn("strategy", lab.world.strategy.trade())
            await lab.until(60)
            trading.cancel()
            await lab.until(75)

        workload = {"orders": "4/s", "cancels": 1.0, "market_orders": 0.0}
        lab = in_lab(body, scenario_of(workload=workload, document={"venues": [primary, spare]}))
        cancels = [
            e for e in lab.history.of("link.sent") if e.details["operation"] == "order.cancel"
        ]
        assert len(cancels) > 10
        assert {event.details["adapter"] for event in cancels} == {"SPARE"}
        assert {event.details["adapter"] for event in invoked(lab, "order.cancel")} == {NAME}

    def test_without_a_price_there_is_no_order(self, in_lab, scenario_of):
        async def body(lab):
            lab.world.strategy.listen()
            trading = lab.tasks.spawn("strategy", lab.world.strategy.trade())
            await lab.until(30)
            trading.cancel()

        scenario = scenario_of(workload={"orders": "4/s", "queries": "0/s"})
        assert invoked(in_lab(body, scenario, is_started=False), "order.place") == []

    def test_what_subscribers_saw_is_written_down(self, traded):
        """Fills and states as the engine published them, not as the venue booked them."""
        lab = traded(60.0, orders="2/s", market_orders=1.0)
        seen = lab.history.of("client.trade")
        booked = lab.history.of("venue.trade")
        assert len(seen) == len(booked) > 50
        assert [e.id for e in seen] == [f"{NAME}.{e.id}" for e in booked]
        for ours, theirs in zip(seen, booked, strict=True):
            assert ours.details == {
                "adapter": NAME,
                "client_id": theirs.details["client_id"],
                "symbol": "BTCUSDT",
                "side": theirs.details["side"],
                "quantity": theirs.details["quantity"],
                "price": theirs.details["price"],
            }
        states = [e.outcome for e in lab.history.of("client.order") if e.id == f"{NAME}-i1"]
        assert states[0] == "SUBMITTING"
        assert states[-1] == "ALLTRADED"

    def test_orders_come_at_random_intervals_around_the_rate(self, traded):
        orders = invoked(traded(60.0, orders="2/s"), "order.place")
        gaps = [b.t - a.t for a, b in pairwise(orders)]
        assert 0.35 < sum(gaps) / len(gaps) < 0.65
        assert min(gaps) < 0.05
        assert max(gaps) > 1.0
