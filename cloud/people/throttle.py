"""How long a login has to wait after failed ones: pure.

Three counts, each with its own rule; the longest wait counts:

* of a name from an origin, since that pair last succeeded: guessing one password from one place;
* of an origin, whatever the names: trying one password on everybody;
* of a name, whatever the origins: guessing from many places. It does not hold up an origin from which that user has
  signed in during the last `KNOWN_FOR_US`, so nobody can shut a user out of a place that he works from. It begins
  only beyond what a single origin can reach, so nobody alone can hold up anybody elsewhere.

A refused login is not looked at and not counted, so that waiting always ends.
"""

import hashlib
import ipaddress

from msgspec import Struct

_S = 1_000_000
MAX_ATTEMPTS = 20_000
"""Failed logins remembered; beyond it the oldest are forgotten."""

KNOWN_FOR_US = 30 * 86_400 * _S
REMEMBERED_US = 86_400 * _S
"""Failures older than this are forgotten; no rule looks further back."""


class Rule(Struct, frozen=True):
    """From which failure on a wait follows, and how it grows.

    Attributes:
        free: failures without a wait.
        window_us: failures older than this do not count.
        first_us: the wait after one more than `free`; it doubles with each further failure.
        longest_us: but not beyond this.
    """

    free: int
    window_us: int
    first_us: int
    longest_us: int


PAIR = Rule(free=5, window_us=REMEMBERED_US, first_us=_S, longest_us=900 * _S)
ORIGIN = Rule(free=30, window_us=3_600 * _S, first_us=_S, longest_us=300 * _S)
NAME = Rule(free=50, window_us=3_600 * _S, first_us=_S, longest_us=60 * _S)


class Failures(Struct, frozen=True):
    """Failed logins within a rule's window.

    Attributes:
        count: how many.
        last_at_us: the latest; any number when there are none.
    """

    count: int
    last_at_us: int


def wait_us(rule: Rule, failures: Failures, now_us: int) -> int:
    """Tell how long the next login has still to wait; 0 when it need not."""
    over = failures.count - rule.free
    if over <= 0:
        return 0
    # Beyond 2**40 the longest has long been reached, and Python would write out the whole number.
    delay_us = min(rule.longest_us, rule.first_us << min(over - 1, 40))
    return min(delay_us, max(0, failures.last_at_us + delay_us - now_us))


def name_key(name: str) -> str:
    """Name a name in the table of attempts: what people type there by mistake is often a password."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def origin_key(origin: str) -> str:
    """Name an origin: an IPv4 address, or the /64 that a subscriber of IPv6 has to himself; else the words as told."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return origin[:200]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
