"""The simulated exchange on real sockets: puts the parts together, starts and stops them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from harness.history import History
from harness.venue import Halt, Maintenance, Venue
from harness.wire.account_endpoints import ACCOUNT_ENDPOINTS
from harness.wire.admin import add_admin_routes
from harness.wire.build import account_spec, plan
from harness.wire.clock import VenueClock
from harness.wire.conductor import Conductor
from harness.wire.config import WireConfig
from harness.wire.exchange import Exchange
from harness.wire.front import Front
from harness.wire.market import MarketView
from harness.wire.market_endpoints import MARKET_ENDPOINTS
from harness.wire.openapi import openapi
from harness.wire.records import Records
from harness.wire.rest import guard, rest_handler
from harness.wire.sockets import WireSocket
from harness.wire.streams import MarketStreams
from harness.wire.ws_api import WsApi

__all__ = ["ENDPOINTS", "WireServer", "serve"]

ENDPOINTS = (*MARKET_ENDPOINTS, *ACCOUNT_ENDPOINTS)

# aiohttp logs what it could not parse, which may hold a key. What matters is logged by `rest`.
_SILENT = logging.Logger("harness.wire.http")
_SILENT.disabled = True

_REAP_EVERY = 1.0
# Of a market stream. The WebSocket API has none but the weights of what is asked.
_MESSAGES_A_SECOND = 5
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WireServer:
    """A venue that serves Binance Spot's protocol.

    As an async context manager it listens while the block runs. Everything it does happens in
    the running event loop; it starts no thread.

    Args:
        config: What to serve.
        history: Where the venue's events and the faults are recorded; None keeps none.
        clock: Real time.

    Attributes:
        venue: The state machine behind it, whose ledger is the truth.
        front: What a fault acts on in the place of a link.
        conductor: What imposes faults.
    """

    def __init__(
        self,
        config: WireConfig,
        *,
        history: History | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        planned = plan(config)
        self.config = config
        self.clock = VenueClock(clock, config.time_scale)
        self.history = history or History(None, self.clock.now)
        records = Records()
        self._plan = planned
        market = MarketView(
            planned.instruments,
            wall=lambda at: self.clock.to_client(self.clock.epoch + at),
            is_halted=self._is_halted,
            is_down=self._is_down,
        )
        self.venue = Venue(
            planned.name,
            planned.profile,
            planned.instruments,
            market.tap(planned.tape),
            epoch=self.clock.epoch,
            on_event=self._on_event,
            on_intervention=self._on_intervention,
            accounts=[account_spec(each, planned.instruments) for each in config.accounts],
        )
        self.front = Front(self.venue, self.clock, market.move_to)
        self.conductor = Conductor(
            planned.name, self.front, self.clock, self.history, planned.streams
        )
        self._records = records
        self._exchange = Exchange(
            venue=self.venue,
            front=self.front,
            clock=self.clock,
            market=market,
            records=records,
            instruments={each.symbol: each for each in planned.instruments},
            accounts={each.api_key: each for each in config.accounts},
        )
        self._connections = 0
        self._runner: web.AppRunner | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._seen: dict[Any, float] = {}  # Any: aiohttp's connection handlers

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError when it does not listen."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("expected a started server; use `async with` or start()")
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Where it is, as http://host:port."""
        host = self.config.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            logger=_SILENT,
            handler_cancellation=True,
            keepalive_timeout=self.config.idle_timeout,
            lingering_time=1.0,
            shutdown_timeout=0.2,
        )
        await runner.setup()
        self._runner = runner
        try:
            await web.TCPSite(runner, self.config.host, self.config.port).start()
        except OSError:
            await self.stop()
            raise
        self.front.start()
        self.conductor.start(self._plan.occurrences)
        self._reaper = asyncio.get_running_loop().create_task(self._reap())

    async def stop(self) -> None:
        """Lift every fault, end every connection, and listen no more."""
        await self.conductor.stop()
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        self.front.stop()
        self.front.end_all()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    # -- What is served -------------------------------------------------------------------------

    def _app(self) -> web.Application:
        config = self.config
        app = web.Application(middlewares=[self._heed, guard], client_max_size=config.max_body)
        app.on_response_prepare.append(_name_server)
        for endpoint in ENDPOINTS:
            handler = rest_handler(self._exchange, endpoint, config.body_timeout)
            app.router.add_route(endpoint.verb, endpoint.path, handler)
        app.router.add_route("GET", "/ws", self._raw_stream)
        app.router.add_route("GET", "/ws/{names:.*}", self._raw_stream)
        app.router.add_route("GET", "/stream", self._combined_stream)
        app.router.add_route("GET", "/ws-api/v3", self._ws_api)
        app.router.add_route("GET", "/openapi.json", self._openapi)
        if config.admin_token is not None:
            add_admin_routes(
                app, self.conductor, self.venue, config.admin_token, config.body_timeout
            )
        return app

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(openapi(ENDPOINTS, self.url))

    async def _raw_stream(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info.get("names", "")
        return await self._stream(request, names, is_combined=False)

    async def _combined_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, request.query.get("streams", ""), is_combined=True)

    async def _stream(
        self, request: web.Request, names: str, *, is_combined: bool
    ) -> web.StreamResponse:
        connection_id = self._connection_id()
        streams = MarketStreams(self._exchange, connection_id, is_combined=is_combined)
        socket = self._socket(connection_id, streams.words, max_rate=_MESSAGES_A_SECOND)
        source_ip = request.remote or ""
        wanted = [name for name in names.split("/") if "@" in name]
        return await socket.run(
            request,
            lambda text: streams.on_text(text, source_ip),
            lambda: streams.subscribe(wanted, source_ip),
        )

    async def _ws_api(self, request: web.Request) -> web.StreamResponse:
        connection_id = self._connection_id()
        api = WsApi(
            self._exchange,
            ENDPOINTS,
            connection_id,
            shows_limits=request.query.get("returnRateLimits") != "false",
        )
        socket = self._socket(connection_id, api.words)
        source_ip = request.remote or ""
        return await socket.run(request, lambda text: api.on_text(text, source_ip, socket.write))

    def _socket(
        self, connection_id: str, words: Callable[[bytes], Any], *, max_rate: int | None = None
    ) -> WireSocket:
        return WireSocket(
            connection_id,
            self.front,
            words,
            max_message=self.config.max_body,
            max_backlog=self.config.max_backlog,
            max_rate=max_rate,
        )

    def _connection_id(self) -> str:
        self._connections += 1
        return f"wire-{self._connections}"

    # -- What the venue tells -------------------------------------------------------------------

    def _on_event(self, kind: str, subject: str, outcome: str, details: dict[str, Any]) -> None:
        self._records.on_event(kind, subject, outcome, details)
        self.history.record(kind, subject, outcome, **details)

    def _on_intervention(self, knob_id: str, subject_id: str, what: str) -> None:
        self.conductor.intervened(knob_id, subject_id, what)

    def _is_halted(self, symbol: str) -> bool:
        halts = self.venue.conditions.of(Halt).values()
        return self._is_down() or any(halt.symbol in {None, symbol} for halt in halts)

    def _is_down(self) -> bool:
        return bool(self.venue.conditions.of(Maintenance))

    # -- Slow clients ---------------------------------------------------------------------------

    @web.middleware
    async def _heed(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Note that a whole request came: a connection is not idle between two short ones."""
        self._seen.pop(request.protocol, None)
        return await handler(request)

    async def _reap(self) -> None:
        """Cut connections on which no whole request came for too long.

        aiohttp bounds the time between two requests, but not the time that a first one takes.
        """
        while True:
            await asyncio.sleep(min(_REAP_EVERY, self.config.idle_timeout / 4))
            self._reap_once(time.monotonic())

    def _reap_once(self, now: float) -> None:
        server = self._runner.server if self._runner else None
        waiting = [c for c in server.connections if _is_waiting(c)] if server else []
        self._seen = {each: self._seen.get(each, now) for each in waiting}
        for each, since in self._seen.items():
            if now - since > self.config.idle_timeout:
                each.force_close()


def serve(
    config: WireConfig, on_ready: Callable[[WireServer], None] = lambda _server: None
) -> None:
    """Serve a venue until interrupted. `on_ready` is called once it listens.

    Raises OSError when the address cannot be had. Needs aiohttp: the extra `wire`.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, on_ready))


async def _serve(config: WireConfig, on_ready: Callable[[WireServer], None]) -> None:
    async with WireServer(config) as server:
        on_ready(server)
        await asyncio.Event().wait()


def _is_waiting(connection: Any) -> bool:  # Any: aiohttp's RequestHandler
    return connection._current_request is None  # noqa: SLF001 - it tells nobody in any other way


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "foxtrot-venue"
