"""What the API shows of patrols."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cloud.api.queries import TimeUs, Word
from cloud.patrols.judging import TourState
from cloud.patrols.lone import WatchState
from cloud.patrols.plans import RouteOrder
from cloud.patrols.verdicts import ExtraVerdict, VisitVerdict

_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
_GIVEN = ConfigDict(extra="forbid", strict=True)


class PatrolPointView(BaseModel):
    """A point; `cards` are the numbers that stand for it, `outline` pairs of latitude and longitude."""

    model_config = _SHOWN

    id: str
    area: str
    name: str
    place: str
    cards: list[str]
    latitude_deg: float | None
    longitude_deg: float | None
    radius_m: int | None
    outline: list[list[float]] | None
    stay_s: int


class PatrolPointPage(BaseModel):
    """Points by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    points: list[PatrolPointView]
    next: str | None


class RoutePointView(BaseModel):
    """A point of a route."""

    model_config = _SHOWN

    position: int
    point: str
    must: bool
    minutes_to_next: int
    early_min: int | None
    late_min: int | None


class PatrolRouteView(BaseModel):
    """A route with its points in their order."""

    model_config = _SHOWN

    id: str
    area: str
    site: str | None
    name: str
    order: RouteOrder
    early_min: int
    late_min: int
    points: list[RoutePointView]


class PatrolRoutePage(BaseModel):
    """Routes by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    routes: list[PatrolRouteView]
    next: str | None


class PatrolPlanView(BaseModel):
    """A plan; times are of the wall clock."""

    model_config = _SHOWN

    id: str
    route: str
    weekdays: list[str]
    starts: list[str]
    duration_min: int
    first_day: date | None
    last_day: date | None
    people: list[str]
    wands: list[str]
    tell_late: bool
    lone_min: int | None


class PatrolPlanPage(BaseModel):
    """Plans by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    plans: list[PatrolPlanView]
    next: str | None


class PatrolWandView(BaseModel):
    """A wand: how far it was read out, whether it is silent, and its latest hits."""

    model_config = _SHOWN

    id: str
    area: str
    name: str
    machine: str | None
    gateway: str | None
    device: str | None
    gps: bool
    synced_at_us: int | None
    records: int | None
    clock_error_s: float | None
    silent_since_us: int | None
    hits_us: list[int]


class PatrolWandPage(BaseModel):
    """Wands by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    wands: list[PatrolWandView]
    next: str | None


class TourView(BaseModel):
    """A tour on the board; `counts` by verdict."""

    model_config = _SHOWN

    id: str
    plan: str
    route: str
    name: str
    site: str | None
    area: str | None
    day: date
    begins_us: int
    ends_us: int
    state: TourState
    planned: int
    visited: int
    counts: dict[VisitVerdict, int]


class TourPage(BaseModel):
    """Tours by id; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    tours: list[TourView]
    next: str | None


class TourStopView(BaseModel):
    """A planned visit, and what became of it; `off_s` later than planned, or than the window, is positive."""

    model_config = _SHOWN

    position: int
    point: str
    name: str
    must: bool
    planned_us: int | None
    from_us: int
    until_us: int
    verdict: VisitVerdict
    visit: str | None
    visited_at_us: int | None
    off_s: float


class ExtraView(BaseModel):
    """A visit of the tour that counts for nothing planned."""

    model_config = _SHOWN

    visit: str
    verdict: ExtraVerdict
    point: str | None
    card: str | None
    visited_at_us: int | None


class VerdictChangeView(BaseModel):
    """One change of a verdict."""

    model_config = _SHOWN

    at_us: int
    position: int
    before: VisitVerdict | None
    after: VisitVerdict
    visit: str | None
    visited_at_us: int | None


class TourDetails(TourView):
    """A tour with its points in their order, what else was visited, and the history of its verdicts."""

    people: list[str]
    wands: list[str]
    stops: list[TourStopView]
    extras: list[ExtraView]
    history: list[VerdictChangeView]


class VisitOrder(BaseModel):
    """A visit that is handed in by hand: at a point, or of a card."""

    model_config = _GIVEN

    point: Word | None = None
    card: Word | None = None
    wand: Word | None = None
    person: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    visited_at_us: TimeUs | None = None


class VisitTaken(BaseModel):
    """What became of it."""

    model_config = _SHOWN

    is_new: bool
    tours: list[str]


class WatchOrder(BaseModel):
    """Watch over somebody who walks alone, in an area."""

    model_config = _GIVEN

    area: Word
    person: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
    wand: Word | None = None
    tour: Annotated[str, Field(min_length=1, max_length=90, pattern=r"^[^\x00]+$")] | None = None
    interval_s: Annotated[int, Field(ge=60, le=86_400)]


class WatchView(BaseModel):
    """Somebody who walks alone."""

    model_config = _SHOWN

    id: str
    person: str
    wand: str | None
    tour: str | None
    area: str | None
    begun_at_us: int
    begun_by: str
    interval_s: int
    sign_at_us: int
    sign: str
    state: WatchState
    due_us: int | None
    ended_at_us: int | None
    ended_by: str | None


class WatchPage(BaseModel):
    """Watches, those that last first by id."""

    model_config = _SHOWN

    watches: list[WatchView]


class SheetsOrder(BaseModel):
    """Sheets as CSV texts by file name, `points.csv`."""

    model_config = _GIVEN

    files: Annotated[dict[str, str], Field(min_length=1, max_length=20)]
    replace: bool = False
    dry_run: bool = False


class SheetsTaken(BaseModel):
    """By sheet, how many rows were added, changed, removed, unchanged."""

    model_config = _SHOWN

    sheets: dict[str, dict[str, int]]


def words_of(row: Any, *names: str) -> dict[str, Any]:
    """Take a row, with words of these columns taken apart."""
    return dict(row) | {name: row[name].split() for name in names}
