"""Signatures: HMAC-SHA256 over exactly the bytes that were sent, without the signature itself."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

__all__ = ["is_signed_by", "sign", "signed_bytes", "signed_text"]

_NAME = b"signature="


def sign(secret: str, payload: bytes) -> str:
    """The signature of a payload, in lower-case hexadecimal."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def is_signed_by(secret: str, payload: bytes, signature: str) -> bool:
    """Whether the signature is right. Takes the same time whatever is wrong with it."""
    expected = sign(secret, payload).encode()
    return hmac.compare_digest(expected, signature.lower().encode("utf-8", "replace"))


def signed_bytes(query: bytes, body: bytes) -> bytes:
    """What a REST request's signature covers: query string, then body, nothing between them."""
    return _unsigned(query) + _unsigned(body)


def signed_text(params: Mapping[str, str]) -> bytes:
    """What a WebSocket request's signature covers: its parameters by name, encoded in no way."""
    rest = sorted((name, value) for name, value in params.items() if name != "signature")
    return "&".join(f"{name}={value}" for name, value in rest).encode("utf-8", "replace")


def _unsigned(part: bytes) -> bytes:
    return b"&".join(pair for pair in part.split(b"&") if not pair.startswith(_NAME))
