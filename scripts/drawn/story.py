"""What the pictures show: a small county on a normal day, made up from end to end. Pure.

One panic button has just been pressed, a few alarms are in hand, one takes too long, towers watch a fire, a gateway is
away. Only what the drawn dashboards ask for is written.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from msgspec import Struct

from cloud.influx.lines import encode_lines
from cloud.influx.schema import LEVELS, MEASUREMENTS, label_of, path_tag, policy_of
from contract.telemetry import Point, Sample, Value
from device_profiles.model import Profile
from tests.cloud.grafana_stock import line_of, profiles

_S_US, _MINUTE_US, _HOUR_US, _DAY_US = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
_SHANGHAI_US = 8 * _HOUR_US
_DAYS = 62
_TARGET_S = {"critical": 300.0, "high": 600.0, "medium": 900.0, "low": 3_600.0}
_AREAS = {
    "all": ("", "all", "Everything"),
    "beishan": ("beishan/", "county", "北山县"),
    "dongjie": ("beishan/dongjie/", "town", "东街镇"),
    "longtan": ("beishan/longtan/", "town", "龙潭镇"),
    "yunfeng": ("beishan/yunfeng/", "town", "云峰乡"),
}
"""Path, level and name by id."""
_SHARES = {"dongjie": 0.55, "longtan": 0.3, "yunfeng": 0.15}
"""Of the alarms."""


class _Site(Struct, frozen=True):
    """A site with one gateway, and devices of some profiles."""

    id: str
    kind: str
    name: str
    area: str
    address: str
    latitude: float
    longitude: float
    devices: Mapping[str, str]

    @property
    def gateway(self) -> str:
        return f"gw-{self.id}"

    @property
    def path(self) -> str:
        return path_tag(_AREAS[self.area][0])

    @property
    def where(self) -> dict[str, float]:
        return {"latitude": self.latitude, "longitude": self.longitude}


_SCHOOL = {
    "panic-gate": "konnad/c2000-a2-sdd4040-ad1", "smoke-kitchen": "heiman/hs1sa",
    "climate-library": "xiaomi/wsdcgq01lm", "climate-hall": "microrobotics/rs485-th", "door-lab": "aqara/mccgq11lm",
}  # fmt: skip
_HALL = {"smoke-1": "heiman/hs1sa", "climate-1": "microrobotics/rs485-th", "panic-1": "novabo/modbusrtu-sqr-2"}
_TOWER = {"smoke-1": "heiman/hs1sa", "weather-1": "seeed/sensecap-one"}
_SITES = (
    _Site("school-3", "school", "第三小学", "dongjie", "学府路 17 号", 29.412, 119.842, _SCHOOL),
    _Site("school-1", "school", "北山中学", "dongjie", "中山路 5 号", 29.438, 119.871, _HALL),
    _Site("hospital", "hospital", "County Hospital", "dongjie", "康宁路 1 号", 29.398, 119.893, _HALL),
    _Site("market", "market", "东街农贸市场", "dongjie", "东街 88 号", 29.372, 119.861, _HALL),
    _Site("works-2", "factory", "Riverside Works", "longtan", "工业路 2 号", 29.342, 119.951, _HALL),
    _Site("water-1", "waterworks", "龙潭水厂", "longtan", "水厂路 9 号", 29.369, 119.989, _HALL),
    _Site("library", "library", "县图书馆", "dongjie", "文化路 3 号", 29.424, 119.915, _HALL),
    _Site("tower-1", "tower", "北山瞭望塔", "yunfeng", "北山顶", 29.512, 119.874, _TOWER),
    _Site("tower-2", "tower", "西岭瞭望塔", "yunfeng", "西岭", 29.486, 119.805, _TOWER),
    _Site("tower-3", "tower", "Cloud Peak lookout", "yunfeng", "云峰顶", 29.531, 119.936, _TOWER),
    _Site("tower-4", "tower", "龙潭瞭望塔", "longtan", "龙潭东山", 29.451, 119.978, _TOWER),
)
_BY_ID = {site.id: site for site in _SITES}
_AWAY = "library"
"""Whose gateway is not connected since an hour and a half ago."""
_AWAY_S = 5_400


class _Open(Struct, frozen=True):
    """An alarm that is open."""

    site: str
    level: str
    state: str
    stage: str
    minutes: float
    kind: str
    device: str
    english: str
    chinese: str
    triggers: int = 1

    @property
    def is_heard(self) -> bool:
        return self.state != "shelved"

    @property
    def is_over(self) -> bool:
        return self.minutes * 60 > _TARGET_S[self.level]


_OPEN = (
    _Open("school-3", "critical", "unacknowledged", "shown", 2, "panic", "panic-gate", "Panic button, gate",
          "校门紧急按钮被按下", 2),
    _Open("tower-1", "high", "acknowledged", "on-scene", 8, "fire", "smoke-1", "Smoke above the north slope",
          "北坡上方有烟"),
    _Open("hospital", "high", "acknowledged", "dispatched", 4, "smoke", "smoke-1", "Smoke, ward 2", "二病区烟雾报警"),
    _Open("works-2", "medium", "acknowledged", "dispatched", 23, "tamper", "panic-1", "Cover opened", "设备被拆动"),
    _Open("school-3", "low", "acknowledged", "acknowledged", 34, "battery", "door-lab", "Battery low, lab door",
          "实验室门磁电量低"),
    _Open("market", "low", "shelved", "acknowledged", 51, "climate", "climate-1", "Cold store too warm",
          "冷库温度偏高"),
)  # fmt: skip
_EARLIER = (
    ("school-3", 640, 618, "medium"), ("hospital", 1_300, 1_265, "high"), ("hospital", 410, 396, "medium"),
    ("works-2", 1_010, 930, "low"), ("market", 780, 742, "medium"), ("market", 300, 284, "high"),
    ("tower-1", 205, 120, "medium"), ("water-1", 560, 500, "low"), ("school-1", 505, 488, "critical"),
    ("tower-4", 1_150, 1_110, "medium"),
)  # fmt: skip
"""Alarms of the day that are closed: site, began and ended so many minutes ago, severity."""
_KINDS = {"panic": 1.6, "smoke": 2.2, "tamper": 1.1, "fire": 0.5, "theft": 1.4, "patrol-missed": 2.0}
"""Alarms of the county a day."""
_FALSE = {"panic": 0.22, "smoke": 0.15, "tamper": 0.08, "fire": 0.1, "theft": 0.05, "patrol-missed": 0.02}
_STAGE_S = {"transmission": 1.1, "acknowledge": 34.0, "dispatch": 82.0, "scene": 205.0, "close": 262.0}
_TOWERS_FWI = {"tower-1": 23.0, "tower-2": 13.5, "tower-3": 8.5, "tower-4": 18.0}

Row = tuple[str, Mapping[str, str], Mapping[str, Any], int]


def lines(now_us: int) -> Iterator[tuple[str, bytes]]:
    """Write the story: (retention policy, line) each; "" is the default policy."""
    yield from (("", line) for line in _readings(now_us))
    for name, tags, fields, at_us in (*_areas(now_us), *_sites(now_us), *_alarms(now_us), *_danger(now_us),
                                      *_fire(now_us), *_numbers(now_us)):  # fmt: skip
        measurement = MEASUREMENTS[name]
        nothing: dict[str, Any] = dict.fromkeys(one.name for one in measurement.fields)
        yield policy_of(name), line_of(measurement, tags, nothing | dict(fields), at_us)


def _noise(*seeds: int) -> float:
    """From -1 to 1, the same each time."""
    return 2 * (43_758.5453 * math.sin(sum((one + 1) * 78.233**place for place, one in enumerate(seeds))) % 1) - 1


def _beats(now_us: int, every_us: int) -> range:
    return range(now_us - _DAY_US + every_us, now_us + 1, every_us)


def _open_at(site: str, minutes_ago: float) -> list[_Open]:
    return [one for one in _OPEN if one.site == site and one.is_heard and one.minutes >= minutes_ago]


def _worst_at(site: str, minutes_ago: float) -> str:
    found = [one.level for one in _open_at(site, minutes_ago)]
    found += [level for where, began, ended, level in _EARLIER if where == site and began >= minutes_ago > ended]
    return max(found, key=LEVELS.__getitem__, default="none")


def _areas(now_us: int) -> Iterator[Row]:
    for (area, (path, level, name)), at_us in product(_AREAS.items(), _beats(now_us, 5 * _MINUTE_US)):
        ago_min = (now_us - at_us) / _MINUTE_US
        sites = {site.id for site in _SITES if _AREAS[site.area][0].startswith(path)}
        inside = [one for one in _OPEN if one.site in sites and one.minutes >= ago_min]
        heard = [one for one in inside if one.is_heard]
        earlier = [one for where, began, ended, one in _EARLIER if where in sites and began >= ago_min > ended]
        counts = Counter([one.level for one in heard] + earlier)
        fields = {
            "label": label_of(name, area), **{level: counts[level] for level in LEVELS}, "open": counts.total(),
            "unacknowledged": sum(one.state == "unacknowledged" for one in heard),
            "over_target": sum(one.is_over for one in heard), "suppressed": len(inside) - len(heard),
            "worst": max((LEVELS[one] for one in counts), default=0),
        }  # fmt: skip
        yield "area_state", {"area": area, "level": level}, fields, at_us


def _sites(now_us: int) -> Iterator[Row]:
    for site, at_us in product(_SITES, _beats(now_us, 5 * _MINUTE_US)):
        ago_us = now_us - at_us
        level = _worst_at(site.id, ago_us / _MINUTE_US)
        now = _open_at(site.id, ago_us / _MINUTE_US)
        online = int(site.id != _AWAY or ago_us > _AWAY_S * _S_US)
        tags = {"path": site.path, "site": site.id}
        fields = {
            "label": label_of(site.name, site.id), "name": site.name, "area_name": _AREAS[site.area][2],
            "address": site.address, **site.where, "worst": LEVELS.get(level, 0), "level": level, "open": len(now),
            "over_target": sum(one.is_over for one in now), "gateways": 1, "gateways_online": online,
        }  # fmt: skip
        yield "site_state", tags | {"kind": site.kind}, fields, at_us
        since_s = (140 + 90 * _noise(len(site.name), site.id.count("1"), len(site.address))) * 3_600
        own = {
            "label": label_of(f"网关 {site.name}", site.gateway), "name": f"网关 {site.name}", "online": online,
            "reason": None if online else "lost", "version": "0.5.2" if site.area == "longtan" else "0.6.0",
            "since_s": since_s if online else float(_AWAY_S), "devices": len(site.devices),
            **site.where,
        }  # fmt: skip
        yield "gateway_state", tags | {"gateway": site.gateway}, own, at_us
    for site in _SITES:
        for device, profile in _devices(site):
            worst = max((LEVELS[one.level] for one in _open_at(site.id, 0) if one.device == device), default=0)
            fields = {
                "label": label_of(profile.title["zh"], device), "name": profile.title["zh"], "place": _place_of(device),
                "site_label": label_of(site.name, site.id), "profile": profile.profile,
                "lost": int(site.id == _AWAY), "worst": worst, **site.where,
            }  # fmt: skip
            tags = {"device": device, "gateway": site.gateway, "kind": profile.kind, "path": site.path, "site": site.id}
            yield "device_state", tags, fields, now_us


def _place_of(device: str) -> str:
    places = {"gate": "校门", "kitchen": "厨房", "library": "图书室", "hall": "大厅", "lab": "实验室"}
    return places.get(device.rpartition("-")[2], "一楼")


def _devices(site: _Site) -> list[tuple[str, Profile]]:
    known = {profile.profile: profile for profile in profiles()}
    return [(device, known[name]) for device, name in site.devices.items()]


def _alarms(now_us: int) -> Iterator[Row]:
    for number, one in enumerate(_OPEN):
        site, target_s, age_s = _BY_ID[one.site], _TARGET_S[one.level], one.minutes * 60
        tags = {"device": one.device, "gateway": site.gateway, "kind": one.kind, "path": site.path, "point": "alarm",
                "rule": "raised", "site": site.id}  # fmt: skip
        fields = {
            "open": 1, "alarm_id": f"{number + 1:024x}", "severity": LEVELS[one.level], "level": one.level,
            "state": one.state, "stage": one.stage, "text_en": one.english, "text_zh": one.chinese,
            "site_name": site.name, "area_name": _AREAS[site.area][2], "address": site.address, **site.where,
            "raised_at": int(now_us - age_s * _S_US) // 1_000, "age_s": age_s, "target_s": target_s,
            "share": age_s / target_s, "triggers": one.triggers, "acknowledged": one.state == "acknowledged",
            "suppressed": not one.is_heard, "mode": "live",
        }  # fmt: skip
        yield "alarm_state", tags, fields, now_us


def _class_of(fwi: float) -> int:
    return 1 + sum(fwi >= limit for limit in (5.2, 11.2, 21.3, 38.0, 50.0))


def _danger(now_us: int) -> Iterator[Row]:
    today_us = (now_us + _SHANGHAI_US) // _DAY_US * _DAY_US - _SHANGHAI_US
    for rank, (station, base) in enumerate(_TOWERS_FWI.items()):
        site = _BY_ID[station]
        tags = {"area": site.area, "path": site.path, "site": site.id, "station": station}
        named = {"label": label_of(site.name, station), "name": site.name, **site.where}
        for hour in range(48):
            at_us = now_us // _HOUR_US * _HOUR_US - hour * _HOUR_US
            local = (at_us + _SHANGHAI_US) % _DAY_US / _HOUR_US
            dry = 79 + base / 4 + 5 * math.cos((local - 16) * math.pi / 12) + 0.6 * _noise(rank, hour)
            yield "fire_danger", tags, named | {"hourly_ffmc": dry}, at_us
        for day in range(_DAYS):
            noon_us = today_us - day * _DAY_US + 12 * _HOUR_US
            fwi = base * (1 - 0.012 * day) + 1.5 * _noise(rank, day) * (day > 0)
            grade = _class_of(fwi)
            codes = {"ffmc": 80 + fwi / 3, "dmc": 1.6 * fwi, "dc": 180 + 3 * fwi, "isi": fwi / 3, "bui": 2 * fwi,
                     "fwi": fwi, "dsr": 0.0272 * fwi**1.77, "effis": grade, "canada": grade, "china": min(grade, 5),
                     "danger": grade, "rule": "noon"}  # fmt: skip
            if noon_us <= now_us:
                yield "fire_danger", tags, named | codes, noon_us


def _fire(now_us: int) -> Iterator[Row]:
    steps = (
        (8.0, 0.42, 1, 1, None, 900.0), (6.5, 0.63, 2, 1, None, 900.0), (5.0, 0.86, 3, 2, None, 240.0),
        (2.0, 0.97, 4, 2, "confirmed", 180.0),
    )  # fmt: skip
    tags = {"area": "yunfeng", "mode": "live", "path": path_tag(_AREAS["yunfeng"][0])}
    for minutes, confidence, evidence, towers, judgement, radius_m in steps:
        fields = {
            "fire": "f-1107", "confidence": confidence, "evidence": evidence, "towers": towers,
            "stands": evidence > 1, "judgement": judgement, "latitude": 29.521, "longitude": 119.852,
            "radius": radius_m,
        }  # fmt: skip
        yield "fire", tags, fields, now_us - int(minutes * _MINUTE_US)


_FIXED: Mapping[str, Value] = {
    "battery_level": 87.0, "battery_voltage": 2.98, "device_temperature": 24.0, "pressure": 1_012.0,
    "wind_direction": 210.0, "wind_speed": 2.4, "wind_gust": 4.1, "illuminance": 320.0,
}  # fmt: skip


def _value(site: _Site, device: str, key: str, ago_us: int, local_h: float) -> Value:
    """Read a point; what is no number is a state that holds while its alarm is open."""
    rank = len(site.id) + len(device)
    if key == "temperature":
        return 20.5 + rank % 4 + 3 * math.cos((local_h - 15) * math.pi / 12) + 0.2 * _noise(rank, ago_us // _HOUR_US)
    if key == "humidity":
        return 55 - rank % 5 - 9 * math.cos((local_h - 15) * math.pi / 12) + 0.5 * _noise(rank, ago_us // _HOUR_US)
    if key in _FIXED:
        return 9.0 if (device, key) == ("door-lab", "battery_level") else _FIXED[key]
    alarming = any(one.device == device for one in _open_at(site.id, ago_us / _MINUTE_US))
    return alarming and key in ("smoke", "button_1", "battery_low")


def _readings(now_us: int) -> Iterator[bytes]:
    for site, at_us in product(_SITES, _beats(now_us, 10 * _MINUTE_US)):
        ago_us = now_us - at_us
        if site.id == _AWAY and ago_us < _AWAY_S * _S_US:
            continue
        local_h = (at_us + _SHANGHAI_US) % _DAY_US / _HOUR_US
        samples = [
            Sample(device, at_us, tuple(Point(point.key, _value(site, device, point.key, ago_us, local_h))
                                        for point in profile.points))
            for device, profile in _devices(site)
        ]  # fmt: skip
        samples += _own(site, at_us, (_DAY_US - ago_us) // _HOUR_US)
        tags = {"gateway": site.gateway, "site": site.id}
        yield from encode_lines(samples, tags=tags, received_at_us=at_us + _S_US)


def _own(site: _Site, at_us: int, hours: int) -> Iterator[Sample]:
    """What a gateway says of itself and its bus."""
    rank = list(_BY_ID).index(site.id)
    said: dict[str, Value] = {
        "outbox.readings_waiting": 2 + rank % 4, "outbox.alarms_waiting": 0, "outbox.oldest_reading_s": 0.8 + rank / 10,
        "outbox.readings_evicted": 0, "uplink.connects": 1 + rank % 3 + rank % 3 * (hours // 12),
        "uplink.sent_again": rank % 4, "clock.is_trusted": True, "clock.offset_ms": 1.5 + rank % 5,
        "machine.cpu_celsius": 44.0 + rank % 6, "machine.disk_free_bytes": 21e9 - rank * 4e8,
        "machine.disk_bytes": 31e9, "uplink.is_up": True,
    }  # fmt: skip
    yield Sample("gateway", at_us, tuple(Point(key, value) for key, value in said.items()))
    polls = 4_200 * (hours + 2) + 37 * rank
    silent = 11 * hours if site.id == "works-2" else rank % 3
    bus: dict[str, Value] = {
        "is_up": True, "mute_units": int(site.id == "works-2"), "polls": polls, "answers": polls - silent,
        "timeouts": silent, "frame_errors": rank % 2, "refusals": 0, "bad_values": 0, "writes_failed": 0,
    }  # fmt: skip
    yield Sample("gateway.rs485-1", at_us, tuple(Point(key, value) for key, value in bus.items()))


def _numbers(now_us: int) -> Iterator[Row]:
    """What the desk counts of the days before today."""
    today_us = (now_us + _SHANGHAI_US) // _DAY_US * _DAY_US - _SHANGHAI_US
    for day in range(1, _DAYS):
        at_us = today_us - day * _DAY_US
        for number, (kind, daily) in enumerate(_KINDS.items()):
            towns = {
                town: _counts(kind, max(0, round(daily * share * 2 + 1.4 * _noise(day, number, rank))), day + rank)
                for rank, (town, share) in enumerate(_SHARES.items())
            }
            whole = {name: sum(one[name] for one in towns.values()) for name in towns["dongjie"]}
            for area, counts in {**towns, "beishan": whole, "all": whole}.items():
                tags = {"area": area, "kind": kind, "severity": "critical" if kind in ("panic", "fire") else "medium"}
                yield "alarms_by_area", tags, counts, at_us
        for rank, ((stage, seconds), area) in enumerate(product(_STAGE_S.items(), _AREAS)):
            p50_s = seconds * (1 + 0.12 * _noise(day, rank))
            fields = {"count": 20.0, "within": 20.0 - (day + rank) % 3, "p50_s": p50_s,
                      "p90_s": p50_s * (1.7 + 0.15 * _noise(rank, day))}  # fmt: skip
            yield "alarm_response", {"area": area, "stage": stage}, fields, at_us


def _counts(kind: str, raised: int, seed: int) -> dict[str, float]:
    false_calls = sum(abs(_noise(seed, one)) < _FALSE[kind] for one in range(raised))
    late = int(raised > 1 and seed % 5 == 0)
    return {
        "raised": float(raised), "triggers": float(raised + seed % 2), "handled": float(raised),
        "closed": float(raised), "false_calls": float(false_calls), "closed_within": float(raised - late),
        "late": float(seed % 11 == 0 and raised > 0), "chattering": float(seed % 7 == 0 and raised > 1),
        "fleeting": float(seed % 6 == 0 and raised > 0),
    }  # fmt: skip
