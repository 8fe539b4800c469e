"""A small town on a database: areas, people on duty, alarms, and what happens to them on a virtual clock."""

import re
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.database import Database
from cloud.database.area_tables import area, contact, duty, policy, registered_gateway, site
from cloud.database.escalation_tables import delivery, escalation
from cloud.database.people_tables import user
from cloud.database.tables import change, occurrence
from cloud.desk.changes import Actor, Changed, What
from cloud.desk.core import Alarm, Arrival, ClosingCode
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.store import apply_events
from cloud.escalation.plan import Policy
from cloud.escalation.settings import Fallback
from cloud.escalation.taking import Rules, take_due
from contract.alarms import AlarmEvent, Mode, Severity, Transition

S_US = 1_000_000
# A Tuesday, 08:00 in Shanghai.
T0_US = 1_763_424_000 * S_US
RULES = Rules(ZoneInfo("Asia/Shanghai"), (Fallback("值班室", "sms", "110"),))
OPERATOR = Actor("wang", "192.0.2.7")
LEVELS = {"p": "province", "c": "county", "t": "town", "s": "street", "g": "grid"}
PATHS = {"p": "p/", "c": "p/c/", "t": "p/c/t/", "s": "p/c/t/s/", "g": "p/c/t/s/g/"}
STEP = re.compile(r"round (?P<round>\d+), step (?P<step>\d+) of .*?, times? (?P<first>\d+)(?: to (?P<last>\d+))?: ")


def settle(connection: Connection, *, on_duty: str = "gstcp") -> None:
    """Five areas above each other, a site with gateway `gw` in the lowest, one person on duty in each of `on_duty`."""
    for one, level in LEVELS.items():
        parent = PATHS[one].split("/")[-3] if one != "p" else None
        row = {"id": one, "parent": parent, "level": level, "name": one.upper(), "path": PATHS[one]}
        connection.execute(insert(area).values(row))
    for one in LEVELS:
        addresses = [{"channel": "sms", "address": f"1-{one}"}, {"channel": "phone", "address": f"2-{one}"}]
        person: dict[str, Any] = {
            "id": f"at-{one}",
            "area": one,
            "name": f"{one} 的人",
            "language": "zh",
            "addresses": addresses,
        }
        connection.execute(insert(contact).values(person))
    for one in on_duty:
        set_duty(connection, one, f"at-{one}")
    connection.execute(insert(site).values(id="school", area="g", name="学校", kind="school", address=""))
    connection.execute(insert(registered_gateway).values(id="gw", site="school", name="", address=""))


def set_duty(connection: Connection, where: str, who: str) -> None:
    days = "mon tue wed thu fri sat sun"
    row = {"area": where, "contact": who, "weekdays": days, "begins": "00:00", "ends": "00:00", "rank": 1}
    connection.execute(insert(duty).values(row))


def raised_event(
    device: str, severity: Severity, at_us: int, *, gateway: str = "gw", mode: Mode = Mode.LIVE
) -> AlarmEvent:
    return AlarmEvent(
        gateway=gateway,
        device=device,
        point="input",
        rule="panic",
        transition=Transition.RAISED,
        raised_at_us=at_us,
        at_us=at_us,
        kind="panic",
        severity=severity,
        text={"zh": "求助"},
        mode=mode,
    )


