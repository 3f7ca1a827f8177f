from __future__ import annotations

from dataclasses import replace

from harness.venue.limits import Denial, OrderRateLimiter, RequestLimiter
from harness.venue.profile import OrderRateRule
from harness.venue.profiles import BINANCE

PROFILE = replace(BINANCE, weight_limit=2, knocks_before_ban=3)
EPOCH = 1_700_000_000.0  # 20 s into a minute
TURN = 40.0  # when the next minute begins


def limiter() -> RequestLimiter:
    return RequestLimiter(PROFILE, EPOCH)


def spent() -> RequestLimiter:
    """A source that was told to wait until the turn of the minute, at 0."""
    result = limiter()
    assert [result.admit("ip", 1, 0.0, limit=2) for _ in range(3)] == [
        None,
        None,
        Denial(banned=False, until=TURN, as_date=False, cause=""),
    ]
    return result


def test_weight_is_free_again_with_the_calendar_minute() -> None:
    """Even for who comes back at the very moment that was named, give or take a nanosecond."""
    assert spent().admit("ip", 1, TURN, limit=2) is None
    assert spent().admit("ip", 1, TURN - 1e-9, limit=2) is None


def test_one_source_is_not_charged_for_another() -> None:
    assert spent().admit("other", 1, 1.0, limit=2) is None


def test_knocking_during_the_wait_ends_in_a_ban_of_two_minutes() -> None:
    result = spent()
    replies = [result.admit("ip", 1, now, limit=2) for now in (2.0, 3.0, 4.0)]
    waiting = Denial(banned=False, until=TURN, as_date=False, cause="")
    assert replies == [waiting, waiting, Denial(True, 124.0, False, "")]
    assert result.ban("ip", 123.9) == Denial(True, 124.0, False, "")
    assert result.ban("ip", 124.0) is None
    assert result.admit("ip", 1, 124.0, limit=2) is None


def test_requests_already_on_the_wire_are_no_knocks() -> None:
    """What arrives within the grace left before its sender could know."""
    result = spent()
    replies = [result.admit("ip", 1, 0.5, limit=2) for _ in range(20)]
    assert {reply.banned for reply in replies if reply} == {False}


def test_bans_grow_fourfold_up_to_three_days() -> None:
    """Who keeps knocking through bans measurably loses."""
    result, now, bans = spent(), 0.0, []
    for _ in range(8):
        for _ in range(PROFILE.knocks_before_ban):
            now += 2.0
            denial = result.admit("ip", 1, now, limit=2)
        assert denial is not None
        assert denial.banned
        bans.append(denial.until - now)
        now = denial.until - 10.0
    assert bans == [120, 480, 1_920, 7_680, 30_720, 122_880, 259_200, 259_200]


def test_ban_never_shortens_the_wait_that_was_told() -> None:
    result = limiter()
    result.impose("ip", 0.0, 1_000.0, banned=False, cause="F1")
    denials = [result.admit("ip", 1, now, limit=2) for now in (2.0, 3.0, 4.0)]
    assert denials[-1] == Denial(True, 1_000.0, False, "")


def test_imposed_wait_is_told_once_and_then_enforced() -> None:
    result = limiter()
    for now in (0.0, 5.0):
        result.impose("ip", now, now + 30.0, banned=False, cause="F1")
        denial = result.admit("ip", 1, now, limit=2)
        assert denial == Denial(banned=False, until=30.0, as_date=False, cause="F1")


def test_ban_overrules_a_wait_and_a_wait_no_ban() -> None:
    result = limiter()
    result.impose("ip", 0.0, 30.0, banned=False, cause="F1")
    result.impose("ip", 1.0, 60.0, banned=True, cause="F2")
    result.impose("ip", 2.0, 90.0, banned=False, cause="F3")
    assert result.admit("ip", 1, 2.0, limit=2) == Denial(True, 60.0, False, "F2")


def test_lifting_ends_the_waits_of_that_cause_only() -> None:
    result = limiter()
    result.impose("one", 0.0, 30.0, banned=True, cause="F1")
    result.impose("two", 0.0, 30.0, banned=True, cause="F2")
    result.lift("F1")
    assert result.ban("one", 1.0) is None
    assert result.admit("one", 1, 1.0, limit=2) is None
    assert result.ban("two", 1.0) is not None


def test_ban_that_was_earned_outlives_the_fault_that_began_it() -> None:
    result = limiter()
    result.impose("ip", 0.0, 30.0, banned=False, cause="F1")
    for now in (2.0, 3.0, 4.0):
        result.admit("ip", 1, now, limit=2)
    result.lift("F1")
    assert result.ban("ip", 5.0) == Denial(True, 124.0, False, "")


def test_shrunken_limit_is_blamed_only_for_what_the_real_one_would_allow() -> None:
    result = limiter()
    assert result.admit("a", 2, 0.0, limit=1, cause="F1") == Denial(False, TURN, False, "F1")
    assert result.admit("b", 3, 0.0, limit=1, cause="F1") == Denial(False, TURN, False, "")


def test_order_rates_bind_each_window_and_each_account_apart() -> None:
    rules = (OrderRateRule(2, 10, "10 SECOND", "H10"), OrderRateRule(3, 86_400, "1 DAY", "H1D"))
    rates = OrderRateLimiter(rules, EPOCH)
    for _ in range(2):
        assert rates.exceeded("a", 0.0) is None
        rates.count("a", 0.0)
    assert rates.exceeded("a", 1.0) == (rules[0], 2, 9.0)
    assert rates.exceeded("b", 1.0) is None
    assert rates.exceeded("a", 10.0) is None
    rates.count("a", 10.0)
    assert rates.headers("a", 10.0) == {"H10": "1", "H1D": "3"}
    assert rates.exceeded("a", 10.0) == (rules[1], 3, 86_400 - (EPOCH + 10.0) % 86_400)
    assert rates.exceeded("b", 10.0, tightest=0) == (rules[0], 0, 10.0)
