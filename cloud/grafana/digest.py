"""Tells whether somebody changed what we wrote: a digest of its content inside it. Pure.

In a dashboard it stands as a hidden variable, which Grafana's schema allows, nobody sees, and a save in the browser
keeps; in a text, as YAML, it is the first line. What has no digest, or another than its content gives, is somebody's
own, and is not overwritten unless asked for.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

VARIABLE = "langyan_digest"
"""Name of the hidden variable."""
HEADER = "# langyan sha256:"
"""How the first line of a text begins."""

# The server numbers these itself.
_SERVERS = frozenset({"id", "version", "iteration"})
_HIDDEN = 2
_LENGTH = 32


def digest_of(model: Mapping[str, Any]) -> str:
    """Work out the digest of a dashboard's content: without the digest itself, and what Grafana numbers on its own.

    How it is laid out does not matter: order of keys, spaces, 1 for 1.0, a key that is null for one that is not there.
    """
    plain = {key: value for key, value in model.items() if key not in _SERVERS}
    templating = plain.get("templating") or {}
    if isinstance(templating, Mapping):
        # A dashboard without variables has no list at all before the digest stands in one.
        listed = templating.get("list") or []
        plain["templating"] = {**templating, "list": [one for one in listed if not _is_digest(one)]}
    text = json.dumps(_normal(plain), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _hash(text)


def marked(model: Mapping[str, Any]) -> dict[str, Any]:
    """Give the dashboard with the digest of its content in it; one that was there before is replaced."""
    templating = model.get("templating") or {}
    variable = {
        "name": VARIABLE, "type": "constant", "hide": _HIDDEN, "skipUrlSync": True, "query": digest_of(model),
    }  # fmt: skip
    others = [one for one in templating.get("list") or [] if not _is_digest(one)]
    return {**model, "templating": {**templating, "list": [*others, variable]}}


def mark_in(model: Mapping[str, Any]) -> str | None:
    """Read the digest that stands in a dashboard; None without one."""
    templating = model.get("templating")
    listed = templating.get("list") if isinstance(templating, Mapping) else None
    return next((str(one.get("query")) for one in listed or [] if _is_digest(one)), None)


def is_untouched(model: Mapping[str, Any]) -> bool:
    """Tell whether a dashboard is as we wrote it."""
    return mark_in(model) == digest_of(model)


def sealed(text: str) -> str:
    """Give a text with the digest of its content as a comment in its first line."""
    return f"{HEADER}{_hash(text)}\n{text}"


def is_sealed(text: str) -> bool:
    """Tell whether a text is as `sealed` wrote it; line ends of another system do no harm."""
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    return first == HEADER + _hash(rest)


def _is_digest(variable: object) -> bool:
    return isinstance(variable, Mapping) and variable.get("name") == VARIABLE


def _normal(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _normal(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_normal(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
