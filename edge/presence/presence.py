"""Presence: from sightings of tags to who is where, who has moved, who is gone. Pure; the caller reads the clocks."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from contract.ids import is_id
from contract.limits import MAX_TAG_CHARS
from contract.tags import StolenPart, TagOrder
from contract.telemetry import Point, Sample
from device_profiles.site import PlacedDevice, PresenceSettings
from device_profiles.speech.said import Report, Sighting
from edge.presence import alarms
from edge.presence.arming import Armed
from edge.presence.found import NOTHING, Found
from edge.presence.silences import Silences
from edge.presence.stations import Station, make_stations
from edge.presence.stolen import StolenList
from edge.presence.tags import Tag
from edge.presence.thefts import Thefts
from edge.rules.timers import Timers

# Whoever looks at the clock for each tag alone does nothing else: tags that may have left are looked at together.
LOOK_S = 0.5
# A battery is well again when it is so much above its limit, or after so long without saying that it is low.
WELL_V = 0.1
WELL_S = 3_600.0
# A button that was let go of and pressed again, where the beacon in between was lost.
PRESS_S = 10.0
# So many of the longest silent are looked at for one that is not armed, when one must be forgotten.
_LOOKS = 32


class Kept(Struct, frozen=True):
    """What outlives a restart.

    Attributes:
        armed: by tag.
        version, stolen: of the stolen list in force; note by tag.
    """

    armed: Mapping[str, Armed] = {}
    version: int = 0
    stolen: Mapping[str, str] = {}


class Changes(Struct, frozen=True):
    """What has changed of it.

    Attributes:
        armed: by tag; None: no longer armed.
        stolen: the list in force as a whole, with its version; None: it has not changed.
    """

    armed: Mapping[str, Armed | None]
    stolen: tuple[int, Mapping[str, str]] | None


class Counts(Struct):
    """What was counted since the start, and how many there are.

    Attributes:
        sightings: all that were heard.
        samples: samples made of them.
        followed, present: tags that are followed; those of them that are at a station.
        unknown: tags met that neither the site file names nor anybody has armed or reported stolen.
        evicted: tags forgotten for want of room.
        refused: sightings of tags whose number is no id, or too long.
    """

    sightings: int = 0
    samples: int = 0
    followed: int = 0
    present: int = 0
    unknown: int = 0
    evicted: int = 0
    refused: int = 0


class Presence:
    """All tags that the readers of one gateway hear.

    Attributes:
        counts: see there.
    """

    def __init__(
        self, settings: PresenceSettings, devices: Iterable[PlacedDevice], *, now: float, kept: Kept | None = None
    ) -> None:
        """Begin with nobody present but armed tags, which are where they were.

        Args:
            settings: as the site file has them.
            devices: all of the site; those that speak by themselves are readers.
            now: monotonic seconds, as in all that follows.
            kept: as of before a restart.
        """
        kept = kept or Kept()
        self.counts = Counts()
        self._settings = settings
        self._stations = make_stations(settings.station, devices, now=now)
        self._known = {tag.id: tag for tag in settings.tag}
        self._tags: OrderedDict[str, Tag] = OrderedDict()
        self._thefts = Thefts(settings, kept.armed, heard_by=self._heard_by)
        self._armed = self._thefts.armed
        self._stolen = StolenList(kept.version, kept.stolen)
        self._reported: dict[str, Tag] = {}
        self._leaving: Timers[str] = Timers()
        self._silences = Silences(settings.tag, now=now)
        # Stations whose next sign of life ends an alarm, which may be one of before a restart.
        self._deaf = {station.device: station for station in self._stations.values()}
        self._samples: list[Sample] = []
        self._reports: list[tuple[str, Report]] = []
        self._restore(now)

    def seen(self, reader: str, sighting: Sighting, now: float, at_us: int) -> Found:
        """Take one sighting.

        Args:
            reader: id of the device that heard the tag; one that is no reader is passed over.
            sighting: as it was said.
            now: monotonic seconds.
            at_us: the clock that samples are stamped with.
        """
        station = self._stations.get(reader)
        if station is None:
            return NOTHING
        self.counts.sightings += 1
        station.hear(reader, now)
        name = sighting.tag
        tag = self._tags.get(name)
        if tag is None:
            if len(name) > MAX_TAG_CHARS or not is_id(name):
                self.counts.refused += 1
                return NOTHING
            tag = self._meet(name, now, at_us)
        else:
            self._tags.move_to_end(name)
        left_after_s = self._settings.left_after_s
        is_again = now - tag.heard_at < left_after_s
        tag.hear(reader, station, sighting.rssi, now, forget_after_s=left_after_s)
        if tag.place is None:
            self._approach(tag, now, at_us, is_again=is_again)
        elif tag.place is not station or len(tag.hearings) > 1:
            self._locate(tag, now, at_us)
        self._heed(tag, station, sighting, now, at_us)
        if now - tag.sent_at >= self._settings.alive_s and tag.place is not None:
            self._say(tag, tag.place, "alive", now, at_us)
        return self._found()

    def alive(self, reader: str, now: float) -> None:
        """Note that a reader has said something, though it heard no tag: its silence about a tag means something."""
        if station := self._stations.get(reader):
            station.hear(reader, now)

    def lost(self, reader: str, now: float) -> None:  # noqa: ARG002 - symmetrical
        """Note that a reader is gone: with the last one of a station nobody leaves it until one speaks again."""
        if station := self._stations.get(reader):
            station.lose(reader)

    def tick(self, now: float, at_us: int, *, wall_us: int | None = None) -> Found:
        """Look at the clock; call it at `next_at`, and as often besides as one likes.

        Args:
            now: monotonic seconds.
            at_us: the clock that samples are stamped with.
            wall_us: wall time, microseconds UTC, once it can be trusted; hours of arming wait for it.
        """
        if wall_us is not None:
            self._armed.know_time(wall_us, now)
        for station in [one for one in self._deaf.values() if not one.is_deaf]:
            del self._deaf[station.device]
            self._reports.append((station.device, alarms.deaf(station, is_on=False)))
        for name in self._leaving.due(now):
            self._look_at(self._tags[name], now, at_us)
        self._thefts.tick(now, said=self._reports)
        for name in self._silences.due(now):
            self._reports.append((self._speaker, alarms.silent(name, name=self._thefts.name_of(name))))
        return self._found()

    def next_at(self) -> float | None:
        """Tell when `tick` wants to be called, monotonic seconds; None when only a sighting can change anything."""
        if any(not station.is_deaf for station in self._deaf.values()):
            return -math.inf
        due = (one.next_at() for one in (self._leaving, self._thefts, self._silences))
        return min((at for at in due if at is not None), default=None)

    def order(self, order: TagOrder, now: float, at_us: int) -> tuple[Found, float]:
        """Carry out an order of the cloud; what it has changed is in `take_changes`.

        Args:
            order: arming, disarming, or a part of a stolen list.
            now: monotonic seconds.
            at_us: the clock that samples are stamped with.

        Returns:
            What it brings about; and how many tags are armed by command, or the version of the list in force.

        Raises:
            TooManyTagsError, StolenListError: see there; nothing is changed then.
        """
        if isinstance(order, StolenPart):
            if self._stolen.take(order):
                self._end_stolen()
            return self._found(), float(self._stolen.version)
        self._thefts.order(order, now, name=f"command-{at_us}", said=self._reports)
        for name in order.tags:
            if (tag := self._tags.get(name)) is not None:
                self._thefts.note_place(name, tag.place)
        return self._found(), float(len(self._armed))

    def report(self) -> tuple[Point, ...]:
        """Give what was counted, as readings of the gateway."""
        counts = asdict(self.counts) | {"armed": len(self._armed), "forgiven": self._thefts.forgiven}
        return tuple(Point(f"tags.{key}", float(count)) for key, count in counts.items())

    def take_changes(self) -> Changes | None:
        """Give what has changed and must be kept, once; None when nothing has."""
        changed, self._armed.changed = self._armed.changed, set()
        is_changed, self._stolen.is_changed = self._stolen.is_changed, False
        if not changed and not is_changed:
            return None
        armed = {tag: self._armed.get(tag) if tag in self._armed else None for tag in changed}
        return Changes(armed, (self._stolen.version, dict(self._stolen.notes)) if is_changed else None)

    # --- where a tag is

    def _restore(self, now: float) -> None:
        by_device = {station.device: station for station in self._stations.values()}
        for name, state in self._armed.items():
            if (station := by_device.get(state.place)) is not None and len(self._tags) < self._settings.max_tags:
                tag = self._tags[name] = Tag(name, self._known.get(name), now)
                self._settle(tag, station, now)
        self._measure()

    def _meet(self, name: str, now: float, at_us: int) -> Tag:
        if len(self._tags) >= self._settings.max_tags:
            self._forget_one(now, at_us)
        known = self._known.get(name)
        tag = self._tags[name] = Tag(name, known, now)
        self.counts.unknown += known is None and name not in self._armed and name not in self._stolen.notes
        self._measure()
        return tag

    def _forget_one(self, now: float, at_us: int) -> None:
        """Forget the tag that was not heard for longest; armed ones stay while there is another."""
        oldest = [name for name, _ in zip(self._tags, range(_LOOKS), strict=False)]
        name = next((one for one in oldest if not self._armed.get(one).arming), oldest[0])
        tag = self._tags.pop(name)
        self._reported.pop(name, None)
        self._leaving.put(name, None)
        self.counts.evicted += 1
        if tag.place is not None:
            tag.place.present -= 1
            self.counts.present -= 1
            self._say(tag, tag.place, "left", now, at_us)

    def _approach(self, tag: Tag, now: float, at_us: int, *, is_again: bool) -> None:
        """Count towards being present."""
        tag.count = tag.count + 1 if is_again else 1
        if tag.count < self._settings.sightings:
            return
        station = self._best(tag, now)
        if station is not None:
            self._settle(tag, station, now)
            self._say(tag, station, "present", now, at_us)

    def _locate(self, tag: Tag, now: float, at_us: int) -> None:
        station, old = self._best(tag, now), tag.place
        if station is None or station is old or old is None:
            return
        old.present -= 1
        self.counts.present -= 1
        self._settle(tag, station, now)
        self._say(tag, station, "moved", now, at_us, old)
        # Of a place that hears nothing nobody knows whether the tag has left it.
        if not old.is_deaf:
            self._thefts.suspect(tag.id, "moved", station, now, old=old, said=self._reports)

    def _settle(self, tag: Tag, station: Station, now: float) -> None:
        tag.place = station
        station.present += 1
        self.counts.present += 1
        self._look_later(tag, now + self._settings.left_after_s)
        self._thefts.note_place(tag.id, station)

    def _look_at(self, tag: Tag, now: float, at_us: int) -> None:
        """See whether a tag is still where it was."""
        place, left_after_s = tag.place, self._settings.left_after_s
        if place is None:
            return
        due = max(tag.heard_by(place), place.back_at) + left_after_s
        if now < due:
            self._look_later(tag, due)
        elif place.is_hushed(now, left_after_s):
            if place.fell_silent and place.device not in self._deaf:
                self._deaf[place.device] = place
                self._reports.append((place.device, alarms.deaf(place, is_on=True)))
            self._look_later(tag, now + left_after_s / 4)
        elif self._best(tag, now) not in (None, place):
            self._locate(tag, now, at_us)
        else:
            self._leave(tag, place, now, at_us)

    def _leave(self, tag: Tag, place: Station, now: float, at_us: int) -> None:
        self._say(tag, place, "left", now, at_us)
        tag.place, tag.count = None, 0
        place.present -= 1
        self.counts.present -= 1
        self._thefts.suspect(tag.id, "left", place, now, said=self._reports, moment=tag.heard_by(place))
        self._thefts.note_place(tag.id, None)

    def _best(self, tag: Tag, now: float) -> Station | None:
        settings = self._settings
        return tag.best(now, margin_db=settings.margin_db, left_after_s=settings.left_after_s)

    def _look_later(self, tag: Tag, at: float) -> None:
        self._leaving.put(tag.id, math.ceil(at / LOOK_S) * LOOK_S)

    def _heard_by(self, name: str, station: Station) -> float:
        tag = self._tags.get(name)
        return -math.inf if tag is None else tag.heard_by(station)

    # --- other news of a tag

    def _heed(self, tag: Tag, station: Station, sighting: Sighting, now: float, at_us: int) -> None:
        """Look at all that a sighting says beside where the tag is."""
        if sighting.is_moving is not tag.is_moving and sighting.is_moving is not None:
            tag.is_moving = sighting.is_moving
            if tag.is_moving:
                self._thefts.suspect(tag.id, "motion", tag.place or station, now, said=self._reports)
        if sighting.is_pressed:
            self._press(tag, station, now, at_us)
        if sighting.battery_v is not None or sighting.is_low is not None:
            self._weigh_battery(tag, sighting, now, at_us)
        if tag.id in self._stolen.notes:
            self._report_stolen(tag, station, now)
        if tag.known is not None and self._silences.heard(tag.id, now):
            self._reports.append((self._speaker, alarms.over(tag.id, "silent")))
        self._thefts.owner_heard(tag.id, now, said=self._reports)

    def _report_stolen(self, tag: Tag, station: Station, now: float) -> None:
        again_s = self._settings.stolen_again_s
        if tag.stolen_at is None:
            tag.stolen_at = {}
            self._reported[tag.id] = tag
        last = tag.stolen_at.get(station.device)
        if last is None or now - last >= again_s:
            tag.stolen_at[station.device] = now
            note, name = self._stolen.notes[tag.id], self._thefts.name_of(tag.id)
            report = alarms.stolen(tag.id, station, name=name, note=note, ends_after_s=2 * again_s)
            self._reports.append((station.device, report))

    def _end_stolen(self) -> None:
        """End the alarms of tags that are no longer on the list."""
        for name in [name for name in self._reported if name not in self._stolen.notes]:
            tag = self._reported.pop(name)
            self._reports.extend((device, alarms.over(name, "stolen")) for device in tag.stolen_at or ())
            tag.stolen_at = None

    def _press(self, tag: Tag, station: Station, now: float, at_us: int) -> None:
        is_new = now - tag.pressed_at >= PRESS_S
        tag.pressed_at = now
        if not is_new:
            return
        self._say(tag, station, "pressed", now, at_us)
        if tag.known is not None and tag.known.button is not None:
            report = alarms.pressed(tag.id, station, name=self._thefts.name_of(tag.id), kind=tag.known.button)
            self._reports.append((station.device, report))

    def _weigh_battery(self, tag: Tag, sighting: Sighting, now: float, at_us: int) -> None:
        limit, volts = self._settings.low_battery_v, sighting.battery_v
        is_low = sighting.is_low is True or (limit is not None and volts is not None and volts < limit)
        if is_low:
            tag.low_at = now
            if not tag.is_low and tag.place is not None:
                tag.is_low = True
                self._say(tag, tag.place, "low-battery", now, at_us, volts=volts)
        elif tag.is_low:
            is_above = limit is None or volts is None or volts >= limit + WELL_V
            tag.is_low = not (is_above and (now - tag.low_at >= WELL_S or (limit is not None and volts is not None)))

    @property
    def _speaker(self) -> str:
        """Who says what is said of no station: the first."""
        return next(iter(self._stations.values())).device

    def _say(
        self, tag: Tag, station: Station, word: str, now: float, at_us: int, old: Station | None = None, *,
        volts: float | None = None,
    ) -> None:  # fmt: skip
        points = [Point("tag", tag.id), Point("presence", word)]
        if (level := tag.level_at(station)) is not None:
            points.append(Point("rssi", level, "dBm"))
        if old is not None:
            points.append(Point("from", old.device))
        if volts is not None and math.isfinite(volts):
            points.append(Point("battery", volts, "V"))
        tag.sent_at = now
        self._samples.append(Sample(station.device, station.stamp(at_us), tuple(points)))

    def _found(self) -> Found:
        if not self._samples and not self._reports:
            return NOTHING
        found = Found(tuple(self._samples), tuple(self._reports))
        self.counts.samples += len(self._samples)
        self._samples.clear()
        self._reports.clear()
        return found

    def _measure(self) -> None:
        self.counts.followed = len(self._tags)
