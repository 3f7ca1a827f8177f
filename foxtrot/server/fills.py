"""Fetching fills that the stream did not bring."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.oms import Oms
from foxtrot.server.policy import Lane
from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.object import TradeData
from foxtrot.util.retry import OperationKind

__all__ = ["FillFetcher"]

# Fills usually follow an order's update within a moment; only after it are they asked for.
_PATIENCE = 1.0
# Where all fills are late, each order lacks some a moment after its update. A list of fills costs
# twenty orders' worth of weight at Binance, and the next one brings them as well.
_APART = 5.0


class FillFetcher:
    """Asks venues for the fills of a symbol, each time from where the last answer ended.

    Args:
        oms: Says which orders lack fills.
        clock: Time.
        apply: Takes each fill, repeated ones too.
        spawn: Starts a background task that the engine ends at shutdown.
    """

    def __init__(
        self,
        oms: Oms,
        *,
        clock: Clock,
        apply: Callable[[TradeData], None],
        spawn: Callable[[str, Coroutine[Any, Any, None]], object],
    ) -> None:
        self._oms = oms
        self._clock = clock
        self._apply = apply
        self._spawn = spawn
        self._fetched_to: dict[tuple[str, str], str] = {}
        self._asked_at: dict[tuple[str, str], float] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._under_way: dict[tuple[str, str], None] = {}
        self._backfilled_at: dict[tuple[str, str], float] = {}

    async def fetch(
        self, connection: AdapterConnection, symbol: str, *, lane: Lane | None = None
    ) -> None:
        """Fetch what is new, through a lane; through the recovery's own way without one."""
        # From the last fill that a *query* showed, not the last that came: the stream may have
        # skipped one and gone on.
        key = (connection.name, symbol)
        after = self._fetched_to.get(key, "")
        asked_at = self._clock.now()

        async def ask() -> list[TradeData]:
            return await connection.adapter.query_trades(symbol, after=after)

        if lane is not None:
            trades = await connection.guard.call(lane, "trades", ask, kind=OperationKind.READ)
        else:
            try:
                trades = await connection.guard.probe("trades", ask)
            except FoxtrotError as error:
                if not connection.refused.has_given_up(symbol, error):
                    raise
                return  # a person was told of the symbol, and the others must not wait for it
        for trade in trades:
            self._apply(trade)
            self._fetched_to[key] = trade.tradeid
        self._asked_at[key] = max(asked_at, self._asked_at.get(key, asked_at))

    async def fetch_since(
        self, connection: AdapterConnection, symbol: str, moment: float, *, lane: Lane
    ) -> None:
        """Make sure that the fills were asked for after `moment`, by whomever.

        Fills are dear to ask for, and after an outage a hundred orders want to know at once.
        """
        key = (connection.name, symbol)
        async with self._turns.setdefault(key, asyncio.Lock()):
            if self._asked_at.get(key, -math.inf) < moment:
                await self.fetch(connection, symbol, lane=lane)

    def fetch_later(self, connection: AdapterConnection, symbol: str) -> None:
        """Fetch in the background if fills are still lacking in a moment."""
        key = (connection.name, symbol)
        if key not in self._under_way:
            self._under_way[key] = None
            self._spawn(f"backfill {key}", self._fetch_lacking(connection, symbol))

    def is_seen_to(self, adapter_name: str, symbol: str) -> bool:
        """Whether the symbol's fills are about to be asked for."""
        return (adapter_name, symbol) in self._under_way

    async def _fetch_lacking(self, connection: AdapterConnection, symbol: str) -> None:
        try:
            await self._clock.sleep(self._patience(connection.name, symbol))
            if connection.ready and self._is_lacking(connection.name, symbol):
                self._backfilled_at[connection.name, symbol] = self._clock.now()
                await self.fetch(connection, symbol, lane=Lane.QUERIES)
        except FoxtrotError:
            pass  # surfaced by the guard; the next heartbeat sees that fills lack, and reconciles
        finally:
            del self._under_way[connection.name, symbol]

    def _patience(self, adapter_name: str, symbol: str) -> float:
        backfilled_at = self._backfilled_at.get((adapter_name, symbol), -math.inf)
        return max(_PATIENCE, backfilled_at + _APART - self._clock.now())

    def _is_lacking(self, adapter_name: str, symbol: str) -> bool:
        return any(
            order.symbol == symbol and self._oms.lacks_fills(order)
            for order in self._oms.unsettled(adapter_name)
        )
