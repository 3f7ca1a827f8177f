"""A scenario that is soon over, and how its command is asked and answered."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = ROOT / "scenarios"
COMMAND = (sys.executable, "-W", "error", "-m", "harness")
REPORTS = {"report.json", "report.html", "junit.xml", "summary.md"}
METRICS = (
    "classification_coverage",
    "recovery_success_rate",
    "mttr_seconds",
    "context_completeness",
    "breaker_effectiveness",
    "retry_success_rate",
    "escalation_rate",
)

SHORT = f"""\
scenario: short
proves: A connection that is reset is back within seconds.
duration: 60s
settle: 30s
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {{price: 60000}}
workload:
  orders: 2/s
faults:
  - {{kind: disconnect, variant: reset, venue: BINANCE, at: 20s, for: 2s}}
unexercised: [{", ".join(METRICS)}]
"""


def stories():
    """The project's own scenarios; the manifest beside them is none."""
    return [path for path in SCENARIOS.glob("*.yaml") if path.name != "manifest.yaml"]


def report_in(folder):
    return orjson.loads((folder / "report.json").read_bytes())


def refused(result):
    """What was said on standard error by a command that refused its input."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    return result.stderr
