"""Signatures cover exactly what was sent."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wire.signing import is_signed_by, sign, signed_bytes, signed_text

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def test_signature_is_that_of_binances_own_example() -> None:
    """The example of Binance's rest-api.md, key and all."""
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    payload = (
        b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
        b"&timestamp=1499827319559"
    )
    expected = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    assert sign(secret, payload) == expected
    assert is_signed_by(secret, payload, expected)
    assert is_signed_by(secret, payload, expected.upper())


def test_signature_is_left_out_wherever_it_stands() -> None:
    assert signed_bytes(b"a=1&signature=xx&b=2", b"") == b"a=1&b=2"
    assert signed_bytes(b"a=1", b"b=2&signature=xx") == b"a=1b=2"


def test_socket_parameters_are_signed_by_name_and_encoded_in_no_way() -> None:
    """The second example of Binance's web-socket-api.md: a symbol that is not ASCII."""
    assert signed_text({"b": "x y:/", "a": "1", "signature": "zz"}) == b"a=1&b=x y:/"
    params = {
        "symbol": "\uff11\uff12\uff13\uff14\uff15\uff16",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1.00000000",
        "price": "0.10000000",
        "recvWindow": "5000",
        "timestamp": "1645423376532",
        "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    }
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    expected = "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
    assert sign(secret, signed_text(params)) == expected


@settings(deadline=None)
@given(_TEXT, st.binary(max_size=50), _TEXT)
def test_no_other_signature_is_right(secret: str, payload: bytes, signature: str) -> None:
    assert is_signed_by(secret, payload, sign(secret, payload))
    assert not is_signed_by(secret, payload, signature)
    assert not is_signed_by(secret, payload + b"0", sign(secret, payload))


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_whatever_text_comes_there_is_something_to_sign(params: dict[str, str]) -> None:
    """Lone surrogates too, which JSON can hold and UTF-8 cannot."""
    rest = {name: value for name, value in params.items() if name != "signature"}
    pairs = [f"{name}={value}" for name, value in sorted(rest.items())]
    assert signed_text(params) == "&".join(pairs).encode("utf-8", "replace")
