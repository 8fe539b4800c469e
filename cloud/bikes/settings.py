"""Settings: bike watch."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Bikes(Struct, frozen=True, forbid_unknown_fields=True):
    """Bike watch.

    Attributes:
        keep_days: so long it is kept where a tag was, and armings and cases after their end.
        late_s: what is said of a tag so much before the latest that is known of it changes its stays; what is older
            is counted and passed over.
        silent_s: a station that says `present` again after so long has lost it in between.
        theft_wait_s: so long the cloud waits for the gateway's own theft alarm, and for the owner's tag.
        owner_within_s: an owner's tag heard so shortly before or after makes a movement no theft.
        clock_difference_s: by so much the clocks of two gateways may differ.
        owner_away_s: a bike armed by its owner's tag is armed when that has been away for so long.
        travel_kmh: nobody takes a bike farther in a time.
        range_m: from so far away a station hears a tag.
        cloned_again_s: an alarm of a cloned tag ends when it was not in two places for so long.
        hit_within_s: hits of a tag at one station within so long of each other are one.
        silent_after_s: a tag that nobody has heard for so long is told; 0: none is, but for bikes that say otherwise.
        silent_most: so many such alarms stand at most, and so many of low batteries; the others are only counted.
        battery_well_v: a tag of which a reader says so much without calling it low is no longer low.
        count_every_s: how often what is present is counted.
    """

    keep_days: Annotated[int, Meta(ge=1, le=3_650)] = 90
    late_s: Annotated[float, Meta(ge=3_600, le=2_592_000)] = 259_200.0
    silent_s: Annotated[float, Meta(ge=60, le=86_400)] = 1_200.0
    theft_wait_s: Seconds = 20.0
    owner_within_s: Seconds = 30.0
    clock_difference_s: Annotated[float, Meta(ge=0, le=600)] = 30.0
    owner_away_s: Seconds = 60.0
    travel_kmh: Annotated[float, Meta(ge=1, le=500)] = 80.0
    range_m: Annotated[float, Meta(ge=0, le=10_000)] = 150.0
    cloned_again_s: Annotated[float, Meta(ge=3_600, le=2_592_000)] = 86_400.0
    hit_within_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    silent_after_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 604_800.0
    silent_most: Annotated[int, Meta(ge=0, le=100_000)] = 500
    battery_well_v: Annotated[float, Meta(ge=0, le=100)] = 2.6
    count_every_s: Annotated[float, Meta(ge=10, le=86_400)] = 300.0
