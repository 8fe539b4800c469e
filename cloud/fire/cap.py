"""CAP 1.2 messages about fires: what is said, and the XML of it. Pure.

Source: OASIS, Common Alerting Protocol Version 1.2 (CAP-v1.2-os), sections 3.2 and 3.4: the order of elements is fixed,
`sent` has a numeric offset and never Z, an identifier has no space, comma, `<` or `&`, a circle's radius is in km.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.fire.detection import Certainty, Detection, Sign
from contract.alarms import Mode

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
MEDIA_TYPE = "application/cap+xml"
MOST_REFERENCES = 50
"""Of the messages before, so many of the latest are named."""
MOST_SENSORS = 40
_NO_CHARACTERS = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_SEPARATORS = str.maketrans({" ": "_", ",": "_", "<": "_", "&": "_", "\t": "_", "\n": "_"})


class Status(StrEnum):
    """Who is to act; stored."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    TEST = "Test"


class MsgType(StrEnum):
    """What the message is to those before; stored."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


class Scope(StrEnum):
    """For whom it is; stored."""

    PUBLIC = "Public"
    PRIVATE = "Private"


class Weather(Struct, frozen=True):
    """The danger at the nearest station: the day's index, and its level."""

    station: str
    fwi: float
    level: str


class Sent(Struct, frozen=True):
    """A message that was sent, as the next one names it."""

    sender: str
    identifier: str
    sent: str

    @property
    def reference(self) -> str:
        """Its part of `references`."""
        return f"{self.sender},{self.identifier},{self.sent}"


class Notice(Struct, frozen=True, kw_only=True):
    """All that a message says.

    Attributes:
        sent_at_us, expires_at_us: microseconds UTC; written to the second.
        zone: whose offset they have.
        addresses: for whom a private message is.
        references: those before; none in an Alert.
        began_at_us: of the fire.
        is_over: nothing of it stands any more.
        merged_into: the fire that it turned out to be a part of, which all else is told of.
        place: in words.
        radius_m: of the circle.
        reasons: what made up the confidence.
    """

    identifier: str
    sender: str
    sent_at_us: int
    expires_at_us: int
    zone: ZoneInfo
    status: Status
    msg_type: MsgType
    scope: Scope
    addresses: Sequence[str]
    references: Sequence[Sent] = ()
    fire: str
    began_at_us: int
    is_over: bool
    certainty: Certainty
    confidence: float
    place: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    evidence: Sequence[Detection]
    weather: Weather | None = None
    merged_into: str | None = None


class _Words(Struct, frozen=True):
    language: str
    event: str
    headline: str
    cancelled: str
    merged: str
    over: str
    seen: str
    advice: str
    signs: dict[Sign, str]
    certainties: dict[Certainty, str]


_LANGUAGES = (
    _Words(
        language="zh-CN",
        event="森林火情",
        headline="{place}：{certainty}发生森林火情",
        cancelled="{place}：森林火情警报解除，系误报",
        merged="{place}：与火情{fire}为同一火情，并入其中，后续以该火情为准",
        over="{place}：森林火情探测器均已恢复",
        seen="{count}座瞭望塔：{signs}。综合可信度约{percent}%。",
        advice="请核实现场情况；未经人工确认前不得对外发布。",
        signs={Sign.SMOKE: "烟雾", Sign.HEAT: "高温", Sign.FLAME: "火焰", Sign.FIRE: "火警", Sign.TEMPERATURE: "温度"},
        certainties={Certainty.OBSERVED: "已确认", Certainty.LIKELY: "很可能", Certainty.POSSIBLE: "可能"},
    ),
    _Words(
        language="en-US",
        event="Forest fire",
        headline="{place}: forest fire {certainty}",
        cancelled="{place}: the forest fire alert was false and is cancelled",
        merged="{place}: it is the same fire as {fire} and is told there",
        over="{place}: no detector of the forest fire stands any more",
        seen="{count} tower(s): {signs}. Confidence about {percent} %.",
        advice="Verify on site; not for the public before a person has confirmed it.",
        signs={
            Sign.SMOKE: "smoke", Sign.HEAT: "heat", Sign.FLAME: "flame", Sign.FIRE: "fire detector",
            Sign.TEMPERATURE: "temperature",
        },
        certainties={Certainty.OBSERVED: "observed", Certainty.LIKELY: "likely", Certainty.POSSIBLE: "possible"},
    ),
)  # fmt: skip


def identifier_of(sender: str, fire: str, number: int) -> str:
    """Name the message with that number about a fire."""
    return f"{sender}-fire-{fire}-{number}".translate(_SEPARATORS)


def status_of(mode: Mode, gateways: Iterable[str], simulated: Iterable[str]) -> Status:
    """Tell who is to act: nobody, when all that saw it are simulators, or it was a test."""
    if mode is Mode.DRILL:
        return Status.EXERCISE
    is_simulated = set(gateways) <= set(simulated)
    return Status.TEST if mode is Mode.TEST or is_simulated else Status.ACTUAL


