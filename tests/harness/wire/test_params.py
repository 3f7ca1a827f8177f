"""Whatever a client sends is read, or refused with an error of Binance's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wire.errors import ApiError
from harness.wire.params import Message, Param, check, parse_form, parse_message

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


def _refusal(action: object) -> tuple[int, int]:
    with pytest.raises(ApiError) as caught:
        action()  # type: ignore[operator]
    return caught.value.status, caught.value.code


def _read(action: Callable[[], Any]) -> Any:
    """What it reads, or the refusal; no other exception passes."""
    try:
        return action()
    except ApiError as error:
        return error


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_form_of_random_bytes_is_read_or_refused(query: bytes, body: bytes) -> None:
    params = _read(lambda: parse_form(query, body))
    if isinstance(params, ApiError):
        assert params.status == 400
    else:
        assert all(type(v) is str for pair in params.items() for v in pair)


@settings(deadline=None)
@given(st.dictionaries(_NAME, _NAME, max_size=10))
def test_form_is_read_back_as_it_was_written(params: dict[str, str]) -> None:
    encoded = urlencode(params).encode()
    assert parse_form(encoded, b"") == parse_form(b"", encoded) == params


def test_query_wins_over_body_and_a_doubled_name_is_refused() -> None:
    assert parse_form(b"a=1", b"a=2&b=3") == {"a": "1", "b": "3"}
    assert _refusal(lambda: parse_form(b"a=1&a=1", b"")) == (400, -1101)


def test_form_with_too_many_fields_or_bad_utf8_is_refused() -> None:
    assert _refusal(lambda: parse_form(b"&".join(b"a%d=1" % n for n in range(65)), b"")) == (
        400,
        -1101,
    )
    assert _refusal(lambda: parse_form(b"a=\xff", b"")) == (400, -1100)
    assert _refusal(lambda: parse_form(b"a=%ff", b"")) == (400, -1100)


@settings(deadline=None)
@given(st.text(max_size=200) | _JSON.map(json.dumps))
def test_message_of_any_text_is_read_or_refused(text: str) -> None:
    message = _read(lambda: parse_message(text))
    if isinstance(message, ApiError):
        assert (message.status, message.code) == (400, -1135)
    else:
        assert isinstance(message, Message)


@settings(deadline=None)
@given(_JSON, _JSON)
def test_message_of_any_shape_is_read_or_refused(message_id: object, params: object) -> None:
    text = json.dumps({"id": message_id, "method": "m", "params": params})
    message = _read(lambda: parse_message(text))
    if isinstance(message, ApiError):
        assert message.code == -1135
    else:
        assert message.id is None or type(message.id) in {int, str}
        values = message.params.values() if isinstance(message.params, dict) else message.params
        assert all(type(value) is str for value in values)


def test_message_that_is_nested_without_end_is_refused() -> None:
    assert _refusal(lambda: parse_message("[" * 100_000)) == (400, -1135)


def test_numbers_stay_as_they_were_written() -> None:
    """They are signed as text, and no number is too long to be read."""
    text = '{"id": 7, "method": "m", "params": {"a": 0.10, "b": 1e5, "c": true, "d": null}}'
    assert parse_message(text) == Message(7, "m", {"a": "0.10", "b": "1e5", "c": "true"})
    huge = "9" * 5000
    assert parse_message(f'{{"method": "m", "params": {{"a": {huge}}}}}').params == {"a": huge}


def test_list_of_streams_is_taken_and_other_lists_are_refused() -> None:
    assert parse_message('{"method":"SUBSCRIBE","params":["a","b"],"id":"x"}') == Message(
        "x", "SUBSCRIBE", ["a", "b"]
    )
    assert _refusal(lambda: parse_message('{"method":"SUBSCRIBE","params":[["a"]]}')) == (
        400,
        -1135,
    )


def test_half_a_character_cannot_be_said_back_and_is_refused() -> None:
    """JSON can write it, UTF-8 cannot: the reply to it could not be written."""
    assert _refusal(lambda: parse_message('{"method":"m","id":"\\ud800"}')) == (400, -1135)
    assert _refusal(lambda: parse_message('{"method":"m","params":["\\ud800"]}')) == (400, -1135)


def test_true_and_false_may_stand_in_a_list() -> None:
    assert parse_message('{"method":"m","params":["combined",true]}').params == ["combined", "true"]


_SPECS = (
    Param("n", "integer", required=True),
    Param("d", "decimal"),
    Param("side", choices=("BUY", "SELL"), error=(-1117, "Invalid side.")),
)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -1102),
        ({"n": ""}, -1102),
        ({"n": "1.5"}, -1100),
        ({"n": "-1"}, -1100),
        ({"n": "٣"}, -1100),
        ({"n": "1\n"}, -1100),
        ({"n": "1", "d": "1e5"}, -1100),
        ({"n": "1", "d": "nan"}, -1100),
        ({"n": "1", "side": "HOLD"}, -1117),
    ],
)
def test_parameter_that_does_not_fit_is_refused(params: dict[str, str], code: int) -> None:
    assert _refusal(lambda: check(params, _SPECS)) == (400, code)


def test_parameters_that_fit_and_unknown_ones_pass() -> None:
    check({"n": "1", "d": "0.5", "side": "BUY", "other": "\x00"}, _SPECS)
