"""Loads a site file: every reference resolved, every device's profile narrowed to the place's wishes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from device_profiles.catalogue import load_profile_file, profile_files
from device_profiles.faults import N_, ConfigError, Fault, near, shown
from device_profiles.model import AnyPoint, CombinationRule, PointDef, Profile, Rule
from device_profiles.presence_checks import check_presence
from device_profiles.rule_checks import check_members, check_site_rules, member_names
from device_profiles.site import Device, PlacedDevice, Site, SiteFile
from device_profiles.site_checks import check_device, check_devices, check_drills, check_gateway, check_narrowed
from device_profiles.strict import read_fields
from device_profiles.toml_file import TomlFile


def load_site(path: Path, *, profiles: Path | None = None) -> Site:
    """Load and check a site file with all profiles it names.

    Args:
        path: the site file; relative paths in it are meant from its folder.
        profiles: folder with profiles of one's own, searched before the catalogue.

    Raises:
        ConfigError: lists every fault of the site file, then every fault of each profile it names.
    """
    toml = TomlFile.read(path)
    fields = read_fields(toml, SiteFile)
    devices: tuple[Device, ...] = fields.get("device", ())
    check_gateway(toml, fields)
    found, others = _load_profiles(toml, devices, profiles)
    check_devices(toml, fields, found)
    narrow = {device.id: narrow_profile(found[device.profile], device) for device in devices if device.profile in found}
    outputs = {name: {point.key: point for point in profile.points} for name, profile in narrow.items()}
    placed: dict[str, tuple[PlacedDevice, ...]] = {bus.id: () for bus in fields.get("bus", ())}
    for device in devices:
        profile = found.get(device.profile)
        if profile is None:
            continue
        check_device(toml, device, profile, devices=outputs)
        narrowed = narrow_profile(profile, device)
        check_narrowed(toml, device, narrowed)
        _check_supervision(toml, device, narrowed)
        unit = profile.link.unit if device.unit is None else device.unit
        placed[device.bus] = (*placed.get(device.bus, ()), PlacedDevice(device, narrowed, unit))
    _check_site(toml, fields, narrow)
    toml.raise_faults(others=others)
    return Site(path=path, file=SiteFile(**fields), devices=placed)


def narrow_profile(profile: Profile, device: Device) -> Profile:
    """Keep what the device has wired, with the site's reading periods and rules.

    Points and blocks not in use go; a rule watches only points in use and goes when none is left; a site's
    rule takes the place of the profile's rules of its key. Captures stay: they are evidence of the profile.
    """
    points = tuple(
        replace(point, every_s=device.every_s.get(point.key, point.every_s))
        for point in profile.point
        if device.use is None or point.key in device.use
    )
    heard = tuple(point for point in profile.heard if device.use is None or point.key in device.use)
    blocks = tuple(block for block in profile.block if any(_inside(point, block.address, block) for point in points))
    rules = _rules(profile, device, points or heard)
    return replace(profile, point=points, heard=heard, block=blocks, rule=rules)


def _inside(point: PointDef, address: int, block: Any) -> bool:
    return point.table is block.table and address <= point.address < address + block.count


def _rules(profile: Profile, device: Device, points: Sequence[AnyPoint]) -> tuple[Rule, ...]:
    used = {point.key for point in points}
    own = {rule.key for rule in device.rule}
    kept = [rule for rule in profile.rule if rule.key not in own]
    plain = [
        replace(rule, points=watched)
        for rule in (*kept, *device.rule)
        if not isinstance(rule, CombinationRule) and (watched := tuple(key for key in rule.points if key in used))
    ]
    known = frozenset(member_names(plain))
    combined = [_narrow(rule, known) for rule in (*kept, *device.rule) if isinstance(rule, CombinationRule)]
    return (*plain, *(rule for rule in combined if rule is not None))


def _narrow(rule: CombinationRule, known: Collection[str]) -> CombinationRule | None:
    """Leave out members that are gone; None when it could then never be raised, or for less than it says."""
    if rule.all_of:
        return rule if all(name in known for name in rule.all_of) else None
    left = tuple(name for name in rule.any_of if name in known)
    return replace(rule, any_of=left) if left else None


def _check_site(toml: TomlFile, fields: dict[str, Any], narrow: Mapping[str, Profile]) -> None:
    """Note faults of what belongs to no device: the site's own combinations, and its drills."""
    points = {name: {point.key: point for point in profile.points} for name, profile in narrow.items()}
    rules: tuple[CombinationRule, ...] = fields.get("rule", ())
    check_site_rules(toml, rules, points)
    members = [f"{device}/{name}" for device, profile in narrow.items() for name in member_names(profile.rule)]
    for rule in rules:
        check_members(toml, rule, members)
    check_drills(toml, fields.get("drill", ()), [device.id for device in fields.get("device", ())])
    if "presence" in fields:
        names = [device.id for device in fields.get("device", ())]
        # Of a device whose profile cannot be read nobody knows whether it speaks.
        speaking = [name for name in names if name not in narrow or narrow[name].speaks is not None]
        check_presence(toml, fields["presence"], readers=speaking, devices=names)


def _load_profiles(
    toml: TomlFile, devices: Sequence[Device], folder: Path | None
) -> tuple[dict[str, Profile], list[Fault]]:
    """Load each profile once; unknown ids are faults of the site file, a bad profile's faults are its own."""
    files = profile_files(extra=folder)
    found: dict[str, Profile] = {}
    others: list[Fault] = []
    for device in devices:
        if device.profile not in files:
            _unknown_profile(toml, device, files)
    for profile_id in dict.fromkeys(device.profile for device in devices if device.profile in files):
        try:
            found[profile_id] = load_profile_file(files[profile_id])
        except ConfigError as error:
            others.extend(error.faults)
    return found, others


def _unknown_profile(toml: TomlFile, device: Device, known: Collection[str]) -> None:
    place = (*toml.place_of(device), "profile")
    if meant := near(device.profile, known):
        text = N_("no profile {profile}; did you mean {near}? `langyan profile list` shows all")
        toml.fault(place, text, profile=shown(device.profile), near=meant)
    else:
        text = N_("no profile {profile}; `langyan profile list` shows all")
        toml.fault(place, text, profile=shown(device.profile))


def _check_supervision(toml: TomlFile, device: Device, narrowed: Profile) -> None:
    place = toml.place_of(device)
    if not narrowed.point or not toml.is_clean(place):
        return
    shortest = min(point.every_s for point in narrowed.point)
    if shortest >= narrowed.supervision_s:
        text = N_(
            "no point in use is read within the {supervision} s after which the device counts as lost: every {period} s"
        )
        args = {"supervision": shown(narrowed.supervision_s), "period": shown(shortest)}
        toml.fault((*place, "every_s"), text, **args)
