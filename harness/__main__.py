"""The command, also as `python -m harness`."""

from __future__ import annotations

import sys

from harness.faults.plugins import PluginError

__all__ = ["main"]

_BAD_INPUT = 2


def main() -> None:
    """The console script. A package whose faults cannot be used is one message, exit code 2."""
    try:
        from harness.cli import main as command  # noqa: PLC0415 - its import is what may fail
    except PluginError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_BAD_INPUT)
    command()


if __name__ == "__main__":
    main()
