"""What alarm rules must keep, in a profile and in a site file alike; every breach is noted as a fault."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from string import Formatter

from contract.ids import is_id
from device_profiles.codec import ValueKind, encode_point, raw_bits, value_kind
from device_profiles.faults import N_, CodecError, listed, near, shown
from device_profiles.model import (
    UNDELAYED_ALARMS,
    AnyPoint,
    BitsRule,
    CombinationRule,
    ContactRule,
    HeardDef,
    LocalAction,
    MissingRule,
    PointRule,
    RateRule,
    Rule,
    StuckRule,
    Text,
    ThresholdRule,
)
from device_profiles.point_checks import check_known, check_text
from device_profiles.toml_file import Place, TomlFile

Points = Mapping[str, AnyPoint]


def rule_names(rule: Rule) -> tuple[str, ...]:
    """Name the alarms of a rule: its key, or one name a flag."""
    if isinstance(rule, BitsRule) and rule.flag:
        return tuple(f"{rule.key}.{flag.key}" for flag in rule.flag)
    return (rule.key,)


def member_names(rules: Iterable[Rule]) -> list[str]:
    """List what a combination of one device may combine: `<rule>` and `<point>/<rule>` of all that watch points."""
    plain = [(rule, name) for rule in rules if not isinstance(rule, CombinationRule) for name in rule_names(rule)]
    names = [name for _, name in plain]
    return [*dict.fromkeys(names), *(f"{key}/{name}" for rule, name in plain for key in rule.points)]


def check_rules(
    toml: TomlFile,
    rules: Sequence[Rule],
    *,
    points: Points,
    also_known: frozenset[str] = frozenset(),
    devices: Mapping[str, Points] | None = None,
) -> None:
    """Note every fault of the rules, but for the members of a site's combinations.

    Args:
        toml: the file the rules were read from.
        rules: of one profile or of one device of a site.
        points: those a rule may watch or switch, by key.
        also_known: keys of points that stand in the file but could not be read; they are not reported again.
        devices: the points of all devices of the site; None in a profile, which knows no device.
    """
    seen: dict[tuple[str, str], int | None] = {}
    for rule in rules:
        _check_once(toml, rule, seen)
        _check_texts(toml, rule)
        if not isinstance(rule, CombinationRule):
            _check_points(toml, rule, points, also_known)
            _check_delays(toml, rule)
            _check_kind(toml, rule, [points[key] for key in dict.fromkeys(rule.points) if key in points])
        elif _check_combination(toml, rule) and devices is None:
            check_members(toml, rule, member_names(rules))
        if rule.action is not None and rule.action.point not in also_known - points.keys():
            _check_action(toml, rule, rule.action, points, devices)


def check_site_rules(toml: TomlFile, rules: Sequence[CombinationRule], devices: Mapping[str, Points]) -> None:
    """Note every fault of a site's own combinations, but for their members."""
    seen: dict[tuple[str, str], int | None] = {}
    for rule in rules:
        _check_once(toml, rule, seen)
        _check_texts(toml, rule)
        _check_combination(toml, rule)
        if rule.action is not None and rule.action.device is None:
            place = (*toml.place_of(rule.action), "device")
            toml.fault(place, N_("is missing; devices: {allowed}"), allowed=listed(devices))
        elif rule.action is not None:
            _check_action(toml, rule, rule.action, {}, devices)


def check_members(toml: TomlFile, rule: CombinationRule, known: Collection[str]) -> None:
    """Note each member of a combination that is no rule there is."""
    place = (*toml.place_of(rule), "all_of" if rule.all_of else "any_of")
    for name in dict.fromkeys(rule.members):
        if name in known:
            continue
        if meant := near(name, known):
            text = N_("no rule {name}; did you mean {near}? Rules: {allowed}")
            toml.fault(place, text, name=shown(name), near=meant, allowed=listed(known))
        else:
            toml.fault(place, N_("no rule {name}; rules: {allowed}"), name=shown(name), allowed=listed(known))


def time_needed(rule: Rule) -> tuple[str, float] | None:
    """Give key and length of the time in which a rule must get readings; None where one reading will do."""
    if isinstance(rule, StuckRule | MissingRule):
        return "for_s", rule.for_s
    return ("within_s", rule.within_s) if isinstance(rule, RateRule) else None


def _check_once(toml: TomlFile, rule: Rule, seen: dict[tuple[str, str], int | None]) -> None:
    """No two rules make the same alarm, and each alarm has an id."""
    place = (*toml.place_of(rule), "key")
    for name in rule_names(rule):
        if not is_id(name):
            toml.fault(place, N_("{name} is too long for an id of 64 characters"), name=shown(name))
        for key in dict.fromkeys(rule.points or ("",)):
            if (name, key) in seen:
                line = str(seen[name, key] or "?")
                if key:
                    text = N_("{key} watches point {point} in line {line} already")
                    toml.fault(place, text, key=shown(name), point=shown(key), line=line)
                else:
                    toml.fault(place, N_("{key} is taken by the rule in line {line}"), key=shown(name), line=line)
            seen.setdefault((name, key), toml.line_of(place))


