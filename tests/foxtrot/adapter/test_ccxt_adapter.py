"""The adapter over the real ccxt client, against the venue on the wire, on loopback."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from foxtrot.adapter.base_adapter import AdapterStatus
from foxtrot.adapter.ccxt_adapter import CcxtAdapter, binance_client
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import ErrorCategory, FoxtrotError, Outcome, RateLimitError
from foxtrot.util.event import EVENT_ERROR, EVENT_ORDER, EVENT_TICK, EVENT_TRADE, Event
from foxtrot.util.object import CancelRequest, OrderRequest, SubscribeRequest

pytest.importorskip("ccxt", reason="pip install ccxt")
pytest.importorskip("aiohttp", reason="pip install aiohttp")

pytestmark = [
    pytest.mark.asyncio,
    # What ccxt and its dependencies warn of is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
SYMBOL = "BTCUSDT"
PATIENCE = 5.0


@pytest.fixture(autouse=True)
def _cleared() -> Iterator[None]:
    """What the library leaves unclosed must not trouble the tests after these."""
    yield
    gc.collect()


class Sink:
    """What the adapter pushed, by type."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: str) -> list[Any]:
        return [event.data for event in self.events if event.type == kind]


class Desk:
    """An adapter, what it pushed, and the venue that it talks to."""

    def __init__(
        self,
        server: Any,
        *,
        secret: str = "secret-main",
        ahead: float = 0.0,
    ) -> None:
        self.server = server
        self.secret = secret
        self.ahead = ahead
        self.sink = Sink()
        self.adapter = CcxtAdapter(self.sink, "BINANCE", client=self._client)

    def _client(self) -> Any:
        client = binance_client({"apiKey": "key-main", "secret": self.secret})
        # ccxt's own clock, as wrong as it is asked to be: the server's is the real one.
        client.milliseconds = lambda: int((time.time() + self.ahead) * 1000)
        api, ws = client.urls["api"], self.server.url.replace("http", "ws")
        client.urls["api"] = {
            **{
                name: url.replace("https://api.binance.com", self.server.url)
                for name, url in api.items()
                if isinstance(url, str)
            },
            "ws": {
                **api["ws"],
                "spot": f"{ws}/ws",
                "ws-api": {**api["ws"]["ws-api"], "spot": f"{ws}/ws-api/v3"},
            },
        }
        return client

    async def watch(self) -> None:
        await self.adapter.subscribe([SubscribeRequest(symbol=SYMBOL, exchange=Exchange.BINANCE)])
        await self.until(lambda: bool(self.sink.of(EVENT_TICK)))
        await self.until(lambda: len(self.server.front.connection_ids()) == 2)
        await asyncio.sleep(0.1)  # the account's stream is open, and now also subscribed

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what():  # noqa: ASYNC110 - what it waits for is the venue's, and sets nothing
                await asyncio.sleep(0.01)

    async def refused(self, call: Any) -> FoxtrotError:
        with pytest.raises(FoxtrotError) as caught:
            await call
        return caught.value


@asynccontextmanager
async def _desk(**options: Any) -> AsyncIterator[Desk]:
    from harness.wire import WireConfig, WireServer

    async with WireServer(WireConfig(tick_interval=0.05)) as server:
        desk = Desk(server, **options)
        await desk.adapter.connect()
        try:
            yield desk
        finally:
            await desk.adapter.disconnect()


def buys(reference: str, **changes: Any) -> OrderRequest:
    fields = {"type": OrderType.LIMIT, "price": 30_000.0, "volume": 0.01, **changes}
    return OrderRequest(
        symbol=SYMBOL,
        exchange=Exchange.BINANCE,
        direction=Direction.LONG,
        reference=reference,
        **fields,
    )


def named(orderid: str) -> CancelRequest:
    return CancelRequest(symbol=SYMBOL, exchange=Exchange.BINANCE, orderid=orderid)


