"""Reads what a new order asks for, and which order a question or a cancel is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from foxtrot.adapter.session import VenueReply, VenueRequest
from harness.wire import forms
from harness.wire.errors import ApiError, missing
from harness.wire.exchange import Call, Exchange
from harness.wire.front import Serve
from harness.wire.records import OrderRecord

__all__ = ["cancel_all", "cancel_one", "client_id_of", "meant", "ticket_of"]

# No client can have given an order an id with this sign in it.
_NOBODYS_ID = "#{}"
_UNKNOWN_CANCEL = -2011
_MOST_DECIMALS = 8

#: What an order may not have here, by its parameter: Binance's errors.md says it in these words.
_UNSUPPORTED = {
    "icebergQty": ApiError(-2010, "Iceberg orders are not supported for this symbol."),
    "pegPriceType": ApiError(-2010, "Pegged orders are not supported for this symbol."),
}
_NOT_REQUIRED = ("stopPrice", "trailingDelta")


# -- New orders ---------------------------------------------------------------------------------


def ticket_of(exchange: Exchange, params: Mapping[str, str]) -> dict[str, Any]:  # Any: JSON
    """The venue's parameters of an order."""
    type_ = params["type"]
    _check_extras(params)
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


def _check_extras(params: Mapping[str, str]) -> None:
    """Refuse what would be left out of the order without a word."""
    for name, error in _UNSUPPORTED.items():
        if params.get(name):
            raise ApiError(error.code, error.message)
    useless = "price" if params["type"] == "MARKET" else "quoteOrderQty"
    for name in (*_NOT_REQUIRED, useless):
        if params.get(name):
            raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
    for name in ("quantity", "quoteOrderQty", "price"):
        decimals = params.get(name, "").partition(".")[2].rstrip("0")
        if len(decimals) > _MOST_DECIMALS:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")


# -- Orders that are there ----------------------------------------------------------------------


def meant(exchange: Exchange, call: Call) -> OrderRecord | None:
    """The order that a call is about: by its number, or the newest with a client id.

    Of a call that says both, both have to be right. Raises ApiError where it says neither.
    """
    symbol, number = call.params["symbol"], call.number("orderId")
    client_id = call.params.get("origClientOrderId")
    if number is None and not client_id:
        raise ApiError(
            -1102,
            "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
        )
    if number is None:
        found = exchange.records.newest(call.account, symbol, client_id or "")
    else:
        found = exchange.records.find(call.account, number)
    if found is None or found.row["symbol"] != symbol:
        return None
    return found if client_id in {None, "", found.row["client_id"]} else None


def client_id_of(call: Call, record: OrderRecord | None) -> str:
    """What to ask the venue for: it knows orders by their client ids alone."""
    if record is not None:
        return str(record.row["client_id"])
    if call.number("orderId") is None:
        return call.params["origClientOrderId"]  # the venue knows best that there is none
    return _NOBODYS_ID.format(call.number("orderId"))


def cancel_one(exchange: Exchange, call: Call, request: VenueRequest, serve: Serve) -> VenueReply:
    """Cancel the order that a call is about, as it is when the call has arrived."""
    record = meant(exchange, call)
    wanted = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
    state = wanted.get(call.params.get("cancelRestrictions", ""))
    is_restricted = record is not None and state not in {None, record.row["status"]}
    client_id = client_id_of(call, record)
    is_over = record is not None and not record.is_open and call.number("orderId") is not None
    if record is not None and (is_restricted or is_over):  # a newer order may have its client id
        client_id = _NOBODYS_ID.format(record.number)
    reply = _cancel(exchange, call, request, client_id, serve)
    if is_restricted and record is not None and record.is_open and _is_unknown(reply):
        message = "Order was not canceled due to cancel restrictions."
        return replace(reply, body=orjson.dumps({"code": _UNKNOWN_CANCEL, "msg": message}))
    return reply


def cancel_all(exchange: Exchange, call: Call, request: VenueRequest, serve: Serve) -> VenueReply:
    """Cancel every open order of the symbol at once; what has just been filled is left out.

    The reply holds the rows of those that were cancelled, or is the first that went wrong.
    """
    records = exchange.records.of(call.account, call.params["symbol"])
    client_ids = [record.row["client_id"] for record in records if record.is_open]
    rows, failed, reply = [], None, None
    for client_id in client_ids or [_NOBODYS_ID.format(0)]:
        each = replace(request, request_id=exchange.next_request()) if reply else request
        reply = _cancel(exchange, call, each, client_id, serve)
        if reply.status == 200:
            rows.append(reply)
        elif not _is_unknown(reply):
            failed = failed or reply
            if reply.status < 500:  # it holds for the rest as well, and asking costs
                break
    if failed is not None or not rows or reply is None:
        return failed or reply or serve(request)
    return replace(rows[-1], body=b"[" + b",".join(each.body for each in rows) + b"]")


def _cancel(
    exchange: Exchange, call: Call, request: VenueRequest, client_id: str, serve: Serve
) -> VenueReply:
    params = {**request.params, "client_id": client_id}
    name = call.params.get("newClientOrderId", "")
    with exchange.records.naming_cancel(request.request_id, name):
        return serve(replace(request, params=params))


def _is_unknown(reply: VenueReply) -> bool:
    """Whether a reply says that there is no such order to cancel."""
    try:
        return reply.status == 400 and orjson.loads(reply.body)["code"] == _UNKNOWN_CANCEL
    except (LookupError, TypeError, ValueError):
        return False
