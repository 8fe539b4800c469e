"""An outbox whose machine a test sets up: its clocks, its boot, its disk."""

from collections.abc import Sequence
from pathlib import Path

from contract.alarms import AlarmEvent, Severity, Transition, decode_alarm
from contract.compression import unpack
from contract.telemetry import Lane, Point, Sample, decode_telemetry
from edge.clock import Clock, Readers
from edge.outbox import Batch, Outbox

NOON = 1_767_225_600_000_000
SECOND = 1_000_000
ALL = 1_000_000


class Machine:
    """A computer: switched on at `started_us` true time, with a wall clock that is off by `off_us`."""

    def __init__(self, boot: str = "boot-1", *, wall_us: int = NOON, kernel_error_us: int | None = 1000) -> None:
        self.boot, self.wall_us, self.kernel_error_us = boot, wall_us, kernel_error_us
        self.steady_us = 1_000 * SECOND

    def clock(self) -> Clock:
        return Clock(Readers(lambda: self.steady_us, lambda: self.wall_us, lambda: self.kernel_error_us, self.boot))

    def run_for(self, seconds: float) -> None:
        self.steady_us += round(seconds * SECOND)
        self.wall_us += round(seconds * SECOND)


def open_outbox(
    folder: Path, machine: Machine | None = None, *, max_bytes: int = 10**7, alarm_bytes: int = 10**5
) -> Outbox:
    clock = (machine or Machine()).clock()
    path = folder / "outbox.db"
    return Outbox(path, max_bytes=max_bytes, alarm_bytes=alarm_bytes, gateway="g", boot="run", clock=clock)


def sample(at_us: int, device: str = "d", *, count: int = 10) -> Sample:
    return Sample(device, at_us, tuple(Point(f"r{number}", float(at_us % 1000 + number)) for number in range(count)))


def alarm(at_us: int, transition: Transition = Transition.RAISED, *, raised_at_us: int = 0, n: int = 1) -> AlarmEvent:
    raised_at_us = raised_at_us or at_us
    return AlarmEvent("g", "d", f"b{n}", "panic", transition, raised_at_us, at_us, "panic", Severity.CRITICAL)


def telemetry(outbox: Outbox) -> list[Batch]:
    return outbox.next_telemetry(Lane.LIVE, mark=0, after=0, limit=ALL)


def samples_in(batches: Sequence[Batch]) -> list[Sample]:
    return [one for batch in batches for one in decode_telemetry(unpack(batch.payload, batch.encoding))]


def events_in(outbox: Outbox) -> list[AlarmEvent]:
    return [decode_alarm(batch.payload, gateway="g") for batch in outbox.next_alarms(after=0, limit=ALL)]


def times_in(outbox: Outbox) -> list[int]:
    return [one.at_us for one in samples_in(telemetry(outbox))]
