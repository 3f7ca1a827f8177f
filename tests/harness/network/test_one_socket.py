"""A link to a venue with one socket for everything: requests are in order, and die with it."""

from __future__ import annotations

import asyncio
import errno
from random import Random

import pytest

from foxtrot.adapter.session import Operation, VenueRequest
from harness.kernel import EPOCH, run_virtual
from harness.network import Delay, Effect, Link, LinkRule
from harness.venue import IB, AccountSpec, Venue


class SlowFirst(LinkRule):
    """Holds up the first request."""

    def sending(self, request: VenueRequest) -> Effect | None:
        return Delay(2.0) if request.request_id == "r1" else None


def on_socket(kept, body):
    """What the body, a coroutine function of a link, left in the history of that link."""
    histories = []

    async def main(loop):
        history = kept(loop.time)
        histories.append(history)
        venue = Venue(
            "A", IB, epoch=EPOCH.timestamp(), accounts=[AccountSpec("main", "key", {"USD": 1.0})]
        )
        link = Link(
            "A",
            venue,
            now=loop.time,
            rng=Random(1),
            latency=0.1,
            jitter=0.0,
            api_key="key",
            history=history,
            after_request=lambda: None,
        )
        await body(link)

    run_virtual(main)
    return [(round(e.t, 3), e.kind, e.id, e.outcome) for e in histories[0].kept]


def ask(link, request_id):
    request = VenueRequest(
        request_id=request_id,
        operation=Operation.TIME,
        timestamp=EPOCH.timestamp(),
        api_key="key",
    )
    return link.request(request)


def open_(link, connection_id="c1"):
    return link.open(connection_id, lambda _: None, lambda *_: None)


def test_without_the_connection_no_request_leaves(kept):
    async def body(link):
        with pytest.raises(OSError, match="not connected") as caught:
            await ask(link, "r1")
        assert caught.value.errno == errno.ENOTCONN

    assert on_socket(kept, body) == [
        (0.0, "link.sent", "r1", ""),
        (0.0, "link.done", "r1", "refused"),
    ]


def test_a_request_under_way_dies_when_we_close_the_connection(kept):
    async def body(link):
        await open_(link)
        asking = asyncio.create_task(ask(link, "r1"))
        await asyncio.sleep(0.05)
        await link.close()
        (died,) = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(died, ConnectionAbortedError)

    assert on_socket(kept, body) == [
        (0.2, "link.open", "c1", "ok"),
        (0.2, "link.sent", "r1", ""),
        (0.25, "link.close", "c1", "clean"),
        (0.25, "link.done", "r1", "reset"),
    ]


def test_no_request_overtakes_the_one_before_it(kept):
    async def body(link):
        await open_(link)
        link.rules["F1"] = SlowFirst()
        await asyncio.gather(ask(link, "r1"), ask(link, "r2"))

    story = on_socket(kept, body)
    assert [(t, id_) for t, kind, id_, _ in story if kind == "link.done"] == [
        (2.4, "r1"),
        (2.4, "r2"),
    ]


def test_what_was_given_up_arrives_unless_its_connection_is_gone(kept):
    async def body(link):
        for connection_id, request_id in (("c1", "r1"), ("c2", "r2")):
            await open_(link, connection_id)
            asking = asyncio.create_task(ask(link, request_id))
            await asyncio.sleep(0.05)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if request_id == "r1":
                await link.close()
            await asyncio.sleep(1.0)

    assert [id_ for _, kind, id_, _ in on_socket(kept, body) if kind == "link.late"] == ["r2"]
