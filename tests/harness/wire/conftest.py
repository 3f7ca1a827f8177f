"""A venue on a real socket of this machine, and a small client that signs by itself."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import orjson
import pytest

try:
    import aiohttp
except ModuleNotFoundError:
    _IS_MISSING = True
else:
    _IS_MISSING = False
    from harness.history import History
    from harness.wire import WireAccount, WireConfig, WireServer

    ACCOUNT = WireAccount(api_key="test-key", secret="test-secret-9f3a")
TOKEN = "test-token-71c2"
TICK = 0.02
SOON = 5.0  # how long a test waits for what must come at once; never reached


class _Skipped(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip("pip install aiohttp", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    """Skip the whole folder, and say why, where aiohttp is missing."""
    return _Skipped.from_parent(parent, path=module_path) if _IS_MISSING else None


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """Asks a server things, as Binance's documentation says."""

    def __init__(self, server: WireServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def public(self, path: str, **params: Any) -> tuple[int, Any]:
        async with self.session.get(f"/api/v3/{path}", params=params) as response:
            return response.status, await response.json()

    async def raw(self, verb: str, path: str, query: str, **headers: str) -> Reply:
        url = f"{self.server.url}/api/v3/{path}?{query}"
        headers = {"X-MBX-APIKEY": ACCOUNT.api_key, **headers}
        async with self.session.request(verb, url, headers=headers) as response:
            return Reply(response.status, response.headers, await response.read())

    async def signed(self, verb: str, path: str, **params: Any) -> tuple[int, Any]:
        response = await self.raw(verb, path, self.query(**params))
        return response.status, response.json()

    async def good(self, verb: str, path: str, **params: Any) -> Any:
        status, body = await self.signed(verb, path, **params)
        assert status == 200, body
        return body

    def query(self, **params: Any) -> str:
        params.setdefault("timestamp", round(time.time() * 1000))
        query = urlencode(params)
        return f"{query}&signature={sign(query)}"

    async def admin(self, verb: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"/admin/{path}"
        async with self.session.request(verb, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def impose(self, kind: str, **settings: Any) -> str:
        status, body = await self.admin("POST", "faults", {"kind": kind, **settings})
        assert status == 201, body
        await asyncio.sleep(0)
        return str(body["id"])


def sign(payload: str) -> str:
    return hmac.new(ACCOUNT.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def ws_params(**params: Any) -> dict[str, Any]:
    """Signed parameters of the WebSocket API."""
    params |= {"apiKey": ACCOUNT.api_key, "timestamp": round(time.time() * 1000)}
    payload = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
    return {**params, "signature": sign(payload)}


def limit_order(**changes: Any) -> dict[str, Any]:
    """A buy far below the market, which rests."""
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.001",
        "price": "30000.00",
        **changes,
    }


async def until(condition: Callable[[], bool]) -> None:
    """Wait, a little at a time, for something that is about to happen."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to set
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(history: History | None = None, **options: Any) -> AsyncIterator[Client]:
    options = {"tick_interval": TICK, "accounts": (ACCOUNT,), "admin_token": TOKEN, **options}
    server = WireServer(WireConfig(**options), history=history)
    async with server, aiohttp.ClientSession(server.url) as session:
        yield Client(server, session)


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture
def order() -> Callable[..., dict[str, Any]]:
    return limit_order


@pytest.fixture
def signed_ws() -> Callable[..., dict[str, Any]]:
    return ws_params


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    return until
