"""Patrols: points, routes, plans, wands; the board of a day, a tour with its history; visits by hand; lone people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection, Select, func, select

from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs, sees
from cloud.api.context import Here
from cloud.api.patrol_views import (
    ExtraView,
    PatrolPlanPage,
    PatrolPlanView,
    PatrolPointPage,
    PatrolPointView,
    PatrolRoutePage,
    PatrolRouteView,
    PatrolWandPage,
    PatrolWandView,
    RoutePointView,
    SheetsOrder,
    SheetsTaken,
    TourDetails,
    TourPage,
    TourStopView,
    TourView,
    VerdictChangeView,
    VisitOrder,
    VisitTaken,
    WatchOrder,
    WatchPage,
    WatchView,
    words_of,
)
from cloud.api.problems import ProblemError, not_found
from cloud.api.queries import Word, within
from cloud.areas.chunks import chunked
from cloud.areas.faults import Faults, ImportRefusedError
from cloud.areas.importing import Source
from cloud.areas.places import Place
from cloud.database.area_tables import area
from cloud.database.patrol_tables import (
    patrol_card,
    patrol_hit,
    patrol_plan,
    patrol_point,
    patrol_route,
    patrol_route_point,
    patrol_sync,
    patrol_tour,
    patrol_verdict,
    patrol_visit,
    patrol_wand,
    patrol_watch,
)
from cloud.desk.own import say
from cloud.patrols.handing import hand_in
from cloud.patrols.importing import bring_in, read_sheets
from cloud.patrols.judging import TourState
from cloud.patrols.lone import Sign, begin_watch, check_in, end_watch, find_people, find_watch
from cloud.patrols.plans import Tour
from cloud.patrols.verdicts import VISITED, Judged, Judgement, VisitVerdict
from cloud.people.audit import note
from cloud.people.roles import Action

router = APIRouter(tags=["patrols"], prefix="/patrols")
Sees = Annotated[Caller, needs(Action.SEE_PATROLS)]
Walks = Annotated[Caller, needs(Action.WALK_PATROLS)]
_After = Annotated[str, Query(max_length=200)]
_Limit = Annotated[int, Query(ge=1, le=1_000)]
_TourId = Annotated[str, Path(min_length=1, max_length=90)]
_WatchId = Annotated[str, Path(min_length=1, max_length=64)]
HANDED_IN = "patrol-visit-handed-in"
_MOST_HISTORY = 2_000
_HITS_SHOWN = 20


@router.get("/points")
async def list_patrol_points(
    context: Here, caller: Sees, *, after: _After = "", limit: _Limit = 100
) -> PatrolPointPage:
    """List the points of one's own subtree."""

    def work(connection: Connection) -> PatrolPointPage:
        rows = _page(connection, patrol_point, caller, after, limit)
        cards = _by(connection, patrol_card, patrol_card.c.point, [row["id"] for row in rows])
        points = [
            PatrolPointView(
                **_only(row, PatrolPointView), cards=sorted(one["card"] for one in cards.get(row["id"], []))
            )
            for row in rows
        ]
        return PatrolPointPage(points=points, next=_next(rows, limit))

    return await context.database.ask(work)


@router.get("/routes")
async def list_patrol_routes(
    context: Here, caller: Sees, *, after: _After = "", limit: _Limit = 100
) -> PatrolRoutePage:
    """List the routes of one's own subtree."""

    def work(connection: Connection) -> PatrolRoutePage:
        rows = _page(connection, patrol_route, caller, after, limit)
        points = _by(connection, patrol_route_point, patrol_route_point.c.route, [row["id"] for row in rows])
        routes = []
        for row in rows:
            mine = sorted(points.get(row["id"], []), key=lambda one: int(one["position"]))
            shown = [RoutePointView(**_only(one, RoutePointView)) for one in mine]
            routes.append(PatrolRouteView(**_only(row, PatrolRouteView), points=shown))
        return PatrolRoutePage(routes=routes, next=_next(rows, limit))

    return await context.database.ask(work)


