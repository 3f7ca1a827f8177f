"""Interactive Brokers behind TWS or IB Gateway, by IBKR's TWS API documentation.

One socket carries everything, and an error is a message on it: a code, a text, and no more. There
is no request for one order by its id; there are the open orders and the executions. Historical
data, and its own pacing (162), are not simulated: nothing here asks for any.
"""

from __future__ import annotations

from types import MappingProxyType

from foxtrot.adapter.session import Operation
from harness.venue.profile import Connectivity, ErrorForm, OrderIds, Profile, Reason

__all__ = ["IB"]

_PACING = ErrorForm(429, 100, "Max rate of messages per second has been exceeded.")


def _rejected(why: str) -> ErrorForm:
    return ErrorForm(400, 201, f"Order rejected - reason:{why}")


def _invalid(cause: str) -> ErrorForm:
    return ErrorForm(400, 321, f"Error validating request:-'bJ' : cause - {cause}")


_ERRORS = {
    Reason.BAD_PARAMETER: _invalid("Invalid value of {parameter}"),
    Reason.BAD_SIDE: _invalid("Invalid action"),
    Reason.BAD_ORDER_TYPE: ErrorForm(
        400, 387, "Unsupported order type for this exchange and security type."
    ),
    Reason.BAD_CLIENT_ID: _invalid("Order ref is too long or has illegal characters"),
    # Nobody is banned: what would be one elsewhere is an endless pacing violation.
    Reason.BANNED: _PACING,
    Reason.DUPLICATE_ORDER: ErrorForm(400, 103, "Duplicate order id"),
    Reason.INSUFFICIENT_FUNDS: _rejected(
        "We are unable to accept your order. Your Available Funds are insufficient "
        "to cover the margin of this order."
    ),
    Reason.KEY_REFUSED: ErrorForm(401, 438, "The application is now locked."),
    Reason.LATE_CANCEL: ErrorForm(
        400, 10148, "OrderId {order} that needs to be cancelled cannot be cancelled, state: {state}"
    ),
    Reason.LOT_SIZE: _rejected("The order size does not conform to the market rule."),
    Reason.MAINTENANCE: ErrorForm(503, 504, "Not connected"),
    Reason.MARKET_CLOSED: _rejected("Exchange is closed."),
    Reason.MISSING_PARAMETER: _invalid("Missing {parameter}"),
    Reason.NOTIONAL: _rejected("The order size is below the minimum."),
    Reason.POST_ONLY_WOULD_TAKE: _rejected("The order would remove liquidity."),
    Reason.PRICE_FILTER: ErrorForm(
        400, 110, "The price does not conform to the minimum price variation for this contract."
    ),
    Reason.UNKNOWN_CANCEL: ErrorForm(
        400, 10147, "OrderId {order} that needs to be cancelled is not found."
    ),
    Reason.UNKNOWN_OPERATION: ErrorForm(400, 505, "Fatal Error: Unknown message id."),
    Reason.UNKNOWN_SYMBOL: ErrorForm(
        400, 200, "No security definition has been found for the request"
    ),
    Reason.WEIGHT: _PACING,
}

IB = Profile(
    name="ib",
    errors=MappingProxyType(_ERRORS),
    weights=MappingProxyType(
        dict.fromkeys(
            (
                Operation.TIME,
                Operation.INSTRUMENTS,
                Operation.ACCOUNT,
                Operation.PLACE_ORDER,
                Operation.CANCEL_ORDER,
                Operation.OPEN_ORDERS,
                Operation.TRADES,
                Operation.SUBSCRIBE,
            ),
            1,
        )
    ),
    weight_limit=50,
    weight_window=1.0,
    tells_wait=False,
    knocks_before_ban=None,
    checks_time=False,
    order_ids=OrderIds.NUMBERED,
    one_socket=True,
    connectivity=Connectivity(
        lost=ErrorForm(503, 1100, "Connectivity between IB and TWS has been lost."),
        data_lost=ErrorForm(
            503, 1101, "Connectivity between IB and TWS has been restored- data lost."
        ),
        data_kept=ErrorForm(
            200, 1102, "Connectivity between IB and TWS has been restored- data maintained."
        ),
        refusal=ErrorForm(
            503,
            2110,
            "Connectivity between TWS and server is broken. It will be restored automatically.",
        ),
    ),
    notices=MappingProxyType(
        {
            Operation.SUBSCRIBE: (
                ErrorForm(200, 2104, "Market data farm connection is OK:usfarm"),
                ErrorForm(200, 2106, "HMDS data farm connection is OK:ushmds"),
                ErrorForm(200, 2158, "Sec-def data farm connection is OK:secdefil"),
            ),
            Operation.PLACE_ORDER: (
                ErrorForm(200, 399, "Order Message:\nWarning: your order was repriced"),
            ),
            Operation.CANCEL_ORDER: (ErrorForm(200, 202, "Order Canceled - reason:"),),
        }
    ),
    latency=0.040,
    jitter=0.015,
)
