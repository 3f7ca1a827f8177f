"""Refused credentials: held back here, tried seldom, and let go as soon as they are accepted."""

from __future__ import annotations

import datetime as dt

import pytest

from foxtrot.server.lockout import Lockout
from foxtrot.server.policy import Lane
from foxtrot.util.classification import classify_code
from foxtrot.util.errors import AuthenticationError, ErrorCategory, FoxtrotError, Outcome
from harness.venue import Reject, Revoke


class Clock:
    at = 0.0

    def now(self):
        return self.at

    def wall(self):
        return dt.datetime.fromtimestamp(self.at, dt.UTC)


def refusal(source="binance", code=-2015, words="Invalid API-key, IP, or permissions for action."):
    return classify_code(source, code, words, adapter="A", operation="order.place")


@pytest.fixture
def lockout():
    clock = Clock()
    return Lockout("A", clock), clock


def held(lockout):
    lanes = []
    for lane in Lane:
        try:
            lockout.check(lane)
        except AuthenticationError:
            lanes.append(lane.value)
    return lanes


def test_orders_and_questions_are_held_and_cancels_may_be_tried(lockout):
    lockout, _ = lockout
    assert held(lockout) == []
    lockout.take(refusal())
    assert held(lockout) == ["orders", "queries"]


def test_what_is_held_is_told_why_for_how_long_and_what_to_do(lockout):
    lockout, clock = lockout
    lockout.take(refusal())
    clock.at = 2.0
    with pytest.raises(AuthenticationError, match="-2015") as caught:
        lockout.check(Lane.ORDERS)
    error = caught.value
    assert (error.outcome, error.recoverable, error.retry_after) == (Outcome.NOT_SENT, False, 3.0)
    assert error.suggested_action.startswith("Check the API key")


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("binance", -2015, "Invalid API-key, IP, or permissions for action."),
        ("binance", -2008, "Invalid Api-Key ID."),
        ("binance", -1022, "Signature for this request is not valid."),
        ("http", 401, ""),
        ("futu", -1, "the password is wrong"),
    ],
)
def test_refusal_of_who_we_are_locks_out(lockout, source, code, words):
    lockout, _ = lockout
    lockout.take(refusal(source, code, words))
    assert lockout.is_on


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("binance", -2010, "This symbol is not permitted for this account."),
        ("binance", -1021, "Timestamp for this request is outside of the recvWindow."),
        ("binance", -2035, ""),
        ("ib", 203, "The security is not available or allowed for this account"),
        ("binance", -2010, "Account has insufficient balance for requested action."),
        ("http", 429, "too many requests with this api-key"),
    ],
)
def test_refusal_of_something_else_locks_nobody_out(lockout, source, code, words):
    lockout, _ = lockout
    lockout.take(refusal(source, code, words))
    assert not lockout.is_on


def test_login_that_can_be_renewed_locks_nobody_out(lockout):
    """We do that ourselves, and at once."""
    lockout, _ = lockout
    lockout.take(AuthenticationError("A", "the token has run out", recoverable=True))
    assert not lockout.is_on


def test_probes_grow_seldom_and_stay_so_until_an_order_was_taken(lockout):
    """A key may read and not trade: each probe would let out one more order to be refused."""
    lockout, clock = lockout
    pauses = []
    for _ in range(5):
        lockout.take(refusal())
        began = clock.at
        while not lockout.is_probe_due:
            clock.at += 0.5
        pauses.append(clock.at - began)
        assert lockout.served("orders.open")
        assert not lockout.is_on
    assert pauses == [5.0, 10.0, 20.0, 30.0, 30.0]
    lockout.served("order.place")
    lockout.take(refusal())
    clock.at += 5.0
    assert lockout.is_probe_due


def test_refusals_of_what_was_on_the_wire_put_the_probe_off_no_further(lockout):
    lockout, clock = lockout
    for _ in range(10):
        lockout.take(refusal())
    clock.at = 5.0
    assert lockout.is_probe_due


