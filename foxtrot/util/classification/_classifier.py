"""Any foreign exception or venue code to one FoxtrotError, by tables, most specific first."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from foxtrot.util.classification import _evidence as evidence
from foxtrot.util.classification._binance import BINANCE_CODES
from foxtrot.util.classification._build import build, settled_outcome
from foxtrot.util.classification._ccxt import CCXT_TYPES
from foxtrot.util.classification._clients import CLIENT_TYPES
from foxtrot.util.classification._entry import Entry, Rule, Strength, Table, broken
from foxtrot.util.classification._fix import (
    FIX_BUSINESS_REJECTS,
    FIX_CANCEL_REJECTS,
    FIX_ORDER_REJECTS,
    FIX_SESSION_REJECTS,
)
from foxtrot.util.classification._futu import FUTU_CODES
from foxtrot.util.classification._http import HTTP_STATUSES, WS_CLOSES, WS_EVENTS
from foxtrot.util.classification._ib import IB_CODES
from foxtrot.util.classification._python import ERRNOS, PYTHON_TYPES
from foxtrot.util.classification._text import TEXT_RULES
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError, Outcome

__all__ = ["Classifier", "classify", "classify_code"]

_UNCLASSIFIED = broken("Look at the message and the cause, and give the classifier an entry for it")
_TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "type": {**PYTHON_TYPES, **CLIENT_TYPES, **CCXT_TYPES},
        "errno": ERRNOS,
        "http": HTTP_STATUSES,
        "ws_close": WS_CLOSES,
        "ws_event": WS_EVENTS,
        "binance": BINANCE_CODES,
        "ib": IB_CODES,
        "futu": FUTU_CODES,
        "fix_session_reject": FIX_SESSION_REJECTS,
        "fix_business_reject": FIX_BUSINESS_REJECTS,
        "fix_order_reject": FIX_ORDER_REJECTS,
        "fix_cancel_reject": FIX_CANCEL_REJECTS,
    }
)
# A close code or event tells that a stream ended, and leaves open what became of the request that
# was under way. The other codes answer a request.
_NO_ANSWERS = frozenset({"ws_close", "ws_event", "errno"})
_NO_REQUEST = frozenset({Outcome.NONE, Outcome.NOT_SENT})
_BY_SEVERITY = list(ErrorSeverity)


@dataclass(frozen=True, slots=True)
class _Finding:
    entry: Entry
    classified_by: str
    code: int | str | None = None
    is_answer: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """Turns foreign exceptions and venue codes into FoxtrotErrors.

    Frozen: `with_table` returns another one, so that no table leaks from one user to another.

    Args:
        tables: Entries by source: `type` (`package.Class`), `errno`, `http`, `ws_close`, ...
        clock: What Retry-After dates and bans are measured against, and the errors' timestamps.
    """

    tables: Mapping[str, Table] = field(default_factory=lambda: _TABLES, repr=False)
    clock: Clock = SYSTEM_CLOCK

    def with_table(self, source: str, table: Table) -> Classifier:
        """A classifier that knows `table` too, under `source`; its rows outrank the present ones.

        Under `type` the keys are names of exception types, in full or as `package.Class`; under
        any other source they are codes, classes of codes such as `5xx`, and `*`.
        """
        merged = {**self.tables.get(source, {}), **{_normal(k): v for k, v in table.items()}}
        return replace(self, tables=MappingProxyType({**self.tables, source: merged}))

    def classify(
        self, exc: BaseException, *, adapter: str | None = None, operation: str | None = None
    ) -> FoxtrotError:
        """The FoxtrotError that `exc` stands for, with `exc` as its cause.

        A FoxtrotError comes back itself; where it names no adapter or operation, it is told.

        Args:
            exc: What was caught.
            adapter: On which adapter it happened.
            operation: What was asked (an `Operation`'s value). Whether it changes state decides
                if a missing answer is UNKNOWN or NONE; None is taken as changing state.

        Raises:
            BaseException: `exc` itself, when it is no Exception. Cancellation and the like are
                not failures.
        """
        if not isinstance(exc, Exception):
            raise exc
        if isinstance(exc, FoxtrotError):
            return _told(exc, adapter, operation)
        error = self._error(
            self._find(exc, evidence.text_of(exc)),
            _reason(exc),
            wait=self._wait(exc),
            adapter=adapter,
            operation=operation,
            context={"cause_type": f"{type(exc).__module__}.{type(exc).__qualname__}"},
        )
        error.__cause__ = exc
        return error

    def classify_code(
        self,
        source: str,
        code: int | str,
        message: str = "",
        *,
        headers: Mapping[str, Any] | None = None,  # Any: header values are text or bytes
        adapter: str | None = None,
        operation: str | None = None,
    ) -> FoxtrotError:
        """The FoxtrotError that a bare code stands for.

        Args:
            source: Whose code it is: `http`, `ws_close`, `ws_event`, `binance`, `ib`, `futu`,
                `fix_session_reject`, `fix_business_reject`, `fix_order_reject`,
                `fix_cancel_reject`, or a source of `with_table`.
            code: The code; numbers may come as text.
            message: What the venue said with it. Some codes mean what their text says.
            headers: The reply's headers, for Retry-After.
            adapter: On which adapter it happened.
            operation: What was asked, as in `classify`.

        Raises:
            ValueError: No table is known under `source`.
        """
        if source not in self.tables:
            raise ValueError(
                f"expected source to be one of {sorted(self.tables)}, got source={source!r}; "
                "register a table of your own with Classifier().with_table(source, table)"
            )
        reason = f"{source} {code}: {message}" if message else f"{source} {code}"
        return self._error(
            self._find_code(source, code, message),
            reason,
            wait=evidence.wait_named(headers, reason, self.clock.wall()),
            adapter=adapter,
            operation=operation,
            context={"code": _normal(code), "source": source},
        )

    def _error(
        self,
        finding: _Finding,
        reason: str,
        *,
        wait: float | None,
        adapter: str | None,
        operation: str | None,
        context: Mapping[str, Any],
    ) -> FoxtrotError:
        return build(
            finding.entry,
            reason,
            adapter=adapter,
            operation=operation,
            context={
                "code": finding.code,
                **context,
                "classified_by": finding.classified_by,
                "quota": _quota(finding.entry, reason),
            },
            outcome=settled_outcome(finding.entry, operation, is_answer=finding.is_answer),
            wait=wait,
            clock=self.clock,
        )

    def _find_code(self, source: str, code: int | str, message: str) -> _Finding:
        nested = evidence.venue_code(Exception(), message) if source == "http" else None
        entry = None if nested is None else self._look_up(*nested, evidence.venue_text(message))
        if entry is not None:
            return _Finding(entry, "code", is_answer=True)
        entry = self._look_up(source, code, message)
        if entry is not None:
            how = "status" if source == "http" else "code"
            return _Finding(entry, how, is_answer=source not in _NO_ANSWERS)
        return _by_text(message) or _Finding(_UNCLASSIFIED, "default")

    def _find(self, exc: Exception, text: str) -> _Finding:
        if isinstance(exc, ExceptionGroup):
            return self._worst_of(exc)
        rule = self._type_rule(exc)
        return (
            self._settled(exc, text, rule)
            or self._by_cause(exc, rule)
            or _by_wrapper(rule, text)
            or _by_text(text)
            or self._by_wrapped(exc)
            or (None if rule is None else _Finding(rule.pick(text), "type"))
            or _Finding(_UNCLASSIFIED, "default")
        )

    def _settled(self, exc: BaseException, text: str, rule: Rule | None) -> _Finding | None:
        """What `exc` says by itself, beyond doubt."""
        venue = evidence.venue_code(exc, text)
        if venue is not None:
            entry = self._look_up(*venue, evidence.venue_text(text))
            if entry is not None:
                return _Finding(entry, "code", venue[1], is_answer=True)
        if rule is not None and rule.strength is Strength.EXACT:
            return _Finding(rule.pick(text), "type")
        return self._by_number(exc, text, rule)

    def _by_number(self, exc: BaseException, text: str, rule: Rule | None) -> _Finding | None:
        numbers = (
            ("ws_close", "code", evidence.close_code(exc)),
            ("http", "status", evidence.http_status(exc, text)),
            ("errno", "errno", evidence.errno_of(exc)),
        )
        for source, how, number in numbers:
            entry = None if number is None else self._look_up(source, number, text)
            if entry is not None and number is not None:
                name = errno.errorcode[number] if source == "errno" else number
                is_answer = source not in _NO_ANSWERS
                return _Finding(_no_more_than(rule, entry), how, name, is_answer)
        return None

    def _by_cause(self, exc: Exception, rule: Rule | None) -> _Finding | None:
        for cause in evidence.causes(exc):
            if isinstance(cause, FoxtrotError):
                return _Finding(_entry_of(cause), "cause", cause.context.get("code"))
            text = evidence.text_of(cause)
            found = self._settled(cause, text, self._type_rule(cause))
            if found is not None:
                entry = _no_more_than(rule, found.entry)
                return replace(found, entry=entry, classified_by="cause")
        return None

    def _by_wrapped(self, exc: Exception) -> _Finding | None:
        """What the words of a cause say, once those of `exc` said nothing."""
        for cause in evidence.causes(exc):
            text = evidence.text_of(cause)
            found = _by_wrapper(self._type_rule(cause), text) or _by_text(text)
            if found is not None:
                return replace(found, classified_by="cause")
        return None

    def _worst_of(self, group: ExceptionGroup[Exception]) -> _Finding:
        """The gravest member decides; one whose outcome is unknown makes the whole unknown."""
        found = [self._find_member(e) for e in group.exceptions]
        worst = max(
            found, key=lambda f: (_BY_SEVERITY.index(f.entry.severity), not f.entry.recoverable)
        )
        if any(f.entry.outcome is Outcome.UNKNOWN for f in found):
            return replace(worst, entry=worst.entry.but(outcome=Outcome.UNKNOWN))
        return worst

    def _find_member(self, exc: Exception) -> _Finding:
        if isinstance(exc, FoxtrotError):
            return _Finding(_entry_of(exc), "cause")
        return self._find(exc, evidence.text_of(exc))

    def _wait(self, exc: Exception) -> float | None:
        """Seconds that the venue asked to wait: the latest that it named to `exc` or a cause."""
        named = [self._named_to(link) for link in (exc, *evidence.causes(exc))]
        if isinstance(exc, ExceptionGroup):
            named += self._waits_of_members(exc)
        return max((seconds for seconds in named if seconds is not None), default=None)

    def _named_to(self, exc: BaseException) -> float | None:
        if isinstance(exc, FoxtrotError):
            return exc.retry_after if _is_named(exc) else None
        return evidence.wait_named(evidence.headers_of(exc), _reason(exc), self.clock.wall())

    def _waits_of_members(self, group: ExceptionGroup[Exception]) -> list[float | None]:
        named = [self._wait(member) for member in group.exceptions]
        if all(seconds is None for seconds in named):
            return []
        # A member that was told nothing waits a time of its own, which no other's may shorten.
        return [
            self._find_member(member).entry.seconds if seconds is None else seconds
            for member, seconds in zip(group.exceptions, named, strict=True)
        ]

    def _type_rule(self, exc: BaseException) -> Rule | None:
        table = self.tables["type"]
        for name in evidence.qualified_names(exc):
            if name in table:
                return _as_rule(table[name])
        return None

    def _look_up(self, source: str, code: int | str, text: str) -> Entry | None:
        table = self.tables[source]
        code = _normal(code)
        for key in (code, *_classes_of(code), "*"):
            if key in table:
                return _as_rule(table[key]).pick(text)
        return None


def classify(
    exc: BaseException, *, adapter: str | None = None, operation: str | None = None
) -> FoxtrotError:
    """`Classifier().classify`: by the tables that come with the package, on the system's clock."""
    return _DEFAULT.classify(exc, adapter=adapter, operation=operation)


def classify_code(
    source: str,
    code: int | str,
    message: str = "",
    *,
    headers: Mapping[str, Any] | None = None,  # Any: header values are text or bytes
    adapter: str | None = None,
    operation: str | None = None,
) -> FoxtrotError:
    """`Classifier().classify_code`: by the tables that come with the package."""
    return _DEFAULT.classify_code(
        source, code, message, headers=headers, adapter=adapter, operation=operation
    )


def _quota(entry: Entry, text: str) -> Mapping[str, int] | None:
    return evidence.quota_named(text) if entry.category is ErrorCategory.RATE_LIMIT else None


def _reason(exc: BaseException) -> str:
    text = evidence.text_of(exc)
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def _is_named(error: FoxtrotError) -> bool:
    """Whether the venue named its `retry_after`; of a limit that nobody classified, it did."""
    is_limit = error.category is ErrorCategory.RATE_LIMIT
    source = error.context.get("retry_after_source", "venue" if is_limit else "default")
    return bool(source == "venue")


def _told(error: FoxtrotError, adapter: str | None, operation: str | None) -> FoxtrotError:
    for name, value in (("adapter", adapter), ("operation", operation)):
        if value is not None and error.context.get(name) is None:
            error.context[name] = value
    return error


def _by_wrapper(rule: Rule | None, text: str) -> _Finding | None:
    if rule is None or rule.strength is not Strength.WRAPPER:
        return None
    return _Finding(rule.pick(text), "type")


def _by_text(text: str) -> _Finding | None:
    entry = Rule(_UNCLASSIFIED, TEXT_RULES).pick(text)
    return None if entry is _UNCLASSIFIED else _Finding(entry, "text")


def _no_more_than(rule: Rule | None, entry: Entry) -> Entry:
    """`entry`, unless the type knows that no request was under way, as in a handshake."""
    if rule is None or rule.strength is Strength.GENERIC or entry.outcome is not Outcome.UNKNOWN:
        return entry
    return entry.but(outcome=rule.entry.outcome) if rule.entry.outcome in _NO_REQUEST else entry


def _entry_of(error: FoxtrotError) -> Entry:
    policy = str(error.context.get("retry_policy", "none"))
    return Entry(
        error.category,
        error.severity,
        error.recoverable,
        error.outcome,
        f"{error.retry_after:f}" if error.retry_after is not None else _named(policy),
        _unnumbered(error) or "Look at the cause",
        str(error.context.get("scope", "")),
    )


def _unnumbered(error: FoxtrotError) -> str:
    """What it suggests, without the code that stands behind it: who takes it over adds its own."""
    return (error.suggested_action or "").removesuffix(f" [{error.context.get('code')}]")


def _named(policy: str) -> str:
    return "none" if policy in {"seconds", "header"} else policy


def _as_rule(row: Entry | Rule) -> Rule:
    return row if isinstance(row, Rule) else Rule(row)


def _normal(code: int | str) -> int | str:
    """Numbers as int, whatever they came as; names without regard to case."""
    if isinstance(code, int):
        return int(code)
    code = code.strip()
    return int(code) if code.removeprefix("-").isdecimal() else code


def _classes_of(code: int | str) -> Iterator[str]:
    """`5xx` and the like, narrowest first; a name also without regard to case."""
    if isinstance(code, str):
        yield code.lower()
        return
    text = str(code)
    yield f"{text[:-2]}xx"
    yield f"{text[:-3]}xxx"


_DEFAULT = Classifier()
