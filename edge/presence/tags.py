"""One tag: who hears it how well, and at which station it therefore is. Pure."""

import math

from device_profiles.site import KnownTag
from edge.presence.stations import Station

# Each hearing counts for so much of the smoothed strength. Tried with beacons every 2 s, a margin of 6 dB: a tag heard
# equally by two readers with a spread of 4 dB moved once in 12 hours (with 0.15 fourteen times), and one that changes
# places with another 30 dB away is found there after 16 s.
SMOOTHING = 0.1

# A tag that a reader no longer hears grows fainter, by so much until it has left.
FADED_DB = 30.0

# What is no strength, and readers that do not measure, are taken for something in between.
WEAKEST_DBM = -150.0
STRONGEST_DBM = 50.0
NOMINAL_DBM = -70.0

# While a reader is down its tags stay where they are, though a neighbour hears some of them: it will be back soon.
DEAF_HOLD_S = 600.0

# So many readers' hearings are kept of a tag; stations overlap by two or three.
MAX_HEARINGS = 6


class Hearing:
    """How one reader hears a tag: the smoothed strength in dBm, and when it heard it last."""

    __slots__ = ("heard_at", "level", "station")

    def __init__(self, station: Station, level: float, now: float) -> None:
        """Begin with the first."""
        self.station = station
        self.level = level
        self.heard_at = now


class Tag:
    """What is known of a tag.

    Attributes:
        id: as its readers say it.
        known: its entry in the site file, if it has one.
        place: the station at which it is; None: at none.
        hearings: by reader.
        heard_at: when anybody heard it last.
        count: sightings towards being present.
        sent_at: when something of it was last sent.
        is_moving: its motion bit, as last said.
        is_low: its battery is low, and this was said; `low_at` is when it last was.
        pressed_at: when its button was last held.
        stolen_at: when it was last reported as stolen, by station's device.
    """

    __slots__ = (
        "count", "heard_at", "hearings", "id", "is_low", "is_moving", "known", "low_at", "place", "pressed_at",
        "sent_at", "stolen_at",
    )  # fmt: skip

    def __init__(self, name: str, known: KnownTag | None, now: float) -> None:
        """Begin unheard."""
        self.id = name
        self.known = known
        self.place: Station | None = None
        self.hearings: dict[str, Hearing] = {}
        self.heard_at = now
        self.count = 0
        self.sent_at = now
        self.is_moving: bool | None = None
        self.is_low = False
        self.low_at = -math.inf
        self.pressed_at = -math.inf
        self.stolen_at: dict[str, float] | None = None

    def hear(self, reader: str, station: Station, rssi: float | None, now: float, *, forget_after_s: float) -> None:
        """Take one hearing; how strong it was longer ago than `forget_after_s` no longer counts."""
        self.heard_at = now
        level = rssi if rssi is not None and WEAKEST_DBM <= rssi <= STRONGEST_DBM else NOMINAL_DBM
        hearing = self.hearings.get(reader)
        if hearing is None:
            if len(self.hearings) >= MAX_HEARINGS:
                del self.hearings[min(self.hearings, key=lambda one: self.hearings[one].heard_at)]
            self.hearings[reader] = Hearing(station, level, now)
        else:
            is_again = now - hearing.heard_at < forget_after_s
            hearing.level = hearing.level + SMOOTHING * (level - hearing.level) if is_again else level
            hearing.heard_at = now

    def best(self, now: float, *, margin_db: float, left_after_s: float) -> Station | None:
        """Tell at which station it is: where it was, unless another hears it stronger by the margin.

        Args:
            now: monotonic seconds.
            margin_db: see there.
            left_after_s: who has not heard it for so long is out; until then what was heard fades.
        """
        here, there, place = -math.inf, -math.inf, self.place
        if place is not None and place.is_deaf and now - place.heard_at < DEAF_HOLD_S:
            return place
        found: Station | None = None
        for hearing in self.hearings.values():
            silent_s = max(0.0, now - max(hearing.heard_at, hearing.station.back_at))
            if silent_s >= left_after_s:
                continue
            level = hearing.level - FADED_DB * silent_s / left_after_s
            if hearing.station is place:
                here = max(here, level)
            elif level > there:
                there, found = level, hearing.station
        return found if there > here + margin_db else place if here > -math.inf else None

    def heard_by(self, station: Station) -> float:
        """Tell when a station heard it last."""
        return max(
            (hearing.heard_at for hearing in self.hearings.values() if hearing.station is station), default=-math.inf
        )

    def level_at(self, station: Station) -> float | None:
        """Tell how well a station hears it, in dBm; None when it does not, or does not measure."""
        levels = [hearing.level for hearing in self.hearings.values() if hearing.station is station]
        return round(max(levels), 1) if levels else None
