"""The `[keep]` table of the settings file: how long InfluxDB keeps what."""

from typing import Annotated

from msgspec import Meta, Struct

Days = Annotated[int, Meta(ge=0, le=36_500)]
"""0: for ever."""


class Keep(Struct, frozen=True, forbid_unknown_fields=True):
    """Days for which `langyan cloud init` has the database keep points.

    Attributes:
        raw_days: readings as they came, and what stood.
        hours_days: means, minima and maxima of readings by the hour.
        long_days: numbers, fire danger, fires, patrols and changes of alarms.
    """

    raw_days: Days = 90
    hours_days: Days = 1_830
    long_days: Days = 0
