from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.util import redaction
from foxtrot.util.redaction import REDACTED, jsonable, redact_text

#: The patterns that `redact_text` puts to a text; the remaining one is put to the names of keys.
REPLACED = [
    each
    for each in vars(redaction).values()
    if isinstance(each, re.Pattern) and each is not redaction._SECRET_NAME
]
#: The names of secrets one by one, so that none depends on being drawn among the others.
NAMES = [
    *(re.compile(name) for name in re.split(r"\|(?![^(]*\))", redaction._NAMES)),
    re.compile(redaction._LAST_WORD),
]
LEAKS = [
    "GET /order?timestamp=1&signature=SECRET&x=1",
    '{"apiKey": "SECRET and, more"}',
    "{'secret': b'SECRET more'}",
    r"{\"api_key\": \"SECRET\"}",
    "X-MBX-APIKEY: SECRET",
    "OK-ACCESS-SIGN: SECRET",
    "accessSign=SECRET",
    "Authorization: Bearer SECRETSECRET",
    "sent Bearer SECRETSECRET to it",
    "authorization=Basic SECRET",
    "Cookie: a=SECRET; b=SECRET",
    "listenKey=SECRET",
    "wss://SECRET@host/ws",
    "https://user:SECRET@host",
    "signature%3DSECRET%26x",
    "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----",
    'password="SECRET, in a text that was cut',
    "passphrase: SECRET",
    "signature=[SECRET]",
    "X-BAPI-SIGN: SECRET",
    "API-Sign: SECRET",
    "{'KC-API-SIGN': 'SECRET'}",
    "{b'X-BM-SIGN': b'SECRET'}",
    "POST /order?api_key=k&sign=SECRET&x=1",
    "sign%3DSECRET",
    '{"id": 1, "sig": "SECRET"}',
    "Authent: SECRET",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_named_secret_in_running_text_is_replaced(text: str) -> None:
    redacted = redact_text(text)
    assert "SECRET" not in redacted
    assert REDACTED in redacted


@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_passes_unseen_for_what_it_is(text: str, form: Callable[[str], str]) -> None:
    """Most texts name no secret and are passed on without a closer look."""
    assert "q1w2e3r4" not in redact_text(form(text.replace("SECRET", "q1w2e3r4"))).lower()


@pytest.mark.parametrize("pattern", [*REPLACED, *NAMES])
@given(data=st.data())
def test_whatever_is_replaced_is_looked_at(pattern: re.Pattern[str], data: st.DataObject) -> None:
    """A name that is added to the patterns, and not to what is looked for first, would leak."""
    assert redaction._may_name_a_secret(data.draw(st.from_regex(pattern)))


@pytest.mark.parametrize("name", ["to\N{KELVIN SIGN}en", "pa\N{LATIN SMALL LETTER LONG S}sword"])
def test_letters_that_only_look_alike_hide_no_secret(name: str) -> None:
    assert redact_text(f"{name}=q1w2e3r4") == f"{name}={REDACTED}"


@pytest.mark.parametrize("text", LEAKS)
def test_redacting_twice_changes_nothing(text: str) -> None:
    """A message is redacted when made and again when written down."""
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "Signature for this request is not valid.",
        "Invalid API-key, IP, or permissions for action.",
        "API-key format invalid.",
        "token bucket empty, 3 s to go",
        "https://api.binance.com/api/v3/order",
        "design: x",
        "assign=1",
        "sign up: now",
        "signal=5, significant: 2",
        "X-BAPI-SIGN-TYPE: 2",
        "authentication: required, auth: by key",
        "[redacted]",
    ],
)
def test_text_that_only_speaks_of_secrets_is_kept(text: str) -> None:
    assert redact_text(text) == text


def test_what_stands_around_a_secret_is_kept() -> None:
    assert redact_text('a=1&signature=x&b=2 {"apiKey": "k", "n": 1}') == (
        'a=1&signature=[redacted]&b=2 {"apiKey": "[redacted]", "n": 1}'
    )


@pytest.mark.parametrize(
    "unit", ["a", "token", "://", "authorization", 'secret="', "sign", "-sign ", 'sign="', " "]
)
def test_a_reply_of_a_megabyte_is_scanned_in_linear_time(unit: str) -> None:
    """A pattern that scans ahead from every position would take hours here."""
    began = time.process_time()
    redact_text(unit * (1_000_000 // len(unit)))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [
        ("X-BAPI-SIGN", True),
        ("API-Sign", True),
        ("KC-API-SIGN", True),
        ("X-BM-SIGN", True),
        (b"X-BM-SIGN", True),
        ("payload_sig", True),
        ("Authent", True),
        ("proxy_auth", True),
        ("auth", True),
        ("X-BAPI-SIGN-TYPE", False),
        ("design", False),
        ("oauth", False),
        ("authentication", False),
    ],
)
def test_what_is_named_like_a_signature_is_kept_out(key: object, is_secret: bool) -> None:
    assert list(jsonable({key: "x"}).values()) == [REDACTED if is_secret else "x"]


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")


class _Broken(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("changed size during iteration")

    def __len__(self) -> int:
        return 1


def test_anything_becomes_json_with_secrets_out() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    value = {
        "api_secret": "s",
        "sign": b"s",
        "token": None,
        1: (1, 2.5, float("nan"), float("-inf")),
        "set": {"b", "a"},
        "nested": {"headers": {"X-MBX-APIKEY": "s"}, "url": "u?signature=s"},
        "hostile": _Hostile(),
        _Hostile(): 1,
        "broken": _Broken(),
        "surrogate": "\ud800",
        "error": ValueError("signature=s"),
        "flag": True,
    }
    assert jsonable(value) == {
        "api_secret": REDACTED,
        "sign": REDACTED,
        "token": None,
        "1": [1, 2.5, "nan", "-inf"],
        "set": ["a", "b"],
        "nested": {"headers": {"X-MBX-APIKEY": REDACTED}, "url": "u?signature=[redacted]"},
        "hostile": "<_Hostile whose __str__ raised RuntimeError>",
        "<_Hostile whose __str__ raised RuntimeError>": 1,
        "broken": {"<unreadable mapping>": "RuntimeError"},
        "surrogate": "\\ud800",
        "error": "signature=[redacted]",
        "flag": True,
    }
    assert json.dumps(jsonable(cycle)).count("[") == 8


@pytest.mark.parametrize(
    ("around", "shown"),
    [
        (lambda inner: [inner], lambda inner: [inner]),
        (lambda inner: {"a": inner}, lambda inner: {"a": inner}),
        (lambda inner: frozenset([inner]), lambda inner: [inner]),
    ],
    ids=["list", "mapping", "set"],
)
def test_eight_levels_are_shown_and_what_is_deeper_is_cut(
    around: Callable[[Any], Any], shown: Callable[[Any], Any]
) -> None:
    value = expected = "x"
    for _ in range(8):
        value, expected = around(value), shown(expected)
    assert jsonable(value) == expected
    cut = "..."
    for _ in range(8):
        cut = shown(cut)
    assert jsonable(around(value)) == cut


def test_a_set_of_mixed_types_has_an_order_too() -> None:
    assert jsonable({"b", 1, "a"}) == [1, "a", "b"]


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)


@given(_ANYTHING)
def test_jsonable_values_survive_a_round_trip_through_json(value: Any) -> None:
    once = jsonable(value)
    text = json.dumps(once, allow_nan=False)
    assert json.loads(text) == once
    assert text.encode()


@given(st.text(alphabet="tokensign=:'\"\\ ,;[]{}&%3D", max_size=40))
def test_redaction_is_idempotent_on_any_text(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