class TestOrders:
    async def test_one_is_placed_found_and_cancelled_under_our_own_id(self) -> None:
        """The client order id is ours from the first to the last word about the order."""
        async with _desk() as desk:
            placed = await desk.adapter.send_order(buys("mine-1"))
            found = await desk.adapter.query_order(named("mine-1"))
            open_orders = await desk.adapter.query_open_orders()
            gone = await desk.adapter.cancel_order(named("mine-1"))
            assert found is not None
            seen = [(each.orderid, each.status) for each in (placed, found, *open_orders, gone)]
        assert seen == [("mine-1", Status.NOTTRADED)] * 3 + [("mine-1", Status.CANCELLED)]

    async def test_one_that_was_answered_just_before_a_disconnect_is_placed(self) -> None:
        """Of an order that the venue booked nobody may say that it was never sent."""
        async with _desk() as desk:
            create_order = desk.adapter._client.create_order

            async def answered_and_gone(*args: Any) -> Any:
                answer = await create_order(*args)
                await desk.adapter.disconnect()
                return answer

            desk.adapter._client.create_order = answered_and_gone
            placed = await desk.adapter.send_order(buys("intent-1"))
            assert (placed.orderid, placed.status) == ("intent-1", Status.NOTTRADED)

    async def test_one_that_the_venue_does_not_know_is_none_and_no_error(self) -> None:
        """Only the venue's own word makes "there is no such order"."""
        async with _desk() as desk:
            assert await desk.adapter.query_order(named("never")) is None

    async def test_fills_are_listed_under_the_order_they_belong_to(self) -> None:
        """A fill names the venue's number only; whose order that is, is looked up."""
        async with _desk() as desk:
            await desk.watch()
            await desk.adapter.send_order(buys("mine-1", type=OrderType.MARKET, price=0.0))
            desk.adapter._client_ids._known.clear()  # as after a new start
            (trade,) = await desk.adapter.query_trades(SYMBOL)
            assert (trade.orderid, trade.volume) == ("mine-1", 0.01)
            assert await desk.adapter.query_trades(SYMBOL, after=trade.tradeid) == []

    async def test_balances_are_the_venues(self) -> None:
        """What is bound in an open order is frozen."""
        async with _desk() as desk:
            await desk.adapter.send_order(buys("mine-1"))
            frozen = {a.accountid: a.frozen for a in await desk.adapter.query_account()}
        assert frozen["USDT"] == 300.0


