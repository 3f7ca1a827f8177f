"""Orders on their way to a real venue: each arrives once, acknowledged or not."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest

from foxtrot.server.lockout import Lockout
from foxtrot.server.policy import Lane
from foxtrot.util.constants import Direction, Status
from foxtrot.util.errors import AuthenticationError, FoxtrotError, OrderRejectionError, Outcome

from .stories import PLACE, QUERY, story_of


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


def duplicate():
    return OrderRejectionError("o1", "Duplicate order sent.", outcome=Outcome.REJECTED)


@pytest.mark.parametrize("refusal", ["refused", "duplicate"])
def test_resend_that_was_refused_in_vain_leaves_what_was_seen_before_it_standing(
    play, tools, refusal
):
    """Nothing of it can be at the venue: one look after it is enough, and spares ten seconds.

    Not so where the venue has something against the order itself, such as that it has it.
    """

    async def body(bench):
        failure = duplicate if refusal == "duplicate" else tools.refused
        effects = chain([tools.Hang()], repeat(tools.Fail(failure)))
        bench.link.rules["r"] = tools.Rule(
            sending=lambda request: next(effects) if request.operation is PLACE else None
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(60)

    bench = play(body, resend_within=22.0, recovery=False)
    assert story_of(bench, "o1")[-1] == "REJECTED"
    tries = [t for t, _ in bench.sent("order.place")]
    assert len(tries) > 1
    looks = len([t for t, _ in bench.sent("order.query") if t > tries[-1]])
    assert looks == (3 if refusal == "duplicate" else 1)


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


async def send_without_an_answer(bench, tools):
    """The venue has the order, and nothing says so; the connection is not ready from then on."""
    bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
    bench.link.rules["lost"] = tools.Rule(
        replying=tools.on(PLACE, tools.Fail(tools.reset), count=1)
    )
    await bench.engine.send_order(bench.order("o1"), "ALPHA")
    bench.connection.ready = False


def test_silence_of_a_price_keeps_nobody_from_looking_an_order_up(play, tools):
    """One symbol is halted: the adapter is not ready for hours, and answers all the same."""

    async def body(bench):
        await send_without_an_answer(bench, tools)
        await bench.clock.sleep(60)
        assert not bench.engine.is_ready("ALPHA")
        assert bench.status("o1") == "NOTTRADED"

    play(body)


def no_connection(bench, *, is_on):
    if is_on:
        bench.link.drop(ConnectionResetError, code=1006, outcome="reset")
    bench.connection.ready = not is_on


def pings_unanswered(bench, *, is_on):
    bench.connection.guard.pinged(ConnectionResetError() if is_on else None)


def questions_held_back(bench, *, is_on):
    breaker = bench.connection.guard.breakers[Lane.QUERIES]
    breaker.force_open() if is_on else breaker.reset()


def venue_cut_off(bench, *, is_on):
    bench.connection.adapter.one_connection = True
    bench.connection._is_unproven = is_on


def credentials_refused(bench, *, is_on):
    lockout = bench.connection.guard.lockout = Lockout("ALPHA", bench.clock)
    if is_on:
        refused = {"context": {"code": 401}, "recoverable": False}
        lockout.take(AuthenticationError("ALPHA", "refused", **refused))


@pytest.mark.parametrize(
    "trouble",
    [no_connection, pings_unanswered, questions_held_back, venue_cut_off, credentials_refused],
)
def test_order_is_not_looked_up_while_the_venue_is_away(play, tools, trouble):
    """Asking would teach nothing, and no time counts as long as nobody can be asked."""

    async def body(bench):
        await send_without_an_answer(bench, tools)
        trouble(bench, is_on=True)
        await bench.clock.sleep(300)
        assert bench.sent("order.query") == []
        assert bench.alerts == []
        trouble(bench, is_on=False)
        await bench.clock.sleep(10)
        assert bench.status("o1") == "NOTTRADED"

    play(body, recovery=False)


def test_questions_that_try_whether_the_venue_is_back_cost_an_order_no_time(play, tools):
    """The breaker lets one out now and then, and nothing else would ever close it."""

    async def body(bench):
        await send_without_an_answer(bench, tools)
        bench.link.rules["away"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        await bench.clock.sleep(1000)
        assert bench.status("o1") == "UNKNOWN"
        assert [a for a in bench.alerts if a.error.context.get("order_id") == "o1"] == []
        del bench.link.rules["away"]
        await bench.clock.sleep(60)
        assert bench.status("o1") == "NOTTRADED"

    play(body, recovery=False)


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


def test_order_that_leaves_twice_is_shown_once(play, tools):
    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=1)
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")

    bench = play(body)
    assert len(bench.sent("order.place")) == 2
    assert story_of(bench, "o1")[:2] == ["SUBMITTING", "NOTTRADED"]
