"""An adapter of upstream's shape, in real threads, driven by the engine through the shim."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import itertools
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from foxtrot.adapter.upstream import _HELD_BACK, UpstreamAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import POLICIES
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
)
from foxtrot.util.object import CancelRequest, OrderRequest, SubscribeRequest

pytestmark = pytest.mark.asyncio


class TheirStatus(enum.Enum):
    """Upstream's own enum: another class with the same names."""

    SUBMITTING = "Submitting"
    NOTTRADED = "Not Traded"
    PARTTRADED = "Part Traded"
    ALLTRADED = "All Traded"
    CANCELLED = "Cancelled"


TheirDirection = enum.Enum("Direction", ["LONG", "SHORT"])
TheirType = enum.Enum("OrderType", ["LIMIT", "MARKET", "STOP"])
TheirOffset = enum.Enum("Offset", ["NONE"])
TheirExchange = enum.Enum("Exchange", ["BINANCE", "SMART"])


@dataclass
class TheirEvent:
    type: str
    data: Any


class Binance:
    """As upstream's adapters are: pushes from threads of its own, and returns at once."""

    default_setting = {"key": ""}  # noqa: RUF012
    built = 0

    def __init__(self, event_engine, adapter_name):
        type(self).built += 1
        self.event_engine = event_engine
        self.adapter_name = adapter_name
        self.connected = False
        self.calls = []
        self.ids = itertools.count(1)
        self.orders = {}
        self.answer_connect = [True]
        self.answer_send = None
        self.pushes = True
        self.stop = threading.Event()
        event_engine.put(TheirEvent("eLog", "built"))  # before there is a loop

    def connect(self, setting):
        self.calls.append(("connect", setting, threading.current_thread().name))
        answer = (
            self.answer_connect.pop(0) if len(self.answer_connect) > 1 else self.answer_connect[0]
        )
        self.connected = answer is not False
        return answer

    def close(self):
        self.calls.append(("close",))
        self.connected = False
        self.stop.set()

    def subscribe(self, request):
        self.stop.clear()
        threading.Thread(target=self._tick, args=(request.symbol,), daemon=True).start()

    def send_order(self, request):
        orderid = str(next(self.ids))
        if self.answer_send is not None:
            return self.answer_send
        self.orders[orderid] = request
        if self.pushes:
            self.push(orderid, TheirStatus.NOTTRADED)
        return f"{self.adapter_name}.{orderid}"

    def cancel_order(self, request):
        self.calls.append(("cancel", request.orderid))
        if request.orderid not in self.orders:
            return False
        threading.Timer(0.005, self.push, (request.orderid, TheirStatus.CANCELLED)).start()
        return None

    def query_account(self):
        self._put("eAccount.", SimpleNamespace(accountid="USDT", balance=100.0, frozen=1.0))

    def push(self, orderid, status, traded=0.0, reference="", kind=TheirType.LIMIT):
        request = self.orders[orderid]
        self._put(
            "eOrder.",
            SimpleNamespace(
                symbol=request.symbol,
                exchange=TheirExchange.BINANCE,
                orderid=orderid,
                type=kind,
                direction=TheirDirection.LONG,
                offset=TheirOffset.NONE,
                price=request.price,
                volume=request.volume,
                traded=traded,
                status=status,
                datetime=dt.datetime(2026, 1, 1),  # noqa: DTZ001 - naive, as upstream's may be
                reference=reference,
            ),
        )

    def fill(self, orderid, tradeid="t1"):
        request = self.orders[orderid]
        self._put(
            "eTrade.",
            SimpleNamespace(
                symbol=request.symbol,
                exchange=TheirExchange.BINANCE,
                orderid=orderid,
                tradeid=tradeid,
                direction=TheirDirection.LONG,
                offset=TheirOffset.NONE,
                price=request.price,
                volume=request.volume,
                datetime=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            ),
        )

    def _tick(self, symbol):
        while not self.stop.is_set():
            self._put(
                "eTick.",
                SimpleNamespace(
                    symbol=symbol,
                    exchange=TheirExchange.BINANCE,
                    datetime=None,
                    last_price=1.0,
                    last_volume=1.0,
                    bid_price_1=1.0,
                    ask_price_1=1.0,
                ),
            )
            self._put(f"eTick.{symbol}", None)  # upstream pushes each twice
            self.stop.wait(0.005)

    def _put(self, kind, data):
        self.event_engine.put(TheirEvent(kind, data))


