"""The signed endpoints: orders, balances, and an account's own trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue import AccountSpec, MarketTrade, Venue
from harness.wire import forms
from harness.wire.errors import ApiError
from harness.wire.exchange import Answer, Call, Endpoint, Exchange
from harness.wire.params import Param
from harness.wire.tickets import cancel_all, cancel_one, client_id_of, meant, ticket_of

__all__ = ["ACCOUNT_ENDPOINTS"]

_PLENTY = 1e9
_LAST_TRADE = 10**18 - 1  # the highest id that the venue can read
_WHICH_TRADES = ("orderId", "startTime", "endTime", "fromId")
#: What of these may stand together, by Binance's rest-api.md.
_TRADE_COMBINATIONS = frozenset(
    frozenset(names.split())
    for names in (
        "", "orderId", "startTime", "endTime", "fromId", "startTime endTime", "orderId fromId",
    )
)  # fmt: skip


# -- Orders -------------------------------------------------------------------------------------


async def _place(exchange: Exchange, call: Call) -> Answer:
    usual = "ACK" if call.params["type"] == "LIMIT_MAKER" else "FULL"
    answer_type = call.params.get("newOrderRespType") or usual
    return await exchange.relay(
        call,
        Operation.PLACE_ORDER,
        lambda row: _placed(exchange, answer_type, row),
        **ticket_of(exchange, call.params),
    )


async def _test(exchange: Exchange, call: Call) -> Answer:
    """Place the order at a venue that exists for this alone, where nobody runs out of money."""
    ticket = ticket_of(exchange, call.params)
    answer = await exchange.relay(call, Operation.ACCOUNT, lambda body: body["balances"] and {})
    if answer.status >= 400 or answer.is_cut or answer.body != b"{}":
        return answer
    reply = _try(exchange, call, ticket)
    if reply.status >= 400:
        return Answer(reply.status, answer.headers, reply.body)
    return answer


async def _query(exchange: Exchange, call: Call) -> Answer:
    def form(row: Any) -> Any:  # Any: JSON
        if record is not None and row["venue_order_id"] == record.row["venue_order_id"]:
            return _shown(exchange, row)
        # A newer order has the client id by now; the one asked for is over.
        return _shown(exchange, row if record is None else record.row)

    record = meant(exchange, call)
    answer = await exchange.relay(
        call,
        Operation.QUERY_ORDER,
        form,
        symbol=call.params["symbol"],
        client_id=client_id_of(call, record),
    )
    if answer.status == 400 and _is_misnamed(exchange, call):
        return _instead(answer, -2013, -2039, "Client order ID is not correct for this order ID.")
    return answer


def _is_misnamed(exchange: Exchange, call: Call) -> bool:
    """Whether there is an order of that number, and the call gives it another client id."""
    number, client_id = call.number("orderId"), call.params.get("origClientOrderId")
    if number is None or not client_id:
        return False
    found = exchange.records.find(call.account, number)
    if found is None or found.row["symbol"] != call.params["symbol"]:
        return False
    return bool(found.row["client_id"] != client_id)


def _instead(answer: Answer, code: int, other: int, message: str) -> Answer:
    """The answer, with another error in the place of the one of that code."""
    try:
        is_meant = orjson.loads(answer.body)["code"] == code
    except (LookupError, TypeError, ValueError):
        return answer
    body = orjson.dumps({"code": other, "msg": message})
    return replace(answer, body=body) if is_meant else answer


async def _cancel(exchange: Exchange, call: Call) -> Answer:
    return await exchange.relay(
        call,
        Operation.CANCEL_ORDER,
        lambda row: _cancelled(exchange, row),
        lambda request, serve: cancel_one(exchange, call, request, serve),
        symbol=call.params["symbol"],
        client_id=client_id_of(call, meant(exchange, call)),
    )


async def _open_orders(exchange: Exchange, call: Call) -> Answer:
    symbol = call.params.get("symbol")
    params: dict[str, Any] = {"symbol": symbol} if symbol else {}
    return await exchange.relay(
        call,
        Operation.OPEN_ORDERS,
        lambda body: [_shown(exchange, row) for row in body["orders"]],
        **params,
    )


async def _cancel_all(exchange: Exchange, call: Call) -> Answer:
    return await exchange.relay(
        call,
        Operation.CANCEL_ORDER,
        lambda rows: [_cancelled(exchange, row) for row in rows],
        lambda request, serve: cancel_all(exchange, call, request, serve),
        symbol=call.params["symbol"],
    )


async def _all_orders(exchange: Exchange, call: Call) -> Answer:
    symbol, limit = call.params["symbol"], call.limit(500, 1000)
    first, (begin, end) = call.number("orderId"), call.window(at_most=24)
    is_oldest_first = first is not None or begin is not None

    def form(body: Any) -> Any:  # Any: JSON
        records = [r for r in exchange.records.of(call.account, symbol) if r.number >= (first or 0)]
        orders = [
            forms.order_form(record.row, record.fills, exchange.clock)
            for record in records
            if (begin or 0) <= exchange.clock.milliseconds(record.row["time"]) <= end
        ]
        chosen = orders[:limit] if is_oldest_first else orders[-limit:]
        return body["trades"] is not None and chosen

    # The venue has no such operation; this one checks the same and weighs the same.
    return await exchange.relay(call, Operation.TRADES, form, symbol=symbol)


async def _my_trades(exchange: Exchange, call: Call) -> Answer:
    symbol, limit = call.params["symbol"], call.limit(500, 1000)
    sent = frozenset(name for name in _WHICH_TRADES if call.params.get(name))
    if sent not in _TRADE_COMBINATIONS:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    first, order = call.number("fromId"), call.number("orderId")
    begin, end = call.window(at_most=24)
    is_oldest_first = first is not None or begin is not None
    after = min(max(0, (first or 0) - 1), _LAST_TRADE)

    def form(body: Any) -> Any:  # Any: JSON
        quote = exchange.instruments[symbol].quote
        rows = [
            forms.trade_form(row, exchange.clock, quote, is_maker=exchange.records.is_maker(row))
            for row in body["trades"]
        ]
        rows = [row for row in rows if (begin or 0) <= row["time"] <= end]
        rows = [row for row in rows if order in {None, row["orderId"]}]
        return rows[:limit] if is_oldest_first else rows[-limit:]

    params: dict[str, Any] = {"symbol": symbol, "after": str(after)}
    if order is not None:
        params["order"] = str(order)  # for what it weighs; the form picks
    return await exchange.relay(call, Operation.TRADES, form, **params)


async def _account(exchange: Exchange, call: Call) -> Answer:
    def form(body: Any) -> Any:  # Any: JSON
        rows = [
            {
                "asset": row["asset"],
                "free": forms.text(row["free"]),
                "locked": forms.text(row["locked"]),
            }
            for row in body["balances"]
            if not hides_zeros or row["free"] or row["locked"]
        ]
        return {
            "makerCommission": 0,
            "takerCommission": 0,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": dict.fromkeys(("maker", "taker", "buyer", "seller"), forms.text(0)),
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": round(exchange.wall() * 1000),
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
            "uid": 1 + list(exchange.accounts).index(call.api_key),
        }

    hides_zeros = call.params.get("omitZeroBalances") == "true"
    return await exchange.relay(call, Operation.ACCOUNT, form)


# -- How orders are read and shown --------------------------------------------------------------


def _try(exchange: Exchange, call: Call, ticket: Mapping[str, Any]) -> VenueReply:
    view = exchange.view(ticket["symbol"])
    instrument = view.instrument
    funds = {instrument.base: _PLENTY, instrument.quote: _PLENTY}
    tape = [
        MarketTrade(0.0, instrument.symbol, trade.price, trade.quantity, trade.is_sell)
        for trade in list(view.trades)[-1:]
    ]
    venue = Venue(
        "test",
        exchange.venue.profile,
        (instrument,),
        tape,
        epoch=exchange.clock.epoch,
        accounts=(AccountSpec("test", "test", funds),),
    )
    request = VenueRequest(
        request_id="test",
        operation=Operation.PLACE_ORDER,
        params=ticket,
        timestamp=exchange.clock.epoch,
        api_key="test",
    )
    return venue.handle(request, 0.0)


def _shown(exchange: Exchange, row: Any) -> dict[str, Any]:  # Any: JSON
    return forms.order_form(row, exchange.records.fills(row["venue_order_id"]), exchange.clock)


def _placed(exchange: Exchange, answer_type: str, row: Any) -> dict[str, Any]:  # Any: JSON
    shown = _shown(exchange, row)
    transacted = shown["updateTime"]
    if answer_type == "ACK":
        keys = ("symbol", "orderId", "orderListId", "clientOrderId")
        return {**{key: shown[key] for key in keys}, "transactTime": transacted}
    for key in ("stopPrice", "icebergQty", "time", "updateTime", "isWorking"):
        del shown[key]
    result = {**shown, "transactTime": transacted}
    if answer_type == "RESULT":
        return result
    quote = exchange.instruments[row["symbol"]].quote
    fills = exchange.records.fills(row["venue_order_id"])
    return {**result, "fills": [_fill(fill, quote) for fill in fills]}


def _fill(fill: Mapping[str, Any], quote: str) -> dict[str, Any]:  # Any: JSON
    return {
        "price": forms.text(fill["price"]),
        "qty": forms.text(fill["quantity"]),
        "commission": forms.text(0),
        "commissionAsset": quote,
        "tradeId": int(fill["trade_id"]),
    }


def _cancelled(exchange: Exchange, row: Any) -> dict[str, Any]:  # Any: JSON
    shown = _shown(exchange, row)
    transacted = shown["updateTime"]
    for key in ("stopPrice", "icebergQty", "time", "updateTime", "isWorking", "workingTime"):
        del shown[key]
    return {
        **shown,
        "origClientOrderId": row["client_id"],
        "clientOrderId": exchange.records.order(int(row["venue_order_id"])).cancel_id,
        "transactTime": transacted,
    }


# -- The table ----------------------------------------------------------------------------------

_SYMBOL = Param("symbol", required=True)
_WHICH = (_SYMBOL, Param("orderId", "integer"), Param("origClientOrderId"))
_LIMIT = Param("limit", "integer")
_ORDER = (
    _SYMBOL,
    Param("side", required=True, choices=("BUY", "SELL"), error=(-1117, "Invalid side.")),
    Param(
        "type",
        required=True,
        choices=("LIMIT", "LIMIT_MAKER", "MARKET"),
        error=(-1116, "Invalid orderType."),
    ),
    Param("timeInForce", choices=("GTC", "IOC", "FOK"), error=(-1115, "Invalid timeInForce.")),
    Param("quantity", "decimal"),
    Param("quoteOrderQty", "decimal"),
    Param("price", "decimal"),
    Param("newClientOrderId"),
    Param("newOrderRespType", choices=("ACK", "RESULT", "FULL")),
)


def _endpoint(
    verb: str, path: str, method: str, answer: Any, summary: str, *params: Param
) -> Endpoint:
    return Endpoint(
        verb=verb,
        path=f"/api/v3/{path}",
        method=method,
        answer=answer,
        summary=summary,
        params=params,
        is_signed=True,
    )


ACCOUNT_ENDPOINTS = (
    _endpoint("POST", "order", "order.place", _place, "Place an order", *_ORDER),
    _endpoint("POST", "order/test", "order.test", _test, "Check an order", *_ORDER),
    _endpoint("GET", "order", "order.status", _query, "Look an order up", *_WHICH),
    _endpoint(
        "DELETE",
        "order",
        "order.cancel",
        _cancel,
        "Cancel an order",
        *_WHICH,
        Param("newClientOrderId", "client id"),
        Param(
            "cancelRestrictions",
            choices=("ONLY_NEW", "ONLY_PARTIALLY_FILLED"),
            error=(-1145, "Invalid cancelRestrictions"),
        ),
    ),
    _endpoint(
        "GET", "openOrders", "openOrders.status", _open_orders, "Open orders", Param("symbol")
    ),
    _endpoint(
        "DELETE", "openOrders", "openOrders.cancelAll", _cancel_all, "Cancel open orders", _SYMBOL
    ),
    _endpoint(
        "GET",
        "allOrders",
        "allOrders",
        _all_orders,
        "All orders of a symbol",
        _SYMBOL,
        Param("orderId", "integer"),
        Param("startTime", "integer"),
        Param("endTime", "integer"),
        _LIMIT,
    ),
    _endpoint(
        "GET",
        "myTrades",
        "myTrades",
        _my_trades,
        "The account's trades",
        _SYMBOL,
        Param("orderId", "integer"),
        Param("fromId", "integer"),
        Param("startTime", "integer"),
        Param("endTime", "integer"),
        _LIMIT,
    ),
    _endpoint(
        "GET",
        "account",
        "account.status",
        _account,
        "Balances",
        Param("omitZeroBalances", choices=("true", "false")),
    ),
)
