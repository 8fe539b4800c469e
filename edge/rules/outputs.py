"""Outputs that alarms switch: one output may serve many alarms, and goes back when the last of them lets go."""

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.model import LocalAction

Output = tuple[str, str]


class Action(Struct, frozen=True):
    """An output to be written now.

    Attributes:
        device, point: the output.
        value: what to write.
        reason: source of the alarm it is for.
    """

    device: str
    point: str
    value: Value
    reason: str


class Outputs:
    """Which alarms hold which outputs."""

    def __init__(self) -> None:
        self._holders: dict[Output, dict[str, LocalAction]] = {}

    def hold(self, source: str, action: LocalAction, *, device: str) -> Action:
        """Switch an output for an alarm; the latest alarm decides its value.

        Args:
            source: of the alarm.
            action: what its rule says.
            device: device of the rule.
        """
        output = (action.device or device, action.point)
        holders = self._holders.setdefault(output, {})
        holders.pop(source, None)
        holders[source] = action
        return Action(*output, action.value, source)

    def release(self, source: str, action: LocalAction, *, device: str) -> Action | None:
        """Let go of an output: it goes back, or to what the latest alarm that still holds it wants.

        Returns:
            None when nothing is to be written: the alarm does not hold it, or nothing changes.
        """
        output = (action.device or device, action.point)
        holders = self._holders.get(output, {})
        if holders.pop(source, None) is None:
            return None
        if not holders:
            del self._holders[output]
            return None if action.reset_value is None else Action(*output, action.reset_value, source)
        latest, wanted = next(reversed(holders.items()))
        return None if wanted.value == action.value else Action(*output, wanted.value, latest)

    def at_rest(self, source: str, action: LocalAction, *, device: str) -> Action | None:
        """Put an output back that no alarm holds; None when one does, or when it stays as it is."""
        output = (action.device or device, action.point)
        if output in self._holders or action.reset_value is None:
            return None
        return Action(*output, action.reset_value, source)
