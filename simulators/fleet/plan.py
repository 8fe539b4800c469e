"""What a fleet is asked for, and what came of it: settings, counts, latencies. Pure."""

import math
import random
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import ID_PATTERN
from contract.limits import MAX_RECORDS
from simulators.errors import SimulatorError

POINTS = ("number", "temperature", "battery")
"""The points of every device; `number` numbers its readings from 1."""
MAX_DEVICES = MAX_RECORDS // len(POINTS)
"""More would be no batch that the cloud takes."""


class FleetError(SimulatorError):
    """A fleet cannot be run as asked; the text says where, and what to do."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a fleet does.

    Attributes:
        gateways, devices: how many, and how many devices each has.
        interval_s: each device is read once in so long; a gateway sends all of its devices as one batch.
        seconds: how long readings are made; infinite until it is stopped.
        host, port: the broker.
        username, password: as whom to connect.
        prefix: the ids are `<prefix>-00001` and so on.
        seed: of values, jitter and presses; the same seed gives the same.
        waits_for_receipts: as a gateway does; False takes the broker's acknowledgement for it.
        presses_per_min: alarms of the whole fleet, each raised and cleared, in mode `test`.
        ramp_per_s: connections begun in a second.
        keepalive_s: MQTT keep-alive.
        resend_s, alarm_resend_s: silence after which what has no receipt goes again, doubling.
        settle_s: how long receipts are waited for at the end.
    """

    gateways: Annotated[int, Meta(ge=1, le=99_999)]
    devices: Annotated[int, Meta(ge=1, le=MAX_DEVICES)] = 20
    interval_s: Annotated[float, Meta(ge=0.05, le=86_400.0)] = 30.0
    seconds: Annotated[float, Meta(gt=0.0)] = math.inf
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    username: str | None = None
    password: str | None = None
    prefix: Annotated[str, Meta(pattern=ID_PATTERN, max_length=48)] = "fleet"
    seed: int = 1
    waits_for_receipts: bool = True
    presses_per_min: Annotated[float, Meta(ge=0.0, le=1_000_000.0)] = 0.0
    ramp_per_s: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 500.0
    keepalive_s: Annotated[int, Meta(ge=5, le=65_535)] = 60
    resend_s: Annotated[float, Meta(ge=0.1, le=600.0)] = 5.0
    alarm_resend_s: Annotated[float, Meta(ge=0.1, le=60.0)] = 1.0
    settle_s: Annotated[float, Meta(ge=0.0, le=3600.0)] = 30.0

    @property
    def readings_per_batch(self) -> int:
        """Readings that a gateway makes in one interval."""
        return self.devices * len(POINTS)

    def batches_due(self, elapsed_s: float) -> int:
        """Count the batches that the fleet should have made `elapsed_s` after the first."""
        return sum(self.due(number, elapsed_s) for number in range(1, self.gateways + 1))

    def due(self, number: int, elapsed_s: float) -> int:
        """Count the batches that gateway `number` should have made."""
        return max(0, math.ceil((elapsed_s - self.phase_s(number)) / self.interval_s))

    def phase_s(self, number: int) -> float:
        """Say when, after the fleet has begun, gateway `number` first reads: they are spread over the interval."""
        return (number - 1) / self.gateways * self.interval_s

    def gateway_id(self, number: int) -> str:
        """Name gateway `number`, from 1."""
        return f"{self.prefix}-{number:05d}"


def device_id(number: int) -> str:
    """Name device `number` of a gateway, from 1."""
    return f"device-{number:04d}"


class Latencies:
    """Times between sending and receipt, in classes 2 % wide: memory that does not grow with an endless run."""

    _LEAST_S = 1e-4
    _STEP = math.log(1.02)
    _CLASSES = 1000  # up to 1e-4 * 1.02**1000 s, which is half a day

    def __init__(self) -> None:
        self._counts = [0] * self._CLASSES
        self.count = 0

    def add(self, seconds: float) -> None:
        """Note one."""
        place = int(math.log(max(seconds, self._LEAST_S) / self._LEAST_S) / self._STEP)
        self._counts[min(place, self._CLASSES - 1)] += 1
        self.count += 1

    def percentile(self, share: float) -> float:
        """Return the time, in seconds, within which `share` of them lie, at most 2 % too long; 0 of none."""
        wanted = math.ceil(self.count * share)
        for place, count in enumerate(self._counts):
            wanted -= count
            if wanted <= 0 < self.count:
                return float(self._LEAST_S * math.exp((place + 1) * self._STEP))
        return 0.0


