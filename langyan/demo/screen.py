"""The live screen of the demo: gateways, buses, alarms."""

from collections.abc import Sequence

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contract.alarms import Transition
from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Value
from langyan.demo.duty import Held
from langyan.demo.latency import press_to_stored_ms
from langyan.demo.observer import GatewayView, Seen
from langyan.demo.phone import Rung
from langyan.demo.story import Pressed
from langyan.i18n import CHINESE, language
from langyan.i18n import translate as _

# Lines that everything but the alarms takes.
OTHER_LINES = 23
COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}


class View(Struct, frozen=True):
    """What one picture shows.

    Attributes:
        now_s, seconds: where the story is, and how long it lasts.
        title: the present scene.
        gateways: what the observer heard of them.
        waiting: by gateway, readings and alarms in its outbox.
        answers: by gateway and bus, answers of the devices so far.
        seen: alarm events on the wire.
        pressed: presses so far.
        held: by source, what the duty officer at the alarm desk sees.
        rung: messages to telephones.
    """

    now_s: float
    seconds: float
    title: str
    broker_is_up: bool
    gateways: dict[str, GatewayView]
    waiting: dict[str, tuple[int, int]]
    answers: dict[tuple[str, str], int]
    seen: Sequence[Seen]
    pressed: Sequence[Pressed]
    held: dict[str, Held]
    rung: Sequence[Rung]


class Screen:
    """Draws views; keeps the last counts to tell rates."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[float, int]] = {}
        self._rates: dict[tuple[str, str], float] = {}

    def draw(self, view: View, *, height: int) -> RenderableType:
        """Draw one picture for a terminal of `height` lines."""
        head = Text.assemble((f"{min(view.now_s, view.seconds):5.1f} / {view.seconds:.0f} s   ", "dim"),
                             (view.title, "bold"))  # fmt: skip
        broker = _("broker up") if view.broker_is_up else _("BROKER GONE")
        title = _("Langyan: a school and two forest towers, simulated; the servers are real")
        return Group(
            Panel(head, title=title, subtitle=Text(broker, style="green" if view.broker_is_up else "bold red")),
            self._gateways(view),
            self._buses(view),
            self._alarms(view, count=max(2, height - OTHER_LINES)),
            _phones(view.rung),
        )

    @staticmethod
    def _gateways(view: View) -> Table:
        table = _table(
            _("gateway"), _("state"), _("readings sent"), _("waiting in outbox"), _("alarms waiting"), _("receipts"),
            _("sent again"),
        )  # fmt: skip
        for name, gateway in sorted(view.gateways.items()):
            readings, alarms = view.waiting.get(name, (0, 0))
            alive = Text(_("alive"), style="green") if gateway.is_alive else Text(_("gone"), style="bold red")
            table.add_row(
                name,
                alive if view.broker_is_up else Text(_("cut off"), style="bold red"),
                f"{gateway.readings}",
                f"{readings}",
                Text(f"{alarms}", style="bold red" if alarms else ""),
                f"{gateway.receipts}",
                _count(gateway.health.get(GATEWAY_DEVICE, {}), "uplink.sent_again"),
            )
        return table

    def _buses(self, view: View) -> Table:
        table = _table(_("bus"), _("reads/s"), _("answers"), _("timeouts"), _("mute units"))
        for (gateway, bus), answers in sorted(view.answers.items()):
            points = view.gateways.get(gateway, GatewayView()).health.get(f"{GATEWAY_DEVICE}.{bus}", {})
            table.add_row(
                f"{gateway} / {bus}",
                f"{self._rate((gateway, bus), answers, view.now_s):.1f}",
                f"{answers}",
                _count(points, "timeouts"),
                _count(points, "mute_units"),
            )
        return table

    def _rate(self, bus: tuple[str, str], answers: int, now_s: float) -> float:
        """Answers a second, over the last second or more."""
        before_s, before = self._answers.setdefault(bus, (now_s, answers))
        if now_s - before_s >= 1.0:
            self._rates[bus] = (answers - before) / (now_s - before_s)
            self._answers[bus] = (now_s, answers)
        return self._rates.get(bus, 0.0)

    @staticmethod
    def _alarms(view: View, *, count: int) -> Table:
        table = _table(_("severity"), _("alarm, the latest first"), _("where"), _("press to stored"), _("alarm desk"))
        for column in table.columns:
            # A line an alarm, so that the picture fits the terminal.
            column.no_wrap, column.overflow = True, "ellipsis"
        took = {one.event.event_id: ms for one, ms in _latencies(view.seen, view.pressed)}
        raised = [one for one in view.seen if one.event.transition is Transition.RAISED]
        tongue = "zh" if language() == CHINESE else "en"
        for one in reversed(raised[-count:]):
            event = one.event
            ms = took.get(event.event_id)
            stored = _("stored") if one.stored_at_us else _("on its way")
            table.add_row(
                Text(_(event.severity.value), style=COLOURS[event.severity.value]),
                event.text.get(tongue, event.kind),
                f"{event.gateway} / {event.device}",
                stored if ms is None else f"{ms:.0f} ms",
                _at_desk(view.held.get(event.source)),
            )
        return table


def _latencies(seen: Sequence[Seen], pressed: Sequence[Pressed]) -> list[tuple[Seen, float]]:
    found = []
    for one in seen:
        if one.event.transition is not Transition.RAISED or one.stored_at_us is None:
            continue
        before = [
            press for press in pressed
            if (press.push.gateway, press.push.device, press.push.point)
            == (one.event.gateway, one.event.device, one.event.point)
            and press.at_us <= one.event.raised_at_us
        ]  # fmt: skip
        if before:
            ms = press_to_stored_ms(max(before, key=lambda press: press.at_us), [one])
            if ms is not None:
                found.append((one, ms))
    return found


def _at_desk(held: Held | None) -> Text:
    """How far the response to an alarm has come."""
    if held is None:
        return Text("-", style="dim")
    words = {
        "received": _("unacknowledged"),
        "shown": _("unacknowledged"),
        "acknowledged": _("acknowledged"),
        "dispatched": _("patrol sent"),
        "on-scene": _("on scene"),
        "closed": _("closed"),
    }
    told = "" if held.escalated < 2 else " " + _("(told {times} times)").format(times=held.escalated)  # noqa: PLR2004
    is_waiting = held.stage in ("received", "shown")
    return Text(words.get(held.stage, held.stage) + told, style="bold red" if is_waiting else "green")


def _phones(rung: Sequence[Rung]) -> Text:
    """The latest message to somebody on duty."""
    if not rung:
        return Text(_("No telephone has rung yet."), style="dim")
    last = rung[-1]
    line = " ".join(last.text.split()) or last.title
    text = _("{count} messages to people on duty; the last to {number}: {line}")
    return Text(
        text.format(count=len(rung), number=last.number, line=line), style="cyan", no_wrap=True, overflow="ellipsis"
    )


def _count(points: dict[str, Value], key: str) -> str:
    value = points.get(key)
    return "-" if value is None or isinstance(value, str) else f"{value:.0f}"


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    for heading in headings:
        table.add_column(heading)
    return table
