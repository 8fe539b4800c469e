"""What the desk decides by itself: whose gateway is lost, what that silences, when an alarm sounds again. Pure."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from cloud.desk.core import Alarm
from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import GATEWAY_DEVICE

GATEWAY_LOST = "gateway-lost"
DEVICE_LOST = "device-lost"
BUS_LOST = "bus-lost"
"""The latter two are the gateway's own words (edge: supervision)."""

FOLLOWS_FROM_LOSS = frozenset({DEVICE_LOST, BUS_LOST})
"""What says nothing new while its gateway cannot say anything."""

LOSS = MappingProxyType({"device": GATEWAY_DEVICE, "point": "link", "rule": "lost"})
"""Where a gateway's loss is raised; no gateway uses point and rule of it."""
_TEXT = {"en": "Gateway {gateway} cannot be reached", "zh": "网关{gateway}失去联系"}


def loss_source(gateway: str) -> str:
    """Name the alarm that a gateway is lost."""
    return "/".join((gateway, *LOSS.values()))


def line_source(gateway: str, bus: str) -> str:
    """Name the alarm by which a gateway says that a whole line is lost."""
    return f"{gateway}/{GATEWAY_DEVICE}.{bus}/supervision/supervision"


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


class Follower(Struct, frozen=True):
    """What of an open alarm tells whether it follows from a loss; the fields are those of `Alarm`."""

    alarm_id: str
    gateway: str
    device: str
    kind: str
    cleared_at_us: int | None
    suppressed_by: str | None

    @classmethod
    def of(cls, alarm: Alarm) -> "Follower":
        """Take from an alarm what counts."""
        return cls(alarm.alarm_id, alarm.gateway, alarm.device, alarm.kind, alarm.cleared_at_us, alarm.suppressed_by)

    @property
    def is_others(self) -> bool:
        """Whether it is suppressed for a reason that is none of `Silences`: somebody else lifts it.

        A control suppresses what lies under its target, and no device lies under the alarm of a line.
        """
        if self.suppressed_by is None or self.suppressed_by == loss_source(self.gateway):
            return False
        is_line = self.suppressed_by.startswith(f"{self.gateway}/{GATEWAY_DEVICE}.")
        return not (is_line and self.kind == DEVICE_LOST)


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

    def reason(self, alarm: Follower) -> str | None:
        """Name the source of the reason why `alarm` is not to be heard; None when it is.

        The reason it has already stays while it stands.
        """
        reasons = list(self._reasons(alarm))
        return alarm.suppressed_by if alarm.suppressed_by in reasons else next(iter(reasons), None)

    def differs(self, alarm: Follower) -> bool:
        """Tell whether `alarm` is to be suppressed for another reason than it is; what others suppress is theirs."""
        return not alarm.is_others and self.reason(alarm) != alarm.suppressed_by

    def _reasons(self, alarm: Follower) -> Iterable[str]:
        # What is over says that a device answered, which holds.
        if alarm.kind not in FOLLOWS_FROM_LOSS or alarm.cleared_at_us is not None:
            return
        if alarm.gateway in self.gateways:
            yield loss_source(alarm.gateway)
        if alarm.kind != DEVICE_LOST:
            return
        if alarm.suppressed_by is not None and alarm.suppressed_by in self.lines:
            yield alarm.suppressed_by
        bus = self.bus_of.get((alarm.gateway, alarm.device), "")
        if bus and (source := line_source(alarm.gateway, bus)) in self.lines:
            yield source


def _about_link(gateway: str, transition: Transition, raised_at_us: int, at_us: int) -> AlarmEvent:
    return AlarmEvent(
        gateway=gateway,
        device=LOSS["device"],
        point=LOSS["point"],
        rule=LOSS["rule"],
        transition=transition,
        raised_at_us=raised_at_us,
        at_us=at_us,
        kind=GATEWAY_LOST,
        severity=Severity.HIGH,
        text={language: words.replace("{gateway}", gateway) for language, words in _TEXT.items()},
    )
