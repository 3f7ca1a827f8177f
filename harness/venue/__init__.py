"""The simulated exchange: a pure state machine that is handed the time."""

from harness.venue.conditions import (
    Ban,
    Conditions,
    Delivery,
    FillFirst,
    Frames,
    Halt,
    Knob,
    Maintenance,
    Mute,
    OrderLimit,
    Reject,
    Replies,
    Revoke,
    Skew,
    ThinBook,
    Throttle,
    WeightLimit,
)
from harness.venue.instruments import DEFAULT_INSTRUMENTS, Instrument
from harness.venue.ledger import AccountSpec, Ledger
from harness.venue.profile import Profile
from harness.venue.profiles import BINANCE, FUTU, IB
from harness.venue.tape import MarketTrade, TapeError, csv_tape, random_tape
from harness.venue.venue import Venue

__all__ = [
    "BINANCE",
    "DEFAULT_INSTRUMENTS",
    "FUTU",
    "IB",
    "AccountSpec",
    "Ban",
    "Conditions",
    "Delivery",
    "FillFirst",
    "Frames",
    "Halt",
    "Instrument",
    "Knob",
    "Ledger",
    "Maintenance",
    "MarketTrade",
    "Mute",
    "OrderLimit",
    "Profile",
    "Reject",
    "Replies",
    "Revoke",
    "Skew",
    "TapeError",
    "ThinBook",
    "Throttle",
    "Venue",
    "WeightLimit",
    "csv_tape",
    "random_tape",
]
