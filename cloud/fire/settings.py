"""Settings: fire danger."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cloud.fire.classes import Danger, Scheme
from cloud.fire.detection_settings import Detection

LevelWord = Literal["very-low", "low", "moderate", "high", "very-high", "extreme"]


class Fire(Struct, frozen=True, forbid_unknown_fields=True):
    """Fire danger: how observations are taken from readings, and when a level is an alarm.

    Attributes:
        scheme: whose classes the level is of.
        alarm_from: a level that rises to this or beyond is an alarm.
        every_s: how often stations are looked at.
        window_s: so far from noon a reading may be.
        grace_s: so long after the window readings are waited for.
        frozen_s: a value that has not moved for so long is frozen; calm and saturated air after four times that.
        missed_days: the longest gap that is estimated; after a longer one the index starts anew.
        late_days: so long a day that was not good is looked at again.
        look_again_s: how often.
        moved_m: a station that moves farther starts anew.
        detection: fires found by towers together.
    """

    scheme: Scheme = Scheme.EFFIS
    alarm_from: LevelWord = "high"
    every_s: Annotated[float, Meta(ge=1, le=3_600)] = 60.0
    window_s: Annotated[float, Meta(ge=60, le=10_800)] = 3_600.0
    grace_s: Annotated[float, Meta(ge=0, le=21_600)] = 600.0
    frozen_s: Annotated[float, Meta(ge=600, le=86_400)] = 21_600.0
    missed_days: Annotated[int, Meta(ge=0, le=30)] = 3
    late_days: Annotated[int, Meta(ge=1, le=90)] = 14
    look_again_s: Annotated[float, Meta(ge=60, le=86_400)] = 3_600.0
    moved_m: Annotated[float, Meta(ge=0, le=1_000_000)] = 5_000.0
    detection: Detection = Detection()

    @property
    def alarm_level(self) -> Danger:
        """`alarm_from` as a level."""
        return Danger[self.alarm_from.upper().replace("-", "_")]
