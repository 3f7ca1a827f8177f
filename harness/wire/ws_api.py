"""The WebSocket API: the same endpoints as REST, by method name, and the user's own stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from foxtrot.adapter.session import Operation
from harness.wire import forms
from harness.wire.errors import ApiError, Dropped
from harness.wire.exchange import Answer, Call, Endpoint, Exchange, Incoming
from harness.wire.params import Message, Param, parse_message
from harness.wire.signing import signed_text

__all__ = ["WsApi"]

_SUBSCRIPTION = 0


async def _subscribe(exchange: Exchange, call: Call) -> Answer:
    return await exchange.relay(
        call,
        Operation.SUBSCRIBE,
        lambda body: {"subscriptionId": _SUBSCRIPTION} if body["user"] else {},
        symbols=[],
        user=True,
        connection=call.connection_id,
    )


_SUBSCRIBE = Endpoint(
    verb="",
    path="",
    method="userDataStream.subscribe.signature",
    answer=_subscribe,
    summary="Listen to the account's orders and balances",
    is_signed=True,
    params=(Param("apiKey", required=True),),
)
_UNSUBSCRIBE = "userDataStream.unsubscribe"


class WsApi:
    """One connection of the WebSocket API."""

    def __init__(
        self, exchange: Exchange, endpoints: tuple[Endpoint, ...], connection_id: str
    ) -> None:
        self._exchange = exchange
        self._methods = {each.method: each for each in (*endpoints, _SUBSCRIBE)}
        self._connection_id = connection_id
        self._is_muted = False

    async def on_text(self, text: str, source_ip: str) -> str:
        """Answer a request of the client. Raises Dropped."""
        try:
            message = parse_message(text)
        except ApiError as error:
            return _reply(None, await self._exchange.refuse(error, source_ip), self._exchange)
        answer = await self._answer(message, source_ip)
        if answer.is_cut:
            raise Dropped("cut off")
        return _reply(message.id, answer, self._exchange)

    def words(self, frame: bytes) -> Iterator[str]:
        """The events that a frame of the venue makes. One that is no event goes out as it is."""
        if self._is_muted:
            return
        try:
            events = list(self._events(orjson.loads(frame)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            yield frame.decode("utf-8", "replace")
            return
        for event in events:
            yield _dumps({"subscriptionId": _SUBSCRIPTION, "event": event})

    async def _answer(self, message: Message, source_ip: str) -> Answer:
        params = message.params
        if not isinstance(params, dict):
            error = ApiError(-1135, "Invalid JSON Request")
            return await self._exchange.refuse(error, source_ip)
        if message.method == _UNSUBSCRIBE:
            self._is_muted = True  # the venue itself has no way to end a subscription
            return Answer(200, {}, b"{}")
        endpoint = self._methods.get(message.method)
        if endpoint is None:
            error = ApiError(-1020, "This operation is not supported.", status=404)
            return await self._exchange.refuse(error, source_ip)
        if endpoint is _SUBSCRIBE:
            self._is_muted = False  # before the reply: events may overtake it
        return await self._exchange.answer(endpoint, self._incoming(params, source_ip))

    def _incoming(self, params: Mapping[str, str], source_ip: str) -> Incoming:
        return Incoming(
            params=params,
            payload=signed_text(params),
            api_key=params.get("apiKey", ""),
            source_ip=source_ip,
            connection_id=self._connection_id,
        )

    def _events(self, frame: dict[str, Any]) -> Iterator[dict[str, Any]]:  # Any: JSON
        exchange = self._exchange
        if frame["type"] == "expired":
            now = round(exchange.wall() * 1000)
            yield {"e": "eventStreamTerminated", "E": now}
            return
        row, trade = frame["order"], frame["trade"]
        number = int(row["venue_order_id"])
        seen = int(trade["trade_id"]) if trade else None
        fills = exchange.records.fills(number, up_to=seen)
        instrument = exchange.instruments[row["symbol"]]
        yield forms.order_event(row, trade, fills, exchange.clock, instrument.quote)
        record = exchange.records.order(number)
        yield forms.balance_event(
            exchange.venue.ledger.balances()[record.row["account"]],
            (instrument.base, instrument.quote),
            exchange.clock.milliseconds(row["updated"]),
        )


def _reply(message_id: str | int | None, answer: Answer, exchange: Exchange) -> str:
    """The envelope of the WebSocket API. A body that is no JSON takes the whole message's place."""
    limits = [
        {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": exchange.venue.profile.weight_limit,
            "count": exchange.used_weight(answer),
        }
    ]
    try:
        body = orjson.loads(answer.body)
    except ValueError:
        return answer.body.decode("utf-8", "replace")
    if answer.status < 400:
        reply = {"id": message_id, "status": answer.status, "result": body, "rateLimits": limits}
        return _dumps(reply)
    wait = answer.headers.get("Retry-After", "")
    if wait.isdigit() and isinstance(body, dict):
        until = round((exchange.wall() + int(wait)) * 1000)
        body["data"] = {"serverTime": round(exchange.wall() * 1000), "retryAfter": until}
    return _dumps({"id": message_id, "status": answer.status, "error": body, "rateLimits": limits})


def _dumps(value: Any) -> str:  # Any: JSON
    return orjson.dumps(value).decode()
