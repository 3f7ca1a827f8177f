"""The traps that other resilience libraries were measured to fall into, and what a test of one is.

The rows are those of the survey of the field: §0 is what was measured of the Python libraries in
use, §2 what was read in the threads of many more. `done` rows are promises of our own.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOT_APPLICABLE", "ROWS", "Trap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """One guard against a row's trap, and the tests that have to miss it.

    Attributes:
        row: A key of `ROWS`.
        without: What the replacement takes away.
        file: Where the guard is.
        old: Its text; occurs once in the file.
        new: What stands there once the guard is gone.
        tests: Each of these has to fail then; of a parametrized one that is named without its
            brackets, one case.
    """

    row: str
    without: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


ROWS = {
    "§0.1": "50 concurrent callers at half-open are all let through",
    "§0.2": "a cancellation or Ctrl-C counts as failure, or as success",
    "§0.3": "a success of a call begun before the trip closes the breaker",
    "§0.4": "async def under the decorator never opens it: 5 failures are 5 successes",
    "§0.5": "an async generator under the decorator is unprotected",
    "§0.6": "five parallel 0.2 s calls through one breaker take 1.0 s",
    "§0.7": "the clock of the open window is the wall clock",
    "§0.8": "an excluded class with a metaclass excludes every outage",
    "§0.9": "an excluded business error resets the count of failures",
    "§0.10": "the same rejection is raised each time, and its traceback grows",
    "§0.11": "a retry object shared by tasks runs a call again that had succeeded",
    "§0.12": "a cancelled task is retried",
    "§0.13": "the time budget is checked and the wait not clamped; a retry-after bypasses both",
    "§0.14": "jitter vanishes at the cap: all come back at once",
    "§0.15": "jitter is applied after the cap, and exceeds it",
    "§0.16": "concurrent callers of one decorated function share the backoff",
    "§0.17": "CancelledError is swallowed; a cancelled manager is poisoned; a delay above its cap",
    "§0.18": "the error does not pickle",
    "§2.1": "half-open herd: a transition without a permit is not enough",
    "§2.2": "stuck half-open: a probe that is neutral, hangs or is interrupted keeps its permit",
    "§2.3": "the over-correction: a cancelled probe closes the breaker",
    "§2.4": "overhanging calls: results from before the trip arrive after it",
    "§2.5": "transition races",
    "§2.6": "the tripping call's own error is hidden by a rejection",
    "§2.7": "cancellation and other BaseExceptions are retried",
    "§2.8": "a coroutine under a sync wrapper: its creation counts as success",
    "§2.9": "generators are retried though they fail only when consumed",
    "§2.9 arguments": "an argument that is a generator is exhausted by the first try",
    "§2.10": "shared mutable state of retries",
    "§2.11": "overflow at attempt 1024, or of a growing open time",
    "§2.12": "cap, jitter and retry-after override each other; the header is a date, past or huge",
    "§2.13": "limits of zero are taken for absent",
    "§2.14": "the wall clock decides",
    "§2.15": "one instance is raised again and again, and grows",
    "§2.16": "errors with a constructor of their own do not survive pickle, copy and JSON",
    "§2.17": "types and names are lost under the decorator",
    "§2.18": "context is lost where a call goes to another thread",
    "§2.19": "passive state: it says open after its time until somebody calls",
    "§2.20": "a listener that fails or calls back corrupts the state or masks the error",
    "§2.21": "retry storms",
    "§2.22 resend": "the retry fires after the order was acknowledged on the stream",
    "§2.22 phantom": "a phantom cancel: an order that lives is taken for cancelled",
    "§2.22 restart": "a restart creates duplicates",
    "§2.22 timeout": "an in-flight timeout says rejected, and the order is live",
    "§2.22 modify": "a modification during an outage leaves a duplicate",
    "§2.22 loop": "reconnecting several times a second",
    "§2.22 mute": "a socket that is connected and mute",
    "§2.22 nonce": "a fresh id for each retry: up to five orders",
    "done herd": "50 at half-open: half_open_max_calls get through, threads and tasks alike",
    "done one": "20 concurrent errors: one reconnect",
    "done parallel": "five parallel 0.2 s calls through one breaker take 0.2 s",
    "done frozen": "under freeze_time the default breaker moves with the frozen clock",
    "done ids": "10,000 errors made in one frozen instant have 10,000 ids",
    "done order": "a submit that times out after it was booked ends as one order, filled once",
    "done travel": "errors survive pickle, copy, deepcopy, JSON and a process pool",
    "done secrets": "no message and no to_dict() holds a secret or a signature",
}

NOT_APPLICABLE = {
    "§2.9 arguments": "what a caller's iterator has given is gone; no wrapper can take it back",
    "§2.22 modify": "adapters place, cancel and look up; nothing here modifies an order",
}
