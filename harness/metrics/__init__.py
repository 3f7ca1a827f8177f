"""The seven metrics: counted from the facts of a run, pooled by adding, judged against targets."""

from __future__ import annotations

from harness.metrics.judge import judge_metrics, metric_result
from harness.metrics.tallies import TALLIES
from harness.metrics.tally import SEED_TARGETS, MetricTally, Recovery, Target

__all__ = [
    "SEED_TARGETS",
    "TALLIES",
    "MetricTally",
    "Recovery",
    "Target",
    "judge_metrics",
    "metric_result",
]