class Sink:
    """What the shim pushes, with the thread it pushed in."""

    def __init__(self):
        self.events = []
        self.threads = set()

    def put(self, event):
        self.events.append(event)
        self.threads.add(threading.current_thread())

    def of(self, kind):
        return [event.data for event in self.events if event.type == kind]


def made(**options):
    sink = Sink()
    adapter = UpstreamAdapter(sink, "UP", build=Binance, reply_timeout=0.04, **options)
    return adapter, adapter._inner, sink


def order(reference="o1"):
    return OrderRequest(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        direction=Direction.LONG,
        type=OrderType.LIMIT,
        volume=1.0,
        price=2.0,
        reference=reference,
    )


def by_id(orderid="o1"):
    return CancelRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE, orderid=orderid)


async def until(condition, seconds=10.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.002)


async def test_connect_runs_in_a_thread_with_the_setting():
    adapter, inner, _ = made()
    await adapter.connect({"key": "k"})
    assert adapter.connected
    assert inner.calls == [("connect", {"key": "k"}, "UP.connect")]
    await adapter.ping()
    await adapter.disconnect()
    assert not adapter.connected
    with pytest.raises(AdapterConnectionError):
        await adapter.ping()


@pytest.mark.parametrize("answer", [False, ConnectionRefusedError(111, "refused")])
async def test_connect_that_fails_raises(answer):
    """`False` is upstream's way to say it; success by `None` is believed only if `connected`."""
    adapter, inner, _ = made()
    if isinstance(answer, Exception):
        inner.connect = raises(answer)
    else:
        inner.answer_connect = [answer]
    with pytest.raises((AdapterConnectionError, ConnectionRefusedError)):
        await adapter.connect()
    assert not adapter.connected


def raises(error):
    def connect(_setting):
        raise error

    return connect


async def test_adapter_that_lost_its_connection_is_not_connected():
    adapter, inner, _ = made()
    await adapter.connect()
    inner.connected = False
    assert not adapter.connected


async def test_order_is_known_by_our_id_whatever_the_adapter_calls_it():
    adapter, inner, sink = made()
    await adapter.connect()
    acked = await adapter.send_order(order())
    assert (acked.orderid, acked.venue_orderid) == ("o1", "1")
    assert acked.status is Status.NOTTRADED
    await until(lambda: sink.of("eOrder."))
    inner.fill("1")
    inner.push("1", TheirStatus.ALLTRADED, traded=1.0)
    await until(lambda: sink.of("eTrade."))
    assert sink.of("eTrade.")[0].vt_orderid == "UP.o1"
    await until(lambda: len(sink.of("eOrder.")) == 2)
    assert [o.status for o in sink.of("eOrder.")] == [Status.NOTTRADED, Status.ALLTRADED]
    assert sink.of("eOrder.")[0].datetime.tzinfo is dt.UTC
    assert sink.threads == {threading.current_thread()}


async def test_order_without_a_push_is_submitting():
    adapter, inner, _ = made()
    inner.pushes = False
    await adapter.connect()
    acked = await adapter.send_order(order())
    assert (acked.status, acked.venue_orderid) == (Status.SUBMITTING, "1")
    assert await adapter.query_open_orders() == [acked]
    assert await adapter.query_order(by_id()) == acked
    assert await adapter.query_order(by_id("nothing")) is None
    assert await adapter.query_trades("BTCUSDT") == []


async def test_empty_id_is_an_unknown_outcome_not_a_rejection():
    """Upstream returns it for any exception, a timeout after the send included."""
    adapter, inner, _ = made()
    inner.answer_send = ""
    await adapter.connect()
    with pytest.raises(FoxtrotError) as caught:
        await adapter.send_order(order())
    assert caught.value.outcome is Outcome.UNKNOWN
    assert adapter.request_lifetime is None


async def test_id_that_comes_too_late_still_says_whose_order_it_is():
    """The caller has given up; what was pushed meanwhile is held back until then."""
    adapter, inner, sink = made()
    await adapter.connect()
    release = slow_to_say_the_id(inner)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await adapter.send_order(order())
    assert sink.of("eOrder.") == []
    release.set()
    await until(lambda: sink.of("eOrder."))
    assert sink.of("eOrder.")[0].vt_orderid == "UP.o1"


