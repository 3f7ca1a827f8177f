"""The order pipeline against a real venue: unknown outcomes, late answers, reconciliation."""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.policy import BreakerPolicy, EnginePolicy, Lane
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.constants import Direction, Status
from foxtrot.util.errors import FoxtrotError, OrderRejectionError, Outcome, RateLimitError
from harness.kernel import run_virtual
from harness.network import Delay

PLACE, QUERY, CANCEL = Operation.PLACE_ORDER, Operation.QUERY_ORDER, Operation.CANCEL_ORDER


def story_of(bench, reference):
    """What subscribers saw of an order, without times."""
    return [what for _, vt_orderid, what in bench.published if vt_orderid == f"ALPHA.{reference}"]


def test_order_that_is_acknowledged_rests(play):
    async def body(bench):
        assert await bench.engine.send_order(bench.order("o1"), "ALPHA") == "ALPHA.o1"
        assert bench.status("o1") == "NOTTRADED"

    bench = play(body)
    assert story_of(bench, "o1") == ["SUBMITTING", "NOTTRADED", "CANCELLED"]  # by the shutdown


def test_market_order_fills_and_moves_the_position_once(play):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        await bench.clock.sleep(1)
        assert bench.position() == (0.01, 0.01)

    bench = play(body)
    assert sorted(story_of(bench, "o1"))[:1] == ["ALLTRADED"]
    assert len([what for what in story_of(bench, "o1") if what.startswith("trade")]) == 1


def test_lost_acknowledgement_is_shown_as_unknown_and_then_found(play, tools):
    """The venue has the order: it is adopted, and nothing is sent a second time."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            replying=tools.on(PLACE, tools.Hang(), count=1),
            framing=lambda *_: tools.Hang() if bench.status("o1") == "SUBMITTING" else None,
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        await bench.clock.sleep(3)

    bench = play(body)
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "NOTTRADED", "CANCELLED"]
    assert len(bench.sent("order.place")) == 1
    assert bench.booked() == [("o1", "CANCELED", 0.0)]


def test_request_that_never_arrived_is_sent_again_under_its_own_id(play, tools):
    """Not before its lifetime is over and look-ups after that found neither order nor fill."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(20)
        assert bench.status("o1") == "NOTTRADED"

    bench = play(body)
    (first, _), (second, _) = bench.sent("order.place")
    asked = [t for t, _ in bench.sent("order.query") if t < second]
    assert second - first > 6.0  # the venue takes it for 5 s, and the clocks may differ by 1
    assert len([t for t in asked if t > first + 6.0]) >= 1
    assert [t for t, _ in bench.sent("trades") if first + 6.0 <= t < second]
    assert bench.booked() == [("o1", "CANCELED", 0.0)]


def test_look_up_before_the_request_expired_proves_nothing(play, tools):
    """It may still arrive: one miss would be enough here, but only a miss after its lifetime."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(10)

    bench = play(body, unknown_lookups=(0.1,), unknown_misses=1)
    (first, _), (second, _) = bench.sent("order.place")
    assert 6.0 < second - first < 7.0


def test_one_miss_is_no_proof(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(20)

    bench = play(body, unknown_lookups=(2.0,), unknown_misses=3, recovery=False)
    (first, _), (second, _) = bench.sent("order.place")
    assert len([t for t, _ in bench.sent("order.query") if first < t < second]) == 3


def test_old_intent_that_never_arrived_is_reported_as_rejected(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(20)

    bench = play(body, resend_within=1.0)
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "REJECTED"]
    assert len(bench.sent("order.place")) == 1


def test_resend_that_has_to_wait_gets_no_older_than_the_policy_says(play, tools):
    """The lane opens two seconds too late: what it would let out by then is another order."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        breaker = bench.connection.guard.breakers[Lane.ORDERS]
        breaker.force_open()
        await bench.clock.sleep(bench.sent("order.place")[0][0] + 22 - bench.clock.now())
        breaker.reset()
        await bench.clock.sleep(60)

    bench = play(body, resend_within=20.0, recovery=False)
    ((first, _),) = bench.sent("order.place")
    assert story_of(bench, "o1")[-1] == "REJECTED"
    # What was seen before the wait stays seen, since nothing has left: one more look is enough.
    assert len([t for t, _ in bench.sent("order.query") if t > first + 20.0]) == 1


