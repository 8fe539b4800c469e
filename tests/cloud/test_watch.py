"""What the desk does by itself, on a clock of the test's own; two of it side by side; one that dies."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import msgspec
import pytest
from sqlalchemy import Connection, insert, select, text

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.gateways import note_presence
from cloud.database.tables import change, occurrence
from cloud.desk import controls, watch
from cloud.desk.changes import Actor, Changed, What
from cloud.desk.controls import ControlKind
from cloud.desk.core import Alarm, Arrival, ClosingCode, lived
from cloud.desk.history import replay
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event, State
from cloud.desk.store import apply_events
from cloud.errors import DatabaseAwayError
from cloud.settings import Desk, Registered, Settings
from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.presence import Birth, Death, Device

S = 1_000_000
T0 = 1_700_000_000 * S
HOUR = 3_600 * S
SETTINGS = Settings(desk=Desk(realarm_s={"high": 600, "smoke": 60}))
WANG = Actor("王芳", "127.0.0.1")


class Rig:
    """A desk without its workers: events go in, and what the watch does is done when the test says so."""

    def __init__(self, database: Database, settings: Settings = SETTINGS) -> None:
        self.database = database
        self.settings = settings
        self.duties = watch.make_duties()

    def happens(
        self,
        source: str,
        at_us: int = T0,
        *,
        kind: str = "smoke",
        severity: Severity = Severity.HIGH,
        transition: Transition = Transition.RAISED,
        raised_at_us: int | None = None,
        mode: Mode = Mode.LIVE,
    ) -> None:
        gateway, device, point, rule = source.split("/")
        began_us = at_us if raised_at_us is None else raised_at_us
        event = AlarmEvent(gateway, device, point, rule, transition, began_us, at_us, kind, severity, mode=mode)
        self.database.run(partial(apply_events, arrivals=[Arrival(event, at_us, at_us, late=False)]))

    def born(self, gateway: str, at_us: int, *devices: Device) -> None:
        self._note(Birth(gateway, f"boot{at_us}", "1", "三中", at_us, devices), at_us)

    def dies(self, gateway: str, at_us: int) -> None:
        self._note(Death(gateway, "boot", "lost"), at_us)

    def acknowledge(self, source: str, at_us: int) -> None:
        self._act(source, Event.ACKNOWLEDGE, What.ACKNOWLEDGED, at_us, acknowledged_at_us=at_us, acknowledged_by="王芳")

    def close(self, source: str, at_us: int) -> None:
        def work(connection: Connection) -> None:
            before = self.alarm(source)
            after = msgspec.structs.replace(
                before, closed_at_us=at_us, closed_by="王芳", closing_code=ClosingCode.COMMUNICATIONS
            )
            keep(connection, [Changed(before, after, What.CLOSED, WANG, at_us)])

        self.database.run(work)

    def shelve(self, target: str, at_us: int, until_us: int) -> None:
        begin = partial(controls.begin, kind=ControlKind.SHELVED, target=target, actor=WANG, why="维修")
        self.database.run(partial(begin, now_us=at_us, until_us=until_us))

    def watch(self, at_us: int) -> int:
        """Do all that is due; returns how much it was."""
        return watch_all(self.database, self.settings, at_us, self.duties)

    def tidy(self, at_us: int) -> int:
        """Do what is done now and then."""
        return sum(
            self.database.run(partial(_work, duty=duty, settings=self.settings, at_us=at_us)) for duty in watch.TIDYING
        )

    def alarm(self, source: str) -> Alarm:
        """The latest occurrence of a source."""
        query = select(occurrence).where(occurrence.c.source == source).order_by(occurrence.c.raised_at_us.desc())
        return self.database.read(lambda connection: to_alarm(connection.execute(query).mappings().all()[0]))

    def count(self, source: str) -> int:
        query = select(occurrence.c.alarm_id).where(occurrence.c.source == source)
        return len(self.database.read(lambda connection: connection.execute(query).all()))

    def history(self, source: str) -> list[tuple[str, str]]:
        """What happened to a source, and who did it."""
        query = select(change.c.what, change.c.by).where(change.c.source == source).order_by(change.c.id)
        return self.database.read(lambda connection: [(row.what, row.by) for row in connection.execute(query)])

    def history_explains_state(self) -> bool:
        def work(connection: Connection) -> bool:
            alarms = [to_alarm(row) for row in connection.execute(select(occurrence)).mappings()]
            query = select(change.c.fields).order_by(change.c.id)
            return all(
                replay(connection.execute(query.where(change.c.alarm_id == alarm.alarm_id)).scalars()) == alarm
                for alarm in alarms
            )

        return self.database.read(work)

    def _act(self, source: str, event: Event, what: What, at_us: int, **more: object) -> None:
        def work(connection: Connection) -> None:
            before = self.alarm(source)
            after = lived(before, event, **more)
            assert after is not None
            keep(connection, [Changed(before, after, what, WANG, at_us)])

        self.database.run(work)

    def _note(self, message: Birth | Death, at_us: int) -> None:
        self.database.run(partial(note_presence, message=message, received_at_us=at_us, registered=None, retained=True))


def watch_all(database: Database, settings: Settings, at_us: int, duties: Sequence[watch.Duty]) -> int:
    done = 0
    while True:
        moments = database.read(partial(watch.look, duties=duties, settings=settings, at_us=at_us))
        due = [duty for duty, moment_us in moments.items() if moment_us <= at_us]
        some = sum(database.run(partial(_work, duty=duty, settings=settings, at_us=at_us)) for duty in due)
        done += some
        if not some:
            return done


def _work(connection: Connection, duty: watch.Duty, settings: Settings, at_us: int) -> int:
    return duty.work(connection, settings, at_us)


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database)


def test_a_shelf_that_runs_out_gives_the_voice_back(rig: Rig) -> None:
    rig.happens("g/d/p/fire")
    rig.happens("g/d/p/gone")
    rig.acknowledge("g/d/p/fire", T0 + S)
    rig.shelve("g/d", T0 + 2 * S, T0 + HOUR)
    rig.happens("g/d/p/gone", T0 + 3 * S, transition=Transition.CLEARED, raised_at_us=T0)
    assert rig.watch(T0 + HOUR - 1) == 0
    assert rig.alarm("g/d/p/fire").state is State.SHELVED
    assert rig.watch(T0 + HOUR) == 1
    assert rig.alarm("g/d/p/fire").state is State.UNACKNOWLEDGED
    assert rig.alarm("g/d/p/gone").state is State.RETURNED_UNACKNOWLEDGED
    assert rig.history("g/d/p/fire")[-1] == ("unshelved", "desk")
    assert rig.watch(T0 + 2 * HOUR) == 0
    assert rig.history_explains_state()


def test_what_lasts_after_its_acknowledgement_sounds_again(rig: Rig) -> None:
    rig.happens("g/d/p/smoke", kind="smoke")
    rig.happens("g/d/p/heat", kind="heat")
    rig.happens("g/d/p/frost", kind="frost", severity=Severity.LOW)
    rig.happens("g/d/p/over", kind="smoke")
    rig.happens("g/d/p/shelved", kind="smoke")
    for name in ("smoke", "heat", "frost", "over", "shelved"):
        rig.acknowledge(f"g/d/p/{name}", T0 + S)
    rig.happens("g/d/p/over", T0 + 2 * S, transition=Transition.CLEARED, raised_at_us=T0)
    rig.shelve("g/d/p/shelved", T0 + 2 * S, T0 + HOUR)
    rig.settings = Settings()
    assert rig.watch(T0 + HOUR - 1) == 0, "nobody has asked for it"
    rig.settings = SETTINGS
    assert rig.watch(T0 + 61 * S - 1) == 0
    assert rig.watch(T0 + 61 * S) == 1
    assert rig.alarm("g/d/p/smoke").state is State.UNACKNOWLEDGED
    assert rig.alarm("g/d/p/smoke").first_acknowledged_at_us == rig.alarm("g/d/p/heat").first_acknowledged_at_us
    assert rig.history("g/d/p/smoke")[-1] == ("realarmed", "desk")
    assert rig.alarm("g/d/p/heat").state is State.ACKNOWLEDGED
    assert rig.watch(T0 + 601 * S) == 1, "by its severity"
    assert rig.alarm("g/d/p/heat").state is State.UNACKNOWLEDGED
    assert rig.watch(T0 + HOUR - 1) == 0
    assert [rig.alarm(f"g/d/p/{name}").state for name in ("frost", "over", "shelved")] == [
        State.ACKNOWLEDGED, State.NORMAL, State.SHELVED,
    ]  # fmt: skip
    rig.acknowledge("g/d/p/smoke", T0 + HOUR - 1)
    assert rig.watch(T0 + HOUR - 1) == 0, "each acknowledgement has its own time"
    assert rig.history_explains_state()


LOSS = "g/gateway/link/lost"


def test_a_gateway_that_stays_away_is_an_alarm_until_it_is_back(rig: Rig) -> None:
    rig.born("g", T0)
    rig.dies("g", T0 + HOUR)
    assert rig.watch(T0 + HOUR + 60 * S - 1) == 0
    assert rig.watch(T0 + HOUR + 60 * S) == 1
    alarm = rig.alarm(LOSS)
    assert (alarm.kind, alarm.severity, alarm.raised_at_us) == ("gateway-lost", Severity.HIGH, T0 + HOUR)
    assert alarm.state is State.UNACKNOWLEDGED
    assert alarm.text.keys() == {"en", "zh"}
    assert rig.watch(T0 + 2 * HOUR) == 0
    rig.born("g", T0 + 2 * HOUR)
    assert rig.watch(T0 + 2 * HOUR + 5 * S) == 1
    assert rig.alarm(LOSS).state is State.RETURNED_UNACKNOWLEDGED
    assert rig.alarm(LOSS).cleared_at_us == T0 + 2 * HOUR
    assert rig.history(LOSS) == [("raised", "desk"), ("cleared", "desk")]
    rig.dies("g", T0 + 3 * HOUR)
    assert rig.watch(T0 + 4 * HOUR) == 1
    assert (rig.alarm(LOSS).triggers, rig.alarm(LOSS).cleared_at_us, rig.count(LOSS)) == (2, None, 1)
    assert rig.history_explains_state()


def test_absences_are_told_apart(rig: Rig) -> None:
    for gateway in ("short", "twice", "clock"):
        rig.dies(gateway, T0)
    rig.born("short", T0 + 59 * S)
    assert rig.watch(T0 + 60 * S) == 2
    assert rig.count("short/gateway/link/lost") == 0
    rig.born("twice", T0 + 100 * S)
    rig.dies("twice", T0 + 101 * S)
    rig.born("clock", 86_400 * S)
    assert rig.watch(T0 + 102 * S) == 2, "both are over"
    assert rig.alarm("twice/gateway/link/lost").cleared_at_us == T0 + 102 * S
    assert rig.alarm("clock/gateway/link/lost").cleared_at_us == T0 + 102 * S, "nobody was back in 1970"
    assert rig.watch(T0 + 161 * S) == 1
    again = rig.alarm("twice/gateway/link/lost")
    assert (again.triggers, again.last_raised_at_us) == (2, T0 + 101 * S)


def test_who_has_closed_a_loss_hears_of_the_next_one_only(rig: Rig) -> None:
    rig.dies("g", T0)
    rig.watch(T0 + 60 * S)
    rig.close(LOSS, T0 + 70 * S)
    assert rig.watch(T0 + HOUR) == 0
    rig.born("g", T0 + HOUR)
    assert rig.tidy(T0 + HOUR + S) == 1
    assert rig.alarm(LOSS).cleared_at_us == T0 + HOUR
    assert rig.tidy(T0 + HOUR + 2 * S) == 0
    rig.dies("g", T0 + 2 * HOUR)
    assert rig.watch(T0 + 3 * HOUR) == 1
    assert rig.count(LOSS) == 2
    assert rig.history_explains_state()


def test_a_gateway_that_was_taken_out_of_the_registry_is_nobodys_loss(desk_database: Database) -> None:
    rig = Rig(desk_database)
    rig.dies("g", T0)
    rig.dies("known", T0)
    rig.watch(T0 + HOUR)
    rig.settings = Settings(gateways={"known": Registered()})
    assert rig.watch(T0 + 2 * HOUR) == 1
    assert rig.alarm(LOSS).cleared_at_us == T0 + 2 * HOUR
    assert rig.alarm("known/gateway/link/lost").cleared_at_us is None


DEVICE_LOST = "g/button/supervision/supervision"
OTHER_LOST = "g/siren/supervision/supervision"
LINE_LOST = "g/gateway.rs485/supervision/supervision"
DEVICES = (Device("button", "a/b", "1", "", "rs485"), Device("siren", "a/b", "1", "", "lan"))


def test_a_lost_gateway_silences_its_devices_and_nothing_else(rig: Rig) -> None:
    rig.born("g", T0, *DEVICES)
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.happens("other/button/supervision/supervision", kind="device-lost")
    rig.happens("g/button/p/panic", kind="panic")
    rig.dies("g", T0 + HOUR)
    rig.acknowledge(DEVICE_LOST, T0 + HOUR)
    assert rig.watch(T0 + HOUR + 60 * S) == 2, "the loss, and the silence"
    silent = rig.alarm(DEVICE_LOST)
    assert (silent.state, silent.suppressed_by) == (State.SUPPRESSED_BY_DESIGN, LOSS)
    assert rig.alarm("other/button/supervision/supervision").state is State.UNACKNOWLEDGED
    assert rig.alarm("g/button/p/panic").state is State.UNACKNOWLEDGED
    # It comes late, out of the gateway's memory.
    rig.happens(OTHER_LOST, T0 + HOUR, kind="device-lost")
    assert rig.watch(T0 + 2 * HOUR) == 1
    assert rig.alarm(OTHER_LOST).suppressed_by == LOSS
    rig.born("g", T0 + 3 * HOUR, *DEVICES)
    assert rig.watch(T0 + 3 * HOUR) == 3
    assert rig.alarm(DEVICE_LOST).state is State.UNACKNOWLEDGED, "what lasts is news again"
    assert rig.alarm(OTHER_LOST).state is State.UNACKNOWLEDGED
    assert [what for what, _ in rig.history(DEVICE_LOST)] == ["raised", "acknowledged", "suppressed", "unsuppressed"]
    assert rig.history_explains_state()


def test_a_silence_that_somebody_else_began_stays_his(rig: Rig) -> None:
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.happens(LINE_LOST, kind="bus-lost")
    begin = partial(controls.begin, kind=ControlKind.SUPPRESSED, actor=WANG, why="改造", now_us=T0)
    rig.database.run(partial(begin, target="g/button"))
    rig.database.run(partial(begin, target="g/gateway.rs485"))
    rig.dies("g", T0)
    assert rig.watch(T0 + HOUR) == 1, "the loss"
    rig.born("g", T0 + HOUR)
    assert rig.watch(T0 + HOUR) == 1
    assert rig.alarm(DEVICE_LOST).suppressed_by == "g/button"
    assert rig.alarm(LINE_LOST).suppressed_by == "g/gateway.rs485"


def test_a_silence_that_began_meanwhile_takes_over(rig: Rig) -> None:
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.dies("g", T0)
    rig.watch(T0 + HOUR)
    begin = partial(controls.begin, kind=ControlKind.SUPPRESSED, target="g/button", actor=WANG, why="改造")
    rig.database.run(partial(begin, now_us=T0 + HOUR))
    assert rig.alarm(DEVICE_LOST).suppressed_by == LOSS
    rig.born("g", T0 + 2 * HOUR)
    rig.watch(T0 + 2 * HOUR)
    assert rig.alarm(DEVICE_LOST).state is State.SUPPRESSED_BY_DESIGN
    assert rig.alarm(DEVICE_LOST).suppressed_by == "g/button"
    assert rig.watch(T0 + 3 * HOUR) == 0


def test_a_lost_line_silences_what_hangs_on_it(rig: Rig) -> None:
    rig.born("g", T0, *DEVICES)
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.happens(OTHER_LOST, kind="device-lost")
    rig.happens(LINE_LOST, T0 + S, kind="bus-lost")
    # Of an older gateway, which does not say what hangs on which line.
    rig.born("old", T0, Device("button", "a/b", "1"))
    rig.happens("old/button/supervision/supervision", kind="device-lost")
    rig.happens("old/gateway.rs485/supervision/supervision", kind="bus-lost")
    assert rig.watch(T0 + 2 * S) == 1
    assert rig.alarm(DEVICE_LOST).suppressed_by == LINE_LOST
    assert rig.alarm(OTHER_LOST).state is State.UNACKNOWLEDGED
    rig.dies("g", T0 + HOUR)
    assert rig.watch(T0 + 2 * HOUR) == 3
    assert rig.alarm(DEVICE_LOST).suppressed_by == LINE_LOST, "the reason that it has stands"
    assert rig.alarm(LINE_LOST).suppressed_by == LOSS
    # The line answers before the gateway is heard of again; its clear comes first, out of order.
    rig.happens(LINE_LOST, T0 + 2 * HOUR, kind="bus-lost", transition=Transition.CLEARED, raised_at_us=T0 + S)
    rig.watch(T0 + 2 * HOUR)
    assert rig.alarm(DEVICE_LOST).suppressed_by == LOSS
    assert rig.alarm(LINE_LOST).state is State.RETURNED_UNACKNOWLEDGED
    rig.born("g", T0 + 3 * HOUR, *DEVICES)
    rig.watch(T0 + 3 * HOUR)
    assert rig.alarm(DEVICE_LOST).state is State.UNACKNOWLEDGED
    assert rig.history_explains_state()


def test_who_has_closed_the_loss_of_a_line_does_not_hear_of_its_devices(rig: Rig) -> None:
    rig.born("g", T0, *DEVICES)
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.happens(LINE_LOST, kind="bus-lost")
    rig.watch(T0 + S)
    rig.close(LINE_LOST, T0 + 2 * S)
    assert rig.watch(T0 + HOUR) == 0
    assert rig.alarm(DEVICE_LOST).suppressed_by == LINE_LOST
    rig.happens(LINE_LOST, T0 + HOUR, kind="bus-lost", transition=Transition.CLEARED, raised_at_us=T0)
    assert rig.watch(T0 + HOUR) == 1
    assert rig.alarm(DEVICE_LOST).state is State.UNACKNOWLEDGED


def test_a_device_whose_line_is_still_lost_stays_silent_when_its_gateway_is_back(rig: Rig) -> None:
    rig.born("g", T0, *DEVICES)
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.dies("g", T0)
    rig.watch(T0 + HOUR)
    rig.happens(LINE_LOST, T0 + HOUR, kind="bus-lost")
    rig.born("g", T0 + HOUR, *DEVICES)
    rig.watch(T0 + HOUR + S)
    assert rig.alarm(DEVICE_LOST).suppressed_by == LINE_LOST
    assert [what for what, _ in rig.history(DEVICE_LOST)] == ["raised", "suppressed", "suppressed"]
    assert rig.alarm(LINE_LOST).state is State.UNACKNOWLEDGED


def test_what_nobody_knew_gets_its_place_from_the_registry(rig: Rig) -> None:
    rig.happens("g/d/p/fire")
    rig.happens("unknown/d/p/fire")
    assert rig.tidy(T0) == 0

    def register(connection: Connection) -> None:
        connection.execute(insert(area).values(id="g1", level="grid", name="一格", path="g1/"))
        connection.execute(insert(site).values(id="school", area="g1", name="三中", kind="school", address=""))
        connection.execute(insert(registered_gateway).values(id="g", site="school", name="", address=""))

    rig.database.run(register)
    assert rig.tidy(T0 + S) == 1
    placed = rig.alarm("g/d/p/fire")
    assert (placed.site, placed.area, placed.area_path) == ("school", "g1", "g1/")
    assert rig.history("g/d/p/fire")[-1] == ("placed", "desk")
    assert rig.alarm("unknown/d/p/fire").site is None
    assert rig.history_explains_state()


def test_two_watchers_side_by_side_do_everything_once(desk_database: Database) -> None:
    rig = Rig(desk_database)
    gateways = [f"g{number:02}" for number in range(40)]
    for gateway in gateways:
        rig.dies(gateway, T0)
        rig.happens(f"{gateway}/d/supervision/supervision", kind="device-lost")
        rig.happens(f"{gateway}/d/p/smoke", kind="smoke")
        rig.acknowledge(f"{gateway}/d/p/smoke", T0 + S)
        rig.shelve(f"{gateway}/d/p/heat", T0, T0 + 2 * S)

    def work(done: Callable[[int], None]) -> None:
        with Database(desk_database.url) as own:
            done(watch_all(own, SETTINGS, T0 + HOUR, watch.make_duties()))

    counts: list[int] = []
    threads = [threading.Thread(target=work, args=(counts.append,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert rig.watch(T0 + HOUR) == 0, "nothing is left"
    assert sum(counts) == 4 * len(gateways)
    for gateway in gateways:
        assert rig.history(f"{gateway}/gateway/link/lost") == [("raised", "desk")]
        assert [what for what, _ in rig.history(f"{gateway}/d/supervision/supervision")] == ["raised", "suppressed"]
        assert [what for what, _ in rig.history(f"{gateway}/d/p/smoke")] == ["raised", "acknowledged", "realarmed"]
        assert [what for what, _ in rig.history(f"{gateway}/d/p/heat")] == ["shelved", "unshelved"]
    assert rig.history_explains_state()


class CutError(Exception):
    """The worker's end."""


