"""Plausible lines of every measurement of the schema, as a small city would write them in a day.

Every tag and field of the schema is written, with the type it has there; what is not said here follows from its kind.
So a field added to the schema is in the stock at once. Names have quotes, slashes, backslashes, commas and Chinese.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from cloud.grafana.kind_uid import uid_of
from cloud.influx.lines import encode_lines, field_key, field_value, tag_prefix, tag_value
from cloud.influx.schema import HOURS_POLICY, LEVELS, LONG_POLICY, MEASUREMENTS, label_of, path_tag
from cloud.influx.shape import Field, Keep, Kind, Measurement
from contract.telemetry import Point, Sample, Value
from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.codec import ValueKind, value_kind
from device_profiles.model import AnyPoint, PointDef, Profile
from edge.health import BusHealth, Health, PushHealth

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
AHEAD_MIN = 40
"""Written ahead, so that what is asked half an hour later is still fresh."""
_SHANGHAI_US = 8 * HOUR_US


class Area(Struct, frozen=True):
    """An area as the registry has it."""

    id: str
    path: str
    level: str
    name: str


class Site(Struct, frozen=True):
    """A site with two gateways, between which its devices are dealt."""

    id: str
    kind: str
    name: str
    area: Area
    address: str
    latitude: float
    longitude: float

    @property
    def gateways(self) -> tuple[str, str]:
        return f"gw-{self.id}-1", f"gw-{self.id}.2"


AREAS = (
    Area("all", "", "all", "Everything"),
    Area("zj", "zj/", "province", "浙江省"),
    Area("jh", "zj/jh/", "city", '金华 "江南"/Jinhua'),
    Area("jd", "zj/jh/jd/", "county", "金东区, 东"),
    Area("pj", "zj/jh/pj/", "county", "O'Brien \\ 浦江"),
)
JD, PJ = AREAS[3], AREAS[4]
SITES = (
    Site("school-3", "school", '第三小学 "东门"', JD, "金东区宝带西路 17 号", 29.09, 119.69),
    Site("werk.2", "factory", "O'Brien \\ Söhne / Werk 2 [alt]", JD, "Hafen 2, Tor 3", 29.11, 119.72),
    Site("tower-7", "tower", "瞭望塔 7 = 北山", PJ, "北山顶", 29.45, 119.88),
    Site("tower-8", "tower", "Tower\n8, 西山", PJ, "西山顶", 29.47, 119.83),
    Site("depot-1", "bikes", "人民路车站 [A] $1 (西)", JD, "人民路 1 号", 29.08, 119.65),
)
_STATES = (
    "unacknowledged", "acknowledged", "returned-unacknowledged", "latched-unacknowledged", "shelved", "out-of-service",
)  # fmt: skip
_HELD_BACK = {"shelved", "out-of-service"}
_STAGES = ("received", "shown", "acknowledged", "dispatched", "on-scene", "received")
_STAGE_S = {"transmission": 1.2, "acknowledge": 38.0, "dispatch": 75.0, "scene": 190.0, "close": 270.0}
_MINUTES_AGO = (1_380, 300, 95, 40, 12, 4)
_WHATS = ("raised", "acknowledged", "dispatched", "arrived", "cleared", "closed")
_ALARM_KINDS = ("panic", "smoke", "fire-danger", "tamper", "theft", "patrol-missed")
_ALARM_WORDS = {
    "panic": ("Panic button pressed", "紧急按钮被按下"),
    "smoke": ("Smoke", "烟雾报警"),
    "fire-danger": ("High fire danger", "火险等级高"),
    "tamper": ("Cover opened", "设备被拆动"),
    "theft": ("E-bike moved", "电动车被移动"),
    "patrol-missed": ("Nobody came to the checkpoint", "巡更漏检"),
}
_WORDS = {
    "reason": ("lost", "stopped"),
    "state": ("moving", "standing", "silent"),
    "judgement": ("confirmed", "false", ""),
    "version": ("0.6.0", "0.5.2"),
    "mode": ("live",),
    "rule": ("noon",),
}

Fields = dict[str, Any]


@cache
def profiles() -> tuple[Profile, ...]:
    """Every profile of the catalogue."""
    return tuple(load_profile(name) for name in list_profiles())


def lines(now_us: int) -> Iterator[tuple[str, bytes]]:
    """Write the stock: (retention policy, line) each; "" is the default policy."""
    yield from (("", line) for line in _telemetry(now_us))
    yield from ((HOURS_POLICY, line) for line in _hours(now_us))
    for name, tags, fields, at_us in (*_ingest(now_us), *_alarms(now_us), *_places(now_us), *_trades(now_us),
                                      *_numbers(now_us)):  # fmt: skip
        policy = LONG_POLICY if MEASUREMENTS[name].keep is Keep.LONG else ""
        yield policy, line_of(MEASUREMENTS[name], tags, fields, at_us)


def line_of(measurement: Measurement, tags: Mapping[str, str], fields: Mapping[str, Any], at_us: int) -> bytes:
    """Write a line with all that the schema names, the rest made up; a field that is None is left out.

    Raises:
        KeyError: a tag or field that the schema does not name.
    """
    unknown = (tags.keys() - set(measurement.tags)) | (fields.keys() - {one.name for one in measurement.fields})
    if unknown:
        raise KeyError(f"{measurement.name}: not in the schema: {sorted(unknown)}")
    named = {name: tags.get(name, f"{name}-1") for name in measurement.tags}
    pairs = [
        (one, fields[one.name] if one.name in fields else _made_up(one, at_us, named)) for one in measurement.fields
    ]
    written = ",".join(f"{one.name}={_written(one, value)}" for one, value in pairs if value is not None)
    tagged = "".join(f",{name}={tag_value(value)}" for name, value in sorted(named.items()) if value)
    return f"{measurement.name}{tagged} {written} {at_us}".encode()


def dense(now_us: int) -> list[int]:
    """Moments: every hour of a day, every five minutes from a little before now on."""
    past = range(now_us - DAY_US + MINUTE_US, now_us - 30 * MINUTE_US, HOUR_US)
    return [*past, *range(now_us - 30 * MINUTE_US, now_us + AHEAD_MIN * MINUTE_US + 1, 5 * MINUTE_US)]


@cache
def point_keys() -> frozenset[str]:
    """Keys of the points of every profile, and of what a gateway says of itself and its buses."""
    own = _health(0).samples(0, {"rs485-1": {1: "closed", 2: "open"}})
    said = (point.key for sample in own for point in sample.points)
    return frozenset([*(point.key for profile in profiles() for point in profile.points), *said])


def device_id(profile: Profile) -> str:
    """Its id on either gateway."""
    return profile.profile.replace("/", ".")


def _days(now_us: int, count: int) -> list[int]:
    """Beginnings of local days, the last one today's."""
    today = (now_us + _SHANGHAI_US) // DAY_US * DAY_US - _SHANGHAI_US
    return [today - day * DAY_US for day in range(count)]


