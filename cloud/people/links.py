"""Signed links that let one person do one thing with one alarm for a short time, without signing in: for tables.

A link is `<alarm>~<person>~<action>~<expiry>~<signature>`, all of it unreserved in URLs (RFC 3986, 2.3); no field can
hold the separator. The expiry is in seconds since 1970, the signature HMAC-SHA256 of all that stands before it.
"""

import base64
import hashlib
import hmac
import re

from msgspec import Struct

from cloud.errors import LinkRefusedError
from cloud.people.hidden import Hidden
from cloud.people.roles import Action

LONGEST_US = 24 * 3_600 * 1_000_000
"""A link lasts at most a day."""

MAX_CHARS = 256
# So that a signature of ours can never mean anything else.
_PURPOSE = b"langyan link 1\n"
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Link(Struct, frozen=True):
    """What a link says. That its signature is right does not mean that the person still may.

    Attributes:
        alarm_id: the occurrence.
        name: of the user in whose name it is done.
        action: what the link is for, and nothing else.
        expires_at_us: from then on it is refused.
    """

    alarm_id: str
    name: str
    action: Action
    expires_at_us: int


def make_link(key: Hidden[bytes], alarm_id: str, name: str, *, action: Action, now_us: int, lasts_us: int) -> str:
    """Write and sign a link.

    Args:
        key: see `cloud.people.store.link_key`.
        alarm_id: the occurrence.
        name: of the user in whose name it will be done.
        action: what it is for.
        now_us: the wall time.
        lasts_us: how long, at most `LONGEST_US`; rounded up to seconds.

    Raises:
        ValueError: lasts too long or not at all, or a field holds what none can.
    """
    if not 0 < lasts_us <= LONGEST_US or not (_FIELD.fullmatch(alarm_id) and _FIELD.fullmatch(name)):
        why = f"no link for {alarm_id!r}, {name!r}, {lasts_us} us"
        raise ValueError(why)
    expires_at_s = -(-(now_us + lasts_us) // 1_000_000)
    signed = f"{alarm_id}~{name}~{action.value}~{expires_at_s}"
    return f"{signed}~{_sign(key, signed)}"


def read_link(key: Hidden[bytes], text: str, *, action: Action, now_us: int) -> Link:
    """Check a link that is used for `action`.

    Raises:
        LinkRefusedError: not signed by us, for another action, or expired.
    """
    signed, _, signature = text.rpartition("~")
    is_ours = len(text) <= MAX_CHARS and text.isascii() and hmac.compare_digest(_sign(key, signed), signature)
    if not is_ours:
        raise LinkRefusedError(has_expired=False)
    alarm_id, name, meant, expires_at_s = signed.split("~")
    if meant != action.value:
        raise LinkRefusedError(has_expired=False)
    link = Link(alarm_id, name, action, int(expires_at_s) * 1_000_000)
    if link.expires_at_us <= now_us:
        raise LinkRefusedError(has_expired=True)
    return link


def _sign(key: Hidden[bytes], signed: str) -> str:
    digest = hmac.new(key.value, _PURPOSE + signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