def _check_texts(toml: TomlFile, rule: Rule) -> None:
    place = (*toml.place_of(rule), "text")
    flags = rule.flag if isinstance(rule, BitsRule) else ()
    check_text(toml, place, rule.text)
    _check_templates(toml, place, rule.text, allowed=("label", "flag") if flags else ("label",))
    for flag in flags:
        check_text(toml, (*toml.place_of(flag), "text"), flag.text)
        _check_templates(toml, (*toml.place_of(flag), "text"), flag.text, allowed=())


def _check_points(toml: TomlFile, rule: PointRule, points: Points, also_known: frozenset[str]) -> None:
    place = (*toml.place_of(rule), "points")
    if not rule.points and toml.is_clean(place):
        toml.fault(place, N_("is empty; points: {allowed}"), allowed=listed(points))
    for key in sorted({key for key in rule.points if rule.points.count(key) > 1}):
        toml.fault(place, N_("names {key} twice"), key=shown(key))
    wanted = _wanted_kind(rule)
    for key in dict.fromkeys(rule.points):
        if key in also_known - points.keys() or not check_known(toml, place, key, known=points):
            continue
        kind = value_kind(points[key])
        if wanted is not None and kind is not wanted:
            fitting = listed(name for name, point in points.items() if value_kind(point) is wanted)
            text = N_("{key} gives a {kind}, the rule needs a {wanted}; points that do: {allowed}")
            toml.fault(place, text, key=shown(key), kind=kind.value, wanted=wanted.value, allowed=fitting)


def _wanted_kind(rule: PointRule) -> ValueKind | None:
    if isinstance(rule, ContactRule):
        return ValueKind.STATE
    if isinstance(rule, MissingRule) or (isinstance(rule, StuckRule) and not rule.tolerance):
        return None
    return ValueKind.NUMBER


def _check_delays(toml: TomlFile, rule: PointRule) -> None:
    """Nothing holds back a press: no delay, no second look, no rule that has to wait to see it."""
    place = toml.place_of(rule)
    polls = rule.polls if isinstance(rule, ContactRule | ThresholdRule) else None
    if polls is not None and polls.seen > polls.of:
        text = N_("{seen} of {of} readings are never seen")
        toml.fault((*place, "polls"), text, seen=str(polls.seen), of=str(polls.of))
    flags = rule.flag if isinstance(rule, BitsRule) else ()
    kinds = {rule.alarm, *(flag.alarm for flag in flags if flag.alarm is not None)}
    for alarm in sorted(kinds & UNDELAYED_ALARMS):
        if isinstance(rule, RateRule | StuckRule | MissingRule):
            text = N_("a {alarm} alarm comes from a contact, a threshold or bits, which need no time to see it")
            toml.fault((*place, "alarm"), text, alarm=alarm)
        elif rule.on_delay_s > 0:
            toml.fault((*place, "on_delay_s"), N_("a {alarm} alarm is never held back; allowed: 0"), alarm=alarm)
        elif polls is not None and polls.seen > 1:
            toml.fault((*place, "polls"), N_("a {alarm} alarm is never held back; allowed: 1"), alarm=alarm)


def _check_kind(toml: TomlFile, rule: PointRule, points: Sequence[AnyPoint]) -> None:
    if isinstance(rule, ThresholdRule):
        _check_threshold(toml, rule, points)
    elif isinstance(rule, RateRule):
        _check_rate(toml, rule)
    elif isinstance(rule, BitsRule):
        _check_bits(toml, rule, points)
    needed = time_needed(rule)
    for point in points:
        if needed is not None and needed[1] <= point.every_s:
            text = N_("{value} s is not longer than the reading period of {point}, {period} s")
            args = {"value": shown(needed[1]), "point": shown(point.key), "period": shown(point.every_s)}
            toml.fault((*toml.place_of(rule), needed[0]), text, **args)


def _check_threshold(toml: TomlFile, rule: ThresholdRule, points: Sequence[AnyPoint]) -> None:
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
    for point in points:
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


def _check_rate(toml: TomlFile, rule: RateRule) -> None:
    place = toml.place_of(rule)
    if not toml.is_clean((*place, "rises")) or not toml.is_clean((*place, "falls")):
        return
    if (rule.rises is None) == (rule.falls is None):
        toml.fault((*place, "rises"), N_("exactly one of rises and falls must be given"))
        return
    limit = rule.rises if rule.rises is not None else rule.falls or 0.0
    if rule.deadband >= limit:
        text = N_("{value} is no less than the change itself, {limit}: the alarm never clears")
        toml.fault((*place, "deadband"), text, value=shown(rule.deadband), limit=shown(limit))


