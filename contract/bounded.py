"""Bounded, typed reading of JSON: the one place where bytes from outside become values."""

from typing import TypeVar

import msgspec

from contract.errors import DecodeError, Refusal
from contract.limits import MAX_PAYLOAD_BYTES

Message = TypeVar("Message")


def check_size(payload: bytes, at_most: int) -> None:
    """Refuse more than `at_most` bytes.

    Raises:
        DecodeError: TOO_LARGE.
    """
    if len(payload) > at_most:
        raise DecodeError(Refusal.TOO_LARGE, f"{len(payload)} bytes, at most {at_most}")


def decode_json(
    decoder: msgspec.json.Decoder[Message], payload: bytes, *, refusal: Refusal, at_most: int = MAX_PAYLOAD_BYTES
) -> Message:
    """Read one JSON text of at most `at_most` bytes.

    Raises:
        DecodeError: TOO_LARGE; `refusal` with the JSON path when it is not what `decoder` reads.
    """
    check_size(payload, at_most)
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(refusal, str(error)) from error
