"""Faults of the way, on a proxy that only notes what is done to it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.faults.catalogue import FAULTS
from harness.history import Event, History, read_history
from harness.kernel import VirtualClock, VirtualLoop, run_virtual
from harness.live.board import Board
from harness.scenario import FaultSpec, Occurrence

nemesis = pytest.importorskip("harness.live.nemesis", reason="needs the extra live")


class Proxy:
    """Notes what is imposed and lifted; heals, or says that it cannot."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.told: list[tuple[float, str, str]] = []
        self.error: Exception | None = None
        self.takes = 0.0
        self._now = now

    def _note(self, what: str, fault: object = "") -> None:
        self.told.append((self._now(), what, type(fault).__name__ if fault else ""))

    async def impose(self, fault: Any) -> Any:
        self._note("impose", fault)
        return fault

    async def lift(self, imposed: Any) -> None:
        self._note("lift", imposed)

    @asynccontextmanager
    async def imposing(self, fault: Any) -> Any:
        imposed = await self.impose(fault)
        try:
            yield imposed
        finally:
            await self.lift(imposed)

    async def drop_connections(self) -> None:
        self._note("drop")

    async def heal(self) -> None:
        await asyncio.sleep(self.takes)
        self._note("heal")
        if self.error is not None:
            raise self.error


class Link:
    """The adapter's connection, as far as it is asked for."""

    def __init__(self) -> None:
        self.connection_id = "A-c1"
        self.ends: list[tuple[str, str]] = []

    def closed(self, outcome: str, by: str) -> None:
        self.connection_id = ""
        self.ends.append((outcome, by))


class Play:
    """A nemesis with one fault, from second 4 to second 8, and all that it does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = Link()
        self.hung_up: list[float] = []
        self.board: Any = None
        self.proxy: Any = None

    def run(self, act: Callable[[Any], Any], kind: str, variant: str = "", **given: Any) -> None:
        time = [0.0]
        with History(self.path, lambda: time[0]) as history:

            async def main(loop: VirtualLoop) -> None:
                clock = VirtualClock(loop)
                self.board = Board("A", clock.now)
                self.proxy = Proxy(clock.now)
                made = nemesis.ProxyNemesis(
                    (_fault(kind, variant, given),),
                    self.proxy,
                    history=history,
                    clock=clock,
                    board=self.board,
                    hang_up=lambda: self.hung_up.append(clock.now()),
                )
                made.link = self.link
                await act(made)

            run_virtual(main, max_time=60.0, on_advance=[lambda now: time.__setitem__(0, now)])

    def events(self) -> list[Event]:
        return list(read_history(self.path))

    def story(self) -> list[tuple[float, str, str]]:
        return [(e.t, e.kind, e.outcome or e.details.get("effect", "")) for e in self.events()]


def _fault(kind: str, variant: str, given: dict[str, Any]) -> Any:
    spec = FaultSpec.model_validate(
        {
            "kind": kind,
            "variant": variant or None,
            "venue": "A",
            "at": "4s",
            "for": "4s",
            "parameters": given,
        }
    )
    return FAULTS[kind](Occurrence("F1", spec, 4.0, 8.0), None)  # type: ignore[arg-type]  # no site: it never acts


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path / "history.jsonl")


async def _whole(made: Any) -> None:
    await made.run()
    await made.heal_all()


def test_a_fault_is_on_for_its_time_and_healed_by_the_servers_word(play: Play) -> None:
    """Told, imposed, lifted, told, and verified once, however often that is asked for."""

    async def act(made: Any) -> None:
        await _whole(made)
        await made.heal_all()

    play.run(act, "latency")
    assert play.proxy.told == [
        (4.0, "impose", "Latency"),
        (8.0, "lift", "Latency"),
        (8.0, "heal", ""),
    ]
    assert play.story() == [
        (4.0, "fault.begin", ""),
        (4.0, "fault.fired", "delayed"),
        (8.0, "fault.end", ""),
        (8.0, "fault.healed", "ok"),
    ]
    assert not play.board.is_active("A")
    assert play.link.connection_id == "A-c1", "what is slow is not closed"


def test_a_reset_ends_what_is_open_before_the_client_can_say_so(play: Play) -> None:
    """And the proxy drops it, since a reset reaches new connections only."""
    play.run(_whole, "disconnect", "reset")
    assert [each[1] for each in play.proxy.told] == ["impose", "drop", "lift", "heal"]
    assert play.link.ends == [("reset", "fault")]
    assert (4.0, "fault.fired", "reset") in play.story()


def test_a_lingering_end_leaves_the_connection_and_has_the_venue_hang_up(play: Play) -> None:
    """The toxic is there before the venue ends its streams, or there would be nothing to delay."""
    play.run(_whole, "disconnect", "lingering", delay=3.0)
    assert play.proxy.told[0] == (4.0, "impose", "SlowClose")
    assert play.hung_up == [4.0]
    assert play.link.ends == []
    assert (4.0, "fault.fired", "end held back") in play.story()


def test_nobody_else_hangs_up(play: Play) -> None:
    """The venue knows nothing of what is on the way."""
    play.run(_whole, "disconnect", "clean")
    assert play.hung_up == []


def test_flapping_comes_and_goes_and_ends_in_time(play: Play) -> None:
    """Down for one second, up for two, and lifted even where the end falls into a fall."""
    play.run(_whole, "flap", down=1.0, up=2.0)
    told = [each[:2] for each in play.proxy.told]
    assert told[:4] == [(4.0, "impose"), (5.0, "lift"), (7.0, "impose"), (8.0, "lift")]
    assert told[-1][1] == "heal"


def test_a_fault_that_cannot_be_healed_is_told_with_the_reason(play: Play) -> None:
    """And is over all the same: nobody goes on believing that it is on."""
    from harness.toxiproxy import ToxiproxyError

    async def act(made: Any) -> None:
        await made.run()
        play.proxy.error = ToxiproxyError("it will not go")
        await made.heal_all()

    play.run(act, "blackhole")
    healed = play.events()[-1]
    assert (healed.kind, healed.outcome) == ("fault.healed", "failed")
    assert healed.details["why"] == "it will not go"


def test_what_is_healed_early_is_over_early(play: Play) -> None:
    """The end of a run comes before the end of its faults."""

    async def act(made: Any) -> None:
        made._begun(made._faults[0])
        await made.heal_all()

    play.run(act, "refuse")
    assert [each[1] for each in play.story()] == ["fault.begin", "fault.end", "fault.healed"]


@pytest.mark.parametrize(("kind", "at"), [("refuse", 2.0), ("flap", 5.5)])
def test_after_the_healing_nothing_begins_any_more(play: Play, kind: str, at: float) -> None:
    """A fault written for after the run's end does not spoil the time that is to be quiet."""

    async def act(made: Any) -> None:
        running = asyncio.ensure_future(made.run())
        await asyncio.sleep(at)
        await made.heal_all()
        await asyncio.sleep(20.0)
        assert running.cancelled()

    play.run(act, kind, **({"down": 1.0, "up": 2.0} if kind == "flap" else {}))
    assert play.proxy.told[-1] == (at, "heal", "")
    assert play.story()[-1] == (at, "fault.healed", "ok")
    assert not play.board.is_active("A")


