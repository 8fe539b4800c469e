"""A city's series in a real InfluxDB 1.6: as many as docs/influxdb.md says; and how soon the alarm wall is answered.

First every series of the city is written once. Then what stands is written with its beats for `BENCH_HISTORY_H` hours
(24 unless said) of `BENCH_SITES` sites with a gateway each (300), their areas, devices and alarms, and their readings,
one a minute and device. Then everything the alarm wall asks for the whole city is asked `BENCH_ROUNDS` times (30), as
one browser does: question by question, over HTTP, while nothing else is asked. The server is set as
docs/influxdb.md says for a city.
"""

import http.client
import math
import os
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psutil
from msgspec import Struct

from cloud.grafana.board import Context
from cloud.grafana.build import build_all
from cloud.grafana.expand import Chosen, Window, fill, options_of
from cloud.grafana.influxql import of
from cloud.influx.admin import open_admin
from cloud.influx.cardinality import City, all_series, series_of
from cloud.influx.http import Asker
from cloud.influx.lines import line_of, plain_line
from cloud.influx.query import Series
from cloud.influx.schema import MEASUREMENTS, label_of, path_tag, policy_of
from cloud.influx.shape import Kind
from cloud.keep import Keep
from cloud.settings import Influx1
from langyan.servers import Influx

SITES = int(os.environ.get("BENCH_SITES", "300"))
HISTORY_H = int(os.environ.get("BENCH_HISTORY_H", "24"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "30"))
WALL = "langyan-alarm-wall"
_DATABASE = "langyan"
_COUNTIES, _TOWNS = 10, 200
_CHUNK = 5_000
_S_US = 1_000_000
_STEP_S = 60
_KINDS = ("panic", "smoke", "tamper", "temperature", "device-lost", "theft", "hold-up", "fire")
_LEVELS = ("critical", "high", "medium", "low")
Tags = dict[str, str]


class Asked(Struct, frozen=True):
    """One question of the wall: where it stands, and its times."""

    where: str
    p50_ms: float
    p99_ms: float
    rows: int


class Result(Struct, frozen=True):
    """What was counted and measured."""

    sites_with_history: int
    hours: int
    series_as_computed: int
    series_as_counted: int
    points: int
    points_a_second: int
    server_mib: int
    disk_mib: int
    wall_p50_ms: float
    wall_p99_ms: float
    questions: tuple[Asked, ...]


