"""The uid of the dashboard of a kind of device; whoever writes links to it needs no more than this. Pure."""

import hashlib
import re

_MAX_UID = 40
_PREFIX = "langyan-kind-"
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST = 8


def uid_of(kind: str) -> str:
    """Give the uid of a kind's dashboard: for ever the same, and another for every kind."""
    plain = _PREFIX + _ILLEGAL.sub("-", kind)
    if plain == _PREFIX + kind and len(plain) <= _MAX_UID:
        return plain
    digest = hashlib.sha256(kind.encode()).hexdigest()[:_DIGEST]
    return f"{plain[: _MAX_UID - _DIGEST - 1]}-{digest}"
