"""The venues that come with the harness, as data."""

from harness.venue.profiles.binance import BINANCE
from harness.venue.profiles.futu import FUTU
from harness.venue.profiles.ib import IB

__all__ = ["BINANCE", "FUTU", "IB"]
