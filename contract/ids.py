"""Identifiers: what gateways, devices, points and alarms are called on the wire.

Ids are ASCII because SenML names are (RFC 8428, 4.5.1); what people read is the name beside
the id, and a name may be any Unicode.
"""

import hashlib
import re
from typing import Annotated

from msgspec import Meta

# \Z, not $: in Python $ also matches before a newline at the end, and msgspec searches with this pattern.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z"
_ID = re.compile(ID_PATTERN)

Id = Annotated[str, Meta(pattern=ID_PATTERN, min_length=1, max_length=64)]

GATEWAY_DEVICE = "gateway"
"""The device id under which a gateway reports on itself; no other device may take it."""


def is_id(text: str) -> bool:
    """Tell whether `text` may be a gateway, device, point or rule id (1 to 64 characters)."""
    return _ID.fullmatch(text) is not None


def alarm_id(source: str, raised_at_us: int) -> str:
    """Name one occurrence of an alarm: the same source and moment give the same id, everywhere.

    Args:
        source: `<gateway>/<device>/<point>/<rule>`.
        raised_at_us: wall time of the raise, microseconds UTC.

    Returns:
        24 hexadecimal characters (96 bits of SHA-256: no collision in any city's lifetime).
    """
    return hashlib.sha256(f"{source}@{raised_at_us}".encode()).hexdigest()[:24]