@router.get("/plans")
async def list_patrol_plans(context: Here, caller: Sees, *, after: _After = "", limit: _Limit = 100) -> PatrolPlanPage:
    """List the plans of the routes of one's own subtree."""

    def work(connection: Connection) -> PatrolPlanPage:
        joined = patrol_plan.join(patrol_route, patrol_route.c.id == patrol_plan.c.route)
        joined = joined.outerjoin(area, area.c.id == patrol_route.c.area)
        query = select(patrol_plan).select_from(joined).where(patrol_plan.c.id > after)
        rows = connection.execute(
            _inside(query, caller, area.c.path).order_by(patrol_plan.c.id).limit(limit)
        ).mappings()
        plans = [
            PatrolPlanView(**_only(words_of(row, "weekdays", "starts", "people", "wands"), PatrolPlanView))
            for row in rows
        ]
        return PatrolPlanPage(plans=plans, next=plans[-1].id if len(plans) == limit else None)

    return await context.database.ask(work)


@router.get("/wands")
async def list_patrol_wands(context: Here, caller: Sees, *, after: _After = "", limit: _Limit = 100) -> PatrolWandPage:
    """List the wands of one's own subtree, how far each was read out, and its latest hits."""

    def work(connection: Connection) -> PatrolWandPage:
        rows = _page(connection, patrol_wand, caller, after, limit)
        ids = [row["id"] for row in rows]
        syncs = _by(connection, patrol_sync, patrol_sync.c.wand, ids)
        hits = _latest_hits(connection, ids)
        wands = []
        for row in rows:
            sync = next(iter(syncs.get(row["id"], [])), {})
            wands.append(PatrolWandView(
                **_only(row, PatrolWandView), synced_at_us=sync.get("synced_at_us") or None,
                records=sync.get("records"), clock_error_s=sync.get("clock_error_s"),
                silent_since_us=sync.get("silent_raised_at_us"), hits_us=hits.get(row["id"], []),
            ))  # fmt: skip
        return PatrolWandPage(wands=wands, next=_next(rows, limit))

    return await context.database.ask(work)


