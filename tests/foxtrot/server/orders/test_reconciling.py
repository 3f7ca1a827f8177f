"""Orders brought in line with the venue: after an absence, by its lists, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from foxtrot.adapter.session import Operation, VenueRequest
from foxtrot.server.policy import EnginePolicy, Lane
from foxtrot.util.constants import Direction, Status
from foxtrot.util.errors import FoxtrotError
from harness.kernel import EPOCH
from harness.network import Delay

from .stories import CANCEL, PLACE, QUERY, story_of


def by_hand(bench, operation, **params):
    """Somebody does it on the venue's own page."""
    now = bench.loop.time()
    request = VenueRequest(
        request_id="x",
        operation=operation,
        params={"symbol": "BTCUSDT", **params},
        timestamp=EPOCH.timestamp() + now,
        api_key="key",
    )
    bench.venue.handle(request, now)


def market(side, quantity):
    return {"side": side, "type": "MARKET", "quantity": quantity, "price": 0.0}


def leave_unheard(bench, tools):
    """From now on the stream tells nothing, and no subscription says that fills may be missing."""
    bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
    bench.connection.subscriptions.clear()


def requests_of(bench, since):
    return [what for _, what in bench.sent()[since:]]


def test_what_happened_while_away_is_known_before_ready(play, tools):
    """Cancelled, filled and opened by others while the stream was down: all is reconciled."""

    async def body(bench):
        await bench.engine.send_order(bench.order("rest"), "ALPHA")
        bench.link.rules["down"] = tools.Rule(
            sending=lambda _r: tools.Fail(tools.refused),
            opening=lambda _c: tools.Fail(tools.refused),
        )
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        by_hand(bench, CANCEL, client_id="rest")
        limit = {"side": "BUY", "type": "LIMIT", "price": 48_000.0, "quantity": 0.02}
        by_hand(bench, PLACE, client_id="theirs", **limit)
        by_hand(bench, PLACE, client_id="bought", **market("BUY", 0.03))
        await bench.clock.sleep(10)
        assert not bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()
        while not bench.engine.is_ready("ALPHA"):
            await bench.clock.sleep(0.01)
        assert bench.status("rest") == "CANCELLED"
        assert bench.status("theirs") == "NOTTRADED"
        assert bench.position() == (0.03, 0.03)

    play(body)


@pytest.mark.parametrize("lists_ended", [False, True])
def test_order_that_the_venue_forgot_becomes_unknown_not_cancelled(play, tools, lists_ended):
    """Neither listed nor found: that is no evidence of an end."""

    async def body(bench):
        bench.connection.adapter.lists_ended = lists_ended
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        from foxtrot.adapter.session import VenueReply
        from harness.network import Replace

        def altered(request, _reply):
            if request.operation is Operation.OPEN_ORDERS:
                return Replace(VenueReply(status=200, body=b'{"orders": []}'))
            if request.operation is QUERY:
                return Replace(
                    VenueReply(status=400, body=b'{"code": -2013, "msg": "Order does not exist."}')
                )
            return None

        bench.link.rules["r"] = tools.Rule(replying=altered)
        await bench.engine.pipeline.reconcile(bench.connection)
        assert bench.status("o1") == "UNKNOWN"
        bench.link.rules.clear()
        await bench.clock.sleep(5)
        assert bench.status("o1") == "NOTTRADED"

    play(body)


