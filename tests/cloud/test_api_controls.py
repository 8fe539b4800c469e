"""What must be heard although somebody has silenced its source: a rise in severity, and what is critical is counted."""

import pytest

from cloud.database import Database
from cloud.database.tables import change, control
from cloud.desk import controls, operations
from cloud.desk.changes import Actor
from cloud.desk.core import ClosingCode
from cloud.desk.life import State
from cloud.desk.operations import find_alarm
from cloud.escalation.store import find_escalations
from cloud.people.roles import Role
from contract.alarms import Severity
from tests.cloud.api_rig import Rig
from tests.cloud.rig import T0_US, rows_of
from tests.cloud.test_desk_events import apply, check_history, event

WANG = Actor("王芳", "10.0.0.7")
HOUR_US = 3_600_000_000
PRESS = event(0)


def shelve(database: Database, alarm_id: str = PRESS.alarm_id) -> None:
    until_us = T0_US + HOUR_US
    database.run(lambda one: operations.shelve(one, alarm_id, actor=WANG, now_us=T0_US, why="施工", until_us=until_us))


def close(database: Database) -> None:
    how = {"code": ClosingCode.ACCIDENTAL, "comment": "看过了"}
    database.run(lambda one: operations.close(one, PRESS.alarm_id, actor=WANG, now_us=T0_US, **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_rise_in_severity_ends_the_shelf_and_the_escalation_goes_on(
    desk_database: Database,
    is_closed: bool,  # noqa: FBT001
) -> None:
    apply(desk_database, PRESS)
    shelve(desk_database)
    if is_closed:
        close(desk_database)
    worse = event(5, severity=Severity.CRITICAL)
    apply(desk_database, worse)
    alarm = find_alarm(desk_database, worse.alarm_id)
    assert (alarm.state, alarm.severity, alarm.shelved_until_us) == (State.UNACKNOWLEDGED, Severity.CRITICAL, None)
    *_, last = rows_of(desk_database, change)
    assert (last["what"], last["by"], last["why"]) == (
        "unshelved", "desk", "its severity rose from high to critical",
    )  # fmt: skip
    (shelf,) = rows_of(desk_database, control)
    assert (shelf["lasting_key"], shelf["ended_by"]) == (None, "desk")
    found = desk_database.read(lambda one: find_escalations(one, [alarm.alarm_id]))[alarm.alarm_id]
    assert (found.idle, found.plan.severity) == (None, Severity.CRITICAL)
    assert found.next_at_us is not None
    check_history(desk_database)


@pytest.mark.parametrize("severity", [Severity.HIGH, Severity.LOW])
@pytest.mark.parametrize("is_closed", [False, True])
def test_what_is_no_rise_stays_on_the_shelf(
    desk_database: Database,
    severity: Severity,
    is_closed: bool,  # noqa: FBT001
) -> None:
    apply(desk_database, PRESS)
    shelve(desk_database)
    if is_closed:
        close(desk_database)
    again = event(5, severity=severity)
    apply(desk_database, again)
    assert find_alarm(desk_database, again.alarm_id).state is State.SHELVED
    assert len(desk_database.run(controls.list_controls)) == 1


@pytest.mark.anyio
async def test_the_list_counts_what_is_silent_and_what_of_it_is_critical(desk_database: Database) -> None:
    rig = Rig(desk_database)
    rig.raise_alarms(2)
    rig.raise_alarms(1, first=5, severity=Severity.CRITICAL)
    rig.raise_alarms(1, half="west", severity=Severity.CRITICAL)
    order = {"kind": "out-of-service", "target": "gate-east", "why": "mended"}
    async with rig.client(rig.add("li", Role.MANAGER)) as desk:
        begun = (await desk.post("/api/v1/controls", json=order)).json()
        less = order | {"kind": "suppressed", "target": "gate-east/button-0"}
        assert (await desk.post("/api/v1/controls", json=less)).status_code == 201
        listed = (await desk.get("/api/v1/controls")).json()["controls"]
        alarms = (await desk.get("/api/v1/alarms", params={"severity": "critical"})).json()["alarms"]
        ended = (await desk.post("/api/v1/controls/end", json={"kind": order["kind"], "target": "gate-east"})).json()
    assert (begun["silenced"], begun["silenced_critical"]) == (3, 1)
    counts = {one["target"]: (one["silenced"], one["silenced_critical"]) for one in listed}
    assert counts == {"gate-east": (3, 1), "gate-east/button-0": (1, 0)}
    # The list of alarms has it too, and says why it is silent.
    assert sorted(one["state"] for one in alarms) == ["out-of-service", "unacknowledged"]
    assert ended["silenced"] == 0
