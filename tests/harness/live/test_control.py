"""The control: what a bare ccxt client makes of a lost acknowledgement, with nothing of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
KEYS = {"apiKey": "key-main", "secret": "secret-main"}


async def _place_stubbornly(client: Any, side: str, amount: float) -> None:
    """What many a bot does: a timeout is an error, and after an error one tries again."""
    from ccxt import RequestTimeout

    for _ in range(3):
        try:
            await client.create_order("BTC/USDT", "market", side, amount)
        except RequestTimeout:
            continue
        return


async def test_a_bare_client_that_tries_again_after_a_timeout_buys_twice(server: Any) -> None:
    """One intent, two orders: the first was taken, and only its reply was lost."""
    import ccxt.async_support as ccxt

    from harness.toxiproxy import Address, AsyncToxiproxy, Toxiproxy
    from harness.wire import WireConfig, WireServer

    options = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
    with Toxiproxy(server.address) as toxiproxy:
        async with WireServer(WireConfig(tick_interval=0.2)) as venue:
            proxy = await AsyncToxiproxy(toxiproxy).create("bare", Address("127.0.0.1", venue.port))
            client = ccxt.binance({**KEYS, "options": options, "timeout": 400})
            client.urls["api"] = {
                name: url.replace("https://api.binance.com", f"http://{proxy.address}")
                if isinstance(url, str)
                else url
                for name, url in client.urls["api"].items()
            }
            try:
                await client.load_markets()
                await asyncio.sleep(0.3)  # until there is a price
                fault_id = venue.conductor.impose({"kind": "ack_lost", "first": 1})
                await _place_stubbornly(client, "buy", 0.01)
                venue.conductor.lift(fault_id)
            finally:
                await client.close()
            bought = venue.venue.ledger.positions()["main"]["BTCUSDT"]
            orders = venue.venue.ledger.orders()
            await asyncio.to_thread(toxiproxy.close)
    assert float(bought) == pytest.approx(0.02)
    assert len([each for account in orders.values() for each in account]) == 2
