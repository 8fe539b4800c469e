"""Settings: vehicles."""

from typing import Annotated

from msgspec import Meta, Struct


class Vehicles(Struct, frozen=True, forbid_unknown_fields=True):
    """Vehicles.

    Attributes:
        moving_kmh: from this speed on a vehicle moves.
        standing_kmh: up to this speed it stands; between the two nothing is concluded.
        settled_s: so long a vehicle must have been where it may be, or have ended what it may not do, before an alarm
            of illegal movement ends; a stop at a red light ends none.
        fastest_kmh: two reports between which it would have been faster do not agree.
        silent_after_s: a vehicle whose last report is older is silent.
        totals_every_s: how often the measurement `vehicle` is written.
        located_kinds: alarms of these kinds of a terminal get its position as a comment.
        span_days: the longest track that is answered at once.
        most_points: of a track that is shown; an export has all.
    """

    moving_kmh: Annotated[float, Meta(ge=1, le=50)] = 8.0
    standing_kmh: Annotated[float, Meta(ge=0, le=20)] = 3.0
    settled_s: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    fastest_kmh: Annotated[float, Meta(ge=50, le=1_500)] = 250.0
    silent_after_s: Annotated[float, Meta(ge=30, le=604_800)] = 900.0
    totals_every_s: Annotated[float, Meta(ge=10, le=3_600)] = 60.0
    located_kinds: tuple[str, ...] = ("panic", "theft", "collision", "power")
    span_days: Annotated[float, Meta(gt=0, le=400)] = 31.0
    most_points: Annotated[int, Meta(ge=100, le=20_000)] = 2_000

    def __post_init__(self) -> None:
        """Refuse two speeds that leave nothing between them.

        Raises:
            ValueError: `standing_kmh` is above `moving_kmh`.
        """
        if self.standing_kmh > self.moving_kmh:
            raise ValueError("standing_kmh is above moving_kmh")
