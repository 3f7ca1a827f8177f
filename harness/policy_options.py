"""The settings of the core's policy that a scenario may override, read off the policy itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from foxtrot.server.policy import POLICIES, BreakerPolicy, EnginePolicy
from harness.faults.schema import ParameterSpec, ParameterValue

__all__ = ["policy_options", "with_overrides"]

_SECONDS = (
    "retry_base_delay",
    "retry_max_delay",
    "call_timeout",
    "heartbeat_interval",
    "heartbeat_timeout",
    "stale_after",
    "unknown_deadline",
    "resend_within",
    "rate_limit_wait",
    "alert_cooldown",
    "reconcile_interval",
)
_COUNTS = ("max_retries", "reconnect_attempts", "unknown_misses")
_BREAKER_SECONDS = ("open_seconds", "max_open_seconds")
_BREAKER_COUNTS = ("failure_threshold", "success_threshold")


def policy_options() -> Mapping[str, ParameterSpec]:
    """Every setting by name, with the default policy's value as its default."""
    policy = POLICIES["default"]
    return {
        **_specs(policy, _SECONDS, _COUNTS),
        **_specs(policy.breaker, _BREAKER_SECONDS, _BREAKER_COUNTS),
    }


def with_overrides(policy: EnginePolicy, overrides: Mapping[str, ParameterValue]) -> EnginePolicy:
    """The policy with some settings of its own or of its breakers' changed."""
    own: dict[str, Any] = dict(overrides)  # Any: each setting has its own type
    names = {each.name for each in fields(BreakerPolicy)}
    breaker = {name: own.pop(name) for name in tuple(own) if name in names}
    return replace(policy, breaker=replace(policy.breaker, **breaker), **own)


def _specs(
    owner: object, seconds: tuple[str, ...], counts: tuple[str, ...]
) -> dict[str, ParameterSpec]:
    kinds = [*((name, "duration") for name in seconds), *((name, "int") for name in counts)]
    return {
        name: ParameterSpec(
            type="duration" if kind == "duration" else "int",
            default=getattr(owner, name),
            doc=f"Instead of the policy's {name}.",
        )
        for name, kind in kinds
    }
