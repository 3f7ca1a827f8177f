"""The trading desk: what becomes of an order between its arrival and its end.

Checks come in the order in which Binance makes them: parameters, market, filters, client id,
book, funds. An order that fails one leaves no trace.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.venue.conditions import Conditions, FillFirst, Halt, Maintenance, ThinBook
from harness.venue.hooks import InterventionHook
from harness.venue.instruments import Instrument
from harness.venue.ledger import Account, Ledger, Order, OrderStatus, OrderType, Side, Trade
from harness.venue.matching import Market
from harness.venue.profile import OrderIds, Reason, Refused
from harness.venue.tape import MarketTrade

__all__ = ["Desk", "required_text"]

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{0,36}")
_SIDES = {side.value: side for side in Side}
_TYPES = {type_.value: type_ for type_ in OrderType}
_RESTING = frozenset({OrderType.LIMIT, OrderType.POST_ONLY})


@dataclass(frozen=True, slots=True)
class _Ticket:
    """An order as it was asked for, on the grid. `price` is 0 for MARKET."""

    market: Market
    side: Side
    type: OrderType
    price: int
    quantity: int
    client_id: str

    @property
    def limit(self) -> int | None:
        return self.price or None


class Desk:
    """Places, cancels and matches. `publish(order, trade, request_id)` hears of every change.

    Times are what the venue's wall clock shows, in seconds since 1970.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        ledger: Ledger,
        conditions: Conditions,
        *,
        order_ids: OrderIds = OrderIds.CLIENT,
        publish: Callable[[Order, Trade | None, str], None],
        on_intervention: InterventionHook,
    ) -> None:
        self.markets = {instrument.symbol: Market(instrument) for instrument in instruments}
        self._ledger = ledger
        self._conditions = conditions
        self._order_ids = order_ids
        self._publish = publish
        self._on_intervention = on_intervention

    def place(
        self, account: Account, params: Mapping[str, Any], wall: float, request_id: str
    ) -> Order:
        """Check an order, take what it finds in the book, and let the rest rest or expire."""
        ticket = self._read(params)
        self._check_open(ticket.market)
        self._check_filters(ticket)
        self._check_id(account, ticket.client_id, params)
        fills = self._plan(ticket, request_id)
        hold = _units_to_hold(ticket, fills)
        instrument = ticket.market.instrument
        asset = instrument.quote if ticket.side is Side.BUY else instrument.base
        if not self._ledger.can_hold(account, asset, hold):
            raise Refused(Reason.INSUFFICIENT_FUNDS)
        order = self._ledger.open_order(
            account,
            instrument,
            side=ticket.side,
            type=ticket.type,
            price=ticket.price,
            quantity=ticket.quantity,
            client_id=ticket.client_id,
            hold=hold,
            time=wall,
        )
        self._publish(order, None, request_id)
        for price, quantity in fills:
            self._fill(order, price, quantity, wall, request_id)
        self._rest_or_expire(order, ticket.market, wall, request_id)
        return order

    def cancel(
        self, account: Account, params: Mapping[str, Any], wall: float, request_id: str
    ) -> Order:
        """Cancel an open order."""
        market = self.market(params)
        order, name = self._named(account, params)
        if order is None or order.instrument is not market.instrument:
            raise Refused(Reason.UNKNOWN_CANCEL, order=name)
        if not order.is_open:
            raise Refused(Reason.LATE_CANCEL, order=name, state=order.status.capitalize())
        self._lose_race(order, market, wall, request_id)
        market.remove(order)
        self._end(order, OrderStatus.CANCELED, wall, request_id)
        return order

    def _check_id(self, account: Account, client_id: str, params: Mapping[str, Any]) -> None:
        """Refuse an order whose id is in use, as far as the venue looks at ids at all."""
        if self._order_ids is OrderIds.CLIENT and client_id in account.open_orders:
            raise Refused(Reason.DUPLICATE_ORDER)
        if self._order_ids is OrderIds.NUMBERED:
            number = _number(params, "order_id")
            if number <= account.last_order_id:
                raise Refused(Reason.DUPLICATE_ORDER)
            account.last_order_id = int(number)

    def _named(self, account: Account, params: Mapping[str, Any]) -> tuple[Order | None, str]:
        """The order that a cancel is about, and what the cancel calls it."""
        if self._order_ids is OrderIds.SERVER:
            name = required_text(params, "venue_order_id")
            return self._ledger.order(account, name), name
        name = required_text(params, "client_id")
        return account.open_orders.get(name) or account.newest.get(name), name

    def query(self, account: Account, params: Mapping[str, Any]) -> Order:
        """The newest order with a client id."""
        market = self.market(params)
        order = account.newest.get(required_text(params, "client_id"))
        if order is None or order.instrument is not market.instrument:
            raise Refused(Reason.UNKNOWN_ORDER)
        return order

    def trade(self, trade: MarketTrade, wall: float) -> bool:
        """Move a market by a trade of the tape and fill what rests; False when nothing trades."""
        market = self.markets[trade.symbol]
        if self.is_halted(trade.symbol):
            return False
        market.see(trade)
        for order, quantity in market.plan_hits(trade.price, trade.quantity):
            self._fill(order, order.price, quantity, wall, "")
            if not order.is_open:
                market.remove(order)
        return True

    def market(self, params: Mapping[str, Any]) -> Market:
        """The market that a request names."""
        market = self.markets.get(required_text(params, "symbol"))
        if market is None:
            raise Refused(Reason.UNKNOWN_SYMBOL)
        return market

    def is_halted(self, symbol: str) -> bool:
        """Whether a market is closed."""
        return bool(self._halts(symbol)) or bool(self._conditions.of(Maintenance))

    def _halts(self, symbol: str) -> tuple[str, ...]:
        halts = self._conditions.of(Halt)
        if not halts:
            return ()
        return tuple(name for name, halt in halts.items() if halt.symbol in {None, symbol})

    def _read(self, params: Mapping[str, Any]) -> _Ticket:
        market = self.market(params)
        side = _SIDES.get(required_text(params, "side"))
        if side is None:
            raise Refused(Reason.BAD_SIDE)
        type_ = _TYPES.get(required_text(params, "type"))
        if type_ is None:
            raise Refused(Reason.BAD_ORDER_TYPE)
        quantity = market.instrument.lots(_number(params, "quantity"))
        price = self._read_price(market.instrument, type_, params)
        client_id = params.get("client_id") or ""
        if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
            raise Refused(Reason.BAD_CLIENT_ID)
        if price is None:
            raise Refused(Reason.PRICE_FILTER)
        if quantity is None:
            raise Refused(Reason.LOT_SIZE)
        return _Ticket(market, side, type_, price, quantity, client_id)

    @staticmethod
    def _read_price(
        instrument: Instrument, type_: OrderType, params: Mapping[str, Any]
    ) -> int | None:
        return 0 if type_ is OrderType.MARKET else instrument.ticks(_number(params, "price"))

    def _check_open(self, market: Market) -> None:
        halts = self._halts(market.instrument.symbol)
        if halts or not market.has_price:
            raise Refused(Reason.MARKET_CLOSED, knob_ids=halts)

    @staticmethod
    def _check_filters(ticket: _Ticket) -> None:
        instrument = ticket.market.instrument
        price = ticket.price or ticket.market.last
        if not instrument.min_ticks <= price <= instrument.max_ticks:
            raise Refused(Reason.PRICE_FILTER)
        if not 1 <= ticket.quantity <= instrument.max_lots:
            raise Refused(Reason.LOT_SIZE)
        if instrument.notional(price, ticket.quantity) < instrument.min_notional_units:
            raise Refused(Reason.NOTIONAL)

    def _plan(self, ticket: _Ticket, request_id: str) -> list[tuple[int, int]]:
        market, side, limit = ticket.market, ticket.side, ticket.limit
        if ticket.type is OrderType.POST_ONLY:
            if market.would_take(side, ticket.price):
                raise Refused(Reason.POST_ONLY_WOULD_TAKE)
            return []
        fills = market.plan_take(side, ticket.quantity, limit=limit)
        fills = self._thin(market, ticket, fills, request_id)
        if ticket.type is OrderType.FOK and _lots(fills) < ticket.quantity:
            return []
        return fills

    def _thin(
        self, market: Market, ticket: _Ticket, fills: list[tuple[int, int]], request_id: str
    ) -> list[tuple[int, int]]:
        instrument = market.instrument
        # A copy: a knob that has had its last order may be lifted as it says so.
        for knob_id, thin in tuple(self._conditions.of(ThinBook).items()):
            at_most = int(min(thin.quantity / instrument.quantity(1), thin.share * ticket.quantity))
            if (
                thin.symbol in {None, instrument.symbol}
                and at_most < _lots(fills)
                and thin.matches(instrument.symbol, ticket.side.value)
            ):
                self._on_intervention(knob_id, request_id, "fill cut short")
                fills = market.plan_take(
                    ticket.side, ticket.quantity, limit=ticket.limit, at_most=at_most
                )
        return fills

    def _lose_race(self, order: Order, market: Market, wall: float, request_id: str) -> None:
        """Fill the order before its cancel is looked at, where a knob says so."""
        for knob_id, knob in self._conditions.of(FillFirst).items():
            if (
                knob.symbol in {None, order.instrument.symbol}
                and knob.matches(order.instrument.symbol, order.side.value)
                and self._conditions.spend(knob_id, knob)
            ):
                market.remove(order)
                self._fill(order, order.price, order.remaining, wall, request_id)
                raise Refused(
                    Reason.LATE_CANCEL,
                    knob_ids=(knob_id,),
                    order=order.client_id,
                    state=order.status.capitalize(),
                )

    def _fill(self, order: Order, price: int, quantity: int, wall: float, request_id: str) -> None:
        trade = self._ledger.fill(order, price, quantity, wall)
        self._publish(order, trade, request_id)

    def _rest_or_expire(self, order: Order, market: Market, wall: float, request_id: str) -> None:
        if not order.is_open:
            return
        if order.type in _RESTING:
            market.rest(order)
        else:
            self._end(order, OrderStatus.EXPIRED, wall, request_id)

    def _end(self, order: Order, status: OrderStatus, wall: float, request_id: str) -> None:
        self._ledger.end(order, status, wall)
        self._publish(order, None, request_id)


def required_text(params: Mapping[str, Any], name: str) -> str:
    """A parameter that must be there, as text."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Reason.MISSING_PARAMETER, parameter=name)
    return value


def _number(params: Mapping[str, Any], name: str) -> float:
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused(Reason.MISSING_PARAMETER, parameter=name)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Refused(Reason.MISSING_PARAMETER, parameter=name)
    return number


def _lots(fills: Sequence[tuple[int, int]]) -> int:
    return sum(quantity for _, quantity in fills)


def _units_to_hold(ticket: _Ticket, fills: Sequence[tuple[int, int]]) -> int:
    """What the order pays with at most. A market order to buy pays what it found, no more."""
    instrument = ticket.market.instrument
    if ticket.side is Side.SELL:
        return ticket.quantity * instrument.lot_units
    if ticket.price:
        return instrument.notional(ticket.price, ticket.quantity)
    return sum(instrument.notional(price, quantity) for price, quantity in fills)
