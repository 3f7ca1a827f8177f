"""Loaded by the pytest that runs in a copy of the tree: how each test ended, and in which tree.

It runs outside of the tests that start it, and so says what it saw in a file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["REPORT", "pytest_configure"]

#: The environment variable that names the file.
REPORT = "FOXTROT_WITNESS"


@dataclass(slots=True, eq=False)  # pytest keeps its plugins in sets
class Witness:
    """What was seen: the tests that passed, the phase and error of those that did not."""

    passed: list[str] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    foxtrot: list[str] = field(default_factory=list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:  # Any: pytest's reports
        report = yield
        if report.failed:
            name = call.excinfo.typename if call.excinfo else ""
            self.failed.append((item.nodeid, report.when, name))
        elif report.when == "call":
            self.passed.append(item.nodeid)
        return report

    def pytest_sessionfinish(self) -> None:
        files = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "foxtrot"]
        self.foxtrot = sorted(str(file) for file in files)
        Path(os.environ[REPORT]).write_text(json.dumps(asdict(self)))


def pytest_configure(config: pytest.Config) -> None:
    """Be there when the tests run."""
    config.pluginmanager.register(Witness())
