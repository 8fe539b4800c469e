"""What the presence of a site file must keep beyond its form: stations, tags and hours."""

from collections.abc import Iterable, Sequence

from device_profiles.faults import N_, listed, near, shown
from device_profiles.site import Arming, KnownTag, PresenceSettings, Station
from device_profiles.toml_file import Place, TomlFile


def check_presence(
    toml: TomlFile, settings: PresenceSettings, *, readers: Sequence[str], devices: Iterable[str]
) -> None:
    """Note faults of the presence.

    Args:
        toml: the site file.
        settings: as read; parts with faults of their form are not in it.
        readers: ids of the devices that speak by themselves.
        devices: ids of all devices.
    """
    _check_stations(toml, settings.station, readers, frozenset(devices))
    _check_tags(toml, settings.tag)
    for arming in settings.arming:
        _check_arming(toml, arming)
    if settings.arming and settings.utc_offset is None and toml.is_clean(("presence", "utc_offset")):
        toml.fault(("presence", "utc_offset"), N_('is missing: hours of arming are local time, as in "+08:00"'))


def _check_stations(
    toml: TomlFile, stations: Sequence[Station], readers: Sequence[str], devices: frozenset[str]
) -> None:
    taken: dict[str, int | None] = {}
    for station in stations:
        place = (*toml.place_of(station), "readers")
        if not station.readers and toml.is_clean(place):
            toml.fault(place, N_("is empty; devices that speak by themselves: {allowed}"), allowed=listed(readers))
        for reader in station.readers:
            if reader in taken:
                text = N_("{reader} is in the station of line {line} already")
                toml.fault(place, text, reader=shown(reader), line=str(taken[reader] or "?"))
            elif reader not in readers:
                _unknown_reader(toml, place, reader, readers, is_device=reader in devices)
            taken.setdefault(reader, toml.line_of(place))


def _unknown_reader(toml: TomlFile, place: Place, reader: str, readers: Sequence[str], *, is_device: bool) -> None:
    args = {"reader": shown(reader), "allowed": listed(readers)}
    if is_device:
        toml.fault(place, N_("{reader} does not speak by itself; devices that do: {allowed}"), **args)
    elif meant := near(reader, readers):
        text = N_("no device {reader}; did you mean {near}? Devices that speak by themselves: {allowed}")
        toml.fault(place, text, near=meant, **args)
    else:
        toml.fault(place, N_("no device {reader}; devices that speak by themselves: {allowed}"), **args)


def _check_tags(toml: TomlFile, tags: Sequence[KnownTag]) -> None:
    taken: dict[str, int | None] = {}
    for tag in tags:
        place = toml.place_of(tag)
        _check_capitals(toml, (*place, "id"), tag.id)
        if tag.id in taken:
            text = N_("{tag} stands in line {line} already")
            toml.fault((*place, "id"), text, tag=shown(tag.id), line=str(taken[tag.id] or "?"))
        taken.setdefault(tag.id, toml.line_of((*place, "id")))
        if tag.owner is not None:
            _check_capitals(toml, (*place, "owner"), tag.owner)
        if tag.owner == tag.id:
            toml.fault((*place, "owner"), N_("is the tag itself: the owner carries another"))


def _check_arming(toml: TomlFile, arming: Arming) -> None:
    place = toml.place_of(arming)
    for key, moment in (("from", arming.begins), ("to", arming.ends)):
        if moment.tzinfo is not None:
            toml.fault((*place, key), N_("is local time without a zone, as in 22:00:00; the zone is utc_offset"))
    if arming.begins == arming.ends:
        toml.fault((*place, "to"), N_("is the same as from: no time at all"))
    for name, items in (("days", arming.days), ("tags", arming.tags)):
        if items == () and toml.is_clean((*place, name)):
            toml.fault((*place, name), N_("is empty; leave it out to mean all"))
    for tag in arming.tags or ():
        _check_capitals(toml, (*place, "tags"), tag)


def _check_capitals(toml: TomlFile, place: Place, tag: str) -> None:
    if tag != tag.upper():
        toml.fault(place, N_("{tag} never comes: tags are written in capitals"), tag=shown(tag))
