"""The engine for threads without an event loop: an adapter of upstream's shape, real threads."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from dataclasses import replace

import pytest

from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import POLICIES
from foxtrot.server.sync_engine import SyncEngine
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import FoxtrotError, Outcome
from foxtrot.util.event import EVENT_ERROR
from foxtrot.util.object import AccountData, CancelRequest, OrderRequest, SubscribeRequest


class Quick(BaseAdapter):
    """A venue that takes everything at once, unless it is told to hang or fail."""

    def __init__(self, event_engine, adapter_name):
        super().__init__(event_engine, adapter_name)
        self.orders = {}
        self.connects = 0
        self.hangs = False

    async def connect(self, setting=None):
        self.connects += 1
        self.status = AdapterStatus.CONNECTED

    async def disconnect(self):
        self.status = AdapterStatus.DISCONNECTED

    async def ping(self):
        pass

    async def subscribe(self, requests):
        pass

    async def send_order(self, request):
        if self.hangs:
            await asyncio.Event().wait()
        order = request.create_order_data(request.reference, self.adapter_name)
        self.orders[request.reference] = replace(
            order, status=Status.NOTTRADED, venue_orderid=f"v-{request.reference}"
        )
        return self.orders[request.reference]

    async def cancel_order(self, request):
        cancelled = replace(self.orders[request.orderid], status=Status.CANCELLED)
        self.orders[request.orderid] = cancelled
        return cancelled

    async def query_order(self, request):
        return self.orders.get(request.orderid)

    async def query_open_orders(self):
        return [order for order in self.orders.values() if order.is_active()]

    async def query_trades(self, symbol, *, after=""):
        return []

    async def query_account(self):
        return [AccountData(adapter_name=self.adapter_name, accountid="USDT")]


def order(reference=""):
    return OrderRequest(
        symbol="BTC",
        exchange=Exchange.LOCAL,
        direction=Direction.LONG,
        type=OrderType.LIMIT,
        volume=1.0,
        price=1.0,
        reference=reference,
    )


def by_id(reference):
    return CancelRequest(symbol="BTC", exchange=Exchange.LOCAL, orderid=reference)


@pytest.fixture
def engine():
    made = SyncEngine(lambda: MainEngine(policy=replace(POLICIES["default"], shutdown_timeout=0.5)))
    made.add_adapter(Quick, "Q")
    yield made
    made.close()


@pytest.fixture
def connected(engine):
    engine.connect("Q", {"key": "k"})
    return engine


def test_everything_is_a_plain_function(connected):
    engine = connected
    assert engine.send_order(order("o1"), "Q", timeout=1) == "Q.o1"
    assert engine.query_order(by_id("o1"), "Q").status is Status.NOTTRADED
    assert engine.cancel_order(by_id("o1"), "Q").status is Status.CANCELLED
    assert engine.query_account("Q")[0].accountid == "USDT"
    engine.subscribe([SubscribeRequest(symbol="BTC", exchange=Exchange.LOCAL)], "Q")
    assert engine.close().open_orders == ()


def test_error_is_recovered_from_while_the_thread_waits(connected):
    connected.engine.get_adapter("Q").status = AdapterStatus.DISCONNECTED
    assert connected.handle_adapter_error("Q", ConnectionResetError(104, "reset"))
    assert connected.engine.get_adapter("Q").connects == 2


def test_twenty_threads_with_errors_make_one_reconnect(connected):
    adapter = connected.engine.get_adapter("Q")
    adapter.status = AdapterStatus.DISCONNECTED
    plain, all_in = adapter.connect, asyncio.Event()

    async def connect(setting=None):
        await all_in.wait()
        await plain(setting)

    adapter.connect = connect
    results = []

    def report():
        results.append(connected.handle_adapter_error("Q", ConnectionResetError(104, "reset")))

    threads = [threading.Thread(target=report) for _ in range(20)]
    for thread in threads:
        thread.start()
    while len(connected._calls) < 20:
        time.sleep(0.001)
    time.sleep(0.01)
    connected._loop.call_soon_threadsafe(all_in.set)
    for thread in threads:
        thread.join()
    assert results == [True] * 20
    assert adapter.connects == 2


def test_reporting_waits_for_nothing(connected):
    seen = threading.Event()
    connected.engine.event_engine.register(EVENT_ERROR, lambda event: seen.set())
    connected.report_error("Q", ConnectionResetError(104, "reset"))
    assert seen.wait(1)


def test_orders_from_many_threads_have_ids_of_their_own(connected):
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(connected.send_order(order(), "Q")))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 20


def test_call_that_takes_too_long_is_given_up_and_the_order_unknown(connected):
    connected.engine.get_adapter("Q").hangs = True
    with pytest.raises(TimeoutError):
        connected.send_order(order("o1"), "Q", timeout=0.02)
    ends = time.monotonic() + 1
    while connected.engine.oms.order("Q.o1").status is not Status.UNKNOWN:
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_close_interrupts_who_waits(connected):
    """The caller learns that the outcome is unknown; no thread and no task is left."""
    connected.engine.get_adapter("Q").hangs = True
    errors = []

    def send():
        try:
            connected.send_order(order("o1"), "Q")
        except FoxtrotError as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    while not connected.engine.oms.orders():
        time.sleep(0.001)
    interrupted = []

    async def disconnect():
        await asyncio.sleep(0.03)
        interrupted.extend(errors)

    connected.engine.get_adapter("Q").disconnect = disconnect
    report = connected.close()
    thread.join(1)
    assert [error.outcome for error in interrupted] == [Outcome.UNKNOWN]  # at once
    assert [o.vt_orderid for o in report.open_orders] == ["Q.o1"]
    assert not connected._thread.is_alive()
    assert connected.close() is report


def test_closed_engine_takes_no_calls(engine):
    engine.close()
    with pytest.raises(FoxtrotError, match="closed") as caught:
        engine.query_account("Q")
    assert caught.value.outcome is Outcome.NOT_SENT
    with pytest.raises(FoxtrotError):
        engine.report_error("Q", ValueError("x"))


def test_two_threads_may_close_it(engine):
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(engine.close())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports[0] is reports[1]


def test_closing_that_is_interrupted_goes_on_and_can_be_waited_for_again(engine):
    """Ctrl-C stops the waiting; orders and connections are seen to all the same."""
    adapter, begun, release = engine.engine.get_adapter("Q"), threading.Event(), threading.Event()

    async def disconnect():
        begun.set()
        while not release.is_set():  # noqa: ASYNC110 - it is another thread's event
            await asyncio.sleep(0.001)

    adapter.disconnect = disconnect

    def interrupt():
        begun.wait(5)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.close()
    finally:
        signal.signal(signal.SIGINT, before)
    assert engine._thread.is_alive()
    release.set()
    assert engine.close().tasks == ()
    assert not engine._thread.is_alive()


def test_what_closing_raises_is_raised_to_all_who_close(engine):
    plain = engine.engine.close

    async def close():
        await plain()
        raise OSError("the log is full")

    engine.engine.close = close
    for _ in range(2):
        with pytest.raises(OSError, match="the log is full"):
            engine.close()
    assert not engine._thread.is_alive()
    engine.close = lambda: None  # the fixture's


def test_closing_does_not_wait_for_a_look_up_that_hangs(engine):
    """Names of hosts are looked up in threads, and a dead name server can take minutes."""
    release = threading.Event()

    async def look_up():
        asyncio.get_running_loop().run_in_executor(None, release.wait, 20)

    asyncio.run_coroutine_threadsafe(look_up(), engine._loop).result()
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 10
    release.set()


def test_waiting_on_a_running_loop_is_refused(connected):
    """It would stop every other task of it, the engine's thread included."""

    async def wrong():
        connected.query_account("Q")

    with pytest.raises(RuntimeError, match="expected a thread without an event loop"):
        asyncio.run(wrong())

    async def closing():
        connected.close()

    with pytest.raises(RuntimeError, match="expected a thread without an event loop"):
        asyncio.run(closing())


def test_block_closes_the_engine():
    with SyncEngine() as engine:
        engine.add_adapter(Quick, "Q")
        engine.connect("Q")
    assert not engine._thread.is_alive()