async def test_push_that_cannot_be_read_takes_no_other_along():
    """A stop order is placed by hand while ours, filled at once, is on its way."""
    adapter, inner, sink = made()
    await adapter.connect()
    plain = inner.send_order

    def send_order(request):
        inner.orders["99"] = order()
        inner.push("99", TheirStatus.NOTTRADED, kind=TheirType.STOP)
        vt_orderid = plain(request)
        inner.fill("1")
        return vt_orderid

    inner.send_order = send_order
    async with asyncio.timeout(1.0):
        acked = await adapter.send_order(order())
    inner.push("99", TheirStatus.CANCELLED, kind=TheirType.STOP)
    await until(lambda: len(sink.of("eError.")) == 2)
    assert acked.status is Status.NOTTRADED
    assert [data.vt_orderid for data in sink.of("eOrder.") + sink.of("eTrade.")] == ["UP.o1"] * 2
    told = [(error.outcome, error.context["adapter"]) for error in sink.of("eError.")]
    assert told == [(Outcome.NONE, "UP")] * 2


async def test_request_that_cannot_be_translated_was_not_sent():
    """Nor is anything held back for its sake: what is pushed later comes through."""

    def translate(request):
        if isinstance(request, OrderRequest):
            raise NotImplementedError(request.type)  # as a user's own does for what it does not map
        return request

    adapter, inner, sink = made(translate=translate)
    await adapter.connect()
    with pytest.raises(DataValidationError) as caught:
        await adapter.send_order(order())
    assert caught.value.outcome is Outcome.NOT_SENT
    inner.orders["77"] = order()
    inner.fill("77")
    await until(lambda: sink.of("eTrade."))


async def test_refusal_that_the_translation_names_itself_is_handed_on():
    refusal = OrderRejectionError("o1", "no post-only orders here")

    def translate(_request):
        raise refusal

    adapter, _, _ = made(translate=translate)
    await adapter.connect()
    with pytest.raises(OrderRejectionError) as caught:
        await adapter.send_order(order())
    assert caught.value is refusal


async def test_id_that_cannot_be_read_keeps_nobody_waiting():
    """The caller hears at once that there is no telling what became of the order."""

    class Id:
        def __str__(self):
            raise ValueError("no text")

    adapter, inner, _ = made()
    inner.answer_send = Id()
    await adapter.connect()
    with pytest.raises(ValueError, match="no text"):
        async with asyncio.timeout(1.0):
            await adapter.send_order(order())


async def test_order_that_carries_its_reference_needs_no_translation():
    adapter, inner, sink = made()
    await adapter.connect()
    inner.orders["77"] = order()
    inner.push("77", TheirStatus.NOTTRADED, reference="mine")
    inner.push("77", TheirStatus.NOTTRADED)
    await until(lambda: len(sink.of("eOrder.")) == 2)
    assert [o.orderid for o in sink.of("eOrder.")] == ["mine", "mine"]


async def test_fill_of_an_order_whose_id_never_came_is_booked_under_ours():
    """The push of the order said whose it is; the fill's own would make a stranger's of it."""
    adapter, inner, sink = made()
    await adapter.connect()

    def send_order(request):
        inner.orders["7"] = request
        inner.push("7", TheirStatus.NOTTRADED, reference=request.reference)
        return ""  # as for any exception

    inner.send_order = send_order
    await adapter.send_order(order())
    inner.fill("7")
    await until(lambda: sink.of("eTrade."))
    assert [trade.orderid for trade in sink.of("eTrade.")] == ["o1"]


async def test_send_that_hangs_does_not_hide_for_ever_what_others_trade(monkeypatch):
    """Whose it is may be told late, and then never; that it was traded counts in any case."""
    monkeypatch.setattr("foxtrot.adapter.upstream._HELD_BACK", 0.05)
    adapter, inner, sink = made()
    await adapter.connect()
    release = threading.Event()
    inner.send_order = lambda _request: release.wait(20) and ""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await adapter.send_order(order())
    inner.orders["9"] = order()
    for tradeid in ("t1", "t2"):
        inner.fill("9", tradeid)
    await until(lambda: len(sink.of("eTrade.")) == 2)
    assert adapter._early == []
    release.set()


