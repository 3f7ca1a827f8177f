"""The mode as the command line has it; imports what needs the extras only when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from harness.batch import Finished, Job

__all__ = ["CannotDriveError", "Mode", "drive_live", "parity_differences"]


class Mode(StrEnum):
    """How scenarios are run."""

    VIRTUAL = "virtual"
    LIVE = "live"


class CannotDriveError(Exception):
    """Raised when nothing can be driven live; each of `args` says one reason."""


def drive_live(
    jobs: Sequence[Job], toxiproxy: str | None, *, at_a_time: int, tell: Callable[[str], None]
) -> list[Finished]:
    """Drive the jobs in real time, and `tell` what is left out and how far it is.

    Raises:
        CannotDriveError: A library or the server is missing, or a scenario cannot be had live.
    """
    try:
        from harness.live import command  # noqa: PLC0415 - its libraries are an extra
        from harness.toxiproxy import ToxiproxyError  # noqa: PLC0415 - as above
    except ImportError as error:
        advice = "pip install 'foxtrot-resilience[live,ccxt]'"
        raise CannotDriveError(f"--mode live: {error}; get it by: {advice}") from error
    scenarios = [job.scenario for job in jobs]
    refusals = command.refusals(scenarios)
    if refusals:
        raise CannotDriveError(*refusals)
    for line in command.left_out(scenarios):
        tell(line)
    longest = max(each.duration + each.settle for each in scenarios)
    tell(f"driving {len(jobs)} in real time, {at_a_time} at once, the longest for {longest:.0f} s")
    try:
        return command.drive_all(
            jobs,
            toxiproxy,
            at_a_time=at_a_time,
            on_progress=lambda done: tell(f"{done} of {len(jobs)} done"),
        )
    except (ToxiproxyError, ValueError) as error:
        raise CannotDriveError(f"--mode live: {error}") from error


def parity_differences(finished: Sequence[Finished]) -> list[str]:
    """What came out otherwise than in virtual time, where each is run once more to compare."""
    from harness.live.command import parities  # noqa: PLC0415 - its libraries are an extra

    return [f"parity: {line}" for each in parities(finished) for line in each.differences]
