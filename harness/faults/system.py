"""Faults of the systems on both sides: maintenance."""

from __future__ import annotations

from foxtrot.util.errors import ErrorCategory
from harness.faults.base import VenueFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.venue import Knob
from harness.venue import Maintenance as MaintenanceKnob

__all__ = ["Maintenance"]


class Maintenance(VenueFault):
    """The venue is down for maintenance: 503 to every request, and connections are closed."""

    kind = FaultKind(
        name="maintenance",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        parameters={
            "retry_after": ParameterSpec(
                type="duration", default=0.0, doc="Told in the header; 0s leaves the header out."
            ),
        },
        doc="HTTP 503 to everything, the streams closed with code 1012. By Binance's own words "
        "a 5xx leaves the outcome of a request unknown. A right client backs off, asks again now "
        "and then, and reconciles when the venue is back.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Maintenance, with or without a word on how long."""
        return (MaintenanceKnob(retry_after=self.seconds("retry_after") or None),)

    def begin(self) -> None:
        """Close the door, then the connections."""
        super().begin()
        connection_id = self.site.link.connection_id
        if connection_id is not None:
            self.site.fired(connection_id, "stream", "closed for maintenance")
            self.site.link.drop(_closed, code=1012, outcome="clean")


def _closed() -> Exception:
    return ConnectionResetError(104, "closed by the venue for maintenance")
