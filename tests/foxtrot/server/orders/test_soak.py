"""A thousand lost acknowledgements, and more on demand: each order ends as one, filled once."""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from harness.kernel import run_virtual
from harness.network import Delay

from .stories import PLACE

SEEDS = int(os.environ.get("FOXTROT_SOAK", "1000"))


class Chaos:
    """Random trouble on a link, from one seed."""

    def __init__(self, tools, rng: Random) -> None:
        self.tools = tools
        self.rng = rng
        self.loses_next_ack = False

    def sending(self, request):
        if self.loses_next_ack and request.operation is PLACE:
            return None  # the premise: the venue books it
        return self._perhaps(0.25)

    def replying(self, request, reply):
        if self.loses_next_ack and request.operation is PLACE and reply.status < 400:
            self.loses_next_ack = False
            return self.tools.Hang()
        return self._perhaps(0.15)

    def framing(self, _connection_id, _frame):
        return self.tools.Hang() if self.rng.random() < 0.2 else None

    def _perhaps(self, probability):
        if self.rng.random() >= probability:
            return None

        return self.rng.choice(
            [
                self.tools.Hang(),
                self.tools.Fail(self.tools.refused),
                self.tools.Fail(self.tools.reset),
                Delay(self.rng.uniform(0.1, 9.0)),
            ]
        )


@pytest.mark.parametrize("block", range(10))
def test_order_whose_submit_times_out_ends_as_one_order_filled_once(tools, block):
    """Whatever happens around it: refusals, resets, delays, lost frames, a broken connection."""
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        bench = _soaked(tools, seed)
        assert bench.booked() == [("o1", "FILLED", 0.01)], seed
        assert bench.status("o1") == "ALLTRADED", seed
        assert bench.position() == (0.01, 0.01), seed
        fills = [what for _, _, what in bench.published if what.startswith("trade")]
        assert len(fills) == 1, seed


def _soaked(tools, seed):
    async def main(loop):
        rng = Random(seed)
        bench = tools.Bench(loop, seed=seed)
        await bench.start()
        chaos = Chaos(tools, rng)
        chaos.loses_next_ack = True
        bench.link.rules["ack"] = tools.Rule(replying=chaos.replying)
        if rng.random() < 0.7:
            bench.link.rules["chaos"] = tools.Rule(sending=chaos.sending, framing=chaos.framing)
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1", price=0), "ALPHA"))
        await bench.clock.sleep(rng.uniform(0.0, 8.0))
        if rng.random() < 0.3:
            bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(rng.uniform(0.0, 15.0))
        bench.link.rules.clear()
        await asyncio.gather(sending, return_exceptions=True)
        for _ in range(120):
            await bench.clock.sleep(1.0)
            if bench.position() == (0.01, 0.01):
                break
        await bench.clock.sleep(15.0)  # in which a second order would show
        await bench.stop()
        return bench

    return run_virtual(main, max_time=2_000.0)
