"""What a question names that the schema of InfluxDB does not have. Pure."""

import re
from collections.abc import Iterator
from functools import cache

from cloud.influx.lines import field_key
from cloud.influx.schema import HOURS_POLICY, LONG_POLICY, MEASUREMENTS
from cloud.influx.shape import Keep
from tests.cloud import grafana_stock

_FROM = re.compile(r'\bFROM\s+(?:"(?P<policy>[^"]+)"\.)?"(?P<measurement>[^"]+)"', re.IGNORECASE)
_ALIAS = re.compile(r'\bAS\s+"(?P<alias>[^"]+)"', re.IGNORECASE)
_NAME = re.compile(r'"(?P<name>[^"]+)"')
# What stands between apostrophes, or between slashes after an operator of patterns, is compared with and names nothing.
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|(?P<operator>[=!]~)\s*/(?:[^/\\]|\\.)*/")
_UNQUOTED = re.compile(r"(?<![\w$\"'.(])(?P<name>[a-z][a-z0-9_]*)(?=\s*(?:=~|!~|=|!=|<|>))")


def unknown_names(question: str) -> Iterator[str]:
    """Say which measurements, policies, fields and tags the schema does not know, and what is not quoted."""
    sources = list(_FROM.finditer(question))
    if not sources:
        yield "it asks nothing: no FROM with a quoted measurement"
    known: set[str] = set()
    for source in sources:
        policy, name = source["policy"] or "", source["measurement"]
        known |= {policy, name}
        if name not in MEASUREMENTS:
            yield f"no measurement {name!r}"
            continue
        if fault := _policy_fault(policy, name):
            yield fault
        known |= names_of(name, policy)
    known |= {match["alias"] for match in _ALIAS.finditer(question)}
    bare = _LITERAL.sub(lambda match: match["operator"] or " ", question)
    for match in _NAME.finditer(bare):
        if match["name"] not in known:
            yield f"no field or tag {match['name']!r}"
    for match in _UNQUOTED.finditer(bare):
        if match["name"] != "time":
            yield f"not quoted: {match['name']}"


@cache
def names_of(measurement: str, policy: str = "") -> frozenset[str]:
    """Name the tags and fields of a measurement; of `telemetry` those of all profiles and of gateways."""
    one = MEASUREMENTS[measurement]
    names = {*one.tags, *(field.name for field in one.fields)}
    if measurement != "telemetry":
        return frozenset(names)
    points = {field_key(key) for key in grafana_stock.point_keys()}
    if policy == HOURS_POLICY:
        points = {f"{how}_{key}" for how in ("mean", "min", "max") for key in points}
    return frozenset(names | points)


def _policy_fault(policy: str, name: str) -> str:
    wanted = {LONG_POLICY} if MEASUREMENTS[name].keep is Keep.LONG else {""}
    if name == "telemetry":
        wanted.add(HOURS_POLICY)
    return "" if policy in wanted else f"{name} is in the policy {sorted(wanted)}, not in {policy!r}"
