"""What Grafana does with a question before it sends it: variables, their formats, and InfluxQL's macros. Pure.

Used to try every panel without a Grafana, and by `langyan grafana check`, as variables are filled in by the browser.

Source: "Variable syntax" and "InfluxDB template variables", Grafana 12; the patterns of its data source for InfluxQL.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from msgspec import Struct

from cloud.influx.query import Series

Chosen = str | Sequence[str]
"""What is chosen of a variable: one value, or several."""

_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?:\.\w+)?(?::(?P<format>\w+))?\}|\[\[(?P<old>\w+)\]\]|\$(?P<bare>\w+)")
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_DELIMITED = re.compile(r"^/(?P<pattern>.*)/(?P<flags>[gimsuy]*)$", re.DOTALL)
_NAMED = re.compile(r"\(\?<(?P<name>[A-Za-z_]\w*)>")
_MS = 1_000
_FORMATS: dict[str, tuple[str, Callable[[str], str]]] = {
    "raw": (",", str),
    "csv": (",", str),
    "text": (" + ", str),
    "pipe": ("|", str),
    "percentencode": ("%2C", partial(quote, safe="")),
    "singlequote": (",", lambda one: "'" + one.replace("'", "\\'") + "'"),
    "doublequote": (",", lambda one: '"' + one.replace('"', '\\"') + '"'),
}


class Option(Struct, frozen=True):
    """One choice of a variable: what is shown, and what it means."""

    text: str
    value: str


class Window(Struct, frozen=True):
    """What a dashboard looks at.

    Attributes:
        from_ms, to_ms: milliseconds since 1970.
        interval_s: width of a point, as the panel's width and its least interval give it.
    """

    from_ms: int
    to_ms: int
    interval_s: int


def fill(text: str, chosen: Mapping[str, Chosen], window: Window | None) -> str:
    """Fill in macros and variables; a variable nobody has chosen stays, as in Grafana.

    Args:
        text: a question, or a link.
        chosen: by the variable's name.
        window: for `$timeFilter` and `$__interval`; None leaves the macros to Grafana's server, as the browser does.
    """
    macros = {} if window is None else _macros(window)

    def filled(match: re.Match[str]) -> str:
        name = match["braced"] or match["old"] or match["bare"]
        if name in macros:
            return macros[name]
        return written(chosen[name], match["format"] or "") if name in chosen else match[0]

    return _VARIABLE.sub(filled, text)


def _macros(window: Window) -> dict[str, str]:
    return {
        "timeFilter": f"time >= {window.from_ms}ms and time <= {window.to_ms}ms",
        "__interval": f"{window.interval_s}s",
        "interval": f"{window.interval_s}s",
        "__interval_ms": str(window.interval_s * _MS),
        "__from": str(window.from_ms),
        "__to": str(window.to_ms),
    }


def written(value: Chosen, form: str) -> str:
    """Write what is chosen in one of Grafana's formats: `regex`, `pipe`, `csv`, `percentencode`, `json` ...

    Args:
        value: one or several.
        form: the format's name; "" is that of the data source for InfluxQL: a pattern where there are several.

    Raises:
        ValueError: a format that is not known here.
    """
    several = [value] if isinstance(value, str) else list(value)
    if form == "" and isinstance(value, str):
        return value
    if form == "json":
        return json.dumps(value if isinstance(value, str) else several, ensure_ascii=False)
    if form in {"", "regex"}:
        escaped = [escape_pattern(one) for one in several]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    if form not in _FORMATS:
        raise ValueError(f"a variable's format that is not known here: {form}")
    joint, one_written = _FORMATS[form]
    return joint.join(one_written(one) for one in several)


def escape_pattern(text: str) -> str:
    """Write a text so that a pattern between slashes finds just it."""
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", text)


def options_of(answer: Sequence[Series], regex: str = "") -> list[Option]:
    """Read the choices that a variable's question gives, in the order of the answer, each once.

    Of each row the second column is taken, or the only one. A pattern parts what it names `text` and `value`; without
    these names its first group, or all of it, is both; what it does not match is left out.
    """
    found: dict[str, Option] = {}
    for row in (row for one in answer for row in one.values):
        cell = row[1] if len(row) > 1 else row[0]
        if cell is None:
            continue
        option = _parted(str(cell), regex)
        if option is not None:
            found.setdefault(option.value, option)
    return list(found.values())


def _parted(cell: str, regex: str) -> Option | None:
    if not regex:
        return Option(cell, cell)
    delimited = _DELIMITED.match(regex)
    pattern = delimited["pattern"] if delimited else regex
    found = re.search(_NAMED.sub(r"(?P<\g<name>>", pattern), cell)
    if found is None:
        return None
    named = found.groupdict()
    if named.keys() & {"text", "value"}:
        text, value = named.get("text"), named.get("value")
        return Option(str(text or value), str(value or text))
    whole = found[1] if found.re.groups else found[0]
    return Option(whole, whole)
