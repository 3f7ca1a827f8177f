"""The mode as the command line has it; imports what needs the extras only when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from harness.batch import Finished, Job
from harness.parity import Parity

__all__ = ["CannotDriveError", "Mode", "drive_live", "parities"]


class Mode(StrEnum):
    """How scenarios are run."""

    VIRTUAL = "virtual"
    LIVE = "live"


class CannotDriveError(Exception):
    """Raised when nothing can be driven live; each of `args` says one reason."""


def drive_live(
    jobs: Sequence[Job],
    toxiproxy: str | None,
    *,
    at_a_time: int,
    tell: Callable[[str], None],
    control: bool = False,
) -> list[Finished]:
    """Drive the jobs in real time, and `tell` what is left out and how far it is.

    With `control` a bare ccxt client has its turn at each as well.

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
            control=control,
            tell=tell,
        )
    except (ToxiproxyError, ValueError) as error:
        raise CannotDriveError(f"--mode live: {error}") from error


def parities(finished: Sequence[Finished]) -> tuple[Parity, ...]:
    """Each that was driven beside the same in virtual time, where it is run for that."""
    from harness.live import command  # noqa: PLC0415 - its libraries are an extra

    return tuple(command.parities(finished))
