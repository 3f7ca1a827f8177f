"""Every live story, driven through a real toxiproxy-server by a real ccxt client."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.object import OrderRequest
from harness.batch import Finished, Job
from harness.history import Event, read_history

pytestmark = [
    pytest.mark.live,
    # What ccxt and its dependencies warn of is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "scenarios/live").glob("*.yaml"))

#: The faults of each story, and what the errors of what they touched are told as.
TOLD = {
    "closed_door": {"refuse": "connection"},
    "cut_reply": {"truncated": "connection"},
    "gibberish": {"malformed": "validation"},
    "hung_up": {"disconnect": "connection"},
    "in_pieces": {"slow_link": "connection"},
    "long_goodbye": {"disconnect": "connection"},
    "long_way": {"latency": "connection"},
    "lost_reply": {"ack_lost": "connection"},
    "lost_races": {"cancel_filled": "order_execution", "partial_fill": "connection"},
    "narrow_way": {"slow_link": "connection"},
    "odd_answers": {
        "clock_skew": "authentication",
        "key_revoked": "authentication",
        "maintenance": "connection",
        "renamed_field": "validation",
        "server_error": "connection",
    },
    "odd_orders": {
        "order_rate": "rate_limit",
        "reject": "order_execution",
        "slow_ack": "connection",
    },
    "revolving_door": {"flap": "connection"},
    "shown_out": {"ban": "rate_limit"},
    "still_streams": {
        "mute_stream": "market_data",
        "session_expired": "connection",
        "stale": "market_data",
    },
    "swallowed": {"blackhole": "connection"},
    "too_many": {"rate_limit": "rate_limit"},
}


@pytest.fixture(scope="module")
def driven(server: Any, stories: Any, tmp_path_factory: Any) -> dict[str, Finished]:
    """All of them side by side: they wait more than they work."""
    from harness.live.run import run_live
    from harness.toxiproxy import Toxiproxy

    folder = tmp_path_factory.mktemp("live")
    jobs = [Job(each, folder / each.name) for each in stories]
    with Toxiproxy(server.address) as client:
        finished = run_live(jobs, client, at_a_time=len(jobs))
        names = client.names()
    assert len(names) == len(jobs), "one proxy each"
    return {each.job.name: each for each in finished}


@pytest.fixture
def events(driven: dict[str, Finished], name: str) -> list[Event]:
    return list(read_history(driven[name].job.folder / "history.jsonl"))


@pytest.mark.parametrize("name", NAMES)
class TestStory:
    def test_it_passes_by_the_same_judge(self, driven: dict[str, Finished], name: str) -> None:
        """The core recovers on real sockets, and no order is doubled or lost."""
        each = driven[name]
        assert each.result is not None
        assert (each.ending, each.detail) == ("completed", "")
        assert (each.result.verdict.value, each.result.reasons) == ("pass", ())

    def test_it_comes_to_the_same_in_virtual_time(
        self, driven: dict[str, Finished], name: str
    ) -> None:
        """The same file, the same verdict, classification and ledger facts in both modes."""
        from harness.live.command import parities

        (pair,) = parities([driven[name]])
        assert pair.differences == ()
        essence = pair.live.essence
        told = {kind: (category,) for kind, category in TOLD[name].items()}
        assert essence.categories == told
        assert (essence.doubled, essence.lost, essence.apart) == ((), (), ())

    def test_its_faults_are_on_once_touch_something_and_are_healed(
        self, events: list[Event]
    ) -> None:
        """Nothing is green that did not happen, and nothing is left on."""
        planned = [each["id"] for each in events[0].details["faults"]]
        for fault_id in planned:
            told = [(e.kind, e.outcome) for e in events if e.source == "fault" and e.id == fault_id]
            others = [each for each in told if each[0] != "fault.fired"]
            assert ("fault.fired", "") in told, fault_id
            assert others == [("fault.begin", ""), ("fault.end", ""), ("fault.healed", "ok")]

    def test_a_request_has_one_name_on_both_sides_of_the_wire(self, events: list[Event]) -> None:
        """What the venue says of a request is found under the name that the client gave it."""
        sent = {e.id for e in events if e.kind == "link.sent"}
        asked = {
            e.details["request_id"]
            for e in events
            if e.kind == "venue.order" and e.details["request_id"]
        }
        assert asked
        assert asked <= sent

    def test_every_order_sent_was_asked_for(self, events: list[Event]) -> None:
        """The requests of the strategy are tied to its calls without asking the core."""
        calls = {e.id for e in events if e.kind == "client.invoke"}
        placed = [
            e.details["call"]
            for e in events
            if e.kind == "link.sent" and e.details["operation"] == "order.place"
        ]
        assert placed
        assert set(placed) <= calls


class TestAfterwards:
    def test_the_server_has_no_proxy_left(self, driven: dict[str, Finished], server: Any) -> None:
        """Every fault is gone from the server, and with it what they were imposed on."""
        from harness.toxiproxy import Transport

        assert driven
        assert Transport().get(f"http://{server.address}/proxies").json() == {}

    def test_no_secret_and_no_signature_is_written_down(self, driven: dict[str, Finished]) -> None:
        """Neither a key's secret nor what it signed is in a history."""
        files = [path for each in driven.values() for path in each.job.folder.rglob("*")]
        assert len(files) == len(driven)
        for path in files:
            text = path.read_text()
            assert "secret-of-" not in text
            assert not re.search("[0-9a-f]{64}", text), "a signature"


