"""Binance Spot, by its public documentation (rest-api.md, errors.md)."""

from __future__ import annotations

from types import MappingProxyType

from foxtrot.adapter.session import Operation
from harness.venue.profile import ErrorForm, OrderRateRule, Profile, Reason

__all__ = ["BINANCE"]

_CLIENT_ID_RANGE = r"^[\.A-Z\:/a-z0-9_-]{{1,36}}$"  # doubled braces: it goes through str.format

_BINANCE_ERRORS = {
    Reason.BAD_PARAMETER: ErrorForm(
        400, -1130, "Data sent for parameter '{parameter}' is not valid."
    ),
    Reason.BAD_SIDE: ErrorForm(400, -1117, "Invalid side."),
    Reason.BAD_ORDER_TYPE: ErrorForm(400, -1116, "Invalid orderType."),
    Reason.BAD_CLIENT_ID: ErrorForm(
        400,
        -1100,
        "Illegal characters found in parameter 'newClientOrderId'; "
        f"legal range is '{_CLIENT_ID_RANGE}'.",
    ),
    Reason.BANNED: ErrorForm(
        418,
        -1003,
        "Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
    ),
    Reason.DUPLICATE_ORDER: ErrorForm(400, -2010, "Duplicate order sent."),
    Reason.INSUFFICIENT_FUNDS: ErrorForm(
        400, -2010, "Account has insufficient balance for requested action."
    ),
    Reason.KEY_REFUSED: ErrorForm(401, -2015, "Invalid API-key, IP, or permissions for action."),
    Reason.LATE_CANCEL: ErrorForm(400, -2011, "Unknown order sent."),
    Reason.LOT_SIZE: ErrorForm(400, -1013, "Filter failure: LOT_SIZE"),
    Reason.MAINTENANCE: ErrorForm(503, -1016, "This service is no longer available."),
    Reason.MARKET_CLOSED: ErrorForm(400, -2010, "Market is closed."),
    Reason.MISSING_PARAMETER: ErrorForm(
        400,
        -1102,
        "Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.",
    ),
    Reason.NOTIONAL: ErrorForm(400, -1013, "Filter failure: NOTIONAL"),
    Reason.ORDER_RATE: ErrorForm(
        429, -1015, "Too many new orders; current limit is {limit} orders per {interval}."
    ),
    Reason.POST_ONLY_WOULD_TAKE: ErrorForm(400, -2010, "Order would immediately match and take."),
    Reason.PRICE_FILTER: ErrorForm(400, -1013, "Filter failure: PRICE_FILTER"),
    Reason.TIMESTAMP_AHEAD: ErrorForm(
        400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."
    ),
    Reason.TIMESTAMP_LATE: ErrorForm(
        400, -1021, "Timestamp for this request is outside of the recvWindow."
    ),
    Reason.UNKNOWN_CANCEL: ErrorForm(400, -2011, "Unknown order sent."),
    Reason.UNKNOWN_OPERATION: ErrorForm(400, -1020, "This operation is not supported."),
    Reason.UNKNOWN_ORDER: ErrorForm(400, -2013, "Order does not exist."),
    Reason.UNKNOWN_SYMBOL: ErrorForm(400, -1121, "Invalid symbol."),
    Reason.WEIGHT: ErrorForm(
        429,
        -1003,
        "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    ),
}

BINANCE = Profile(
    name="binance",
    errors=MappingProxyType(_BINANCE_ERRORS),
    weights=MappingProxyType(
        {
            Operation.TIME: 1,
            Operation.INSTRUMENTS: 20,
            Operation.ACCOUNT: 20,
            Operation.PLACE_ORDER: 1,
            Operation.CANCEL_ORDER: 1,
            Operation.QUERY_ORDER: 4,
            Operation.OPEN_ORDERS: 80,
            Operation.TRADES: 20,
            Operation.SUBSCRIBE: 2,
        }
    ),
    # Those of one symbol, and those of one order.
    cheaper=MappingProxyType(
        {Operation.OPEN_ORDERS: ("symbol", 6), Operation.TRADES: ("order", 5)},
    ),
    weight_limit=6000,
    weight_window=60.0,
    order_rates=(
        OrderRateRule(50, 10, "10 SECOND", "X-MBX-ORDER-COUNT-10S"),
        OrderRateRule(160_000, 86_400, "1 DAY", "X-MBX-ORDER-COUNT-1D"),
    ),
)
