"""Durations, rates and targets as people write them, and the nearest right word for a wrong one.

A bare number is never a duration or a rate: `30` that means half a minute to one reader and half
an hour to the next has cost more outages than the unit costs keystrokes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from decimal import Decimal

__all__ = [
    "DURATION_PATTERN",
    "RATE_PATTERN",
    "Mistake",
    "format_duration",
    "format_number",
    "nearest",
    "parse_duration",
    "parse_rate",
    "parse_ratio",
]

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
# Bounded, so that no text of a thousand nines becomes an infinity that the sums choke on.
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
DURATION_PATTERN = rf"^{_NUMBER}(ms|s|m|h)$"
RATE_PATTERN = rf"^{_NUMBER}/(s|m|h)$"

_A_DURATION = "a duration such as 250ms, 90s, 5m or 1h"
_A_RATE = "a rate such as 2/s, 30/m or 100/h"
_LONG_UNITS = {
    "ms": r"msecs?|millis|milliseconds?",
    "s": r"secs?|seconds?",
    "m": r"mins?|minutes?",
    "h": r"hrs?|hours?",
}


class Mistake(ValueError):
    """Raised when a value is not what its place expects.

    Attributes:
        expected: What the place expects, to be read after the word "expected".
        suggestion: The nearest right value, if there is one.
    """

    def __init__(self, expected: str, suggestion: str | None = None) -> None:
        super().__init__(expected, suggestion)
        self.expected = expected
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"expected {self.expected}"

    def about(self, name: str, value: object) -> str:
        """The whole message: what was expected, what came, and the nearest right value."""
        hint = "" if self.suggestion is None else f", did you mean {self.suggestion!r}?"
        return f"expected {self.expected}, {name}={value!r}{hint}"


def nearest(word: object, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` is most likely a misspelling of; None if none is close."""
    known = {candidate.lower(): candidate for candidate in words}
    close = difflib.get_close_matches(str(word).lower(), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def format_number(number: float) -> str:
    """All its digits and no exponent, which targets are written without: `0.9999999`, `30`."""
    text = f"{Decimal(repr(float(number))):f}"
    return text.removesuffix(".0")


def parse_duration(value: object) -> float:
    """Seconds from `250ms`, `90s`, `5m` or `1h`.

    Raises:
        Mistake: It is a bare number, negative, sexagesimal, or in a unit we do not have.
    """
    match = re.fullmatch(rf"({_NUMBER})(ms|s|m|h)", value) if isinstance(value, str) else None
    if match is None:
        raise Mistake(_A_DURATION, _meant_duration(value))
    return float(Decimal(match[1]) * _SECONDS[match[2]])


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`, in the largest whole unit."""
    amount = Decimal(repr(float(seconds)))
    for unit in ("h", "m", "s"):
        if amount and amount % _SECONDS[unit] == 0:
            return f"{int(amount / _SECONDS[unit])}{unit}"
    if amount % _SECONDS["ms"] == 0 and 0 < amount < 1:
        return f"{int(amount / _SECONDS['ms'])}ms"
    return f"{amount.normalize():f}s"


def parse_rate(value: object) -> float:
    """Times a second, from `2/s`, `30/m` or `100/h`.

    Raises:
        Mistake: It is a bare number, negative, or not per second, minute or hour.
    """
    match = re.fullmatch(rf"({_NUMBER})/(s|m|h)", value) if isinstance(value, str) else None
    if match is None:
        raise Mistake(_A_RATE, f"{value}/s" if _is_amount(value) else None)
    return float(Decimal(match[1]) / _SECONDS[match[2]])


def parse_ratio(value: object) -> float:
    """A share from 0 to 1.

    Raises:
        Mistake: It is not a number, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Mistake("a ratio from 0 to 1", _meant_ratio(value))
    return float(value)


def _meant_duration(value: object) -> str | None:
    if _is_amount(value):
        return f"{value}s"
    text = str(value).strip().lower().replace(" ", "")
    if clock := re.fullmatch(r"([0-9]{1,3}):([0-5][0-9])", text):
        return format_duration(int(clock[1]) * 60 + int(clock[2]))
    for unit, long in _LONG_UNITS.items():
        if match := re.fullmatch(rf"({_NUMBER})(?:{long}|{unit})", text):
            return f"{match[1]}{unit}"
    return None


def _meant_ratio(value: object) -> str | None:
    percent = re.fullmatch(rf"({_NUMBER})\s*%", value) if isinstance(value, str) else None
    if percent and float(percent[1]) <= 100:
        return format(float(percent[1]) / 100, "g")
    return None


def _is_amount(value: object) -> bool:
    """Whether it is a number that lacks nothing but its unit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0
