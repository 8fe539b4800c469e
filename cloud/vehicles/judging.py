"""What reports of a vehicle say of what it must not do: the same, in whatever order they come. Pure.

Of each vehicle the last reports are remembered, by their own time. A report is believed when another of them agrees
with it: when the vehicle need not have been impossibly fast to be at both places. So a single jump of the receiver
is never believed, and two that agree are. What is not believed is judged by nobody.

Each check finds a believed report to be a breach, or fine, or neither. Of a check only the time of its last breach and
of its last fine report count: it stands while no report that was fine came after the breach, and long enough after it.
Both are the latest of a set, whatever the order in which the set was heard.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from cloud.geo import Spot, distance_m
from cloud.vehicles.fences import Fence, Rule, Side
from cloud.vehicles.hours import Hours
from cloud.vehicles.positions import Position
from cloud.vehicles.settings import Vehicles

WINDOW = 16
"""So many reports are remembered; one that is older than all of them changes nothing."""
# What receivers err between two reports of one place, and what the sphere does: no speed is read into it.
_JITTER_M = 100.0
TOWED, HOURS = "movement/ignition-off", "movement/hours"
"""Keys of the checks of movement; of the latter the beginning."""
# Faster than any clock of a terminal that is believed at the gateway.
FUTURE_US = 600_000_000
"""A report so much ahead of the cloud's clock is not believed by anybody, or nothing true would ever be newer."""


class Verdict(Enum):
    """What a check finds in a report."""

    BREACH = "breach"
    FINE = "fine"
    UNCLEAR = "unclear"


class Report(Struct, frozen=True, array_like=True, gc=False):
    """What is remembered of a report; see `Position`."""

    at_us: int
    latitude_deg: float
    longitude_deg: float
    speed_kmh: float | None = None
    course_deg: float | None = None
    ignition: bool | None = None
    is_believed: bool = False

    @property
    def spot(self) -> Spot:
        """Where."""
        return Spot(self.latitude_deg, self.longitude_deg)

    @property
    def order(self) -> tuple[float, ...]:
        """Sort by time, and what is of one time by what it says; equal ones are the same report."""
        said = (self.speed_kmh, self.course_deg, self.ignition)
        return (self.at_us, self.latitude_deg, self.longitude_deg, *(-1.0 if one is None else one for one in said))

    @classmethod
    def of(cls, position: Position) -> "Report":
        """Take from a position what is remembered."""
        spot = position.spot
        return cls(
            position.at_us,
            spot.latitude_deg,
            spot.longitude_deg,
            position.speed_kmh,
            position.course_deg,
            position.ignition,
        )


class Found(Struct, frozen=True, array_like=True):
    """What a check has found so far: times of reports, microseconds UTC.

    Attributes:
        breach_at_us, fine_at_us: the latest of each.
        raised_at_us: of the alarm that stands; None: none does.
    """

    breach_at_us: int | None = None
    fine_at_us: int | None = None
    raised_at_us: int | None = None


class State(Struct, frozen=True, array_like=True):
    """What is known of a vehicle.

    Attributes:
        reports: in their order, at most `WINDOW`.
        found: by the check's key.
    """

    reports: tuple[Report, ...] = ()
    found: dict[str, Found] = {}


class Check(Protocol):
    """Something a vehicle must not do.

    Attributes:
        key: names it for ever; its first two parts are point and rule of its alarms.
        settle_us: so long after a breach a report must come to end it.
    """

    @property
    def key(self) -> str:
        """Name it."""

    @property
    def settle_us(self) -> int:
        """Tell it."""

    def verdict(self, report: Report) -> Verdict:
        """Judge one report by itself."""


class Crossing(Struct, frozen=True):
    """An alarm of a check begins or ends.

    Attributes:
        key: of the check.
        is_raise: or it ends.
        raised_at_us: names the alarm; its beginning.
        report: that decided.
    """

    key: str
    is_raise: bool
    raised_at_us: int
    report: Report


class FenceCheck(Struct, frozen=True):
    """A fence, in its hours."""

    fence: Fence
    zone: ZoneInfo
    settle_us: int = 0

    @property
    def key(self) -> str:
        """Name it."""
        return self.fence.key

    def verdict(self, report: Report) -> Verdict:
        """Judge where it lies; outside its hours everything is fine."""
        if not self.fence.hours.hold(report.at_us, self.zone):
            return Verdict.FINE
        side = self.fence.side(report.spot)
        if side is Side.EDGE:
            return Verdict.UNCLEAR
        return Verdict.BREACH if (side is Side.OUT) == (self.fence.rule is Rule.STAY) else Verdict.FINE


