"""Moved while armed: which movement is a theft, and which one its owner's. Pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from contract.tags import Arm, Disarm
from device_profiles.site import PresenceSettings
from device_profiles.speech.said import Report
from edge.presence import alarms
from edge.presence.arming import Armed, ArmedTags
from edge.presence.stations import Station
from edge.rules.timers import Timers

Reports = list[tuple[str, Report]]


class _Suspicion(NamedTuple):
    """A movement that may be a theft, and when it was: it waits for the owner's tag."""

    arming: str
    why: str
    station: Station
    moment: float


class _Withdrawable(NamedTuple):
    """A theft alarm that the owner's tag still ends."""

    station: Station
    until: float


class Thefts:
    """The thefts of one gateway.

    Attributes:
        armed: the tags that are armed.
        forgiven: how many movements of armed tags were their owners'.
    """

    def __init__(
        self, settings: PresenceSettings, armed: Mapping[str, Armed], *, heard_by: Callable[[str, Station], float]
    ) -> None:
        """Begin with no suspicion.

        Args:
            settings: as the site file has them.
            armed: by tag, as of before a restart.
            heard_by: tells when a station heard a tag last, monotonic seconds.
        """
        self.armed = ArmedTags(settings, armed)
        self.forgiven = 0
        self._settings = settings
        self._known = {tag.id: tag for tag in settings.tag}
        self._heard_by = heard_by
        self._waits: Timers[str] = Timers()
        self._suspicions: dict[str, _Suspicion] = {}
        # By owner, then by tag.
        self._withdrawable: dict[str, dict[str, _Withdrawable]] = {}

    def name_of(self, tag: str) -> str:
        """Tell what people call a tag."""
        known = self._known.get(tag)
        return known.name if known and known.name else tag

    def note_place(self, tag: str, station: Station | None) -> None:
        """Remember where an armed tag is, so that a restart does not forget it."""
        state = self.armed.get(tag)
        if state.arming:
            self.armed.put(tag, replace(state, place=station.device if station else ""))

    def suspect(
        self,
        tag: str,
        why: str,
        station: Station,
        now: float,
        *,
        said: Reports,
        old: Station | None = None,
        moment: float | None = None,
    ) -> None:
        """Take a movement; it is a theft when the tag is armed and its owner is not near.

        Args:
            tag: which.
            why: "motion", "moved" or "left".
            station: where it is, or was last.
            now: monotonic seconds.
            said: the alarm is put here.
            old: where it came from.
            moment: when it moved: who has left was heard for the last time some while ago; None is now.
        """
        arming = self.armed.arming_of(tag, now)
        if not arming or self.armed.get(tag).alarmed == arming:
            return
        moment = now if moment is None else moment
        owner, suspicion = self._owner_of(tag), _Suspicion(arming, why, station, moment)
        places = [station] if old is None else [station, old]
        if owner is not None and any(self._is_near(owner, place, moment) for place in places):
            self.forgiven += 1
        elif owner is not None and self._settings.owner_wait_s > 0:
            if self._suspicions.setdefault(tag, suspicion) is suspicion:
                self._waits.put(tag, now + self._settings.owner_wait_s)
        else:
            self._alarm(tag, suspicion, now, said)

    def owner_heard(self, owner: str, now: float, *, said: Reports) -> None:
        """Note that a tag is heard, which may be an owner's: theft alarms of a moment ago were none."""
        for tag, one in list(self._withdrawable.get(owner, {}).items()):
            if now <= one.until and not self._is_near(owner, one.station, now):
                continue
            self._let_go(tag)
            state = self.armed.get(tag)
            if now <= one.until and state.alarm:
                self.forgiven += 1
                self.armed.put(tag, replace(state, alarm="", alarmed=""))
                said.append((one.station.device, alarms.over(tag, "theft")))

    def tick(self, now: float, *, said: Reports) -> None:
        """Decide where the owner's tag has had its time."""
        for tag in self._waits.due(now):
            suspicion, owner = self._suspicions.pop(tag), self._owner_of(tag)
            if owner is not None and self._is_near(owner, suspicion.station, suspicion.moment):
                self.forgiven += 1
            elif self.armed.arming_of(tag, now) == suspicion.arming:
                self._alarm(tag, suspicion, now, said)

    def next_at(self) -> float | None:
        """Tell when `tick` wants to be called."""
        return self._waits.next_at()

    def order(self, order: Arm | Disarm, now: float, *, name: str, said: Reports) -> None:
        """Arm or disarm tags; their theft alarms end: whoever does it has them.

        Args:
            order: see there.
            now: monotonic seconds.
            name: of this arming, different from every other.
            said: ends of alarms are put here.

        Raises:
            TooManyTagsError: nothing is changed then.
        """
        ended = self.armed.arm(order, now, name=name) if isinstance(order, Arm) else self.armed.disarm(order, now)
        for tag in order.tags:
            self._let_go(tag)
        said.extend((device, alarms.over(tag, "theft")) for tag, device in ended)

    def _alarm(self, tag: str, suspicion: _Suspicion, now: float, said: Reports) -> None:
        station = suspicion.station
        said.append((station.device, alarms.theft(tag, suspicion.why, station, name=self.name_of(tag))))
        self.armed.put(tag, replace(self.armed.get(tag), alarm=station.device, alarmed=suspicion.arming))
        if (owner := self._owner_of(tag)) is not None:
            until = now + self._settings.owner_within_s
            self._withdrawable.setdefault(owner, {})[tag] = _Withdrawable(station, until)

    def _let_go(self, tag: str) -> None:
        """Forget what waits for the owner of a tag."""
        self._suspicions.pop(tag, None)
        self._waits.put(tag, None)
        for owner in [owner for owner, tags in self._withdrawable.items() if tag in tags]:
            del self._withdrawable[owner][tag]
            if not self._withdrawable[owner]:
                del self._withdrawable[owner]

    def _owner_of(self, tag: str) -> str | None:
        known = self._known.get(tag)
        return self.armed.get(tag).owner or (known.owner if known else None)

    def _is_near(self, owner: str, station: Station, moment: float) -> bool:
        return moment - self._heard_by(owner, station) <= self._settings.owner_within_s
