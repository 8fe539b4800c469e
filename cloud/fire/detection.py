"""Many detectors, one fire: which alarms are the same fire, how likely it is one, and where. Pure.

Whether two detections are the same fire is a question about those two alone (`Reach.joins`), and the answer does not
change but from no to yes when the wind becomes known. A fire is what hangs together by such pairs, so any order and
any delay of the alarms ends in the same fires, and fires only grow together. How sure it is (`assess`) follows from
the whole of the evidence, not from its order.

The numbers are judgements of ours, written out with their reasons in docs/fires.md; they are rough, and rounded.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import combinations
from math import radians, sin, tan
from types import MappingProxyType

from msgspec import Struct

from cloud.desk.core import URGENCY
from cloud.fire.bearings import POINTING_DEG, angle_between_deg, sees
from cloud.geo import Spot, bearing_deg, crossing, destination, distance_m
from contract.alarms import Mode, Severity


class Sign(StrEnum):
    """What a detector says it has noticed; stored."""

    SMOKE = "smoke"
    HEAT = "heat"
    """Too warm for where it is, or warming too fast."""
    FLAME = "flame"
    FIRE = "fire"
    """A call point, a panel or a camera that says so."""
    TEMPERATURE = "temperature"
    """A limit of temperature that may mean something else."""


SIGN_OF_KIND: Mapping[str, Sign] = MappingProxyType(
    {
        "smoke": Sign.SMOKE,
        "heat": Sign.HEAT,
        "rate-of-rise": Sign.HEAT,
        "flame": Sign.FLAME,
        "fire": Sign.FIRE,
        "temperature": Sign.TEMPERATURE,
    }
)
"""Which kinds of alarms are signs of a fire."""

ALONE: Mapping[Sign, float] = MappingProxyType(
    {Sign.SMOKE: 0.4, Sign.HEAT: 0.4, Sign.FLAME: 0.5, Sign.FIRE: 0.5, Sign.TEMPERATURE: 0.25}
)
"""How likely a sign alone is a fire: never more than even, for no single detector is more than possible."""
TELL_FROM = 0.35
"""A fire is told from here; below it stand limits of temperature alone."""
LIKELY_ABOVE = 0.5
"""CAP 1.2: likely is more than even."""
SUREST = 0.95
"""Nothing but a person is surer."""
CROSSING = 0.4
READING = 0.1
MOST_READINGS = 3
# A second detector of the same kind at one tower shares dust, fog and lightning with the first.
SAME_TOWER = 0.5
WIND_UNKNOWN, DOWNWIND, ACROSS, UPWIND = 0.9, 1.0, 0.8, 0.7

# Smoke goes where the wind goes, in a cone; at 5 m/s twice as far is noticed as in still air, at 10 m/s three times.
CONE_DEG = 45.0
DOUBLES_M_S = 5.0
FARTHEST = 3.0
METRES_A_DEGREE = 111_000.0
"""Of latitude; a little less than it is."""
# The least that is said of where: a plume is hundreds of metres wide.
LEAST_RADIUS_M = 500.0
LEAST_CROSSING_RADIUS_M = 200.0
# Lines that meet in a smaller angle say how far it is from nobody.
LEAST_CUT_DEG = 10.0


class Wind(Struct, frozen=True):
    """The wind at the nearest station, about when a detector spoke.

    Attributes:
        from_deg: where it comes from; 0 is north.
        speed_m_s: mean of some minutes.
        station: `<gateway>/<device>` that measured it.
    """

    from_deg: float
    speed_m_s: float
    station: str


class Reading(Struct, frozen=True):
    """A neighbour's reading that is raised, below any alarm."""

    gateway: str
    device: str
    point: str
    value: float
    usual: float
    at_us: int


