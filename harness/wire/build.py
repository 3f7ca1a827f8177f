"""Builds a venue to be served: from a scenario, or with the default market."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.kernel import RandomStreams
from harness.scenario import Occurrence, Scenario, VenueSpec
from harness.venue import (
    BINANCE,
    DEFAULT_INSTRUMENTS,
    AccountSpec,
    Instrument,
    MarketTrade,
    Profile,
    csv_tape,
    random_tape,
)
from harness.wire.config import WireAccount, WireConfig
from harness.world import PROFILES, instrument_of

__all__ = ["Plan", "account_spec", "plan"]

_FUNDS = 10_000_000.0
_DEFAULT_NAME = "BINANCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is to serve. The tape is read once."""

    name: str
    profile: Profile
    instruments: tuple[Instrument, ...]
    tape: Iterator[MarketTrade]
    streams: RandomStreams
    occurrences: tuple[Occurrence, ...]


def plan(config: WireConfig) -> Plan:
    """Read a configuration. The tape is that of the same scenario in virtual time.

    Raises:
        ValueError: The scenario has no venue of that name.
    """
    if config.scenario is None:
        return _default_plan(config)
    return _scenario_plan(config.scenario, config.venue)


def account_spec(account: WireAccount, instruments: Sequence[Instrument]) -> AccountSpec:
    """An account as the venue opens it."""
    assets = [asset for each in instruments for asset in (each.base, each.quote)]
    balances = account.balances
    return AccountSpec(
        account.name,
        account.api_key,
        dict.fromkeys(assets, _FUNDS) if balances is None else balances,
    )


def _default_plan(config: WireConfig) -> Plan:
    streams = RandomStreams(config.seed)
    name = config.venue or _DEFAULT_NAME
    return Plan(
        name=name,
        profile=BINANCE,
        instruments=DEFAULT_INSTRUMENTS,
        tape=random_tape(DEFAULT_INSTRUMENTS, _named(streams, name), interval=config.tick_interval),
        streams=streams,
        occurrences=(),
    )


def _scenario_plan(scenario: Scenario, name: str | None) -> Plan:
    names = [spec.name for spec in scenario.venues]
    if name is not None and name not in names:
        raise ValueError(f"expected a venue of the scenario, one of {names}, got venue={name!r}")
    spec = scenario.venue(name or names[0])
    instruments = tuple(instrument_of(symbol, s.price) for symbol, s in spec.symbols.items())
    streams = RandomStreams(scenario.seed)
    return Plan(
        name=spec.name,
        profile=PROFILES[spec.profile],
        instruments=instruments,
        tape=_tape(spec, instruments, streams),
        streams=streams,
        occurrences=scenario.occurrences(streams.stream("schedule")),
    )


def _tape(
    spec: VenueSpec, instruments: Sequence[Instrument], streams: RandomStreams
) -> Iterator[MarketTrade]:
    if spec.tape is not None:
        return csv_tape({instruments[0].symbol: spec.tape.csv}, instruments)
    return random_tape(
        instruments,
        _named(streams, spec.name),
        interval=spec.tick_interval,
        volatility=next(iter(spec.symbols.values())).volatility,
    )


def _named(streams: RandomStreams, venue: str) -> Callable[[str], random.Random]:
    return lambda name: streams.stream(f"{venue}.{name}")
