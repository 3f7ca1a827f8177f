"""The log: written line by line, closed by a digest, read back with every defect named."""

from __future__ import annotations

import orjson
import pytest

from harness.history import (
    Difference,
    Event,
    History,
    HistoryError,
    first_difference,
    partial_path,
    read_history,
)


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def write(path, *events):
    """Write (t, kind, id) events as a finished history; return its digest."""
    now = Now()
    with History(path, now) as history:
        for now.seconds, kind, about in events:
            history.record(kind, about)
    return history.digest


STORY = ((0, "run.start", "s"), (1.5, "fault.begin", "F1"), (9, "run.end", ""))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


class TestWriting:
    def test_a_finished_history_is_lines_of_json_and_a_digest(self, path):
        now = Now()
        with History(path, now) as history:
            first = history.record("run.start", "outage", seed=7)
            now.seconds = 2.00000049
            second = history.record(
                "link.done", id="r1", outcome="ok", status=200, tags=("a", None)
            )
        assert (first, second, history.events) == (1, 2, 2)
        assert path.read_text() == (
            '{"seq":1,"t":0.0,"source":"run","kind":"run.start","id":"outage","outcome":"",'
            '"details":{"seed":7}}\n'
            '{"seq":2,"t":2.0,"source":"link","kind":"link.done","id":"r1","outcome":"ok",'
            '"details":{"status":200,"tags":["a",null]}}\n'
            f'{{"digest":"{history.digest}","events":2}}\n'
        )
        assert not partial_path(path).exists()

    def test_details_may_be_called_kind_or_outcome_goes_to_the_event(self, path):
        with History(path, Now()) as history:
            history.record("engine.error", "E1", kind="any", outcome="unknown")
        (event,) = read_history(path)
        assert (event.kind, event.outcome, event.details) == (
            "engine.error",
            "unknown",
            {"kind": "any"},
        )

    def test_times_are_rounded_to_the_microsecond(self, path):
        now = Now()
        with History(path, now) as history:
            for now.seconds in (0.1234564, 0.1234566, 86_400.0000001):
                history.record("a.b")
        assert [event.t for event in read_history(path)] == [0.123456, 0.123457, 86_400.0]

    def test_the_same_events_give_the_same_digest_with_and_without_a_file(self, path, tmp_path):
        digest = write(path, *STORY)
        assert len(digest) == 32
        assert write(None, *STORY) == digest
        assert write(tmp_path / "other", *STORY) == digest
        assert write(None, *STORY[:2]) != digest

    def test_the_digest_can_be_asked_for_during_the_run(self, path):
        with History(path, Now()) as history:
            digests = [history.digest]
            history.record("a.b")
            digests.append(history.digest)
        assert digests == [write(None), history.digest]

    def test_a_detail_is_read_at_once(self, path):
        levels = [1]
        with History(path, Now()) as history:
            history.record("a.b", levels=levels)
            levels.append(2)
        assert [event.details for event in read_history(path)] == [{"levels": [1]}]

    @pytest.mark.parametrize("detail", [{1, 2}, object(), 1 << 70, {1: "key"}, "\ud800"])
    def test_a_detail_that_is_not_json_is_refused_and_leaves_no_trace(self, path, detail):
        with History(path, Now()) as history:
            history.record("a.b")
            with pytest.raises(TypeError, match=r"expected JSON in the details of 'a\.c': "):
                history.record("a.c", detail=detail)
            history.record("a.d")
        assert [(event.seq, event.kind) for event in read_history(path)] == [(1, "a.b"), (2, "a.d")]

    def test_a_kind_without_a_dot_is_refused(self):
        with pytest.raises(HistoryError, match=r"expected a dotted kind .* got kind='begin'"):
            History(None, Now()).record("begin")

    def test_a_closed_history_takes_nothing_more(self, path):
        history = History(path, Now())
        history.close()
        history.close()
        history.abandon()
        with pytest.raises(HistoryError, match=r"it is closed; cannot record 'a\.b'"):
            history.record("a.b")
        assert list(read_history(path)) == []

    def test_lines_reach_the_file_during_the_run_and_memory_stays_flat(self, path):
        """A day of events must not wait in memory for the end of the day."""
        most = 0
        with History(path, Now()) as history:
            for _ in range(5_000):
                history.record("a.b", text="x" * 100)
                most = max(most, len(history._buffer))
            on_disk = partial_path(path).stat().st_size
        assert most < 70_000
        assert on_disk > 900_000

    def test_the_target_keeps_its_old_content_until_the_run_is_closed(self, path):
        write(path, *STORY)
        before = path.read_bytes()
        history = History(path, Now())
        history.record("a.b")
        history.flush()
        assert path.read_bytes() == before
        history.close()
        assert [event.kind for event in read_history(path)] == ["a.b"]

    def test_an_interrupted_run_leaves_a_readable_partial_file(self, path):
        def interrupted():
            with History(path, Now()) as history:
                history.record("run.start")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert not path.exists()
        assert [event.kind for event in read_history(partial_path(path), complete=False)] == [
            "run.start"
        ]
        with pytest.raises(HistoryError, match=f"an interrupted run left {partial_path(path)}"):
            list(read_history(path))