class Detection(Struct, frozen=True):
    """One raise of one detector's alarm.

    Attributes:
        id: of that raise (`contract.ids.alarm_id`), the same whatever came before it.
        occurrence: the row of the desk to which it is counted.
        source: `<gateway>/<device>/<point>/<rule>`.
        gateway: the tower.
        spot: where the detector stands.
        raised_at_us, cleared_at_us: of this raise; None while it stands.
        bearing_deg: in which direction it saw it; None for what has no direction.
        wind: None where nobody measured it, or not yet.
        readings: of neighbours at that time.
    """

    id: str
    occurrence: str
    source: str
    gateway: str
    device: str
    sign: Sign
    severity: Severity
    spot: Spot
    raised_at_us: int
    cleared_at_us: int | None = None
    mode: Mode = Mode.LIVE
    bearing_deg: float | None = None
    wind: Wind | None = None
    readings: tuple[Reading, ...] = ()


class Certainty(StrEnum):
    """CAP 1.2's words for how sure it is."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"


class Reach(Struct, frozen=True):
    """How far apart two detections of one fire may lie; see `cloud.fire.detection_settings`."""

    reach_m: float = 5_000.0
    window_s: float = 7_200.0
    sight_m: float = 20_000.0

    @property
    def farthest_m(self) -> float:
        """Beyond it two detections never are one fire."""
        return max(self.reach_m * FARTHEST, 2 * self.sight_m)

    @property
    def window_us(self) -> int:
        """The window in microseconds."""
        return round(self.window_s * 1e6)

    def joins(self, one: Detection, other: Detection) -> bool:
        """Tell whether two detections are the same fire; the same for both orders."""
        # Most pairs are far apart, and this is asked of all.
        if one.mode is not other.mode or abs(one.raised_at_us - other.raised_at_us) > self.window_s * 1e6:
            return False
        if one.gateway == other.gateway:
            return True
        if abs(one.spot.latitude_deg - other.spot.latitude_deg) * METRES_A_DEGREE > self.farthest_m:
            return False
        earlier, later = sorted((one, other), key=_age)
        apart_m = distance_m(earlier.spot, later.spot)
        if apart_m > self.farthest_m:
            return False
        winds = [wind for wind in (earlier.wind, later.wind) if wind is not None]
        carried = max((_carried(wind, earlier.spot, later.spot) for wind in winds), default=1.0)
        return apart_m <= self.reach_m * carried or self._in_sight(one, other)

    def _in_sight(self, one: Detection, other: Detection) -> bool:
        """Tell whether one looks at the other's place, or both at the same."""
        if one.bearing_deg is not None and other.bearing_deg is not None:
            return _cross(one, other, self.sight_m) is not None
        return any(
            a.bearing_deg is not None and sees(a.spot, a.bearing_deg, b.spot, self.sight_m)
            for a, b in ((one, other), (other, one))
        )


class Group(Struct, frozen=True):
    """What hangs together: new detections, and the fires known before that they belong to, the oldest first."""

    new: tuple[str, ...]
    fires: tuple[str, ...]


class Ground(Struct, frozen=True):
    """Where a fire is thought to be: somewhere within the circle."""

    spot: Spot
    radius_m: float
    by: str
    """`bearings` or `towers`."""


class Assessment(Struct, frozen=True):
    """What the evidence of one fire comes to.

    Attributes:
        began_at_us, last_at_us: its first and latest raise.
        cleared_at_us: when the last of its detectors went quiet; None while one stands.
        towers: ids of the gateways.
        confidence: 0 to 0.95.
        severity: as urgent as the most urgent of its alarms at least.
        reasons: what made up the confidence, one weight an entry, the heaviest first.
    """

    began_at_us: int
    last_at_us: int
    cleared_at_us: int | None
    towers: tuple[str, ...]
    signs: tuple[Sign, ...]
    confidence: float
    severity: Severity
    ground: Ground
    reasons: tuple[tuple[str, float], ...]

    @property
    def is_told(self) -> bool:
        """Whether it is enough to speak of a fire."""
        return self.confidence >= TELL_FROM


