"""Clients that nobody here wrote, unmodified but for their base URL, trade at the venue.

Each does it twice: straight, and through a real toxiproxy-server (marked `live`).
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

_WHY = "pip install ccxt python-binance"
pytestmark = [
    pytest.mark.asyncio,
    # What the libraries and their dependencies warn of at import is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
_KEYS = {"apiKey": "test-key", "secret": "test-secret-9f3a"}
_SYMBOL = "BTC/USDT"
_SOON = 30.0  # never reached, but on a machine that does a lot beside

_Way = Callable[[Any], AbstractAsyncContextManager[str]]


@pytest.fixture(autouse=True)
def _cleared() -> Iterator[None]:
    """What the libraries leave unclosed must not trouble the tests after theirs."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def toxiproxy() -> Iterator[Any]:
    """A running toxiproxy-server of these tests' own."""
    from harness.toxiproxy import HOW_TO_GET, Address, Toxiproxy, ToxiproxyServer, find_server
    from harness.toxiproxy import ToxiproxyMissingError as Missing

    unavailable = pytest.fail if os.environ.get("FOXTROT_REQUIRE_LIVE") else pytest.skip
    try:
        binary = find_server()
    except Missing as missing:
        unavailable(str(missing))
    if isinstance(binary, Address):
        unavailable(f"TOXIPROXY_SERVER is a running server, these start their own; {HOW_TO_GET}")
    with ToxiproxyServer.start(binary) as server, Toxiproxy(server.address) as client:
        yield client


@asynccontextmanager
async def _straight(server: Any) -> AsyncIterator[str]:
    yield server.url


@pytest.fixture(params=["straight", pytest.param("proxied", marks=pytest.mark.live)])
def way(request: pytest.FixtureRequest) -> _Way:
    """How a client gets to a venue: the URL that it is given is the venue's, or a proxy's."""
    if request.param == "straight":
        return _straight
    from harness.toxiproxy import Address, AsyncToxiproxy

    toxiproxy = request.getfixturevalue("toxiproxy")

    @asynccontextmanager
    async def proxied(server: Any) -> AsyncIterator[str]:
        proxy = await AsyncToxiproxy(toxiproxy).create("client", Address("127.0.0.1", server.port))
        assert proxy.address.port != server.port
        yield f"http://{proxy.address}"

    return proxied


def _configured(exchange: Any, url: str) -> Any:
    """The only change: where the venue is."""
    exchange.urls["api"] = {
        name: each.replace("https://api.binance.com", url) if isinstance(each, str) else each
        for name, each in exchange.urls["api"].items()
    }
    return exchange


def _ccxt_options() -> dict[str, Any]:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
    return {**_KEYS, "options": options, "enableRateLimit": False}