class Tally:
    """What a fleet has done so far; all its gateways count here.

    Attributes:
        up: gateways that are connected, subscribed and born.
        connects, cuts, turned_away: connections that came up, were lost, were refused by the broker.
        made, sent, again: batches made, sent for the first time, and sent once more.
        settled, refused, dropped: batches with a receipt, refused by the cloud, and dropped because too many waited.
        broker_refused: publishes that the broker did not take.
        pressed, alarms_sent, alarms_again, alarms_settled, alarms_refused: the same of alarm events.
        late: how much later than planned batches were made.
        receipts, alarm_receipts: from the first sending to the receipt.
        why: what was last refused, and why; one sentence.
        is_unwelcome: the broker refuses us for good: name, password or access list.
    """

    def __init__(self) -> None:
        self.up = self.connects = self.cuts = self.turned_away = 0
        self.made = self.sent = self.again = self.settled = self.refused = self.dropped = self.broker_refused = 0
        self.pressed = self.alarms_sent = self.alarms_again = self.alarms_settled = self.alarms_refused = 0
        self.late, self.receipts, self.alarm_receipts = Latencies(), Latencies(), Latencies()
        self.why = ""
        self.is_unwelcome = False

    @property
    def waiting(self) -> int:
        """Count the batches that are neither settled nor given up."""
        return self.made - self.settled - self.refused - self.dropped

    @property
    def alarms_waiting(self) -> int:
        """Count the alarm events that are neither settled nor given up; those still to come among them."""
        return self.pressed - self.alarms_settled - self.alarms_refused


class Progress(Struct, frozen=True, kw_only=True):
    """How a fleet stands.

    Attributes:
        phase: connecting, reading or settling.
        elapsed_s: since the phase began.
        up: gateways connected.
        sent, settled: batches sent for the first time, and settled.
        waiting: batches without a receipt.
    """

    phase: str
    elapsed_s: float
    up: int
    sent: int
    settled: int
    waiting: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What a fleet has done. Readings are values of single points.

    Attributes:
        gateways, devices, interval_s: as asked.
        connect_s: from the first connection to the last.
        seconds: how long readings were made.
        asked_per_s, done_per_s: readings a second that should have left by the end, and that did.
        asked, sent, settled, refused, dropped, waiting: readings; `settled` have a receipt (without receipts: the
            broker's acknowledgement), `waiting` had none at the end.
        batches, again: batches made, and batches sent once more.
        receipt_p50_ms, receipt_p99_ms: from the first sending of a batch to its receipt.
        late_p99_ms: by how much batches were made later than planned: the fleet's own slowness.
        alarm_events, alarms_settled, alarms_again, alarm_p50_ms, alarm_p99_ms: the same of alarm events.
        connects, cuts, turned_away: connections.
        cpu_s: processor time of the fleet's own process while readings were made.
        rss_mib: its largest memory.
        why: what was last refused, and why.
        began_at_us: when the first reading may have been made, microseconds UTC.
        made_by: batches that each gateway made, from the first gateway on; they are numbered from 1.
    """

    gateways: int
    devices: int
    interval_s: float
    connect_s: float
    seconds: float
    asked_per_s: float
    done_per_s: float
    asked: int
    sent: int
    settled: int
    refused: int
    dropped: int
    waiting: int
    batches: int
    again: int
    receipt_p50_ms: float
    receipt_p99_ms: float
    late_p99_ms: float
    alarm_events: int
    alarms_settled: int
    alarms_again: int
    alarm_p50_ms: float
    alarm_p99_ms: float
    connects: int
    cuts: int
    turned_away: int
    cpu_s: float
    rss_mib: float
    why: str
    began_at_us: int
    made_by: tuple[int, ...]

    @property
    def lost(self) -> int:
        """Readings and alarm events that were made and are not known to be stored."""
        return self.refused + self.dropped + self.waiting + self.alarm_events - self.alarms_settled

    @property
    def missed(self) -> float:
        """The share of the asked rate that was missed."""
        return round(1.0 - self.done_per_s / self.asked_per_s, 6) if self.asked_per_s else 0.0

    @property
    def is_good(self) -> bool:
        """Tell whether the rate was kept within 2 % and nothing was lost."""
        return self.missed <= MAX_MISSED and self.lost == 0


MAX_MISSED = 0.02


def seeded(plan: Plan) -> random.Random:
    """Make the one source of chance of a fleet."""
    return random.Random(plan.seed)  # noqa: S311 - simulation, no secret
