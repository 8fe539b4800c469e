"""Two desk workers on one PostgreSQL, of which one or the other is killed with SIGKILL at random moments.

Real broker, real database, real processes, on a clock that runs faster than ours. Gateways press and repeat until they
have a receipt, people acknowledge, send somebody, close; at the end they close everything. Then the history in the
database must hold each step that was due exactly once, and whoever is told must have heard each.
"""

import contextlib
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import paho.mqtt.client as mqtt
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from sqlalchemy import Connection, Select, func, insert, make_url, select

from benchmarks.hasty_desk import fast_ns
from benchmarks.rig import expect, pause
from benchmarks.sink import REFERENCE_CHARS, Sink
from cloud.database import Database
from cloud.database.area_tables import area, contact, duty, registered_gateway, site
from cloud.database.escalation_tables import delivery, escalation
from cloud.database.tables import change, cursor, occurrence
from cloud.desk.changes import Actor, What
from cloud.desk.core import ClosingCode
from cloud.desk.operations import acknowledge, close, dispatch
from cloud.errors import AlarmError
from cloud.escalation.plan import DEFAULTS
from contract.alarms import AlarmEvent, Severity, Transition, encode_alarm
from contract.topics import Channel, every, topic
from langyan.postgres import Postgres
from langyan.servers import Mosquitto, Process

RUNS = 2
VIRTUAL_S = 600
SPEED = 20
ALARMS = 200
GATEWAYS = 12
# Real seconds between two kills, counted from when the one killed before is at work again.
LIVES_S = (0.2, 2.5)
RESEND_S = 1.0
SETTLE_LIMIT_S = 60.0
# On the fast clock.
CAUGHT_UP_S = 40
_LEVELS = ("province", "county", "town", "street", "grid")
_OPERATOR = Actor("operator", "bench")
_STEP = re.compile(r"round (\d+), step (\d+) of \d+.*?, times? (\d+)(?: to (\d+))?: ")
_SETTINGS = """[mqtt]
port = {broker}
[database]
url = "{database}"
password_env = "BENCH_PASSWORD"
[escalation]
audit_every_s = 2
overdue_after_s = 300
[[telling.channel]]
name = "sink"
url_env = "BENCH_SINK"
concurrency = 8
[[telling.webhook]]
name = "sink"
url = "http://127.0.0.1:{sink}/events"
secret_env = "BENCH_SECRET"
"""

Step = tuple[int, int, int]
"""Round, step, repetition; from 1."""


class TwoDesks(Struct, frozen=True):
    """All runs together, each on a database of its own and with other moments.

    Attributes:
        virtual_s: of each run, on the fast clock, `speed` times ours.
        kills: with SIGKILL; the other desk lives.
        alarms: pressed; `alarms_lost` of them are no row, `events_twice` are counted to a row twice.
        steps: repetitions of steps in the history; `steps_lost` were due and are not there, `steps_twice` are there
            more than once.
        acknowledged, unacknowledged: by people; taken back by the desk.
        longest_wait_s: of a step, from when it was due until it was taken, on the fast clock.
        rows_left: escalations that are left of alarms that are closed.
        messages: made; of these `messages_lost` never came to the sink; `messages_again` came more than once, because
            a desk was killed between sending and noting it; each repeat says the same reference.
        events, events_lost, events_again: the same of the web hook's CloudEvents, counted by their ids.
        gaps: alarms of the auditor.
    """

    runs: int
    virtual_s: int
    speed: int
    kills: int
    alarms: int
    alarms_lost: int
    events_twice: int
    steps: int
    steps_lost: int
    steps_twice: int
    acknowledged: int
    unacknowledged: int
    longest_wait_s: float
    rows_left: int
    messages: int
    messages_lost: int
    messages_again: int
    events: int
    events_lost: int
    events_again: int
    gaps: int