class Town:
    """The desk of that town; every act is a transaction at `now_us`."""

    def __init__(self, database: Database, *, on_duty: str = "gstcp") -> None:
        self.database = database
        self.now_us = T0_US
        database.run(lambda connection: settle(connection, on_duty=on_duty))

    def say_policy(self, where: str, severity: Severity, said: Policy) -> None:
        row = {"area": where, "severity": severity.value, "policy": msgspec.to_builtins(said)}
        self.database.run(lambda connection: connection.execute(insert(policy).values(row)))

    def say_user(self, name: str, contact_id: str) -> None:
        row: dict[str, Any] = {"name": name, "display": name, "password": "", "role": "operator", "contact": contact_id}
        row |= {"language": "zh", "disabled": False, "must_change": False, "created_us": T0_US}
        self.database.run(lambda connection: connection.execute(insert(user).values(row)))

    def press(
        self,
        device: str = "button",
        *,
        severity: Severity = Severity.CRITICAL,
        gateway: str = "gw",
        mode: Mode = Mode.LIVE,
    ) -> str:
        """Raise an alarm; returns its id."""
        event = raised_event(device, severity, self.now_us, gateway=gateway, mode=mode)
        self.apply(event)
        return self.alarm_of(event.source) if mode is Mode.LIVE else event.alarm_id

    def clear(self, raised: AlarmEvent) -> None:
        self.apply(msgspec.structs.replace(raised, transition=Transition.CLEARED, at_us=self.now_us))

    def apply(self, *events: AlarmEvent) -> None:
        arrivals = [Arrival(one, self.now_us, self.now_us, late=False) for one in events]
        self.database.run(lambda connection: apply_events(connection, arrivals))

    def alarm_of(self, source: str) -> str:
        query = select(occurrence.c.alarm_id).where(occurrence.c.open_key == source)
        return self.database.run(lambda connection: str(connection.execute(query).scalar_one()))

    def alarm(self, alarm_id: str) -> Alarm:
        query = select(occurrence).where(occurrence.c.alarm_id == alarm_id)
        return self.database.run(lambda connection: to_alarm(connection.execute(query).mappings().one()))

    def change(self, alarm_id: str, what: What, **fields: Any) -> None:
        """Do as a person does: through the one door."""

        def work(connection: Connection) -> None:
            query = select(occurrence).where(occurrence.c.alarm_id == alarm_id).with_for_update()
            before = to_alarm(connection.execute(query).mappings().one())
            after = msgspec.structs.replace(before, **fields)
            keep(connection, [Changed(before, after, what, OPERATOR, self.now_us)])

        self.database.run(work)

    def acknowledge(self, alarm_id: str, by: str = "wang") -> None:
        self.change(alarm_id, What.ACKNOWLEDGED, acknowledged_at_us=self.now_us, acknowledged_by=by)

    def dispatch(self, alarm_id: str) -> None:
        self.change(alarm_id, What.DISPATCHED, dispatched_at_us=self.now_us, dispatched_by="wang")

    def close(self, alarm_id: str) -> None:
        closed = {"closed_at_us": self.now_us, "closed_by": "wang", "closing_code": ClosingCode.GENUINE}
        self.change(alarm_id, What.CLOSED, **closed)

    def shelve(self, alarm_id: str) -> None:
        self.change(alarm_id, What.SHELVED, shelved_until_us=self.now_us + 3_600 * S_US)

    def unshelve(self, alarm_id: str) -> None:
        self.change(alarm_id, What.UNSHELVED, shelved_until_us=None, acknowledged_at_us=None, acknowledged_by=None)

    def work(self, *, at_s: float | None = None) -> None:
        """Let the worker do what is due, at a moment after the beginning."""
        if at_s is not None:
            self.now_us = T0_US + int(at_s * S_US)
        while self.database.run(lambda connection: take_due(connection, self.now_us, RULES)):
            pass

    def break_row(self, alarm_id: str, **columns: Any) -> None:
        statement = update(escalation).where(escalation.c.alarm_id == alarm_id).values(columns)
        self.database.run(lambda connection: connection.execute(statement))

    def row(self, alarm_id: str) -> dict[str, Any] | None:
        query = select(escalation).where(escalation.c.alarm_id == alarm_id)
        found = self.database.run(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if found is None else dict(found)

    def next_s(self, alarm_id: str) -> float | None:
        """When the next step is, after the beginning."""
        row = self.row(alarm_id)
        assert row is not None
        return None if row["next_at_us"] is None else (row["next_at_us"] - T0_US) / S_US

    def idle(self, alarm_id: str) -> str | None:
        row = self.row(alarm_id)
        assert row is not None
        assert (row["next_at_us"] is None) == (row["idle_why"] is not None)
        why: str | None = row["idle_why"]
        return why

    def told(self, alarm_id: str | None = None) -> list[tuple[str, str]]:
        """Kinds and addresses of the messages, in the order of their making."""
        query = select(delivery.c.kind, delivery.c.address).order_by(delivery.c.created_us, delivery.c.address)
        if alarm_id is not None:
            query = query.where(delivery.c.alarm_id == alarm_id)
        return self.database.run(lambda connection: [(one.kind, one.address) for one in connection.execute(query)])

    def history(self, alarm_id: str) -> list[tuple[str, str]]:
        query = select(change.c.what, change.c.why).where(change.c.alarm_id == alarm_id).order_by(change.c.id)
        return self.database.run(lambda connection: [(one.what, one.why) for one in connection.execute(query)])

    def steps(self) -> Counter[tuple[str, int, int, int]]:
        """How often the history has each repetition of each step: (alarm, round, step, repetition)."""
        query = select(change.c.alarm_id, change.c.why).where(change.c.what == What.ESCALATED.value)
        rows = self.database.run(lambda connection: connection.execute(query).all())
        return steps_of([(row.alarm_id, row.why) for row in rows])


def steps_of(escalated: list[tuple[str, str]]) -> Counter[tuple[str, int, int, int]]:
    counted: Counter[tuple[str, int, int, int]] = Counter()
    for alarm_id, why in escalated:
        found = STEP.match(why)
        assert found is not None, why
        for time in range(int(found["first"]), int(found["last"] or found["first"]) + 1):
            counted[alarm_id, int(found["round"]), int(found["step"]), time] += 1
    return counted
