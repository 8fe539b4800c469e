"""Settings: fires found by towers together, their CAP messages, and how often towers look."""

from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import Id

# An identifier begins with it, goes on with the fire and a number, and has 200.
_CAP_SENDER = r"^[^\s,<&]{1,150}\Z"

Factor = Annotated[float, Meta(ge=0.1, le=10.0)]


class Detection(Struct, frozen=True, forbid_unknown_fields=True):
    """Fires found by towers together.

    Attributes:
        sites: kinds of sites whose detectors count; a smoke detector in a dormitory is no forest fire.
        reach_m: detectors so near to each other see the same fire; with the wind up to three times as far.
        window_s: so long apart two detectors may notice the same fire.
        sight_m: how far a bearing is trusted.
        simulated_gateways: what comes from them is a test, whatever it says: CAP status Test.
        sender: who sends CAP messages; no space, comma, `<` or `&`.
        addresses: for whom private CAP messages are; the sender where none is named.
        cap_expires_s: so long a CAP message holds.
        pace_high, pace_very_high, pace_extreme: by what the periods of a tower's points are multiplied while the danger
            is so high; 1 leaves them.
    """

    sites: Annotated[tuple[str, ...], Meta(max_length=50)] = ("forest", "tower", "watch-tower")
    reach_m: Annotated[float, Meta(ge=10, le=50_000)] = 5_000.0
    window_s: Annotated[float, Meta(ge=60, le=86_400)] = 7_200.0
    sight_m: Annotated[float, Meta(ge=100, le=100_000)] = 20_000.0
    simulated_gateways: Annotated[tuple[Id, ...], Meta(max_length=10_000)] = ()
    sender: Annotated[str, Meta(pattern=_CAP_SENDER)] = "langyan"
    addresses: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=50)] = ()
    cap_expires_s: Annotated[float, Meta(ge=300, le=604_800)] = 3_600.0
    pace_high: Factor = 0.5
    pace_very_high: Factor = 0.5
    pace_extreme: Factor = 0.25