def test_faults_that_are_to_happen_after_the_healing_do_not(play: Play) -> None:
    """Also where nobody came to the beginning of them."""

    async def act(made: Any) -> None:
        await made.heal_all()
        await made.run()

    play.run(act, "refuse")
    assert [each[1] for each in play.proxy.told] == ["heal"]


def test_a_healing_that_is_interrupted_is_made_good_and_told(play: Play) -> None:
    """Ctrl-C may come while the server is being asked; the report must not say "not healed"."""

    async def act(made: Any) -> None:
        await made.run()
        play.proxy.takes = 3.0
        healing = asyncio.ensure_future(made.heal_all())
        await asyncio.sleep(1.0)
        healing.cancel()
        await asyncio.wait([healing])
        await made.heal_all()

    play.run(act, "refuse")
    assert play.story()[-1] == (12.0, "fault.healed", "ok")


def test_a_request_is_touched_by_what_was_on_its_way_and_is_to_blame(play: Play) -> None:
    """A slow way touches what was sent on it, a dead one what got no answer; each once."""
    found: dict[str, list[str]] = {}

    def touching(kind: str) -> Callable[[Any], Any]:
        async def act(made: Any) -> None:
            await made.run()
            for name, sent_at, is_answered in (
                ("before", 3.0, True),
                ("across", 3.0, False),
                ("during", 5.0, True),
                ("unanswered", 5.0, False),
                ("unanswered", 5.0, False),
                ("after", 8.5, False),
            ):
                made.touched(name, "account", sent_at, is_answered)

        play.run(act, kind)
        fired = [e for e in play.events() if e.kind == "fault.fired"]
        found[kind] = [e.details["correlation_id"] for e in fired]
        return act

    touching("latency")
    touching("blackhole")
    assert found == {
        "latency": ["A-c1", "across", "during", "unanswered"],
        "blackhole": ["A-c1", "across", "unanswered"],
    }
