"""Answers requests, whichever way they came: checks them, asks the venue, words its answer.

REST and the WebSocket API differ in how a request is written down. From here on they are one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import orjson

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue import Instrument, Venue
from harness.wire.clock import VenueClock
from harness.wire.config import WireAccount
from harness.wire.errors import ApiError, CutOff, illegal, missing
from harness.wire.front import Deed, Front
from harness.wire.market import MarketView, SymbolView
from harness.wire.params import Param, check
from harness.wire.records import Records
from harness.wire.signing import is_signed_by

__all__ = ["Answer", "Call", "Endpoint", "Exchange", "Incoming", "retry_at", "symbols_of"]

_WEIGHT = "X-MBX-USED-WEIGHT-1M"
_MAX_WINDOW_MS = 60_000
_NEVER = 10**18
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})
_SIGNED = (
    Param("timestamp", "integer", required=True),
    Param("signature", required=True),
    Param("recvWindow", "decimal"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: HTTP's status, headers, and the body.

    `is_cut`: the connection is to end in the middle of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request as it arrived. `payload` is what its signature must cover."""

    params: Mapping[str, str]
    payload: bytes
    api_key: str
    source_ip: str
    connection_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was checked. `timestamp` is venue time; `account` is "" for public ones."""

    params: Mapping[str, str]
    api_key: str
    account: str
    timestamp: float
    recv_window: float
    source_ip: str
    connection_id: str

    def number(self, name: str) -> int | None:
        """An integer parameter; None where it was not sent, or empty."""
        sent = self.params.get(name)
        return int(sent) if sent else None

    def window(self, *, at_most: float | None = None) -> tuple[int | None, int]:
        """`startTime`, if it was sent, and `endTime`, in milliseconds. Raises ApiError.

        Clients may write microseconds. `at_most`: how many hours may lie between the two.
        """
        begin, end = (self._milliseconds(name) for name in ("startTime", "endTime"))
        last = _NEVER if end is None else end
        if None not in {at_most, begin, end} and last - (begin or 0) > (at_most or 0) * 3_600_000:
            raise ApiError(-1127, f"More than {at_most:g} hours between startTime and endTime.")
        return begin, last

    def _milliseconds(self, name: str) -> int | None:
        time = self.number(name)
        return time if time is None else round(_seconds(time) * 1000)

    def limit(self, default: int, most: int) -> int:
        """How many rows are wanted; at most so many. Raises ApiError for none."""
        asked = self.number("limit")
        limit = default if asked is None else asked
        if limit < 1:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One thing that can be asked, and where: on REST by verb and path, on WebSocket by method."""

    verb: str
    path: str
    method: str
    answer: Callable[[Exchange, Call], Awaitable[Answer]]
    summary: str
    is_signed: bool = False
    params: tuple[Param, ...] = ()

    @property
    def all_params(self) -> tuple[Param, ...]:
        """Its own parameters, and those of every signed request."""
        return (*self.params, *_SIGNED) if self.is_signed else self.params


