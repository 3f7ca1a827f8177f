"""One question for all who come to ask it within the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(Generic[T]):
    """Asks once for all who come within a moment.

    The question leaves when the moment is over: nobody is told what was so before he came. Where
    it fails, the first is told of it, and the others ask for themselves.

    Args:
        ask: Asks.
        moment: Seconds that the first waits for others.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], moment: float) -> None:
        self._ask = ask
        self._moment = moment
        self._coming: asyncio.Future[tuple[T] | None] | None = None

    async def answer(self) -> T:
        """The answer, to a question that left after this was called. Raises what `ask` raises."""
        if self._coming is None:
            return await self._ask_for_all()
        answer = await asyncio.shield(self._coming)
        return await self._ask() if answer is None else answer[0]

    async def _ask_for_all(self) -> T:
        coming = self._coming = asyncio.get_running_loop().create_future()
        answer: tuple[T] | None = None
        try:
            try:
                await asyncio.sleep(self._moment)
            finally:
                self._coming = None  # who comes from here on was not there when it was asked
            answer = (await self._ask(),)
            return answer[0]
        finally:
            coming.set_result(answer)
