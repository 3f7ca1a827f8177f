"""The signed endpoints: orders, balances, and an account's own trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue import AccountSpec, MarketTrade, Venue
from harness.wire import forms
from harness.wire.errors import ApiError, missing
from harness.wire.exchange import Answer, Call, Endpoint, Exchange
from harness.wire.params import Param

__all__ = ["ACCOUNT_ENDPOINTS"]

# No client can have given an order an id with this sign in it.
_NOBODYS_ID = "#{}"
_PLENTY = 1e9


# -- Orders -------------------------------------------------------------------------------------


async def _place(exchange: Exchange, call: Call) -> Answer:
    return await exchange.relay(
        call,
        Operation.PLACE_ORDER,
        lambda row: _placed(exchange, call.params.get("newOrderRespType", "FULL"), row),
        **_ticket(exchange, call.params),
    )


async def _test(exchange: Exchange, call: Call) -> Answer:
    """Place the order at a venue that exists for this alone, where nobody runs out of money."""
    ticket = _ticket(exchange, call.params)
    answer = await exchange.relay(call, Operation.ACCOUNT, lambda body: body["balances"] and {})
    if answer.status >= 400 or answer.is_cut or answer.body != b"{}":
        return answer
    reply = _try(exchange, call, ticket)
    if reply.status >= 400:
        return Answer(reply.status, answer.headers, reply.body)
    return answer


async def _query(exchange: Exchange, call: Call) -> Answer:
    def form(row: Any) -> Any:  # Any: JSON
        if number is not None and row["venue_order_id"] != str(number):
            # A newer order has the client id by now; the one asked for is over.
            row = exchange.records.find(call.account, number).row  # type: ignore[union-attr]  # _client_id found it
        return forms.order_form(row, exchange.records.fills(row["venue_order_id"]), exchange.clock)

    number, client_id = _client_id(exchange, call)
    return await exchange.relay(
        call, Operation.QUERY_ORDER, form, symbol=call.params["symbol"], client_id=client_id
    )


async def _cancel(exchange: Exchange, call: Call) -> Answer:
    number, client_id = _client_id(exchange, call)
    record = None if number is None else exchange.records.find(call.account, number)
    if record is not None and record.row["status"] not in {"NEW", "PARTIALLY_FILLED"}:
        client_id = _NOBODYS_ID.format(number)
    return await exchange.relay(
        call,
        Operation.CANCEL_ORDER,
        lambda row: _cancelled(exchange, row, call.params.get("newClientOrderId", "")),
        symbol=call.params["symbol"],
        client_id=client_id,
    )


async def _open_orders(exchange: Exchange, call: Call) -> Answer:
    symbol = call.params.get("symbol")
    return await exchange.relay(
        call,
        Operation.OPEN_ORDERS,
        lambda body: [_shown(exchange, row) for row in body["orders"]],
        **({"symbol": symbol} if symbol else {}),
    )


async def _cancel_all(exchange: Exchange, call: Call) -> Answer:
    symbol = call.params["symbol"]
    listed = await exchange.relay(
        call,
        Operation.OPEN_ORDERS,
        lambda body: [row["client_id"] for row in body["orders"]],
        symbol=symbol,
    )
    if listed.status >= 400 or listed.is_cut:
        return listed
    client_ids = orjson.loads(listed.body)
    if not client_ids:
        raise ApiError(-2011, "Unknown order sent.")
    cancelled = []
    for client_id in client_ids:
        answer = await exchange.relay(
            call,
            Operation.CANCEL_ORDER,
            lambda row: _cancelled(exchange, row, ""),
            symbol=symbol,
            client_id=client_id,
        )
        if answer.status >= 400 or answer.is_cut:
            return answer
        cancelled.append(orjson.Fragment(answer.body))
    return replace(answer, body=orjson.dumps(cancelled))


async def _all_orders(exchange: Exchange, call: Call) -> Answer:
    symbol, limit = call.params["symbol"], call.limit(500, 1000)
    first = call.number("orderId", 0)

    def form(body: Any) -> Any:  # Any: JSON
        records = [r for r in exchange.records.of(call.account, symbol) if r.number >= first]
        chosen = records[:limit] if first else records[-limit:]
        return body["trades"] is not None and [
            forms.order_form(record.row, record.fills, exchange.clock) for record in chosen
        ]

    # The venue has no such operation; this one checks the same and weighs the same.
    return await exchange.relay(call, Operation.TRADES, form, symbol=symbol)


async def _my_trades(exchange: Exchange, call: Call) -> Answer:
    symbol, limit = call.params["symbol"], call.limit(500, 1000)
    first, order = call.number("fromId", 0), call.params.get("orderId")
    begin, end = call.number("startTime", 0), call.number("endTime", 10**18)

    def form(body: Any) -> Any:  # Any: JSON
        quote = exchange.instruments[symbol].quote
        rows = [
            forms.trade_form(row, exchange.clock, quote, is_maker=exchange.records.is_maker(row))
            for row in body["trades"]
        ]
        rows = [row for row in rows if begin <= row["time"] <= end]
        rows = [row for row in rows if not order or row["orderId"] == int(order)]
        return rows[:limit] if "fromId" in call.params or begin else rows[-limit:]

    return await exchange.relay(
        call, Operation.TRADES, form, symbol=symbol, after=str(max(0, first - 1))
    )


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
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "updateTime": round(exchange.wall() * 1000),
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
        }

    hides_zeros = call.params.get("omitZeroBalances") == "true"
    return await exchange.relay(call, Operation.ACCOUNT, form)


# -- How orders are read and shown --------------------------------------------------------------


def _ticket(exchange: Exchange, params: Mapping[str, str]) -> dict[str, Any]:  # Any: JSON
    """The venue's parameters of an order."""
    type_ = params["type"]
    if type_ == "LIMIT" and not params.get("timeInForce"):
        raise missing("timeInForce")
    word = forms.ORDER_TYPES.get((type_, params.get("timeInForce", "")))
    if word is None:
        raise ApiError(-1106, "Parameter 'timeInForce' sent when not required.")
    ticket = {
        "symbol": params["symbol"],
        "side": params["side"],
        "type": word,
        "quantity": _quantity(exchange, params),
        "client_id": params.get("newClientOrderId", ""),
    }
    if type_ == "MARKET":
        return ticket
    if not params.get("price"):
        raise missing("price")
    return {**ticket, "price": float(params["price"])}