@dataclass(slots=True)
class Exchange:
    """The venue with everything that its answers are made of."""

    venue: Venue
    front: Front
    clock: VenueClock
    market: MarketView
    records: Records
    instruments: Mapping[str, Instrument]
    accounts: Mapping[str, WireAccount]
    _requests: int = field(default=0)

    async def answer(self, endpoint: Endpoint, incoming: Incoming) -> Answer:
        """Answer a request. Raises Dropped when no answer is to follow."""
        try:
            check(incoming.params, endpoint.all_params)
            call = self._authenticate(endpoint, incoming)
            return await endpoint.answer(self, call)
        except ApiError as error:
            return await self.refuse(error, incoming.source_ip, incoming.connection_id)

    async def refuse(self, error: ApiError, source_ip: str, connection_id: str = "") -> Answer:
        """Answer with an error of the front's own. It costs what the cheapest request costs."""
        toll = await self.toll(self._public(source_ip, connection_id=connection_id))
        if toll.status >= 400:
            return toll
        body = orjson.dumps({"code": error.code, "msg": error.message})
        return replace(toll, status=error.status, body=body)  # cut off, if that was

    def next_request(self) -> str:
        """The name of one more request to the venue."""
        self._requests += 1
        return f"w{self._requests}"

    async def ask(
        self, call: Call, operation: Operation, deed: Deed | None = None, **params: Any
    ) -> VenueReply:
        """Ask the venue on behalf of a call. Any: JSON."""
        request = VenueRequest(
            request_id=self.next_request(),
            operation=operation,
            params=params,
            timestamp=call.timestamp,
            recv_window=call.recv_window,
            api_key=call.api_key,
        )
        is_message = bool(call.connection_id)
        return await self.front.ask(request, call.source_ip, is_message=is_message, deed=deed)

    async def relay(
        self,
        call: Call,
        operation: Operation,
        form: Callable[[Any], Any],
        deed: Deed | None = None,
        **params: Any,
    ) -> Answer:
        """Ask the venue, and word what it answers by `form`; `deed` as of the front. Any: JSON."""
        tampers = self.front.is_tampering()  # a fault that counts may be over once it has answered
        try:
            reply = await self.ask(call, operation, deed, **params)
            return self.word(reply, form, tampers=tampers)
        except CutOff as cut:
            return replace(self.word(cut.reply, form, tampers=tampers), is_cut=True)

    async def toll(self, call: Call) -> Answer:
        """Pay for what the venue has no operation of its own for, or be refused."""
        return await self.relay(call, Operation.TIME, lambda body: body["server_time"] and {})

    async def public(self, call: Call, form: Callable[[], Any]) -> Answer:
        """Answer from the market's data, once the toll is paid. Any: JSON."""
        return await self.relay(call, Operation.TIME, lambda body: body["server_time"] and form())

    def word(
        self, reply: VenueReply, form: Callable[[Any], Any], *, tampers: bool = False
    ) -> Answer:
        """A reply of the venue in Binance's words.

        What a fault put in the place of the venue's words goes out as it is; `tampers` says that
        one was on when the venue was asked.
        """
        headers = self._headers(reply)
        if reply.status >= 400:
            return Answer(reply.status, headers, self._error(reply.body))
        try:
            body = orjson.dumps(form(orjson.loads(reply.body)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            if not (tampers or self.front.is_tampering()):
                raise
            body = reply.body
        return Answer(reply.status, headers, body)

    def view(self, symbol: str) -> SymbolView:
        """The market of a symbol."""
        view = self.market.symbols.get(symbol)
        if view is None:
            raise ApiError(-1121, "Invalid symbol.")
        return view

    def views(self, symbols: Sequence[str]) -> list[SymbolView]:
        """The markets of symbols; of all, where none is named."""
        return [self.view(symbol) for symbol in symbols or self.market.symbols]

    def wall(self) -> float:
        """The time by the clients' clocks."""
        return self.clock.to_client(self.clock.epoch + self.clock.now())

    def limits(self, answer: Answer) -> list[dict[str, Any]]:  # Any: JSON
        """The limits that a request touched, and what is used of them, by its answer's headers."""
        profile, headers = self.venue.profile, answer.headers
        touched = [
            (_limit("ORDERS", rule.interval, rule.limit), headers[rule.header])
            for rule in profile.order_rates
            if rule.header in headers
        ]
        weight = _limit("REQUEST_WEIGHT", "1 MINUTE", profile.weight_limit)
        touched.append((weight, headers.get(_WEIGHT, "0")))
        return [{**limit, "count": int(count)} for limit, count in touched]

    def _authenticate(self, endpoint: Endpoint, incoming: Incoming) -> Call:
        if not endpoint.is_signed:
            return self._public(
                incoming.source_ip, incoming.params, connection_id=incoming.connection_id
            )
        params = incoming.params
        if not incoming.api_key:
            raise ApiError(-2014, "API-key format invalid.", status=401)
        account = self.accounts.get(incoming.api_key)
        # Of a key that nobody has there is no secret to check by; the venue will not know it.
        if account and not is_signed_by(account.secret, incoming.payload, params["signature"]):
            raise ApiError(-1022, "Signature for this request is not valid.")
        window = float(params.get("recvWindow") or 5_000)
        if window > _MAX_WINDOW_MS:
            raise ApiError(-1131, "'recvWindow' must be less than 60000.")
        return Call(
            params=params,
            api_key=incoming.api_key,
            account=account.name if account else "",
            timestamp=self.clock.to_venue(_seconds(int(params["timestamp"]))),
            recv_window=window / 1000 * self.clock.scale,
            source_ip=incoming.source_ip,
            connection_id=incoming.connection_id,
        )

    def _public(
        self,
        source_ip: str,
        params: Mapping[str, str] = _NO_PARAMS,
        *,
        connection_id: str = "",
    ) -> Call:
        return Call(
            params=params,
            api_key="",
            account="",
            timestamp=self.clock.epoch + self.clock.now(),
            recv_window=5.0,
            source_ip=source_ip,
            connection_id=connection_id,
        )

    def _headers(self, reply: VenueReply) -> dict[str, str]:
        headers = dict(reply.headers)
        wait = headers.get("Retry-After")
        if wait is not None:
            headers["Retry-After"] = self.clock.retry_after(wait)
        return headers

    def _error(self, body: bytes) -> bytes:
        """An error body, with the end of a ban in the clients' time."""
        before, until, digits = body.partition(b"banned until ")
        if not until or self.clock.scale == 1.0 or not digits[:13].isdigit():
            return body
        end = self.clock.milliseconds(int(digits[:13]) / 1000)
        return before + until + str(end).encode() + digits[13:]


def _limit(kind: str, interval: str, limit: int) -> dict[str, Any]:  # Any: JSON
    count, unit = interval.split()
    return {"rateLimitType": kind, "interval": unit, "intervalNum": int(count), "limit": limit}


def retry_at(headers: Mapping[str, str], now: float) -> float | None:
    """When, by the clients' clocks, a refused request may be sent again; None where none says."""
    header = headers.get("Retry-After")
    if header is None:
        return None
    return now + int(header) if header.isdigit() else parsedate_to_datetime(header).timestamp()


def _seconds(timestamp: int) -> float:
    """A timestamp of a client, in milliseconds or microseconds, in seconds."""
    return timestamp / (1e6 if timestamp >= 10**15 else 1e3)


def symbols_of(params: Mapping[str, str]) -> list[str]:
    """The symbols that a public request names, by `symbol` or by `symbols` as a JSON list."""
    if params.get("symbol") and params.get("symbols"):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if params.get("symbol"):
        return [params["symbol"]]
    listed = params.get("symbols")
    if not listed:
        return []
    try:
        symbols = orjson.loads(listed)
    except ValueError:
        symbols = None
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise illegal("symbols", r"^\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\]$")
    if not symbols:
        raise missing("symbols")
    if len({*symbols}) < len(symbols):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")
    return symbols
