"""Fetching fills: each time from where the last answer ended, and not more often than needed."""

from __future__ import annotations

import asyncio

from foxtrot.server.fills import FillFetcher
from foxtrot.server.policy import Lane


def fetcher(bench, taken):
    return FillFetcher(
        bench.engine.oms,
        clock=bench.clock,
        apply=taken.append,
        spawn=lambda name, work: asyncio.get_running_loop().create_task(work, name=name),
    )


def mute_orders(bench, tools):
    bench.link.rules["mute"] = tools.Rule(
        framing=lambda _c, frame: tools.Hang() if b'"order"' in frame else None
    )


def test_each_fetch_asks_for_what_is_new(play):
    async def body(bench):
        taken = []
        fills = fetcher(bench, taken)
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        await fills.fetch(bench.connection, "BTCUSDT")
        await fills.fetch(bench.connection, "BTCUSDT", lane=Lane.QUERIES)
        await bench.engine.send_order(bench.order("o2", price=0), "ALPHA")
        await fills.fetch(bench.connection, "BTCUSDT")
        assert [trade.orderid for trade in taken] == ["o1", "o2"]

    play(body)


def test_a_hundred_who_want_to_know_at_once_are_served_by_one_request(play):
    async def body(bench):
        fills = fetcher(bench, [])
        before = len(bench.sent("trades"))
        moment = bench.loop.time()
        await asyncio.gather(
            *(
                fills.fetch_since(bench.connection, "BTCUSDT", moment, lane=Lane.QUERIES)
                for _ in range(100)
            )
        )
        assert len(bench.sent("trades")) == before + 1
        await bench.clock.sleep(1)
        later = bench.loop.time()
        await fills.fetch_since(bench.connection, "BTCUSDT", later, lane=Lane.QUERIES)
        assert len(bench.sent("trades")) == before + 2

    play(body)


def test_fills_that_come_by_themselves_are_not_asked_for(play):
    async def body(bench):
        fills = fetcher(bench, [])
        before = len(bench.sent("trades"))
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        for _ in range(3):
            fills.fetch_later(bench.connection, "BTCUSDT")
        await bench.clock.sleep(2)
        assert len(bench.sent("trades")) == before

    play(body)


def test_fills_lost_on_the_stream_are_fetched(play, tools):
    """The acknowledgement says "filled" and no fill comes: it is asked for, once."""

    async def body(bench):
        mute_orders(bench, tools)
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        assert bench.position() == (0.0, 0.01)
        await bench.clock.sleep(3)
        assert bench.position() == (0.01, 0.01)

    bench = play(body)
    assert len(bench.sent("trades")) == 2  # when it came up, and now


def test_fills_that_are_lost_all_the_time_are_fetched_together(play, tools):
    """A list of fills is dear: for each order there would be one, and soon no answer to any."""

    async def body(bench):
        mute_orders(bench, tools)
        for number in range(10):
            await bench.engine.send_order(bench.order(f"o{number}", price=0), "ALPHA")
            await bench.clock.sleep(1.0)
        await bench.clock.sleep(3.0)
        assert bench.position() == (0.1, 0.1)

    bench = play(body)
    assert len(bench.sent("trades")) == 1 + 3  # when it came up, and every five seconds