@pytest.mark.parametrize("operation", ["time", "stream.subscribe", "connect"])
def test_answer_that_anybody_gets_proves_nothing(lockout, operation):
    lockout, _ = lockout
    lockout.take(refusal())
    assert not lockout.served(operation)
    assert lockout.is_on


def test_where_nobody_would_try_again_nothing_is_held():
    lockout = Lockout("A", Clock(), is_enabled=False)
    lockout.take(refusal())
    assert not lockout.is_on


# In the engine.


async def refused(bench, reference):
    with pytest.raises(AuthenticationError) as caught:
        await bench.engine.send_order(bench.order(reference), "ALPHA")
    return caught.value


def authentications(bench):
    return [a for a in bench.alerts if a.error.category is ErrorCategory.AUTHENTICATION]


def test_refused_key_is_sent_one_order_and_then_seldom_a_question(play):
    async def body(bench):
        bench.venue.impose("revoked", Revoke())
        for number in range(120):
            error = await refused(bench, f"o{number}")
            assert error.outcome is (Outcome.NOT_SENT if number else Outcome.REJECTED)
            await bench.clock.sleep(0.5)
        with pytest.raises(FoxtrotError):
            await bench.engine.query_account("ALPHA")
        assert bench.engine.is_ready("ALPHA")  # prices go on
        bench.venue.lift("revoked")

    bench = play(body)
    assert len(bench.sent("order.place")) == 1
    assert bench.sent("account") == []
    asked = [t for t, _ in bench.sent("orders.open") if 2.0 < t < 61.0]
    assert 3 <= len(asked) <= 6
    assert len(authentications(bench)) == 1


def test_orders_go_out_again_once_a_question_shows_that_the_key_was_mended(play):
    async def body(bench):
        bench.venue.impose("revoked", Revoke())
        await refused(bench, "o1")
        bench.venue.lift("revoked")
        await bench.clock.sleep(0.5)
        assert (await refused(bench, "o2")).outcome is Outcome.NOT_SENT
        await bench.clock.sleep(10.0)
        assert await bench.engine.send_order(bench.order("o3"), "ALPHA") == "ALPHA.o3"

    play(body)


def test_operator_who_mended_the_key_need_not_wait(play):
    async def body(bench):
        bench.venue.impose("revoked", Revoke())
        await refused(bench, "o1")
        await bench.clock.sleep(1.0)
        bench.venue.lift("revoked")
        bench.engine.credentials_mended("ALPHA")
        assert await bench.engine.send_order(bench.order("o2"), "ALPHA") == "ALPHA.o2"
        bench.venue.impose("again", Revoke())
        await refused(bench, "o3")
        await bench.clock.sleep(1.0)

    assert len(authentications(play(body))) == 2


def test_cancel_is_tried_and_one_that_is_served_lets_orders_out(play):
    async def body(bench):
        await bench.engine.send_order(bench.order("open"), "ALPHA")
        bench.venue.impose(
            "orders",
            Reject(
                code=-2015,
                message="Invalid API-key, IP, or permissions for action.",
                status=401,
                count=1,
                matches=lambda request: request.operation.value == "order.place",
            ),
        )
        await refused(bench, "o1")
        await bench.engine.cancel_order(bench.by_id("open"), "ALPHA")
        assert await bench.engine.send_order(bench.order("o2"), "ALPHA") == "ALPHA.o2"

    play(body)


def test_key_that_is_revoked_again_after_it_was_mended_calls_a_person_again(play):
    """Well within the time in which one revocation is told once."""

    async def body(bench):
        for round_ in range(3):
            bench.venue.impose("revoked", Revoke())
            for number in range(4):
                await refused(bench, f"o{round_}-{number}")
                await bench.clock.sleep(5.0)
            bench.venue.lift("revoked")
            await bench.clock.sleep(40.0)

    assert len(authentications(play(body))) == 3


def test_policy_that_recovers_from_nothing_holds_nothing(play):
    async def body(bench):
        bench.venue.impose("revoked", Revoke())
        for number in range(3):
            assert (await refused(bench, f"o{number}")).outcome is Outcome.REJECTED
        bench.venue.lift("revoked")

    play(body, recovery=False)