class TowCheck(Struct, frozen=True):
    """It moves with its ignition off: towed, or loaded up."""

    settings: Vehicles

    @property
    def key(self) -> str:
        """Name it."""
        return TOWED

    @property
    def settle_us(self) -> int:
        """As the settings have it."""
        return round(self.settings.settled_s * 1e6)

    def verdict(self, report: Report) -> Verdict:
        """Judge how it moves."""
        if report.ignition is not False:
            return Verdict.UNCLEAR if report.ignition is None else Verdict.FINE
        return _moving(report, self.settings)


class HoursCheck(Struct, frozen=True):
    """It moves when nobody may drive it."""

    hours: Hours
    zone: ZoneInfo
    settings: Vehicles

    @property
    def key(self) -> str:
        """Name it with its hours: what was judged by others says nothing of them."""
        return f"{HOURS}/{self.hours.weekdays} {self.hours.begins}-{self.hours.ends}"

    @property
    def settle_us(self) -> int:
        """As the settings have it."""
        return round(self.settings.settled_s * 1e6)

    def verdict(self, report: Report) -> Verdict:
        """Judge when it moves."""
        return Verdict.FINE if self.hours.hold(report.at_us, self.zone) else _moving(report, self.settings)


def take(
    state: State, reports: Iterable[Report], checks: Sequence[Check], *, fastest_kmh: float
) -> tuple[State, list[Crossing]]:
    """Take reports of one vehicle, and tell what begins and ends with them.

    Args:
        state: so far.
        reports: in any order; late, twice.
        checks: all that hold for it; what others have found is forgotten, see `ended`.
        fastest_kmh: as the settings have it.

    Returns:
        The state now, which is `state` itself when nothing was new; and the crossings in their order.
    """
    window = list(state.reports)
    found = {check.key: state.found.get(check.key, Found()) for check in checks}
    crossings: list[Crossing] = []
    for report in sorted(reports, key=lambda one: one.order):
        for believed in _insert(window, report, fastest_kmh):
            for check in checks:
                found[check.key], crossing = _judge(found[check.key], check, believed)
                crossings += crossing
    after = State(tuple(window), {key: one for key, one in found.items() if one != Found()})
    return (state, []) if after == state else (after, crossings)


def ended(state: State, keys: Iterable[str]) -> list[tuple[str, int]]:
    """List what stands of checks that are no more: key and beginning of the alarm."""
    held = set(keys)
    return [
        (key, one.raised_at_us)
        for key, one in sorted(state.found.items())
        if key not in held and one.raised_at_us is not None
    ]


def _insert(window: list[Report], report: Report, fastest_kmh: float) -> list[Report]:
    """Put a report into its place, and list what is believed now, by time."""
    at = bisect_left(window, report.order, key=lambda one: one.order)
    is_known = at < len(window) and window[at].order == report.order
    if is_known or (at == 0 and len(window) >= WINDOW):
        return []
    window.insert(at, report)
    # The nearest in time first: one that agrees is enough.
    others = sorted((i for i in range(len(window)) if i != at), key=lambda i: abs(i - at))
    believed = [i for i in others if not window[i].is_believed and _agree(window[i], report, fastest_kmh)]
    if believed or any(_agree(window[i], report, fastest_kmh) for i in others):
        believed.append(at)
    for i in believed:
        window[i] = msgspec.structs.replace(window[i], is_believed=True)
    news = [window[i] for i in sorted(believed)]
    del window[: max(0, len(window) - WINDOW)]
    return news


def _agree(one: Report, other: Report, fastest_kmh: float) -> bool:
    hours = abs(one.at_us - other.at_us) / 3_600e6
    return distance_m(one.spot, other.spot) <= _JITTER_M + fastest_kmh * 1_000 * hours


def _judge(found: Found, check: Check, report: Report) -> tuple[Found, list[Crossing]]:
    verdict, at_us = check.verdict(report), report.at_us
    breach_at_us, fine_at_us = found.breach_at_us, found.fine_at_us
    if verdict is Verdict.BREACH and (breach_at_us is None or at_us > breach_at_us):
        breach_at_us = at_us
    elif verdict is Verdict.FINE and (fine_at_us is None or at_us > fine_at_us):
        fine_at_us = at_us
    else:
        return found, []
    stands = breach_at_us is not None and (fine_at_us is None or fine_at_us < breach_at_us + max(1, check.settle_us))
    raised_at_us = found.raised_at_us
    if stands == (raised_at_us is not None):
        return Found(breach_at_us, fine_at_us, raised_at_us), []
    if stands:
        return Found(breach_at_us, fine_at_us, at_us), [Crossing(check.key, True, at_us, report)]
    if raised_at_us is None:
        return found, []
    return Found(breach_at_us, fine_at_us), [Crossing(check.key, False, raised_at_us, report)]


def _moving(report: Report, settings: Vehicles) -> Verdict:
    if report.speed_kmh is None:
        return Verdict.UNCLEAR
    if report.speed_kmh >= settings.moving_kmh:
        return Verdict.BREACH
    return Verdict.FINE if report.speed_kmh <= settings.standing_kmh else Verdict.UNCLEAR
