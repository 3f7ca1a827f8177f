"""The WebSocket API: the same endpoints as REST, by method name, and the user's own stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from foxtrot.adapter.session import Operation
from harness.wire import forms
from harness.wire.errors import ApiError, Dropped
from harness.wire.exchange import Answer, Call, Endpoint, Exchange, Incoming, retry_at
from harness.wire.params import Message, Param, parse_message
from harness.wire.signing import signed_text

__all__ = ["WsApi"]

_SUBSCRIBE = "userDataStream.subscribe.signature"
_UNSUBSCRIBE = "userDataStream.unsubscribe"
_VERSION = "v3/"  # a method may be prefixed with it


class WsApi:
    """One connection of the WebSocket API.

    Args:
        shows_limits: Whether replies hold the rate limits, where a request does not say.
    """

    def __init__(
        self,
        exchange: Exchange,
        endpoints: tuple[Endpoint, ...],
        connection_id: str,
        *,
        shows_limits: bool = True,
    ) -> None:
        self._exchange = exchange
        self._connection_id = connection_id
        self._shows_limits = shows_limits
        self._methods = {each.method: each for each in (*endpoints, *self._own())}
        self._subscription: int | None = None
        self._next_subscription = 0

    async def on_text(self, text: str, source_ip: str, say: Callable[[str], None]) -> str:
        """Answer a request of the client; `say` pushes an event. Raises Dropped, or Lost."""
        try:
            message = parse_message(text)
        except ApiError as error:
            message = Message(None, "", {})
            answer = await self._exchange.refuse(error, source_ip, self._connection_id)
        else:
            answer = await self._answer(message, source_ip)
        if answer.is_cut:
            raise Dropped("cut off")
        is_subscribed = (
            self._subscription is not None
        )  # it may have ended while this was on its way
        if _method(message) == _UNSUBSCRIBE and answer.status == 200 and is_subscribed:
            say(self._terminated())
        return self._reply(message, answer)

    def words(self, frame: bytes) -> Iterator[str]:
        """The events that a frame of the venue makes. One that is no event goes out as it is."""
        number = self._subscription
        if number is None:
            return
        try:
            body = orjson.loads(frame)
            if body["type"] == "expired":
                yield self._terminated()
                return
            events = list(self._events(body))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            yield frame.decode("utf-8", "replace")
            return
        for event in events:
            yield _dumps({"subscriptionId": number, "event": event})

    async def _answer(self, message: Message, source_ip: str) -> Answer:
        params = message.params
        if not isinstance(params, dict):
            error = ApiError(-1135, "Invalid JSON Request")
            return await self._exchange.refuse(error, source_ip, self._connection_id)
        endpoint = self._methods.get(_method(message))
        if endpoint is None:
            error = ApiError(-1020, "This operation is not supported.", status=404)
            return await self._exchange.refuse(error, source_ip, self._connection_id)
        return await self._exchange.answer(endpoint, self._incoming(params, source_ip))

    def _own(self) -> tuple[Endpoint, ...]:
        """What only a connection can be asked for."""
        return (
            Endpoint(
                verb="",
                path="",
                method=_SUBSCRIBE,
                answer=self._subscribe,
                summary="Listen to the account's orders and balances",
                is_signed=True,
                params=(Param("apiKey", required=True),),
            ),
            Endpoint(
                verb="",
                path="",
                method=_UNSUBSCRIBE,
                answer=self._unsubscribe,
                summary="Listen no more",
                params=(Param("subscriptionId", "integer"),),
            ),
        )

    async def _subscribe(self, exchange: Exchange, call: Call) -> Answer:
        if self._subscription is not None:
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number = self._subscription = self._next_subscription  # events may overtake the reply
        answer = None
        try:
            answer = await self._ask(
                call, lambda body: {"subscriptionId": number} if body["user"] else {}, user=True
            )
        finally:
            if answer is None or answer.status != 200:
                self._subscription = None
        self._next_subscription += 1
        return answer

    async def _unsubscribe(self, _exchange: Exchange, call: Call) -> Answer:
        number = call.params.get("subscriptionId") or None
        if self._subscription is None or number not in {None, str(self._subscription)}:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        # The venue itself has no way to end a subscription: asking for nothing costs the same.
        return await self._ask(call, lambda body: body["subscribed"] is not None and {})

    async def _ask(self, call: Call, form: Callable[[Any], Any], **params: Any) -> Answer:
        return await self._exchange.relay(  # Any: JSON
            call,
            Operation.SUBSCRIBE,
            form,
            symbols=[],
            connection=self._connection_id,
            **params,
        )

    def _terminated(self) -> str:
        """The last event of the subscription, which is over."""
        number, self._subscription = self._subscription, None
        event = {"e": "eventStreamTerminated", "E": round(self._exchange.wall() * 1000)}
        return _dumps({"subscriptionId": number, "event": event})

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
        row, trade, sequence = frame["order"], frame["trade"], frame["sequence"]
        number = int(row["venue_order_id"])
        seen = int(trade["trade_id"]) if trade else None
        fills = exchange.records.fills(number, up_to=seen)
        instrument = exchange.instruments[row["symbol"]]
        record = exchange.records.order(number)
        yield forms.order_event(
            row,
            trade,
            fills,
            exchange.clock,
            instrument.quote,
            execution_id=sequence,
            cancel_id=record.cancel_id,
        )
        yield forms.balance_event(
            exchange.venue.ledger.balances()[record.row["account"]],
            (instrument.base, instrument.quote),
            exchange.clock.milliseconds(row["updated"]),
        )

    def _reply(self, message: Message, answer: Answer) -> str:
        """The envelope. A body that is no JSON takes the whole message's place."""
        try:
            body = orjson.loads(answer.body)
        except ValueError:
            return answer.body.decode("utf-8", "replace")
        reply: dict[str, Any] = {"id": message.id, "status": answer.status}  # Any: JSON
        if answer.status < 400:
            reply["result"] = body
        else:
            reply["error"] = self._with_wait(body, answer)
        if self._wants_limits(message):
            reply["rateLimits"] = self._exchange.limits(answer)
        return _dumps(reply)

    def _wants_limits(self, message: Message) -> bool:
        params = message.params if isinstance(message.params, dict) else {}
        said = params.get("returnRateLimits")
        return self._shows_limits if said not in {"true", "false"} else said == "true"

    def _with_wait(self, body: Any, answer: Answer) -> Any:  # Any: JSON
        now = self._exchange.wall()
        until = retry_at(answer.headers, now)
        if until is None or not isinstance(body, dict):
            return body
        times = {"serverTime": round(now * 1000), "retryAfter": round(until * 1000)}
        return {**body, "data": times}


def _method(message: Message) -> str:
    return message.method.removeprefix(_VERSION)


def _dumps(value: Any) -> str:  # Any: JSON
    return orjson.dumps(value).decode()
