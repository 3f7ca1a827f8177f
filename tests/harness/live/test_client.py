"""What goes over the client's wire is noted as its own HTTP layer saw it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from foxtrot.util.event import EventEngine
from harness.history import Event, History, read_history
from harness.network import CURRENT_CALL

client = pytest.importorskip("harness.live.client", reason="needs the extra live")

pytestmark = pytest.mark.asyncio


class RequestTimeout(Exception):
    """ccxt's, by its name."""


class ExchangeNotAvailable(Exception):
    """ccxt's, by its name."""


class Ccxt:
    """As much of a ccxt client as is tapped: `fetch` asks, and tells `on_rest_response`."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer
        self.headers: list[dict[str, str]] = []

    def on_rest_response(self, status: int, *rest: Any) -> str:
        return f"seen {status}"

    async def fetch(self, url: str, method: str, headers: dict[str, str], body: Any) -> Any:
        self.headers.append(headers)
        answer = self.answer()
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int):
            assert self.on_rest_response(answer) == f"seen {answer}"
        return answer


class Wire:
    """A link with everything it tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 2.0
        self.history = History(path, lambda: self.now)
        self.sockets = 2
        self.arrived = {"A-x1"}
        self.touched: list[tuple[str, str, float, bool]] = []
        self.link = client.LiveLink(
            "A",
            self.history,
            now=lambda: self.now,
            sockets=lambda: self.sockets,
            has_arrived=lambda name: name in self.arrived,
            touched=lambda *each: self.touched.append(each),
        )

    def events(self) -> list[Event]:
        self.history.close()
        return list(read_history(self.path))


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path / "history.jsonl")
    yield made
    made.history.close()


async def test_a_request_is_named_to_the_venue_and_noted_on_both_ends(wire: Wire) -> None:
    """Operation, lane, client id and call are read off the request itself."""
    tapped = wire.link.tap(Ccxt(lambda: 200))
    token = CURRENT_CALL.set("op-1")
    url, body = "http://v/api/v3/order", "symbol=X&newClientOrderId=i1&signature=abc"
    await tapped.fetch(url, "POST", {"K": "v"}, body)
    CURRENT_CALL.reset(token)
    assert tapped.headers == [{"K": "v", "X-Request-Id": "A-x1"}]
    sent, done = wire.events()
    assert (sent.kind, sent.id) == ("link.sent", "A-x1")
    assert sent.details == {
        "adapter": "A",
        "venue": "A",
        "operation": "order.place",
        "lane": "orders",
        "client_id": "i1",
        "call": "op-1",
    }
    assert (done.kind, done.id, done.outcome) == ("link.done", "A-x1", "ok")
    assert done.details == {"status": 200, "delivered": True}
    assert wire.touched == [("A-x1", "order.place", 2.0, True)]


@pytest.mark.parametrize(
    ("answer", "outcome", "status", "is_answered"),
    [
        (200, "ok", 200, True),
        (429, "error", 429, True),
        (RequestTimeout(), "lost", None, False),
        (ExchangeNotAvailable(), "reset", None, False),
        (asyncio.CancelledError(), "abandoned", None, False),
    ],
)
async def test_what_became_of_a_request_is_what_the_wire_saw(
    wire: Wire, answer: Any, outcome: str, status: int | None, is_answered: bool
) -> None:
    """An exception passes on, and leaves its note."""
    tapped = wire.link.tap(Ccxt(lambda: answer))
    with suppress(RequestTimeout, ExchangeNotAvailable, asyncio.CancelledError):
        assert await tapped.fetch("http://v/api/v3/time", "GET", None, None) == answer
    done = wire.events()[-1]
    assert (done.outcome, done.details["status"]) == (outcome, status)
    assert [each[3] for each in wire.touched] == [is_answered]


async def test_a_refused_connection_is_told_from_one_that_broke(wire: Wire) -> None:
    """By its cause, however ccxt wraps it."""
    error = ExchangeNotAvailable()
    error.__cause__ = ConnectionRefusedError()
    tapped = wire.link.tap(Ccxt(lambda: error))
    with pytest.raises(ExchangeNotAvailable):
        await tapped.fetch("http://v/api/v3/openOrders?symbol=X", "GET", None, None)
    sent, done = wire.events()
    assert (sent.details["operation"], done.outcome) == ("orders.open", "refused")


