"""Which tags are armed, by command or by the hour, and by whom they may be moved. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec
from msgspec import Struct

from contract.tags import Arm, Disarm
from device_profiles.site import Arming as Hours
from device_profiles.site import PresenceSettings, Weekday
from edge.errors import CommandError

MAX_ARMED = 100_000
"""Tags that may be armed at one gateway: more than it follows, a fifth of a city's."""

_DAYS = list(Weekday)


class TooManyTagsError(CommandError):
    """More tags would be armed than can be."""

    hint = "Disarm tags that are gone, or arm them at the gateways where they are."


class Armed(Struct, frozen=True, omit_defaults=True):
    """What must outlive a restart of a tag that was armed, or excused, by command.

    Attributes:
        arming: names the arming, so that a tag raises one alarm in each; "" when it is not armed by command.
        owner: tag of whoever may move it.
        place: device of the station where it is; "" while that is not known.
        alarm: device of the station where its theft stands; "" while none does.
        alarmed: the arming that has had its alarm.
        excused: the hours in which it is not armed, because it was disarmed by command in them.
    """

    arming: str = ""
    owner: str | None = None
    place: str = ""
    alarm: str = ""
    alarmed: str = ""
    excused: str = ""


NOT_ARMED = Armed()


class ArmedTags:
    """The tags that are armed.

    Attributes:
        changed: tags whose state has changed since it was last kept.
    """

    def __init__(self, settings: PresenceSettings, armed: Mapping[str, Armed]) -> None:
        """Take up what was kept.

        Args:
            settings: the hours of the site file.
            armed: by tag, as of before the restart.
        """
        self.changed: set[str] = set()
        self._armed = dict(armed)
        self._hours = [(one, None if one.tags is None else frozenset(one.tags)) for one in settings.arming]
        self._offset = _offset(settings.utc_offset or "+00:00")
        self._wall_ahead_s: float | None = None

    def __len__(self) -> int:
        return sum(1 for one in self._armed.values() if one.arming)

    def __contains__(self, tag: str) -> bool:
        return tag in self._armed

    def items(self) -> Iterable[tuple[str, Armed]]:
        """Give all that is to be kept."""
        return self._armed.items()

    def get(self, tag: str) -> Armed:
        """Give the state of a tag."""
        return self._armed.get(tag, NOT_ARMED)

    def put(self, tag: str, state: Armed) -> None:
        """Note the state of a tag; one that says nothing is forgotten."""
        if state == self._armed.get(tag, NOT_ARMED):
            return
        if state == NOT_ARMED:
            del self._armed[tag]
        else:
            self._armed[tag] = state
        self.changed.add(tag)

    def know_time(self, wall_us: int, now: float) -> None:
        """Note the wall time; hours follow it."""
        self._wall_ahead_s = wall_us / 1e6 - now

    def arming_of(self, tag: str, now: float) -> str:
        """Name the arming in force for a tag; "" when it is not armed."""
        state = self._armed.get(tag, NOT_ARMED)
        if state.arming:
            return state.arming
        hours = self._hours_of(tag, now) if self._hours else ""
        return "" if hours == state.excused else hours

    def arm(self, order: Arm, now: float, *, name: str) -> list[tuple[str, str]]:
        """Arm tags anew.

        Args:
            order: which.
            now: monotonic seconds.
            name: of this arming, different from every other.

        Returns:
            As `disarm`: who arms a tag has it.

        Raises:
            TooManyTagsError: nothing is changed then.
        """
        self._make_room(order.tags, now)
        ended = self._alarms_of(order.tags)
        for tag in order.tags:
            old = self.get(tag)
            owner = old.owner if order.owner is None else order.owner
            self.put(tag, Armed(arming=name, owner=owner, place=old.place))
        return ended

    def disarm(self, order: Disarm, now: float) -> list[tuple[str, str]]:
        """Disarm tags, also for the rest of the hours that they are in.

        Returns:
            Tags with a theft alarm that ends with this, and the device it stands at.

        Raises:
            TooManyTagsError: nothing is changed then.
        """
        excuses = {tag: self._hours_of(tag, now) for tag in order.tags}
        self._make_room([tag for tag, excused in excuses.items() if excused], now)
        ended = self._alarms_of(order.tags)
        for tag, excused in excuses.items():
            self.put(tag, Armed(excused=excused))
        return ended

    def _alarms_of(self, tags: Iterable[str]) -> list[tuple[str, str]]:
        return [(tag, device) for tag in dict.fromkeys(tags) if (device := self.get(tag).alarm)]

    def _make_room(self, tags: Iterable[str], now: float) -> None:
        """Forget whose hours are over when there is no room for more."""
        new = sum(tag not in self._armed for tag in set(tags))
        if len(self._armed) + new <= MAX_ARMED:
            return
        for tag, state in list(self._armed.items()):
            if not state.arming and self._hours_of(tag, now) not in (state.excused, state.alarmed):
                self.put(tag, NOT_ARMED)
        if len(self._armed) + new > MAX_ARMED:
            raise TooManyTagsError(f"{len(self._armed)} tags are armed, {new} more are too many: at most {MAX_ARMED}")

    def _hours_of(self, tag: str, now: float) -> str:
        if self._wall_ahead_s is None:
            return ""
        moment = datetime.fromtimestamp(now + self._wall_ahead_s, UTC) + self._offset
        for number, (hours, tags) in enumerate(self._hours):
            if (tags is None or tag in tags) and (began := _began(hours, moment)) is not None:
                return f"hours-{number}-{began.isoformat()}"
        return ""


def encode_armed(state: Armed) -> bytes:
    """Write a state as JSON of a few hundred bytes at most."""
    return msgspec.json.encode(state)


def decode_armed(kept: bytes) -> Armed | None:
    """Read a state; None for what cannot be read."""
    try:
        return msgspec.json.decode(kept, type=Armed)
    except msgspec.DecodeError:
        return None


def _began(hours: Hours, moment: datetime) -> date | None:
    """Tell on which day the hours began that a local moment is in; None when it is in none."""
    today, now = moment.date(), moment.time()
    if hours.begins < hours.ends:
        began = today if hours.begins <= now < hours.ends else None
    elif now >= hours.begins:
        began = today
    else:
        began = today - timedelta(days=1) if now < hours.ends else None
    is_that_day = began is not None and (hours.days is None or _DAYS[began.weekday()] in hours.days)
    return began if is_that_day else None


def _offset(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    return sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
