"""What one call of the judge brings about: collected in a turn, handed out as `Judged`."""

import msgspec
from msgspec import Struct

from contract.alarms import AlarmEvent, Transition
from contract.limits import MIN_TIME_US
from edge.rules.outputs import Action
from edge.rules.standing import Standing
from edge.rules.watch import Watch


class Judged(Struct, frozen=True):
    """What has changed; false when nothing has.

    Attributes:
        events: to be kept and sent, in their order.
        actions: outputs to be written, in their order.
        standing: by source, what stands now, to be kept with the events; None: no longer. There may be some
            without an event.
    """

    events: tuple[AlarmEvent, ...] = ()
    actions: tuple[Action, ...] = ()
    standing: tuple[tuple[str, bytes | None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.actions or self.standing)


NOTHING = Judged()
"""What most samples change."""


class Turn:
    """One call: its time, and what it has brought about so far."""

    def __init__(self, gateway: str, now: float, at_us: int) -> None:
        self.now = now
        self.at_us = at_us
        self.actions: list[Action] = []
        self._gateway = gateway
        self._events: list[AlarmEvent] = []
        self._standing: dict[str, bytes | None] = {}

    def say(self, watch: Watch, transition: Transition, standing: Standing | None) -> None:
        """Note that an alarm changes; without `standing` it ends, if it stands at all."""
        shown = standing or watch.standing
        if shown is None:
            return
        watch.standing, watch.last_us = standing, shown.latest_us
        self._standing[watch.about.source] = None if standing is None else standing.encode()
        if watch.about.is_said:
            self._events.append(self._event(watch, transition, shown))

    def latch(self, watch: Watch) -> None:
        """Note that the condition of a latching alarm is over: it stands until it is reset."""
        if watch.standing is not None:
            watch.standing = msgspec.structs.replace(watch.standing, is_latched=True)
            self._standing[watch.about.source] = watch.standing.encode()

    def is_of_our_clock(self, time_us: int) -> bool:
        """Tell whether a time is one of this turn's clock: what stood before a reboot has wall time, ours may not.

        A clock that counts from the start of the computer never reaches the earliest wall time.
        """
        return (self.at_us < MIN_TIME_US) is (time_us < MIN_TIME_US)

    def not_before(self, time_us: int) -> int:
        """Give the time of this turn, or `time_us` when our clock has been set back behind it."""
        return max(self.at_us, time_us) if self.is_of_our_clock(time_us) else self.at_us

    def judged(self) -> Judged:
        """Hand out what there is."""
        if not (self._events or self.actions or self._standing):
            return NOTHING
        return Judged(tuple(self._events), tuple(self.actions), tuple(self._standing.items()))

    def _event(self, watch: Watch, transition: Transition, standing: Standing) -> AlarmEvent:
        about = watch.about
        at_us = standing.latest_us if transition is not Transition.CLEARED else self.not_before(standing.latest_us)
        return AlarmEvent(
            gateway=self._gateway,
            device=about.device,
            point=about.point,
            rule=about.rule,
            transition=transition,
            raised_at_us=standing.raised_at_us,
            at_us=at_us,
            kind=about.kind,
            severity=about.severity,
            text=about.text,
            value=watch.value,
            unit=about.unit,
            mode=standing.mode,
        )