def test_what_was_not_there_before_a_resend_says_nothing_after_it(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=2))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(60)

    looks = {"unknown_lookups": (8.0, 1.0), "unknown_misses": 3}
    bench = play(body, **looks, resend_within=60.0, recovery=False)
    _, (second, _), (third, _) = bench.sent("order.place")
    assert len([t for t, _ in bench.sent("order.query") if second < t < third]) >= 3


def test_order_that_nobody_can_settle_is_handed_to_a_person_once(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=lambda r: tools.Hang() if r.operation in {PLACE, QUERY} else None
        )
        with pytest.raises(FoxtrotError):
            await bench.engine.query_order(bench.by_id("o0"), "ALPHA")
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(200)
        assert bench.status("o1") == "UNKNOWN"
        orders = [a for a in bench.alerts if a.error.context.get("order_id") == "o1"]
        assert [a.error.outcome for a in orders] == [Outcome.UNKNOWN]

    play(body, cancel_on_close=False, recovery=False)


def test_refusal_is_an_answer_and_is_not_repeated(play):
    async def body(bench):
        with pytest.raises(OrderRejectionError) as caught:
            await bench.engine.send_order(bench.order("o1", price=49_000.001), "ALPHA")
        assert caught.value.outcome is Outcome.REJECTED

    bench = play(body)
    assert story_of(bench, "o1") == ["SUBMITTING", "REJECTED"]
    assert len(bench.sent("order.place")) == 1


@pytest.mark.parametrize("concurrent", [False, True])
def test_second_send_of_a_reference_is_refused(play, concurrent):
    """One id is one intent, for life: while it is under way, open, or long over."""

    async def body(bench):
        sends = [bench.engine.send_order(bench.order("o1"), "ALPHA") for _ in range(2)]
        if concurrent:
            first, second = await asyncio.gather(*sends, return_exceptions=True)
        else:
            first = await sends[0]
            with pytest.raises(OrderRejectionError) as caught:
                await sends[1]
            second = caught.value
        assert first == "ALPHA.o1"
        assert isinstance(second, OrderRejectionError)
        assert second.outcome is Outcome.NOT_SENT

    assert len(play(body).sent("order.place")) == 1


def test_acknowledgement_over_the_stream_stops_a_resend(play, tools):
    """A resend is waiting for its turn when the order shows itself: it is not sent."""

    async def body(bench):
        bench.link.rules["hold"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=1)
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)  # refused once, and waiting to try again
        shown = bench.order("o1").create_order_data("o1", "ALPHA")
        from dataclasses import replace

        bench.engine.pipeline.apply_order(
            bench.connection, replace(shown, venue_orderid="7", status=Status.NOTTRADED)
        )
        await sending

    bench = play(body, cancel_on_close=False)
    assert len(bench.sent("order.place")) == 1
    assert bench.status("o1") == "NOTTRADED"


def test_fill_alone_stops_a_resend(play, tools):
    """A fill proves that the order is there as well as an acknowledgement does."""

    async def body(bench):
        from foxtrot.util.object import TradeData

        bench.link.rules["hold"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=1)
        )
        request = bench.order("o1")
        sending = asyncio.create_task(bench.engine.send_order(request, "ALPHA"))
        await bench.clock.sleep(0.1)
        bench.engine.pipeline.apply_trade(
            TradeData(
                symbol="BTCUSDT",
                exchange=request.exchange,
                adapter_name="ALPHA",
                orderid="o1",
                tradeid="1",
                direction=Direction.LONG,
                volume=0.01,
            )
        )
        await sending

    bench = play(body, cancel_on_close=False)
    assert len(bench.sent("order.place")) == 1
    assert story_of(bench, "o1") == ["SUBMITTING", "trade 1", "ALLTRADED"]


