"""What tests of several rooms of the core need."""

from __future__ import annotations

import pytest


class Odd(ConnectionError):
    """Cannot describe itself, as an error of a client library that has no reply to tell of."""

    def __str__(self) -> str:
        raise AttributeError("no reply came")


@pytest.fixture
def odd() -> type[Exception]:
    """An exception whose `__str__` raises."""
    return Odd
