"""What the desk decides by itself: whose gateway is lost, what that silences, when an alarm sounds again. Pure."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from cloud.desk.core import Alarm, ClosingCode
from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import GATEWAY_DEVICE

GATEWAY_LOST = "gateway-lost"
DEVICE_LOST = "device-lost"
BUS_LOST = "bus-lost"
"""The latter two are the gateway's own words (edge: supervision)."""

FOLLOWS_FROM_LOSS = frozenset({DEVICE_LOST, BUS_LOST})
"""What says nothing new while its gateway cannot say anything."""

_POINT, _RULE = "link", "lost"
_TEXT = {"en": "Gateway {gateway} cannot be reached", "zh": "网关{gateway}失去联系"}


class Presence(Struct, frozen=True):
    """What the gateway table says of one gateway; see `cloud.database.gateways`."""

    id: str
    online: bool
    since_us: int


def loss_source(gateway: str) -> str:
    """Name the alarm that a gateway is lost; no gateway uses point and rule of it."""
    return f"{gateway}/{GATEWAY_DEVICE}/{_POINT}/{_RULE}"


def line_source(gateway: str, bus: str) -> str:
    """Name the alarm by which a gateway says that a whole line is lost."""
    return f"{gateway}/{GATEWAY_DEVICE}.{bus}/supervision/supervision"


def lost_at_us(presence: Presence, after_us: int) -> int | None:
    """Tell from when on a gateway counts as lost; None while it is online."""
    return None if presence.online else presence.since_us + after_us


def lost(gateway: str, since_us: int) -> AlarmEvent:
    """Say that a gateway is lost; whichever worker says it, it is the same event."""
    return _about_link(gateway, Transition.RAISED, since_us, since_us)


def back(gateway: str, raised_at_us: int, now_us: int, *, since_us: int | None = None) -> AlarmEvent:
    """Say that a lost gateway is back.

    Args:
        gateway: its id.
        raised_at_us: of the raise that ends.
        now_us: the desk's clock.
        since_us: when it was born by its own clock, which counts where it can be right.
    """
    is_likely = since_us is not None and raised_at_us <= since_us <= now_us
    return _about_link(gateway, Transition.CLEARED, raised_at_us, since_us if is_likely and since_us else now_us)


class Silences(Struct, frozen=True):
    """What takes the voice of other alarms away just now.

    Attributes:
        gateways: ids of those that are lost.
        lines: the sources of the lost lines' alarms that stand.
        bus_of: (gateway, device) -> the line it hangs on, as its gateway's birth says; "" or missing: not known.
    """

    gateways: Collection[str]
    lines: Collection[str]
    bus_of: Mapping[tuple[str, str], str]

    def of(self, alarm: Alarm) -> str | None:
        """Name the source of the reason why `alarm` is not to be heard; None when it is.

        The reason it has already stays while it stands.
        """
        reasons = list(self._reasons(alarm))
        return alarm.suppressed_by if alarm.suppressed_by in reasons else next(iter(reasons), None)

    def _reasons(self, alarm: Alarm) -> Iterable[str]:
        # What is over says that a device answered, which holds.
        if alarm.kind not in FOLLOWS_FROM_LOSS or alarm.cleared_at_us is not None:
            return
        if alarm.gateway in self.gateways:
            yield loss_source(alarm.gateway)
        bus = self.bus_of.get((alarm.gateway, alarm.device), "")
        source = line_source(alarm.gateway, bus)
        if alarm.kind == DEVICE_LOST and bus and source in self.lines:
            yield source


def is_ours(alarm: Alarm) -> bool:
    """Tell whether the reason why an alarm is suppressed is one of `Silences`; others are somebody else's to lift."""
    reason = alarm.suppressed_by or ""
    line = f"{alarm.gateway}/{GATEWAY_DEVICE}."
    return reason == loss_source(alarm.gateway) or (reason.startswith(line) and reason.count("/") == 3)  # noqa: PLR2004 - four parts


def code_for(alarm: Alarm) -> ClosingCode:
    """Tell what the desk calls an alarm that it closes by itself: nobody has looked, so only the kind can say."""
    is_link = alarm.kind == GATEWAY_LOST or alarm.kind in FOLLOWS_FROM_LOSS
    return ClosingCode.COMMUNICATIONS if is_link else ClosingCode.UNKNOWN


def _about_link(gateway: str, transition: Transition, raised_at_us: int, at_us: int) -> AlarmEvent:
    return AlarmEvent(
        gateway=gateway,
        device=GATEWAY_DEVICE,
        point=_POINT,
        rule=_RULE,
        transition=transition,
        raised_at_us=raised_at_us,
        at_us=at_us,
        kind=GATEWAY_LOST,
        severity=Severity.HIGH,
        text={language: words.replace("{gateway}", gateway) for language, words in _TEXT.items()},
    )
