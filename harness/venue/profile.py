"""What may differ between venues: limits, ids, sessions, and how each refusal is worded.

The state machine knows reasons and rules; a profile knows what its venue calls the ones and which
of the others it has. The profiles themselves are in `harness.venue.profiles`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from foxtrot.adapter.session import Operation, VenueRequest

__all__ = [
    "Connectivity",
    "ErrorForm",
    "OrderIds",
    "OrderRateRule",
    "Profile",
    "Quota",
    "Reason",
    "Refused",
]


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
    LATE_CANCEL = "late_cancel"
    LOCKED = "locked"
    LOT_SIZE = "lot_size"
    MAINTENANCE = "maintenance"
    MARKET_CLOSED = "market_closed"
    MISSING_PARAMETER = "missing_parameter"
    NOTIONAL = "notional"
    ORDER_RATE = "order_rate"
    POST_ONLY_WOULD_TAKE = "post_only_would_take"
    PRICE_FILTER = "price_filter"
    QUOTA = "quota"
    SUBSCRIPTIONS = "subscriptions"
    TIMESTAMP_AHEAD = "timestamp_ahead"
    TIMESTAMP_LATE = "timestamp_late"
    UNKNOWN_CANCEL = "unknown_cancel"
    UNKNOWN_OPERATION = "unknown_operation"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_SYMBOL = "unknown_symbol"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """How a refusal looks to the client. `message` may name `{words}` that the refusal brings.

    `status` is HTTP's. For a venue that does not speak HTTP it is the nearest one, for the
    harness's own record; its client reads the code and the message alone.
    """

    status: int
    code: int
    message: str


class Refused(Exception):
    """Raised when a request is to be answered with an error; carries what the answer needs.

    `until` is virtual seconds and is what the client was told to wait for; `retry_after` is None
    where the answer keeps that to itself. `free_at` is when all of the quota is free again for a
    client that goes by what it is told of it. `knob_ids` are the imposed conditions to blame.
    """

    def __init__(
        self,
        reason: Reason | ErrorForm,
        *,
        retry_after: float | None = None,
        as_date: bool = False,
        until: float | None = None,
        free_at: float | None = None,
        knob_ids: tuple[str, ...] = (),
        **words: object,
    ) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after
        self.as_date = as_date
        self.until = until
        self.free_at = free_at
        self.knob_ids = knob_ids
        self.words = words


@dataclass(frozen=True, slots=True)
class OrderRateRule:
    """At most `limit` accepted orders per account in each window of `seconds`."""

    limit: int
    seconds: int
    interval: str
    header: str


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` requests of one kind per source in each window of `seconds`."""

    limit: int
    seconds: int


class OrderIds(StrEnum):
    """Whose numbers name an order.

    CLIENT: the client's own id, which no other open order may have; it is free again once its
    order has ended. NUMBERED: the client numbers its orders, each higher than all before, and its
    id is a note on them. SERVER: the venue's number alone; the client's id is a remark, which any
    number of orders may bear.
    """

    CLIENT = "client"
    NUMBERED = "numbered"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Connectivity:
    """What a gateway says when its own way to the venue is cut, and when it is back.

    Each is pushed to whoever is connected: `lost`, then `data_lost` or `data_kept`. In between
    orders are answered with `refusal`.
    """

    lost: ErrorForm
    data_lost: ErrorForm
    data_kept: ErrorForm
    refusal: ErrorForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of one venue. Durations are seconds.

    Args:
        name: What scenarios call it.
        errors: The form of every refusal that its rules can lead to.
        weights: What each request costs. What is not in here, the venue does not know.
        cheaper: By what is asked, a parameter that makes it cost less, and how much it costs then.
        weight_limit: Cost per source in each `weight_window`.
        order_rates: Limits on accepted orders.
        quotas: Limits on requests by what they ask for. A refused one is not counted.
        tells_wait: Whether a refusal says how long to wait.
        knocks_before_ban: How often a source that was told to wait may send all the same before
            it is banned. None: for ever.
        knock_grace: Requests within it of the answer that told were on the wire already.
        ban_growth: How much longer each further ban is.
        checks_time: Whether a request must bear the time, and be fresh.
        order_ids: Whose numbers name an order.
        one_socket: Whether requests go over the stream connection, in order, and die with it.
        locks: Whether trading is locked after a restart until the client unlocks it.
        subscription_limit: Symbols that one connection may subscribe to.
        connectivity: What it says of its own way to the venue; None: it has none.
        notices: What it pushes, as if it were an error, after a request was served.
        latency: Mean seconds one way; where a scenario does not say.
        jitter: Largest deviation from it.

    Raises:
        ValueError: `errors` lacks the form of a refusal that its rules can lead to.
    """

    name: str
    errors: Mapping[Reason, ErrorForm]
    weights: Mapping[Operation, int]
    cheaper: Mapping[Operation, tuple[str, int]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    weight_limit: int
    weight_window: float
    order_rates: tuple[OrderRateRule, ...] = ()
    quotas: Mapping[Operation, Quota] = field(default_factory=lambda: MappingProxyType({}))
    tells_wait: bool = True
    knocks_before_ban: int | None = 5
    knock_grace: float = 1.0
    ban_seconds: float = 120.0
    ban_growth: float = 4.0
    ban_max_seconds: float = 259_200.0
    connection_limit: int = 300
    connection_window: float = 300.0
    checks_time: bool = True
    timestamp_lead: float = 1.0
    order_ids: OrderIds = OrderIds.CLIENT
    one_socket: bool = False
    locks: bool = False
    subscription_limit: int | None = None
    connectivity: Connectivity | None = None
    notices: Mapping[Operation, tuple[ErrorForm, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    latency: float = 0.020
    jitter: float = 0.010

    def __post_init__(self) -> None:
        missing = [reason for reason in Reason if reason not in {*self.errors, *self._never()}]
        if missing:
            raise ValueError(
                f"expected a form for every refusal of profile {self.name!r}, missing={missing!r}; "
                "add them to errors"
            )

    def weight_of(self, request: VenueRequest) -> int | None:
        """What a request costs; None for one that the venue does not know."""
        if request.operation in self.cheaper:
            parameter, weight = self.cheaper[request.operation]
            if parameter in request.params:
                return weight
        return self.weights.get(request.operation)

    def _never(self) -> Iterator[Reason]:
        """The refusals that its rules cannot lead to."""
        if not self.checks_time:
            yield from (Reason.TIMESTAMP_AHEAD, Reason.TIMESTAMP_LATE)
        if not self.order_rates:
            yield Reason.ORDER_RATE
        if not self.quotas:
            yield Reason.QUOTA
        if not self.locks:
            yield Reason.LOCKED
        if self.subscription_limit is None:
            yield Reason.SUBSCRIPTIONS
        if Operation.QUERY_ORDER not in self.weights:
            yield Reason.UNKNOWN_ORDER
        if self.order_ids is OrderIds.SERVER:
            yield Reason.DUPLICATE_ORDER
