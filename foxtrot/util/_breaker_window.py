"""The calls of the last while, counted in ten buckets, so that memory does not follow the load."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["BUCKETS", "Window"]

BUCKETS = 10


@dataclass(slots=True)
class _Bucket:
    index: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class Window:
    """Counts over the last `seconds`, to a tenth of them.

    The bucket of the present is filling, the other nine are whole: what is counted is between
    nine tenths and all of the window old at most.
    """

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self._total = _Bucket(0)

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that ended at `now`, and forget what is too old."""
        for bucket in (self._bucket_of(int(now // self._width)), self._total):
            bucket.calls += 1
            bucket.failures += failed
            bucket.slow += slow

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._total = _Bucket(0)

    @property
    def calls(self) -> int:
        """How many calls, up to the last one added."""
        return self._total.calls

    @property
    def failure_rate(self) -> float:
        """The share of them that failed."""
        return self._total.failures / max(1, self._total.calls)

    @property
    def slow_rate(self) -> float:
        """The share of them that were slow."""
        return self._total.slow / max(1, self._total.calls)

    def _bucket_of(self, index: int) -> _Bucket:
        # A thread that read the clock first may come second: what it brings belongs to the newest
        # bucket, since the order of the buckets must hold.
        if not self._buckets or index > self._buckets[-1].index:
            self._buckets.append(_Bucket(index))
        while self._buckets[0].index <= self._buckets[-1].index - BUCKETS:
            self._forget(self._buckets.popleft())
        return self._buckets[-1]

    def _forget(self, bucket: _Bucket) -> None:
        self._total.calls -= bucket.calls
        self._total.failures -= bucket.failures
        self._total.slow -= bucket.slow