class Desk(Process):
    """One desk worker on the fast clock."""

    def __init__(
        self, folder: Path, name: str, settings: Path, environment: dict[str, str], since_ns: int, speed: int
    ) -> None:
        """Prepare."""
        super().__init__(folder)
        self.name = name
        self.environment = environment
        self._ready = folder / f"{name}.ready"
        self._words = [str(settings), "--speed", str(speed), "--since", str(since_ns), "--ready", str(self._ready)]

    def argv(self) -> list[str]:
        """The same Python."""
        self._ready.unlink(missing_ok=True)
        return [sys.executable, "-m", "benchmarks.hasty_desk", *self._words]

    def is_ready(self) -> bool:
        """Tell whether it has subscribed."""
        return self._ready.exists()


class Gateways:
    """All gateways in one MQTT client: each event is sent again and again until its receipt comes."""

    def __init__(self, port: int) -> None:
        """Connect and subscribe to receipts."""
        self._waiting: dict[bytes, tuple[str, bytes, float]] = {}
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe(every(Channel.RECEIPT), qos=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def waiting(self) -> int:
        """Events without a receipt."""
        return len(self._waiting)

    def send(self, event: AlarmEvent) -> None:
        """Send one event."""
        with self._lock:
            self._waiting[event.event_id.encode()] = event.gateway, encode_alarm(event), 0.0
        self.send_again()

    def send_again(self) -> None:
        """Send what has waited too long for its receipt."""
        now_s = time.monotonic()
        with self._lock:
            due = [(key, one) for key, one in self._waiting.items() if now_s - one[2] >= RESEND_S]
            self._waiting.update({key: (gateway, payload, now_s) for key, (gateway, payload, _) in due})
        for key, (gateway, payload, _sent_s) in due:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = key
            self._client.publish(topic(gateway, Channel.ALARM), payload, qos=1, properties=properties)

    def _take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self._waiting.pop(getattr(message.properties, "CorrelationData", b""), None)


class Load(Struct, frozen=True):
    """What happens when, in seconds of the fast clock from the beginning, in order."""

    at_s: float
    what: str
    number: int


def plan_load(dice: random.Random, alarms: int, virtual_s: int) -> list[Load]:
    """Presses over the whole time; a third is acknowledged, some of those followed by somebody sent, some closed."""
    load = []
    for number in range(alarms):
        at_s = dice.uniform(0, virtual_s * 0.9)
        load.append(Load(at_s, "press", number))
        if dice.random() < 0.4:
            at_s += dice.uniform(20, 200)
            load.append(Load(at_s, "acknowledge", number))
            if dice.random() < 0.5:
                load.append(Load(at_s + dice.uniform(5, 60), dice.choice(["dispatch", "close"]), number))
    return sorted((one for one in load if one.at_s < virtual_s), key=lambda one: one.at_s)


class Run:
    """One run on servers that are up."""

    def __init__(self, folder: Path, database: Database, gateways: Gateways, sink: Sink, desks: Sequence[Desk],
                 since_ns: int, speed: int) -> None:  # fmt: skip
        """Prepare."""
        self.folder = folder
        self.database = database
        self.gateways = gateways
        self.sink = sink
        self.desks = desks
        self.kills = 0
        self.pressed: list[str] = []
        self._since_ns = since_ns
        self._speed = speed

    def now_us(self) -> int:
        """The fast clock."""
        return fast_ns(time.time_ns(), since_ns=self._since_ns, speed=self._speed) // 1_000

    def go(self, dice: random.Random, alarms: int, virtual_s: int) -> None:
        """Press, act and kill for the whole time; then let it settle."""
        began_us = self.now_us()
        load = plan_load(dice, alarms, virtual_s)
        kill_at_s = time.monotonic() + dice.uniform(*LIVES_S)
        victim = self.desks[0]
        while (now_s := (self.now_us() - began_us) / 1e6) < virtual_s:
            while load and load[0].at_s <= now_s:
                self._do(load.pop(0))
            if time.monotonic() >= kill_at_s and victim.is_ready():
                victim = dice.choice(list(self.desks))
                victim.kill()
                victim.start(wait=False)
                self.kills += 1
                kill_at_s = time.monotonic() + dice.uniform(*LIVES_S)
            self.gateways.send_again()
            pause(0.02)
        expect(self._is_answered, "every event has its receipt", SETTLE_LIMIT_S)
        victim.wait_ready()
        expect(self._has_caught_up, "no step is overdue", SETTLE_LIMIT_S)
        for number in range(alarms):
            self._do(Load(virtual_s, "close", number))

    def wait_told(self) -> None:
        """Wait until all that has happened so far is told."""
        expect(self._is_told, "everybody is told", SETTLE_LIMIT_S)

    def _do(self, one: Load) -> None:
        now_us = self.now_us()
        if one.what == "press":
            event = event_of(one.number, now_us)
            self.pressed.append(event.alarm_id)
            self.gateways.send(event)
            return
        act = {"acknowledge": acknowledge, "dispatch": dispatch}.get(one.what)
        source = event_of(one.number, now_us).source
        query = select(occurrence.c.alarm_id).where(occurrence.c.open_key == source)

        def work(connection: Connection) -> None:
            found = connection.execute(query).scalar_one_or_none()
            if found is None:
                return
            if act is not None:
                act(connection, found, actor=_OPERATOR, now_us=now_us)
            else:
                close(connection, found, actor=_OPERATOR, now_us=now_us, code=ClosingCode.GENUINE, comment="done")

        # Whoever comes too late is told so; people do.
        with contextlib.suppress(AlarmError):
            self.database.run(work)

    def _is_answered(self) -> bool:
        self.gateways.send_again()
        return self.gateways.waiting == 0

    def _has_caught_up(self) -> bool:
        # Steps fall due all the time; none may have waited for long.
        long_ago_us = self.now_us() - CAUGHT_UP_S * 1_000_000
        overdue = select(func.count()).select_from(escalation).where(escalation.c.next_at_us <= long_ago_us)
        return not self._number(overdue)

    def _is_told(self) -> bool:
        unsent = select(func.count()).select_from(delivery).where(delivery.c.sent_us.is_(None))
        read_to = select(cursor.c.change_id).where(cursor.c.name == "webhook:sink").scalar_subquery()
        unread = select(func.count()).select_from(change).where(change.c.id > read_to)
        return not self._number(unread) and not self._number(unsent)

    def _number(self, query: Select[int]) -> int:
        return self.database.read(lambda connection: int(connection.execute(query).scalar_one()))


def event_of(number: int, at_us: int) -> AlarmEvent:
    """A press of the button with that number."""
    severity = Severity.HIGH if number % 3 == 0 else Severity.CRITICAL
    return AlarmEvent(
        gateway=f"gw{number % GATEWAYS}",
        device=f"button-{number}",
        point="input",
        rule="panic",
        transition=Transition.RAISED,
        raised_at_us=at_us,
        at_us=at_us,
        kind="panic",
        severity=severity,
        text={"en": "help"},
    )


def settle(connection: Connection) -> None:
    """A line of areas from a province to a grid, somebody on duty in each, a site with all gateways in the grid."""
    path, days = "", "mon tue wed thu fri sat sun"
    for level in _LEVELS:
        parent = path.split("/")[-2] if path else None
        path += f"{level}/"
        connection.execute(insert(area).values(id=level, parent=parent, level=level, name=level, path=path))
        addresses = [{"channel": "sink", "address": level}]
        person = {"id": level, "area": level, "name": level, "language": "en", "addresses": addresses}
        connection.execute(insert(contact).values(person))
        shift = {"area": level, "contact": level, "weekdays": days, "begins": "00:00", "ends": "00:00", "rank": 1}
        connection.execute(insert(duty).values(shift))
    connection.execute(insert(site).values(id="site", area="grid", name="site", kind="school", address=""))
    gateways = [{"id": f"gw{number}", "site": "site", "name": "", "address": ""} for number in range(GATEWAYS)]
    connection.execute(insert(registered_gateway), gateways)


# Counting


class Rounds(Struct):
    """What the history of one alarm says, read without the code that wrote it."""

    severity: Severity
    began_us: list[int]
    ended_us: list[int | None]
    taken: Counter[Step]
    late_us: int = 0

    def lost(self, late_us: int) -> set[Step]:
        """The steps that the plan has between the beginnings and ends of its rounds, and that were not taken.

        Somebody may acknowledge between a step's time and its taking, and then it is rightly not taken. No step
        has ever waited longer than `late_us`, and none is taken before one that was due before it.
        """
        found = set()
        for number, (began_us, ended_us) in enumerate(zip(self.began_us, self.ended_us, strict=True), 1):
            last_us = max([self.due_us(step) for step in self.taken if step[0] == number], default=0)
            end_us = began_us if ended_us is None else ended_us
            found |= set(self._due(number, began_us, max(end_us - late_us, last_us)))
        return found - self.taken.keys()

    def _due(self, number: int, began_us: int, until_us: int) -> Iterator[Step]:
        # The line has five levels; a policy's step above it is none.
        for place, step in enumerate(DEFAULTS[self.severity].steps[: len(_LEVELS)], 1):
            at_us, repetition = began_us + step.wait_s * 1_000_000, 1
            while at_us <= until_us and (step.times is None or repetition <= step.times):
                yield number, place, repetition
                at_us, repetition = at_us + (step.every_s or 10**9) * 1_000_000, repetition + 1

    def due_us(self, step: Step) -> int:
        """When a step was due."""
        number, place, repetition = step
        planned = DEFAULTS[self.severity].steps[place - 1]
        wait_s = planned.wait_s + (repetition - 1) * (planned.every_s or 0)
        return self.began_us[number - 1] + wait_s * 1_000_000


def read_rounds(connection: Connection, pressed: Sequence[str]) -> dict[str, Rounds]:
    """Read rounds and steps of the alarms pressed from the history."""
    found: dict[str, Rounds] = {}
    wanted = set(pressed)
    columns = change.c.alarm_id, change.c.what, change.c.at_us, change.c.why, change.c.fields
    for row in connection.execute(select(*columns).order_by(change.c.id)):
        if row.alarm_id not in wanted:
            continue
        if row.what == What.RAISED.value:
            found[row.alarm_id] = Rounds(Severity(row.fields["severity"][1]), [row.at_us], [None], Counter())
        elif row.what == What.UNACKNOWLEDGED.value:
            found[row.alarm_id].began_us.append(row.at_us)
            found[row.alarm_id].ended_us.append(None)
        elif row.what == What.ESCALATED.value:
            _take(found[row.alarm_id], row.why, row.at_us)
        elif row.what in (What.ACKNOWLEDGED.value, What.DISPATCHED.value, What.CLOSED.value):
            ends = found[row.alarm_id].ended_us
            ends[-1] = row.at_us if ends[-1] is None else ends[-1]
    return found


def _take(rounds: Rounds, why: str, at_us: int) -> None:
    said = _STEP.match(why)
    if said is None:
        raise ValueError(f"not a step: {why!r}")
    number, place, first = int(said[1]), int(said[2]), int(said[3])
    for repetition in range(first, int(said[4] or first) + 1):
        step = (number, place, repetition)
        rounds.taken[step] += 1
        rounds.late_us = max(rounds.late_us, at_us - rounds.due_us(step))


def count(run: Run, virtual_s: int, speed: int) -> TwoDesks:
    """Compare the history with what was pressed and with the plans, and the sink with both."""
    with run.database.reading() as connection:
        rounds = read_rounds(connection, run.pressed)
        said = Counter(connection.execute(select(change.c.what)).scalars())
        triggers = select(occurrence.c.kind, func.sum(occurrence.c.triggers)).group_by(occurrence.c.kind)
        kinds = Counter({kind: int(total) for kind, total in connection.execute(triggers)})
        made = _messages(connection)
        event_ids = set(connection.execute(select(change.c.id)).scalars())
        # The auditor's own alarm may be open, and goes on.
        left = select(func.count()).select_from(escalation).join(occurrence).where(occurrence.c.open_key.is_(None))
        rows = connection.execute(left).scalar_one()
    run.wait_told()
    told, events = run.sink.messages, run.sink.events
    longest_us = max((one.late_us for one in rounds.values()), default=0)
    return TwoDesks(
        runs=1,
        virtual_s=virtual_s,
        speed=speed,
        kills=run.kills,
        alarms=len(run.pressed),
        alarms_lost=len(set(run.pressed) - rounds.keys()),
        events_twice=max(0, kinds["panic"] - len(run.pressed)),
        steps=sum(len(one.taken) for one in rounds.values()),
        steps_lost=sum(len(one.lost(longest_us)) for one in rounds.values()),
        steps_twice=sum(times - 1 for one in rounds.values() for times in one.taken.values()),
        acknowledged=said[What.ACKNOWLEDGED.value],
        unacknowledged=said[What.UNACKNOWLEDGED.value],
        longest_wait_s=round(longest_us / 1e6, 1),
        rows_left=rows,
        messages=len(made),
        messages_lost=len(made - told.keys()),
        messages_again=sum(told[one] - 1 for one in made & told.keys()),
        events=len(event_ids),
        events_lost=len(event_ids - events.keys()),
        events_again=sum(events[one] - 1 for one in event_ids & events.keys()),
        gaps=kinds["escalation-gap"],
    )


def _messages(connection: Connection) -> set[str]:
    query = select(delivery.c.id).where(delivery.c.channel == "sink")
    return {name[:REFERENCE_CHARS] for name in connection.execute(query).scalars()}


@contextlib.contextmanager
def open_run(folder: Path, server: Postgres, *, speed: int, database_name: str = "langyan") -> Iterator[Run]:
    """Start broker, sink, gateways and two desks on a database of `server`; stop them at the end."""
    since_ns = time.time_ns()
    with contextlib.ExitStack() as parts:
        broker = parts.enter_context(Mosquitto(folder / "mosquitto"))
        sink = parts.enter_context(Sink())
        url = server.url_of(database_name)
        database = parts.enter_context(Database(make_url(url).set(password=server.password)))
        database.migrate()
        database.run(settle)
        settings = folder / "cloud.toml"
        settings.write_text(_SETTINGS.format(broker=broker.port, database=url, sink=sink.port), encoding="utf-8")
        environment = {
            "BENCH_PASSWORD": server.password,
            "BENCH_SINK": f"json://127.0.0.1:{sink.port}/told/{{address}}",
            "BENCH_SECRET": "a secret of the bench alone",
        }
        names = ("desk-a", "desk-b")
        desks = [Desk(folder, name, settings, environment, since_ns, speed) for name in names]
        for desk in desks:
            parts.callback(desk.stop)
            desk.start(wait=False)
        for desk in desks:
            desk.wait_ready()
        gateways = Gateways(broker.port)
        parts.callback(gateways.close)
        yield Run(folder, database, gateways, sink, desks, since_ns, speed)


def measure(runs: int = RUNS, virtual_s: int = VIRTUAL_S, speed: int = SPEED, alarms: int = ALARMS) -> TwoDesks:
    """Start the servers, run, count; sums of all runs, and the longest of the longest waits."""
    found: list[TwoDesks] = []
    with contextlib.ExitStack() as parts:
        room = tempfile.TemporaryDirectory(prefix="langyan-bench-", dir=os.environ.get("BENCH_DIR"))
        folder = Path(parts.enter_context(room))
        server = parts.enter_context(Postgres(folder / "postgres"))
        for number in range(runs):
            dice = random.Random(31 + number)  # noqa: S311 - moments, not secrets
            name = f"run-{number}"
            server.make_database(name)
            with open_run(folder / name, server, speed=speed, database_name=name) as run:
                run.go(dice, alarms, virtual_s)
                found.append(count(run, virtual_s, speed))
    sums = {field: sum(getattr(one, field) for one in found) for field in TwoDesks.__struct_fields__}
    sums |= {"virtual_s": virtual_s, "speed": speed, "longest_wait_s": max(one.longest_wait_s for one in found)}
    return TwoDesks(**sums)