def measure() -> Result:
    """Fill a server, count, and ask."""
    city = City()
    with (
        tempfile.TemporaryDirectory(prefix="langyan-city-", ignore_cleanup_errors=True) as folder,
        _CityInflux(Path(folder)) as server,
    ):
        anyio.run(_init, server.url)
        now_us = time.time_ns() // 1_000
        writer = Writer(server.port)
        began_s = time.perf_counter()
        for name in MEASUREMENTS:
            writer.write(name, one_each(name, city, now_us=now_us - 26 * 3_600 * _S_US))
        for name, lines in history(city, SITES, HISTORY_H * 3_600, now_us=now_us):
            writer.write(name, lines)
        seconds = time.perf_counter() - began_s
        counted = sum(count_series(writer, name) for name in MEASUREMENTS)
        asked = _ask_wall(writer, now_us // 1_000)
        process = psutil.Process(server.pid)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        times = sorted(took for _where, _rows, several in asked for took in several)
        return Result(
            SITES, HISTORY_H, all_series(city), counted, writer.points, int(writer.points / seconds),
            process.memory_info().rss // 2**20, size // 2**20, _at(times, 0.5), _at(times, 0.99),
            tuple(Asked(where, _at(several, 0.5), _at(several, 0.99), rows) for where, rows, several in asked),
        )  # fmt: skip


class _CityInflux(Influx):
    """A server with its index on the disk, and with patience while the series of a whole city are made at once."""

    def argv(self) -> list[str]:
        """Write influxdb.conf as `Influx` does, and more into it."""
        argv = super().argv()
        conf = Path(argv[-1])
        text = conf.read_text("utf-8").replace("[data]\n", '[data]\n  index-version = "tsi1"\n')
        conf.write_text(f'{text}[coordinator]\n  write-timeout = "5m"\n', encoding="utf-8")
        return argv


async def _init(url: str) -> None:
    settings = Influx1(url=url, database=_DATABASE)
    async with Asker(settings) as asker:
        admin = open_admin(settings, asker)
        for step in await admin.look(Keep()):
            await admin.do(step)


def paths(city: City) -> list[str]:
    """Name the paths of all areas: the city, its counties, their towns, and cells."""
    counties = [f"city/county-{number:02}/" for number in range(_COUNTIES)]
    towns = [f"{counties[number % _COUNTIES]}town-{number:03}/" for number in range(_TOWNS)]
    cells = city.areas - 1 - _COUNTIES - _TOWNS
    return ["city/", *counties, *towns, *(f"{towns[number % _TOWNS]}cell-{number:04}/" for number in range(cells))]


def tags_of(name: str, number: int, areas: Sequence[str], city: City) -> Tags:
    """Name the tags of a measurement's series of that number; no two are alike.

    Args:
        name: of the measurement.
        number: below `series_of(name, city)`.
        areas: `paths` of the city.
        city: the same.
    """
    per = {
        "alarm_event": city.kinds_of_site, "alarms_by_area": city.kinds, "alarm_response": city.stages,
    }.get(name, 1)  # fmt: skip
    thing, kind = divmod(number, per)
    if name == "alarm_state":
        thing, kind = number % city.devices, number // city.devices
    site = thing % city.sites
    cells = len(areas) - 1 - _COUNTIES - _TOWNS
    path = areas[1 + _COUNTIES + _TOWNS + 2 * site % cells]
    is_of_areas = name in _OF_AREAS
    area_path = (("", *areas)[thing] if name in _WITH_EVERYTHING else areas[thing]) if is_of_areas else path
    every = {
        "area": area_path.split("/")[-2] if area_path else "all",
        "device": f"dev-{thing:05}" if thing < city.devices else "gateway",
        "gateway": f"gw-{site:04}",
        "kind": _KINDS[kind],
        "level": ("city", "county", "town", "grid")[max(0, area_path.count("/") - 1)] if area_path else "all",
        "mode": "live",
        "of": "gateways",
        "path": path_tag(area_path),
        "plan": f"plan-{thing}",
        "point": f"point-{kind}",
        "route": f"route-{thing}",
        "rule": f"rule-{kind}",
        "severity": _LEVELS[kind % len(_LEVELS)],
        "site": f"site-{site:04}",
        "stage": f"stage-{kind}",
        "station": f"station-{thing}",
        "vehicle": f"vehicle-{thing}",
        "worker": f"ingest-{thing}",
    }
    return {tag: every[tag] for tag in MEASUREMENTS[name].tags}


_WITH_EVERYTHING = {
    "area_state", "alarms_by_area", "alarms_by_hour", "alarm_response", "alarm_load", "availability",
}  # fmt: skip
_OF_AREAS = _WITH_EVERYTHING | {"vehicle", "fire"}


def one_each(name: str, city: City, *, now_us: int) -> Iterator[bytes]:
    """Write one point of every series of a measurement."""
    areas = paths(city)
    for number in range(series_of(name, city)):
        # Over two months, as alarms come: not all sources speak in one day.
        at_us = now_us - number % 60 * 86_400 * _S_US
        yield _line(name, tags_of(name, number, areas, city), {}, at_us)


def history(city: City, sites: int, span_s: int, *, now_us: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Write what stands, beat by beat, and readings, of some sites and all that is there.

    Args:
        city: of whose sites these are the first.
        sites: how many.
        span_s: seconds before now.
        now_us: the last beat.
    """
    areas = paths(city)
    share = sites / city.sites
    devices = [number for number in range(city.devices) if number % city.sites < sites]
    alarms = [number for number in range(city.sources) if number % city.devices % city.sites < sites]
    open_alarms = alarms[:: max(1, len(alarms) // math.ceil(city.open_alarms * share))]
    areas_there = _areas_of(sites, areas, city)
    numbers: dict[str, Iterable[int]] = {
        "telemetry": [*devices, *range(city.devices, city.devices + sites)],
        "ingest": range(city.workers),
        "alarm_state": open_alarms,
        "area_state": areas_there,
        "site_state": range(sites),
        "gateway_state": range(sites),
        "device_state": devices,
        "vehicle_state": range(int(city.vehicles * share)),
        "bike_station": range(min(sites, city.bike_stations)),
        "bike_watch": range(1),
    }
    for name, several in numbers.items():
        yield name, _beats(name, several, areas, city, span_s=span_s, now_us=now_us)
    yield "alarm_event", _events(sites, areas, city, span_s=span_s, now_us=now_us)


def _areas_of(sites: int, areas: Sequence[str], city: City) -> list[int]:
    """Number the series of `area_state` of everything, and of the areas in which these sites lie."""
    known = {path: number for number, path in enumerate(("", *areas))}
    found = {0}
    for site in range(sites):
        path = tags_of("site_state", site, areas, city)["path"].removeprefix(path_tag("")).replace(":", "/")
        ids = path.split("/")[:-1]
        found |= {known["/".join(ids[:depth]) + "/"] for depth in range(1, len(ids) + 1)}
    return sorted(found)


def _beats(
    name: str, numbers: Iterable[int], areas: Sequence[str], city: City, *, span_s: int, now_us: int
) -> Iterator[bytes]:
    every_us = (MEASUREMENTS[name].every_s or _STEP_S) * _S_US
    # One hour's values, and then the next's: in between only the time differs.
    hours = [range(at_us, min(at_us + 3_600 * _S_US, now_us + 1), every_us)
             for at_us in range(now_us - span_s * _S_US, now_us, 3_600 * _S_US)]  # fmt: skip
    for number in numbers:
        tags = tags_of(name, number, areas, city)
        for hour, beats in enumerate(hours):
            line = _line(name, tags, _standing(name, number, hour, tags), 0)
            head = line[:-1].decode()
            yield "\n".join([f"{head}{at_us}" for at_us in beats]).encode()


def _events(sites: int, areas: Sequence[str], city: City, *, span_s: int, now_us: int) -> Iterator[bytes]:
    for number in range(sites * city.kinds_of_site):
        tags = tags_of("alarm_event", number, areas, city)
        for turn, what in enumerate(("raised", "acknowledged", "cleared")):
            at_us = now_us - (number * 7_919 * _S_US + number) % (span_s * _S_US) + turn * 40 * _S_US
            fields = {"what": what, "level": _LEVELS[number % 4], "mode": "live", "text_en": "Button pressed"}
            yield _line("alarm_event", tags, fields, min(at_us, now_us))


def _standing(name: str, number: int, hour: int, tags: Tags) -> dict[str, Any]:
    """Say what one of them stands at; every twentieth site has an alarm in an hour."""
    worst = number % 4 + 1 if (number + hour) % 20 == 0 else 0
    key = tags.get("area") or tags.get("site") or tags.get("vehicle", "")
    own: dict[str, dict[str, Any]] = {
        "area_state": {"label": label_of(key, key), "critical": hour % 3, "high": number % 5, "open": 5},
        "alarm_state": {"open": 1, "severity": number % 4 + 1, "alarm_id": f"{number:032x}", "share": 0.3},
        "site_state": {"label": label_of(key, key), "worst": worst, "level": _LEVELS[-worst] if worst else "none"},
    }
    return own.get(name, {})


def _line(name: str, tags: Tags, fields: Mapping[str, Any], at_us: int) -> bytes:
    """Write a point with all fields of its measurement; those that are not named at some value."""
    values: dict[Kind, Any] = {Kind.FLOAT: 1.5, Kind.INTEGER: 0, Kind.BOOLEAN: False, Kind.STRING: "Street 17, floor 3"}
    if name == "telemetry":
        readings = {"temperature": 21.5, "humidity": 50.25, "smoke": False, "received_at": 1}
        line = plain_line(name, tags, readings, at_us)
    else:
        every = {field.name: values[field.kind] for field in MEASUREMENTS[name].fields}
        line = line_of(name, tags, every | dict(fields), at_us)
    if line is None:
        raise AssertionError(name)
    return line


def count_series(writer: "Writer", name: str) -> int:
    """Count the series of a measurement as the server lists them; its own cardinality counts them once a shard."""
    return len({row[0] for one in writer.ask(f"SHOW SERIES FROM {of(name)}") for row in one.values})


class Writer:
    """One connection to the server, as fast as it takes; counts points."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.points = 0

    def write(self, name: str, lines: Iterator[bytes]) -> None:
        """Write lines of a measurement; one may be several, parted by line ends."""
        words = urllib.parse.urlencode({"db": _DATABASE, "precision": "u", "rp": policy_of(name)})
        waiting: list[bytes] = []
        count = 0
        for line in lines:
            waiting.append(line)
            count += line.count(b"\n") + 1
            if count >= _CHUNK:
                self._post(f"/write?{words}", b"\n".join(waiting))
                self.points += count
                waiting, count = [], 0
        if waiting:
            self._post(f"/write?{words}", b"\n".join(waiting))
            self.points += count

    def ask(self, question: str) -> list[Series]:
        """Ask as Grafana does."""
        words = urllib.parse.urlencode({"db": _DATABASE, "q": question, "epoch": "ms"})
        answer = msgspec.json.decode(self._post("/query", words.encode()))
        if any("error" in result for result in answer["results"]):
            raise RuntimeError(f"{question}: {answer}")
        return [msgspec.convert(one, Series) for result in answer["results"] for one in result.get("series", ())]

    def _post(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        told = answer.read()
        if answer.status >= 300:
            raise RuntimeError(told.decode(errors="replace")[:500])
        return told


def _ask_wall(writer: Writer, now_ms: int) -> list[tuple[str, int, list[float]]]:
    """Ask everything the wall asks, round by round: where, rows of an answer, and milliseconds by rising length."""
    (wall,) = [one.model for one in build_all(Context()) if one.uid == WALL]
    window = Window(now_ms - 24 * 3_600_000, now_ms, 120)
    chosen: dict[str, Chosen] = {}
    questions: list[tuple[str, str]] = []
    for variable in wall["templating"]["list"]:
        text = fill(variable["query"], chosen, window)
        options = [one.value for one in options_of(writer.ask(text), variable["regex"])]
        chosen[variable["name"]] = "all" if "all" in options else options
        questions.append((f"variable {variable['name']}", text))
    for panel in wall["panels"]:
        for target in panel.get("targets", ()):
            if "query" in target:
                least = {"10m": 600}.get(panel.get("interval"), window.interval_s)
                own = msgspec.structs.replace(window, interval_s=max(least, window.interval_s))
                questions.append((str(panel.get("title")), fill(target["query"], chosen, own)))
    questions += [
        (f"annotation {mark['name']}", fill(mark["target"]["query"], chosen, window))
        for mark in wall["annotations"]["list"]
    ]
    took: list[list[float]] = [[] for _ in questions]
    rows = [0] * len(questions)
    for _round in range(ROUNDS):
        for number, (_where, text) in enumerate(questions):
            began_s = time.perf_counter()
            answer = writer.ask(text)
            took[number].append((time.perf_counter() - began_s) * 1_000)
            rows[number] = sum(len(one.values) for one in answer)
    return [(where, rows[number], sorted(took[number])) for number, (where, _text) in enumerate(questions)]


def _at(rising: Sequence[float], share: float) -> float:
    return round(rising[max(0, math.ceil(share * len(rising)) - 1)], 1)


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(measure())).decode())
