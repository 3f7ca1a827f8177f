"""Faults of the way itself: imposed on a real proxy in time, and taken off again.

The sibling of `harness.nemesis.Nemesis` for what has to be awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from foxtrot.util.clock import Clock
from harness.faults.base import Fault
from harness.history import History
from harness.live.board import Board
from harness.live.client import LiveLink
from harness.toxiproxy import AsyncProxy, Imposed, LiveFault, ToxiproxyError, live_fault

__all__ = ["ProxyNemesis"]

_EFFECTS: Mapping[str, str] = {
    "blackhole": "request lost",
    "disconnect": "reset",
    "disconnect/lingering": "end held back",
    "flap": "reset",
    "latency": "delayed",
    "refuse": "refused",
    "slow_link": "delayed",
    "truncated": "reply cut off",
}
_SLOWER = "delayed"
#: Of those that end what is open, as soon as they begin.
_BREAKING = frozenset({"refused", "reset"})


@dataclass(slots=True)
class _Window:
    """From before the server was told until after it had taken the fault off."""

    fault: Fault
    effect: str
    since: float
    until: float = float("inf")


class ProxyNemesis:
    """Imposes faults on the proxy between one adapter and its venue.

    Args:
        faults: What happens when; of the kinds that a proxy can do.
        proxy: Where. Nothing else is imposed on it.
        history: Where it is recorded.
        clock: Seconds since the start of the run.
        board: Told which faults are on.
        hang_up: Has the venue end its streams.

    Attributes:
        link: The adapter's connection; set before the first fault begins.
    """

    link: LiveLink

    def __init__(
        self,
        faults: tuple[Fault, ...],
        proxy: AsyncProxy,
        *,
        history: History,
        clock: Clock,
        board: Board,
        hang_up: Callable[[], None],
    ) -> None:
        self._faults = faults
        self._proxy = proxy
        self._history = history
        self._clock = clock
        self._board = board
        self._hang_up = hang_up
        self._windows: dict[str, _Window] = {}
        self._touched: dict[tuple[str, str], None] = {}
        self._happening: list[asyncio.Task[None]] = []
        self._is_healed = False

    async def run(self) -> None:
        """Begin and end every fault in time, until they are healed."""
        if self._is_healed:
            return
        self._happening = [asyncio.ensure_future(self._happen(each)) for each in self._faults]
        await asyncio.gather(*self._happening)

    async def heal_all(self) -> None:
        """Take off what is still on; verify by the server's own word that nothing is left. Once.

        From then on nothing begins any more.
        """
        if self._is_healed:
            return
        for each in self._happening:
            each.cancel()
        if self._happening:
            # What is being imposed is carried out first, or it would be on after the healing.
            await asyncio.wait(self._happening)
        why = ""
        try:
            await self._proxy.heal()
        except ToxiproxyError as error:
            why = str(error)
        self._is_healed = True
        for fault in reversed(self._faults):
            self._ended(fault)
            outcome = "failed" if why else "ok"
            self._history.record("fault.healed", fault.id, outcome, **({"why": why} if why else {}))

    def touched(self, request_id: str, operation: str, sent_at: float, is_answered: bool) -> None:
        """Take a request that is over: whether a fault was on its way, and is to blame."""
        for window in self._windows.values():
            if window.until < sent_at:
                continue
            is_slowed = window.effect == _SLOWER and sent_at >= window.since
            if is_slowed or not is_answered:
                self._fired(window, request_id, operation)

    async def _happen(self, fault: Fault) -> None:
        begin, end = fault.occurrence.begin, fault.occurrence.end
        await self._clock.sleep(begin - self._clock.now())
        self._begun(fault)
        how = live_fault(
            fault.kind.name,
            fault.variant,
            {name: fault.parameter(name) for name in fault.kind.parameters},
        )
        if how.cycle:
            await self._cycle(fault, how)
        else:
            imposed = await self._impose(fault, how)
            await self._clock.sleep(end - self._clock.now())
            await self._proxy.lift(imposed)
        self._ended(fault)

    async def _cycle(self, fault: Fault, how: LiveFault) -> None:
        down, up = (fault.seconds(name) for name in how.cycle)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, fault.occurrence.end - self._clock.now())):
                while True:
                    self._struck(fault)
                    async with self._proxy.imposing(how.fault):
                        await self._clock.sleep(down)
                    await self._clock.sleep(up)

    async def _impose(self, fault: Fault, how: LiveFault) -> Imposed:
        is_breaking = _effect_of(fault) in _BREAKING
        if is_breaking:
            self._struck(fault)  # before the client can say so: what is open ends in any case
        imposed = await self._proxy.impose(how.fault)
        if how.drops:
            await self._proxy.drop_connections()
        if not is_breaking:
            self._struck(fault)
        if how.hangs_up:
            self._hang_up()
        return imposed

    def _begun(self, fault: Fault) -> None:
        window = [fault.occurrence.begin, fault.occurrence.end]
        self._history.record("fault.begin", fault.id, kind=fault.kind.name, window=window)
        self._board.saw("fault.begin", fault.id)
        self._windows[fault.id] = _Window(fault, _effect_of(fault), self._clock.now())

    def _struck(self, fault: Fault) -> None:
        """The fault is on the proxy: the connection that goes through it has it."""
        connection_id = self.link.connection_id
        if connection_id:
            window = self._windows[fault.id]
            self._fired(window, connection_id, "stream")
            if window.effect in _BREAKING:
                self.link.closed("reset", "fault")

    def _ended(self, fault: Fault) -> None:
        window = self._windows.get(fault.id)
        if window is None or window.until <= self._clock.now():
            return
        window.until = self._clock.now()
        self._history.record("fault.end", fault.id)
        self._board.saw("fault.end", fault.id)

    def _fired(self, window: _Window, subject: str, operation: str) -> None:
        if (window.fault.id, subject) in self._touched:
            return
        self._touched[window.fault.id, subject] = None
        self._history.record(
            "fault.fired",
            window.fault.id,
            correlation_id=subject,
            operation=operation,
            effect=window.effect,
            adapter=window.fault.spec.venue,
        )


def _effect_of(fault: Fault) -> str:
    kind = fault.kind.name
    return _EFFECTS.get(f"{kind}/{fault.variant}", _EFFECTS[kind])
