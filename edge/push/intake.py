"""What devices of one bus have said, put where it belongs: samples, alarms, sightings, strangers, refusals."""

import logging
import math
import re
from collections import deque
from collections.abc import Sequence

from contract.alarms import Severity
from contract.ids import GATEWAY_DEVICE
from contract.limits import MAX_ID_CHARS, MAX_STRING_CHARS
from contract.telemetry import Point, Sample, Value
from device_profiles.model import HeardDef, HeardKind
from device_profiles.site import PlacedDevice
from device_profiles.speech.said import Heard, Moment, Report, Said
from edge.clock import LEAST_STEP_US, Clock
from edge.health import BusHealth, PushHealth
from edge.keeper import Keeper
from edge.presence import Found, Presence
from edge.push.seldom import Seldom
from edge.supervision import Supervisor

log = logging.getLogger(__name__)

# What a device kept while it could not reach us is believed to be so old at most: a wand comes back from a holiday, a
# vehicle from the mountains. What is older, or of the future, comes from a clock that is wrong.
OLDEST_US = 31 * 24 * 3600 * 1_000_000
LOG_EVERY_S = 60.0
# An alarm about refused messages ends by itself when none was refused for so long.
REFUSAL_ENDS_AFTER_S = 600.0
REFUSAL_EVERY_S = 60.0
MAX_SHOWN_CHARS = 128
# A reason may quote what came; so many ways to refuse something no language has.
MAX_REASONS = 32
# So many messages of one device may bear one time, which it tells in whole seconds.
MAX_TIMES = 256

_NO_LETTERS = re.compile(r"[^a-z]+")


