"""From rules as they are written to watches: one for each rule, point and device, one for each flag. Pure."""

from collections.abc import Iterable, Sequence

from contract.alarms import Severity
from contract.ids import GATEWAY_DEVICE
from device_profiles.model import AnyPoint, BitsRule, CombinationRule, Flag, HeardDef, MissingRule, PointRule, Text
from device_profiles.site import PlacedDevice
from edge.rules.combinations import COMBINATION_POINT, Combination
from edge.rules.conditions import make_condition
from edge.rules.watch import About, Absence, Watch

HOLD_UP_VERIFIED = "hold-up-verified"

_HOLD_UP_TEXT = {"en": "Hold-up verified: {label}", "zh": "劫持报警已确认：{label}"}

# A device that is slow for a moment has not fallen silent: so many periods, and a second for the line.
_FRESH_PERIODS = 3.0
_FRESH_S = 1.0


def make_watches(gateway: str, devices: Iterable[PlacedDevice], now: float) -> list[Watch]:
    """Make all watches on points.

    Args:
        gateway: id of the gateway.
        devices: with the site's rules applied.
        now: monotonic seconds; from now on readings may be missing.
    """
    watches: list[Watch] = []
    for placed in devices:
        points = {point.key: point for point in placed.profile.points}
        for rule in placed.profile.rule:
            if isinstance(rule, CombinationRule):
                continue
            flags: tuple[Flag | None, ...] = rule.flag if isinstance(rule, BitsRule) and rule.flag else (None,)
            for key in rule.points:
                watches.extend(_watch(gateway, placed, points[key], rule, flag, now) for flag in flags)
    return watches


def make_combinations(
    gateway: str,
    devices: Iterable[PlacedDevice],
    rules: Sequence[CombinationRule],
    watches: Iterable[Watch],
    *,
    place: str,
) -> list[Combination]:
    """Make all combinations: those of devices, and the site's own, which belong to the gateway.

    Args:
        gateway: id of the gateway.
        devices: as for `make_watches`.
        rules: the site's own.
        watches: what may be a member.
        place: what people call the site.
    """
    members = _Members(watches)
    made = [
        _combination(gateway, placed.device.id, rule, placed.device.name or placed.device.id, members)
        for placed in devices
        for rule in placed.profile.rule
        if isinstance(rule, CombinationRule)
    ]
    return made + [_combination(gateway, GATEWAY_DEVICE, rule, place, members) for rule in rules]


def make_verified(gateway: str, *, place: str) -> Watch:
    """Make the alarm that a hold-up is verified."""
    point, rule = "hold-up", "verified"
    return Watch(
        About(
            source=f"{gateway}/{GATEWAY_DEVICE}/{point}/{rule}",
            device=GATEWAY_DEVICE,
            point=point,
            rule=rule,
            kind=HOLD_UP_VERIFIED,
            severity=Severity.CRITICAL,
            text=_filled(_HOLD_UP_TEXT, place),
        )
    )


class _Members:
    """Watches by the names that combinations use."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        self._by_name: dict[str, list[Watch]] = {}
        for watch in watches:
            about = watch.about
            for name in (f"{about.device}/{about.rule}", f"{about.device}/{about.point}/{about.rule}"):
                self._by_name.setdefault(name, []).append(watch)

    def find(self, name: str) -> list[Watch]:
        return self._by_name.get(name, [])


def _combination(gateway: str, device: str, rule: CombinationRule, label: str, members: _Members) -> Combination:
    about = About(
        source=f"{gateway}/{device}/{COMBINATION_POINT}/{rule.key}",
        device=device,
        point=COMBINATION_POINT,
        rule=rule.key,
        kind=rule.alarm,
        severity=rule.severity,
        text=_filled(rule.text, label),
        is_latching=rule.latching,
        action=rule.action,
    )
    prefix = "" if device == GATEWAY_DEVICE else f"{device}/"
    return Combination(rule, Watch(about), [members.find(prefix + name) for name in rule.members])


def _watch(
    gateway: str, placed: PlacedDevice, point: AnyPoint, rule: PointRule, flag: Flag | None, now: float
) -> Watch:
    name = rule.key if flag is None else f"{rule.key}.{flag.key}"
    label = placed.device.labels.get(point.key, "") or f"{placed.device.name or placed.device.id} {point.key}"
    about = About(
        source=f"{gateway}/{placed.device.id}/{point.key}/{name}",
        device=placed.device.id,
        point=point.key,
        rule=name,
        kind=(flag and flag.alarm) or rule.alarm,
        severity=(flag and flag.severity) or rule.severity,
        text=_filled(rule.text, label, flag),
        unit=point.unit,
        is_latching=rule.latching,
        is_said=not rule.only_combined,
        action=rule.action,
    )
    if isinstance(rule, MissingRule):
        return Absence(about, for_s=rule.for_s, now=now)
    # What speaks by itself mostly speaks of changes: what it last said holds until it counts as lost.
    is_heard = isinstance(point, HeardDef)
    return Watch(
        about,
        make_condition(rule, flag),
        on_delay_s=getattr(rule, "on_delay_s", 0.0),
        off_delay_s=getattr(rule, "off_delay_s", 0.0),
        fresh_s=placed.profile.supervision_s if is_heard else _FRESH_PERIODS * point.every_s + _FRESH_S,
    )


def _filled(text: Text, label: str, flag: Flag | None = None) -> Text:
    filled = {language: words.replace("{label}", label) for language, words in text.items()}
    if flag is None:
        return filled
    return {language: words.replace("{flag}", flag.text.get(language, flag.key)) for language, words in filled.items()}