def test_a_watcher_that_dies_before_its_commit_has_done_nothing(rig: Rig) -> None:
    rig.dies("g", T0)
    rig.happens(DEVICE_LOST, kind="device-lost")
    rig.happens("g/d/p/smoke", kind="smoke")
    rig.acknowledge("g/d/p/smoke", T0 + S)

    def dies(connection: Connection, duty: watch.Duty) -> None:
        assert duty.work(connection, SETTINGS, T0 + HOUR) == 1
        raise CutError

    before = {source: rig.history(source) for source in (LOSS, DEVICE_LOST, "g/d/p/smoke")}
    for duty in rig.database.read(partial(watch.look, duties=rig.duties, settings=SETTINGS, at_us=T0 + HOUR)):
        with pytest.raises(CutError):
            rig.database.run(partial(dies, duty=duty))
    assert {source: rig.history(source) for source in before} == before
    assert rig.watch(T0 + HOUR) == 3


# SQLite has one writer at a time.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_another_holds_is_left_to_it_until_it_dies(rig: Rig) -> None:
    rig.dies("g", T0)
    rig.happens(DEVICE_LOST, kind="device-lost")

    def hold_and_die(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(select(occurrence).where(occurrence.c.source == DEVICE_LOST).with_for_update())
        assert rig.watch(T0 + HOUR) == 1, "the loss; it does not wait for the row"
        rig.database.run(lambda own: own.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}))
        assert rig.watch(T0 + HOUR) == 1, "the silence"

    with Database(rig.database.url) as other, pytest.raises(DatabaseAwayError):
        other.run(hold_and_die)


@pytest.mark.anyio
async def test_the_loop_does_it_when_its_time_comes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.dies("g", T0)
    rig.shelve("g/d", T0, T0 + 30 * S)
    now_us = T0
    slept: list[float] = []
    limit = 200

    with anyio.CancelScope() as scope:

        async def sleep(seconds: float) -> None:
            nonlocal now_us
            slept.append(seconds)
            now_us += round(seconds * S)
            if now_us > T0 + 100 * S or len(slept) > limit:
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        monkeypatch.setattr(anyio, "sleep", sleep)
        database = PersistentDatabase(rig.database, counters=Counters())
        await watch.run_watch(database, SETTINGS, clock=lambda: now_us)
    assert len(slept) <= limit, "it does not spin"
    assert max(slept) <= 1.0
    query = select(change.c.what, change.c.at_us).where(change.c.by == "desk").order_by(change.c.id)
    with rig.database.reading() as connection:
        assert [tuple(row) for row in connection.execute(query)] == [
            ("unshelved", T0 + 30 * S),
            ("raised", T0 + 60 * S),
        ]