def group(
    new: Sequence[Detection], known: Sequence[Detection], fire_of: Mapping[str, str], reach: Reach
) -> list[Group]:
    """Find what hangs together, of which something is new.

    Args:
        new: detections that were not known, or not so (their wind was not).
        known: detections of fires that still take evidence, near the new ones.
        fire_of: of each known detection, and of those of `new` that have one, the fire.
        reach: how far apart.

    Returns:
        In the order of the earliest new detection; fires are in the order of their ids.
    """
    whole = {one.id: one for one in (*known, *new)}
    root = {key: key for key in whole}

    def find(key: str) -> str:
        while root[key] != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    of_fire: dict[str, str] = {}
    for key in whole:
        if (fire := fire_of.get(key)) is not None:
            root[find(key)] = find(of_fire.setdefault(fire, key))
    done: set[str] = set()
    for one in new:
        done.add(one.id)
        for other in whole.values():
            if other.id not in done and reach.joins(one, other):
                root[find(one.id)] = find(other.id)
    groups: dict[str, list[str]] = defaultdict(list)
    for one in sorted({one.id: one for one in new}.values(), key=_age):
        groups[find(one.id)].append(one.id)
    fires: dict[str, set[str]] = defaultdict(set)
    for fire, key in of_fire.items():
        fires[find(key)].add(fire)
    return [Group(tuple(ids), tuple(sorted(fires[key]))) for key, ids in groups.items()]


def assess(evidence: Collection[Detection], reach: Reach) -> Assessment:
    """Weigh the evidence of one fire, in any order: at least one detection.

    Each piece is worth how likely it alone would be a fire, times how well it fits; together they miss only when each
    is wrong (noisy-or: 1 less the product of what each leaves open).
    """
    ordered = sorted(evidence, key=_age)
    towers = list(dict.fromkeys(one.gateway for one in ordered))
    reasons = [*_signs(ordered), *_readings(ordered)]
    ground = _ground(ordered, reach)
    if ground.by == "bearings":
        reasons.append(("crossing", CROSSING))
    open_share = 1.0
    for _what, weight in reasons:
        open_share *= 1.0 - weight
    confidence = min(SUREST, round(1.0 - open_share, 2))
    by_confidence = Severity.CRITICAL if confidence > LIKELY_ABOVE else Severity.HIGH
    ends_us = [one.cleared_at_us for one in ordered if one.cleared_at_us is not None]
    return Assessment(
        began_at_us=ordered[0].raised_at_us,
        last_at_us=ordered[-1].raised_at_us,
        cleared_at_us=max(ends_us) if len(ends_us) == len(ordered) else None,
        towers=tuple(sorted(towers)),
        signs=tuple(sign for sign in Sign if any(one.sign is sign for one in ordered)),
        confidence=confidence,
        severity=min([by_confidence, *(one.severity for one in ordered)], key=URGENCY.__getitem__),
        ground=ground,
        reasons=tuple(sorted(reasons, key=lambda reason: (-reason[1], reason[0]))),
    )


def _age(one: Detection) -> tuple[int, str]:
    return one.raised_at_us, one.id


def _carried(wind: Wind, start: Spot, end: Spot) -> float:
    """How many times farther than in still air a fire at `start` is noticed at `end`."""
    off_deg = angle_between_deg(bearing_deg(start, end), wind.from_deg + 180.0)
    return min(FARTHEST, 1.0 + wind.speed_m_s / DOUBLES_M_S) if off_deg <= CONE_DEG else 1.0


def _fit(earlier: Detection, later: Detection) -> float:
    """How well the later fits as the same fire as the earlier, by the wind."""
    wind = earlier.wind or later.wind
    if wind is None or distance_m(earlier.spot, later.spot) < 1.0:
        return WIND_UNKNOWN
    off_deg = angle_between_deg(bearing_deg(earlier.spot, later.spot), wind.from_deg + 180.0)
    if off_deg <= CONE_DEG:
        return DOWNWIND
    return UPWIND if off_deg >= 180.0 - CONE_DEG else ACROSS


