"""What patrol wands remember: records by the wand's own clock, put on ours, and which of them are kept. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from contract.alarms import Severity
from contract.limits import MIN_TIME_US
from contract.telemetry import Value
from device_profiles.speech.said import Heard, Report

SECOND_US = 1_000_000
_QUARTER_US = 900 * SECOND_US
_DAY_HALF_US = 14 * 3600 * SECOND_US
CHINA_US = 8 * 3600 * SECOND_US
"""What makers set their wands to; taken where a wand's clock tells nothing."""
# A wand counts whole seconds and takes some time to answer: less than this is no error, and is not corrected, so that
# a record that is read twice gets the same time twice.
CLOCK_ERROR_US = 5 * SECOND_US
_WRONG_US = 300 * SECOND_US
_AHEAD_US = 60 * SECOND_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECORD_BYTES, _TIME_BYTES = 11, 6
_MAX_REMEMBERED = 16_384
_MAX_WANDS = 256
_JITTER_US = 2 * SECOND_US


class Clock(Struct, frozen=True):
    """How a wand's clock stands to ours, measured when it was asked.

    A wand has no time zone. The difference to UTC is taken for a zone (a multiple of a quarter of an hour) and an
    error; where that is beyond belief, all of it is error and the zone is that of China.

    Attributes:
        zone_us: what its zone is ahead of UTC.
        error_us: what it is ahead of its zone; None while nobody has told us the time, or its own is none.
        is_lost: its time is none.
    """

    zone_us: int = CHINA_US
    error_us: int | None = None
    is_lost: bool = False

    @property
    def ahead_us(self) -> int:
        """What to take off a record's time to have UTC."""
        if self.error_us is None or abs(self.error_us) <= CLOCK_ERROR_US:
            return self.zone_us
        return self.zone_us + round(self.error_us / SECOND_US) * SECOND_US

    @property
    def is_wrong(self) -> bool:
        """It should be set."""
        return self.is_lost or (self.error_us is not None and abs(self.error_us) > CLOCK_ERROR_US)


def measure(wand_us: int | None, wall_us: int | None) -> Clock:
    """Compare a wand's time with ours; None is a time that is none, or that nobody knows."""
    if wall_us is None or wand_us is None:
        return Clock(is_lost=wand_us is None)
    ahead = wand_us - wall_us
    zone = round(ahead / _QUARTER_US) * _QUARTER_US
    if abs(zone) > _DAY_HALF_US or abs(ahead - zone) > _WRONG_US:
        zone = CHINA_US
    return Clock(zone, ahead - zone)


def read_time(data: bytes) -> int | None:
    """Read year since 2000, month, day, hour, minute, second as if it were UTC, microseconds; None when it is none."""
    year, month, day, hour, minute, second = data[:_TIME_BYTES]
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1)


def write_time(local_us: int) -> bytes:
    """Write a time as a wand takes it."""
    moment = _EPOCH + timedelta(microseconds=local_us)
    return bytes([moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second])


class Timing:
    """Gives records their time on our clock: never the same twice, as a wand may read two cards within one second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._last: bytes = b""
        self._nth = 0

    def at_us(self, time: bytes, *, wall_us: int | None) -> int | None:
        """Tell when it was, microseconds UTC; None when no clock of the wand makes sense of it.

        A wand whose clock was lost on the way has records of before that, which its clock of now puts into the future.
        """
        self._nth = self._nth + 1 if time == self._last else 0
        self._last = time
        local = read_time(time)
        if local is None:
            return None
        for ahead in (self.clock.ahead_us, self.clock.zone_us):
            at_us = local - ahead
            if at_us >= MIN_TIME_US and (wall_us is None or at_us <= wall_us + _AHEAD_US):
                return at_us + self._nth
        return None


def visit(record: bytes, at_us: int | None, *, machine: str, number: int, address: str) -> Heard:
    """Say what a record tells: which card was read, by which wand, when."""
    card = record[_TIME_BYTES:_RECORD_BYTES].hex().upper()
    values: dict[str, Value] = {"card": card, "machine": machine, "record": float(number)}
    if at_us is not None:
        # Beside the sample's own time: a patrol is judged by when a point was visited, however late that is heard.
        values["visited_at"] = _written(at_us)
    return Heard(address=address, values=tuple(values.items()), at_us=at_us)


def hit(at_us: int | None, *, machine: str, number: int, address: str) -> Heard:
    """Say that a wand was hit: it was dropped, or somebody wanted to be rid of it."""
    values: dict[str, Value] = {"hit": float(number), "machine": machine}
    if at_us is not None:
        values["hit_at"] = _written(at_us)
        # Half a second later, as a card may have been read in the same second and a moment has one sample.
        at_us += SECOND_US // 2
    return Heard(address=address, values=tuple(values.items()), reports=(_HIT,), at_us=at_us)


def _written(at_us: int) -> str:
    return (_EPOCH + timedelta(seconds=at_us // SECOND_US)).strftime("%Y-%m-%dT%H:%M:%SZ")


_HIT = Report(
    point="wand",
    rule="hit",
    kind="impact",
    severity=Severity.LOW,
    text={"en": "The wand was hit or dropped: {label}", "zh": "巡更棒受到撞击：{label}"},
    ends_after_s=60.0,
)


class EbWandShared:
    """What is remembered of wands that were pulled out before they could be cleared: which records are kept, and by
    which measure of their clock.

    Beyond `_MAX_REMEMBERED` the oldest records are forgotten: they are kept again, at the same time: the same row.
    """

    def __init__(self) -> None:
        self._clocks: OrderedDict[str, Clock] = OrderedDict()
        self._kept: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def clock(self, machine: str, measured: Clock) -> Clock:
        """Give the measure to go by: that of before while the clock stands as it did, so that times stay the same."""
        before = self._clocks.get(machine)
        if before is not None and abs(before.ahead_us - measured.ahead_us) <= _JITTER_US:
            return before
        self._clocks[machine] = measured
        while len(self._clocks) > _MAX_WANDS:
            self._clocks.popitem(last=False)
        return measured

    def has(self, machine: str, record: bytes) -> bool:
        """Tell whether a record of a wand is kept."""
        return (machine, record) in self._kept

    def add(self, machine: str, records: Iterable[bytes]) -> None:
        """Remember records that are kept."""
        self._kept.update(((machine, record), None) for record in records)
        while len(self._kept) > _MAX_REMEMBERED:
            self._kept.popitem(last=False)

    def forget(self, machine: str) -> None:
        """Forget a wand that is empty."""
        self._clocks.pop(machine, None)
        for key in [key for key in self._kept if key[0] == machine]:
            del self._kept[key]
