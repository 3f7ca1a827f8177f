"""One name for a request on both sides of the wire, whatever the venue calls it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.books import Books
from harness.history import Event, History, read_history
from harness.live.board import Board

tracing = pytest.importorskip("harness.live.tracing", reason="needs the extra live")


class Desk:
    """A clerk over a history in a file, and the connection of the moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = "A-c1"
        self.history = History(path, lambda: 1.0)
        self.board = Board("A", lambda: 1.0)
        self.books = Books(self.history)
        self.clerk = tracing.Clerk(
            self.history,
            self.books,
            self.board,
            venue="A",
            connection_id=lambda: self.connection,
            now=lambda: 1.0,
        )

    def serving(self, name: str) -> Any:
        return tracing._TRACE.set(name)

    def events(self) -> list[Event]:
        self.history.close()
        return list(read_history(self.path))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "history.jsonl")
    yield made
    made.history.close()


def test_what_the_venue_tells_of_a_request_bears_the_clients_name_for_good(desk: Desk) -> None:
    """Also when it is told later, while another request is served."""
    token = desk.serving("A-r7")
    desk.clerk.record("venue.refused", "w3", "refused", status=429, client_id="i1")
    tracing._TRACE.reset(token)
    token = desk.serving("A-r8")
    desk.clerk.record("fault.fired", "F1", correlation_id="w3", effect="refused")
    tracing._TRACE.reset(token)
    told = [(e.kind, e.id, e.details.get("correlation_id")) for e in desk.events()]
    assert told == [("venue.refused", "A-r7", None), ("fault.fired", "F1", "A-r7")]


def test_a_socket_and_what_is_asked_on_it_go_by_the_adapters_connection(desk: Desk) -> None:
    """Without a connection of the adapter's the venue's word stands."""
    desk.clerk.record("fault.fired", "F1", correlation_id="wire-1", effect="reset")
    desk.clerk.record("fault.fired", "F1", correlation_id="w9", effect="reset")
    desk.connection = ""
    desk.clerk.record("fault.fired", "F1", correlation_id="wire-2", effect="reset")
    desk.clerk.record("fault.fired", "F1", correlation_id="w9", effect="reset")
    told = [e.details["correlation_id"] for e in desk.events()]
    assert told == ["A-c1", "A-c1", "wire-2", "A-c1"]


def test_names_of_others_are_left_alone(desk: Desk) -> None:
    """Only what the venue numbers itself is renamed."""
    token = desk.serving("A-r1")
    desk.clerk.record("fault.fired", "F1", correlation_id="what1", effect="x")
    tracing._TRACE.reset(token)
    assert [e.details["correlation_id"] for e in desk.events()] == ["what1"]


def test_orders_go_to_the_books_and_faults_to_the_board(desk: Desk) -> None:
    """The venue's events are booked, and say whose venue it was."""
    order = {
        "client_id": "i1",
        "venue_order_id": "1",
        "symbol": "X",
        "side": "BUY",
        "quantity": 1.0,
        "executed": 0.0,
        "request_id": "w1",
    }
    token = desk.serving("A-r1")
    desk.clerk.record("venue.order", "1", "NEW", **order)
    tracing._TRACE.reset(token)
    desk.clerk.record("fault.begin", "F1", kind="ban")
    booked = desk.books.order("A", "i1")
    assert booked is not None
    assert booked.status == "NEW"
    assert desk.board.is_active("A")
    first, second = desk.events()
    assert (first.details["venue"], first.details["request_id"]) == ("A", "A-r1")
    assert (second.kind, second.id) == ("fault.begin", "F1")


@pytest.mark.asyncio
async def test_the_server_knows_which_requests_have_arrived(tmp_path: Path) -> None:
    """By the name in the client's header, and whose request it is serving."""
    aiohttp = pytest.importorskip("aiohttp", reason="needs the extra live")
    from harness.wire import WireConfig

    history = History(None, lambda: 0.0)
    config = WireConfig(tick_interval=60.0)
    async with (
        tracing.TracedServer(config, history=history) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        assert not server.has_got("A-r1")
        async with session.get("/api/v3/time", headers={tracing.HEADER: "A-r1"}) as response:
            assert response.status == 200
        assert server.has_got("A-r1")
        assert not server.has_got("A-r2")
