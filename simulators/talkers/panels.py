"""Simulated alarm panels and radio buttons. Pure; bytes put together by hand."""

import re

from contract.telemetry import Value
from simulators.errors import SimulatorError
from simulators.talkers.lines import LineTalker, Parts


class RadioButtonTalker(LineTalker):
    """An EV1527 button behind a Sonoff RF Bridge: a press is sent several times, as transmitters do."""

    REPEATS = 4

    def press(self, point: str, now: float) -> bytes:
        """Press key 0 to 15, as `key-8`.

        Raises:
            SimulatorError: it has no such key, or the site gives it no radio code.
        """
        found = re.fullmatch(r"key-([0-9]|1[0-5])", point)
        if found is None:
            return super().press(point, now)
        code = self.device.address or "45D50"
        if not re.fullmatch(r"[0-9A-Fa-f]{5}", code):
            raise SimulatorError(f"device {self.device.id!r}: {code!r} is no radio code of five hexadecimal digits")
        data = f"{code}{int(found[1]):X}"
        return bytes.fromhex(f"AA A4 24E0 0140 0384 {data} 55") * self.REPEATS


class Ad2Talker(LineTalker):
    """An alarm panel through an AlarmDecoder AD2 (alarmdecoder.com wiki, Protocol)."""

    period_s = 10.0
    FLAGS = (
        "ready", "armed_away", "armed_home", "", "", "", "", "mains_power", "", "alarm_occurred", "alarm_sounding",
        "battery_low", "", "fire",
    )  # fmt: skip
    """What each of the first characters of the bit field says; "" nothing of ours."""

    def __init__(self, parts: Parts) -> None:
        """Make a panel that is ready and has power."""
        super().__init__(parts)
        self._set = {"ready", "mains_power"}

    def press(self, point: str, now: float) -> bytes:
        """Raise a panic at a zone, as `zone-099`, by Contact ID.

        Raises:
            SimulatorError: that is no zone of three digits.
        """
        found = re.fullmatch(r"zone-([0-9]{3})", point)
        if found is None:
            return super().press(point, now)
        return f"!LRR:{found[1]},1,CID_1120,ff\r\n".encode("ascii")

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Set a flag; the panel says so at once.

        Raises:
            SimulatorError: it has no such flag, or the value is not true or false.
        """
        if not key or key not in self.FLAGS or not isinstance(value, bool):
            return super().set(key, value, now)
        (self._set.add if value else self._set.discard)(key)
        return self.say(now)

    def say(self, now: float) -> bytes:  # noqa: ARG002
        """One keypad line."""
        flags = "".join("1" if name in self._set else "0" for name in self.FLAGS)
        text = "****DISARMED****  Ready to Arm  " if "ready" in self._set else "FAULT 03                        "
        return f'[{flags}000A--],008,[f700000b1008001c08020000000000],"{text}"\r\n'.encode("ascii")