def to_sent(at_us: int, zone: ZoneInfo) -> str:
    """Write a time as CAP does: to the second, with the zone's offset; UTC is `-00:00`."""
    local = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(zone)
    offset = local.utcoffset() or timedelta()
    # Offsets of the standard are whole minutes; those of local mean time are not.
    minutes = round(offset.total_seconds() / 60)
    shown = local.astimezone(timezone(timedelta(minutes=minutes))).strftime("%Y-%m-%dT%H:%M:%S")
    sign = "+" if minutes > 0 else "-"
    return f"{shown}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def write(notice: Notice) -> str:
    """Write the message."""
    alert = ET.Element("alert", {"xmlns": NAMESPACE})
    for name, text in _head(notice):
        ET.SubElement(alert, name).text = _plain(text)
    for words in _LANGUAGES:
        _info(ET.SubElement(alert, "info"), notice, words)
    ET.indent(alert)
    body = ET.tostring(alert, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _head(notice: Notice) -> Iterable[tuple[str, str]]:
    yield "identifier", notice.identifier
    yield "sender", notice.sender
    yield "sent", to_sent(notice.sent_at_us, notice.zone)
    yield "status", notice.status.value
    yield "msgType", notice.msg_type.value
    yield "scope", notice.scope.value
    if notice.scope is Scope.PRIVATE:
        yield "addresses", " ".join(_address(one) for one in notice.addresses)
    if notice.msg_type is not MsgType.ALERT:
        yield "references", " ".join(one.reference for one in notice.references[-MOST_REFERENCES:])
    yield "incidents", notice.fire if notice.merged_into is None else f"{notice.fire} {notice.merged_into}"


def _info(info: ET.Element, notice: Notice, words: _Words) -> None:
    is_merged, is_seen = notice.merged_into is not None, notice.certainty is Certainty.OBSERVED
    # What is told under another name burns on.
    is_false = notice.msg_type is MsgType.CANCEL and not is_merged
    headline = words.cancelled if is_false else words.over if notice.is_over else words.headline
    if is_merged:
        headline = words.merged
    signs = sorted({one.sign for one in notice.evidence}, key=list(Sign).index)
    seen = words.seen.format(
        count=len({one.gateway for one in notice.evidence}),
        signs=", ".join(words.signs[sign] for sign in signs),
        percent=5 * round(notice.confidence * 20),
    )
    told = {
        "language": words.language,
        "category": "Fire",
        "event": words.event,
        "responseType": "AllClear" if is_false or notice.is_over else "Assess",
        "urgency": "Past" if is_false or notice.is_over else "Immediate" if is_seen else "Unknown",
        # How bad it is, only somebody who looks can say.
        "severity": "Severe" if is_seen else "Unknown",
        "certainty": "Unlikely" if is_false else notice.certainty.value,
        "effective": to_sent(notice.sent_at_us, notice.zone),
        "onset": to_sent(notice.began_at_us, notice.zone),
        "expires": to_sent(notice.expires_at_us, notice.zone),
        "senderName": notice.sender,
        "headline": headline.format(
            place=notice.place, certainty=words.certainties[notice.certainty], fire=notice.merged_into
        ),
        "description": seen,
    }
    if not (is_seen or is_false or notice.is_over):
        told["instruction"] = words.advice
    for name, text in told.items():
        ET.SubElement(info, name).text = _plain(text)
    for name, value in _parameters(notice):
        parameter = ET.SubElement(info, "parameter")
        ET.SubElement(parameter, "valueName").text = name
        ET.SubElement(parameter, "value").text = _plain(value)
    area = ET.SubElement(info, "area")
    ET.SubElement(area, "areaDesc").text = _plain(notice.place)
    spot = f"{notice.latitude_deg:.5f},{notice.longitude_deg:.5f}"
    ET.SubElement(area, "circle").text = f"{spot} {notice.radius_m / 1000:.2f}"


def _address(text: str) -> str:
    plain = text.replace('"', "'")
    return f'"{plain}"' if any(one.isspace() for one in plain) else plain


def _plain(text: str) -> str:
    """Leave out what XML 1.0 cannot say (2.2, Char)."""
    return _NO_CHARACTERS.sub("", text)


def _parameters(notice: Notice) -> Iterable[tuple[str, str]]:
    """Sensors' values and the fire weather index, as names and values."""
    yield "confidence", f"{notice.confidence:.2f}"
    for one in notice.evidence[:MOST_SENSORS]:
        what = f"{one.sign.value} {to_sent(one.raised_at_us, notice.zone)}"
        yield one.source, what if one.bearing_deg is None else f"{what} bearing {one.bearing_deg:g}"
    readings = {(each.gateway, each.device, each.point): each for one in notice.evidence for each in one.readings}
    for (gateway, device, point), reading in sorted(readings.items())[:MOST_SENSORS]:
        yield f"{gateway}/{device}/{point}", f"{reading.value:g}"
    winds = [one.wind for one in notice.evidence if one.wind is not None]
    if winds:
        yield "wind-from-deg", f"{winds[0].from_deg:.0f}"
        yield "wind-speed-m-s", f"{winds[0].speed_m_s:.1f}"
    if notice.weather is not None:
        yield "fwi", f"{notice.weather.fwi:.1f}"
        yield "danger-level", notice.weather.level
        yield "fwi-station", notice.weather.station