def _quantity(exchange: Exchange, params: Mapping[str, str]) -> float:
    if params.get("quantity"):
        return float(params["quantity"])
    if params["type"] != "MARKET" or not params.get("quoteOrderQty"):
        raise missing("quantity")
    view = exchange.view(params["symbol"])
    instrument = view.instrument
    price = view.ask if params["side"] == "BUY" else view.bid
    if not price:
        raise ApiError(-2010, "Market is closed.")
    cost = price * instrument.tick_size
    return instrument.quantity(int(Decimal(params["quoteOrderQty"]) / cost / instrument.lot_size))


def _client_id(exchange: Exchange, call: Call) -> tuple[int | None, str]:
    """The order's number, if it was asked for by that, and the client id to ask the venue for."""
    if not call.params.get("orderId"):
        client_id = call.params.get("origClientOrderId")
        if not client_id:
            raise ApiError(
                -1102,
                "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
            )
        return None, client_id
    number = int(call.params["orderId"])
    record = exchange.records.find(call.account, number)
    if record is None or record.row["symbol"] != call.params["symbol"]:
        return None, _NOBODYS_ID.format(number)
    return number, record.row["client_id"]


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


def _cancelled(exchange: Exchange, row: Any, cancel_id: str) -> dict[str, Any]:  # Any: JSON
    shown = _shown(exchange, row)
    transacted = shown["updateTime"]
    for key in ("stopPrice", "icebergQty", "time", "updateTime", "isWorking", "workingTime"):
        del shown[key]
    return {
        **shown,
        "origClientOrderId": row["client_id"],
        "clientOrderId": cancel_id or f"cancel-{row['venue_order_id']}",
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
        Param("newClientOrderId"),
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
