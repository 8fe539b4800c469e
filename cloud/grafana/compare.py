"""What is in Grafana beside what is wanted there: whether it is the same, and what differs, line by line. Pure."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

MAX_LINES = 60
"""Of one difference; beyond it a line says how many more there are."""
_MAX_LINE_CHARS = 200


def shaped(present: Any, wanted: Any) -> Any:
    """Keep of what is there only what is spoken of in what is wanted.

    Grafana adds to what it is given: ids, times, defaults. Of a mapping the keys wanted are kept; lists of the same
    length are taken member by member, others as they are.
    """
    if isinstance(present, Mapping) and isinstance(wanted, Mapping):
        return {key: shaped(present[key], one) for key, one in wanted.items() if key in present}
    if isinstance(present, list) and isinstance(wanted, list) and len(present) == len(wanted):
        return [shaped(one, other) for one, other in zip(present, wanted, strict=True)]
    return present


def is_covered(present: Any, wanted: Any) -> bool:
    """Tell whether all that is wanted is there; what is empty or zero may as well be left out, as Grafana does."""
    return bool(_full(shaped(present, wanted)) == _full(wanted))


def difference(present: Any, wanted: Any, *, most: int = MAX_LINES) -> list[str]:
    """Give the lines of a unified difference, from what is there (`-`) to what is wanted (`+`), at most `most`."""
    before, after = _lines(present), _lines(wanted)
    found = [line for line in difflib.unified_diff(before, after, lineterm="", n=1) if line[:3] not in ("---", "+++")]
    cut = [line if len(line) <= _MAX_LINE_CHARS else f"{line[:_MAX_LINE_CHARS]}..." for line in found[:most]]
    return [*cut, f"... {len(found) - most} more lines"] if len(found) > most else cut


def _lines(value: Any) -> list[str]:
    if not value:
        return []
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).split("\n")


def _full(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _full(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in (None, "", 0, [], {})}
    return [_full(one) for one in value] if isinstance(value, list) else value