class Intake:
    """The devices of one bus, as what they say reaches them."""

    def __init__(
        self,
        bus: str,
        devices: Sequence[PlacedDevice],
        *,
        keeper: Keeper,
        clock: Clock,
        watch: Supervisor,
        presence: Presence | None,
        health: BusHealth,
    ) -> None:
        """Wire it to what keeps, judges and watches."""
        self.keeper = keeper
        self._bus, self._clock, self._watch, self._presence = bus, clock, watch, presence
        self._health = health
        self._push = health.push = PushHealth()
        self._by_address = {placed.device.address: placed for placed in devices}
        self._only = devices[0] if len(devices) == 1 else None
        self._points = {placed.device.id: {one.key: one for one in placed.profile.heard} for placed in devices}
        self._reasons: set[str] = set()
        self._last_us: dict[str, int] = {}
        self._told_us: dict[str, deque[int]] = {}
        self._said, self._told = Seldom(LOG_EVERY_S), Seldom(REFUSAL_EVERY_S)

    def take(self, heard: Heard, moment: Moment) -> bool:
        """Take what one device said; false when no device of the site has its address."""
        placed = self._find(heard.address)
        if placed is None:
            self._note_stranger(heard.address, moment.now)
            return False
        device = placed.device.id
        self._push.heard += 1
        self._watch.heard(device, moment.now)
        if self._presence is not None:
            self._presence.alive(device, moment.now)
        at_us, alarm_us = self._times_of(device, heard.at_us, moment)
        points = self._read(device, heard.values)
        if points:
            self.keeper.take(Sample(device, at_us, points))
        for report in heard.reports:
            self.keeper.told(device, report, alarm_us)
        if self._presence is not None:
            for sighting in heard.sightings:
                found = self._presence.seen(device, sighting, moment.now, alarm_us)
                keep_found(self.keeper, found, alarm_us)
        return True

    def refuse(self, said: Said, moment: Moment) -> None:
        """Count what was not understood or not accepted; tell the staff what they should know."""
        self._push.refused += 1
        why = self._push.now.refusal = _printable(said.refused)
        placed = self._find(said.heard[0].address) if said.heard else self._only
        device = placed.device.id if placed else f"{GATEWAY_DEVICE}.{self._bus}"
        reason = self._reason(why)
        if self._said.is_due((device, reason), moment.now):
            log.warning("bus %s, %s: refused: %s", self._bus, device, why)
        if said.is_staff_told and self._told.is_due((device, reason), moment.now):
            self.keeper.told(device, _refusal(why, reason), self._clock.stamp(device))

    def note_kept(self, *, is_kept: bool) -> None:
        """Count a message that may be acknowledged, or may not."""
        if is_kept:
            self._push.kept += 1
        else:
            self._push.unkept += 1

    def _find(self, address: str) -> PlacedDevice | None:
        placed = self._by_address.get(address)
        # One that is alone on its line need not be named, by itself or by the site file.
        if placed is None and self._only is not None and not (address and self._only.device.address):
            return self._only
        return placed

    def _note_stranger(self, address: str, now: float) -> None:
        shown = _printable(address)
        self._push.strangers += 1
        self._push.now.stranger = shown
        # Whoever sends here may take a new address each time.
        if self._said.is_due("stranger", now):
            log.warning('bus %s: no device of the site has the address "%s"', self._bus, shown)

    def _reason(self, why: str) -> str:
        """Give the words of a reason, without what is different each time; reasons beyond the most are all one."""
        reason = _NO_LETTERS.sub("-", why.lower()).strip("-")[:MAX_ID_CHARS]
        if len(self._reasons) < MAX_REASONS:
            self._reasons.add(reason)
        return reason if reason in self._reasons else "other"

    def _times_of(self, device: str, told_us: int | None, moment: Moment) -> tuple[int, int]:
        """Give the time of the readings and of the alarms in what a device said; its own word where it can be right.

        A reading has exactly the device's time, so that what is said again after a restart becomes the same row; where
        several were told with one time they are set apart. Alarms of a device never go back.
        """
        now_us = at_us = self._clock.stamp(device)
        if told_us is not None and moment.wall_us is not None and 0 <= moment.wall_us - told_us <= OLDEST_US:
            at_us = self._clock.steady_us() - (moment.wall_us - told_us)
            told_us = self._set_apart(device, told_us)
        else:
            told_us = None
        last_us = self._last_us.get(device)
        if last_us is not None and at_us <= last_us:
            at_us = last_us + LEAST_STEP_US
        self._last_us[device] = at_us
        # Before the machine was switched on there was no steady time: that is told in wall time.
        alarm_us = at_us if at_us > 0 or moment.wall_us is None else at_us + moment.wall_us - now_us
        return told_us or now_us, alarm_us

    def _set_apart(self, device: str, told_us: int) -> int:
        recent = self._told_us.setdefault(device, deque(maxlen=MAX_TIMES))
        while told_us in recent:
            told_us += LEAST_STEP_US
        recent.append(told_us)
        return told_us

    def _read(self, device: str, values: Sequence[tuple[str, Value]]) -> tuple[Point, ...]:
        known, found = self._points[device], dict[str, Point]()
        for key, value in values:
            point = known.get(key)
            if point is None:
                continue
            if is_believable(point, value):
                found[key] = Point(key, float(value) if point.kind is HeardKind.NUMBER else value, point.unit)
            else:
                self._health.bad_values += 1
                log.debug("device %s: no reading of %s", device, key)
        return tuple(found.values())


def keep_found(keeper: Keeper, found: Found, at_us: int) -> None:
    """Keep what presence has found: readings of its stations, and alarms."""
    for sample in found.samples:
        keeper.take(sample)
    for device, report in found.reports:
        keeper.told(device, report, at_us)


def is_believable(point: HeardDef, value: Value) -> bool:
    """Tell whether a value is of the point's kind, and within its range."""
    if point.kind is HeardKind.STATE:
        return isinstance(value, bool)
    if point.kind is HeardKind.WORD:
        return isinstance(value, str) and len(value) <= MAX_STRING_CHARS
    if isinstance(value, bool | str) or not math.isfinite(value):
        return False
    return point.range is None or point.range[0] <= value <= point.range[1]


def _refusal(why: str, reason: str) -> Report:
    return Report(
        point="protocol",
        rule=f"refused.{reason}"[:MAX_ID_CHARS].rstrip("-."),
        kind="message-refused",
        severity=Severity.HIGH,
        text={
            "en": f"Messages are refused, somebody may be imitating the device: {why}",
            "zh": f"报文被拒绝，可能有人冒充该设备：{why}",
        },
        ends_after_s=REFUSAL_ENDS_AFTER_S,
    )


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[:MAX_SHOWN_CHARS])
