"""What an order of ours is to ccxt."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from foxtrot.util.clock import Clock
from foxtrot.util.constants import Direction, OrderType
from foxtrot.util.errors import DataValidationError, Outcome
from foxtrot.util.object import CancelRequest, OrderRequest

__all__ = ["naming", "order_arguments", "require_spoken"]

# Of the others some know no client ids, drop them, or cannot be asked by them: an order whose
# reply was lost would be sent twice. For Binance US ccxt asks binance.com for the orders' stream.
_SPOKEN = "binance"

_SIDE = {Direction.LONG: "buy", Direction.SHORT: "sell"}
_TIME_IN_FORCE = {OrderType.FAK: "IOC", OrderType.FOK: "FOK"}
# A limit is the worst price that is wanted: in whole steps it may be a better one.
_ROUNDING = {Direction.LONG: ROUND_FLOOR, Direction.SHORT: ROUND_CEILING}


def require_spoken(client: Any, clock: Clock) -> None:  # Any: ccxt's
    """Raise DataValidationError for a client of a venue whose ways with orders are not known.

    One whose `defaultType` is another market asks that one for balances and the account's stream.
    """
    market = client.options.get("defaultType", "spot")
    if client.id != _SPOKEN or market != "spot":
        raise DataValidationError(
            "client",
            f"expected one of Binance Spot, got ccxt's {client.id!r} with defaultType={market!r}; "
            "elsewhere an order cannot be kept under one id, and might be sent twice",
            outcome=Outcome.NOT_SENT,
            clock=clock,
        )


def order_arguments(market: Any, request: OrderRequest, clock: Clock) -> tuple[Any, ...]:
    """What `create_order` takes. Any: ccxt's.

    The price goes in whole steps of the market, never a worse one than was asked for; of the
    volume ccxt cuts off what is less than a step. What floats have lost of a whole step in
    arithmetic (0.3 - 0.1) is no such rest, and is given back.

    Raises DataValidationError for what no order can be made of; then nothing was sent.
    """
    # As plain floats: numpy's say their type where Python's say their digits.
    price, volume = float(request.price), float(request.volume)
    if request.direction not in _SIDE or not (math.isfinite(price) and math.isfinite(volume)):
        raise DataValidationError(
            "request",
            "expected a direction of LONG or SHORT and finite numbers, got "
            f"direction={request.direction.name}, {price=!r}, {volume=!r}",
            outcome=Outcome.NOT_SENT,
            clock=clock,
        )
    # ccxt's own name: what a venue calls it is passed on by others than that venue, to no effect.
    params: dict[str, Any] = {"clientOrderId": request.reference}
    if request.type is OrderType.POST_ONLY:
        params["postOnly"] = True
    if request.type in _TIME_IN_FORCE:
        params["timeInForce"] = _TIME_IN_FORCE[request.type]
    is_market = request.type is OrderType.MARKET
    steps = market["precision"]
    return (
        market["symbol"],
        "market" if is_market else "limit",
        _SIDE[request.direction],
        _in_steps(volume, steps["amount"]),
        None if is_market else _in_steps(price, steps["price"], _ROUNDING[request.direction]),
        params,
    )


def _in_steps(value: float, step: float | None, rounding: str | None = None) -> float:
    """`value` on the step that it means; between two, as `rounding` says, else as it is."""
    if not step:
        return value
    exact, unit = Decimal(repr(value)), Decimal(repr(step))
    nearest = round(exact / unit) * unit
    noise = max(Decimal("1e-6") * unit, Decimal("1e-12") * abs(exact))
    if abs(nearest - exact) <= min(noise, Decimal("0.01") * unit):
        return float(nearest)
    if rounding is None:
        return value
    return float((exact / unit).to_integral_value(rounding) * unit)


def naming(about: OrderRequest | CancelRequest | None) -> dict[str, str]:
    """The order that a request is about, as an error's context has it."""
    if about is None:
        return {}
    orderid = about.reference if isinstance(about, OrderRequest) else about.orderid
    return {"vt_symbol": about.vt_symbol, "client_id": orderid, "order_id": orderid}
