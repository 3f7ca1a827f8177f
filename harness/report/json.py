"""`report.json`: the result of a run for other programs.

The shape and its version are the verdict's own (`RunResult.to_dict`); here the incidents and
downtimes of the timeline are added, secrets are taken out, and odd characters written out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson

from foxtrot.util.redaction import jsonable
from harness.report.wording import visible

if TYPE_CHECKING:
    from harness.parity import Parity
    from harness.verdict import RunResult, ScenarioResult

__all__ = ["report_dict", "report_json"]


def report_json(run: RunResult, parity: Sequence[Parity] = ()) -> bytes:
    """Return `report_dict` as indented UTF-8, the same bytes for the same run."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(report_dict(run, parity), option=options)


def report_dict(run: RunResult, parity: Sequence[Parity] = ()) -> dict[str, Any]:  # Any: JSON
    """Return the run as plain JSON values. Times are virtual seconds, rates lie in 0 to 1.

    `parity` has an entry for each scenario that was driven live, and is empty otherwise.
    """
    scenarios = [_scenario(scenario) for scenario in run.scenarios]
    pairs = [pair.to_dict() for pair in parity]
    report: dict[str, Any] = _plain({**run.to_dict(), "scenarios": scenarios, "parity": pairs})
    return report


def _scenario(scenario: ScenarioResult) -> dict[str, Any]:
    return {
        **scenario.to_dict(),
        "incidents": scenario.timeline.incidents,
        "downtimes": scenario.timeline.downtimes,
    }


def _plain(value: Any) -> Any:  # Any: details hold what a metric puts there
    """`value` as JSON: records become objects, enums their values.

    Secrets in text are redacted here, whatever produced it: a report travels further than a log.
    """
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return visible(jsonable(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {visible(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return jsonable(value)
