"""Whatever happens, in any order, on both servers: what must hold of open alarms and of their steps holds."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from cloud.database import Database
from cloud.database.escalation_tables import delivery, escalation
from cloud.database.tables import alarm_event, change, occurrence
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.history import replay
from cloud.desk.keeping import to_alarm
from cloud.desk.operations import acknowledge, arrive, close, dispatch, reset, shelve, unshelve
from cloud.errors import AlarmError
from cloud.escalation.audit import GapKind, find_gaps
from cloud.escalation.settings import Escalation
from cloud.escalation.store import find_escalations
from contract.alarms import AlarmEvent, Severity
from tests.cloud.escalating import OPERATOR, RULES, S_US, Town, raised_event

DEVICES = ("one", "other")

Act = tuple[str, Any]

acts = st.lists(
    st.one_of(
        st.tuples(st.just("press"), st.tuples(st.sampled_from(DEVICES), st.sampled_from(Severity))),
        st.tuples(st.just("clear"), st.sampled_from(DEVICES)),
        st.tuples(
            st.sampled_from(["acknowledge", "dispatch", "arrive", "close", "reset", "shelve", "unshelve"]),
            st.sampled_from(DEVICES),
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 61, 150, 301, 2_000])),
        st.tuples(st.just("work"), st.none()),
    ),
    max_size=25,
)


class Desk:
    """Acts of people by the name of the device; what the state refuses is refused."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.raised: dict[str, AlarmEvent] = {}

    def do(self, what: str, about: Any) -> None:
        if what == "wait":
            self.town.now_us += about * S_US
        elif what == "work":
            self.town.work()
        elif what == "press":
            self._press(*about)
        elif what == "clear":
            if about in self.raised:
                self.town.clear(self.raised.pop(about))
        elif about in self.open():
            self._act(what, self.open()[about])

    def open(self) -> dict[str, str]:
        query = select(occurrence.c.device, occurrence.c.alarm_id).where(occurrence.c.open_key.is_not(None))
        return self.town.database.run(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    def _press(self, device: str, severity: Severity) -> None:
        # No two presses in one moment: they would be one.
        self.town.now_us += S_US
        self.raised[device] = raised_event(device, severity, self.town.now_us)
        self.town.apply(self.raised[device])

    def _act(self, what: str, alarm_id: str) -> None:
        who: dict[str, Any] = {"actor": OPERATOR, "now_us": self.town.now_us}
        doing: dict[str, Callable[..., Alarm]] = {
            "acknowledge": acknowledge,
            "dispatch": dispatch,
            "arrive": arrive,
            "reset": reset,
            "unshelve": unshelve,
        }

        def work(connection: Any) -> None:
            if what == "close":
                close(connection, alarm_id, code=ClosingCode.GENUINE, comment="done", **who)
            elif what == "shelve":
                shelve(connection, alarm_id, until_us=self.town.now_us + 600 * S_US, why="test", **who)
            else:
                doing[what](connection, alarm_id, **who)

        try:
            self.town.database.run(work)
        except AlarmError:
            return


def check(town: Town) -> None:
    with town.database.reading() as connection:
        rows = [to_alarm(row) for row in connection.execute(select(occurrence)).mappings()]
        open_alarms = [row for row in rows if row.is_open]
        assert len({row.source for row in open_alarms}) == len(open_alarms)
        plans = find_escalations(connection, [row.alarm_id for row in rows])
        assert plans.keys() == {row.alarm_id for row in open_alarms}
        for row in open_alarms:
            plan = plans[row.alarm_id]
            assert (plan.next_at_us is None) == (plan.idle is not None)
            is_heard = row.facts.is_heard
            if row.severity is Severity.CRITICAL and row.acknowledged_at_us is None and is_heard:
                assert plan.next_at_us is not None
        found = find_gaps(connection, town.now_us, RULES, Escalation())
        # No worker has come for a while, and that is all that may be wrong.
        assert {gap.kind for gap in found.gaps} <= {GapKind.OVERDUE, GapKind.UNSENT}
        for row in rows:
            history = select(change.c.fields).where(change.c.alarm_id == row.alarm_id).order_by(change.c.id)
            assert replay(connection.execute(history).scalars()) == row


def check_steps(town: Town) -> None:
    """Each step once, and of each round no repetition left out before one that was taken."""
    steps = town.steps()
    assert set(steps.values()) <= {1}
    last: Counter[tuple[str, int, int]] = Counter()
    for alarm_id, round_number, step, repetition in steps:
        key = alarm_id, round_number, step
        last[key] = max(last[key], repetition)
    assert sum(last.values()) == len(steps)


def test_whatever_happens_no_alarm_is_forgotten_and_no_step_is_taken_twice(desk_database: Database) -> None:
    town = Town(desk_database)

    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(acts)
    def run(sequence: list[Act]) -> None:
        forget(town)
        desk = Desk(town)
        for what, about in sequence:
            desk.do(what, about)
            check(town)
        town.work()
        check(town)
        check_steps(town)

    run()


def forget(town: Town) -> None:
    """Begin with no alarm; the history, which nothing deletes, belongs to alarms that are no more."""
    with town.database.transaction() as connection:
        for table in (delivery, escalation, alarm_event, occurrence):
            connection.execute(delete(table))
    town.now_us += 10_000 * S_US
