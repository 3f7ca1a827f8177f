"""Symbols that the venue does not take, or no longer: the others are none the worse for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foxtrot.adapter.session import Operation, VenueReply
from foxtrot.server.policy import Lane
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.classification import classify_code
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import (
    AuthenticationError,
    DataValidationError,
    ErrorCategory,
    FoxtrotError,
    MarketDataError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.object import SubscribeRequest
from harness.network import Replace
from harness.venue import Reject

TYPO = SubscribeRequest(symbol="TYPOUSDT", exchange=Exchange.BINANCE)
BITCOIN = SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE)
REFUSED = {
    "category": ErrorCategory.MARKET_DATA,
    "recoverable": False,
    "outcome": Outcome.REJECTED,
}


def others(count):
    return [SubscribeRequest(symbol=f"S{n}", exchange=Exchange.BINANCE) for n in range(count)]


def only(taken):
    """A venue's answer to `subscribe`: what it does not take makes it refuse the whole request."""
    asked = []

    async def subscribe(requests):
        asked.append([request.symbol for request in requests])
        if any(request not in taken for request in requests):
            raise FoxtrotError("no such symbol", **REFUSED)

    return subscribe, asked


def test_refused_symbol_is_not_kept(play):
    """Its user has the refusal. Prices and orders of the others go on."""

    async def body(bench):
        with pytest.raises(FoxtrotError, match="Invalid symbol"):
            await bench.engine.subscribe([TYPO], "ALPHA")
        assert bench.connection.subscriptions == [BITCOIN]
        opened = len(bench.opened())
        await bench.clock.sleep(60.0)
        assert bench.engine.is_ready("ALPHA")
        assert await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert len(bench.opened()) == opened

    bench = play(body)
    assert bench.recoveries() == []
    assert bench.alerts == []


def unlisted(monkeypatch, bench, symbols):
    """Make the adapter refuse symbols by itself, as one does that knows what its venue lists."""
    subscribe = bench.connection.adapter.subscribe

    async def listed_only(requests):
        for request in requests:
            if request.symbol in symbols:
                raise DataValidationError("symbol", "not listed", outcome=Outcome.NOT_SENT)
        await subscribe(requests)

    monkeypatch.setattr(bench.connection.adapter, "subscribe", listed_only)


def test_symbol_that_the_adapter_refuses_by_itself_is_not_kept_either(play, monkeypatch):
    async def body(bench):
        unlisted(monkeypatch, bench, {"TYPOUSDT"})
        with pytest.raises(DataValidationError):
            await bench.engine.subscribe([TYPO], "ALPHA")
        assert bench.connection.subscriptions == [BITCOIN]

    play(body)


def test_symbol_that_the_adapter_no_longer_knows_is_set_aside_at_a_reconnect(play, monkeypatch):
    async def body(bench):
        bench.connection.subscriptions.append(TYPO)
        unlisted(monkeypatch, bench, {"TYPOUSDT"})
        await bench.connection.reconnect()
        assert bench.connection.subscriptions == [BITCOIN]

    assert "TYPOUSDT" in play(body).alerts[0].error.message


def test_subscription_that_meets_a_broken_connection_is_kept(play, tools):
    async def body(bench):
        bench.link.rules["down"] = tools.Rule(
            sending=tools.on(Operation.SUBSCRIBE, tools.Fail(tools.reset), count=1)
        )
        with pytest.raises(FoxtrotError):
            await bench.engine.subscribe([TYPO], "ALPHA")
        assert bench.connection.subscriptions == [BITCOIN, TYPO]

    play(body, recovery=False)


def test_refusal_is_an_answer_that_proves_the_line(play):
    """Over a gateway's one connection cancels and questions go on, whatever it refuses."""

    async def body(bench):
        connection = bench.connection
        connection.adapter.one_connection = True

        async def subscribe(_requests):
            raise AuthenticationError("ALPHA", "no right to quotes")

        connection.adapter.subscribe = subscribe
        with pytest.raises(AuthenticationError):
            await connection.reconnect()
        assert not connection.ready
        connection.require_line()

    play(body, recovery=False)


