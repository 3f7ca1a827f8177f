"""Requests over the in-memory link: what they raise, when they arrive, what is recorded."""

from __future__ import annotations

import asyncio

import orjson

from foxtrot.adapter.session import Operation
from harness.kernel import EPOCH
from harness.network import CURRENT_CALL

from .wire import ORDER


class TestRequests:
    def test_a_request_arrives_after_the_latency_and_its_reply_after_as_much_again(self, on_wire):
        async def body(wire):
            token = CURRENT_CALL.set("op-7")
            wire.reply = await wire.place()
            CURRENT_CALL.reset(token)

        wire = on_wire(body)
        order = orjson.loads(wire.reply.body)
        assert wire.reply.status == 200
        assert round(order["time"] - EPOCH.timestamp(), 3) == 0.1
        assert wire.story == [(0.0, "link.sent", "r1", ""), (0.2, "link.done", "r1", "ok")]
        sent, done = wire.history.kept
        assert sent.details == {
            "adapter": "A",
            "venue": "A",
            "operation": "order.place",
            "lane": "orders",
            "client_id": "c1",
            "call": "op-7",
        }
        assert (done.details["status"], done.details["delivered"]) == (200, True)

    def test_each_operation_is_recorded_in_its_lane(self, on_wire):
        async def body(wire):
            for operation in Operation:
                await wire.request(operation.value, operation, **ORDER)

        lanes = {e.id: e.details["lane"] for e in on_wire(body).history.of("link.sent")}
        assert lanes == {
            "time": "queries",
            "instruments": "queries",
            "account": "queries",
            "order.place": "orders",
            "order.cancel": "cancels",
            "order.query": "queries",
            "orders.open": "queries",
            "trades": "queries",
            "stream.subscribe": "stream",
            "unlock": "queries",
        }

    def test_a_refusal_of_the_venue_is_a_reply_and_recorded_as_an_error(self, on_wire):
        async def body(wire):
            wire.reply = await wire.place(quantity=0.0)

        wire = on_wire(body)
        (done,) = wire.history.of("link.done")
        assert (wire.reply.status, done.outcome, done.details["status"]) == (400, "error", 400)

    def test_latency_stays_within_the_jitter_and_is_never_negative(self, on_wire):
        async def body(wire):
            for number in range(200):
                await wire.request(f"r{number}")

        story = on_wire(body, latency=0.1, jitter=0.05).story
        trips = [done[0] - sent[0] for sent, done in zip(story[::2], story[1::2], strict=True)]
        assert 0.1 <= min(trips) < 0.12
        assert 0.28 < max(trips) <= 0.3
        story = on_wire(body, latency=0.0, jitter=0.05).story
        times = [t for t, *_ in story]
        assert times == sorted(times)
        assert sum(a == b for a, b in zip(times[::2], times[1::2], strict=True)) > 20

    def test_requests_do_not_wait_for_each_other(self, on_wire):
        async def body(wire):
            await asyncio.gather(wire.request("r1"), wire.request("r2"))

        assert on_wire(body).story == [
            (0.0, "link.sent", "r1", ""),
            (0.0, "link.sent", "r2", ""),
            (0.2, "link.done", "r1", "ok"),
            (0.2, "link.done", "r2", "ok"),
        ]

    def test_what_a_request_caused_is_pushed_before_its_reply_is_there(self, on_wire):
        async def body(wire):
            await wire.open()
            await wire.request("r0", Operation.SUBSCRIBE, user=True, connection="c-1")
            await wire.place()

        wire = on_wire(body)
        ((t, frame),) = wire.frames
        assert (t, orjson.loads(frame)["order"]["client_id"]) == (0.6, "c1")
