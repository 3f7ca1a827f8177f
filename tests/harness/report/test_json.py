from __future__ import annotations

import json
import math
from dataclasses import replace

from harness.report.json import report_dict, report_json
from harness.results import Verdict
from harness.verdict import SCHEMA_VERSION

TARGETS = {
    "classification_coverage",
    "recovery_success_rate",
    "mttr_seconds",
    "context_completeness",
    "breaker_effectiveness",
    "retry_success_rate",
    "escalation_rate",
}


def test_the_shape_that_other_programs_read_is_all_there(failing):
    report = json.loads(report_json(failing))
    assert report["schema_version"] == SCHEMA_VERSION
    assert report["verdict"] == "fail"
    assert report["command"] == "foxtrot-chaos run scenarios/ --seed 7"
    assert set(report["metrics"]) == TARGETS
    for metric in report["metrics"].values():
        assert {"value", "n", "target", "interval", "verdict"} <= set(metric)
    scenario = report["scenarios"][1]
    assert {"name", "seed", "digest", "verdict", "metrics"} <= set(scenario)
    assert set(scenario["metrics"]) == TARGETS
    assert scenario["invariants"][0] == {
        "name": "no_intent_executes_twice",
        "verdict": "fail",
        "evidence": ["order c-1 executed twice: seq 10 at 1.5 s and seq 12 at 3.0 s"],
        "judged": 40,
        "exercised": True,
    }
    assert scenario["faults"][1] == {
        "id": "F2",
        "kind": "rate_limit",
        "category": "rate_limit",
        "armed": True,
        "fired": 0,
        "effect_seen": False,
        "healed": True,
    }
    assert scenario["incidents"] == [
        {
            "fault_id": "F1",
            "adapter": "BINANCE",
            "begin": 10.0,
            "restored": None,
            "cleared": 20.0,
            "detected": 11.0,
            "escalated": 40.0,
        }
    ]


def test_a_metric_that_nothing_exercised_has_null_and_not_zero(passing):
    metric = report_dict(passing)["scenarios"][0]["metrics"]["retry_success_rate"]
    assert (metric["value"], metric["n"], metric["interval"]) == (None, 0, None)
    assert metric["verdict"] == Verdict.INCONCLUSIVE


def test_whatever_a_text_holds_the_file_is_json_in_utf_8(hostile):
    report = json.loads(report_json(hostile).decode())
    assert "\\x00\\x1b[31m\\u202e\\ud800" in report["scenarios"][0]["name"]


def test_a_secret_in_evidence_does_not_travel(passing):
    run = replace(passing, reasons=("GET /order?signature=abc123",), command="run --token=xyz")
    assert b"abc123" not in report_json(run)
    assert b"xyz" not in report_json(run)


def test_a_number_that_json_has_not_becomes_text_and_the_file_stays_readable(passing):
    metric = replace(passing.metrics[0], details={"worst": math.inf})
    report = json.loads(report_json(replace(passing, metrics=(metric,))))
    assert report["metrics"]["classification_coverage"]["details"] == {"worst": "inf"}
