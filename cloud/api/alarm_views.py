"""What the API shows of alarms and their history; times are microseconds UTC."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from cloud.api.escalation_views import EscalationView
from cloud.desk.changes import What
from cloud.desk.core import Alarm, ClosingCode, Stage
from cloud.desk.life import State
from cloud.desk.noise import is_fleeting, is_stale
from cloud.desk.operations import allowed_actions
from contract.alarms import Mode, Severity

_OF_ALARM = ConfigDict(extra="forbid", from_attributes=True)


class AlarmFacts(BaseModel):
    """What is stored of an alarm."""

    model_config = _OF_ALARM

    alarm_id: str
    source: str = Field(description="<gateway>/<device>/<point>/<rule>")
    gateway: str
    device: str
    point: str
    rule: str
    kind: str
    severity: Severity
    text: dict[str, str] = Field(description="for people, by language tag")
    mode: Mode
    is_open: bool
    state: State
    stage: Stage
    raised_at_us: int = Field(description="the first press")
    last_raised_at_us: int
    triggers: int
    received_at_us: int
    stored_at_us: int
    late: bool
    cleared_at_us: int | None
    shown_at_us: int | None
    acknowledged_at_us: int | None
    acknowledged_by: str | None
    first_acknowledged_at_us: int | None
    dispatched_at_us: int | None
    dispatched_by: str | None
    arrived_at_us: int | None
    arrived_by: str | None
    closed_at_us: int | None
    closed_by: str | None
    closing_code: ClosingCode | None
    comment: str | None
    latching: bool
    latched: bool
    shelved_until_us: int | None
    suppressed_by: str | None
    out_of_service: bool
    chattering: bool
    site: str | None
    area: str | None
    area_path: str
    target_s: int | None = Field(description="within so long of the press somebody should be there")


_STORED = tuple(AlarmFacts.model_fields)


class AlarmView(AlarmFacts):
    """One alarm, as it stands and what that means now."""

    allowed: list[str] = Field(description="the actions that its state allows")
    stale: bool = Field(description="its condition has lasted for more than a day")
    fleeting: bool = Field(description="it came once and went within a minute")

    @classmethod
    def of(cls, alarm: Alarm, now_us: int) -> "AlarmView":
        """Show an alarm as it stands at `now_us`."""
        # What the desk itself has made is not checked again.
        return cls.model_construct(**alarm_fields(alarm, now_us))


class AlarmPage(BaseModel):
    """Some alarms, the latest trigger first.

    Attributes:
        next: give it as `after` to get the following ones; null at the end.
        first_outs: of each alarm in this page the first of its chain, where that is another one of this page.
        flood_since_us: since when new live alarms there come faster than people can read them (ISA-18.2: ten in ten
            minutes, until fewer than five); null: they do not.
    """

    model_config = ConfigDict(extra="forbid")

    alarms: list[AlarmView]
    next: str | None
    first_outs: dict[str, str]
    flood_since_us: int | None


class ChangeView(BaseModel):
    """One change of an alarm, or of what controls a source: who, when, from where, why."""

    model_config = ConfigDict(extra="forbid")

    id: int
    at_us: int
    what: What
    alarm_id: str | None
    source: str
    area_path: str
    by: str
    origin: str
    why: str
    fields: dict[str, Any] = Field(description="what changed, {name: [before, after]}")


class AlarmHistory(BaseModel):
    """One alarm and what has happened to it, the oldest first; more than 1000 changes are cut to the latest.

    Attributes:
        escalation: null once it is closed, and of tests and drills.
    """

    model_config = ConfigDict(extra="forbid")

    alarm: AlarmView
    escalation: EscalationView | None
    changes: list[ChangeView]


class StreamedChange(ChangeView):
    """A change as the live stream tells it: with the alarm as it stands now."""

    alarm: AlarmView | None


def alarm_fields(alarm: Alarm, now_us: int) -> dict[str, Any]:
    """Make the fields of `AlarmView`: what is stored, what it allows, and what it means at `now_us`."""
    fields = {name: getattr(alarm, name) for name in _STORED}
    fields["allowed"] = [action.value for action in allowed_actions(alarm)]
    fields["stale"], fields["fleeting"] = is_stale(alarm, now_us), is_fleeting(alarm)
    return fields


def change_of(row: RowMapping) -> dict[str, Any]:
    """Read a row of `change`."""
    return {name: row[name] for name in ChangeView.model_fields} | {"what": What(row["what"])}
