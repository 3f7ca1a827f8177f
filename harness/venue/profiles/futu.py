"""Futu behind its gateway process OpenD, by the documentation of the Futu API.

A reply says that it succeeded or failed, with a text that is the only reason given. OpenD limits
each call by itself, per 30 seconds. The venue numbers the orders; what the client calls one is a
remark. After a restart of OpenD trading is locked until the client unlocks it.
"""

from __future__ import annotations

from types import MappingProxyType

from foxtrot.adapter.session import Operation
from harness.venue.profile import ErrorForm, OrderIds, Profile, Quota, Reason

__all__ = ["FUTU"]

_FAILED = -1
_INVALID = -500


def _failed(why: str, *, status: int = 400) -> ErrorForm:
    return ErrorForm(status, _FAILED, why)


_TOO_OFTEN = _failed(
    "This request is too frequent: at most {limit} requests every {seconds} seconds", status=429
)

_ERRORS = {
    Reason.BAD_PARAMETER: _failed("Invalid parameter: '{parameter}'"),
    Reason.BAD_SIDE: _failed("Invalid parameter: 'trdSide'"),
    Reason.BAD_ORDER_TYPE: _failed("Invalid parameter: 'orderType'"),
    Reason.BAD_CLIENT_ID: _failed("Invalid parameter: 'remark' is longer than 64 bytes"),
    # Nobody is banned: what would be one elsewhere is an endless refusal.
    Reason.BANNED: _failed("This request is too frequent", status=429),
    Reason.INSUFFICIENT_FUNDS: _failed("Insufficient buying power"),
    Reason.KEY_REFUSED: _failed("No permission: the account is not logged in", status=401),
    Reason.LATE_CANCEL: _failed("The order {order} cannot be cancelled, it is {state}"),
    Reason.LOCKED: _failed("Trading is not unlocked, please unlock trade first", status=401),
    Reason.LOT_SIZE: _failed("The quantity is not a multiple of the lot size"),
    Reason.MAINTENANCE: _failed("The server is not connected", status=503),
    Reason.MARKET_CLOSED: _failed("The market is closed"),
    Reason.MISSING_PARAMETER: _failed("Missing required parameter: '{parameter}'"),
    Reason.NOTIONAL: _failed("The quantity is below the minimum of an order"),
    Reason.POST_ONLY_WOULD_TAKE: _failed("The order was refused: it would be filled at once"),
    Reason.PRICE_FILTER: _failed("The price does not conform to the price spread"),
    Reason.QUOTA: _TOO_OFTEN,
    Reason.SUBSCRIPTIONS: _failed("Insufficient subscription quota: {limit} at most"),
    Reason.UNKNOWN_CANCEL: _failed("The order {order} does not exist"),
    Reason.UNKNOWN_OPERATION: ErrorForm(400, _INVALID, "Unknown protocol"),
    Reason.UNKNOWN_SYMBOL: _failed("Unknown stock"),
    Reason.WEIGHT: _failed("This request is too frequent", status=429),
}

FUTU = Profile(
    name="futu",
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
                Operation.UNLOCK,
            ),
            1,
        )
    ),
    # OpenD counts by call. This is only what no client of a gateway on its own machine reaches.
    weight_limit=3_000,
    weight_window=30.0,
    quotas=MappingProxyType(
        {
            Operation.PLACE_ORDER: Quota(15, 30),
            Operation.CANCEL_ORDER: Quota(20, 30),
            Operation.OPEN_ORDERS: Quota(10, 30),
            Operation.TRADES: Quota(10, 30),
            Operation.ACCOUNT: Quota(10, 30),
            Operation.UNLOCK: Quota(10, 30),
        }
    ),
    tells_wait=False,
    knocks_before_ban=None,
    checks_time=False,
    order_ids=OrderIds.SERVER,
    one_socket=True,
    locks=True,
    subscription_limit=100,
    latency=0.025,
    jitter=0.010,
)