def test_symbol_that_is_refused_at_a_reconnect_is_set_aside(play):
    """The venue delisted it meanwhile. A person is told once, and the others go on."""

    async def body(bench):
        bench.connection.subscriptions.insert(0, TYPO)
        await bench.connection.reconnect()
        await bench.engine.bring_up(bench.connection)
        await bench.connection.reconnect()
        await bench.clock.sleep(60.0)
        assert bench.engine.is_ready("ALPHA")
        assert bench.connection.subscriptions == [BITCOIN]
        assert await bench.engine.send_order(bench.order("o1"), "ALPHA")

    bench = play(body)
    (alert,) = bench.alerts
    assert alert.error.context["vt_symbol"] == "TYPOUSDT.BINANCE"
    assert "Invalid symbol" in alert.error.message


def test_contract_that_ib_does_not_allow_this_account_is_set_aside(play):
    """Its code 203 is about one contract, and not about who asks: the others go on."""

    async def body(bench):
        subscribe = bench.connection.adapter.subscribe

        async def allowed_only(requests):
            if TYPO in requests:
                words = "The security TYPO is not available or allowed for this account"
                raise classify_code("ib", 203, words, operation="stream.subscribe")
            await subscribe(requests)

        bench.connection.adapter.subscribe = allowed_only
        bench.connection.subscriptions.append(TYPO)
        await bench.connection.reconnect()
        assert bench.connection.subscriptions == [BITCOIN]

    assert "TYPO" in play(body, heartbeat_interval=1000.0).alerts[0].error.message


def test_order_in_a_symbol_that_was_set_aside_is_refused(play):
    """Nobody has a fresh price of it. Whoever gives the subscription up may trade it blindly."""

    async def body(bench):
        bench.connection.subscriptions.append(TYPO)
        await bench.connection.resubscribe()
        with pytest.raises(MarketDataError, match="no price, the venue refuses") as caught:
            await bench.engine.send_order(replace(bench.order("o1"), symbol=TYPO.symbol), "ALPHA")
        assert caught.value.outcome is Outcome.NOT_SENT
        assert bench.status("o1") == "none"
        with pytest.raises(FoxtrotError, match="Invalid symbol"):
            await bench.engine.subscribe([TYPO], "ALPHA")
        bench.connection.require_priced(TYPO.vt_symbol)

    bench = play(body)
    assert bench.sent("order.place") == []


def test_symbol_that_was_set_aside_can_be_subscribed_again(play):
    async def body(bench):
        connection = bench.connection
        connection.subscriptions.append(TYPO)
        await connection.resubscribe()
        connection.adapter.subscribe, _ = only([BITCOIN, TYPO])
        await bench.engine.subscribe([TYPO], "ALPHA")
        assert connection.subscriptions == [BITCOIN, TYPO]
        connection.require_priced(TYPO.vt_symbol)

    play(body, heartbeat_interval=1000.0)


def test_refused_symbols_are_found_by_halves_and_told_together(play):
    async def body(bench):
        wanted = others(64)
        subscribe, asked = only(wanted[:40] + wanted[41:63])
        bench.connection.adapter.subscribe = subscribe
        bench.connection.subscriptions = list(wanted)
        await bench.connection.resubscribe()
        assert [r.symbol for r in wanted if r not in bench.connection.subscriptions] == [
            "S40",
            "S63",
        ]
        assert asked[:2] == [[r.symbol for r in wanted], []]
        assert asked[-1] == [r.symbol for r in bench.connection.subscriptions]
        assert len(asked) < 30

    bench = play(body, heartbeat_interval=1000.0)
    (alert,) = bench.alerts
    assert alert.error.context["vt_symbol"] == "S40.BINANCE, S63.BINANCE"


