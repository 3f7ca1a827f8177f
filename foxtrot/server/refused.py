"""Symbols that a venue does not take, or no longer: what that means for orders and questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError, MarketDataError, Outcome

__all__ = ["RefusedSymbols", "may_be_of_a_symbol"]


class RefusedSymbols:
    """The symbols of one adapter that were set aside: nobody has a fresh price of them.

    Args:
        adapter_name: Whose.
        clock: Time of errors.
    """

    def __init__(self, adapter_name: str, clock: Clock) -> None:
        self._adapter_name = adapter_name
        self._clock = clock
        self._set_aside: dict[str, FoxtrotError] = {}  # the venue's refusals, by symbol
        self._unanswered: dict[str, None] = {}  # set aside once, and not taken since

    def set_aside(self, vt_symbol: str, refusal: FoxtrotError) -> None:
        """Let no order go out in a symbol, until it is subscribed again or given up."""
        self._set_aside[vt_symbol] = refusal
        self._unanswered[vt_symbol] = None

    def lift(self, vt_symbol: str) -> None:
        """Let orders go out in it. Whether the venue knows it again is not known yet."""
        self._set_aside.pop(vt_symbol, None)

    def taken(self, vt_symbols: Iterable[str]) -> None:
        """Note that the venue takes them: what is asked about them is answered from now on."""
        for vt_symbol in vt_symbols:
            self._unanswered.pop(vt_symbol, None)

    def names(self) -> list[str]:
        """Those set aside, in the order in which they were."""
        return list(self._set_aside)

    def not_sent(self, vt_symbol: str) -> MarketDataError | None:
        """Why no order goes out in the symbol, with outcome NOT_SENT; None when one may."""
        if vt_symbol not in self._set_aside:
            return None
        error = self.error([vt_symbol])
        error.outcome = Outcome.NOT_SENT
        return error

    def has_given_up(self, symbol: str, refusal: FoxtrotError) -> bool:
        """Whether a question was refused for a symbol that was set aside: as one delisted is."""
        is_aside = any(each.rpartition(".")[0] == symbol for each in self._unanswered)
        return is_aside and may_be_of_a_symbol(refusal)

    def error(self, vt_symbols: Sequence[str]) -> MarketDataError:
        """What a person is told of those that were set aside together."""
        refusal, named = self._set_aside[vt_symbols[0]], ", ".join(vt_symbols)
        return MarketDataError(
            named,
            f"no price, the venue refuses the subscription ({refusal.message})",
            recoverable=False,
            retry_after=None,
            suggested_action=f"Subscribe to {named} again once the venue takes it; until then no "
            "order goes out in it",
            clock=self._clock,
            context={
                "adapter": self._adapter_name,
                "operation": "stream.subscribe",
                "code": refusal.context.get("code"),
                "vt_symbol": named,
            },
        )


def may_be_of_a_symbol(error: FoxtrotError) -> bool:
    """Whether a symbol may have been refused, and not the account, its pace or the line.

    By the venue, or by its adapter, which knows what the venue lists and then sends nothing.
    """
    is_refusal = error.outcome in {Outcome.REJECTED, Outcome.NOT_SENT}
    is_of_what_was_asked = error.category in {ErrorCategory.VALIDATION, ErrorCategory.MARKET_DATA}
    return is_refusal and is_of_what_was_asked and not error.recoverable
