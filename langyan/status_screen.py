"""The screen of `langyan edge status`: one picture of a gateway, drawn."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contract.alarms import Mode
from edge.health import PushHealth
from edge.status import BusStatus, Snapshot, UnitStatus
from edge.supervision import DeviceStanding
from langyan.diagnosis import MEBI, Advice, Grade, duration
from langyan.i18n import translate as _

STANDING_STYLES = {
    DeviceStanding.ONLINE: "green",
    DeviceStanding.DEGRADED: "yellow",
    DeviceStanding.LOST: "bold red",
    DeviceStanding.UNKNOWN: "dim",
}
GRADE_STYLES = {Grade.BAD: "bold red", Grade.WARNING: "yellow"}


def draw(snapshot: Snapshot, advice: Sequence[Advice]) -> RenderableType:
    """Draw the gateway: devices, its own parts, and what is wrong with what to try."""
    head = _("{gateway} at {site}, version {version}, running for {time}").format(
        gateway=snapshot.gateway, site=snapshot.site, version=snapshot.version, time=duration(snapshot.running_s)
    )
    parts = (_devices(snapshot), *_heard(snapshot), _parts(snapshot), draw_advice(advice))
    return Group(Text(head, style="bold"), *parts)


def draw_advice(advice: Sequence[Advice]) -> RenderableType:
    """Draw what is wrong, the worst first; a word of rest when nothing is."""
    if not advice:
        return Text(_("All is well."), style="green")
    lines = []
    for one in advice:
        lines.append(Text.assemble(("■ ", GRADE_STYLES[one.grade]), (one.what, GRADE_STYLES[one.grade])))
        lines.append(Text.assemble(("  → ", "dim"), one.tries))
    return Group(*lines)


def _devices(snapshot: Snapshot) -> Table:
    table = Table()
    headings = (
        _("bus"), _("device"), _("unit"), _("state"), _("last answer"), _("answered"), _("breaker"),
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading)
    for bus in snapshot.buses:
        rows = list(_rows(bus))
        for number, row in enumerate(rows):
            table.add_row(_bus(bus) if number == 0 else "", *row, end_section=number == len(rows) - 1)
    return table


def _bus(bus: BusStatus) -> Text:
    state = Text(_("open"), style="green") if bus.total.is_up else Text(_("not open"), style="bold red")
    return Text.assemble(f"{bus.id} ({bus.where}) ", state)


def _rows(bus: BusStatus) -> Iterator[tuple[RenderableType, ...]]:
    for unit in bus.units:
        age = _("never") if unit.age_s is None else _("{time} ago").format(time=_age(unit.age_s))
        yield (
            f"{unit.device} {unit.name}".strip(),
            str(unit.unit) if bus.total.push is None else unit.address or "-",
            Text.assemble((_standing(unit.standing), STANDING_STYLES[unit.standing]), *_mode(unit)),
            age,
            _share(unit),
            _breaker(unit.breaker),
        )


def _standing(standing: DeviceStanding) -> str:
    return {
        DeviceStanding.ONLINE: _("online"),
        DeviceStanding.DEGRADED: _("degraded"),
        DeviceStanding.LOST: _("lost"),
        DeviceStanding.UNKNOWN: _("unknown"),
    }[standing]


def _mode(unit: UnitStatus) -> Iterator[tuple[str, str]]:
    """A device in a test or a drill: nobody is sent when it calls, which whoever looks here must see."""
    if unit.mode is not Mode.LIVE:
        yield (f" {_(unit.mode.value)}", "reverse yellow")
    if unit.pace != 1.0:
        yield (" " + _("period ×{factor}").format(factor=f"{unit.pace:g}"), "yellow")


def _breaker(word: str) -> str:
    return {"closed": _("in order"), "suspect": _("suspect"), "open": _("open, resting")}.get(word, word)


def _age(seconds: float) -> str:
    return _("{count:.1f} s").format(count=seconds) if seconds < 10 else duration(seconds)  # noqa: PLR2004


def _share(unit: UnitStatus) -> str:
    return f"{100 * unit.answered / unit.asked:.0f} % / {unit.asked}" if unit.asked else "-"


def _heard(snapshot: Snapshot) -> Iterator[RenderableType]:
    """Say of each bus on which devices speak what was heard there."""
    grid = Table.grid(padding=(0, 2))
    for bus in snapshot.buses:
        if bus.total.push is not None:
            grid.add_row(Text(bus.id, style="dim"), _push(bus.total.push))
    if grid.row_count:
        yield grid


def _push(push: PushHealth) -> str:
    text = _(
        "{connected} connected, {heard} messages, {kept} acknowledged, {unkept} not, {refused} refused, "
        "{strangers} of strangers, {turned_away} connections turned away, {cut_off} cut off"
    )
    return text.format(**{name: getattr(push, name) for name in push.__struct_fields__})


def _parts(snapshot: Snapshot) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, text in (
        (_("outbox"), _outbox(snapshot)),
        (_("uplink"), _uplink(snapshot)),
        (_("clock"), _clock(snapshot)),
        (_("computer"), _machine(snapshot)),
    ):
        grid.add_row(Text(name, style="dim"), text)
    return grid


def _outbox(snapshot: Snapshot) -> str:
    store = snapshot.store
    return _(
        "{alarms} alarms (oldest {alarm_age}), {readings} readings (oldest {reading_age}), "
        "{used:.1f} of {room:.0f} MiB, {evicted} given up since the start"
    ).format(
        alarms=store.alarms_waiting,
        alarm_age=_age(store.oldest_alarm_s),
        readings=store.readings_waiting,
        reading_age=_age(store.oldest_reading_s),
        used=store.bytes_waiting / MEBI,
        room=snapshot.max_bytes / MEBI,
        evicted=store.readings_evicted,
    )


def _uplink(snapshot: Snapshot) -> str:
    uplink = snapshot.uplink
    state = (
        _("connected to {broker} for {time}").format(broker=snapshot.broker, time=duration(snapshot.connected_s or 0.0))
        if uplink.is_up
        else _("not connected to {broker}").format(broker=snapshot.broker)
    )
    receipt = (
        _("no receipt yet")
        if snapshot.receipt_s is None
        else _("last receipt {time} ago").format(time=_age(snapshot.receipt_s))
    )
    counts = _("{sent} sent, {again} again, {receipts} receipts, {connects} connections").format(
        sent=uplink.sent, again=uplink.sent_again, receipts=uplink.receipts, connects=uplink.connects
    )
    return f"{state}; {receipt}; {counts}"


def _clock(snapshot: Snapshot) -> str:
    clock = snapshot.clock
    if not clock.is_trusted:
        return _("not trusted yet")
    return _("from {source}, within {error:.0f} ms; the computer's clock is {offset:.0f} ms off").format(
        source=clock.source, error=clock.error_ms, offset=clock.offset_ms
    )


def _machine(snapshot: Snapshot) -> str:
    machine = snapshot.machine
    said = []
    if machine.disk_free_bytes is not None and machine.disk_bytes:
        text = _("disk {free:.0f} of {room:.0f} MiB free")
        said.append(text.format(free=machine.disk_free_bytes / MEBI, room=machine.disk_bytes / MEBI))
    if machine.cpu_celsius is not None:
        said.append(_("{celsius:.0f} degrees C").format(celsius=machine.cpu_celsius))
    if machine.load is not None:
        said.append(_("load {load:.2f}").format(load=machine.load))
    if machine.rss_bytes is not None:
        said.append(_("gateway {memory:.0f} MiB").format(memory=machine.rss_bytes / MEBI))
    return ", ".join(said) or _("not measured yet")