def test_refusal_of_the_account_s_own_stream_sets_nothing_aside(play):
    """What is amiss is no symbol, then: the connection is not known there any more, say."""

    async def body(bench):
        asked = []

        async def refuse(requests):
            asked.append(requests)
            raise FoxtrotError("no such connection", **REFUSED)

        bench.connection.adapter.subscribe = refuse
        with pytest.raises(FoxtrotError, match="no such connection"):
            await bench.connection.resubscribe()
        assert asked == [(BITCOIN,), ()]
        assert bench.connection.subscriptions == [BITCOIN]
        assert bench.connection.needs_subscribing()

    assert play(body, heartbeat_interval=1000.0).alerts == []


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("ALPHA", "no such key"),
        RateLimitError("ALPHA", 5.0),
        FoxtrotError("not understood", **{**REFUSED, "outcome": Outcome.UNKNOWN}),
    ],
    ids=["credentials", "pace", "unread"],
)
def test_what_is_refused_for_another_reason_is_asked_for_once(play, error):
    async def body(bench):
        asked = []

        async def subscribe(requests):
            asked.append(requests)
            raise error

        bench.connection.adapter.subscribe = subscribe
        with pytest.raises(type(error)):
            await bench.connection.resubscribe()
        assert asked == [(BITCOIN,)]
        assert bench.connection.subscriptions == [BITCOIN]

    play(body, heartbeat_interval=1000.0, recovery=False)


def test_who_waits_for_ticks_of_a_symbol_that_is_set_aside_waits_no_longer(play):
    async def body(bench):
        connection = bench.connection
        connection.subscriptions.append(TYPO)
        waiting = bench.loop.create_task(connection.wait_ticking())
        await bench.clock.sleep(0.3)
        assert not waiting.done()
        await connection.resubscribe()
        began = bench.now
        await waiting
        assert bench.now - began < 0.5

    play(body, heartbeat_interval=1000.0)


@pytest.mark.parametrize("is_known", [False, True])
def test_fills_that_the_venue_does_not_tell_of_such_a_symbol_hold_nothing_up(play, tools, is_known):
    """One that it delisted it knows nothing of any more. Of any other symbol its fills are due."""

    async def body(bench):
        await bench.engine.send_order(bench.order(price=0), "ALPHA")
        await bench.clock.sleep(1.0)
        gone = Replace(VenueReply(status=400, body=b'{"code":-1121,"msg":"Invalid symbol."}'))

        def refuse(request, _reply):
            asks = "BTCUSDT" in (request.params.get("symbol"), *request.params.get("symbols", ()))
            is_asked = request.operation is Operation.TRADES
            is_asked |= request.operation is Operation.SUBSCRIBE and not is_known
            return gone if asks and is_asked else None

        bench.link.rules["gone"] = tools.Rule(replying=refuse)
        await bench.connection.reconnect()
        if is_known:
            with pytest.raises(FoxtrotError, match="Invalid symbol"):
                await bench.engine.bring_up(bench.connection)
        else:
            await bench.engine.bring_up(bench.connection)
        assert bench.engine.is_ready("ALPHA") is not is_known
        bench.link.rules.clear()

    play(body, heartbeat_interval=1000.0)


def of_no_more(tools, *operations):
    """Bitcoin is delisted: whatever is asked of it by these operations is refused."""
    gone = Replace(VenueReply(status=400, body=b'{"code":-1121,"msg":"Invalid symbol."}'))

    def refuse(request, _reply):
        named = (request.params.get("symbol"), *request.params.get("symbols", ()))
        return gone if "BTCUSDT" in named and request.operation in operations else None

    return tools.Rule(replying=refuse)


def unlisted_orders(tools):
    none = Replace(VenueReply(status=200, body=b'{"orders":[]}'))
    return tools.Rule(replying=tools.on(Operation.OPEN_ORDERS, none))


def shut_gate(guard):
    guard.order_gate.hold(RateLimitError("ALPHA", 5.0))


def shut_common_gate(guard):
    guard.gate.hold(RateLimitError("ALPHA", 5.0))


def open_breaker(guard):
    breaker = guard.breakers[Lane.ORDERS]
    while breaker.state is CircuitState.CLOSED:
        breaker.acquire().failure(ConnectionError())


