"""Orders brought in line with the venue: after an absence, by its lists, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.policy import EnginePolicy, Lane
from foxtrot.util.errors import FoxtrotError
from harness.network import Delay

from .stories import CANCEL, PLACE, QUERY, story_of


def test_what_happened_while_away_is_known_before_ready(play, tools):
    """Cancelled, filled and opened by others while the stream was down: all is reconciled."""

    async def body(bench):
        await bench.engine.send_order(bench.order("rest"), "ALPHA")
        bench.link.rules["down"] = tools.Rule(
            sending=lambda _r: tools.Fail(tools.refused),
            opening=lambda _c: tools.Fail(tools.refused),
        )
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        venue, now = bench.venue, bench.loop.time
        from foxtrot.adapter.session import VenueRequest
        from harness.kernel import EPOCH

        def ask(operation, **params):
            venue.handle(
                VenueRequest(
                    request_id="x",
                    operation=operation,
                    params={"symbol": "BTCUSDT", **params},
                    timestamp=EPOCH.timestamp() + now(),
                    api_key="key",
                ),
                now(),
            )

        ask(CANCEL, client_id="rest")
        limit = {"side": "BUY", "type": "LIMIT", "price": 48_000.0, "quantity": 0.02}
        ask(PLACE, client_id="theirs", **limit)
        ask(PLACE, client_id="bought", side="BUY", type="MARKET", quantity=0.03, price=0.0)
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
