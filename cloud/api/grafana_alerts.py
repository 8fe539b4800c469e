"""Grafana's alerts as an alarm source: a web hook of a contact point, with a secret of its own."""

import hmac
import os
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, exists, func, select

from cloud.api.auth import origin_of
from cloud.api.context import Here
from cloud.api.problems import ProblemError
from cloud.areas.chunks import chunked
from cloud.areas.places import find_places
from cloud.areas.tree import NOWHERE, Place
from cloud.database.area_tables import area, site
from cloud.database.tables import alarm_event, occurrence
from cloud.desk.changes import DESK, Actor
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.errors import SettingsError
from cloud.grafana import alerts
from cloud.grafana.alerts import Alert
from cloud.grafana.settings import Grafana
from contract.alarms import Transition

router = APIRouter(prefix="/grafana", tags=["grafana"])
MOST_ALERTS = 200
"""In one notification."""
MOST_OPEN = 1_000
"""Alarms of Grafana that are not closed: more are not alarms but a mistake in a rule."""
MIN_SECRET_CHARS = 16
_RETRY_AFTER_S = 60
_WORDS = 100
_bearer = HTTPBearer(auto_error=False, scheme_name="GrafanaSecret", description="grafana.alert_secret_env")

Told = Annotated[str, Field(max_length=8_192)]
Words = Annotated[dict[Annotated[str, Field(max_length=256)], Told], Field(max_length=_WORDS)]