async def test_ccxt_sync_loads_markets_trades_and_reads_it_back(serve: Any, way: _Way) -> None:
    ccxt = pytest.importorskip("ccxt", reason=_WHY)

    def trade(url: str) -> None:
        exchange = _configured(ccxt.binance(_ccxt_options()), url)
        market = exchange.load_markets()[_SYMBOL]
        assert (
            market["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
            or market["precision"]["price"] == 0.01
        )
        assert market["limits"]["cost"]["min"] == 5.0
        assert exchange.fetch_balance()["USDT"]["free"] == 10_000_000.0
        bought = exchange.create_order(_SYMBOL, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        rests = exchange.create_order(
            _SYMBOL, "limit", "buy", 0.01, 30_000.0, {"newClientOrderId": "mine"}
        )
        assert (rests["status"], rests["clientOrderId"]) == ("open", "mine")
        assert [each["id"] for each in exchange.fetch_open_orders(_SYMBOL)] == [rests["id"]]
        found = exchange.fetch_order(None, _SYMBOL, {"clientOrderId": "mine"})
        assert found["id"] == rests["id"]
        assert exchange.cancel_order(rests["id"], _SYMBOL)["status"] == "canceled"
        assert exchange.fetch_order(rests["id"], _SYMBOL)["status"] == "canceled"
        assert {each["status"] for each in exchange.fetch_orders(_SYMBOL)} == {"closed", "canceled"}
        fills = exchange.fetch_my_trades(_SYMBOL)
        assert sum(each["amount"] for each in fills) == pytest.approx(0.01)
        assert {each["order"] for each in fills} == {bought["id"]}
        assert exchange.fetch_ticker(_SYMBOL)["last"] > 0
        assert exchange.fetch_order_book(_SYMBOL)["bids"]
        assert exchange.fetch_ohlcv(_SYMBOL)
        assert exchange.fetch_trades(_SYMBOL)
        assert exchange.fetch_time() > 0

    async with serve() as client, way(client.server) as url:
        await asyncio.to_thread(trade, url)
        assert client.server.venue.ledger.positions() == {"main": {"BTCUSDT": 0.01}}


async def test_ccxt_async_is_told_what_the_venue_refuses(serve: Any, way: _Way) -> None:
    ccxt = pytest.importorskip("ccxt.async_support", reason=_WHY)
    async with serve() as client, way(client.server) as url:
        exchange = _configured(ccxt.binance(_ccxt_options()), url)
        try:
            await exchange.load_markets()
            with pytest.raises(ccxt.InsufficientFunds):
                await exchange.create_order(_SYMBOL, "limit", "buy", 5_000.0, 30_000.0)
            with pytest.raises(ccxt.OrderImmediatelyFillable):
                await exchange.create_order(
                    _SYMBOL, "limit", "buy", 0.01, 90_000.0, {"postOnly": True}
                )
            with pytest.raises(ccxt.OrderNotFound):
                await exchange.cancel_order("999", _SYMBOL)
            fault_id = await client.impose("rate_limit", retry_after="7s")
            with pytest.raises(ccxt.DDoSProtection):
                await exchange.fetch_balance()
            assert exchange.last_response_headers["Retry-After"] == "7"
            await client.admin("DELETE", f"faults/{fault_id}")
            await exchange.fetch_balance()
            exchange.secret = "wrong"
            with pytest.raises(ccxt.AuthenticationError):
                await exchange.fetch_balance()
        finally:
            await exchange.close()


async def test_ccxt_pro_receives_prices_and_fills(serve: Any, way: _Way) -> None:
    pro = pytest.importorskip("ccxt.pro", reason=_WHY)
    async with serve() as client, way(client.server) as url, asyncio.timeout(_SOON):
        exchange = _configured(pro.binance(_ccxt_options()), url)
        socket = url.replace("http", "ws")
        exchange.urls["api"]["ws"]["spot"] = f"{socket}/ws"
        exchange.urls["api"]["ws"]["ws-api"]["spot"] = f"{socket}/ws-api/v3"
        try:
            await exchange.load_markets()
            first = await exchange.watch_ticker(_SYMBOL)
            second = await exchange.watch_ticker(_SYMBOL)
            assert second["timestamp"] > first["timestamp"]
            assert await exchange.watch_trades(_SYMBOL)
            watching = asyncio.ensure_future(exchange.watch_orders(_SYMBOL))
            await asyncio.sleep(0.1)
            placed = await exchange.create_order(_SYMBOL, "market", "sell", 0.02)
            seen = await watching
            assert seen[-1]["id"] == placed["id"]
            while exchange.orders[-1]["status"] != "closed":
                await exchange.watch_orders(_SYMBOL)
            assert exchange.orders[-1]["filled"] == 0.02
            by_socket = await exchange.create_order_ws(_SYMBOL, "limit", "buy", 0.01, 30_000.0)
            cancelled = await exchange.cancel_order_ws(by_socket["id"], _SYMBOL)
            assert cancelled["status"] == "canceled"
        finally:
            await exchange.close()


@asynccontextmanager
async def _binance(url: str) -> AsyncIterator[Any]:
    binance = pytest.importorskip("binance", reason=_WHY)
    client = binance.AsyncClient(_KEYS["apiKey"], _KEYS["secret"])
    client.API_URL = f"{url}/api"
    client.ws_api._url = f"{url.replace('http', 'ws')}/ws-api/v3"
    client.ws_api.TIMEOUT = 0.5  # how long its close() waits for one more message
    try:
        yield client
    finally:
        await client.close_connection()


async def test_python_binance_async_trades_and_reads_it_back(serve: Any, way: _Way) -> None:
    async with serve() as client, way(client.server) as url, _binance(url) as binance:
        await binance.ping()
        info = await binance.get_symbol_info("BTCUSDT")
        assert [each["filterType"] for each in info["filters"]] == [
            "PRICE_FILTER", "LOT_SIZE", "NOTIONAL",
        ]  # fmt: skip
        bought = await binance.order_market_buy(symbol="BTCUSDT", quoteOrderQty=600)
        assert bought["status"] == "FILLED"
        rests = await binance.order_limit_buy(symbol="BTCUSDT", quantity=0.01, price="30000")
        assert (await binance.get_open_orders())[0]["orderId"] == rests["orderId"]
        found = await binance.get_order(symbol="BTCUSDT", orderId=rests["orderId"])
        assert found["status"] == "NEW"
        cancelled = await binance.cancel_order(symbol="BTCUSDT", orderId=rests["orderId"])
        assert cancelled["status"] == "CANCELED"
        trades = await binance.get_my_trades(symbol="BTCUSDT")
        assert {each["orderId"] for each in trades} == {bought["orderId"]}
        balance = await binance.get_asset_balance(asset="BTC")
        assert float(balance["free"]) > 10_000_000
        assert (
            await binance.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)
            == {}
        )
        assert await binance.get_klines(symbol="BTCUSDT", interval="1m")


async def test_python_binance_sync_trades(serve: Any, way: _Way) -> None:
    binance = pytest.importorskip("binance", reason=_WHY)

    def trade(url: str) -> None:
        client = binance.Client(_KEYS["apiKey"], _KEYS["secret"], ping=False)
        client.API_URL = f"{url}/api"
        order = client.order_limit_sell(symbol="ETHUSDT", quantity=1, price="9000")
        assert client.get_order(symbol="ETHUSDT", orderId=order["orderId"])["status"] == "NEW"
        with pytest.raises(binance.exceptions.BinanceAPIException) as caught:
            client.cancel_order(symbol="ETHUSDT", origClientOrderId="nobody")
        assert (caught.value.status_code, caught.value.code) == (400, -2011)
        client.close_connection()

    async with serve() as client, way(client.server) as url:
        await asyncio.to_thread(trade, url)


async def test_python_binance_receives_prices_and_fills(serve: Any, way: _Way) -> None:
    async with (
        serve() as client,
        way(client.server) as url,
        asyncio.timeout(_SOON),
        _binance(url) as binance,
    ):
        from binance import BinanceSocketManager

        sockets = BinanceSocketManager(binance)
        sockets.STREAM_URL = f"{url.replace('http', 'ws')}/"
        async with sockets.trade_socket("BTCUSDT") as trades:
            assert (await trades.recv())["e"] == "trade"
        async with sockets.multiplex_socket(["btcusdt@bookTicker", "ethusdt@ticker"]) as both:
            names = {(await both.recv())["stream"] for _ in range(4)}
            assert names == {"btcusdt@bookTicker", "ethusdt@ticker"}
        async with sockets.user_socket() as user:
            placed = await binance.ws_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01
            )
            reports = []
            while not reports or reports[-1]["X"] != "FILLED":
                event = await user.recv()
                if event["e"] == "executionReport":
                    reports.append(event)
            assert {each["i"] for each in reports} == {placed["orderId"]}
            assert reports[0]["x"] == "NEW"
            assert sum(float(each["l"]) for each in reports) == pytest.approx(0.01)
