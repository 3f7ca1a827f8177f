"""What the adapter of simulated venues takes from a notice, over a session that can be led."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from foxtrot.adapter.dialect import BINANCE, FUTU, IB
from foxtrot.adapter.session import VenueReply, VenueRequest
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.errors import DataValidationError, ErrorSeverity, FoxtrotError, Outcome
from foxtrot.util.event import Event
from foxtrot.util.object import CancelRequest, OrderRequest, SubscribeRequest


class Led:
    """A session that is open, keeps what was asked of it, and pushes what it is told to.

    Requests are answered by `ends`, one each, and when these are used up all alike.
    """

    body = b'{"subscribed": [], "next_order_id": 1}'

    def __init__(self) -> None:
        self.sent: list[VenueRequest] = []
        self.ends: list[VenueReply | Exception] = []
        self._on_frame: Callable[[bytes], None] = lambda _frame: None

    async def open(
        self,
        connection_id: str,
        on_frame: Callable[[bytes], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        self._on_frame = on_frame

    async def close(self) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def request(self, request: VenueRequest) -> VenueReply:
        self.sent.append(request)
        end = self.ends.pop(0) if self.ends else VenueReply(status=200, body=self.body)
        if isinstance(end, Exception):
            raise end
        return end

    def notice(self, code: int) -> None:
        self._on_frame(json.dumps({"type": "notice", "code": code, "msg": "x"}).encode())


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)


def connected(**options: Any) -> tuple[SimulatedAdapter, Led]:
    session = Led()
    adapter = SimulatedAdapter(Sink(), "A", session=session, **options)
    asyncio.run(adapter.connect())
    return adapter, session


@pytest.mark.parametrize(
    ("code", "is_lost"), [(1101, True), (1100, False), (1102, False), (2104, False)]
)
def test_subscriptions_are_lost_when_the_venue_says_so(code: int, is_lost: bool) -> None:
    """A data farm that is well, or a connection that kept its data, lost none."""
    adapter, session = connected(dialect=IB)
    session.notice(code)
    assert adapter.lost_streams is is_lost


@pytest.mark.parametrize("way", ["subscribe", "connect"])
def test_subscriptions_made_anew_are_lost_no_more(way: str) -> None:
    adapter, session = connected(dialect=IB)
    session.notice(1101)
    request: list[SubscribeRequest] = []
    asyncio.run(adapter.subscribe(request) if way == "subscribe" else adapter.connect())
    assert not adapter.lost_streams


def test_streams_that_the_venue_lost_are_named_though_none_has_ticked_yet() -> None:
    adapter, session = connected(dialect=IB)
    wanted = [SubscribeRequest(symbol=each, exchange=Exchange.IB) for each in ("AAPL", "MSFT")]
    asyncio.run(adapter.subscribe(wanted))
    session.notice(1101)
    sink = adapter.event_engine
    assert [event.data.context["vt_symbol"] for event in sink.events] == ["AAPL.IB, MSFT.IB"]


def test_a_number_that_the_venue_calls_used_is_not_tried_again() -> None:
    """After a timeout it is, or a reply that makes no sense: that keeps it from being doubled."""
    adapter, session = connected(dialect=IB)
    refusal = VenueReply(status=400, body=b'{"code": 103, "msg": "Duplicate order id"}')
    session.ends = [TimeoutError(), VenueReply(status=200, body=b"{"), refusal, TimeoutError()]
    order = OrderRequest(
        symbol="AAPL",
        exchange=Exchange.IB,
        direction=Direction.LONG,
        type=OrderType.LIMIT,
        volume=1.0,
        price=190.0,
        reference="c1",
    )
    for _ in range(4):
        with pytest.raises(FoxtrotError):
            asyncio.run(adapter.send_order(order))
    assert [request.params["order_id"] for request in session.sent] == [1, 1, 1, 2]


def test_gateways_carry_requests_and_stream_over_one_connection() -> None:
    assert [connected(dialect=each)[0].one_connection for each in (BINANCE, FUTU, IB)] == [
        False,
        True,
        True,
    ]


def test_lists_hold_what_has_ended_where_a_list_is_how_an_order_is_looked_up() -> None:
    assert [connected(dialect=each)[0].lists_ended for each in (BINANCE, FUTU, IB)] == [
        False,
        True,
        False,
    ]


def test_orders_that_are_looked_up_together_are_looked_up_in_one_list() -> None:
    adapter, session = connected(dialect=FUTU)
    session.body = b'{"orders": []}'

    async def look_up() -> None:
        wanted = [CancelRequest(symbol="X", exchange=Exchange.FUTU, orderid=o) for o in "abc"]
        assert await asyncio.gather(*map(adapter.query_order, wanted)) == [None] * 3

    asyncio.run(look_up())
    assert len(session.sent) == 1


class ByHand:
    """A clock that stands still until it is moved."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.at, dt.UTC)

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


RENAMED = b'{"new_balances": []}'


def failed(adapter: SimulatedAdapter) -> DataValidationError:
    with pytest.raises(DataValidationError) as caught:
        asyncio.run(adapter.query_account())
    return caught.value


@pytest.mark.parametrize(
    ("body", "recoverable"),
    [
        (RENAMED, False),
        (b'{"balances": [{"asset": "BTC", "new_free": 1.0, "locked": 0.0}]}', False),
        (b'{"balances": [{"asset": "BTC", "free": "1.0", "locked": 0.0}]}', True),
        (b'{"balances": [{"as', True),
        (b"[]", True),
        (b"", True),
    ],
)
def test_only_a_reply_that_is_whole_and_lacks_a_field_is_beyond_recovery(
    body: bytes, recoverable: bool
) -> None:
    """What is garbled may be whole the next time; a field that was renamed stays renamed."""
    clock = ByHand()
    adapter, session = connected(dialect=BINANCE, clock=clock)
    session.body = body
    for at, is_grave in ((0.0, False), (29.0, False), (30.0, not recoverable)):
        clock.at = at
        error = failed(adapter)
        assert (error.recoverable, error.outcome) == (recoverable, Outcome.NONE)
        assert error.severity is (ErrorSeverity.HIGH if is_grave else ErrorSeverity.MEDIUM)


def test_field_that_is_back_in_between_was_missing_for_a_hiccup_only() -> None:
    clock = ByHand()
    adapter, session = connected(dialect=BINANCE, clock=clock)
    for at, body in ((0.0, RENAMED), (20.0, b'{"balances": []}'), (40.0, RENAMED)):
        clock.at, session.body = at, body
        if body is RENAMED:
            assert failed(adapter).severity is ErrorSeverity.MEDIUM
        else:
            assert asyncio.run(adapter.query_account()) == []
