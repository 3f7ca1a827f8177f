"""Which faults are on, from what both nemeses say."""

from __future__ import annotations

from harness.live.board import Board


def test_a_fault_is_on_from_its_beginning_to_its_end() -> None:
    """Two at once are on until both have ended, and the last end is when it cleared."""
    clock = [0.0]
    board, seen = Board("A", lambda: clock[0]), []
    for t, kind, fault_id in (
        (1.0, "fault.begin", "F1"),
        (2.0, "fault.begin", "F2"),
        (3.0, "fault.end", "F1"),
        (4.0, "fault.fired", "F2"),
        (5.0, "fault.end", "F2"),
    ):
        clock[0] = t
        board.saw(kind, fault_id)
        seen.append((t, board.is_active("A"), board.cleared_at.get("A")))
    assert seen == [
        (1.0, True, None),
        (2.0, True, None),
        (3.0, True, 3.0),
        (4.0, True, 3.0),
        (5.0, False, 5.0),
    ]
    assert not board.is_active("B")