class TestStreams:
    async def test_prices_orders_and_fills_are_pushed(self) -> None:
        """Several fills of one order among them, on which ccxt's own book of fills breaks."""
        async with _desk() as desk:
            from harness.venue import ThinBook

            desk.server.venue.impose("thin", ThinBook(quantity=0.1))
            await desk.watch()
            await desk.adapter.send_order(buys("mine-1", volume=0.3, price=70_000.0))
            await desk.until(lambda: sum(t.volume for t in desk.sink.of(EVENT_TRADE)) > 0.29)
            assert len(desk.sink.of(EVENT_TRADE)) > 1
            assert {trade.orderid for trade in desk.sink.of(EVENT_TRADE)} == {"mine-1"}
            assert {order.orderid for order in desk.sink.of(EVENT_ORDER)} == {"mine-1"}
            assert desk.sink.of(EVENT_ERROR) == []

    async def test_a_symbol_that_the_venue_does_not_list_is_refused(self) -> None:
        """Whoever subscribes hears of it, and finds nothing begun."""
        async with _desk() as desk:
            asked = [
                SubscribeRequest(symbol=symbol, exchange=Exchange.BINANCE)
                for symbol in (SYMBOL, "NOSUCH")
            ]
            error = await desk.refused(desk.adapter.subscribe(asked))
            assert (error.category, error.outcome) == (ErrorCategory.VALIDATION, Outcome.NOT_SENT)
            assert "NOSUCH" in str(error)
            assert desk.adapter._tasks == []
            await desk.watch()

    async def test_a_price_that_is_none_is_told_and_not_handed_on(self) -> None:
        async with _desk() as desk:
            await desk.watch()
            body = await desk.adapter._client.fetch_ticker("BTC/USDT")
            seen = len(desk.sink.of(EVENT_TICK))
            desk.adapter._push_tick({**body, "last": 0.0, "close": 0.0}, SYMBOL)
            assert [error.category for error in desk.sink.of(EVENT_ERROR)] == [
                ErrorCategory.MARKET_DATA
            ]
            assert len(desk.sink.of(EVENT_TICK)) == seen

    async def test_a_lost_connection_is_told_though_ccxt_would_mend_it_silently(self) -> None:
        """What was pushed meanwhile is gone, so somebody has to know."""
        async with _desk() as desk:
            await desk.watch()
            desk.server.front.drop(ConnectionResetError, code=1006, outcome="reset")
            await desk.until(lambda: bool(desk.sink.of(EVENT_ERROR)))
            error = desk.sink.of(EVENT_ERROR)[0]
            assert error.category is ErrorCategory.CONNECTION
            assert error.context["correlation_id"] == "BINANCE-c1"
            assert not desk.adapter.connected

    async def test_a_user_stream_that_the_venue_ends_is_told(self) -> None:
        """ccxt tells nobody who waits for orders: they wait for ever, on a socket that is open."""
        async with _desk() as desk:
            await desk.watch()
            desk.server.conductor.impose({"kind": "session_expired", "variant": "told"})
            await desk.until(lambda: bool(desk.sink.of(EVENT_ERROR)))
            (error,) = desk.sink.of(EVENT_ERROR)
            assert (error.category, error.context["code"]) == (ErrorCategory.CONNECTION, "expired")
            assert not desk.adapter.connected

    async def test_a_user_stream_that_the_venue_refuses_is_told_with_its_reason(self) -> None:
        """ccxt raises a KeyError over it: refused credentials looked like a reply out of form."""
        async with _desk(secret="wrong") as desk:
            await desk.adapter.subscribe(
                [SubscribeRequest(symbol=SYMBOL, exchange=Exchange.BINANCE)]
            )
            await desk.until(lambda: bool(desk.sink.of(EVENT_ERROR)))
            (error,) = desk.sink.of(EVENT_ERROR)
            assert error.category is ErrorCategory.AUTHENTICATION
            assert "-1022" in str(error)
            assert not desk.adapter.connected

    async def test_a_clock_that_is_off_is_off_on_the_next_connection_too(self) -> None:
        """Measured for one client only, it had each new one refused, and none ever became ready."""
        async with _desk(ahead=20.0) as desk:
            with pytest.raises(FoxtrotError, match="-1021"):
                await desk.adapter.query_account()
            await desk.adapter.resync()
            assert await desk.adapter.query_account()
            await desk.adapter.connect()
            assert await desk.adapter.query_account()
            await desk.watch()
            assert desk.sink.of(EVENT_ERROR) == []

    async def test_connecting_anew_ends_what_is_left_of_the_earlier_connection(self) -> None:
        """Also without a disconnect in between: its client is closed, and its streams are."""
        async with _desk() as desk:
            await desk.watch()
            earlier = desk.adapter._client
            await desk.adapter.connect()
            assert earlier.session is None
            assert earlier.clients == {}
            desk.sink.events.clear()
            await desk.watch()
            assert desk.adapter.connected
            assert desk.sink.of(EVENT_ERROR) == []

    async def test_a_ping_goes_over_the_streams_and_costs_no_request(self) -> None:
        """During a ban each request makes it longer; a heartbeat must be none."""
        async with _desk() as desk:
            await desk.watch()
            desk.server.conductor.impose({"kind": "ban", "for": "5s"})
            await desk.adapter.ping()
            error = await desk.refused(desk.adapter.query_account())
            assert error.category is ErrorCategory.RATE_LIMIT

    async def test_a_late_pong_is_not_taken_for_the_answer_to_another_ping(self) -> None:
        """A pong bears no name: the one that is due is the last of those that are."""
        async with _desk() as desk:
            await desk.watch()
            desk.server.conductor.impose({"kind": "latency", "delay": "300ms", "jitter": "0s"})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.15):
                    await desk.adapter.ping()
            began = asyncio.get_running_loop().time()
            await desk.adapter.ping()
            assert asyncio.get_running_loop().time() - began >= 0.29


