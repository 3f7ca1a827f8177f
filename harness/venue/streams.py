"""Stream connections: who listens to what, sequence numbers, and the frames on their way out.

A frame for a connection that is closed is lost, as on a real venue; sequence numbers count up
whether anybody listens or not, so that whoever comes back sees how much was missed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from harness.venue.conditions import Conditions, Delivery, Frames, Mute
from harness.venue.hooks import InterventionHook

__all__ = ["Connection", "Streams"]


@dataclass(slots=True, eq=False)
class Connection:
    """One open stream connection. `account` is empty where the key opens none."""

    connection_id: str
    account: str
    symbols: dict[str, None] = field(default_factory=dict)
    user: bool = False


class Streams:
    """All stream connections of a venue."""

    def __init__(self, conditions: Conditions, on_intervention: InterventionHook) -> None:
        self._conditions = conditions
        self._on_intervention = on_intervention
        self._connections: dict[str, Connection] = {}
        self._sequences: dict[str, int] = {}
        self._touched: set[tuple[str, str]] = set()  # only asked for members, never iterated
        self._ready: list[tuple[str, bytes]] = []
        self._delayed: list[tuple[float, int, str, bytes]] = []
        self._counter = 0

    def open(self, connection_id: str, account: str) -> None:
        """Add a connection that listens to nothing yet."""
        self._connections[connection_id] = Connection(connection_id, account)

    def close(self, connection_id: str) -> None:
        """Drop a connection; frames on their way to it are lost."""
        self._connections.pop(connection_id, None)
        self._ready = [item for item in self._ready if item[0] != connection_id]

    def get(self, connection_id: str) -> Connection | None:
        """An open connection."""
        return self._connections.get(connection_id)

    def connection_ids(self) -> list[str]:
        """The open connections, oldest first."""
        return list(self._connections)

    def push_tick(self, symbol: str, frame: dict[str, Any], now: float) -> None:  # Any: JSON
        """Push a market frame to who subscribed to the symbol."""
        listeners = [c.connection_id for c in self._connections.values() if symbol in c.symbols]
        if listeners:
            self._push(listeners, frame, now)

    def push_user(self, account: str, frame: dict[str, Any], now: float) -> None:  # Any: JSON
        """Push an account's frame, which gets the account's next sequence number."""
        sequence = self._sequences.get(account, 0) + 1
        self._sequences[account] = sequence
        listeners = self._user_listeners(account)
        if listeners:
            frame["sequence"] = sequence
            self._push(listeners, frame, now)

    def push_notice(self, account: str, frame: Mapping[str, Any]) -> None:  # Any: JSON
        """Push what a gateway says of itself to the account's connections; no fault alters it."""
        data = orjson.dumps(frame)
        self._ready.extend(
            (c.connection_id, data)
            for c in self._connections.values()
            if account in {"", c.account}
        )

    def forget_symbols(self) -> None:
        """Lose every market subscription, as a gateway may that lost its own connection."""
        for connection in self._connections.values():
            connection.symbols.clear()

    def expire_user(self, account: str, now: float) -> list[str]:
        """End the user streams of an account; return the connections that had one."""
        listeners = self._user_listeners(account)
        self._push(listeners, {"type": "expired"}, now)
        for connection_id in listeners:
            self._connections[connection_id].user = False
        return listeners

    def next_delayed_at(self) -> float | None:
        """When the next delayed frame is due."""
        return self._delayed[0][0] if self._delayed else None

    def take(self, now: float) -> list[tuple[str, bytes]]:
        """The frames that leave now, in order, each once."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, connection_id, data = heapq.heappop(self._delayed)
            self._enqueue(connection_id, data)
        ready, self._ready = self._ready, []
        return ready

    def _user_listeners(self, account: str) -> list[str]:
        connections = self._connections.values()
        return [c.connection_id for c in connections if c.user and c.account == account]

    def _push(self, listeners: Sequence[str], frame: Mapping[str, Any], now: float) -> None:
        if len(self._conditions.of(Mute)) or len(self._conditions.of(Frames)):
            for connection_id in listeners:
                self._push_altered(connection_id, frame, now)
            return
        data = orjson.dumps(frame)
        self._ready.extend((connection_id, data) for connection_id in listeners)

    def _push_altered(self, connection_id: str, frame: Mapping[str, Any], now: float) -> None:
        if self._is_muted(connection_id, frame):
            return
        for delivery in self._altered(connection_id, frame):
            content = delivery.content
            data = content if isinstance(content, bytes) else orjson.dumps(content)
            if delivery.after > 0:
                self._counter += 1
                item = (now + delivery.after, self._counter, connection_id, data)
                heapq.heappush(self._delayed, item)
            else:
                self._enqueue(connection_id, data)

    def _is_muted(self, connection_id: str, frame: Mapping[str, Any]) -> bool:
        muted = False
        for knob_id, mute in self._conditions.of(Mute).items():
            if mute.connection_id in {None, connection_id} and mute.symbol in {
                None,
                frame.get("symbol"),
            }:
                self._touch(knob_id, connection_id, "frame muted")
                muted = True
        return muted

    def _altered(self, connection_id: str, frame: Mapping[str, Any]) -> Iterable[Delivery]:
        """What the first alteration that wants the frame makes of it."""
        for knob_id, frames in self._conditions.of(Frames).items():
            altered = frames.alter(connection_id, frame)
            if altered is not None:
                self._touch(knob_id, connection_id, "frame altered")
                return altered
        return (Delivery(frame),)

    def _touch(self, knob_id: str, connection_id: str, what: str) -> None:
        """Report a knob's effect once per connection: a mute hour is one fact, not 3,600."""
        if (knob_id, connection_id) not in self._touched:
            self._touched.add((knob_id, connection_id))
            self._on_intervention(knob_id, connection_id, what)

    def _enqueue(self, connection_id: str, data: bytes) -> None:
        if connection_id in self._connections:
            self._ready.append((connection_id, data))
