"""What alarm rules must keep, in a profile and in a site file alike; every breach is noted as a fault."""

from collections.abc import Mapping, Sequence
from string import Formatter

from device_profiles.codec import ValueKind, value_kind
from device_profiles.faults import N_, listed, shown
from device_profiles.model import UNDELAYED_ALARMS, ContactRule, PointDef, Rule, ThresholdRule
from device_profiles.point_checks import check_known, check_text
from device_profiles.toml_file import Place, TomlFile


def check_rules(
    toml: TomlFile, rules: Sequence[Rule], *, points: Mapping[str, PointDef], also_known: frozenset[str] = frozenset()
) -> None:
    """Note every fault of the rules.

    Args:
        toml: the file the rules were read from.
        rules: of one profile or of one device of a site.
        points: those a rule may watch, by key.
        also_known: keys of points that stand in the file but could not be read; they are not reported again.
    """
    seen: dict[tuple[str, str], int | None] = {}
    for rule in rules:
        place = toml.place_of(rule)
        _check_points(toml, rule, points, also_known)
        for key in dict.fromkeys(rule.points):
            if (rule.key, key) in seen:
                text = N_("{key} watches point {point} in line {line} already")
                line = str(seen[rule.key, key] or "?")
                toml.fault((*place, "key"), text, key=shown(rule.key), point=shown(key), line=line)
            seen.setdefault((rule.key, key), toml.line_of((*place, "key")))
        check_text(toml, (*place, "text"), rule.text)
        for language, text in rule.text.items():
            _check_template(toml, (*place, "text", language), text)
        if rule.alarm in UNDELAYED_ALARMS and rule.on_delay_s > 0:
            words = N_("a {alarm} alarm is never held back; allowed: 0")
            toml.fault((*place, "on_delay_s"), words, alarm=rule.alarm)
        if isinstance(rule, ThresholdRule):
            _check_threshold(toml, rule, points)


def _check_points(toml: TomlFile, rule: Rule, points: Mapping[str, PointDef], also_known: frozenset[str]) -> None:
    place = (*toml.place_of(rule), "points")
    if not rule.points and toml.is_clean(place):
        toml.fault(place, N_("is empty; points: {allowed}"), allowed=listed(points))
    for key in sorted({key for key in rule.points if rule.points.count(key) > 1}):
        toml.fault(place, N_("names {key} twice"), key=shown(key))
    wanted = ValueKind.STATE if isinstance(rule, ContactRule) else ValueKind.NUMBER
    for key in dict.fromkeys(rule.points):
        if key in also_known - points.keys() or not check_known(toml, place, key, known=points):
            continue
        kind = value_kind(points[key])
        if kind is not wanted:
            fitting = listed(name for name, point in points.items() if value_kind(point) is wanted)
            text = N_("{key} gives a {kind}, the rule needs a {wanted}; points that do: {allowed}")
            toml.fault(place, text, key=shown(key), kind=kind.value, wanted=wanted.value, allowed=fitting)


def _check_threshold(toml: TomlFile, rule: ThresholdRule, points: Mapping[str, PointDef]) -> None:
    place = toml.place_of(rule)
    if not toml.is_clean((*place, "above")) or not toml.is_clean((*place, "below")):
        return
    if (rule.above is None) == (rule.below is None):
        toml.fault((*place, "above"), N_("exactly one of above and below must be given"))
        return
    key, limit = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    if limit is None:
        return
    clear = limit - rule.deadband if key == "above" else limit + rule.deadband
    for point in (points[name] for name in dict.fromkeys(rule.points) if name in points):
        if point.range is None or point.range[0] >= point.range[1]:
            continue
        low, high = point.range
        ends = {"point": shown(point.key), "low": shown(low), "high": shown(high)}
        if not low <= limit <= high:
            toml.fault(
                (*place, key), N_("{limit} is never passed: {point} reads {low} to {high}"), limit=shown(limit), **ends
            )
        elif not low <= clear <= high:
            text = N_("the alarm never clears: that takes {clear}, and {point} reads {low} to {high}")
            toml.fault((*place, "deadband"), text, clear=shown(clear), **ends)


def _check_template(toml: TomlFile, place: Place, text: str) -> None:
    try:
        names = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        toml.fault(place, N_("braces do not match: {why}"), why=str(error))
        return
    for name in sorted(names - {"label"}):
        toml.fault(place, N_("{name} is no placeholder; allowed: {allowed}"), name=shown(name), allowed="{label}")
