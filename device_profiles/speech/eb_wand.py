"""Patrol wands with EB frames: a wand in its cradle is read, its records are kept, and only then it is cleared. Pure.

We ask, the wand answers; a wand that sleeps is woken by AA. What happens when it is woken:

    time, machine, records, hits  how it stands; it may have been elsewhere since
    check                         the last record that we have is still the last we read: nobody cleared it meanwhile
    record ..., hit ...           what we have not read yet
    (rest until all is on the disk, then wake it again: the same from the beginning, nothing left to read)
    clear                         only now
    time, machine, records, hits  it is empty; its clock is set, when it was wrong
    rest                          look for a wand every few seconds

A wand may be pulled out, or swapped for another, at any moment. Whatever goes wrong ends in a pause, after which it is
woken anew, and nothing that was said before is believed any more but the records themselves.

Source: github.com/FuzhouKaiHe/NetPatrolApp, app/src/main/java/com/khdz/patrol/netpatrolapp/Device/SendAndRcv.java:
commands and their data, an answer within 1 s, clearing within 40 s, asleep after 2 s without a command.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType

from msgspec import Struct, field

from contract.telemetry import Value
from device_profiles.model import Profile
from device_profiles.speech.eb_wand_frames import WAKE, WandFrames, write_frame
from device_profiles.speech.eb_wand_records import (
    SECOND_US,
    Clock,
    EbWandShared,
    Timing,
    hit,
    measure,
    read_time,
    visit,
    write_time,
)
from device_profiles.speech.said import Heard, Moment, Said, Speaker

__all__ = ["EbWand", "EbWandShared", "make_eb_wand"]

LOOK_S = 5.0
"""How often a wand is looked for."""
PAUSE_S = 0.5
"""After trouble: what comes now is a late answer to something asked before. Doubled each time, up to `LOOK_S`."""
ANSWER_S = 1.0
ANNOUNCE_AGAIN_S = 3_600.0
"""A wand that stays in its cradle is told of so often: what it is, and that nothing more is in it."""
CLEAR_S = 60.0
CLEAR_AGAIN_S = 120.0
"""A wand that stays full is not cleared at every look: its flash wears."""
KEPT_S = 60.0
"""What was not kept in so long is read anew: the disk may have been full."""
_BATCH = 32


class _Step(Enum):
    REST = auto()
    PAUSE = auto()
    WAKE = auto()
    TIME = auto()
    MACHINE = auto()
    COUNT = auto()
    HITS = auto()
    CHECK_RECORD = auto()
    CHECK_HIT = auto()
    RECORD = auto()
    HIT = auto()
    CLEAR = auto()
    SET_TIME = auto()


class _Ask(Struct, frozen=True):
    """One request: its command, what follows it (behind an index, where there is one), and how long an answer is."""

    command: int
    data: bytes
    answer: int
    is_indexed: bool = False
    patience_s: float = ANSWER_S


_RECORD = _Ask(0x37, b"\x08", 11, is_indexed=True)
_HIT = _Ask(0x39, b"\x0e", 6, is_indexed=True)
_ASKS = MappingProxyType(
    {
        _Step.TIME: _Ask(0x31, b"", 6),
        _Step.MACHINE: _Ask(0x33, b"\x00\x04", 5),
        _Step.COUNT: _Ask(0x35, b"\x08\x08", 2),
        _Step.HITS: _Ask(0x3C, b"\x0d\x0d", 2),
        _Step.CHECK_RECORD: _RECORD,
        _Step.CHECK_HIT: _HIT,
        _Step.RECORD: _RECORD,
        _Step.HIT: _HIT,
        _Step.CLEAR: _Ask(0x70, b"\x08\x06\0\0\0\0\0\0", 0, patience_s=CLEAR_S),
        _Step.SET_TIME: _Ask(0xA3, b"", 0),
    }
)


class _Reading(Struct):
    """How far one filling of one wand is read.

    Attributes:
        timing: puts its records on our clock; measured once a filling, so that all of it is by one measure.
        records, hits: how many are read.
        last_record, last_hit: the last ones, as they came.
        unsaid: read, and not yet said.
        unsaid_raw: the same as they came.
        tokens: said, and not yet on the disk.
        said_at: when something was last said, monotonic seconds.
    """

    machine: str
    timing: Timing
    records: int = 0
    hits: int = 0
    last_record: bytes = b""
    last_hit: bytes = b""
    unsaid: list[Heard] = field(default_factory=list)
    unsaid_raw: list[bytes] = field(default_factory=list)
    tokens: set[int] = field(default_factory=set)
    said_at: float = 0.0


class EbWand:
    """Our end of a line with a cradle for wands. See `Speech`."""

    def __init__(self, speakers: Sequence[Speaker], profiles: Mapping[str, Profile], shared: EbWandShared) -> None:
        self._speakers = {speaker.address.strip().upper(): speaker for speaker in speakers}
        self._keys = {name: frozenset(point.key for point in profile.heard) for name, profile in profiles.items()}
        self._shared = shared
        self._frames = WandFrames()
        self._step, self._due, self._troubles = _Step.REST, 0.0, 0
        # What this wake has told so far.
        self._clock, self._machine = Clock(), ""
        self._count = self._hit_count = 0
        self._is_fresh = False
        self._announced, self._announced_at = "", 0.0
        self._reading: _Reading | None = None
        self._said: dict[int, tuple[_Reading, tuple[bytes, ...]]] = {}
        self._token = 0
        self._cleared: tuple[str, float] = ("", 0.0)
        self._is_time_set = False
        self._handlers: dict[_Step, Callable[[bytes, Moment], list[Said]]] = {
            _Step.TIME: self._timed,
            _Step.MACHINE: self._met,
            _Step.COUNT: self._records_counted,
            _Step.HITS: self._counted,
            _Step.CHECK_RECORD: self._checked,
            _Step.CHECK_HIT: self._checked,
            _Step.RECORD: self._read,
            _Step.HIT: self._read,
            _Step.CLEAR: self._cleared_now,
            _Step.SET_TIME: self._time_set,
        }

    def open(self, moment: Moment) -> list[Said]:
        """Look for a wand at once."""
        self._frames.reset()
        return self._wake(moment)

    def hear(self, data: bytes, moment: Moment) -> list[Said]:
        """Take what came."""
        said = self.tick(moment)
        for found in () if self._step is _Step.PAUSE else self._frames.feed(data):
            if isinstance(found, str):
                said.append(Said(refused=found))
            elif found.command == WAKE:
                said += self._ask(_Step.TIME, moment) if self._step in (_Step.REST, _Step.WAKE) else []
            elif (ask := _ASKS.get(self._step)) is None or found.command != ask.command + 1:
                said.append(Said(refused=f"nobody asked for {found.command:02X}"))
            elif len(found.data) < ask.answer:
                said += self._trouble(f"{len(found.data)} bytes in answer to {ask.command:02X}", moment)
            else:
                said += self._handlers[self._step](found.data, moment)
            if self._step is _Step.PAUSE:
                break
        return said

    def kept(self, token: int, moment: Moment) -> list[Said]:
        """Remember what is on the disk; when that is all, see to it that the wand is cleared."""
        if token not in self._said:
            return []
        reading, records = self._said.pop(token)
        self._shared.add(reading.machine, records)
        reading.tokens.discard(token)
        if reading.tokens or reading is not self._reading or self._step is not _Step.REST:
            return []
        return self._wake(moment)

    def tick(self, moment: Moment) -> list[Said]:
        """Look for a wand, or give up waiting for its answer."""
        if moment.now < self._due:
            return []
        if self._step in (_Step.REST, _Step.PAUSE):
            return self._wake(moment)
        if self._step is _Step.WAKE:
            self._announced, self._is_time_set = "", False
            self._rest(moment)
            return []
        return self._trouble(f"no answer to {_ASKS[self._step].command:02X}", moment)

    def next_at(self) -> float | None:
        """Tell when the next look, or the end of patience, is due."""
        return self._due

    def _wake(self, moment: Moment) -> list[Said]:
        self._frames.reset()
        self._step, self._due = _Step.WAKE, moment.now + ANSWER_S
        return [Said(send=bytes([WAKE]))]

    def _rest(self, moment: Moment) -> None:
        self._step, self._due = _Step.REST, moment.now + LOOK_S

    def _trouble(self, why: str, moment: Moment) -> list[Said]:
        said = [*self._say(moment), Said(refused=why)]
        pause_s = min(PAUSE_S * 2**self._troubles, LOOK_S)
        self._troubles = min(self._troubles + 1, 8)
        self._step, self._due = _Step.PAUSE, moment.now + pause_s
        return said

    def _ask(self, step: _Step, moment: Moment, data: bytes = b"") -> list[Said]:
        ask = _ASKS[step]
        self._step, self._due = step, moment.now + ask.patience_s
        return [Said(send=write_frame(ask.command, data + ask.data))]

    def _ask_index(self, step: _Step, index: int, moment: Moment) -> list[Said]:
        return self._ask(step, moment, index.to_bytes(2, "big"))

    def _timed(self, data: bytes, moment: Moment) -> list[Said]:
        self._clock = measure(read_time(data), moment.wall_us)
        return self._ask(_Step.MACHINE, moment)

    def _records_counted(self, data: bytes, moment: Moment) -> list[Said]:
        self._count = int.from_bytes(data[:2], "big")
        return self._ask(_Step.HITS, moment)

    def _cleared_now(self, data: bytes, moment: Moment) -> list[Said]:
        del data
        return self._ask(_Step.TIME, moment)

    def _time_set(self, data: bytes, moment: Moment) -> list[Said]:
        del data
        self._rest(moment)
        return []

    def _met(self, data: bytes, moment: Moment) -> list[Said]:
        machine = self._machine = data[:5].hex().upper()
        if self._speaker() is not None:
            return self._ask(_Step.COUNT, moment)
        is_news, self._announced = self._announced != machine, machine
        self._rest(moment)
        return [Said(refused=f"wand {machine} is not of this site", is_staff_told=is_news)]

    def _counted(self, data: bytes, moment: Moment) -> list[Said]:
        """Go on where this filling of this wand was left; begin anew with another."""
        self._hit_count = int.from_bytes(data[:2], "big")
        reading = self._reading
        is_same = reading is not None and reading.machine == self._machine
        if reading is None or not is_same or reading.records > self._count or reading.hits > self._hit_count:
            return self._begin(moment)
        self._is_fresh = True
        if reading.records:
            return self._ask_index(_Step.CHECK_RECORD, reading.records - 1, moment)
        if reading.hits:
            return self._ask_index(_Step.CHECK_HIT, reading.hits - 1, moment)
        return self._go_on(reading, moment)

    def _checked(self, data: bytes, moment: Moment) -> list[Said]:
        reading = self._reading
        is_record = self._step is _Step.CHECK_RECORD
        if reading is None or data[: _ASKS[self._step].answer] != (
            reading.last_record if is_record else reading.last_hit
        ):
            return self._begin(moment)
        return self._go_on(reading, moment)

    def _begin(self, moment: Moment) -> list[Said]:
        timing = Timing(self._shared.clock(self._machine, self._clock))
        self._reading = _Reading(self._machine, timing)
        self._is_fresh = True
        return self._go_on(self._reading, moment)

    def _go_on(self, reading: _Reading, moment: Moment) -> list[Said]:
        if reading.records < self._count:
            return self._ask_index(_Step.RECORD, reading.records, moment)
        if reading.hits < self._hit_count:
            return self._ask_index(_Step.HIT, reading.hits, moment)
        # Behind its records: what a device says is kept in the order of its times, and this is of now.
        said = self._say(moment) + self._announce(moment)
        self._troubles = 0
        if reading.tokens and moment.now - reading.said_at >= KEPT_S:
            return said + self._begin(moment)
        if reading.tokens:
            self._rest(moment)
            return said
        if not self._is_fresh:
            return said + self._ask(_Step.MACHINE, moment)
        return said + self._finish(moment)

    def _finish(self, moment: Moment) -> list[Said]:
        """Clear a wand of which all is kept, as was seen just now; set the clock of an empty one."""
        if self._count or self._hit_count:
            machine, at = self._cleared
            if machine == self._machine and moment.now - at < CLEAR_AGAIN_S:
                self._rest(moment)
                return [Said(refused=f"wand {self._machine} was cleared and holds {self._count} records")]
            self._cleared = (self._machine, moment.now)
            return self._ask(_Step.CLEAR, moment)
        self._shared.forget(self._machine)
        self._cleared = ("", 0.0)
        if self._clock.is_wrong and moment.wall_us is not None and not self._is_time_set:
            # Once each time it is put in: some wands round, or take no time at all.
            self._is_time_set = True
            return self._ask(_Step.SET_TIME, moment, write_time(moment.wall_us + self._clock.zone_us))
        self._rest(moment)
        return []

    def _read(self, data: bytes, moment: Moment) -> list[Said]:
        reading, speaker = self._reading, self._speaker()
        if reading is None or speaker is None:
            return self._trouble("a record of nobody", moment)
        raw = data[: _ASKS[self._step].answer]
        # One answer that came twice, or one card that was read twice within a second: the same record.
        is_new = raw not in (reading.last_record, reading.last_hit) and not self._shared.has(reading.machine, raw)
        at_us = reading.timing.at_us(raw[:6], wall_us=moment.wall_us)
        if self._step is _Step.RECORD:
            reading.records, reading.last_record = reading.records + 1, raw
            heard = visit(raw, at_us, machine=reading.machine, number=reading.records, address=speaker.address)
        else:
            reading.hits, reading.last_hit = reading.hits + 1, raw
            heard = hit(at_us, machine=reading.machine, number=reading.hits, address=speaker.address)
        self._is_fresh, self._troubles = False, 0
        if is_new:
            reading.unsaid.append(self._wanted(heard, speaker))
            reading.unsaid_raw.append(raw)
        said = [Said(refused=f"no time: {raw.hex(' ')}")] if at_us is None else []
        if len(reading.unsaid) >= _BATCH:
            said += self._say(moment)
        return said + self._go_on(reading, moment)

    def _say(self, moment: Moment) -> list[Said]:
        """Hand over what was read: as one, to be told when it is on the disk."""
        reading = self._reading
        if reading is None or not reading.unsaid:
            return []
        self._token += 1
        heard, raw = tuple(reading.unsaid), tuple(reading.unsaid_raw)
        reading.unsaid.clear()
        reading.unsaid_raw.clear()
        reading.tokens.add(self._token)
        reading.said_at = moment.now
        self._said[self._token] = (reading, raw)
        return [Said(heard=heard, token=self._token)]

    def _announce(self, moment: Moment) -> list[Said]:
        """Say which wand it is and how it stands: when it is put in, and now and then while it stays."""
        speaker = self._speaker()
        is_told = self._announced == self._machine and moment.now - self._announced_at < ANNOUNCE_AGAIN_S
        if speaker is None or is_told:
            return []
        self._announced, self._announced_at = self._machine, moment.now
        values: dict[str, Value] = {
            "machine": self._machine,
            "records": float(self._count),
            "hits": float(self._hit_count),
        }
        if self._clock.error_us is not None:
            values["clock_error"] = round(self._clock.error_us / SECOND_US, 1)
        return [Said(heard=(self._wanted(Heard(address=speaker.address, values=tuple(values.items())), speaker),))]

    def _wanted(self, heard: Heard, speaker: Speaker) -> Heard:
        keys = self._keys.get(speaker.device)
        values = tuple(pair for pair in heard.values if keys is None or pair[0] in keys)
        return Heard(address=heard.address, values=values, reports=heard.reports, at_us=heard.at_us)

    def _speaker(self) -> Speaker | None:
        return self._speakers.get(self._machine) or self._speakers.get("")


def make_eb_wand(
    speakers: Sequence[Speaker], *, profiles: Mapping[str, Profile], shared: EbWandShared | None = None
) -> EbWand:
    """Make the conversation of one cradle.

    Args:
        speakers: the wands of the site; an address is a machine id, ten hexadecimal digits; without one any wand.
        profiles: theirs, by device id.
        shared: which records are kept, across the conversations of the line.
    """
    return EbWand(speakers, profiles, EbWandShared() if shared is None else shared)
