"""What can go wrong between the harness and a toxiproxy-server."""

from __future__ import annotations

__all__ = [
    "ToxiproxyError",
    "ToxiproxyMismatchError",
    "ToxiproxyMissingError",
    "ToxiproxyRefusedError",
    "ToxiproxyUnreachableError",
]


class ToxiproxyError(Exception):
    """Raised when a fault of the real network could not be imposed, lifted or verified."""


class ToxiproxyMissingError(ToxiproxyError):
    """Raised when the server, or the client library, is not on this machine."""


class ToxiproxyUnreachableError(ToxiproxyError):
    """Raised when the server did not answer in time.

    Whether it carried the call out is unknown: ask it, or heal the proxy.
    """


class ToxiproxyRefusedError(ToxiproxyError):
    """Raised when the server answered with an error.

    Attributes:
        status: Its HTTP status, 400 or above.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ToxiproxyMismatchError(ToxiproxyError):
    """Raised when the server accepted a change and, asked afterwards, has something else."""