async def test_push_waits_its_own_time_for_its_id(monkeypatch):
    """Its time began with an earlier one's, and it was booked as a stranger's at once."""
    loop, ends = asyncio.get_running_loop(), []
    plain_later = loop.call_later

    def call_later(delay, callback, *args):
        if delay != _HELD_BACK:
            return plain_later(delay, callback, *args)
        ends.append(partial(callback, *args))
        return None

    monkeypatch.setattr(loop, "call_later", call_later)
    adapter, inner, sink = made()
    await adapter.connect()
    await adapter.send_order(order("first"))
    (end_of_first,) = ends
    release = slow_to_say_the_id(inner)
    sending = asyncio.create_task(adapter.send_order(order("second")))
    await until(lambda: adapter._early)
    end_of_first()
    release.set()
    await sending
    assert [o.orderid for o in sink.of("eOrder.")] == ["first", "second"]


async def test_order_whose_id_comes_late_is_known_by_it_from_then_on(monkeypatch):
    """It was an open order of a stranger's for ever, and ours was never heard of."""
    monkeypatch.setattr("foxtrot.adapter.upstream._HELD_BACK", 0.05)
    adapter, inner, sink = made()
    await adapter.connect()
    release = slow_to_say_the_id(inner)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await adapter.send_order(order())
    await until(lambda: sink.of("eOrder."))
    release.set()
    await until(lambda: len(sink.of("eOrder.")) == 2)
    assert [o.orderid for o in sink.of("eOrder.")] == ["1", "o1"]
    assert [o.orderid for o in await adapter.query_open_orders()] == ["o1"]
    inner.push("1", TheirStatus.ALLTRADED, traded=1.0)
    await until(lambda: len(sink.of("eOrder.")) == 3)
    assert await adapter.query_open_orders() == []
    for orderid in ("1", "o1"):  # whoever has kept the number hears how it ended
        found = await adapter.query_order(by_id(orderid))
        assert (found.orderid, found.status) == (orderid, Status.ALLTRADED)


async def test_id_of_ours_that_is_a_number_of_the_venues_stays_ours():
    adapter, inner, _ = made()
    await adapter.connect()
    await adapter.send_order(order("2"))
    await adapter.send_order(order("o2"))
    inner.push("2", TheirStatus.ALLTRADED, traded=1.0)
    await until(lambda: not adapter._orders["o2"].is_active())
    assert (await adapter.query_order(by_id("2"))).status is Status.NOTTRADED
    assert (await adapter.query_order(by_id("o2"))).status is Status.ALLTRADED


async def test_cancel_waits_for_what_became_of_the_order():
    adapter, inner, _ = made()
    await adapter.connect()
    await adapter.send_order(order())
    cancelled = await adapter.cancel_order(by_id())
    assert cancelled.status is Status.CANCELLED
    assert ("cancel", "1") in inner.calls


async def test_fill_that_crosses_a_cancel_is_no_answer_to_it():
    """The order is on its way out, and must not be called open."""
    adapter, inner, _ = made()
    await adapter.connect()
    await adapter.send_order(order())
    plain = inner.cancel_order

    def cancel_order(request):
        inner.push(request.orderid, TheirStatus.PARTTRADED, traded=0.4)
        return plain(request)

    inner.cancel_order = cancel_order
    assert (await adapter.cancel_order(by_id())).status is Status.CANCELLED


async def test_cancel_without_an_answer_times_out():
    adapter, inner, _ = made()
    await adapter.connect()
    await adapter.send_order(order())
    inner.push = lambda *args: None
    with pytest.raises(TimeoutError):
        await adapter.cancel_order(by_id())
    assert adapter._heard == {}


async def test_cancel_that_the_adapter_refuses_is_a_rejection():
    adapter, _, _ = made()
    await adapter.connect()
    with pytest.raises(OrderRejectionError):
        await adapter.cancel_order(by_id("nothing"))


async def test_balances_are_those_that_were_pushed():
    adapter, _, sink = made()
    await adapter.connect()
    await adapter.query_account()
    await until(lambda: sink.of("eAccount."))
    assert [(a.accountid, a.available) for a in await adapter.query_account()] == [("USDT", 99.0)]


async def test_connect_that_hangs_is_not_called_a_second_time_meanwhile():
    adapter, inner, _ = made()
    release = threading.Event()
    inner.connect = hanging(release, inner)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await adapter.connect()
    with pytest.raises(FoxtrotError, match="still hangs") as caught:
        await adapter.connect()
    assert caught.value.outcome is Outcome.NOT_SENT
    release.set()
    await until(lambda: not adapter._hanging["connect"].is_alive())
    await adapter.connect()


