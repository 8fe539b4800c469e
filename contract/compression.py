"""The content-encoding of large batches: raw DEFLATE inside a zlib frame, bounded both ways."""

import zlib
from enum import StrEnum

from contract.bounded import check_size
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_INFLATED_BYTES, MAX_PAYLOAD_BYTES


class ContentEncoding(StrEnum):
    """How a payload is packed; the value of the user property `content-encoding` (RFC 9110, 8.4.1)."""

    IDENTITY = "identity"
    DEFLATE = "deflate"


def pack(payload: bytes, *, at_least: int = 1024) -> tuple[ContentEncoding, bytes]:
    """Deflate a payload of `at_least` bytes when that makes it smaller, else leave it readable."""
    if len(payload) >= at_least:
        packed = zlib.compress(payload, 6)
        if len(packed) < len(payload):
            return ContentEncoding.DEFLATE, packed
    return ContentEncoding.IDENTITY, payload


def unpack(payload: bytes, encoding: ContentEncoding) -> bytes:
    """Undo `pack`, never growing past `MAX_INFLATED_BYTES`.

    Raises:
        DecodeError: TOO_LARGE before or after inflating; BAD_ENCODING when it is not one whole zlib frame.
    """
    check_size(payload, MAX_PAYLOAD_BYTES)
    if encoding is ContentEncoding.IDENTITY:
        return payload
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(payload, MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise DecodeError(Refusal.BAD_ENCODING, f"deflate: {error}") from error
    if len(plain) > MAX_INFLATED_BYTES:
        raise DecodeError(Refusal.TOO_LARGE, f"inflates past {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof or inflater.unused_data:
        raise DecodeError(Refusal.BAD_ENCODING, "deflate: not one whole frame")
    return plain
