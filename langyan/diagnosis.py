"""What is wrong with a gateway and what to try, in words: one picture in, advice out. Pure."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from edge.health import PushHealth
from edge.status import BusStatus, Snapshot, UnitStatus
from edge.supervision import DeviceStanding
from langyan.i18n import translate as _

# Silence of the cloud that is more than a slow database: a batch is sent again after 5 s.
RECEIPT_PATIENCE_S = 30.0
# An uplink that has just begun is not yet in trouble.
SETTLING_S = 15.0
# Of so many answers damaged, wiring is the cause and not chance.
DAMAGED_SHARE = 0.02
LATE_SHARE = 0.02
REFUSED_SHARE = 0.05
LOST_SHARE = 0.05
FEWEST_POLLS = 20
FULL_DISK_SHARE = 0.05
HOT_CELSIUS = 80.0
# A gateway on NTP or on receipts is at most so far off.
WRONG_CLOCK_MS = 1000.0
LONG_LAG_MS = 500.0
# An outbox that is full before tomorrow needs somebody today; one with room for a month nobody.
DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
MEBI = 1024 * 1024


class Grade(StrEnum):
    """How bad it is."""

    BAD = "bad"
    """Readings or alarms do not arrive, or will soon not."""
    WARNING = "warning"


class Advice(Struct, frozen=True):
    """One trouble.

    Attributes:
        key: what it is, for programs.
        what: what is wrong, for people.
        tries: what to try, the likeliest first.
    """

    grade: Grade
    key: str
    what: str
    tries: str


def diagnose(snapshot: Snapshot) -> list[Advice]:
    """Find what is wrong, the worst first; empty when all is well."""
    found = [*_uplink(snapshot), *_outbox(snapshot), *_machine(snapshot)]
    for bus in snapshot.buses:
        found += _bus(bus)
    return sorted(found, key=lambda advice: advice.grade is not Grade.BAD)


def _bad(key: str, what: str, tries: str) -> Advice:
    return Advice(Grade.BAD, key, what, tries)


def _warning(key: str, what: str, tries: str) -> Advice:
    return Advice(Grade.WARNING, key, what, tries)


def _uplink(snapshot: Snapshot) -> Iterator[Advice]:
    uplink, broker = snapshot.uplink, snapshot.broker
    if uplink.now.is_refused:
        yield _bad(
            "broker-refuses",
            _('The broker {broker} refuses us as user "{user}": {error}').format(
                broker=broker, user=snapshot.username, error=uplink.now.error
            ),
            _("Compare username and the variable of password_env with the broker's list, and its access list."),
        )
    elif not uplink.is_up:
        if snapshot.running_s >= SETTLING_S or uplink.now.error:
            yield _bad(
                "broker-unreachable",
                _("The broker {broker} cannot be reached: {error}").format(
                    broker=broker, error=uplink.now.error or _("no connection yet")
                ),
                _("Check uplink.host and uplink.port, the network (ping), the SIM card, and that the broker runs."),
            )
    elif _is_unanswered(snapshot):
        alarms = snapshot.store.alarms_waiting > 0 and snapshot.store.oldest_alarm_s >= RECEIPT_PATIENCE_S
        worker = "langyan cloud desk" if alarms else "langyan cloud ingest"
        yield _bad(
            "no-receipts",
            _("The broker takes what is sent, but the cloud has not answered for {seconds:.0f} s").format(
                seconds=_silence_s(snapshot)
            ),
            _("See that {worker} runs on the server and reaches its database; nothing is lost meanwhile.").format(
                worker=worker
            ),
        )
    if uplink.refused:
        yield _warning(
            "cloud-refuses",
            _("The cloud has refused {count} readings or events for good").format(count=uplink.refused),
            _("The gateway's log and the dead letters in the cloud say why."),
        )


def _silence_s(snapshot: Snapshot) -> float:
    """Tell how long the cloud has been silent on this connection."""
    connected_s = snapshot.connected_s or 0.0
    return connected_s if snapshot.receipt_s is None else min(connected_s, snapshot.receipt_s)


def _is_unanswered(snapshot: Snapshot) -> bool:
    is_anything_out = snapshot.uplink.under_way > 0 or snapshot.store.alarms_waiting > 0
    is_alarm_stuck = snapshot.store.oldest_alarm_s >= RECEIPT_PATIENCE_S <= (snapshot.connected_s or 0.0)
    return is_alarm_stuck or (is_anything_out and _silence_s(snapshot) >= RECEIPT_PATIENCE_S)


def _outbox(snapshot: Snapshot) -> Iterator[Advice]:
    store = snapshot.store
    for fault in sorted(store.faults):
        yield _bad(
            fault,
            _("The outbox has raised an alarm: {fault}").format(fault=fault),
            _("Look at the disk (df -h, dmesg): a worn SD card turns read-only. Readings go on as they can."),
        )
    if snapshot.evicted:
        yield _bad(
            "readings-given-up",
            _("The outbox is full: {count} readings were given up in the last minute, the oldest first").format(
                count=snapshot.evicted
            ),
            _("Bring the uplink back, or give outbox.max_bytes more room."),
        )
    readings_bytes = store.bytes_waiting - store.alarm_bytes_waiting
    room = snapshot.max_bytes - readings_bytes
    is_stuck = not snapshot.uplink.is_up or _is_unanswered(snapshot)
    lasts_s = room / snapshot.growth_bytes_s if snapshot.growth_bytes_s > 0 else MONTH_S
    if is_stuck and lasts_s < MONTH_S and not snapshot.evicted:
        yield (_warning if lasts_s > DAY_S else _bad)(
            "outbox-filling",
            _("The outbox fills: {used:.1f} of {room:.0f} MiB used, room for {time} at the present rate").format(
                used=readings_bytes / MEBI, room=snapshot.max_bytes / MEBI, time=duration(lasts_s)
            ),
            _("Mend the uplink before; then the oldest readings go. Alarms have room of their own."),
        )
    free = snapshot.machine.disk_free_bytes
    if free is not None and (free < room or free < (snapshot.machine.disk_bytes or 0) * FULL_DISK_SHARE):
        yield _warning(
            "disk-nearly-full",
            _("The disk has {free:.0f} MiB left; the outbox may still want {room:.0f} MiB").format(
                free=free / MEBI, room=room / MEBI
            ),
            _("Free some room (journalctl --vacuum-size=50M, apt-get clean), or lower outbox.max_bytes."),
        )


def _machine(snapshot: Snapshot) -> Iterator[Advice]:
    clock, machine = snapshot.clock, snapshot.machine
    if snapshot.stalled:
        yield _bad(
            "stalled",
            _("No progress: {parts}").format(parts=", ".join(snapshot.stalled)),
            _("systemd's watchdog restarts the gateway; send the log of that time (journalctl -u langyan-edge)."),
        )
    if not clock.is_trusted and snapshot.running_s >= SETTLING_S:
        yield _warning(
            "clock-not-trusted",
            _("Nobody has told the gateway what time it is"),
            _("Let it reach an NTP server (timedatectl) or the cloud; readings are kept and stamped when it knows."),
        )
    elif clock.is_trusted and abs(clock.offset_ms) > WRONG_CLOCK_MS:
        yield _warning(
            "clock-off",
            _("The computer's clock is {seconds:.1f} s off; readings carry the right time all the same").format(
                seconds=abs(clock.offset_ms) / 1000
            ),
            _("Switch on its time service: timedatectl set-ntp true."),
        )
    if machine.is_undervolted or machine.was_undervolted:
        yield _warning(
            "undervoltage",
            _("The power supply is too weak") if machine.is_undervolted else _("The power supply was too weak"),
            _("Use the maker's supply and a short, thick cable; adapters on USB may need a hub with its own supply."),
        )
    if machine.cpu_celsius is not None and machine.cpu_celsius >= HOT_CELSIUS:
        yield _warning(
            "hot",
            _("The processor is at {celsius:.0f} degrees C and slows itself down").format(celsius=machine.cpu_celsius),
            _("Give the cabinet air or shade, the processor a heat sink."),
        )
    if machine.loop_lag_ms >= LONG_LAG_MS:
        yield _warning(
            "slow",
            _("The gateway was late by {ms:.0f} ms: the computer is overloaded, or its disk stalls").format(
                ms=machine.loop_lag_ms
            ),
            _("See what else runs (top) and how the disk does (iostat); a worn SD card stalls for seconds."),
        )


def _bus(bus: BusStatus) -> Iterator[Advice]:
    if not bus.total.is_up:
        tries = (
            _("Check the adapter's cable, ls -l /dev/serial/by-id/, group dialout, and that no other program holds it.")
            if bus.is_port
            else _("Check power and cable of the module, its address (ping), and that it has a connection free.")
            if bus.total.push is None
            else _("Where we listen: has another program the port? Else check the device or broker, and its address.")
        )
        yield _bad("port-missing", _("Bus {bus}: {where} cannot be opened").format(bus=bus.id, where=bus.where), tries)
        return
    if bus.total.push is not None and bus.recent.push is not None:
        yield from _push(bus, bus.total.push, bus.recent.push)
        return
    mute = [unit for unit in bus.units if _is_mute(unit)]
    if len(mute) == len(bus.units) > 1:
        tries = (
            _("One cause for all: A and B swapped, wrong baud or parity, no supply for the line. Swap A and B first.")
            if bus.is_serial
            else _("One cause for all: the module behind the address is another one, or its serial side is not wired.")
        )
        yield _bad("all-mute", _("Bus {bus}: the port is open, and nobody answers").format(bus=bus.id), tries)
        return
    for unit in mute:
        yield _bad(
            "unit-mute",
            _("Bus {bus}: device {device} (unit {unit}) does not answer; its neighbours do").format(
                bus=bus.id, device=_name(unit), unit=unit.unit
            )
            if len(bus.units) > 1
            else _("Bus {bus}: device {device} (unit {unit}) does not answer").format(
                bus=bus.id, device=_name(unit), unit=unit.unit
            ),
            _("Check its power, its unit id, its own baud and parity, and its two wires."),
        )
    yield from _quality(bus, mute)


def _push(bus: BusStatus, total: PushHealth, recent: PushHealth) -> Iterator[Advice]:
    """Find what is wrong on a line on which devices speak."""
    for unit in bus.units:
        if unit.standing is DeviceStanding.LOST:
            yield _bad(
                "device-silent",
                _("Bus {bus}: nothing was heard of device {device} ({address}) for too long").format(
                    bus=bus.id, device=_name(unit), address=unit.address or "-"
                ),
                _("Check its power, its network or radio, and the address and port it reports to."),
            )
    if recent.strangers:
        yield _warning(
            "strangers",
            _('Bus {bus}: {count} messages of unknown devices, the latest from "{address}"').format(
                bus=bus.id, count=recent.strangers, address=total.now.stranger
            ),
            _("If it belongs here, add a [[device]] with that address to the site file; else find who sends here."),
        )
    if recent.refused:
        yield _warning(
            "messages-refused",
            _("Bus {bus}: {count} messages were refused, the latest: {why}").format(
                bus=bus.id, count=recent.refused, why=total.now.refusal
            ),
            _("Compare key, clock, baud and protocol of the device with the site file and its profile."),
        )
    if recent.turned_away:
        yield _warning(
            "connections-turned-away",
            _("Bus {bus}: {count} connections were turned away, {open} are open").format(
                bus=bus.id, count=recent.turned_away, open=total.connected
            ),
            _("Raise max_connections if there are so many devices; else find who connects here."),
        )
    if recent.dropped or recent.unkept:
        yield _warning(
            "messages-not-kept",
            _("Bus {bus}: {count} messages found no room on the disk, or their sender did not wait").format(
                bus=bus.id, count=recent.dropped + recent.unkept
            ),
            _("Look at the disk and the outbox; devices that wait for an acknowledgement say it again."),
        )


def _quality(bus: BusStatus, mute: list[UnitStatus]) -> Iterator[Advice]:
    """Find what makes a line bad that works."""
    recent, polls = bus.recent, bus.recent.polls
    if polls < FEWEST_POLLS:
        return
    damaged = max(recent.line.crc_errors, recent.frame_errors)
    if damaged > polls * DAMAGED_SHARE:
        yield _warning(
            "answers-damaged",
            _("Bus {bus}: {percent:.0f} % of the answers come damaged").format(
                bus=bus.id, percent=100 * damaged / polls
            ),
            _("End resistors (120 ohm, at both ends only)? Common ground? Baud, parity? Two devices with one id?"),
        )
    late = recent.line.late + recent.line.stale
    if late > polls * LATE_SHARE:
        yield _warning(
            "answers-late",
            _("Bus {bus}: {percent:.0f} % of the answers come after their timeout").format(
                bus=bus.id, percent=100 * late / polls
            ),
            _("A device is slower than its profile says, or the network is; raise timeout_s in the profile."),
        )
    if recent.refusals > polls * REFUSED_SHARE:
        yield _warning(
            "requests-refused",
            _("Bus {bus}: {percent:.0f} % of the requests are refused by the device").format(
                bus=bus.id, percent=100 * recent.refusals / polls
            ),
            _("The profile asks for registers that it lacks: another firmware, or another device."),
        )
    for unit in bus.units:
        missing = unit.asked - unit.answered
        if unit not in mute and unit.asked >= FEWEST_POLLS and missing > unit.asked * LOST_SHARE and not damaged:
            yield _warning(
                "answers-missing",
                _("Bus {bus}: device {device} leaves {percent:.0f} % of its requests unanswered").format(
                    bus=bus.id, device=_name(unit), percent=100 * missing / unit.asked
                ),
                _("Check its supply under load and its terminals; two devices with one unit id look so too."),
            )


def _is_mute(unit: UnitStatus) -> bool:
    # A breaker that is open says it minutes before the device counts as lost.
    is_lost = unit.standing is DeviceStanding.LOST or unit.breaker == "open"
    return is_lost or (unit.asked > 0 and unit.answered == 0)


def _name(unit: UnitStatus) -> str:
    return f"{unit.device} {unit.name}".strip()


def duration(seconds: float) -> str:
    """Write a length of time in the largest unit of which there are at least two."""
    for unit_s, text in ((DAY_S, _("{count:.0f} days")), (3600.0, _("{count:.0f} h")), (60.0, _("{count:.0f} min"))):
        if seconds >= 2 * unit_s:
            return text.format(count=seconds / unit_s)
    return _("{count:.0f} s").format(count=seconds)