class TestReplies:
    @pytest.mark.parametrize("variant", ["empty", "truncated", "html"])
    async def test_one_that_is_no_order_leaves_the_outcome_unknown(self, variant: str) -> None:
        """ccxt makes an order of it, without an id; the real one stands at the venue."""
        async with _desk() as desk:
            desk.server.conductor.impose({"kind": "malformed", "variant": variant, "first": 1})
            error = await desk.refused(desk.adapter.send_order(buys("mine-1")))
            assert error.outcome is Outcome.UNKNOWN
            assert error.recoverable  # garbled on the way: the next may be whole
            assert error.context["client_id"] == "mine-1"
            assert error.context["correlation_id"] == "BINANCE-r2"
            assert await desk.adapter.query_order(named("mine-1")) is not None

    async def test_one_whose_names_are_new_is_for_a_person_to_mend(self) -> None:
        """It arrives whole every time, and can never be read."""
        async with _desk() as desk:
            desk.server.conductor.impose({"kind": "renamed_field", "first": 2})
            placed = await desk.refused(desk.adapter.send_order(buys("mine-1")))
            assert (placed.outcome, placed.recoverable) == (Outcome.UNKNOWN, False)
            listed = await desk.refused(desk.adapter.query_open_orders())
            assert (listed.category, listed.recoverable) == (ErrorCategory.VALIDATION, False)

    @pytest.mark.parametrize("text", ["", "{}", "null", '""', "0", "<html>busy</html>"])
    async def test_an_empty_one_does_not_say_that_there_is_nothing(self, text: str) -> None:
        """ccxt makes an empty list of some of these: no fills, no open orders."""
        async with _desk() as desk:
            client = desk.adapter._client

            async def fetch(*_request: Any, **_options: Any) -> Any:
                client.last_http_response = text
                return client.parse_json(text)

            client.fetch = fetch
            for call in (desk.adapter.query_open_orders(), desk.adapter.query_trades(SYMBOL)):
                error = await desk.refused(call)
                assert (error.category, error.outcome) == (ErrorCategory.VALIDATION, Outcome.NONE)
                assert error.recoverable  # the next may be whole

    @pytest.mark.parametrize("text", ["[]", ' {"result": {"list": []}}', '{"data": {}, "code": 0}'])
    async def test_a_list_of_nothing_is_one_wrapped_or_not(self, text: str) -> None:
        """Other venues than Binance wrap their lists; ccxt hands them out alike."""
        async with _desk() as desk:
            client = desk.adapter._client

            async def nothing(*_query: Any) -> list[Any]:
                client.last_http_response = text
                return []

            client.fetch_open_orders = client.fetch_my_trades = nothing
            assert await desk.adapter.query_open_orders() == []
            assert await desk.adapter.query_trades(SYMBOL) == []

    async def test_one_that_is_lost_leaves_the_outcome_unknown(self) -> None:
        """A timeout is no rejection."""
        async with _desk() as desk:
            desk.server.conductor.impose({"kind": "ack_lost", "first": 1})
            patience, desk.adapter.request_timeout = desk.adapter.request_timeout, 0.3
            error = await desk.refused(desk.adapter.send_order(buys("mine-1")))
            desk.adapter.request_timeout = patience  # only what is lost may take no longer
            assert (error.category, error.outcome) == (ErrorCategory.CONNECTION, Outcome.UNKNOWN)
            assert await desk.adapter.query_order(named("mine-1")) is not None

    @pytest.mark.parametrize("kind", ["rate_limit", "ban"])
    async def test_a_refusal_carries_the_wait_that_ccxt_drops(self, kind: str) -> None:
        """Retry-After is taken from the headers, which ccxt keeps from its exceptions."""
        async with _desk() as desk:
            desk.server.conductor.impose({"kind": kind, "for": "5s"})
            error = await desk.refused(desk.adapter.query_account())
            assert error.category is ErrorCategory.RATE_LIMIT
            assert error.retry_after == pytest.approx(5.0, abs=1.1)

    async def test_a_revoked_key_is_no_rate_limit(self) -> None:
        """ccxt says DDoSProtection, once any signed call has succeeded before."""
        async with _desk() as desk:
            await desk.adapter.query_account()
            desk.server.conductor.impose({"kind": "key_revoked"})
            error = await desk.refused(desk.adapter.query_account())
            assert error.category is ErrorCategory.AUTHENTICATION

    async def test_errors_side_by_side_name_their_own_requests(self) -> None:
        """Requests under way at the same time do not take each other's names."""
        async with _desk() as desk:
            desk.server.conductor.impose({"kind": "rate_limit"})
            errors = await asyncio.gather(
                *(desk.refused(desk.adapter.query_order(named(f"m-{n}"))) for n in range(3))
            )
            named_as = {e.context["client_id"]: e.context["correlation_id"] for e in errors}
        assert named_as == {f"m-{n}": f"BINANCE-r{n + 2}" for n in range(3)}


