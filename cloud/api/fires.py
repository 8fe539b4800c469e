"""Fires that towers found together: their evidence, what people say of them, and their CAP messages."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from cloud.api.actions import Told, Words
from cloud.api.alarms import area_path_of
from cloud.api.auth import Caller, needs
from cloud.api.context import Here
from cloud.api.problems import ProblemError, not_found
from cloud.api.queries import Word, within
from cloud.database.detection_tables import fire, fire_cap, fire_evidence
from cloud.desk.core import ClosingCode
from cloud.fire import detection_judging as judging
from cloud.fire.cap import MEDIA_TYPE, Scope
from cloud.fire.detection import Certainty, Sign
from cloud.fire.detection_store import Judgement, source_of, to_fire
from cloud.people.roles import Action, Person
from contract.alarms import Mode, Severity

router = APIRouter(prefix="/fires", tags=["fires"])
_SHOWN = ConfigDict(extra="forbid", from_attributes=True)
_STRICT = ConfigDict(extra="forbid", strict=True)
MOST_EVIDENCE = 1_000
"""So many pieces of evidence are shown of a fire, the latest first."""
FireId = Annotated[str, Path(pattern=r"^[0-9a-f]{4,24}$", description="a fire's id, or a unique beginning of it")]
SeesFire = Annotated[Caller, needs(Action.SEE_FIRE)]
Judges = Annotated[Caller, needs(Action.JUDGE_FIRES)]
_CAP: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "The message, as it was sent."}
}


class FireView(BaseModel):
    """A fire: what its evidence comes to, where it is, and how it stands. Times are microseconds UTC.

    Attributes:
        confidence: 0 to 0.95; a judgement of ours, good for its first digit.
        located_by: `bearings`: where lines of sight cross; `towers`: somewhere among them.
        reasons: what made up the confidence, each with its weight.
        source: of its own alarm on the desk; null while it is too little to speak of.
        merged_into: the fire that it turned out to be.
        ended_at_us: it takes no more evidence.
    """

    model_config = _SHOWN

    id: str
    mode: Mode
    began_at_us: int
    last_at_us: int
    cleared_at_us: int | None
    confidence: float
    certainty: Certainty
    severity: Severity
    signs: list[Sign]
    towers: list[str]
    reasons: list[tuple[str, float]]
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    located_by: str
    area: str | None
    area_path: str
    source: str
    judgement: Judgement | None
    judged_by: str | None
    judged_at_us: int | None
    judged_why: str | None
    merged_into: str | None
    ended_at_us: int | None


class FirePage(BaseModel):
    """Fires, the latest beginning first; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    fires: list[FireView]
    next: str | None


class EvidenceView(BaseModel):
    """One raise of one detector, with what was measured around it.

    Attributes:
        alarm: the alarm of the desk that it is counted to.
        wind: `from_deg`, `speed_m_s`, `station`; null where nobody measured it.
        readings: raised readings of neighbours without an alarm.
    """

    model_config = _SHOWN

    id: str
    alarm: str
    source: str
    sign: Sign
    severity: Severity
    raised_at_us: int
    cleared_at_us: int | None
    latitude_deg: float
    longitude_deg: float
    bearing_deg: float | None
    wind: dict[str, Any] | None
    readings: list[dict[str, Any]]


class FireDetails(BaseModel):
    """A fire with its evidence, the latest first; at most 1000 pieces."""

    model_config = _SHOWN

    fire: FireView
    evidence: list[EvidenceView]


class Confirmation(BaseModel):
    """What was seen; may be left out."""

    model_config = _STRICT

    why: Words = ""


class FalseCall(BaseModel):
    """What it was, and what was found."""

    model_config = _STRICT

    code: Annotated[ClosingCode, Field(strict=False)]
    why: Told


class CapOrder(BaseModel):
    """For whom the message is; `Public` is a person's word."""

    model_config = _STRICT

    scope: Annotated[Scope, Field(strict=False)] = Scope.PRIVATE


class CapView(BaseModel):
    """A CAP message that was made."""

    model_config = _SHOWN

    identifier: str
    number: int
    sent_at_us: int
    msg_type: str
    status: str
    scope: str
    by: str


class CapPage(BaseModel):
    """The messages about a fire, the latest first; `next` as `after` gives the following ones."""

    model_config = _SHOWN

    messages: list[CapView]
    next: int | None


