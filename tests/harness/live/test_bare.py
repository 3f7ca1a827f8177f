"""The bot of the control: what it believes, what it tries again, and what it writes down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.event import EVENT_TICK
from foxtrot.util.object import CancelRequest, OrderRequest
from harness.history import Event, History, read_history
from harness.scenario import SymbolSpec
from harness.workload import Market
from harness.world import instrument_of

bare = pytest.importorskip("harness.live.bare", reason="needs the extra live")

pytestmark = pytest.mark.asyncio

MARKET = Market("A", Exchange.BINANCE, instrument_of("BTCUSDT", SymbolSpec(price=6e4).price))
BY_ID = CancelRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE, orderid="i1")


class Timeout(Exception):
    """One of ccxt's."""


class Client:
    """A ccxt client by script: each call takes the next answer; an exception is raised."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def ask(*args: Any) -> Any:
            self.asked.append((method, *args))
            if not self.answers.get(method):
                assert method.startswith("watch"), method
                await asyncio.Event().wait()
            answer = self.answers[method].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


class Room:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History(path, lambda: 5.0)
        self.pauses: list[float] = []

    def bot(self, **answers: list[Any]) -> tuple[Any, Client]:
        client = Client(**answers)

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0)

        made = bare.BareBot(
            client, (MARKET,), self.history, now=lambda: 5.0, pause=pause, epoch=1000.0
        )
        return made, client

    def events(self) -> list[Event]:
        self.history.close()
        return list(read_history(self.path))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "history.jsonl")
    yield made
    made.history.close()


def order(type_: OrderType = OrderType.MARKET) -> OrderRequest:
    return OrderRequest(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        direction=Direction.SHORT,
        type=type_,
        volume=0.5,
        price=6e4,
        reference="i1",
    )


def placed(number: str | None, status: str = "closed", filled: float = 0.5) -> dict[str, Any]:
    return {"id": number, "status": status, "filled": filled}


async def test_what_raised_is_sent_again_as_a_new_order_a_second_later(room: Room) -> None:
    """No id of its own goes with it, so that the venue cannot tell the second from another."""
    bot, client = room.bot(create_order=[Timeout(), placed("7")])
    assert await bot.place("A", order())
    asked = ("create_order", "BTC/USDT", "market", "sell", 0.5, None)
    assert client.asked == [asked, asked]
    assert room.pauses == [1.0]
    told = [(e.kind, e.id, e.outcome) for e in room.events()]
    assert told == [
        ("client.invoke", "op-1", ""),
        ("client.error", "order.place", "Timeout"),
        ("client.return", "op-1", "ok"),
    ]


async def test_after_three_tries_it_gives_up_and_believes_that_there_is_no_order(
    room: Room,
) -> None:
    """Whatever may have become of the three."""
    bot, client = room.bot(create_order=[Timeout(), Timeout(), Timeout(), placed("7")])
    assert not await bot.place("A", order(OrderType.LIMIT))
    assert len(client.asked) == 3
    assert client.asked[0] == ("create_order", "BTC/USDT", "limit", "sell", 0.5, 6e4)
    bot.write_final()
    final = [e for e in room.events() if e.kind.startswith("client.final")]
    assert [(e.id, e.outcome, e.details.get("traded")) for e in final] == [
        ("i1", "REJECTED", 0.0),
        ("BTCUSDT", "", None),
    ]


async def test_an_order_without_a_number_is_one_that_it_never_hears_of(room: Room) -> None:
    """ccxt makes it of a body that is none; no report can be tied to it, and no cancel sent."""
    bot, client = room.bot(create_order=[placed(None, "open", 0.0)])
    assert await bot.place("A", order())
    assert bot.oms.order("A.i1") is None
    assert not await bot.cancel("A", BY_ID)
    assert [each[0] for each in client.asked] == ["create_order"]


async def test_its_books_are_its_own_orders_as_last_reported(room: Room) -> None:
    """By the acknowledgement, the account's stream, and answers; never less than was known."""
    stream = [[placed("7", "closed", 0.5)], [placed("7", "open", 0.1), placed("8", "closed", 9.0)]]
    bot, _ = room.bot(create_order=[placed("7", "open", 0.0)], watch_orders=stream)
    await bot.place("A", order(OrderType.LIMIT))
    assert bot.oms.order("A.i1").is_active()
    watching = asyncio.ensure_future(bot.watch_orders())
    await asyncio.sleep(0.01)
    watching.cancel()
    assert not bot.oms.order("A.i1").is_active()
    bot.write_final()
    final = {e.id: e for e in room.events() if e.kind.startswith("client.final")}
    assert (final["i1"].outcome, final["i1"].details["traded"]) == ("closed", 0.5)
    assert final["BTCUSDT"].details["volume"] == -0.5


async def test_cancels_and_questions_go_by_the_venues_number(room: Room) -> None:
    """And what they answer is booked."""
    bot, client = room.bot(
        create_order=[placed("7", "open", 0.0)],
        fetch_order=[placed("7", "open", 0.2)],
        cancel_order=[placed("7", "canceled", 0.2)],
        fetch_balance=[{"total": {}}],
    )
    await bot.place("A", order(OrderType.LIMIT))
    assert await bot.look_up("A", BY_ID)
    assert bot.oms.order("A.i1").is_active()
    assert await bot.cancel("A", BY_ID)
    assert not bot.oms.order("A.i1").is_active()
    assert await bot.account("A")
    assert client.asked[1:] == [
        ("fetch_order", "7", "BTC/USDT"),
        ("cancel_order", "7", "BTC/USDT"),
        ("fetch_balance",),
    ]


async def test_prices_are_handed_on_with_their_age_and_an_exception_is_waited_out(
    room: Room,
) -> None:
    """By the venue's stamp: what is late is old, though it has just come."""
    ticker = {"timestamp": 1_003_500, "last": 60_001.0}
    bot, _ = room.bot(watch_ticker=[Timeout(), ticker, {**ticker, "timestamp": None}])
    seen: list[float] = []
    bot.event_engine.register(EVENT_TICK, lambda event: seen.append(event.data.last_price))
    watching = asyncio.ensure_future(bot.watch_prices(MARKET))
    await asyncio.sleep(0.01)
    watching.cancel()
    assert seen == [60_001.0, 60_001.0]
    assert room.pauses == [1.0]
    told = [(e.kind, e.id, e.outcome, e.details.get("age")) for e in room.events()]
    assert told == [
        ("client.error", "stream", "Timeout", None),
        ("client.tick", "BTCUSDT", "", 1.5),
        ("client.tick", "BTCUSDT", "", 0.0),
    ]