def _written(field: Field, value: Any) -> str:
    if field.kind is Kind.INTEGER:
        return f"{int(value)}i"
    return field_value({Kind.FLOAT: float, Kind.BOOLEAN: bool, Kind.STRING: str}[field.kind](value))


def _made_up(field: Field, at_us: int, tags: Mapping[str, str]) -> Value:
    step = at_us // (5 * MINUTE_US)
    own = sum(map(ord, "".join(tags.values()) + field.name))
    if field.kind is Kind.STRING:
        words = _WORDS.get(field.name, (f"{field.name} 一",))
        return words[step % len(words)]
    if field.kind is Kind.BOOLEAN:
        return (step + own) % 2 == 0
    return float(1 + (step // 12 + own) % 5) if field.kind is Kind.INTEGER else 3 + 2 * math.sin(step / 20 + own)


def _value(point: AnyPoint, step: int) -> Value:
    kind = value_kind(point)
    if kind is ValueKind.STATE:
        return step % 7 == 0
    if kind is ValueKind.WORD:
        words = list(point.values.values()) if isinstance(point, PointDef) else ["open", "closed"]
        return words[step % len(words)]
    low, high = point.range or (0.0, 40.0)
    return low + (high - low) * (0.5 + 0.4 * math.sin(step / 10))


def _devices() -> Iterator[tuple[Site, str, str, Profile]]:
    """All of them: site, gateway, id, profile. Two sites have one of each profile, the others one of each kind."""
    one_each = {profile.kind: profile for profile in profiles()}.values()
    for site in SITES:
        for index, profile in enumerate(profiles() if site in (SITES[0], SITES[2]) else one_each):
            yield site, site.gateways[index % 2], device_id(profile), profile


_LEVELS = {
    "disk_free_bytes": 21e9, "disk_bytes": 64e9, "cpu_celsius": 48.0, "load": 0.4, "rss_bytes": 62e6, "offset_ms": 4.0,
    "error_ms": 9.0, "readings_waiting": 12, "alarms_waiting": 0, "alarm_bytes_waiting": 0, "oldest_reading_s": 1.5,
    "oldest_alarm_s": 0.0, "mute_units": 1, "under_way": 3, "loop_lag_ms": 6.0,
}  # fmt: skip
"""What is a level is about so much, and half again now and then; everything else counts."""


def _health(step: int) -> Health:
    health = Health(buses={"rs485-1": BusHealth(is_up=True), "lan": BusHealth(is_up=True, push=PushHealth())})
    parts: list[Any] = [health.uplink, health.store, health.clock, health.machine]
    for bus in health.buses.values():
        parts += [bus, bus.line] if bus.push is None else [bus.push]
    for part in parts:
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if name.endswith("undervolted"):
                setattr(part, name, step % 3 == 0)
            elif name != "push" and (value is None or type(value) in {int, float}):
                level = _LEVELS.get(name)
                setattr(part, name, 10 + step if level is None else level * (1 + step % 7 / 14))
    health.clock.is_trusted, health.uplink.is_up = True, step % 9 > 0
    return health


def _telemetry(now_us: int) -> Iterator[bytes]:
    moments = dense(now_us)
    for site, gateway, device, profile in _devices():
        samples = [
            Sample(device, at_us, tuple(Point(point.key, _value(point, step)) for point in profile.points))
            for step, at_us in enumerate(moments)
        ]
        yield from encode_lines(samples, tags={"gateway": gateway, "site": site.id}, received_at_us=now_us)
    for number, site in enumerate(SITES):
        for gateway in site.gateways:
            breakers = {"rs485-1": {1: "closed", 2: "open"}}
            own = [
                one for step, at_us in enumerate(moments, 3 * number) for one in _health(step).samples(at_us, breakers)
            ]
            yield from encode_lines(own, tags={"gateway": gateway, "site": site.id}, received_at_us=now_us)


def _hours(now_us: int) -> Iterator[bytes]:
    moments = [now_us // HOUR_US * HOUR_US - hour * HOUR_US for hour in range(24)]
    for site, gateway, device, profile in _devices():
        prefix = tag_prefix({"gateway": gateway, "site": site.id, "device": device})
        keys = [field_key(point.key) for point in profile.points if isinstance(_value(point, 0), float)]
        if not keys:
            continue
        fields = ",".join(f"mean_{key}=20.0,min_{key}=10.0,max_{key}=30.0" for key in keys)
        yield from (f"{prefix} {fields} {at_us}".encode() for at_us in moments)


Row = tuple[str, Mapping[str, str], Fields, int]


def _ingest(now_us: int) -> Iterator[Row]:
    for worker, (step, at_us) in product(("ingest-1", "ingest/2"), enumerate(dense(now_us))):
        yield (
            "ingest",
            {"worker": worker},
            {"dead_letters": step, "reconnects": step // 9, "uptime_s": 60 * step},
            at_us,
        )


def _levels(within: str) -> list[str]:
    """Severities of the alarms of all sites whose area lies there that are open and not held back."""
    found = enumerate(product(SITES, enumerate(_STATES)))
    return [
        _level(number, index)
        for number, (site, (index, state)) in found
        if index and state not in _HELD_BACK and (site.area.path.startswith(within) or site.id == within)
    ]


def _level(number: int, index: int) -> str:
    return list(LEVELS)[(number // len(_STATES) + index) % 4]


def _alarms(now_us: int) -> Iterator[Row]:
    devices = [device_id(profile) for profile in profiles()]
    for number, (site, (index, state)) in enumerate(product(SITES, enumerate(_STATES))):
        level, kind, minutes_ago = _level(number, index), _ALARM_KINDS[index], _MINUTES_AGO[index]
        raised_us = now_us - (minutes_ago + number) * MINUTE_US
        named = {"gateway": site.gateways[index % 2], "device": devices[index], "point": "button_1"}
        tags = {**named, "site": site.id, "path": path_tag(site.area.path), "rule": "pressed", "kind": kind}
        english, chinese = _ALARM_WORDS[kind]
        words = {"text_en": f'{english} at "{site.name}"', "text_zh": f"{site.name}：{chinese}\n请核实"}
        steady: Fields = {
            "severity": LEVELS[level], "level": level, "state": state, "stage": _STAGES[index], "mode": "live",
            "alarm_id": f"{number:024x}", "site_name": site.name, "area_name": site.area.name, "address": site.address,
            "latitude": site.latitude, "longitude": site.longitude, "raised_at": raised_us // 1000, "target_s": 300.0,
            "acknowledged": "un" not in state, "suppressed": state in _HELD_BACK, "triggers": 1,
            "way_site": urlencode({"var-site": site.id}),
            "way_device": urlencode({"var-gateway": named["gateway"], "var-device": named["device"]}),
            **words,
        }  # fmt: skip
        for at_us in (raised_us, *(one for one in dense(now_us) if one > raised_us)):
            age_s = (at_us - raised_us) / 1e6
            yield "alarm_state", tags, {**steady, "open": 1, "age_s": age_s, "share": age_s / 300}, at_us
        if index == 0:
            closed = {"open": 0, "severity": 0, "age_s": 0.0, "share": 0.0}
            yield "alarm_state", tags, {**steady, **closed}, now_us + AHEAD_MIN * MINUTE_US + 1
        event = {key: steady[key] for key in ("level", "severity", "alarm_id", "site_name", "mode")} | named | words
        for step, what in enumerate(_WHATS):
            tagged = {"kind": kind, "path": tags["path"], "site": site.id}
            at_us = min(raised_us + step * 4 * MINUTE_US, now_us) + 10 * number + step
            yield "alarm_event", tagged, {**event, "what": what}, at_us


def _places(now_us: int) -> Iterator[Row]:
    moments = dense(now_us)
    for area in AREAS:
        counts = Counter(_levels(area.path))
        fields: Fields = {"label": label_of(area.name, area.id), "worst": max(LEVELS[level] for level in counts),
                          **{level: counts[level] for level in LEVELS}, "open": counts.total(), "unacknowledged": 2,
                          "over_target": counts.total(), "suppressed": 2 * len(SITES)}  # fmt: skip
        for step, at_us in enumerate(moments):
            now = fields if at_us > now_us - HOUR_US else fields | {"critical": step % 3, "high": 1 + step % 2}
            yield "area_state", {"area": area.id, "level": area.level}, now, at_us
    beats = range(now_us - DAY_US, now_us + AHEAD_MIN * MINUTE_US + 1, 5 * MINUTE_US)
    for (rank, site), (step, at_us) in product(enumerate(SITES), enumerate(beats)):
        where = {"latitude": site.latitude, "longitude": site.longitude}
        tags = {"kind": site.kind, "path": path_tag(site.area.path), "site": site.id}
        named = {"label": label_of(site.name, site.id), "name": site.name}
        open_now = _levels(site.id)
        was = list(LEVELS)[(step // 40 + rank) % 4]
        level = max(open_now, key=LEVELS.__getitem__) if at_us > now_us - HOUR_US else was
        also = {"area_name": site.area.name, "address": site.address, "worst": LEVELS[level], "level": level,
                "open": len(open_now), "over_target": 1, "gateways": 2, "gateways_online": 1 + step % 2}  # fmt: skip
        yield "site_state", tags, {**named, **where, **also}, at_us
        for gateway in site.gateways:
            tags = {"gateway": gateway, "path": path_tag(site.area.path), "site": site.id}
            named = {"label": label_of(f"网关 {site.name}", gateway), "name": f"网关 {site.name}"}
            yield "gateway_state", tags, {**named, **where, "online": (step + 7 * rank) % 40 > 1}, at_us
    for (site, gateway, device, profile), at_us in product(_devices(), moments[::3]):
        tags = {"device": device, "gateway": gateway, "kind": profile.kind, "path": path_tag(site.area.path),
                "site": site.id}  # fmt: skip
        name = f'{profile.title["zh"]} "{device}"/1'
        fields = {"label": label_of(name, device), "name": name, "profile": profile.profile, "lost": 0,
                  "board": uid_of(profile.kind),
                  "worst": len(device) % 3, "place": "二楼",
                  "site_label": label_of(site.name, site.id),
                  "latitude": site.latitude, "longitude": site.longitude}  # fmt: skip
        yield "device_state", tags, fields, at_us


def _within(area: Area) -> dict[str, str]:
    return {"area": area.id, "path": path_tag(area.path)}


def _trades(now_us: int) -> Iterator[Row]:
    moments = dense(now_us)
    terminal = next(f"{gateway}/{device}" for _site, gateway, device, profile in _devices() if _has_place(profile))
    for vehicle, (step, at_us) in product(("bus.9", "tanker-2"), enumerate(moments)):
        fields = {"label": label_of(f'浙G·"{vehicle}"/1', vehicle), "name": f'浙G·"{vehicle}"/1',
                  "latitude": 29.1 + step / 1000, "longitude": 119.6 + step / 1000, "terminal": terminal}  # fmt: skip
        yield "vehicle_state", {"path": path_tag(JD.path), "vehicle": vehicle}, fields, at_us
    for number, what in enumerate(("raised", "cleared")):
        fields = {"what": what, "device": "vehicle.bus.9", "gateway": "cloud", "level": "high", "mode": "live"}
        tags = {"kind": "area", "path": path_tag(JD.path), "site": ""}
        yield "alarm_event", tags, fields, now_us - HOUR_US + number * MINUTE_US
    for site in SITES:
        tags = {**_within(site.area), "site": site.id, "station": site.id}
        known = [one.name for one in MEASUREMENTS["fire_danger"].fields]
        hourly: Fields = dict.fromkeys(known)
        said = {"name": site.name, "label": label_of(site.name, site.id), "latitude": site.latitude,
                "longitude": site.longitude}  # fmt: skip
        named = {key: value for key, value in said.items() if key in known}
        for hour in range(8 * 24):
            dry = {"hourly_ffmc": 82 + 8 * math.sin(hour / 4 + site.latitude)}
            yield "fire_danger", tags, {**hourly, **named, **dry}, now_us // HOUR_US * HOUR_US - hour * HOUR_US
        for day, at_us in enumerate(_days(now_us, 40)):
            # Noon of a day; today's only once it is over.
            noon_us, fwi = at_us + 12 * HOUR_US, 18 + 14 * math.sin(day / 3 + 9 * site.longitude)
            codes = {"ffmc": 70 + fwi / 2, "dmc": 2 * fwi, "dc": 200 + 4 * fwi, "isi": fwi / 3, "bui": 2.2 * fwi,
                     "fwi": fwi, "dsr": fwi / 5, "effis": 1 + int(fwi // 8), "canada": 1 + int(fwi // 8),
                     "china": 1 + int(fwi // 8), "china_index": 2 * fwi, "danger": 1 + int(fwi // 8)}  # fmt: skip
            if noon_us <= now_us:
                yield "fire_danger", tags, {**named, **codes, "hourly_ffmc": None}, noon_us
        tags = {**_within(site.area), "gateway": site.gateways[0], "site": site.id, "station": f"station-{site.id}"}
        where = {"name": site.name, "latitude": site.latitude, "longitude": site.longitude,
                 "label": label_of(site.name, site.gateways[0])}  # fmt: skip
        yield from (("bike_station", tags, where, at_us) for at_us in moments)
    for area, mode, hour in product(AREAS, ("live", "drill"), range(24)):
        where = {"latitude": 29.4 + hour / 1000, "longitude": 119.8, "confidence": hour / 24}
        yield "fire", {**_within(area), "mode": mode}, {"fire": f"f{hour // 4}", **where}, now_us - hour * HOUR_US
    yield from (("bike_watch", {}, {}, at_us) for at_us in moments)
    for area, at_us in product(AREAS, moments):
        yield "vehicle", _within(area), {}, at_us
    for area, route, tour in product(AREAS, ("night", "rund/um"), range(8 * 7)):
        verdict = {
            "tours": 1,
            "tours_on_time": tour % 3 == 0,
            "tours_late": tour % 3 == 1,
            "tours_missed": tour % 3 == 2,
        }
        tags = {**_within(area), "plan": f"plan-{route}", "route": route}
        yield "patrol", tags, {**verdict, **_route(route)}, now_us - tour * 3 * HOUR_US


def _has_place(profile: Profile) -> bool:
    return {"latitude", "longitude", "vehicle_speed"} <= {point.key for point in profile.points}


def _route(route: str) -> Fields:
    name = f'夜班 "{route}"'
    return {"route_name": name, "label": label_of(name, route)}


def _numbers(now_us: int) -> Iterator[Row]:
    days, areas = _days(now_us, 40), [area.id for area in AREAS]
    for (area, kind, (level, rank)), (day, at_us) in product(
        product(areas, _ALARM_KINDS, LEVELS.items()), enumerate(days)
    ):
        raised = float((day * 7 + 3 * len(kind) + len(area)) % 9 + 4 - rank)
        counts = {"raised": raised, "triggers": raised + 1, "handled": raised, "closed": raised,
                  "false_calls": raised // 4, "closed_within": max(0.0, raised - 1), "late": raised // 5,
                  "chattering": raised // 6, "fleeting": raised // 5, "stale": raised // 9, "test": 1.0,
                  "drill": 1.0}  # fmt: skip
        yield "alarms_by_area", {"area": area, "kind": kind, "severity": level}, counts, at_us
    for area, (day, at_us) in product(areas, enumerate(days)):
        for stage, seconds in _STAGE_S.items():
            p50_s = seconds * (1 + 0.3 * math.sin(day / 3 + seconds))
            response = {"count": 40.0, "within": 36.0 + day % 5, "p50_s": p50_s, "p90_s": 1.9 * p50_s}
            yield "alarm_response", {"area": area, "stage": stage}, response, at_us
        per_hour = 3 + math.sin(day / 2)
        load = {"alarms": 24 * per_hour, "per_hour": per_hour, "per_ten_minutes": per_hour / 6,
                "worst_ten_minutes": 5.0 + day % 8, "overfull_share": day % 4 / 100,
                "flood_share": day % 3 / 100}  # fmt: skip
        yield "alarm_load", {"area": area}, load, at_us
        yield "availability", {"area": area, "of": "gateways"}, {"share": 0.97 + day % 4 / 150}, at_us
    for area, hour in product(areas, range(8 * 24)):
        shown = {"annunciated": 2.0 + hour % 24 % 7}
        yield "alarms_by_hour", {"area": area}, shown, now_us // HOUR_US * HOUR_US - hour * HOUR_US


def written(stock: Iterable[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """Sort lines by their policy."""
    found: dict[str, list[bytes]] = {}
    for policy, line in stock:
        found.setdefault(policy, []).append(line)
    return found