@pytest.mark.parametrize("when", ["in the quiet", "in the control"])
def test_a_proxy_that_is_gone_at_the_end_is_noticed(
    server: Any, stories: Any, tmp_path: Path, when: str
) -> None:
    """What the client suffered without it is no word about the core, nor about a bare client."""
    from harness.live.bare import run_bare
    from harness.live.run import run_live
    from harness.toxiproxy import Toxiproxy

    [story] = [each for each in stories if each.name == "closed_door"]
    short = story.model_copy(update={"duration": 3.0, "settle": 2.0, "faults": ()})
    job = Job(short, tmp_path / "short")

    with Toxiproxy(server.address) as client:
        timer = threading.Timer(4.5, client.close)
        timer.start()
        if when == "in the quiet":
            [each] = run_live([job], client, at_a_time=1)
            told = {job.folder: each.detail} if each.ending == "crashed" else {}
        else:
            told = run_bare([job], client, at_a_time=1)
        timer.join()
    assert "expected the proxy of closed_door there to the end" in told.get(job.folder, "")


def test_a_task_is_made_with_what_newer_pythons_hand_on() -> None:
    """3.13.3 and 3.14 give a task factory the name as well, and the old ones nothing but it."""
    from harness.live.run import _counted

    async def named() -> str:
        async def work() -> None:
            pass

        task = _counted(asyncio.get_running_loop(), work(), name="mine")
        await task
        return task.get_name()

    assert asyncio.run(named()) == "mine"


def test_a_fill_just_before_the_end_has_time_to_arrive(
    server: Any, stories: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the venue has booked and the wire still carries is not lost, and no red run."""
    from harness.live.run import run_live
    from harness.live.tracing import Clerk
    from harness.probe import Probe
    from harness.toxiproxy import Toxiproxy

    traded, placing = asyncio.Event(), []
    record, sample_all = Clerk.record, Probe.sample_all
    order = OrderRequest(
        symbol="BTCUSDT",
        exchange=Exchange.BINANCE,
        direction=Direction.LONG,
        type=OrderType.MARKET,
        volume=0.001,
        reference="BINANCE-last",
    )

    def recorded(clerk: Any, kind: str, /, *args: Any, **details: Any) -> int:
        if kind == "venue.trade":
            traded.set()
        return record(clerk, kind, *args, **details)

    async def sampled(probe: Any) -> None:
        await sample_all(probe)
        traded.clear()
        placing.append(asyncio.ensure_future(probe._desk.place("BINANCE", order)))
        await asyncio.wait_for(traded.wait(), 10.0)

    monkeypatch.setattr(Clerk, "record", recorded)
    monkeypatch.setattr(Probe, "sample_all", sampled)
    [story] = [each for each in stories if each.name == "closed_door"]
    short = story.model_copy(update={"duration": 3.0, "settle": 1.0, "faults": ()})
    with Toxiproxy(server.address) as client:
        [each] = run_live([Job(short, tmp_path / "short")], client, at_a_time=1)
    assert (each.ending, each.detail) == ("completed", "")
    assert each.result is not None
    assert [i.name for i in each.result.invariants if i.verdict.value == "fail"] == []