@router.get("")
async def list_fires(
    context: Here,
    caller: SeesFire,
    *,
    area: Annotated[Word | None, Query()] = None,
    standing: Annotated[bool, Query(description="only those that still take evidence and have not gone quiet")] = False,
    after: Annotated[str, Query(pattern=r"^([0-9]{1,18}:[0-9a-f]{24})?$")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> FirePage:
    """List the fires of one's own subtree; those that turned out to be another are among them, with a pointer."""

    def work(connection: Connection) -> list[FireView]:
        path = None if area is None else area_path_of(connection, area, caller.person)
        terms = [within(fire.c.area_path, caller.person.scope), within(fire.c.area_path, path), fire.c.told]
        if standing:
            terms += [fire.c.ended_at_us.is_(None), fire.c.cleared_at_us.is_(None)]
        if after:
            began_us, _, last = after.partition(":")
            earlier = fire.c.began_at_us < int(began_us)
            terms.append(earlier | ((fire.c.began_at_us == int(began_us)) & (fire.c.id < last)))
        query = select(fire).where(*(term for term in terms if term is not None))
        query = query.order_by(fire.c.began_at_us.desc(), fire.c.id.desc()).limit(limit)
        return [_view(row) for row in connection.execute(query).mappings()]

    found = await context.database.ask(work)
    following = f"{found[-1].began_at_us}:{found[-1].id}" if len(found) == limit else None
    return FirePage(fires=found, next=following)


@router.get("/{fire_id}")
async def show_fire(fire_id: FireId, context: Here, caller: SeesFire) -> FireDetails:
    """Show one fire with its evidence."""

    def work(connection: Connection) -> FireDetails:
        found = _find(connection, fire_id, caller.person)
        query = select(fire_evidence).where(fire_evidence.c.fire == found)
        query = query.order_by(fire_evidence.c.raised_at_us.desc(), fire_evidence.c.id).limit(MOST_EVIDENCE)
        rows = connection.execute(query).mappings().all()
        evidence = [EvidenceView(**_evidence(row)) for row in rows]
        return FireDetails(fire=_shown(connection, found), evidence=evidence)

    return await context.database.ask(work)


@router.post("/{fire_id}/confirm")
async def confirm_fire(fire_id: FireId, body: Confirmation, context: Here, caller: Judges) -> FireView:
    """Note that somebody has seen it burn: it is critical, and its CAP message says observed."""
    now_us = context.clock()

    def work(connection: Connection) -> FireView:
        found = _find(connection, fire_id, caller.person)
        judging.confirm(connection, found, actor=caller.actor, why=body.why, settings=context.settings, now_us=now_us)
        return _shown(connection, found)

    return await context.database.call(work)


@router.post("/{fire_id}/false")
async def call_fire_false(fire_id: FireId, body: FalseCall, context: Here, caller: Judges) -> FireView:
    """Note that it does not burn: its alarm is closed, its messages cancelled; detectors that stand are heard again."""
    now_us = context.clock()

    def work(connection: Connection) -> FireView:
        found = _find(connection, fire_id, caller.person)
        judging.call_false(
            connection,
            found,
            actor=caller.actor,
            code=body.code,
            why=body.why,
            settings=context.settings,
            now_us=now_us,
        )
        return _shown(connection, found)

    return await context.database.call(work)


@router.post("/{fire_id}/cap", status_code=201)
async def make_cap(fire_id: FireId, body: CapOrder, context: Here, caller: Judges) -> CapView:
    """Make a CAP message of how the fire stands now; nothing but this makes one that is public."""
    now_us = context.clock()

    def work(connection: Connection) -> CapView:
        made = judging.issue_by_hand(
            connection,
            _find(connection, fire_id, caller.person),
            scope=body.scope,
            actor=caller.actor,
            settings=context.settings,
            now_us=now_us,
        )
        row = connection.execute(select(fire_cap).where(fire_cap.c.identifier == made)).one()
        return CapView(**{name: getattr(row, name) for name in CapView.model_fields})

    return await context.database.call(work)


@router.get("/{fire_id}/cap", response_class=Response, responses=_CAP)
async def show_cap(
    fire_id: FireId,
    context: Here,
    caller: SeesFire,
    *,
    number: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="the latest when left out")] = None,
) -> Response:
    """Give a CAP 1.2 message about a fire, as it was sent."""

    def work(connection: Connection) -> str:
        query = select(fire_cap.c.xml).where(fire_cap.c.fire == _find(connection, fire_id, caller.person))
        if number is not None:
            query = query.where(fire_cap.c.number == number)
        found: str | None = connection.execute(query.order_by(fire_cap.c.number.desc()).limit(1)).scalar_one_or_none()
        if found is None:
            raise not_found("such message")
        return found

    return Response(await context.database.ask(work), media_type=MEDIA_TYPE)


@router.get("/{fire_id}/caps")
async def list_caps(
    fire_id: FireId,
    context: Here,
    caller: SeesFire,
    *,
    after: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> CapPage:
    """List the CAP messages about a fire."""

    def work(connection: Connection) -> list[CapView]:
        query = select(fire_cap).where(fire_cap.c.fire == _find(connection, fire_id, caller.person))
        if after is not None:
            query = query.where(fire_cap.c.number < after)
        rows = connection.execute(query.order_by(fire_cap.c.number.desc()).limit(limit))
        return [CapView(**{name: getattr(row, name) for name in CapView.model_fields}) for row in rows]

    found = await context.database.ask(work)
    return CapPage(messages=found, next=found[-1].number if len(found) == limit else None)


def _find(connection: Connection, fire_id: str, person: Person) -> str:
    """Find a fire by the beginning of its id, among those that the person sees.

    Raises:
        ProblemError: 404 none; 409 more than one begins so.
    """
    # "g" is the character after the last of hexadecimal digits.
    terms = [within(fire.c.area_path, person.scope), fire.c.told, fire.c.id >= fire_id, fire.c.id < f"{fire_id}g"]
    query = select(fire.c.id).where(*(term for term in terms if term is not None)).limit(10)
    ids = connection.execute(query).scalars().all()
    if not ids:
        raise not_found("such fire")
    if len(ids) > 1:
        hint = "Give more characters of the id."
        raise ProblemError(409, "ambiguous", f"{len(ids)} fires begin so", hint=hint, candidates=sorted(ids))
    return str(ids[0])


def _shown(connection: Connection, fire_id: str) -> FireView:
    return _view(connection.execute(select(fire).where(fire.c.id == fire_id)).mappings().one())


def _view(row: Any) -> FireView:
    found = to_fire(row)
    values = {name: getattr(found, name) for name in FireView.model_fields if name not in ("source", "severity")}
    return FireView(**values, source=source_of(found.id), severity=found.urgency)


def _evidence(row: Any) -> dict[str, Any]:
    return {name: row["occurrence" if name == "alarm" else name] for name in EvidenceView.model_fields}
