"""The lines of alarms: each source as it stands, and each step of its life. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlencode

from msgspec import Struct

from cloud.desk.core import Alarm
from cloud.influx.lines import line_of
from cloud.influx.schema import LEVELS, path_tag
from cloud.state.city import NOWHERE, City, Open, Spot
from cloud.state.lines import area_name, level_word
from contract.alarms import Mode

_LANGUAGES = ("en", "zh")
_MODES = {Mode.LIVE.value: 2, Mode.DRILL.value: 1, Mode.TEST.value: 0}
_SPREAD = 1_000


class SeriesKey(Struct, frozen=True, gc=False):
    """The tags of `alarm_state`: one series a source. Several alarms have the same where one is a test or a drill."""

    gateway: str
    device: str
    point: str
    rule: str
    kind: str
    site: str
    area_path: str

    @property
    def tags(self) -> dict[str, str]:
        """As they are written."""
        return {
            "device": self.device,
            "gateway": self.gateway,
            "kind": self.kind,
            "path": path_tag(self.area_path),
            "point": self.point,
            "rule": self.rule,
            "site": self.site,
        }


class Step(Struct, frozen=True):
    """A row of the history: what happened to an alarm."""

    id: int
    at_us: int
    what: str
    alarm_id: str


def key_of(city: City, alarm: Alarm | Open) -> SeriesKey:
    """Name the series that an alarm is in."""
    site = city.site_of(alarm.gateway, site=alarm.site)
    return SeriesKey(alarm.gateway, alarm.device, alarm.point, alarm.rule, alarm.kind, site, alarm.area_path)


def foremost(city: City, alarms: Iterable[Open]) -> dict[SeriesKey, Open]:
    """Choose what each series shows: what is live before a drill, a drill before a test, then the worst and latest."""
    found: dict[SeriesKey, Open] = {}
    for alarm in alarms:
        key = key_of(city, alarm)
        if key not in found or _rank(alarm) > _rank(found[key]):
            found[key] = alarm
    return found


def state_line(city: City, alarm: Alarm, spot: Spot, now_us: int, *, key: SeriesKey | None = None) -> bytes | None:
    """Write an alarm as it stands.

    Args:
        city: for the names of its place.
        alarm: open or closed.
        spot: its device's own, where somebody wrote it down.
        now_us: the clock.
        key: a series that it has left, where it is written as one that is no longer open.
    """
    # Tests and drills are open while they last; the desk closes them some time later.
    lasts = alarm.mode is Mode.LIVE or alarm.cleared_at_us is None
    is_open = alarm.is_open and lasts and key is None
    gateway, site = city.gateways.get(alarm.gateway), city.sites.get(city.site_of(alarm.gateway, site=alarm.site))
    severity = LEVELS[alarm.severity.value] if is_open else 0
    age_s = max(0, (now_us if alarm.closed_at_us is None else alarm.closed_at_us) - alarm.raised_at_us) / 1e6
    spots = (spot, gateway.spot if gateway is not None else NOWHERE, site.spot if site is not None else NOWHERE)
    where = next((one for one in spots if one.is_known), NOWHERE)
    addresses = (one.address for one in (gateway, site) if one is not None)
    return line_of(
        "alarm_state",
        (key or key_of(city, alarm)).tags,
        {
            "open": int(is_open),
            "alarm_id": alarm.alarm_id,
            "severity": severity,
            "level": level_word(severity),
            "state": alarm.state.value,
            "stage": alarm.stage.value,
            **_texts(alarm),
            "site_name": (site.name or site.id) if site is not None else alarm.site or "",
            "area_name": area_name(city, alarm.area_path),
            "address": next((address for address in addresses if address), ""),
            "latitude": where.latitude_deg,
            "longitude": where.longitude_deg,
            "raised_at": alarm.raised_at_us // 1_000,
            "age_s": age_s,
            "target_s": alarm.target_s,
            "share": age_s / alarm.target_s if alarm.target_s else None,
            "triggers": alarm.triggers,
            "acknowledged": alarm.acknowledged_at_us is not None,
            "suppressed": not alarm.facts.is_heard,
            "late": alarm.late,
            "mode": alarm.mode.value,
            "way_site": urlencode({"var-site": (key or key_of(city, alarm)).site}),
            "way_device": urlencode({"var-gateway": alarm.gateway, "var-device": alarm.device}),
        },
        now_us,
    )


def event_lines(city_site: Mapping[str, str], alarms: Mapping[str, Alarm], steps: Iterable[Step]) -> Iterator[bytes]:
    """Write each step of the history as an event.

    The last three digits of its time, microseconds, are those of the step's number: what a burst did in one moment at
    one site would otherwise be one point. A step has the same time whenever it is written.

    Args:
        city_site: names of sites, by id.
        alarms: as they are now, by id.
        steps: those whose alarm is not there are left out.
    """
    for step in steps:
        if (alarm := alarms.get(step.alarm_id)) is None:
            continue
        line = line_of(
            "alarm_event",
            {"kind": alarm.kind, "path": path_tag(alarm.area_path), "site": alarm.site or ""},
            {
                "what": step.what,
                "level": alarm.severity.value,
                "severity": LEVELS[alarm.severity.value],
                "alarm_id": alarm.alarm_id,
                "gateway": alarm.gateway,
                "device": alarm.device,
                "point": alarm.point,
                **_texts(alarm),
                "site_name": city_site.get(alarm.site or "", alarm.site or ""),
                "mode": alarm.mode.value,
            },
            step.at_us // _SPREAD * _SPREAD + step.id % _SPREAD,
        )
        if line is not None:
            yield line


def _texts(alarm: Alarm) -> dict[str, str]:
    """Write what happened in our languages; what is not said in one of them is said in English, else as it is."""
    said = {tag.lower().replace("_", "-").split("-")[0]: words for tag, words in alarm.text.items()}
    other = said.get("en") or next(iter(said.values()), "")
    return {f"text_{language}": said.get(language) or other for language in _LANGUAGES}


def _rank(alarm: Open) -> tuple[int, int, int, str]:
    return _MODES[alarm.mode], LEVELS[alarm.severity], alarm.raised_at_us, alarm.alarm_id