async def test_without_a_connection_nothing_is_sent() -> None:
    """Before `connect` and after `disconnect` the answer is: not sent."""
    async with _desk() as desk:
        await desk.adapter.disconnect()
        error = await desk.refused(desk.adapter.send_order(buys("mine-1")))
        assert error.outcome is Outcome.NOT_SENT
        assert error.context["correlation_id"] == "BINANCE-c1"
        assert desk.server.venue.ledger.orders().get("main", []) == []


async def test_options_of_the_user_are_added_to_those_that_trading_needs() -> None:
    """They took their place: open orders could not be asked for any more."""
    client = binance_client({"options": {"recvWindow": 5000}})
    assert client.options["recvWindow"] == 5000
    assert client.options["fetchMarkets"]["types"] == ["spot"]
    assert client.options["warnOnFetchOpenOrdersWithoutSymbol"] is False


@pytest.mark.parametrize(("milliseconds", "lifetime"), [(60_000, 60.0), (5_000, 10.0)])
async def test_a_request_lives_as_long_as_the_client_lets_it(
    milliseconds: int, lifetime: float
) -> None:
    """Taken for dead after ten seconds, an order that was lost is sent again and may come twice."""
    async with _desk() as desk:
        plain = desk.adapter._make_client

        def patient() -> Any:
            client = plain()
            client.options["recvWindow"] = milliseconds
            return client

        desk.adapter._make_client = patient
        await desk.adapter.connect()
        assert desk.adapter.request_lifetime == lifetime


async def test_a_client_of_another_venue_is_refused() -> None:
    """Several lose the client order id on the way: after a lost reply the order is sent again."""
    from ccxt import pro

    made: list[Any] = []

    def client() -> Any:
        made.append(pro.okx())
        return made[-1]

    adapter = CcxtAdapter(Sink(), "OKX", client=client)
    with pytest.raises(FoxtrotError, match="expected one of Binance Spot, got ccxt's 'okx'"):
        await adapter.connect()
    assert adapter.status is AdapterStatus.DISCONNECTED
    assert made[0].closed_by_user


async def test_between_two_requests_of_one_call_the_venue_may_want_quiet() -> None:
    """A fill's order is asked for only where it may be: during a ban each request prolongs it."""
    async with _desk() as desk:
        await desk.watch()
        await desk.adapter.send_order(buys("mine-1", type=OrderType.MARKET, price=0.0))
        filled = Status.ALLTRADED
        await desk.until(lambda: filled in {o.status for o in desk.sink.of(EVENT_ORDER)})
        desk.adapter._client_ids._known.clear()  # no report comes any more
        asked: list[str] = []

        def may_send() -> None:
            asked.append("?")
            if len(asked) > 1:
                raise RateLimitError("BINANCE", retry_after=9.0)

        desk.adapter.may_send = may_send
        before = desk.adapter._requests
        with pytest.raises(RateLimitError):
            await desk.adapter.query_trades(SYMBOL)
        assert desk.adapter._requests == before + 1