class GrafanaAlert(BaseModel):
    """One alert; what else Grafana says of it is passed over."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: Words
    annotations: Words = {}
    startsAt: Annotated[str, Field(max_length=64)] = ""  # noqa: N815 - Grafana's name
    endsAt: Annotated[str, Field(max_length=64)] = ""  # noqa: N815 - the same
    fingerprint: Annotated[str, Field(max_length=64)] = ""


class Notification(BaseModel):
    """What a contact point of the kind webhook sends."""

    model_config = ConfigDict(extra="ignore")

    alerts: Annotated[list[GrafanaAlert], Field(max_length=MOST_ALERTS)]


class AlertsTaken(BaseModel):
    """How many alerts were said, and how many events of alarms followed that were not known."""

    model_config = ConfigDict(extra="forbid")

    alerts: int
    events: int


def alert_secret(settings: Grafana) -> str | None:
    """Read the secret; None where the settings name no variable: then nothing is taken.

    Raises:
        SettingsError: the variable is not set, or its secret is shorter than 16 characters.
    """
    variable = settings.alert_secret_env
    if variable is None:
        return None
    value = os.environ.get(variable, "")
    if len(value) < MIN_SECRET_CHARS:
        raise SettingsError("environment", variable, f"a secret of at least {MIN_SECRET_CHARS} characters is wanted")
    return value


def _require_secret(
    context: Here, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None
) -> None:
    """Let in only who knows the secret; how long that takes tells nothing of it.

    Raises:
        ProblemError: 403 where no secret is set up, 401 for another.
    """
    wanted = alert_secret(context.settings.grafana)
    if wanted is None:
        hint = "Name a variable with a secret in grafana.alert_secret_env."
        raise ProblemError(403, "alerts-not-taken", "alerts of Grafana are not taken here", hint=hint)
    if given is None or not hmac.compare_digest(given.credentials.encode(), wanted.encode()):
        hint = "Give the contact point the secret as its Authorization credentials, scheme Bearer."
        raise ProblemError(401, "not-signed-in", "not the secret of Grafana's alerts", hint=hint)


@router.post("/alerts", dependencies=[Depends(_require_secret)])
async def take_alerts(body: Notification, request: Request, context: Here) -> AlertsTaken:
    """Raise an alarm for what fires, and clear that of what is resolved; said twice, it is one."""
    now_us = context.clock()
    told = [_read(one) for one in body.alerts]
    actor = Actor(DESK.name, f"grafana {origin_of(request)}")

    def work(connection: Connection) -> int | None:
        said = _events(connection, told, now_us)
        raises = [one for one in said if one.event.transition is Transition.RAISED]
        is_too_much = bool(raises) and _count_open(connection) + len(raises) > MOST_OPEN
        if is_too_much:
            said = [one for one in said if one.event.transition is Transition.CLEARED]
        events = say(connection, said, desk=context.settings.desk, now_us=now_us, actor=actor)
        return None if is_too_much else events

    # Only now, after the commit: what is over is cleared although the rest is more than anybody can look after.
    events = await context.database.call(work)
    if events is None:
        hint = "Look at the rules in Grafana; close what is open here. Grafana says again what lasts."
        why = f"more than {MOST_OPEN} alarms of Grafana would be open"
        raise ProblemError(429, "too-many-alerts", why, hint=hint, retry_after_s=_RETRY_AFTER_S)
    return AlertsTaken(alerts=len(told), events=events)


def _read(alert: GrafanaAlert) -> Alert:
    return Alert(
        is_firing=alert.status == "firing",
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at_us=alerts.read_time_us(alert.startsAt),
        ends_at_us=alerts.read_time_us(alert.endsAt),
        fingerprint=alert.fingerprint,
    )


def _events(connection: Connection, told: Sequence[Alert], now_us: int) -> list[Said]:
    """Compare what is told with what stands."""
    standing = _standing(connection, {one.source for one in told})
    places = _places(connection, told)
    said: list[Said] = []
    for one in told:
        begun = standing[one.source]
        events = alerts.events_of(one, begun, now_us=now_us)
        for event in events:
            if event.transition is Transition.RAISED:
                begun[event.raised_at_us] = None
            else:
                begun.pop(event.raised_at_us, None)
        said += [Said(event, places[one.source]) for event in events]
    return said


def _standing(connection: Connection, sources: Collection[str]) -> dict[str, dict[int, int | None]]:
    """Find the raises of each source that have no clear: when each began, and when somebody closed its alarm."""
    clear = alarm_event.alias("clear")
    has_clear = exists().where(
        clear.c.alarm_id == alarm_event.c.alarm_id, clear.c.transition == Transition.CLEARED.value
    )
    found: dict[str, dict[int, int | None]] = {source: {} for source in sources}
    for some in chunked(sorted(sources)):
        query = select(occurrence.c.source, occurrence.c.closed_at_us, alarm_event.c.at_us)
        query = query.join(alarm_event, alarm_event.c.occurrence == occurrence.c.alarm_id)
        query = query.where(occurrence.c.source.in_(some), ~has_clear)
        query = query.where(alarm_event.c.transition == Transition.RAISED.value)
        for row in connection.execute(query):
            found[row.source][row.at_us] = row.closed_at_us
    return found


def _count_open(connection: Connection) -> int:
    of_grafana = occurrence.c.device.startswith(alerts.DEVICE_PREFIX, autoescape=True)
    query = select(func.count()).where(
        occurrence.c.closed_at_us.is_(None), occurrence.c.gateway == OWN_GATEWAY, of_grafana
    )
    return int(connection.execute(query).scalar_one())


def _places(connection: Connection, told: Sequence[Alert]) -> dict[str, Place]:
    """Find where each is: at the site that its labels name, else at its gateway's, else in the area; or nowhere."""

    def named(label: str) -> set[str]:
        return {value for one in told if (value := one.labels.get(label, "")) and "\0" not in value}

    sites: dict[str, Place] = {}
    for some in chunked(sorted(named(alerts.SITE_LABEL))):
        query = select(site.c.id, site.c.area, area.c.path).join(area, area.c.id == site.c.area)
        sites |= {
            row.id: Place(row.id, row.area, row.path) for row in connection.execute(query.where(site.c.id.in_(some)))
        }
    areas: dict[str, Place] = {}
    for some in chunked(sorted(named(alerts.AREA_LABEL))):
        query = select(area.c.id, area.c.path).where(area.c.id.in_(some))
        areas |= {row.id: Place(None, row.id, row.path) for row in connection.execute(query)}
    gateways = find_places(connection, {(gateway, "") for gateway in named(alerts.GATEWAY_LABEL)})

    def place_of(one: Alert) -> Place:
        at_gateway = gateways.get((one.labels.get(alerts.GATEWAY_LABEL, ""), ""), NOWHERE)
        found = (
            sites.get(one.labels.get(alerts.SITE_LABEL, "")),
            at_gateway,
            areas.get(one.labels.get(alerts.AREA_LABEL, "")),
        )
        return next((place for place in found if place is not None and place != NOWHERE), NOWHERE)

    return {one.source: place_of(one) for one in told}
