"""Settings of the numbers."""

from typing import Annotated

from msgspec import Meta, Struct


class Numbers(Struct, frozen=True, forbid_unknown_fields=True):
    """Counting alarms.

    Attributes:
        every_s: how often the history is looked at for news when there was none.
        operators: people at the desk at a time, who share its alarms; the limits are for one.
        influx: whether the numbers are written to InfluxDB too.
        false_call_kinds: kinds of alarms that send the police; false calls of these are counted by site.
    """

    every_s: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    operators: Annotated[int, Meta(ge=1, le=1000)] = 1
    influx: bool = True
    false_call_kinds: tuple[str, ...] = ("panic", "duress", "hold-up", "hold-up-verified")
