"""What bike watch itself says at the desk. Pure."""

import hashlib

from cloud.areas.places import NOWHERE, Place
from cloud.bikes.life import read_life
from cloud.bikes.stations import Stations
from cloud.desk.own import OWN_GATEWAY, Said
from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import is_id
from contract.telemetry import Value

_MAX_ID = 64
_DIGEST = 16

THEFT, CLONED, SILENT, BATTERY = "theft", "tag-cloned", "tag-silent", "low-battery"
"""Their kinds, which are their rules too."""

_SEVERITY = {
    THEFT: Severity.CRITICAL,
    CLONED: Severity.MEDIUM,
    SILENT: Severity.LOW,
    BATTERY: Severity.LOW,
}
_TEXT = {
    THEFT: {"en": "Moved while armed: {what}, now at {where}", "zh": "布防中被移动：{what}，现位于{where}"},
    CLONED: {"en": "One tag at two places at once: {what} at {where}", "zh": "同一标签两处出现：{what}，{where}"},
    SILENT: {"en": "Not heard any more: {what}, last at {where}", "zh": "标签失联：{what}，最后位于{where}"},
    BATTERY: {"en": "Battery low: tag {what}, at {where}", "zh": "标签电量低：{what}，位于{where}"},
}  # fmt: skip


def device_of(kind: str, name: str) -> str:
    """Name what an alarm is about, as a device's id: `bike.<id>`, `tag.<id>`; of what is too long, a digest."""
    whole = f"{kind}.{name}"
    if len(whole) <= _MAX_ID and is_id(whole):
        return whole
    return f"{kind}.{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]}"


def event(
    kind: str, about: str, *, raised_at_us: int, place: Place, what: str, where: str,
    ended_at_us: int | None = None, value: Value | None = None, unit: str | None = None,
) -> Said:  # fmt: skip
    """Say that something began, or ended.

    Args:
        kind: one of those above.
        about: as `device_of` makes it.
        raised_at_us: when it began.
        place: where it is.
        what: for people: a bike or a tag.
        where: for people: a station or two.
        ended_at_us: None: it begins.
        value: the reading that decided.
        unit: its SenML unit.
    """
    is_over = ended_at_us is not None
    said = AlarmEvent(
        gateway=OWN_GATEWAY,
        device=about,
        point="watch",
        rule=kind,
        transition=Transition.CLEARED if is_over else Transition.RAISED,
        raised_at_us=raised_at_us,
        at_us=raised_at_us if ended_at_us is None else ended_at_us,
        kind=kind,
        severity=_SEVERITY[kind],
        text={language: words.format(what=what, where=where) for language, words in _TEXT[kind].items()},
        value=value,
        unit=unit,
    )
    return Said(said, place)


def over(
    kind: str, tag: str, raised_us: int, *, station: int | None, stations: Stations, now_us: int
) -> Said:  # fmt: skip
    """Say that an alarm of a tag is over."""
    found = stations.get(station)
    return event(
        kind, device_of("tag", tag), raised_at_us=raised_us, ended_at_us=max(now_us, raised_us),
        place=NOWHERE if found is None else found.place, what=tag, where=stations.name_of(station),
    )  # fmt: skip


def last_station(life: bytes) -> int | None:
    """Tell the station that heard a tag last, from what is kept of it."""
    return read_life(life).head.last
