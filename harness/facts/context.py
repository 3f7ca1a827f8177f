"""What an error record must say, by category, and whether what it says is true.

The schema is this table; the truth is in the links, the calls and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from foxtrot.util.errors import ErrorSeverity, Outcome
from harness.facts.links import CANCEL, PLACE, Request

__all__ = ["SCHEMA", "Witness", "shortcomings"]

#: Required beside `COMMON`; alternatives are separated by a bar.
SCHEMA: Mapping[str, tuple[str, ...]] = {
    "connection": (),
    "rate_limit": ("retry_after|retry_policy",),
    "order_execution": ("client_id|order_id", "vt_symbol"),
    "authentication": (),
    "market_data": ("vt_symbol", "data_age"),
    "validation": ("field",),
    "system": (),
}
COMMON = (
    "adapter",
    "operation",
    "error_id",
    "correlation_id",
    "cause_type|code",
    "suggested_action",
    "severity",
    "outcome",
)
_PLACEHOLDERS = frozenset({"", "-", "?", "n/a", "na", "nil", "none", "null", "tbd", "todo"})
_PLACEHOLDERS_TOO = frozenset({"unknown", "unspecified", "undefined"})
_SEVERITIES = frozenset(severity.value for severity in ErrorSeverity)
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_CHANGES = frozenset({CANCEL, PLACE})
_REJECTED = frozenset({Outcome.REJECTED.value})
_NOT_SENT = frozenset({Outcome.NOT_SENT.value})
_UNKNOWN = frozenset({Outcome.UNKNOWN.value})

Record = Mapping[str, Any]  # Any: JSON


class Witness(Protocol):
    """Who knows what really happened."""

    def has_adapter(self, name: str) -> bool:
        """Whether an adapter of that name exists."""
        ...

    def operation_of(self, correlation_id: str) -> str | None:
        """The operation of that request or call, "" for a connection, None for nothing known."""
        ...

    def symbol_of(self, client_id: str) -> str | None:
        """The symbol of that order, None when there is no such order."""
        ...

    def request_of(self, correlation_id: str) -> Request | None:
        """That request, None for one that never was or is forgotten."""
        ...


def shortcomings(record: Record, witness: Witness) -> tuple[str, ...]:
    """The fields of an error record that are missing, mere placeholders, or not true."""
    required = (*COMMON, *SCHEMA.get(str(record.get("category")).lower(), ()))
    missing = [name for name in required if not _has_one(record, name.split("|"))]
    false = [name for name, is_true in _TRUTHS.items() if not is_true(record, witness)]
    return tuple(dict.fromkeys([*missing, *false]))


def _value(record: Record, name: str) -> Any:  # Any: JSON
    context = record.get("context") or {}
    found = context.get(name)
    return record.get(name) if found is None else found


def _text(record: Record, name: str) -> str:
    found = _value(record, name)
    return "" if found is None else str(found)


def _has_one(record: Record, names: list[str]) -> bool:
    return any(not _is_placeholder(name, _value(record, name)) for name in names)


def _is_placeholder(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return value is None
    text = value.strip().lower()
    if name == "outcome":  # "none" and "unknown" are answers there
        return not text
    return text in _PLACEHOLDERS or text in _PLACEHOLDERS_TOO


def _request(record: Record, witness: Witness) -> Request | None:
    return witness.request_of(_text(record, "correlation_id"))


def _adapter_exists(record: Record, witness: Witness) -> bool:
    return witness.has_adapter(_text(record, "adapter"))


def _correlation_exists(record: Record, witness: Witness) -> bool:
    return witness.operation_of(_text(record, "correlation_id")) is not None


def _operation_matches(record: Record, witness: Witness) -> bool:
    real = witness.operation_of(_text(record, "correlation_id"))
    return not real or _text(record, "operation") == real


def _client_id_matches(record: Record, witness: Witness) -> bool:
    told = _text(record, "client_id")
    request = _request(record, witness)
    real = "" if request is None else request.client_id
    return not told or (told == real if real else witness.symbol_of(told) is not None)


def _symbol_matches(record: Record, witness: Witness) -> bool:
    real = witness.symbol_of(_text(record, "client_id"))
    told = _text(record, "vt_symbol")
    return not real or not told or told.rpartition(".")[0] == real


def _retry_after_holds(record: Record, witness: Witness) -> bool:
    request = _request(record, witness)
    real = None if request is None else request.retry_after
    told = _value(record, "retry_after")
    # Less than a second less is the time that passed; more is caution.
    return real is None or told is None or float(told) > real - 1.0


def _outcome_holds(record: Record, witness: Witness) -> bool:
    told = record.get("outcome")
    request = _request(record, witness)
    if request is None or request.operation not in _CHANGES:
        return told in _OUTCOMES
    return told in _outcomes_of(request)


def _outcomes_of(request: Request) -> frozenset[str]:
    """What may be said of a request that changes an order, by how it ended on the link."""
    match request.outcome:
        case "refused":
            return _NOT_SENT
        case "reset" if not request.delivered:  # a handshake that failed has sent nothing either
            return _UNKNOWN | _NOT_SENT
        case "error" if request.status < 500:
            return _REJECTED
        case "error":  # some say that nothing was done, and what the others did nobody can tell
            return _OUTCOMES - _NOT_SENT
        case "":  # on its way still
            return _OUTCOMES
        case _:
            return _UNKNOWN


_TRUTHS: Mapping[str, Callable[[Record, Witness], bool]] = {
    "adapter": _adapter_exists,
    "correlation_id": _correlation_exists,
    "operation": _operation_matches,
    "client_id": _client_id_matches,
    "vt_symbol": _symbol_matches,
    "retry_after": _retry_after_holds,
    "severity": lambda record, _: record.get("severity") in _SEVERITIES,
    "outcome": _outcome_holds,
}
