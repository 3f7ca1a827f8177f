"""What differs between venues, as data: limits, request weights, and how each refusal is worded.

The state machine knows reasons; a profile knows what its venue calls them. `BINANCE` follows
Binance's public Spot documentation (rest-api.md, errors.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from foxtrot.adapter.session import Operation

__all__ = ["BINANCE", "ErrorForm", "OrderRateRule", "Profile", "Reason", "Refused"]


class Reason(StrEnum):
    """Why a venue refuses a request."""

    BAD_PARAMETER = "bad_parameter"
    BAD_SIDE = "bad_side"
    BAD_ORDER_TYPE = "bad_order_type"
    BAD_CLIENT_ID = "bad_client_id"
    BANNED = "banned"
    DUPLICATE_ORDER = "duplicate_order"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    KEY_REFUSED = "key_refused"
    LOT_SIZE = "lot_size"
    MAINTENANCE = "maintenance"
    MARKET_CLOSED = "market_closed"
    MISSING_PARAMETER = "missing_parameter"
    NOTIONAL = "notional"
    ORDER_RATE = "order_rate"
    POST_ONLY_WOULD_TAKE = "post_only_would_take"
    PRICE_FILTER = "price_filter"
    TIMESTAMP_AHEAD = "timestamp_ahead"
    TIMESTAMP_LATE = "timestamp_late"
    UNKNOWN_CANCEL = "unknown_cancel"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_SYMBOL = "unknown_symbol"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """How a refusal looks to the client. `message` may name `{words}` that the refusal brings."""

    status: int
    code: int
    message: str


class Refused(Exception):
    """Raised when a request is to be answered with an error; carries what the answer needs.

    `until` is virtual seconds and is what the client was told to wait for; `retry_after` is None
    where the answer keeps that to itself. `knob_ids` are the imposed conditions to blame.
    """

    def __init__(
        self,
        reason: Reason | ErrorForm,
        *,
        retry_after: float | None = None,
        as_date: bool = False,
        until: float | None = None,
        knob_ids: tuple[str, ...] = (),
        **words: object,
    ) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        self.as_date = as_date
        self.until = until
        self.knob_ids = knob_ids
        self.words = words


@dataclass(frozen=True, slots=True)
class OrderRateRule:
    """At most `limit` accepted orders per account in each window of `seconds`."""

    limit: int
    seconds: int
    interval: str
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of one venue. Durations are seconds.

    A source that was told to wait and sends all the same is banned at the
    `knocks_before_ban`-th time; requests within `knock_grace` of the answer that told it were on
    the wire already and are no disobedience. Each further ban is `ban_growth` times longer.
    """

    name: str
    errors: Mapping[Reason, ErrorForm]
    weights: Mapping[Operation, int]
    weight_limit: int
    weight_window: float
    order_rates: tuple[OrderRateRule, ...]
    knocks_before_ban: int = 5
    knock_grace: float = 1.0
    ban_seconds: float = 120.0
    ban_growth: float = 4.0
    ban_max_seconds: float = 259_200.0
    connection_limit: int = 300
    connection_window: float = 300.0
    timestamp_lead: float = 1.0


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
            Operation.OPEN_ORDERS: 6,
            Operation.TRADES: 20,
            Operation.SUBSCRIBE: 2,
        }
    ),
    weight_limit=1200,
    weight_window=60.0,
    order_rates=(
        OrderRateRule(50, 10, "10 SECOND", "X-MBX-ORDER-COUNT-10S"),
        OrderRateRule(160_000, 86_400, "1 DAY", "X-MBX-ORDER-COUNT-1D"),
    ),
)
