"""What moves about: tags that ride through a town, and a patrol that walks its tour. Pure."""

from collections.abc import Mapping
from itertools import pairwise
from math import floor, hypot, log10
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import Id
from contract.telemetry import Value
from device_profiles.codec import ValueKind
from simulators.signals import chance
from simulators.signals.signal import Moment, Place

_TAG_PARTS = {
    "rssi": ValueKind.NUMBER,
    "heard": ValueKind.STATE,
    "moving": ValueKind.STATE,
    "east": ValueKind.NUMBER,
    "north": ValueKind.NUMBER,
}
# Nearer than this the formula for far fields says nothing.
_NEAREST_M = 1.0


class TagRide(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="tag"):
    """A radio tag on its way through a town, as a station at a place hears it.

    Attributes:
        route: the corners of its way.
        speed: how fast it rides, m/s.
        starts_s: when it sets off, seconds of the story; before, it stands at the first corner.
        loops: at the last corner it rides on to the first; else it stays there.
        power: dBm at one metre.
        loss: exponent of the path loss; 2 is free space, 2.7 to 3.5 a town.
        fading: how much the level wavers, dB.
        hears_from: the weakest that a station hears, dBm.
    """

    id: Id
    route: tuple[Place, ...]
    speed: Annotated[float, Meta(gt=0.0, le=100.0)] = 4.0
    starts_s: Annotated[float, Meta(ge=0.0)] = 0.0
    loops: bool = False
    power: Annotated[float, Meta(ge=-100.0, le=20.0)] = -59.0
    loss: Annotated[float, Meta(ge=1.0, le=6.0)] = 2.7
    fading: Annotated[float, Meta(ge=0.0, le=30.0)] = 3.0
    hears_from: Annotated[float, Meta(ge=-150.0, le=0.0)] = -95.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """Level and whether it is heard at the place, whether it moves, and where it is."""
        return _TAG_PARTS

    def value(self, part: str, moment: Moment) -> Value:
        """Tell one part."""
        match part:
            case "moving":
                return self._is_moving(moment)
            case "east" | "north":
                return self.where(moment)[part == "north"]
            case "rssi":
                return self._rssi(moment)
            case _:
                return self._rssi(moment) >= self.hears_from

    def where(self, moment: Moment) -> tuple[float, float]:
        """Tell where it is."""
        corners = [*self.route, self.route[0]] if self.loops else list(self.route)
        left_m = self.speed * max(0.0, moment.t_s - self.starts_s)
        length_m = sum(_far(one, other) for one, other in pairwise(corners))
        if self.loops and length_m > 0:
            left_m %= length_m
        for one, other in pairwise(corners):
            step_m = _far(one, other)
            if left_m < step_m:
                share = left_m / step_m
                return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share
            left_m -= step_m
        return corners[-1]

    def _is_moving(self, moment: Moment) -> bool:
        length_m = sum(_far(one, other) for one, other in pairwise(self.route))
        rode_m = self.speed * (moment.t_s - self.starts_s)
        return rode_m >= 0 and (rode_m < length_m or (self.loops and length_m > 0))

    def _rssi(self, moment: Moment) -> float:
        far_m = max(_NEAREST_M, _far(self.where(moment), moment.at_m))
        # Log-distance path loss; buildings in the way change with every few metres.
        key = f"{moment.seed}/{self.id}/{moment.at_m}"
        return self.power - 10 * self.loss * log10(far_m) + self.fading * chance.smooth(key, moment.t_s)


class Patrol(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="patrol"):
    """A guard who walks from point to point, round after round, and may leave points out.

    Attributes:
        points: how many points the tour has, numbered from 1.
        every_s: from one point to the next, seconds of the story.
        stay_s: how long the guard is at a point.
        starts_s: when he comes to the first.
        missed: points he leaves out; he takes the same time.
        rounds: after so many he goes home; 0 never.
    """

    id: Id
    points: Annotated[int, Meta(ge=1, le=256)]
    every_s: Annotated[float, Meta(gt=0.0, le=86_400.0)]
    stay_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] = 1.0
    starts_s: Annotated[float, Meta(ge=0.0)] = 0.0
    missed: tuple[Annotated[int, Meta(ge=1, le=256)], ...] = ()
    rounds: Annotated[int, Meta(ge=0, le=100_000)] = 0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """`at-1`, `at-2`, ...: the guard is there; `last`: where he was last, 0 nowhere yet; `visits`: how many."""
        places = {f"at-{number}": ValueKind.STATE for number in range(1, self.points + 1)}
        return {**places, "last": ValueKind.NUMBER, "visits": ValueKind.NUMBER}

    def value(self, part: str, moment: Moment) -> Value:
        """Tell one part."""
        stop, since_s = self._stop(moment)
        if part in {"last", "visits"}:
            made = [number for number in range(1, self.points + 1) if number not in self.missed]
            rounds, place = divmod(stop, self.points)
            visits = rounds * len(made) + sum(number <= place + 1 for number in made) if stop >= 0 else 0
            if part == "visits" or not visits or not made:
                return float(visits)
            return float(made[(visits - 1) % len(made)])
        number = stop % self.points + 1
        is_there = stop >= 0 and since_s < self.stay_s and number not in self.missed
        return is_there and part == f"at-{number}"

    def _stop(self, moment: Moment) -> tuple[int, float]:
        """Tell the number of the last stop that was due (-1 before the first), and how long ago it was."""
        walked_s = moment.t_s - self.starts_s
        if walked_s < 0:
            return -1, 0.0
        stop = floor(walked_s / self.every_s)
        if self.rounds and stop >= self.rounds * self.points:
            stop = self.rounds * self.points - 1
        return stop, walked_s - stop * self.every_s


def _far(one: tuple[float, float], other: tuple[float, float]) -> float:
    return hypot(other[0] - one[0], other[1] - one[1])