def test_one_list_answers_for_all_orders_where_it_holds_those_that_ended(play, tools):
    """Venues that list everything count the lists: one for each order is refused before long."""

    async def body(bench):
        bench.connection.adapter.lists_ended = True
        for name in ("rests", "goes"):
            await bench.engine.send_order(bench.order(name), "ALPHA")
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        bench.link.rules["lost"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        bench.link.rules["late"] = tools.Rule(replying=tools.on(CANCEL, tools.Hang(), count=1))
        with pytest.raises(FoxtrotError):
            await bench.engine.cancel_order(bench.by_id("goes"), "ALPHA")
        await bench.engine.send_order(bench.order("lost"), "ALPHA")
        asked = len(bench.sent())
        await bench.engine.pipeline.reconcile(bench.connection)
        assert [what for _, what in bench.sent()[asked:]] == ["orders.open", "trades"]
        states = [bench.status(name) for name in ("rests", "goes", "lost")]
        assert states == ["NOTTRADED", "CANCELLED", "UNKNOWN"]

    play(body, recovery=False, deadlines={**EnginePolicy().deadlines, Lane.CANCELS: 4.0})


def test_order_that_was_sent_while_the_list_was_made_is_not_missed_in_it(play, tools):
    async def body(bench):
        bench.connection.adapter.lists_ended = True
        slow = tools.on(Operation.OPEN_ORDERS, Delay(2.0))
        bench.link.rules["slow"] = tools.Rule(replying=slow)
        reconciling = asyncio.create_task(bench.engine.pipeline.reconcile(bench.connection))
        await bench.clock.sleep(1.0)
        await bench.engine.send_order(bench.order("new"), "ALPHA")
        await reconciling
        assert story_of(bench, "new") == ["SUBMITTING", "NOTTRADED"]

    play(body, recovery=False)


def test_failed_question_changes_no_state(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        before = bench.engine.oms.orders()
        bench.link.rules["r"] = tools.Rule(sending=lambda _r: tools.Fail(tools.reset))
        with pytest.raises(FoxtrotError):
            await bench.engine.pipeline.reconcile(bench.connection)
        assert bench.engine.oms.orders() == before
        bench.link.rules.clear()

    play(body)


ALONE = {"recovery": False, "unknown_deadline": None}


def test_order_that_is_known_to_have_ended_is_not_asked_after_again(play, tools):
    """What it still lacks is its fills, and they are asked for by symbol."""

    async def body(bench):
        lost = tools.Rule(replying=tools.on(PLACE, tools.Hang(), count=1))
        leave_unheard(bench, tools)
        bench.link.rules["lost"] = lost
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        fills_fail = tools.Rule(sending=tools.on(Operation.TRADES, tools.Fail(tools.reset)))
        bench.link.rules["fills"] = fills_fail
        first = len(bench.sent())
        with pytest.raises(FoxtrotError):
            await bench.engine.pipeline.reconcile(bench.connection)
        assert requests_of(bench, first) == ["orders.open", "order.query", "trades"]
        assert bench.status("o1") == "ALLTRADED"
        del bench.link.rules["fills"]
        again = len(bench.sent())
        await bench.engine.pipeline.reconcile(bench.connection)
        assert requests_of(bench, again) == ["orders.open", "trades"]
        assert bench.position() == (0.01, 0.01)

    play(body, **ALONE)


def test_more_orders_than_can_be_asked_after_in_one_try_are_recovered_all_the_same(play, tools):
    """Each try of the recovery gets further than the one before, though it reconnects for it."""

    async def body(bench):
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        bench.link.rules["lost"] = tools.Rule(replying=tools.on(PLACE, tools.Fail(tools.reset)))
        sends = [bench.engine.send_order(bench.order(f"o{n}", price=0), "ALPHA") for n in range(25)]
        await asyncio.gather(*sends)
        assert len(bench.engine.oms.unsettled("ALPHA")) == 25
        bench.link.rules.clear()
        bench.link.rules["slow"] = tools.Rule(replying=tools.on(QUERY, Delay(1.0)))
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(80.0)
        assert bench.engine.is_ready("ALPHA")
        assert bench.position() == (0.25, 0.25)

    play(body, unknown_deadline=None)


def test_fills_are_asked_for_where_some_may_be_missing_and_nowhere_else(play, tools):
    """A symbol that was traded once, and is not held, costs nothing for the rest of the run."""

    async def body(bench):
        await bench.engine.send_order(bench.order("gone"), "ALPHA")
        await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        for price, direction in ((0, Direction.LONG), (0, Direction.SHORT)):
            order = bench.order(direction.name, price=price, direction=direction)
            await bench.engine.send_order(order, "ALPHA")
        await bench.clock.sleep(1.0)
        assert bench.position() == (0.0, 0.0)
        leave_unheard(bench, tools)
        since = len(bench.sent())
        await bench.engine.pipeline.reconcile(bench.connection)
        assert requests_of(bench, since) == ["orders.open"]

    play(body, **ALONE)


def an_order_was_filled_that_had_no_answer(bench):
    """UNKNOWN when it begins."""


def an_order_ended_and_only_some_of_its_fills_came(bench):
    """Final, and known to lack fills."""
    order = bench.engine.oms.order("ALPHA.o1")
    ended = replace(order, venue_orderid="1", status=Status.ALLTRADED, traded=order.volume)
    bench.engine.pipeline.apply_order(bench.connection, ended)


def the_end_of_an_order_is_told_without_its_volume(bench):
    """It is known to be over by the time that fills are asked for, and to lack none."""
    order = bench.engine.oms.order("ALPHA.o1")

    async def query_order(_request):
        return replace(order, venue_orderid="1", status=Status.CANCELLED, traded=0.0)

    bench.connection.adapter.query_order = query_order


@pytest.mark.parametrize(
    "so_that",
    [
        an_order_was_filled_that_had_no_answer,
        an_order_ended_and_only_some_of_its_fills_came,
        the_end_of_an_order_is_told_without_its_volume,
    ],
)
def test_no_fill_of_an_order_of_ours_is_missed(play, tools, so_that):
    async def body(bench):
        leave_unheard(bench, tools)
        bench.link.rules["lost"] = tools.Rule(replying=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        so_that(bench)
        await bench.engine.pipeline.reconcile(bench.connection)
        assert bench.position() == (0.01, 0.01)

    play(body, **ALONE)


def test_fills_of_an_order_that_the_list_brings_to_light_are_asked_for(play, tools):
    """Of a run before this one: it rests, and was filled in part."""

    async def body(bench):
        leave_unheard(bench, tools)
        by_hand(bench, PLACE, client_id="before", **market("BUY", 0.03))
        listed = bench.order("before").create_order_data("before", "ALPHA")

        async def query_open_orders():
            return [replace(listed, venue_orderid="1", status=Status.PARTTRADED, traded=0.03)]

        bench.connection.adapter.query_open_orders = query_open_orders
        await bench.engine.pipeline.reconcile(bench.connection)
        assert bench.position() == (0.03, 0.03)

    play(body, **ALONE, cancel_on_close=False)


def test_position_that_was_closed_by_hand_meanwhile_is_closed(play, tools):
    """By an order that was never ours, and is over: what is held is asked after."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        await bench.clock.sleep(1.0)
        leave_unheard(bench, tools)
        by_hand(bench, PLACE, client_id="theirs", **market("SELL", 0.01))
        await bench.engine.pipeline.reconcile(bench.connection)
        assert bench.position() == (0.0, 0.0)

    play(body, **ALONE)