def _check_bits(toml: TomlFile, rule: BitsRule, points: Sequence[AnyPoint]) -> None:
    place = toml.place_of(rule)
    if not toml.is_clean((*place, "flag")) or not toml.is_clean((*place, "mask")):
        return
    if bool(rule.flag) == (rule.mask is not None):
        toml.fault((*place, "mask"), N_("exactly one of mask and flag must be given"))
        return
    bits: dict[int, str] = {}
    for flag in rule.flag:
        if flag.bit in bits:
            text = N_("bit {bit} is taken by flag {other}")
            where = (*toml.place_of(flag), "bit")
            toml.fault(where, text, bit=str(flag.bit), other=shown(bits[flag.bit]))
        bits.setdefault(flag.bit, flag.key)
    top = max([*bits, (rule.mask or 1).bit_length() - 1])
    for point in points:
        if isinstance(point, HeardDef):
            text = N_("{key} is heard, not read: it has no raw number")
            toml.fault((*place, "points"), text, key=shown(point.key))
            continue
        is_float = point.type.value.startswith("f")
        if is_float or (point.scale, point.offset) != (1.0, 0.0):
            text = N_("{key} is no raw number: bits want a whole number without scale and offset")
            toml.fault((*place, "points"), text, key=shown(point.key))
        elif top >= raw_bits(point):
            text = N_("bit {bit} leaves {point}, which has {bits} bits")
            args = {"bit": str(top), "point": shown(point.key), "bits": str(raw_bits(point))}
            toml.fault((*place, "flag" if rule.flag else "mask"), text, **args)


def _check_combination(toml: TomlFile, rule: CombinationRule) -> bool:
    """Note faults of the combination itself; tell whether its members are worth looking at."""
    place = toml.place_of(rule)
    if rule.alarm in UNDELAYED_ALARMS:
        text = N_("a combination is never a {alarm} alarm: that is raised by its own rule, at once")
        toml.fault((*place, "alarm"), text, alarm=rule.alarm)
    if not toml.is_clean((*place, "all_of")) or not toml.is_clean((*place, "any_of")):
        return False
    if bool(rule.all_of) == bool(rule.any_of):
        toml.fault((*place, "all_of"), N_("exactly one of all_of and any_of must be given"))
        return False
    key = "all_of" if rule.all_of else "any_of"
    for name in sorted({name for name in rule.members if rule.members.count(name) > 1}):
        toml.fault((*place, key), N_("names {key} twice"), key=shown(name))
    return True


def _check_action(
    toml: TomlFile, rule: Rule, action: LocalAction, own: Points, devices: Mapping[str, Points] | None
) -> None:
    place = toml.place_of(action)
    points: Points | None = own
    if action.device is None and action.point in rule.points:
        toml.fault((*place, "point"), N_("{point} is watched by this very rule"), point=shown(action.point))
    if action.device is not None and devices is None:
        toml.fault((*place, "device"), N_("a profile knows no other device; the site file may name one"))
        return
    if action.device is not None and devices is not None:
        points = devices.get(action.device)
    if points is None:
        text = N_("no device {device}; devices: {allowed}")
        toml.fault((*place, "device"), text, device=shown(action.device), allowed=listed(devices or ()))
    elif check_known(toml, (*place, "point"), action.point, known=points):
        _check_written(toml, action, points)


def _check_written(toml: TomlFile, action: LocalAction, points: Points) -> None:
    """The output can be written, and with these values."""
    place, point = toml.place_of(action), points[action.point]
    if isinstance(point, HeardDef) or not point.writable:
        text = N_("{point} cannot be written; points that can: {allowed}")
        fitting = listed(name for name, one in points.items() if one.writable)
        toml.fault((*place, "point"), text, point=shown(action.point), allowed=fitting)
        return
    for key, value in (("value", action.value), ("reset_value", action.reset_value)):
        if value is None:
            continue
        try:
            encode_point(point, value)
        except CodecError as error:
            toml.fault((*place, key), N_("cannot be written: {why}"), why=str(error))
    if action.for_s is not None and action.reset_value is None:
        toml.fault((*place, "for_s"), N_("needs reset_value, to which the output goes back"))


def _check_templates(toml: TomlFile, place: Place, text: Text, *, allowed: Sequence[str]) -> None:
    for language, words in text.items():
        try:
            names = {name for _, name, _, _ in Formatter().parse(words) if name is not None}
        except ValueError as error:
            toml.fault((*place, language), N_("braces do not match: {why}"), why=str(error))
            continue
        for name in sorted(names - set(allowed)):
            fitting = listed(f"{{{one}}}" for one in allowed)
            text_ = N_("{name} is no placeholder; allowed: {allowed}")
            toml.fault((*place, language), text_, name=shown(name), allowed=fitting)
