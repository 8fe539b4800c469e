"""What a gateway says of itself: counters, sent as samples of the devices "gateway" and "gateway.<bus>"."""

from msgspec import Struct, field

from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Point, Sample, Value


class BusHealth(Struct):
    """Counters of one line; they only rise, but for `mute_units` and `is_up`."""

    is_up: bool = False
    answers: int = 0
    timeouts: int = 0
    frame_errors: int = 0
    refusals: int = 0
    bad_values: int = 0
    mute_units: int = 0


class UplinkHealth(Struct):
    """Counters of the uplink; `under_way` is a level."""

    is_up: bool = False
    connects: int = 0
    sent: int = 0
    sent_again: int = 0
    receipts: int = 0
    refused: int = 0
    under_way: int = 0


class StoreHealth(Struct):
    """Levels and counters of the outbox."""

    readings_waiting: int = 0
    alarms_waiting: int = 0
    bytes_waiting: int = 0
    readings_evicted: int = 0
    files_set_aside: int = 0
    alarms_raised: int = 0


class Health(Struct):
    """All of it."""

    buses: dict[str, BusHealth]
    uplink: UplinkHealth = field(default_factory=UplinkHealth)
    store: StoreHealth = field(default_factory=StoreHealth)

    def samples(self, at_us: int) -> list[Sample]:
        """Write the present state as samples."""
        own = (*_points(self.uplink, "uplink."), *_points(self.store, "outbox."))
        samples = [Sample(GATEWAY_DEVICE, at_us, own)]
        samples.extend(Sample(f"{GATEWAY_DEVICE}.{bus}", at_us, _points(state)) for bus, state in self.buses.items())
        return samples


def _points(state: Struct, prefix: str = "") -> tuple[Point, ...]:
    return tuple(Point(prefix + name, _value(getattr(state, name))) for name in state.__struct_fields__)


def _value(value: int) -> Value:
    return value if isinstance(value, bool) else float(value)
