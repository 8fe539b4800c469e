"""What a vehicle, or whoever else carries a receiver, says of where it is. Pure."""

from collections.abc import Iterable
from math import isfinite

from msgspec import Struct

from cloud.feed.queue import Observation
from cloud.geo import Spot
from contract.telemetry import Sample, Value


class Position(Struct, frozen=True, gc=False):
    """One report of where a device was.

    Attributes:
        gateway, device: whose; ids of the contract.
        at_us: the device's own time of the fix, microseconds UTC.
        spot: where, WGS 84.
        speed_kmh: over ground; None where it was not said.
        course_deg: 0 is north, 90 east; None where it was not said.
        is_fixed: whether the receiver stands for it; without it the spot may be an old one, and is judged by nobody.
        ignition: whether it was on; None where it was not said.
    """

    gateway: str
    device: str
    at_us: int
    spot: Spot
    speed_kmh: float | None = None
    course_deg: float | None = None
    is_fixed: bool = True
    ignition: bool | None = None


def read_position(gateway: str, sample: Sample) -> Position | None:
    """Read a sample with `latitude` and `longitude`; None where those are no place on the Earth.

    Exactly 0, 0 is what receivers say that have never had a fix; nobody's vehicle is there.
    """
    said = {point.key: point.value for point in sample.points}
    latitude_deg, longitude_deg = _number(said.get("latitude")), _number(said.get("longitude"))
    if latitude_deg is None or longitude_deg is None:
        return None
    spot = Spot(latitude_deg, longitude_deg)
    if not spot.is_sound or (latitude_deg == 0 and longitude_deg == 0):
        return None
    course_deg, speed_kmh = _number(said.get("course")), _number(said.get("vehicle_speed"))
    return Position(
        gateway=gateway,
        device=sample.device,
        at_us=sample.at_us,
        spot=spot,
        speed_kmh=speed_kmh if speed_kmh is not None and speed_kmh >= 0 else None,
        course_deg=None if course_deg is None else course_deg % 360,
        is_fixed=_flag(said.get("fix")) is not False,
        ignition=_flag(said.get("acc")),
    )


def read_positions(observations: Iterable[Observation]) -> list[Position]:
    """Read what was heard, in its order."""
    return [
        position
        for one in observations
        for sample in one.samples
        if (position := read_position(one.gateway, sample)) is not None
    ]


def _number(value: Value | None) -> float | None:
    if isinstance(value, bool | str) or value is None or not isfinite(value):
        return None
    return float(value)


def _flag(value: Value | None) -> bool | None:
    """Read a two-state point; some gateways say 0 and 1."""
    if value is None or isinstance(value, str):
        return None
    return bool(value)
