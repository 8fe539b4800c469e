"""What a site file must keep beyond its form; every breach is noted as a fault of the file."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from contract.ids import GATEWAY_DEVICE
from device_profiles.bus_checks import check_buses, check_credentials, check_line
from device_profiles.codec import ValueKind, value_kind
from device_profiles.faults import N_, listed, near, shown
from device_profiles.model import AnyPoint, CombinationRule, HeardDef, Profile
from device_profiles.point_checks import check_known
from device_profiles.rule_checks import check_members, check_rules, member_names, time_needed
from device_profiles.site import Bus, Device, Drill, Outbox, Uplink
from device_profiles.toml_file import TomlFile

MAX_DRILL = timedelta(hours=24)
"""A drill that is forgotten swallows real alarms."""


def check_gateway(toml: TomlFile, fields: Mapping[str, Any]) -> None:
    """Note faults of the gateway itself: its uplink, outbox and buses."""
    if "gateway" in fields and not fields["gateway"].site.strip():
        toml.fault(("gateway", "site"), N_("is empty: name the place the gateway stands in"))
    uplink: Uplink = fields.get("uplink", Uplink())
    if not uplink.host.strip():
        toml.fault(("uplink", "host"), N_("is empty"))
    check_credentials(toml, ("uplink",), uplink.username, uplink.password_env)
    outbox: Outbox = fields.get("outbox", Outbox())
    if not outbox.path.strip():
        toml.fault(("outbox", "path"), N_("is empty"))
    port = fields["gateway"].metrics_port if "gateway" in fields else None
    check_buses(toml, fields.get("bus", ()), metrics_port=port)


def check_devices(toml: TomlFile, fields: Mapping[str, Any], profiles: Mapping[str, Profile]) -> None:
    """Note faults among devices and buses: ids, references, what a bus carries, and two devices at one address."""
    buses: dict[str, Bus] = {bus.id: bus for bus in fields.get("bus", ())}
    written = toml.names("bus", "id")
    lines: dict[str, int | None] = {}
    found: dict[str, list[Device]] = {bus: [] for bus in buses}
    for device in fields.get("device", ()):
        _check_id(toml, device, lines)
        if device.bus not in written:
            _unknown_bus(toml, device, sorted(written))
        elif device.bus in buses:
            found[device.bus].append(device)
    for name, devices in found.items():
        check_line(toml, buses[name], devices, profiles)
    if not fields.get("bus", ()) and toml.is_clean(("bus",)):
        toml.fault(("bus",), N_("is empty: a site has at least one bus"))


def check_device(
    toml: TomlFile, device: Device, profile: Profile, *, devices: Mapping[str, Mapping[str, AnyPoint]]
) -> None:
    """Note faults of one device against its profile: every point it names, and its rules.

    Args:
        toml: the site file.
        device: as written.
        profile: of the device, whole.
        devices: the points in use of every device, by its id.
    """
    place = toml.place_of(device)
    points = {point.key: point for point in profile.points}
    used = _used(toml, device, points)
    for table in ("every_s", "labels"):
        # What reports come from (a zone, a user) no profile lists.
        for key in () if table == "labels" and profile.speaks else getattr(device, table):
            check_known(toml, (*place, table, key), key, known=points)
    check_rules(toml, device.rule, points=used, devices=devices)
    key = device.simulate.count_in
    where = (*place, "simulate", "count_in")
    if key is not None and check_known(toml, where, key, known=used) and not _can_count(used[key]):
        fitting = listed(name for name, point in used.items() if _can_count(point))
        text = N_("{key} cannot count: that takes a whole number in registers; points that do: {allowed}")
        toml.fault(where, text, key=shown(key), allowed=fitting)


def check_narrowed(toml: TomlFile, device: Device, narrowed: Profile) -> None:
    """Note faults that show only when the site's wishes are applied to the profile.

    Combinations of what is not there, rules whose points are read too seldom here, outputs that are left out.
    """
    place = toml.place_of(device)
    points = {point.key: point for point in narrowed.points}
    known = member_names(narrowed.rule)
    for rule in device.rule:
        if isinstance(rule, CombinationRule):
            check_members(toml, rule, known)
    own = {rule.key for rule in device.rule}
    for rule in narrowed.rule:
        if rule.action is not None and rule.key not in own and rule.action.point not in points:
            text = N_("leaves out {point}, which rule {rule} of the profile switches")
            toml.fault((*place, "use"), text, point=shown(rule.action.point), rule=shown(rule.key))
        needed = time_needed(rule)
        for key in rule.points:
            every_s = device.every_s.get(key)
            if needed is not None and every_s is not None and every_s >= needed[1]:
                text = N_("{every} s is not shorter than the {needed} s that rule {rule} needs")
                args = {"every": shown(every_s), "needed": shown(needed[1]), "rule": shown(rule.key)}
                toml.fault((*place, "every_s", key), text, **args)


def check_drills(toml: TomlFile, drills: Sequence[Drill], devices: Iterable[str]) -> None:
    """Note faults of the drill windows: times without a zone, windows too long, unknown devices."""
    known = list(devices)
    for drill in drills:
        place = toml.place_of(drill)
        for key, moment in (("from", drill.begins), ("to", drill.ends)):
            if moment.tzinfo is None:
                toml.fault((*place, key), N_("needs a time zone, as in 2026-05-12T10:00:00+08:00"))
        if drill.begins.tzinfo is not None and drill.ends.tzinfo is not None:
            length = drill.ends - drill.begins
            if not timedelta() < length <= MAX_DRILL:
                text = N_("a drill ends after it begins, and within {most} hours")
                toml.fault((*place, "to"), text, most=str(MAX_DRILL // timedelta(hours=1)))
        for name in drill.devices or ():
            if name not in known:
                text = N_("no device {device}; devices: {allowed}")
                toml.fault((*place, "devices"), text, device=shown(name), allowed=listed(known))
        if drill.devices == ():
            toml.fault((*place, "devices"), N_("is empty; devices: {allowed}"), allowed=listed(known))


def _used(toml: TomlFile, device: Device, points: Mapping[str, AnyPoint]) -> dict[str, AnyPoint]:
    if device.use is None:
        return dict(points)
    place = (*toml.place_of(device), "use")
    if not device.use and toml.is_clean(place):
        toml.fault(place, N_("is empty; points: {allowed}"), allowed=listed(points))
    for key in sorted({key for key in device.use if device.use.count(key) > 1}):
        toml.fault(place, N_("names {key} twice"), key=shown(key))
    for key in dict.fromkeys(device.use):
        check_known(toml, place, key, known=points)
    return {key: point for key, point in points.items() if key in device.use}


def _can_count(point: AnyPoint) -> bool:
    if isinstance(point, HeardDef):
        return False
    is_whole = not point.table.is_bits and not point.type.value.startswith("f")
    return is_whole and value_kind(point) is ValueKind.NUMBER


def _check_id(toml: TomlFile, device: Device, lines: dict[str, int | None]) -> None:
    place = (*toml.place_of(device), "id")
    if device.id == GATEWAY_DEVICE or device.id.startswith(f"{GATEWAY_DEVICE}."):
        text = N_("{id} is the gateway's own, as all that begins with {taken}; any other id will do")
        toml.fault(place, text, id=shown(device.id), taken=shown(f"{GATEWAY_DEVICE}."))
    if device.id in lines:
        text = N_("{id} is taken by the device in line {line}")
        toml.fault(place, text, id=shown(device.id), line=str(lines[device.id] or "?"))
    lines.setdefault(device.id, toml.line_of(place))


def _unknown_bus(toml: TomlFile, device: Device, known: list[str]) -> None:
    place = (*toml.place_of(device), "bus")
    if meant := near(device.bus, known):
        text = N_("no bus {bus}; did you mean {near}? Buses: {allowed}")
        toml.fault(place, text, bus=shown(device.bus), near=meant, allowed=listed(known))
    else:
        toml.fault(place, N_("no bus {bus}; buses: {allowed}"), bus=shown(device.bus), allowed=listed(known))
