"""Receipts: the cloud's answer to one batch, given only after the database has committed it."""

from enum import StrEnum

import msgspec
from msgspec import Struct

from contract.bounded import decode_json
from contract.errors import Refusal

MEDIA_TYPE = "application/json"


class Verdict(StrEnum):
    """Both are final: after either, the edge forgets the batch."""

    STORED = "stored"
    REFUSED = "refused"


class Receipt(Struct, frozen=True, omit_defaults=True):
    """What became of one batch; which one, the MQTT correlation data says.

    Attributes:
        verdict: stored, or refused when anything in it was refused.
        at_us: the cloud's clock after the commit, microseconds UTC.
        stored: readings or events committed.
        refused: readings or events put among the dead letters.
        reason: why, where anything was refused; one English sentence.
    """

    verdict: Verdict
    at_us: int
    stored: int = 0
    refused: int = 0
    reason: str = ""


_decoder = msgspec.json.Decoder(Receipt)
_encoder = msgspec.json.Encoder()


def encode_receipt(receipt: Receipt) -> bytes:
    """Write the receipt as JSON."""
    return _encoder.encode(receipt)


def decode_receipt(payload: bytes) -> Receipt:
    """Read a receipt; unknown fields are skipped, so that it may grow.

    Raises:
        DecodeError: NOT_RECEIPT; TOO_LARGE.
    """
    return decode_json(_decoder, payload, refusal=Refusal.NOT_RECEIPT)