async def test_an_error_after_an_answer_is_still_an_answer(wire: Wire) -> None:
    """The venue has answered, whatever ccxt makes of it; who stopped waiting has none."""
    clients = Ccxt(lambda: 200)

    async def stumble(*_: Any) -> Any:
        clients.on_rest_response(503)
        raise ExchangeNotAvailable

    clients.fetch = stumble  # type: ignore[method-assign]
    tapped = wire.link.tap(clients)
    with pytest.raises(ExchangeNotAvailable):
        await tapped.fetch("http://v/api/v3/time", "GET", None, None)
    assert (wire.events()[-1].outcome, wire.touched[0][3]) == ("error", True)


async def test_who_stops_waiting_has_no_answer_though_one_had_begun(wire: Wire) -> None:
    """The status had come, the body had not."""
    clients = Ccxt(lambda: 200)

    async def begin(*_: Any) -> Any:
        clients.on_rest_response(200)
        raise asyncio.CancelledError

    clients.fetch = begin  # type: ignore[method-assign]
    tapped = wire.link.tap(clients)
    with pytest.raises(asyncio.CancelledError):
        await tapped.fetch("http://v/api/v3/time", "GET", None, None)
    assert (wire.events()[-1].outcome, wire.touched[0][3]) == ("abandoned", False)


async def test_a_connection_is_whole_with_both_of_its_streams(wire: Wire) -> None:
    """With one of them a client is half blind, and the probe must know."""
    assert wire.link.connection_ids() == []
    wire.link.opened("A-c1", "ok", 1.0)
    assert wire.link.connection_ids() == ["A-c1"]
    wire.sockets = 1
    assert wire.link.connection_ids() == []


async def test_an_end_is_noted_once_and_a_failed_attempt_leaves_no_connection(wire: Wire) -> None:
    """The fault that broke it and the client that closes it are both told; the first counts."""
    wire.link.opened("A-c1", "ok", 1.0)
    wire.link.closed("reset", "fault")
    wire.link.closed("clean", "client")
    wire.link.opened("A-c2", "refused", 1.5)
    told = [(e.kind, e.id, e.outcome, e.details.get("by")) for e in wire.events()]
    assert told == [
        ("link.open", "A-c1", "ok", None),
        ("link.close", "A-c1", "reset", "fault"),
        ("link.open", "A-c2", "refused", None),
    ]
    assert wire.link.connection_id == ""


async def test_a_client_knows_the_venue_at_its_address_and_no_other(wire: Wire) -> None:
    """REST, market streams and the WebSocket API; ccxt's own patience is in milliseconds."""
    pytest.importorskip("ccxt", reason="needs the extra ccxt")
    made = client.client_of("127.0.0.1:9", "key", "secret", wire.link, 8.0)()
    try:
        api = made.urls["api"]
        assert api["public"] == "http://127.0.0.1:9/api/v3"
        assert api["private"] == "http://127.0.0.1:9/api/v3"
        assert api["ws"]["spot"] == "ws://127.0.0.1:9/ws"
        assert api["ws"]["ws-api"]["spot"] == "ws://127.0.0.1:9/ws-api/v3"
        assert made.timeout == 8000
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (ConnectionResetError, {"adapter": "A"}),
        (asyncio.CancelledError, {"adapter": "A", "waited": 0.25}),
    ],
)
async def test_a_ping_that_nobody_answers_is_noted_and_one_that_is_answered_is_not(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, end: type[BaseException], told: dict[str, object]
) -> None:
    """Who asks gives up by cancelling, and has learned nothing if that was at once."""
    ends: list[BaseException | None] = [None, end()]

    async def ping(_self: object) -> None:
        wire.now += 0.25
        if (last := ends.pop(0)) is not None:
            raise last

    monkeypatch.setattr(client.CcxtAdapter, "ping", ping)
    adapter = client.LiveAdapter(EventEngine(), "A", client=object, link=wire.link)
    await adapter.ping()
    with pytest.raises(end):
        await adapter.ping()
    (event,) = wire.events()
    assert (event.kind, event.outcome, event.details) == ("link.ping", "lost", told)
