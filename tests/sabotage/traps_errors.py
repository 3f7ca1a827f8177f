"""Traps of errors: that they travel, are told apart, keep secrets, and say how long to wait."""

from __future__ import annotations

from .traps import Trap

__all__ = ["TRAPS"]

ERRORS = "foxtrot/util/errors.py"
EVIDENCE = "foxtrot/util/classification/_evidence.py"

TESTS = "tests/foxtrot/util/test_errors.py"
CLASSIFIED = "tests/foxtrot/util/classification/test_classifier.py"
HERE = "tests/foxtrot/test_peer_traps.py"

TRAPS = (
    Trap(
        row="§0.18",
        without="a way to rebuild an error without its constructor",
        file=ERRORS,
        old="    def __reduce__(self) ->",
        new="    def _reduce(self) ->",
        tests=(
            f"{TESTS}::test_every_class_survives_pickle",
            f"{TESTS}::test_a_subclass_with_a_constructor_of_its_own_survives",
            "tests/foxtrot/util/retry/test_policy.py"
            "::test_a_deadline_error_survives_pickle_and_copy_and_takes_overrides",
            "tests/foxtrot/util/circuit_breaker/test_rejections.py"
            "::test_rejection_carries_what_its_reader_needs",
        ),
    ),
    Trap(
        row="§2.16",
        without="a stand-in for a context that does not pickle",
        file=ERRORS,
        old='state["context"] = {key: _portable(value) for key, value in self.context.items()}',
        new='state["context"] = dict(self.context)',
        tests=(f"{TESTS}::test_what_cannot_travel_travels_as_text",),
    ),
    Trap(
        row="§2.16",
        without="a stand-in for a cause that does not load",
        file=ERRORS,
        old='"__cause__": _portable(self.__cause__)}',
        new='"__cause__": self.__cause__}',
        tests=(f"{TESTS}::test_what_cannot_travel_travels_as_text",),
    ),
    Trap(
        row="done travel",
        without="the cause of an error that travels",
        file=ERRORS,
        old='        self.__cause__ = values.pop("__cause__", None)\n',
        new='        values.pop("__cause__", None)\n',
        tests=(
            f"{TESTS}::test_what_cannot_travel_travels_as_text",
            f"{HERE}::test_error_keeps_its_cause_wherever_it_goes[pickle]",
            f"{HERE}::test_error_keeps_its_cause_wherever_it_goes[deepcopy]",
            f"{HERE}::test_error_keeps_its_cause_wherever_it_goes[process]",
        ),
    ),
    Trap(
        row="done travel",
        without="a context of its own for a copy",
        file=ERRORS,
        old="clone.__dict__.update(self.__dict__, context=dict(self.context))",
        new="clone.__dict__.update(self.__dict__)",
        tests=(f"{TESTS}::test_a_copy_has_its_own_context_and_the_same_cause",),
    ),
    Trap(
        row="done travel",
        without="JSON of whatever is in the context",
        file=ERRORS,
        old='"context": jsonable(self.context),',
        new='"context": self.context,',
        tests=(
            f"{TESTS}::test_an_error_that_holds_itself_travels",
            f"{TESTS}::test_no_secret_is_shown_anywhere",
        ),
    ),
    Trap(
        row="done travel",
        without="the way through a process pool",
        file=ERRORS,
        old="return _rebuild, (type(self), self.args), {**state,",
        new="return type(self), self.args, {**state,",
        tests=(f"{TESTS}::test_an_error_crosses_a_process_pool_as_result_and_as_exception",),
    ),
    Trap(
        row="done secrets",
        without="redaction of the message",
        file=ERRORS,
        old="super().__init__(redact_text(message))",
        new="super().__init__(message)",
        tests=(f"{TESTS}::test_no_secret_is_shown_anywhere",),
    ),
    Trap(
        row="done secrets",
        without="redaction of the causes",
        file=ERRORS,
        old='"message": jsonable(cause)}',
        new='"message": str(cause)}',
        tests=(f"{TESTS}::test_no_secret_is_shown_anywhere",),
    ),
    Trap(
        row="done secrets",
        without="signatures as secrets",
        file="foxtrot/util/redaction.py",
        old='    "signature": "signature",\n',
        new="",
        tests=(
            f"{TESTS}::test_no_secret_is_shown_anywhere",
            "tests/foxtrot/util/test_redaction.py::test_a_named_secret_in_running_text_is_replaced",
        ),
    ),
    Trap(
        row="done ids",
        without="a serial number in the id",
        file=ERRORS,
        old="{next(_serial):x}",
        new="{time.time_ns():x}",
        tests=(f"{TESTS}::test_ten_thousand_errors_of_one_frozen_instant_have_as_many_ids",),
    ),
    Trap(
        row="§2.12",
        without="retry-after as a date",
        file=EVIDENCE,
        old="if _is_number(value) else _until_date(value, now)",
        new="if _is_number(value) else None",
        tests=(f"{CLASSIFIED}::test_the_wait_is_the_latest_that_the_venue_named",),
    ),
    Trap(
        row="§2.12",
        without="zero as the least of a date in the past",
        file=EVIDENCE,
        old="return max(0.0, (until - now).total_seconds())",
        new="return (until - now).total_seconds()",
        tests=(f"{CLASSIFIED}::test_the_wait_is_the_latest_that_the_venue_named",),
    ),
    Trap(
        row="§2.12",
        without="the refusal of a number that is beyond all",
        file=EVIDENCE,
        old="return max(0.0, seconds) if math.isfinite(seconds) else None",
        new="return max(0.0, seconds)",
        tests=(f"{CLASSIFIED}::test_the_wait_is_the_latest_that_the_venue_named",),
    ),
)
