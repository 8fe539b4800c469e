"""The live screen of the demo: gateways, buses, alarms."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contract.alarms import Transition
from contract.ids import GATEWAY_DEVICE
from contract.telemetry import Value
from langyan.demo.latency import press_to_stored_ms
from langyan.demo.observer import GatewayView, Seen
from langyan.demo.story import Pressed
from langyan.i18n import CHINESE, language
from langyan.i18n import translate as _

SHOWN_ALARMS = 9
COLOURS = {"critical": "bold red", "high": "dark_orange", "medium": "yellow", "low": "blue"}


class Screen:
    """Draws what the observer saw; keeps the last counts to tell rates."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[float, float]] = {}
        self._rates: dict[tuple[str, str], float] = {}

    def draw(
        self,
        *,
        now_s: float,
        seconds: float,
        title: str,
        broker_is_up: bool,
        gateways: dict[str, GatewayView],
        seen: Sequence[Seen],
        pressed: Sequence[Pressed],
    ) -> RenderableType:
        """Draw one picture."""
        head = Text.assemble((f"{min(now_s, seconds):5.1f} / {seconds:.0f} s   ", "dim"), (title, "bold"))
        broker = _("broker up") if broker_is_up else _("BROKER GONE")
        return Group(
            Panel(head, title=_("Langyan: a school and a forest tower, simulated; the servers are real"),
                  subtitle=Text(broker, style="green" if broker_is_up else "bold red")),
            self._gateways(gateways),
            self._buses(gateways, now_s),
            self._alarms(seen, pressed),
        )  # fmt: skip

    @staticmethod
    def _gateways(gateways: dict[str, GatewayView]) -> Table:
        table = _table(
            _("gateways"), _("gateway"), _("state"), _("readings sent"), _("waiting in outbox"), _("alarms waiting"),
            _("receipts"), _("sent again"),
        )  # fmt: skip
        for name, view in sorted(gateways.items()):
            own = view.health.get(GATEWAY_DEVICE, {})
            table.add_row(
                name,
                Text(_("alive"), style="green") if view.is_alive else Text(_("gone"), style="bold red"),
                f"{view.readings}",
                _count(own, "outbox.readings_waiting"),
                _count(own, "outbox.alarms_waiting"),
                f"{view.receipts}",
                _count(own, "uplink.sent_again"),
            )
        return table

    def _buses(self, gateways: dict[str, GatewayView], now_s: float) -> Table:
        table = _table(_("buses"), _("bus"), _("state"), _("reads/s"), _("answers"), _("timeouts"), _("mute units"))
        for gateway, view in sorted(gateways.items()):
            for device, points in sorted(view.health.items()):
                if device == GATEWAY_DEVICE:
                    continue
                rate = self._rate((gateway, device), points, now_s)
                is_up = bool(points.get("is_up"))
                table.add_row(
                    f"{gateway} / {device.removeprefix(GATEWAY_DEVICE + '.')}",
                    Text(_("up"), style="green") if is_up else Text(_("down"), style="bold red"),
                    f"{rate:.1f}",
                    _count(points, "answers"),
                    _count(points, "timeouts"),
                    _count(points, "mute_units"),
                )
        return table

    def _rate(self, bus: tuple[str, str], points: dict[str, Value], now_s: float) -> float:
        answers = float(points.get("answers", 0.0))
        before_s, before = self._answers.get(bus, (now_s, answers))
        if bus not in self._answers or (answers != before and now_s > before_s):
            self._rates[bus] = (answers - before) / (now_s - before_s) if now_s > before_s else 0.0
            self._answers[bus] = (now_s, answers)
        return self._rates.get(bus, 0.0)

    @staticmethod
    def _alarms(seen: Sequence[Seen], pressed: Sequence[Pressed]) -> Table:
        table = _table(_("alarms, the latest first"), _("severity"), _("what"), _("where"), _("press to stored"))
        took = {one.event.event_id: ms for one, ms in _latencies(seen, pressed)}
        raised = [one for one in seen if one.event.transition is Transition.RAISED]
        tongue = "zh" if language() == CHINESE else "en"
        for one in reversed(raised[-SHOWN_ALARMS:]):
            event = one.event
            ms = took.get(event.event_id)
            stored = _("stored") if one.stored_at_us else _("on its way")
            table.add_row(
                Text(event.severity.value, style=COLOURS[event.severity.value]),
                event.text.get(tongue, event.kind),
                f"{event.gateway} / {event.device}",
                stored if ms is None else f"{ms:.0f} ms",
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


def _count(points: dict[str, Value], key: str) -> str:
    value = points.get(key)
    return "-" if value is None or isinstance(value, str) else f"{value:.0f}"


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", expand=True)
    for heading in headings:
        table.add_column(heading)
    return table
