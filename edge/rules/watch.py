"""When the condition of one alarm is on: its readings, and its delays by the clock. Pure."""

from enum import Enum

from msgspec import Struct

from contract.alarms import Severity
from contract.telemetry import Value
from device_profiles.model import LocalAction, Text
from edge.rules.conditions import NEVER, Condition, Contact
from edge.rules.standing import Standing, Told


class Step(Enum):
    """What a reading, or the clock, has changed."""

    ON = "on"
    AGAIN = "again"
    """It came back before its off-delay was over."""
    OFF = "off"


class About(Struct, frozen=True):
    """What an alarm says whenever it changes.

    Attributes:
        device, point, rule: with the gateway its source.
        text: with labels filled in.
        unit: of the point's value.
        is_latching, action: as the rule has them.
        is_said: false for a rule that only counts in combinations.
        told: set when a device says it by itself.
    """

    source: str
    device: str
    point: str
    rule: str
    kind: str
    severity: Severity
    text: Text
    unit: str | None = None
    is_latching: bool = False
    is_said: bool = True
    action: LocalAction | None = None
    told: Told | None = None


class Watch:
    """One alarm: its condition with its delays, and whether it stands.

    Attributes:
        about: what it is.
        is_on: the condition holds, delays over.
        off_at: when it last ended.
        due: when `elapse` wants to be called; None when nothing waits.
        armed: the `due` that whoever calls it knows of.
        calm: a reading of this very value changes nothing and need not be heard.
        value: the reading that decided last.
        standing: set while the alarm stands, which may be longer than its condition (latching).
        last_us: when it was last raised or triggered again, by the clock that samples are stamped with; 0: never.
    """

    __slots__ = (
        "_condition", "_fresh_s", "_heard_at", "_off_delay_s", "_on_delay_s", "_since", "about", "armed", "calm", "due",
        "is_on", "last_us", "off_at", "standing", "value",
    )  # fmt: skip

    def __init__(
        self,
        about: About,
        condition: Condition | None = None,
        *,
        on_delay_s: float = 0.0,
        off_delay_s: float = 0.0,
        fresh_s: float = 0.0,
    ) -> None:
        """Begin with the condition off.

        Args:
            about: what the alarm says.
            condition: what decides; None is a state, true for alarm.
            on_delay_s: how long it must last before it is on.
            off_delay_s: how long it must be over before it is off.
            fresh_s: a reading older than this is no proof that the condition is still over.
        """
        self.about = about
        self._condition = condition or Contact()
        self._on_delay_s = on_delay_s
        self._off_delay_s = off_delay_s
        self._fresh_s = fresh_s
        self._since: float | None = None
        self._heard_at = 0.0
        self.off_at: float | None = None
        self.due: float | None = None
        self.armed: float | None = None
        self.value: Value | None = None
        self.standing: Standing | None = None
        self.last_us = 0
        self.is_on = False
        self.calm = self._condition.calm(is_on=False)

    def restore(self, standing: Standing) -> None:
        """Take over an alarm of before a restart; its condition counts as it was until a reading says otherwise."""
        self.standing = standing
        self.is_on = not standing.is_latched
        self.calm = self._condition.calm(is_on=self.is_on)

    def begin_anew(self) -> None:
        """Take the condition as over until a reading says otherwise."""
        self.is_on = False
        self._settle()

    def hear(self, value: Value, now: float) -> Step | None:
        """Take a reading made at `now`."""
        verdict = self._condition.judge(value, now, is_on=self.is_on)
        if verdict is None:
            return None
        if verdict is self.is_on:
            was_ending = self._since is not None and verdict
            self._settle()
            if was_ending:
                self.value = value
            return Step.AGAIN if was_ending else None
        self.value = value
        self._heard_at = now
        if self._since is None:
            self._since = now
            self.calm = NEVER
        self.due = self._since + (self._off_delay_s if self.is_on else self._on_delay_s)
        return self._turn(now) if now >= self.due else None

    def elapse(self, now: float) -> Step | None:
        """Look at the clock: a delay may be over.

        What was last seen as an alarm is one when its on-delay is over, though the device has fallen silent since.
        An alarm ends only while its readings keep coming: otherwise it waits for the next.
        """
        if self.due is None or now < self.due:
            return None
        if self.is_on and now - self._heard_at > self._fresh_s:
            self.due = None
            return None
        return self._turn(now)

    def _turn(self, now: float) -> Step:
        self.is_on = not self.is_on
        self.off_at = None if self.is_on else now
        self._settle()
        return Step.ON if self.is_on else Step.OFF

    def _settle(self) -> None:
        self._since = self.due = None
        self.calm = self._condition.calm(is_on=self.is_on)


class Absence(Watch):
    """A point gives no reading: on when the clock says so, off with the next reading."""

    __slots__ = ("_for_s", "_last_at")

    def __init__(self, about: About, *, for_s: float, now: float) -> None:
        """Begin to wait for a reading at `now`, for at most `for_s`."""
        super().__init__(about)
        self._for_s = for_s
        self._last_at = now
        self.calm = NEVER
        self.due = now + for_s

    def restore(self, standing: Standing) -> None:
        """See `Watch`."""
        super().restore(standing)
        self.calm = NEVER
        self.due = None if self.is_on else self.due

    def begin_anew(self) -> None:
        """See `Watch`."""
        self.is_on = False
        self.due = self._last_at + self._for_s

    def hear(self, value: Value, now: float) -> Step | None:
        """Any reading is one; `due` moves only when it comes."""
        self._last_at = now
        if not self.is_on:
            return None
        self.is_on, self.off_at, self.value = False, now, value
        self.due = now + self._for_s
        return Step.OFF

    def elapse(self, now: float) -> Step | None:
        """See `Watch`."""
        if self.is_on:
            return None
        self.due = self._last_at + self._for_s
        if now < self.due:
            return None
        self.is_on, self.off_at, self.due, self.value = True, None, None, None
        return Step.ON