class TestReading:
    def test_what_was_written_is_read(self, path):
        write(path, *STORY)
        assert list(read_history(path)) == [
            Event(1, 0, "run", "run.start", "s", "", {}),
            Event(2, 1.5, "fault", "fault.begin", "F1", "", {}),
            Event(3, 9, "run", "run.end", "", "", {}),
        ]

    def test_a_missing_file_is_named(self, path):
        with pytest.raises(HistoryError, match=r"history\.jsonl: expected a history, there is no"):
            list(read_history(path))

    def test_a_history_without_its_digest_is_refused_unless_partial_is_accepted(self, path):
        write(path, *STORY)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
        assert len(list(read_history(path, complete=False))) == 3
        with pytest.raises(HistoryError, match=r"jsonl:4: expected the digest line, the file ends"):
            list(read_history(path))

    def test_a_last_line_that_is_cut_short_is_refused_or_left_out(self, path):
        write(path, *STORY)
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.index(b'"F1"')])
        assert [event.seq for event in read_history(path, complete=False)] == [1]
        with pytest.raises(HistoryError, match=r"jsonl:2: expected a whole line, it is cut short"):
            list(read_history(path))

    def test_a_partial_reading_still_checks_a_digest_that_is_there(self, path):
        write(path, *STORY)
        path.write_bytes(path.read_bytes().replace(b'"F1"', b'"F2"'))
        with pytest.raises(HistoryError, match="expected what the lines give"):
            list(read_history(path, complete=False))

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'"F1"', b'"F2"', r":4: expected what the lines give, .*'events': 3"),
            (b'"events":3', b'"events":4', r":4: expected what the lines give, .*'events': 4"),
            (b'{"seq":2', b"seq=2", r":2: expected JSON: "),
            (b'{"seq":2', b'[1]\n{"seq":2', r":2: expected a JSON object, got \[1\]"),
            (b'"seq":2', b'"seq":3', r":2: expected seq=2, got seq=3"),
            (b'"id":"F1",', b"", r":2: expected the fields seq, t, .* got seq, t, "),
            (
                b'{"seq":2,"t":',
                b'{"seq":2,"T":',
                r":2: expected the fields seq, t, .* got seq, T, ",
            ),
            (
                b'"id":"F1","outcome":""',
                b'"outcome":"","id":"F1"',
                r":2: expected the fields seq, t, .* got seq, .*outcome, id, ",
            ),
            (b'"events":3}\n', b'"events":3}\n{}\n', r":5: expected nothing after the digest"),
        ],
    )
    def test_a_changed_history_is_refused_with_its_line(self, path, old, new, message):
        write(path, *STORY)
        changed = path.read_bytes().replace(old, new)
        assert changed != path.read_bytes()
        path.write_bytes(changed)
        with pytest.raises(HistoryError, match="history.jsonl" + message):
            list(read_history(path))

    def test_an_event_is_read_before_the_rest_of_the_file(self, path):
        """Reading is lazy: a day of events is not in memory at once."""
        write(path, *STORY)
        path.write_bytes(path.read_bytes().replace(b'{"seq":3', b"broken"))
        events = read_history(path)
        assert [next(events).seq, next(events).seq] == [1, 2]
        with pytest.raises(HistoryError, match=":3: expected JSON"):
            next(events)


class TestFirstDifference:
    @pytest.fixture
    def paths(self, tmp_path):
        return tmp_path / "a", tmp_path / "b"

    def test_equal_histories_have_none(self, paths):
        for each in paths:
            write(each, *STORY)
        assert first_difference(*paths) is None

    def test_the_first_line_that_differs_is_given_with_both_events(self, paths):
        write(paths[0], *STORY)
        write(paths[1], STORY[0], (1.5, "fault.begin", "F2"), STORY[2])
        assert first_difference(*paths) == Difference(
            2,
            Event(2, 1.5, "fault", "fault.begin", "F1", "", {}),
            Event(2, 1.5, "fault", "fault.begin", "F2", "", {}),
        )

    def test_a_shorter_history_has_no_event_there(self, paths):
        write(paths[0], *STORY)
        write(paths[1], *STORY[:2])
        event = Event(3, 9, "run", "run.end", "", "", {})
        assert first_difference(*paths) == Difference(3, event, None)
        assert first_difference(*reversed(paths)) == Difference(3, None, event)

    def test_a_partial_file_that_ends_early_differs_where_it_ends(self, paths):
        write(paths[0], *STORY)
        lines = paths[0].read_bytes().splitlines(keepends=True)
        paths[1].write_bytes(b"".join(lines[:3]))
        assert first_difference(*paths) == Difference(4, None, None)

    def test_a_malformed_line_is_named(self, paths):
        write(paths[0], *STORY)
        paths[1].write_bytes(b"nonsense\n")
        with pytest.raises(HistoryError, match="b:1: expected JSON"):
            first_difference(*paths)


def test_lines_are_what_any_json_reader_expects(path):
    write(path, *STORY)
    assert [orjson.loads(line)["seq"] for line in path.read_bytes().splitlines()[:-1]] == [1, 2, 3]