def _signs(ordered: Sequence[Detection]) -> Iterable[tuple[str, float]]:
    """Weigh each detector once, however often it spoke; of each kind at a tower the first counts whole."""
    seen: set[str] = set()
    count: dict[tuple[str, Sign], int] = defaultdict(int)
    firsts: dict[str, Detection] = {}
    for one in ordered:
        firsts.setdefault(one.gateway, one)
    for one in ordered:
        if (name := f"{one.gateway}/{one.device} {one.sign}") in seen:
            continue
        seen.add(name)
        tower = firsts[one.gateway]
        others = [first for first in firsts.values() if _age(first) < _age(tower)]
        fit = max((_fit(other, tower) for other in others), default=1.0)
        yield name, ALONE[one.sign] * fit * SAME_TOWER ** count[one.gateway, one.sign]
        count[one.gateway, one.sign] += 1


def _readings(ordered: Sequence[Detection]) -> Iterable[tuple[str, float]]:
    """Weigh raised readings of towers that have no alarm, each tower once."""
    alarmed = {one.gateway for one in ordered}
    raised = {one.gateway: one for found in ordered for one in found.readings if one.gateway not in alarmed}
    for gateway in sorted(raised)[:MOST_READINGS]:
        yield f"{gateway}/{raised[gateway].device} {raised[gateway].point} raised", READING


def _cross(one: Detection, other: Detection, sight_m: float) -> Spot | None:
    """Find where two towers look at the same place, within sight of both."""
    if one.bearing_deg is None or other.bearing_deg is None or one.gateway == other.gateway:
        return None
    spot = crossing(one.spot, one.bearing_deg, other.spot, other.bearing_deg)
    if spot is None or max(distance_m(one.spot, spot), distance_m(other.spot, spot)) > sight_m:
        return None
    cut_deg = angle_between_deg(bearing_deg(spot, one.spot), bearing_deg(spot, other.spot))
    return spot if LEAST_CUT_DEG <= cut_deg <= 180.0 - LEAST_CUT_DEG else None


def _ground(ordered: Sequence[Detection], reach: Reach) -> Ground:
    """Find where: the best crossing of two lines of sight, else among the towers, upwind of the first of them."""
    latest = {(one.gateway, one.device): one for one in ordered if one.bearing_deg is not None}
    best: Ground | None = None
    for one, other in combinations(sorted(latest.values(), key=_age), 2):
        spot = _cross(one, other, reach.sight_m)
        if spot is None:
            continue
        far_m = max(distance_m(one.spot, spot), distance_m(other.spot, spot))
        cut = sin(radians(angle_between_deg(bearing_deg(spot, one.spot), bearing_deg(spot, other.spot))))
        # A line is off to both sides; a flat cut draws that out along the lines.
        radius_m = max(LEAST_CROSSING_RADIUS_M, far_m * tan(radians(POINTING_DEG)) / cut)
        if best is None or radius_m < best.radius_m:
            best = Ground(spot, radius_m, "bearings")
    return best or _among(ordered, reach)


def _among(ordered: Sequence[Detection], reach: Reach) -> Ground:
    """A circle that holds every tower; of one tower alone, as far around it as it would notice a fire."""
    spots = list({one.gateway: one.spot for one in reversed(ordered)}.values())
    if len(spots) == 1:
        return Ground(spots[0], max(LEAST_RADIUS_M, reach.reach_m), "towers")
    far, other = max(combinations(spots, 2), key=lambda pair: distance_m(*pair))
    middle = destination(far, bearing_deg(far, other), distance_m(far, other) / 2)
    return Ground(middle, max(distance_m(middle, spot) for spot in spots) + LEAST_RADIUS_M, "towers")
