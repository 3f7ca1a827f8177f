"""Which adapter an order goes to: the one asked for, or its standby while that one is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.oms import Oms
from foxtrot.util.object import CancelRequest, OrderRequest

__all__ = ["Routes", "named"]

RequestT = TypeVar("RequestT", OrderRequest, CancelRequest)


class Routes:
    """Where orders go, and where they live.

    An intent stays where it was sent first, whatever becomes of the adapter: an order that is open
    or UNKNOWN there must not come into being a second time elsewhere.
    """

    def __init__(self, connections: Mapping[str, AdapterConnection], oms: Oms) -> None:
        self._connections = connections
        self._oms = oms
        self._switched: dict[str, str] = {}

    def switch(self, adapter_name: str, standby: str | None) -> bool:
        """Send new orders to a standby; None hands back. Whether that is a change."""
        before = self._switched.pop(adapter_name, None)
        if standby is not None:
            self._switched[adapter_name] = standby
        return before != standby

    def is_switched(self, adapter_name: str) -> bool:
        """Whether new orders for the adapter go to a standby."""
        return adapter_name in self._switched

    def standby(self, adapter_name: str) -> AdapterConnection | None:
        """A standby of the adapter's that is of use now."""
        return next((each for each in self._standbys(adapter_name) if each.ready), None)

    def connection(self, adapter_name: str) -> AdapterConnection:
        """The connection of that name. Raises LookupError for one that was never added."""
        try:
            return self._connections[adapter_name]
        except KeyError:
            known = ", ".join(self._connections) or "none"
            raise LookupError(
                f"expected the name of a registered adapter (there are: {known}), "
                f"got adapter_name={adapter_name!r}"
            ) from None

    def of_order(self, adapter_name: str, orderid: str) -> AdapterConnection:
        """Where the order of that id lives; for a new one, where it has to go."""
        at_all = (self.connection(adapter_name), *self._standbys(adapter_name))
        for each in at_all:
            if self._oms.order(f"{each.name}.{orderid}") is not None:
                return each
        # Only of what is kept nowhere any more: with a forgotten id all lower numbers count as
        # used, be they another's.
        for each in at_all:
            if self._oms.is_used(each.name, orderid):
                return each
        return self.of_new_order(adapter_name)

    def of_new_order(self, adapter_name: str) -> AdapterConnection:
        """Where a new order has to go now."""
        return self._connections[self._switched.get(adapter_name, adapter_name)]

    def localized(
        self, request: RequestT, adapter_name: str, target: AdapterConnection
    ) -> RequestT:
        """The request as `target` takes it: a standby knows the symbol on its own exchange."""
        exchange = target.adapter.exchange
        if target.name == adapter_name or exchange is None:
            return request
        return replace(request, exchange=exchange)

    def _standbys(self, adapter_name: str) -> tuple[AdapterConnection, ...]:
        return tuple(
            each for each in self._connections.values() if each.standby_for == adapter_name
        )


def named(request: OrderRequest, reference: str) -> OrderRequest:
    """`request` under a client order id."""
    return request if request.reference else replace(request, reference=reference)