@pytest.mark.parametrize("keep_waiting", [shut_gate, shut_common_gate, open_breaker])
def test_order_that_waits_while_its_symbol_is_set_aside_does_not_go(play, tools, keep_waiting):
    """Nobody has a fresh price of it by then, and its caller is told so, as of a new one."""

    async def body(bench):
        keep_waiting(bench.connection.guard)
        waiting = bench.loop.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)
        bench.link.rules["gone"] = of_no_more(tools, Operation.SUBSCRIBE)
        await bench.connection.resubscribe()
        with pytest.raises(MarketDataError, match="no price, the venue refuses") as caught:
            await waiting
        assert caught.value.outcome is Outcome.NOT_SENT
        await bench.clock.sleep(60.0)
        assert bench.status("o1") == "REJECTED"
        assert bench.booked() == []

    bench = play(body, heartbeat_interval=1000.0)
    assert bench.sent("order.place") == []
    assert [(what, status) for _, what, status in bench.published] == [("ALPHA.o1", "REJECTED")]


def test_refused_order_that_waits_for_its_next_try_does_not_go_then(play, tools):
    async def body(bench):
        limit = Reject(code=-1015, message="Too many new orders.", status=429, retry_after=5.0)
        bench.venue.impose("limit", limit)
        waiting = bench.loop.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)
        bench.venue.lift("limit")
        bench.link.rules["gone"] = of_no_more(tools, Operation.SUBSCRIBE)
        await bench.connection.resubscribe()
        with pytest.raises(MarketDataError) as caught:
            await waiting
        assert caught.value.outcome is Outcome.NOT_SENT

    assert len(play(body, heartbeat_interval=1000.0).sent("order.place")) == 1


def test_lost_order_is_not_sent_again_once_its_symbol_is_set_aside(play, tools):
    """No look-up finds it: it never arrived, and by now it must not."""

    async def body(bench):
        bench.link.rules["lost"] = tools.Rule(
            sending=tools.on(Operation.PLACE_ORDER, tools.Hang(), count=1)
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        bench.link.rules["gone"] = of_no_more(tools, Operation.SUBSCRIBE)
        await bench.connection.resubscribe()
        await bench.clock.sleep(60.0)
        assert bench.status("o1") == "REJECTED"
        assert bench.booked() == []

    assert len(play(body, heartbeat_interval=1000.0).sent("order.place")) == 1


def test_order_that_the_venue_does_not_tell_of_otherwise_is_waited_for(play, tools):
    """Of a symbol that it takes, such a refusal says that something is amiss with the question."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["gone"] = of_no_more(tools, Operation.QUERY_ORDER)
        bench.link.rules["unlisted"] = unlisted_orders(tools)
        with pytest.raises(FoxtrotError, match="Invalid symbol"):
            await bench.engine.bring_up(bench.connection)
        assert bench.status("o1") == "NOTTRADED"
        bench.link.rules.clear()

    play(body, heartbeat_interval=1000.0)


def test_order_that_the_venue_does_not_tell_of_for_its_symbol_holds_nothing_up(play, tools):
    """It is delisted. What became of the order nobody says; a person is told, and it goes on."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        gone = (Operation.SUBSCRIBE, Operation.QUERY_ORDER, Operation.TRADES)
        bench.link.rules["gone"] = of_no_more(tools, *gone)
        bench.link.rules["unlisted"] = unlisted_orders(tools)
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(60.0)
        assert bench.engine.is_ready("ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        await bench.clock.sleep(300.0)
        assert bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()
        await bench.clock.sleep(120.0)
        assert bench.status("o1") == "NOTTRADED"

    bench = play(body)
    assert len(bench.sent("order.place")) == 1
    assert "UnknownOrderError" in {type(alert.error).__name__ for alert in bench.alerts}


def test_symbol_that_was_refused_again_holds_nothing_up_either(play, tools):
    """Its user gave the subscription up and still holds it: the venue knows it no better."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        await bench.clock.sleep(1.0)
        bench.link.rules["gone"] = of_no_more(tools, Operation.SUBSCRIBE, Operation.TRADES)
        await bench.connection.reconnect()
        with pytest.raises(FoxtrotError, match="Invalid symbol"):
            await bench.engine.subscribe([BITCOIN], "ALPHA")
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(60.0)
        assert bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()

    play(body)
