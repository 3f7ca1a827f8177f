"""What a scenario may override of the core's policy, and that it does."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from foxtrot.server.policy import POLICIES, BreakerPolicy, EnginePolicy
from harness.policy_options import policy_options, with_overrides

DEFAULT = POLICIES["default"]


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def test_every_option_is_a_setting_with_the_default_policy_s_value():
    for name, option in policy_options().items():
        owner = DEFAULT.breaker if hasattr(DEFAULT.breaker, name) else DEFAULT
        assert option.default == getattr(owner, name), name
        assert is_number(option.default), name


def test_a_count_is_read_as_a_whole_number_and_a_time_as_a_duration():
    options = policy_options()
    assert {name for name, option in options.items() if option.type == "int"} == {
        "max_retries",
        "reconnect_attempts",
        "unknown_misses",
        "failure_threshold",
        "success_threshold",
    }
    assert options["call_timeout"].parse("1.5s") == 1.5
    assert options["max_retries"].parse(3) == 3


def test_no_name_is_both_the_engine_s_and_the_breaker_s():
    """Else an override would silently reach only one of them."""
    own = {each.name for each in fields(EnginePolicy)}
    assert own & {each.name for each in fields(BreakerPolicy)} == set()


def test_without_overrides_the_policy_is_as_it_was():
    assert with_overrides(DEFAULT, {}) == DEFAULT


@pytest.mark.parametrize("name", sorted(policy_options()))
def test_an_override_changes_its_setting_and_no_other(name):
    changed = with_overrides(DEFAULT, {name: 17})
    if name in {each.name for each in fields(BreakerPolicy)}:
        assert changed == replace(DEFAULT, breaker=replace(DEFAULT.breaker, **{name: 17}))
    else:
        assert changed == replace(DEFAULT, **{name: 17})


def test_overrides_of_both_go_to_where_they_belong():
    changed = with_overrides(POLICIES["none"], {"max_retries": 2, "open_seconds": 9.0})
    breaker = replace(POLICIES["none"].breaker, open_seconds=9.0)
    assert changed == replace(POLICIES["none"], max_retries=2, breaker=breaker)
