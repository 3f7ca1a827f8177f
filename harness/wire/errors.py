"""What the wire itself refuses, before the venue has a say, in Binance's words."""

from __future__ import annotations

from foxtrot.adapter.session import VenueReply

__all__ = ["ApiError", "CutOff", "Dropped", "Lost", "illegal", "missing"]


class ApiError(Exception):
    """Raised when a request is answered with an error body by the wire front."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Dropped(Exception):
    """Raised when a fault ends the connection that a request came on. No answer follows."""


class Lost(Exception):
    """Raised when a fault loses a message of a WebSocket. The connection stays, and is silent."""


class CutOff(Exception):
    """Raised when a fault cuts a reply off in the middle of its body."""

    def __init__(self, reply: VenueReply) -> None:
        super().__init__("cut off")
        self.reply = reply


def missing(name: str) -> ApiError:
    """The refusal of a request without a parameter that it needs."""
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def illegal(name: str, pattern: str) -> ApiError:
    """The refusal of a value that cannot be read."""
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'."
    )