def slow_to_say_the_id(inner):
    """Orders are sent and pushed at once; their ids are returned when what this returns is set."""
    plain, release = inner.send_order, threading.Event()

    def send_order(request):
        vt_orderid = plain(request)
        release.wait(20)
        return vt_orderid

    inner.send_order = send_order
    return release


def hanging(release, inner):
    def connect(_setting):
        release.wait(1)
        inner.connected = True

    connect.__name__ = "connect"
    return connect


async def test_requests_are_translated_where_the_adapter_wants_its_own():
    adapter, inner, _ = made(translate=lambda request: SimpleNamespace(**vars_of(request)))
    await adapter.connect()
    await adapter.send_order(order())
    assert isinstance(inner.orders["1"], SimpleNamespace)


def vars_of(request):
    return {name: getattr(request, name) for name in ("symbol", "price", "volume")}


async def test_memory_of_ids_is_bounded(monkeypatch):
    monkeypatch.setattr("foxtrot.adapter.upstream._REMEMBERED", 3)
    adapter, _, _ = made()
    await adapter.connect()
    for number in range(6):
        await adapter.send_order(order(f"o{number}"))
    assert len(adapter._client_ids) == len(adapter._orders) == 3


async def test_order_that_rests_is_not_forgotten_for_those_that_have_ended(monkeypatch):
    """It could be neither cancelled nor asked for, and its fill would be a stranger's."""
    monkeypatch.setattr("foxtrot.adapter.upstream._REMEMBERED", 3)
    adapter, inner, sink = made()
    await adapter.connect()
    await adapter.send_order(order("resting"))
    for number in range(2, 8):
        await adapter.send_order(order(f"o{number}"))
        inner.push(str(number), TheirStatus.ALLTRADED, traded=1.0)
        await until(lambda: sink.of("eOrder.")[-1].status is Status.ALLTRADED)
    assert len(adapter._client_ids) == len(adapter._orders) == 3
    assert [o.orderid for o in await adapter.query_open_orders()] == ["resting"]
    inner.fill("1")
    await until(lambda: sink.of("eTrade."))
    assert sink.of("eTrade.")[0].orderid == "resting"
    assert (await adapter.cancel_order(by_id("resting"))).status is Status.CANCELLED


async def test_push_after_the_loop_has_ended_is_lost_quietly():
    adapter, inner, _ = made()
    loop = asyncio.new_event_loop()
    loop.close()
    adapter._loop = loop
    inner.orders["1"] = order()
    inner.push("1", TheirStatus.NOTTRADED)


async def started(heartbeat_interval):
    """An engine with an adapter that is connected, and an order at the venue."""
    policy = replace(POLICIES["default"], heartbeat_interval=heartbeat_interval)
    engine = MainEngine(policy=policy)
    Binance.built = 0
    adapter = engine.add_adapter(UpstreamAdapter, "UP", build=Binance)
    subscription = SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE)
    await engine.subscribe([subscription], "UP")
    await engine.connect("UP", {"key": "k"})
    assert await engine.send_order(order(), "UP") == "UP.o1"
    await until(lambda: engine.oms.order("UP.o1").status is Status.NOTTRADED)
    return engine, adapter


async def test_engine_recovers_it():
    """Connection lost in a thread of its own: found by the heartbeat, connected again."""
    engine, adapter = await started(heartbeat_interval=0.01)
    adapter._inner.close()
    await until(lambda: len(adapter._inner.calls) >= 4 and engine.is_ready("UP"))
    names = [call[0] for call in adapter._inner.calls]
    assert names == ["connect", "close", "close", "connect"]
    assert adapter._inner.calls[3][1] == {"key": "k"}
    await engine.close()


async def test_engine_restarts_it():
    """No heartbeat comes in between: it would find the adapter, half built, not connected."""
    engine, adapter = await started(heartbeat_interval=60.0)
    await engine.connections["UP"].restart()
    assert Binance.built == 2
    assert engine.get_adapter("UP") is not adapter
    adapter._inner.close()
    report = await engine.close()
    assert [o.vt_orderid for o in report.open_orders] == ["UP.o1"]