@router.get("/tours")
async def list_tours(
    context: Here,
    caller: Sees,
    *,
    day: Annotated[date | None, Query()] = None,
    area_id: Annotated[Word | None, Query(alias="area")] = None,
    route: Annotated[Word | None, Query()] = None,
    state: Annotated[list[TourState], Query(max_length=6)] = [],  # noqa: B006 - a default of FastAPI's, never written to
    after: _After = "",
    limit: _Limit = 100,
) -> TourPage:
    """Show the board of a day, today's unless said: the tours that begin on it, with what became of them."""
    zone = ZoneInfo(context.settings.desk.timezone)
    wanted = datetime.fromtimestamp(context.clock() // 1_000_000, UTC).astimezone(zone).date() if day is None else day

    def work(connection: Connection) -> TourPage:
        query = select(patrol_tour).where(patrol_tour.c.day == wanted, patrol_tour.c.id > after)
        if area_id is not None:
            query = query.where(_term(patrol_tour.c.area_path, area_path_of(connection, area_id, caller.person)))
        if route is not None:
            query = query.where(patrol_tour.c.route == route)
        if state:
            query = query.where(patrol_tour.c.state.in_([one.value for one in state]))
        query = _inside(query, caller, patrol_tour.c.area_path).order_by(patrol_tour.c.id).limit(limit)
        rows = connection.execute(query).mappings().all()
        return TourPage(tours=[TourView(**_tour(row)) for row in rows], next=_next(rows, limit))

    return await context.database.ask(work)


@router.get("/tours/{tour_id}")
async def show_tour(tour_id: _TourId, context: Here, caller: Sees) -> TourDetails:
    """Show one tour: each planned visit with its verdict, other visits, and every change of a verdict."""

    def work(connection: Connection) -> TourDetails:
        row = connection.execute(select(patrol_tour).where(patrol_tour.c.id == tour_id)).mappings().one_or_none()
        if row is None or not sees(caller, row["area_path"]):
            raise not_found("such tour")
        return _details(connection, row)

    return await context.database.ask(work)


@router.post("/visits", status_code=201)
async def hand_in_visit(body: VisitOrder, context: Here, caller: Walks) -> VisitTaken:
    """Hand in a visit by hand; the visit is marked as such, and the audit says who did it."""
    now_us = context.clock()
    if (body.point is None) == (body.card is None):
        raise ProblemError(422, "invalid", "body: a point or a card", hint="Give one of both.")
    at_us = now_us if body.visited_at_us is None else body.visited_at_us
    if at_us > now_us + 300_000_000:
        raise ProblemError(422, "invalid", "body.visited_at_us: lies ahead", hint="Give when it was.")

    def work(connection: Connection) -> VisitTaken:
        card = _card_for(connection, body, caller)
        if body.wand is not None:
            _check_wand(connection, body.wand, caller)
        taken = hand_in(
            connection, wand=body.wand, person=body.person or ("" if body.wand else caller.person.name), card=card,
            at_us=at_us, settings=context.settings, now_us=now_us,
        )  # fmt: skip
        details = {"wand": body.wand, "person": body.person, "visited_at_us": at_us}
        note(connection, actor=caller.actor, what=HANDED_IN, object_=card, details=details, at_us=now_us)
        return VisitTaken(is_new=taken.new > 0, tours=sorted(taken.tours))

    return await context.database.call(work)


@router.get("/watches")
async def list_watches(context: Here, caller: Sees, *, ended: bool = False, limit: _Limit = 100) -> WatchPage:
    """List who walks alone now; with `ended` the latest watches, over or not."""
    query = select(patrol_watch)
    if not ended:
        query = query.where(patrol_watch.c.ended_at_us.is_(None))
    query = _inside(query, caller, patrol_watch.c.area_path)
    query = query.order_by(patrol_watch.c.begun_at_us.desc(), patrol_watch.c.id).limit(limit)
    rows = await context.database.ask(lambda connection: connection.execute(query).mappings().all())
    return WatchPage(watches=[WatchView(**_only(row, WatchView)) for row in rows])


@router.post("/watches", status_code=201)
async def begin_lone_watch(body: WatchOrder, context: Here, caller: Walks) -> WatchView:
    """Begin to watch over somebody who walks alone: a sign of life is due within every interval."""
    now_us = context.clock()

    def work(connection: Connection) -> WatchView:
        path = area_path_of(connection, body.area, caller.person)
        if body.wand is not None:
            _check_wand(connection, body.wand, caller)
        watch = begin_watch(
            connection, person=_person_of(connection, body.person, caller), wand=body.wand, tour=body.tour,
            place=Place(None, body.area, path), interval_s=body.interval_s, by=caller.actor.name, now_us=now_us,
        )  # fmt: skip
        return _watch(connection, watch, caller)

    return await context.database.call(work)


@router.post("/watches/{watch_id}/check-in")
async def give_sign(watch_id: _WatchId, context: Here, caller: Walks) -> WatchView:
    """Note that somebody who walks alone has said that all is well."""
    now_us = context.clock()

    def work(connection: Connection) -> WatchView:
        row = _lasting(connection, watch_id, caller)
        sign = Sign(now_us, f"check-in {caller.actor.name}")
        said = check_in(connection, row, sign, settings=context.settings, now_us=now_us)
        say(connection, said, desk=context.settings.desk, now_us=now_us)
        return _watch(connection, watch_id, caller)

    return await context.database.call(work)


@router.post("/watches/{watch_id}/end")
async def end_lone_watch(watch_id: _WatchId, context: Here, caller: Walks) -> WatchView:
    """End a watch."""
    now_us = context.clock()

    def work(connection: Connection) -> WatchView:
        row = _lasting(connection, watch_id, caller)
        said = end_watch(connection, row, by=caller.actor.name, settings=context.settings, now_us=now_us)
        say(connection, said, desk=context.settings.desk, now_us=now_us)
        return _watch(connection, watch_id, caller)

    return await context.database.call(work)


@router.post("/import")
async def import_sheets(
    body: SheetsOrder, context: Here, caller: Annotated[Caller, needs(Action.EDIT_PATROLS)]
) -> SheetsTaken:
    """Bring in points, routes, plans, people and wands as CSV sheets: all or nothing, in one's own subtree."""
    now_us = context.clock()

    def work(connection: Connection) -> SheetsTaken:
        faults = Faults()
        sources = [Source(name, text.encode("utf-8", "surrogatepass")) for name, text in sorted(body.files.items())]
        try:
            outcome = bring_in(
                connection, read_sheets(sources, faults), faults, actor=caller.actor, now_us=now_us,
                scope=caller.person.scope, replace=body.replace, dry_run=body.dry_run,
            )  # fmt: skip
        except ImportRefusedError as error:
            told = [
                {"where": str(fault.where), "why": fault.told(caller.person.language)} for fault in error.faults[:20]
            ]
            raise ProblemError(
                422, "import-refused", f"{error.count} fault(s)", hint=error.hint, faults=told
            ) from error
        return SheetsTaken(sheets=outcome.counts)

    return await context.database.call(work)


Row = Mapping[Any, Any]


def _page(connection: Connection, table: Any, caller: Caller, after: str, limit: int) -> Sequence[Row]:
    """Read a page of rows that lie in an area of the caller's."""
    query = select(table).select_from(table.outerjoin(area, area.c.id == table.c.area)).where(table.c.id > after)
    query = _inside(query, caller, area.c.path).order_by(table.c.id).limit(limit)
    return connection.execute(query).mappings().all()


def _inside(query: Select[Any], caller: Caller, column: Any) -> Select[Any]:
    return query if caller.person.scope is None else query.where(_term(column, caller.person.scope))


def _term(column: Any, path: str) -> Any:
    return within(column, path)


def _by(connection: Connection, table: Any, column: Any, ids: Sequence[str]) -> dict[str, list[Row]]:
    """Read the rows of a table that belong to some ids, by id."""
    found: dict[str, list[Row]] = {}
    for some in chunked(ids):
        for row in connection.execute(select(table).where(column.in_(some))).mappings():
            found.setdefault(row[column.name], []).append(row)
    return found


def _latest_hits(connection: Connection, wands: Sequence[str]) -> dict[str, list[int]]:
    """Read the latest hits of each wand, the last first."""
    rank = func.row_number().over(partition_by=patrol_hit.c.wand, order_by=patrol_hit.c.hit_at_us.desc())
    found: dict[str, list[int]] = {}
    for some in chunked(wands):
        ranked = select(patrol_hit.c.wand, patrol_hit.c.hit_at_us, rank.label("rank"))
        latest = ranked.where(patrol_hit.c.wand.in_(some)).subquery()
        query = select(latest).where(latest.c.rank <= _HITS_SHOWN).order_by(latest.c.wand, latest.c.rank)
        for row in connection.execute(query):
            found.setdefault(row.wand, []).append(row.hit_at_us)
    return found


def _only(row: Row, model: Any) -> dict[str, Any]:
    return {name: row[name] for name in model.model_fields if name in row}


def _next(rows: Sequence[Row], limit: int) -> str | None:
    return rows[-1]["id"] if len(rows) == limit else None


def _judged(row: Row, tour: Tour) -> Judged:
    if row["judged"] is None:
        return Judged(
            tuple(Judgement(stop.position, VisitVerdict.OPEN) for stop in tour.stops), (), None, waits=False, silent=()
        )
    return msgspec.convert(row["judged"], Judged)


def _tour(row: Row) -> dict[str, Any]:
    judged = _judged(row, msgspec.convert(row["tour"], Tour))
    verdicts = [one.verdict for one in judged.stops]
    return {name: row[name] for name in TourView.model_fields if name in row} | {
        "planned": len(verdicts),
        "visited": sum(one in VISITED for one in verdicts),
        "counts": {one: verdicts.count(one) for one in sorted(set(verdicts))},
    }


def _details(connection: Connection, row: Row) -> TourDetails:
    tour = msgspec.convert(row["tour"], Tour)
    judged = _judged(row, tour)
    points = _by(connection, patrol_point, patrol_point.c.id, sorted({stop.point for stop in tour.stops}))
    stops = []
    for stop, one in zip(tour.stops, judged.stops, strict=True):
        name = points[stop.point][0]["name"] if stop.point in points else stop.point
        stops.append(TourStopView(
            **msgspec.structs.asdict(stop), name=name, verdict=one.verdict, visit=one.visit,
            visited_at_us=one.visited_at_us, off_s=one.off_us / 1e6,
        ))  # fmt: skip
    visits = _by(connection, patrol_visit, patrol_visit.c.id, [visit for visit, _ in judged.extras])
    extras = []
    for visit, verdict in judged.extras:
        found: Row = visits.get(visit, [{}])[0]
        told = {name: found.get(name) for name in ("point", "card", "visited_at_us")}
        extras.append(ExtraView(visit=visit, verdict=verdict, **told))
    query = select(patrol_verdict).where(patrol_verdict.c.tour == tour.id).order_by(patrol_verdict.c.id.desc())
    changes = connection.execute(query.limit(_MOST_HISTORY)).mappings().all()
    history = [VerdictChangeView(**_only(one, VerdictChangeView)) for one in reversed(changes)]
    people, wands = list(tour.people), list(tour.wands)
    return TourDetails(**_tour(row), people=people, wands=wands, stops=stops, extras=extras, history=history)


def _card_for(connection: Connection, body: VisitOrder, caller: Caller) -> str:
    """Find the card of the point that is meant, where the caller sees that."""
    joined = patrol_point.join(area, area.c.id == patrol_point.c.area)
    joined = joined.outerjoin(patrol_card, patrol_card.c.point == patrol_point.c.id)
    query = select(area.c.path, patrol_card.c.card).select_from(joined).order_by(patrol_card.c.card)
    if body.point is not None:
        query = query.where(patrol_point.c.id == body.point)
    else:
        query = query.where(patrol_card.c.card == str(body.card).strip().upper())
    row = connection.execute(query.limit(1)).one_or_none()
    if row is None or not sees(caller, row.path):
        raise not_found("such point")
    if row.card is None:
        raise ProblemError(422, "no-card", "the point has no card", hint="Give it a card, or a place for positions.")
    return str(row.card)


def _check_wand(connection: Connection, wand: str, caller: Caller) -> None:
    joined = patrol_wand.join(area, area.c.id == patrol_wand.c.area)
    query = select(area.c.path).select_from(joined).where(patrol_wand.c.id == wand)
    path = connection.execute(query).scalar_one_or_none()
    if path is None or not sees(caller, path):
        raise not_found("such wand")


def _person_of(connection: Connection, word: str, caller: Caller) -> str:
    """Find whose visits are signs of life, by id or name; whoever is not listed is called by the name given."""
    found = find_people(connection, word, caller.person.scope)
    if len(found) > 1:
        raise ProblemError(422, "invalid", f"body.person: {len(found)} people are called that", hint="Give the id.")
    return found[0] if found else word


def _lasting(connection: Connection, watch: str, caller: Caller) -> Row:
    row = find_watch(connection, watch, locked=True)
    if row is None or not sees(caller, row["area_path"]):
        raise not_found("such watch")
    if row["ended_at_us"] is not None:
        raise ProblemError(409, "watch-ended", "the watch is over", hint="Begin a new one.")
    return row


def _watch(connection: Connection, watch: str, caller: Caller) -> WatchView:
    row = find_watch(connection, watch)
    if row is None or not sees(caller, row["area_path"]):
        raise not_found("such watch")
    return WatchView(**_only(row, WatchView))
