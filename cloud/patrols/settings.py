"""Settings of the patrols."""

from typing import Annotated

from msgspec import Meta, Struct


class Patrols(Struct, frozen=True, forbid_unknown_fields=True):
    """How tours are judged, and how long anything is waited for.

    Attributes:
        ahead_h: tours are made so long before they begin.
        early_catch_s: a visit so long before a tour begins may be its, as an early one.
        late_catch_s: a visit so long after a tour ends may be its, as a late one.
        grace_s: so long after its window a visit may be uploaded before it is missed.
        settle_s: so long after a wand was put in all that it holds has come.
        silent_after_s: a wand that is waited for is silent so long after the window; nothing waits longer.
        gps_accuracy_m: a receiver may be off by so much.
        gps_gap_s: positions further apart are no stay.
        lone_pre_alarm_s: so long after a sign of life was due it is an alarm.
        lone_move_m: who moves as far is alive.
        emergency_kinds: alarms of wands and vehicles that are told the tour they are on.
        check_in_kinds: alarms of wands and vehicles that are a sign of life.
        keep_days: tours, visits, positions and hits are kept so long.
    """

    ahead_h: Annotated[int, Meta(ge=24, le=336)] = 36
    early_catch_s: Annotated[int, Meta(ge=0, le=86_400)] = 1_800
    late_catch_s: Annotated[int, Meta(ge=0, le=86_400)] = 3_600
    grace_s: Annotated[int, Meta(ge=0, le=604_800)] = 3_600
    settle_s: Annotated[int, Meta(ge=0, le=86_400)] = 300
    silent_after_s: Annotated[int, Meta(ge=60, le=2_592_000)] = 86_400
    gps_accuracy_m: Annotated[int, Meta(ge=0, le=500)] = 10
    gps_gap_s: Annotated[int, Meta(ge=1, le=3_600)] = 120
    lone_pre_alarm_s: Annotated[int, Meta(ge=0, le=3_600)] = 60
    lone_move_m: Annotated[int, Meta(ge=1, le=10_000)] = 30
    emergency_kinds: tuple[str, ...] = ("panic", "duress", "man-down", "hold-up", "collision")
    check_in_kinds: tuple[str, ...] = ("check-in",)
    keep_days: Annotated[int, Meta(ge=7, le=3_650)] = 400
