"""How many series a city makes in InfluxDB, and how many points a day its beats are. Pure.

A series is a combination of tags that was ever written. Each takes memory on 1.x and 2.x, and every question looks
through those of its measurement; so their number is reasoned here, and `benchmarks/city_cardinality.py` counts it.
"""

from collections.abc import Callable

from msgspec import Struct

from cloud.influx.schema import MEASUREMENTS

_DAY_S = 86_400


class City(Struct, frozen=True):
    """A made-up city of 560 000 e-bikes with radio tags.

    Attributes:
        areas: all levels, the city itself among them.
        sites, gateways, devices: registered.
        sources: alarms that were ever raised in the time that is kept: a rule of a point of a device each.
        open_alarms: at a time.
        kinds: of alarms, with their severity, in an area.
        kinds_of_site: of alarms at a site.
        stages: of the response that are timed.
        vehicles, fleet_areas: vehicles, and areas that have some.
        fire_stations, fire_areas: stations that measure the weather, and areas in which fires were seen.
        bike_stations, radio_tags: readers of radio tags, and the tags.
        plans: of patrols, a route each.
        workers: of ingest.
        poll_s: how often a device is read.
    """

    areas: int = 7_211
    sites: int = 3_400
    gateways: int = 3_400
    devices: int = 60_000
    sources: int = 120_000
    open_alarms: int = 1_000
    kinds: int = 8
    kinds_of_site: int = 6
    stages: int = 5
    vehicles: int = 7_000
    fleet_areas: int = 200
    fire_stations: int = 200
    fire_areas: int = 300
    bike_stations: int = 1_500
    radio_tags: int = 560_000
    plans: int = 500
    workers: int = 4
    poll_s: int = 60


class Count(Struct, frozen=True):
    """The series of one measurement.

    Attributes:
        words: what one stands for.
        series: of a city.
        standing: of these, written again with every beat; all unless it is said.
    """

    words: str
    series: Callable[[City], int]
    standing: Callable[[City], int] | None = None


COUNTS: dict[str, Count] = {
    "telemetry": Count("a device, and every gateway's own", lambda city: city.devices + city.gateways),
    "ingest": Count("a worker", lambda city: city.workers),
    "alarm_state": Count(
        "a source that ever raised an alarm", lambda city: city.sources, lambda city: city.open_alarms
    ),
    "alarm_event": Count("a kind of alarm at a site", lambda city: city.sites * city.kinds_of_site),
    "area_state": Count("an area, and everything", lambda city: city.areas + 1),
    "site_state": Count("a site", lambda city: city.sites),
    "gateway_state": Count("a gateway", lambda city: city.gateways),
    "device_state": Count("a device", lambda city: city.devices),
    "vehicle_state": Count("a vehicle", lambda city: city.vehicles),
    "fire_danger": Count("a station", lambda city: city.fire_stations),
    "fire": Count("an area with fires", lambda city: city.fire_areas),
    "bike_station": Count("a station", lambda city: city.bike_stations),
    "bike_watch": Count("one", lambda _city: 1),
    "patrol": Count("a plan and its route", lambda city: city.plans),
    "vehicle": Count("an area with vehicles", lambda city: city.fleet_areas),
    "alarms_by_area": Count("a kind and severity in an area", lambda city: (city.areas + 1) * city.kinds),
    "alarms_by_hour": Count("an area, and everything", lambda city: city.areas + 1),
    "alarm_response": Count("a stage in an area", lambda city: (city.areas + 1) * city.stages),
    "alarm_load": Count("an area, and everything", lambda city: city.areas + 1),
    "availability": Count("an area, and everything", lambda city: city.areas + 1),
}
"""By measurement: all of `cloud.influx.schema`."""


def series_of(name: str, city: City) -> int:
    """Count the series of a measurement."""
    return COUNTS[name].series(city)


def all_series(city: City) -> int:
    """Count all series; those of hours have the same tags, and count again only in 2.x, where they are a bucket."""
    return sum(series_of(name, city) for name in MEASUREMENTS)


def points_a_day(name: str, city: City) -> int | None:
    """Count the points that come by the clock; None where only events write."""
    every_s = city.poll_s if name == "telemetry" else MEASUREMENTS[name].every_s
    if not every_s:
        return None
    count = COUNTS[name]
    return (count.standing or count.series)(city) * _DAY_S // every_s
