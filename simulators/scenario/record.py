"""What was seen of a scenario: by the story's clock, seconds since it began."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field

from contract.alarms import AlarmEvent, Mode, Severity
from contract.telemetry import Sample, Value
from simulators.scenario.expecting import GatewayState
from simulators.scenario.world import Who

MAX_SEEN = 200_000
"""Readings remembered of one point; the oldest go first."""


class SeenAlarm(Struct):
    """One alarm event, when it arrived, and when it was stored (None: not known to be)."""

    at_s: float
    event: AlarmEvent
    stored_at_s: float | None = None


class SeenState(Struct, frozen=True):
    """A gateway was born, was lost or stopped."""

    at_s: float
    gateway: str
    state: GatewayState


class SeenValue(Struct, frozen=True):
    """A reading that arrived, or how a simulated point stood; `at_us` is the reading's own time."""

    at_s: float
    value: Value
    at_us: int = 0


class SeenTag(Struct, frozen=True):
    """What a station said of a tag."""

    at_s: float
    who: Who
    tag: str
    state: str


class SeenOnDesk(Struct, frozen=True):
    """One row of the desk's list of alarms, as it stood when the desk was looked at last.

    Attributes:
        said: its comments, in order.
    """

    gateway: str
    device: str
    point: str
    rule: str
    kind: str
    severity: Severity
    mode: Mode
    is_open: bool
    is_suppressed: bool
    said: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """As events name it."""
        return f"{self.gateway}/{self.device}/{self.point}/{self.rule}"


class SeenAnswer(Struct, frozen=True):
    """What the API answered last: JSON, or why it refused."""

    at_s: float
    said: Any
    why: str = ""


class Loss(Struct, frozen=True):
    """Readings of one device: in answers that it gave whole, those of them that arrived, and those that came twice."""

    produced: int
    lost: int
    twice: int


class Record(Struct):
    """Everything seen; whoever judges only reads.

    Attributes:
        done: by the number of an `[[at]]`, and whether its end is meant, when it was done.
        alarms: each event once.
        states: of gateways, in order.
        readings: of points that have a place here, or of all.
        keeps_all: keep the readings of all points.
        tags: what stations said of tags, in order of arrival.
        outputs: how simulated points stood, a value at each change.
        losses: by device, once all is over; None before.
        desk: the list of the desk; None before it was looked at.
        desk_at_s: when it was looked at.
        answers: of the API, by what was asked for.
    """

    done: dict[tuple[int, bool], float] = field(default_factory=dict)
    alarms: list[SeenAlarm] = field(default_factory=list)
    states: list[SeenState] = field(default_factory=list)
    readings: dict[tuple[Who, str], deque[SeenValue]] = field(default_factory=dict)
    tags: list[SeenTag] = field(default_factory=list)
    outputs: dict[tuple[Who, str], list[SeenValue]] = field(default_factory=dict)
    losses: dict[Who, Loss] | None = None
    desk: tuple[SeenOnDesk, ...] | None = None
    desk_at_s: float = 0.0
    answers: dict[str, SeenAnswer] = field(default_factory=dict)
    keeps_all: bool = False

    def note_samples(self, gateway: str, samples: Iterable[Sample], at_s: float) -> None:
        """Keep the readings of those points that have a place in `readings`, or of all."""
        for sample in samples:
            who = Who(gateway, sample.device)
            said = {point.key: point.value for point in sample.points if point.key in {"tag", "presence"}}
            # A sign of life every few minutes is no news.
            if len(said) == 2 and said["presence"] != "alive":  # noqa: PLR2004
                self.tags.append(SeenTag(at_s, who, str(said["tag"]), str(said["presence"])))
            for point in sample.points:
                if self.keeps_all:
                    self.readings.setdefault((who, point.key), deque(maxlen=MAX_SEEN))
                seen = self.readings.get((who, point.key))
                if seen is not None:
                    seen.append(SeenValue(at_s, point.value, sample.at_us))

    def note_output(self, who: Who, point: str, value: Value, at_s: float) -> None:
        """Keep how a simulated point stands, when that is news."""
        seen = self.outputs.setdefault((who, point), [])
        if not seen or seen[-1].value != value:
            seen.append(SeenValue(at_s, value))
