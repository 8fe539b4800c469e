"""What a gateway says of itself: counters and levels, sent as samples of the devices "gateway" and "gateway.<bus>".

Whoever does a thing moves its counter; nobody else writes it. The status and the metrics show the same structs.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Point, Sample
from edge.modbus.counters import LineCounters


class PushNow(Struct):
    """What a technician wants to know of a bus on which devices speak, for the status only.

    Attributes:
        stranger: address of the latest message that no device of the site has, as the site file would have it.
        refusal: why the latest message was refused.
    """

    stranger: str = ""
    refusal: str = ""


class PushHealth(Struct):
    """Counters of a bus on which devices speak by themselves; `connected` is a level.

    Attributes:
        connected: connections open now, and peers known by datagrams.
        connections: taken or made since the start.
        turned_away: connections beyond the most there may be, and peers forgotten for others.
        cut_off: connections ended by us: silent for too long, or not taking what was sent.
        bytes: that came.
        heard: messages understood, of devices of the site.
        refused: messages not understood, or not accepted.
        strangers: messages of addresses that no device of the site has.
        kept: messages acknowledged because all of them is on the disk.
        unkept: messages not acknowledged, because the disk did not take them or their sender is gone.
        dropped: datagrams and published messages passed over while the disk was behind.
    """

    connected: int = 0
    connections: int = 0
    turned_away: int = 0
    cut_off: int = 0
    bytes: int = 0
    heard: int = 0
    refused: int = 0
    strangers: int = 0
    kept: int = 0
    unkept: int = 0
    dropped: int = 0
    now: PushNow = field(default_factory=PushNow)


class BusHealth(Struct):
    """Counters of one bus; they only rise, but for `mute_units` and `is_up`.

    Attributes:
        line: what its line sees and passes over.
        push: of a bus on which devices speak by themselves, which has no others but `is_up` and `bad_values`.
    """

    is_up: bool = False
    polls: int = 0
    answers: int = 0
    timeouts: int = 0
    frame_errors: int = 0
    refusals: int = 0
    bad_values: int = 0
    mute_units: int = 0
    writes: int = 0
    writes_failed: int = 0
    line: LineCounters = field(default_factory=LineCounters)
    push: PushHealth | None = None


class UplinkNow(Struct):
    """How the uplink stands, for the status only.

    Attributes:
        error: why it is not connected; empty while it is.
        is_refused: the broker refuses us; only its operator can mend that.
        connected_at, receipt_at: monotonic seconds of the last connection and the last receipt; 0 before the first.
    """

    error: str = ""
    is_refused: bool = False
    connected_at: float = 0.0
    receipt_at: float = 0.0


class UplinkHealth(Struct):
    """Counters of the uplink; `under_way` is a level."""

    is_up: bool = False
    connects: int = 0
    sent: int = 0
    sent_again: int = 0
    receipts: int = 0
    refused: int = 0
    under_way: int = 0
    now: UplinkNow = field(default_factory=UplinkNow)


class StoreHealth(Struct):
    """Levels and counters of the outbox.

    Attributes:
        bytes_waiting: of readings and alarms together.
        alarm_bytes_waiting: of alarms alone.
        oldest_reading_s, oldest_alarm_s: how long the oldest of its lane has waited; 0 when none waits.
        faults: kinds of alarm about the outbox that stand ("outbox-full", ...), for the status only.
    """

    readings_waiting: int = 0
    alarms_waiting: int = 0
    bytes_waiting: int = 0
    alarm_bytes_waiting: int = 0
    oldest_reading_s: float = 0.0
    oldest_alarm_s: float = 0.0
    readings_evicted: int = 0
    files_set_aside: int = 0
    alarms_raised: int = 0
    faults: set[str] = field(default_factory=set)


class ClockHealth(Struct):
    """How good the gateway's time is.

    Attributes:
        is_trusted: NTP, a receipt or a receiver has said what time it is.
        source: which of them; "estimated" before.
        offset_ms: the trusted time less the machine's clock.
        error_ms: how far it may be off; 0 while nobody knows.
    """

    is_trusted: bool = False
    source: str = "estimated"
    offset_ms: float = 0.0
    error_ms: float = 0.0


class MachineHealth(Struct):
    """The computer underneath; None where the kernel does not tell.

    Attributes:
        disk_free_bytes, disk_bytes: of the file system with the outbox.
        cpu_celsius: the hottest sensor of the processor.
        is_undervolted, was_undervolted: the supply is too weak now, or was since the computer started.
        load: processes that want to run, average of a minute.
        rss_bytes: memory of this process.
        loop_lag_ms: longest time since the last report that the event loop was late.
    """

    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    cpu_celsius: float | None = None
    is_undervolted: bool | None = None
    was_undervolted: bool | None = None
    load: float | None = None
    rss_bytes: int | None = None
    loop_lag_ms: float = 0.0


class Health(Struct):
    """All of it."""

    buses: dict[str, BusHealth]
    uplink: UplinkHealth = field(default_factory=UplinkHealth)
    store: StoreHealth = field(default_factory=StoreHealth)
    clock: ClockHealth = field(default_factory=ClockHealth)
    machine: MachineHealth = field(default_factory=MachineHealth)

    def note_lag(self, lag_s: float) -> None:
        """Note how late the event loop was; the longest counts until the next `samples`."""
        self.machine.loop_lag_ms = max(self.machine.loop_lag_ms, round(lag_s * 1000, 1))

    def samples(self, at_us: int, breakers: Mapping[str, Mapping[int, str]] | None = None) -> list[Sample]:
        """Write the present state as samples, and begin to measure the loop's lag anew.

        Args:
            at_us: their time.
            breakers: by bus and unit id, the breaker's position; becomes the points `breaker.<unit>` of the bus.
        """
        own = (
            *points(self.uplink, "uplink."),
            *points(self.store, "outbox."),
            *points(self.clock, "clock."),
            *points(self.machine, "machine."),
        )
        self.machine.loop_lag_ms = 0.0
        samples = [Sample(GATEWAY_DEVICE, at_us, own)]
        for bus, state in self.buses.items():
            units = (breakers or {}).get(bus, {}).items()
            positions = (Point(f"breaker.{unit}", str(position)) for unit, position in units)
            samples.append(Sample(f"{GATEWAY_DEVICE}.{bus}", at_us, (*bus_points(state), *positions)))
        return samples


def bus_points(state: BusHealth, *, joint: str = ".") -> Iterator[Point]:
    """Write what there is to say of a bus, asked or listened to, as points; `joint` parts part and counter."""
    if state.push is None:
        yield from (*points(state), *points(state.line, f"line{joint}"))
    else:
        yield Point("is_up", state.is_up)
        yield Point("bad_values", float(state.bad_values))
        yield from points(state.push, f"push{joint}")


def points(state: Struct, prefix: str = "") -> Iterator[Point]:
    """Write the counters, levels and words of one struct as points; what is unknown or has parts is left out."""
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if isinstance(value, bool | str):
            yield Point(prefix + name, value)
        elif isinstance(value, int | float):
            yield Point(prefix + name, float(value))
