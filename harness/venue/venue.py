"""The simulated exchange: a state machine that is handed the time, and answers.

It reads no clock and draws no number. What it was told to do wrong is in its `conditions`; what
is true is in its `ledger`; what it did is told to its hooks as it happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import formatdate
from typing import Any

import orjson

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue.conditions import Conditions, Knob, Maintenance, Replies
from harness.venue.desk import Desk, required_text
from harness.venue.gate import Gate
from harness.venue.hooks import EventHook, InterventionHook, ignore_event, ignore_intervention
from harness.venue.instruments import DEFAULT_INSTRUMENTS, Instrument, amount_of
from harness.venue.ledger import DEFAULT_ACCOUNT, Account, AccountSpec, Ledger, Order, Trade
from harness.venue.matching import Market
from harness.venue.profile import ErrorForm, OrderIds, Profile, Reason, Refused
from harness.venue.profiles import BINANCE
from harness.venue.streams import Connection, Streams
from harness.venue.tape import MarketTrade

__all__ = ["Venue"]


class Venue:
    """One simulated exchange.

    `tape` is read as time goes by (see `harness.venue.tape`). `epoch` is the wall time, in
    seconds since 1970, at `now` = 0. `now` is virtual seconds and must never go back from call to
    call. `retention` is for how many seconds what ended can still be asked for.
    """

    def __init__(
        self,
        name: str,
        profile: Profile = BINANCE,
        instruments: Sequence[Instrument] = DEFAULT_INSTRUMENTS,
        tape: Iterable[MarketTrade] = (),
        *,
        epoch: float,
        on_event: EventHook = ignore_event,
        on_intervention: InterventionHook = ignore_intervention,
        accounts: Sequence[AccountSpec] = (DEFAULT_ACCOUNT,),
        retention: float = math.inf,
    ) -> None:
        self.name = name
        self.profile = profile
        self.conditions = Conditions()
        self.ledger = Ledger(tuple(accounts), retention=retention)
        self._epoch = epoch
        self._now = 0.0
        self._on_event = on_event
        self._on_intervention = on_intervention
        self._streams = Streams(self.conditions, on_intervention)
        self._desk = Desk(
            instruments,
            self.ledger,
            self.conditions,
            order_ids=profile.order_ids,
            publish=self._publish,
            on_intervention=on_intervention,
        )
        self._gate = Gate(profile, self.conditions, self.ledger, epoch, on_intervention)
        self._tape = iter(tape)
        self._next_trade = next(self._tape, None)
        self._operations: dict[Operation, Callable[[VenueRequest], dict[str, Any]]] = {
            Operation.TIME: self._time,
            Operation.INSTRUMENTS: self._instruments,
            Operation.ACCOUNT: self._account,
            Operation.PLACE_ORDER: self._place,
            Operation.CANCEL_ORDER: self._cancel,
            Operation.QUERY_ORDER: self._query,
            Operation.OPEN_ORDERS: self._open_orders,
            Operation.TRADES: self._trades,
            Operation.SUBSCRIBE: self._subscribe,
            Operation.UNLOCK: self._unlock,
        }

    # -- The market -------------------------------------------------------------------------

    def advance(self, now: float) -> list[tuple[str, bytes]]:
        """Move the market to `now`; return the frames that leave, as (connection id, bytes)."""
        self._move_to(now)
        return self._streams.take(now)

    def take_frames(self) -> list[tuple[str, bytes]]:
        """The frames that `handle` and the knobs produced since frames were last taken."""
        return self._streams.take(self._now)

    def next_event_at(self) -> float | None:
        """When `advance` has something to do next. None: the tape is at its end."""
        times = (self._next_trade and self._next_trade.at, self._streams.next_delayed_at())
        return min((time for time in times if time is not None), default=None)

    def _move_to(self, now: float) -> None:
        while self._next_trade is not None and self._next_trade.at <= now:
            trade = self._next_trade
            self._now = trade.at
            self._apply(trade)
            self._next_trade = next(self._tape, None)
        self._now = now
        self.ledger.forget(self._wall())

    def _apply(self, trade: MarketTrade) -> None:
        traded = self._desk.trade(trade, self._wall())
        market = self._desk.markets[trade.symbol]
        if market.has_price and not self.conditions.of(Maintenance):
            market.sequence += 1
            volume = market.instrument.quantity(market.volume) if traded else 0.0
            self._streams.push_tick(trade.symbol, self._tick(market, volume), self._now)

    def _tick(self, market: Market, volume: float) -> dict[str, Any]:  # Any: JSON
        instrument = market.instrument
        return {
            "type": "tick",
            "symbol": instrument.symbol,
            "sequence": market.sequence,
            "price": instrument.price(market.last),
            "bid": instrument.price(market.bid),
            "ask": instrument.price(market.ask),
            "volume": volume,
            "time": self._wall(),
        }

    def _wall(self) -> float:
        """What the venue's own clock shows."""
        return self._epoch + self._now + self.conditions.skew()

    # -- Stream connections -----------------------------------------------------------------

    def connect(
        self, connection_id: str, api_key: str, now: float, *, source_ip: str = "client"
    ) -> bool:
        """Open a stream connection. False: the venue takes none from this source now."""
        self._move_to(now)
        if not self._gate.admits_connection(connection_id, source_ip, now):
            return False
        account = self.ledger.account_of(api_key)
        self._streams.open(connection_id, account.name if account else "")
        return True

    def disconnect(self, connection_id: str, now: float) -> None:
        """Close a stream connection, whoever ended it. Unknown ids are none."""
        self._move_to(now)
        self._streams.close(connection_id)

    def connection_ids(self) -> list[str]:
        """The open stream connections, oldest first."""
        return self._streams.connection_ids()

    # -- Faults -----------------------------------------------------------------------------

    def impose(self, knob_id: str, *knobs: Knob) -> None:
        """Make the venue misbehave until `lift`. The hook on_intervention names the knob id."""
        self.conditions.impose(knob_id, *knobs)

    def lift(self, knob_id: str) -> None:
        """Undo what was imposed under an id, and the waits that it began."""
        self.conditions.lift(knob_id)
        self._gate.lift(knob_id)

    def expire_user_stream(self, account: str, now: float, *, knob_id: str) -> list[str]:
        """End an account's user streams, as a venue does to old ones; return the connections."""
        self._move_to(now)
        expired = self._streams.expire_user(account, now)
        for connection_id in expired:
            self._on_intervention(knob_id, connection_id, "user stream expired")
        return expired

    def restart(self) -> None:
        """Restart the gateway: what it held in memory is gone. Links close by themselves."""
        self._gate.restart()

    def lose_connectivity(self) -> None:
        """Say, where the venue says such things, that its gateway is cut off."""
        if self.profile.connectivity is not None:
            self._notify("", self.profile.connectivity.lost)

    def regain_connectivity(self, *, keeps_data: bool) -> None:
        """Say that it is back; without `keeps_data` every market subscription is lost."""
        if not keeps_data:
            self._streams.forget_symbols()
        said = self.profile.connectivity
        if said is not None:
            self._notify("", said.data_kept if keeps_data else said.data_lost)

    def _notify(self, account: str, form: ErrorForm) -> None:
        frame = {"type": "notice", "code": form.code, "msg": form.message}
        self._streams.push_notice(account, frame)

    # -- Requests ---------------------------------------------------------------------------

    def handle(self, request: VenueRequest, now: float, *, source_ip: str = "client") -> VenueReply:
        """Answer one request that arrives at `now`."""
        self._move_to(now)
        try:
            self._gate.check(request, source_ip, now)
            reply = self._reply(request, source_ip, self._operations[request.operation](request))
            self._add_notices(request)
        except Refused as refused:
            reply = self._refuse(request, source_ip, refused)
        return self._altered(request, reply)

    # -- Replies ----------------------------------------------------------------------------

    def _reply(self, request: VenueRequest, source_ip: str, body: Mapping[str, Any]) -> VenueReply:
        headers = self._headers(request, source_ip)
        if request.operation is Operation.PLACE_ORDER:
            account = self._account_of(request)
            headers.update(self._gate.order_headers(account.name, self._now))
        return VenueReply(status=200, headers=headers, body=orjson.dumps(body))

    def _add_notices(self, request: VenueRequest) -> None:
        account = self.ledger.account_of(request.api_key)
        for form in self.profile.notices.get(request.operation, ()):
            if account is not None:
                self._notify(account.name, form)

    def _refuse(self, request: VenueRequest, source_ip: str, refused: Refused) -> VenueReply:
        reason = refused.reason
        form = reason if isinstance(reason, ErrorForm) else self.profile.errors[reason]
        message = form.message.format(**refused.words) if form is not reason else form.message
        headers = self._headers(request, source_ip)
        if refused.retry_after is not None:
            headers["Retry-After"] = self._retry_after(refused)
        for knob_id in refused.knob_ids:
            self._on_intervention(knob_id, request.request_id, f"refused with {form.code}")
        self._on_event(
            "venue.refused",
            request.request_id,
            "refused",
            {
                "venue": self.name,
                "operation": request.operation.value,
                "status": form.status,
                "code": form.code,
                "client_id": str(request.params.get("client_id") or ""),
                "retry_after": refused.retry_after,
                "until": refused.until,
                **({} if refused.free_at is None else {"free_at": refused.free_at}),
            },
        )
        body = orjson.dumps({"code": form.code, "msg": message})
        return VenueReply(status=form.status, headers=headers, body=body)

    def _headers(self, request: VenueRequest, source_ip: str) -> dict[str, str]:
        return {
            "X-Request-Id": request.request_id,
            "X-MBX-USED-WEIGHT-1M": str(self._gate.used(source_ip)),
        }

    def _retry_after(self, refused: Refused) -> str:
        """Whole seconds, or a date in whole seconds, never too short."""
        wait = refused.retry_after or 0.0
        if refused.as_date:
            return formatdate(math.ceil(round(self._wall() + wait, 3)), usegmt=True)
        return str(math.ceil(round(wait, 3)))

    def _altered(self, request: VenueRequest, reply: VenueReply) -> VenueReply:
        for knob_id, knob in self.conditions.of(Replies).items():
            altered = knob.alter(request, reply)
            if altered is not None:
                self._on_intervention(knob_id, request.request_id, "reply altered")
                return altered
        return reply

    # -- Operations -------------------------------------------------------------------------

    def _time(self, _request: VenueRequest) -> dict[str, Any]:
        return {"server_time": self._wall()}

    def _instruments(self, _request: VenueRequest) -> dict[str, Any]:
        return {"symbols": [self._describe(market) for market in self._desk.markets.values()]}

    def _describe(self, market: Market) -> dict[str, Any]:
        instrument = market.instrument
        return {
            "symbol": instrument.symbol,
            "base": instrument.base,
            "quote": instrument.quote,
            "status": "HALT" if self._desk.is_halted(instrument.symbol) else "TRADING",
            "tick_size": float(instrument.tick_size),
            "lot_size": float(instrument.lot_size),
            "min_notional": float(instrument.min_notional),
            "min_price": float(instrument.min_price),
            "max_price": float(instrument.max_price),
        }

    def _account(self, request: VenueRequest) -> dict[str, Any]:
        balances = self._account_of(request).balances
        return {
            "balances": [
                {
                    "asset": asset,
                    "free": amount_of(balance.free),
                    "locked": amount_of(balance.locked),
                }
                for asset, balance in balances.items()
            ]
        }

    def _place(self, request: VenueRequest) -> dict[str, Any]:
        account = self._account_of(request)
        self._gate.check_order_rate(account.name, self._now)
        order = self._desk.place(account, request.params, self._wall(), request.request_id)
        self._gate.count_order(account.name, self._now)
        return order.as_dict()

    def _cancel(self, request: VenueRequest) -> dict[str, Any]:
        account = self._account_of(request)
        wall = self._wall()
        return self._desk.cancel(account, request.params, wall, request.request_id).as_dict()

    def _query(self, request: VenueRequest) -> dict[str, Any]:
        return self._desk.query(self._account_of(request), request.params).as_dict()

    def _open_orders(self, request: VenueRequest) -> dict[str, Any]:
        account = self._account_of(request)
        orders: Iterable[Order] = account.open_orders.values()
        if request.params.get("ended"):
            orders = self.ledger.orders_of(account)
        if request.params.get("symbol"):
            instrument = self._desk.market(request.params).instrument
            orders = [order for order in orders if order.instrument is instrument]
        return {"orders": [order.as_dict() for order in orders]}

    def _trades(self, request: VenueRequest) -> dict[str, Any]:
        symbol = self._desk.market(request.params).instrument.symbol
        after = str(request.params.get("after") or "0")
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise Refused(Reason.BAD_PARAMETER, parameter="after")
        trades = self.ledger.trades_after(self._account_of(request), symbol, int(after))
        return {"trades": [trade.shown for trade in trades]}

    def _subscribe(self, request: VenueRequest) -> dict[str, Any]:
        connection = self._connection_of(request)
        symbols = request.params.get("symbols") or []
        if not isinstance(symbols, list | tuple):
            raise Refused(Reason.BAD_PARAMETER, parameter="symbols")
        if not all(isinstance(s, str) and s in self._desk.markets for s in symbols):
            raise Refused(Reason.UNKNOWN_SYMBOL)
        if request.params.get("user"):
            self._gate.check_signature(request, self._now)
            connection.account = self._account_of(request).name
            connection.user = True
        wanted = {**connection.symbols, **dict.fromkeys(symbols)}
        limit = self.profile.subscription_limit
        if limit is not None and len(wanted) > limit:
            raise Refused(Reason.SUBSCRIPTIONS, limit=limit)
        connection.symbols = wanted
        return {
            "subscribed": list(connection.symbols),
            "user": connection.user,
            **self._next_order_id(request),
        }

    def _next_order_id(self, request: VenueRequest) -> dict[str, int]:
        account = self.ledger.account_of(request.api_key)
        if account is None or self.profile.order_ids is not OrderIds.NUMBERED:
            return {}
        return {"next_order_id": account.last_order_id + 1}

    def _unlock(self, _request: VenueRequest) -> dict[str, Any]:
        self._gate.unlock()
        return {}

    def _connection_of(self, request: VenueRequest) -> Connection:
        connection = self._streams.get(required_text(request.params, "connection"))
        if connection is None:
            raise Refused(Reason.BAD_PARAMETER, parameter="connection")
        return connection

    def _account_of(self, request: VenueRequest) -> Account:
        account = self.ledger.account_of(request.api_key)
        if account is None:
            raise Refused(Reason.KEY_REFUSED)
        return account

    # -- What happened ----------------------------------------------------------------------

    def _publish(self, order: Order, trade: Trade | None, request_id: str) -> None:
        account = order.account.name
        row = order.as_dict()
        filled = None if trade is None else trade.shown
        if filled is not None:
            details = {**filled, "venue": self.name, "account": account}
            self._on_event("venue.trade", filled["trade_id"], "filled", details)
        details = {**row, "venue": self.name, "account": account, "request_id": request_id}
        self._on_event("venue.order", row["venue_order_id"], order.status, details)
        frame = {"type": "order", "sequence": 0, "order": row, "trade": filled}
        self._streams.push_user(account, frame, self._now)