def test_send_cancelled_in_flight_that_never_arrives_is_given_up(play, tools):
    """It is unknown until that is certain, and then not sent again: its sender has gone."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert bench.status("o1") == "UNKNOWN"
        await bench.clock.sleep(30)

    bench = play(body, heartbeat_interval=1000.0)
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "REJECTED"]
    assert len(bench.sent("order.place")) == 1


def test_send_cancelled_after_the_venue_booked_it_is_adopted(play):
    async def body(bench):
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.03)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert bench.status("o1") == "UNKNOWN"
        await bench.clock.sleep(3)
        assert bench.status("o1") == "NOTTRADED"

    assert play(body).booked() == [("o1", "CANCELED", 0.0)]


def test_send_cancelled_before_anything_left_is_rejected(play, tools):
    """And was never shown as under way, which it was not."""

    async def body(bench):
        bench.connection.ready = False
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        bench.connection.ready = True

    bench = play(body)
    assert story_of(bench, "o1") == ["REJECTED"]
    assert bench.sent("order.place") == []


def test_cancel_of_a_filled_order_returns_the_fill(play):
    """ "Unknown order" is answered by a look-up, which says what the order became."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        order = await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        assert order.status is Status.ALLTRADED

    play(body)


def test_question_that_a_refused_cancel_leads_to_ends_with_the_cancels_own_time(play, tools):
    """Who asks for a cancel waits for one deadline, and not for two."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        bench.asked_at = bench.clock.now()
        bench.link.rules["c"] = tools.Rule(
            sending=tools.on(CANCEL, tools.Fail(tools.refused), count=6)
        )
        bench.link.rules["q"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")

    bench = play(
        body,
        deadlines={**EnginePolicy().deadlines, Lane.CANCELS: 5.0},
        breaker=BreakerPolicy(enabled=False),
        retry_max_delay=0.5,
        max_retries=100,
        recovery=False,
    )
    questions = [t for t, _ in bench.sent("order.query")]
    assert questions[0] > bench.asked_at + 1.0
    assert bench.asked_at + 4.0 < questions[-1] < bench.asked_at + 5.0


def test_refusal_that_comes_after_the_cancels_time_is_the_answer(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        bench.link.rules["c"] = tools.Rule(replying=tools.on(CANCEL, Delay(3.0)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")

    deadlines = {**EnginePolicy().deadlines, Lane.CANCELS: 2.0}
    assert play(body, deadlines=deadlines, recovery=False).sent("order.query") == []


def test_order_that_leaves_twice_is_shown_once(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=1)
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")

    bench = play(body)
    assert len(bench.sent("order.place")) == 2
    assert story_of(bench, "o1")[:2] == ["SUBMITTING", "NOTTRADED"]


def test_fate_of_what_could_not_be_cancelled_is_as_urgent_as_the_cancel(play):
    """Behind all the orders that wait for a rate limit, it would be told half a minute late."""

    async def body(bench):
        await bench.engine.send_order(bench.order("gone"), "ALPHA")
        await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", retry_after=3.0))
        waiting = [
            asyncio.create_task(bench.engine.query_order(bench.by_id("gone"), "ALPHA"))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        again = await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        assert again.status is Status.CANCELLED
        assert not all(task.done() for task in waiting)
        await asyncio.gather(*waiting)

    play(body)


def test_questions_that_fail_do_not_open_the_breaker_before_cancels(play, tools):
    """What became of an order that could not be cancelled is a question, and fails as one."""

    async def body(bench):
        await bench.engine.send_order(bench.order("gone"), "ALPHA")
        await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        bench.link.rules["q"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        states = {lane: b.state for lane, b in bench.connection.guard.breakers.items()}
        assert states[Lane.CANCELS] is CircuitState.CLOSED
        assert states[Lane.QUERIES] is not CircuitState.CLOSED

    play(body, recovery=False)


def test_cancel_of_what_the_venue_does_not_know_raises(play, tools):
    async def body(bench):
        with pytest.raises(FoxtrotError) as caught:
            await bench.engine.cancel_order(bench.by_id("nothing"), "ALPHA")
        assert caught.value.context["code"] == -2011
        bench.link.rules["r"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(FoxtrotError) as caught:
            await bench.engine.cancel_order(bench.by_id("nothing"), "ALPHA")
        assert caught.value.context["code"] == -2011

    play(body)


def test_cancel_outage_is_raised_after_its_retries(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["r"] = tools.Rule(sending=tools.on(CANCEL, tools.Fail(tools.refused)))
        with pytest.raises(FoxtrotError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        bench.link.rules.clear()
        await bench.clock.sleep(15)

    bench = play(body)
    assert len(bench.sent("order.cancel")) > 3


def test_unknown_order_that_was_to_be_cancelled_is_not_sent_again(play, tools):
    """A cancel says that the intent is not wanted: should it not be there, it stays so."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        with pytest.raises(FoxtrotError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        await bench.clock.sleep(30)

    bench = play(body)
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "REJECTED"]
    assert len(bench.sent("order.place")) == 1


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


