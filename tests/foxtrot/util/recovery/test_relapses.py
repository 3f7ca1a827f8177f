"""What works again and does not last."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from foxtrot.util.errors import (
    AdapterConnectionError,
)
from foxtrot.util.recovery import (
    RecoveryAction,
)


@pytest.mark.parametrize("action", [RecoveryAction.RECONNECT, RecoveryAction.RETRY])
def test_what_works_again_and_does_not_last_is_tried_ever_more_slowly(scene, action):
    """Each was a success, so that no ladder ends it: one relapse may be chance."""

    async def body(s):
        for _ in range(5):
            assert await s.handle()
        assert await s.handle(AdapterConnectionError("B", "reset"))

    s = scene(body, supported=(action,), verdicts=[True] * 6)
    waits = [after - before for (before, _), (after, _) in itertools.pairwise(s.executor.done)]
    assert waits[0] == 0.0
    assert 0.5 <= waits[1] <= 1.5
    assert 1.0 <= waits[2] <= 3.0
    assert 2.0 <= waits[3] <= 6.0
    assert waits[4] == 0.0  # another adapter has no part in it


@pytest.mark.parametrize(("lasted", "is_relapse"), [(7.75, True), (8.0, False)])
def test_connection_that_lasted_longer_than_the_longest_wait_is_no_relapse(
    scene, lasted, is_relapse
):
    async def body(s):
        for _ in range(3):
            assert await s.handle()
        await asyncio.sleep(lasted)
        s.reopened_from = s.loop.time()
        assert await s.handle()

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True] * 4)
    assert (s.executor.done[-1][0] > s.reopened_from) == is_relapse


def test_to_look_again_is_no_reconnect_and_slows_none_down(scene):
    async def body(s):
        for _ in range(5):
            s.executor.supported = {RecoveryAction.RETRY}
            assert await s.handle()
        s.executor.supported = {RecoveryAction.RECONNECT}
        s.began = s.loop.time()
        assert await s.handle()

    s = scene(body, verdicts=[True] * 6)
    assert s.executor.done[-1] == (round(s.began, 3), "reconnect")