# `FOXTROT_SOAK=100000` runs as many seeds as it says.
SEEDS = int(os.environ.get("FOXTROT_SOAK", "1000"))


class Chaos:
    """Random trouble on a link, from one seed."""

    def __init__(self, tools, rng: Random) -> None:
        self.tools = tools
        self.rng = rng
        self.loses_next_ack = False

    def sending(self, request):
        if self.loses_next_ack and request.operation is PLACE:
            return None  # the premise: the venue books it
        return self._perhaps(0.25)

    def replying(self, request, reply):
        if self.loses_next_ack and request.operation is PLACE and reply.status < 400:
            self.loses_next_ack = False
            return self.tools.Hang()
        return self._perhaps(0.15)

    def framing(self, _connection_id, _frame):
        return self.tools.Hang() if self.rng.random() < 0.2 else None

    def _perhaps(self, probability):
        if self.rng.random() >= probability:
            return None
        from harness.network import Delay

        return self.rng.choice(
            [
                self.tools.Hang(),
                self.tools.Fail(self.tools.refused),
                self.tools.Fail(self.tools.reset),
                Delay(self.rng.uniform(0.1, 9.0)),
            ]
        )


@pytest.mark.parametrize("block", range(10))
def test_order_whose_submit_times_out_ends_as_one_order_filled_once(tools, block):
    """Whatever happens around it: refusals, resets, delays, lost frames, a broken connection."""
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        bench = _soaked(tools, seed)
        assert bench.booked() == [("o1", "FILLED", 0.01)], seed
        assert bench.status("o1") == "ALLTRADED", seed
        assert bench.position() == (0.01, 0.01), seed
        fills = [what for _, _, what in bench.published if what.startswith("trade")]
        assert len(fills) == 1, seed


def _soaked(tools, seed):
    async def main(loop):
        rng = Random(seed)
        bench = tools.Bench(loop, seed=seed)
        await bench.start()
        chaos = Chaos(tools, rng)
        chaos.loses_next_ack = True
        bench.link.rules["ack"] = tools.Rule(replying=chaos.replying)
        if rng.random() < 0.7:
            bench.link.rules["chaos"] = tools.Rule(sending=chaos.sending, framing=chaos.framing)
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1", price=0), "ALPHA"))
        await bench.clock.sleep(rng.uniform(0.0, 8.0))
        if rng.random() < 0.3:
            bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(rng.uniform(0.0, 15.0))
        bench.link.rules.clear()
        await asyncio.gather(sending, return_exceptions=True)
        for _ in range(120):
            await bench.clock.sleep(1.0)
            if bench.position() == (0.01, 0.01):
                break
        await bench.clock.sleep(15.0)  # in which a second order would show
        await bench.stop()
        return bench

    return run_virtual(main, max_time=2_000.0)
