"""The alarm word of JT/T 808: what each bit is, and when it makes an alarm begin or end. Pure.

Most bits stand for as long as what they say. Some are a single call: the terminal clears them when the platform has
answered, so that their going says nothing, and their alarm ends by itself.

Source: JT/T 808-2013, table 24, and JT/T 808-2019, table of alarm flags, as listed in github.com/SmallChi/JT808,
src/JT808.Protocol/Enums/JT808Alarm.cs. Bits 15 to 17 exist since 2019.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from contract.alarms import Severity
from device_profiles.model import Text
from device_profiles.speech.said import Report

CALL_ENDS_AFTER_S = 300.0
"""So long after it was last said a call still stands; the terminal does not say when it is over."""
_SAID_AGAIN_S = CALL_ENDS_AFTER_S / 2
_SETTLING = 2


class Alarm(Struct, frozen=True):
    """What one bit means.

    Attributes:
        point, rule, kind, severity, text: of its report.
        is_call: cleared by the terminal once answered.
    """

    point: str
    rule: str
    kind: str
    severity: Severity
    text: Text
    is_call: bool = False


def _of(point: str, rule: str, kind: str, severity: Severity, en: str, zh: str, *, is_call: bool = False) -> Alarm:
    text = {"en": f"{en}: {{label}}", "zh": f"{zh}：{{label}}"}
    return Alarm(point, rule, kind, severity, text, is_call)


_LOW, _MEDIUM, _HIGH, _CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL

ALARMS: Mapping[int, Alarm] = MappingProxyType({
    0: _of("button", "emergency", "panic", _CRITICAL, "Emergency button", "紧急报警按钮", is_call=True),
    1: _of("vehicle", "overspeed", "driving", _MEDIUM, "Too fast", "超速报警"),
    2: _of("vehicle", "fatigue", "driving", _MEDIUM, "Driver at the wheel too long", "疲劳驾驶"),
    # A call in 2013, a state in 2019. Taken as a call it is right for both: a state is said again and again.
    3: _of("vehicle", "danger", "driving", _HIGH, "Danger warning", "危险预警", is_call=True),
    4: _of("terminal", "gnss-fault", "fault", _MEDIUM, "Satellite receiver failed", "卫星定位模块故障"),
    5: _of("terminal", "antenna-open", "tamper", _HIGH, "Satellite antenna missing or cut", "卫星天线未接或被剪断"),
    6: _of("terminal", "antenna-short", "fault", _MEDIUM, "Satellite antenna shorted", "卫星天线短路"),
    7: _of("terminal", "undervoltage", "power", _MEDIUM, "Main supply too low", "主电源欠压"),
    8: _of("terminal", "power-lost", "power", _HIGH, "Main supply lost", "主电源掉电"),
    9: _of("terminal", "display-fault", "fault", _LOW, "Display failed", "显示屏故障"),
    10: _of("terminal", "tts-fault", "fault", _LOW, "Voice output failed", "语音播报模块故障"),
    11: _of("terminal", "camera-fault", "fault", _MEDIUM, "Camera failed", "摄像头故障"),
    12: _of("terminal", "card-reader-fault", "fault", _LOW, "Licence card reader failed", "从业资格证读卡模块故障"),
    13: _of("vehicle", "overspeed-warning", "driving", _LOW, "Nearly too fast", "超速预警"),
    14: _of("vehicle", "fatigue-warning", "driving", _LOW, "Driver soon at the wheel too long", "疲劳驾驶预警"),
    15: _of("vehicle", "violation", "driving", _MEDIUM, "Driving against the rules", "违规行驶报警"),
    16: _of("vehicle", "tyre-pressure", "fault", _MEDIUM, "Tyre pressure", "胎压预警"),
    17: _of("vehicle", "blind-spot", "fault", _MEDIUM, "Blind spot on the right", "右转盲区异常报警"),
    18: _of("vehicle", "day-driving", "driving", _MEDIUM, "Driven too long today", "当天累计驾驶超时"),
    19: _of("vehicle", "parking-overtime", "driving", _LOW, "Parked too long", "超时停车"),
    20: _of("vehicle", "area", "area", _MEDIUM, "Entered or left an area", "进出区域", is_call=True),
    21: _of("vehicle", "route", "area", _MEDIUM, "Entered or left a route", "进出路线", is_call=True),
    22: _of("vehicle", "section-time", "area", _LOW, "Too fast or slow on a leg", "路段行驶时间异常", is_call=True),
    23: _of("vehicle", "deviation", "area", _HIGH, "Off the route", "路线偏离"),
    24: _of("terminal", "speed-sensor", "fault", _MEDIUM, "Speed sensor failed", "车速传感器故障"),
    25: _of("vehicle", "fuel", "theft", _HIGH, "Fuel level abnormal", "油量异常"),
    26: _of("vehicle", "stolen", "theft", _CRITICAL, "Vehicle stolen", "车辆被盗"),
    27: _of("vehicle", "illegal-ignition", "theft", _CRITICAL, "Started without leave", "非法点火", is_call=True),
    28: _of("vehicle", "illegal-movement", "theft", _CRITICAL, "Moved without leave", "非法位移", is_call=True),
    29: _of("vehicle", "collision", "collision", _CRITICAL, "Collision", "碰撞报警"),
    30: _of("vehicle", "rollover", "collision", _CRITICAL, "Rolled over", "侧翻报警"),
    31: _of("vehicle", "illegal-door", "intrusion", _HIGH, "Door opened without leave", "非法开门", is_call=True),
})  # fmt: skip
"""What each bit means, by its number."""

_ONLY_2019 = 0x0003_8000


class AlarmMemory:
    """What one terminal's alarm words have said so far.

    Reports that the terminal kept during an outage may come after newer ones. They begin and end alarms among
    themselves; what they leave standing ends with the next report of now that does not say it.
    """

    def __init__(self) -> None:
        self._newest_us = -1
        self._words = {False: 0, True: 0}
        self._standing: dict[int, bool] = {}
        self._called_at: dict[int, float] = {}
        self._reports = 0

    def heard(self, word: int, *, at_us: int | None, now: float, is_2019: bool) -> tuple[Report, ...]:
        """Take the alarm word of one report; return what begins and what ends.

        Args:
            word: as it stands in the report.
            at_us: the report's time, microseconds UTC; None is now.
            now: monotonic seconds.
            is_2019: bits 15 to 17 mean what they do since 2019; before they are the maker's.
        """
        if not is_2019:
            word &= ~_ONLY_2019
        is_late = at_us is not None and at_us < self._newest_us
        if not is_late:
            self._newest_us = max(self._newest_us, at_us or 0)
            self._words[True] = 0
        before, self._words[is_late] = self._words[is_late], word
        self._reports += not is_late
        # What stood before a restart of ours may be over, and nobody remembers what it was: all that is not said is
        # over, once. Not with the first report, which may be one that the terminal had kept.
        is_settling = self._reports == _SETTLING and not is_late
        told: list[Report] = []
        for bit, alarm in ALARMS.items():
            is_set = bool(word >> bit & 1)
            if alarm.is_call:
                told += self._call(bit, is_set=is_set, is_new=not before >> bit & 1, now=now)
            else:
                told += self._state(bit, is_set=is_set, is_late=is_late) or self._settle(bit, is_due=is_settling)
        return tuple(told)

    def _call(self, bit: int, *, is_set: bool, is_new: bool, now: float) -> list[Report]:
        # A terminal that goes on calling is said again, seldom, so that its alarm does not end by itself meanwhile.
        if not is_set or (not is_new and now - self._called_at.get(bit, now) < _SAID_AGAIN_S):
            return []
        self._called_at[bit] = now
        return [_report(bit, is_on=True)]

    def _state(self, bit: int, *, is_set: bool, is_late: bool) -> list[Report]:
        if is_set and bit not in self._standing:
            self._standing[bit] = is_late
            return [_report(bit, is_on=True)]
        if is_set and not is_late:
            self._standing[bit] = False
        if not is_set and bit in self._standing and (not is_late or self._standing[bit]):
            del self._standing[bit]
            return [_report(bit, is_on=False)]
        return []

    def _settle(self, bit: int, *, is_due: bool) -> list[Report]:
        return [_report(bit, is_on=False)] if is_due and bit not in self._standing else []


def _report(bit: int, *, is_on: bool) -> Report:
    alarm = ALARMS[bit]
    return Report(
        point=alarm.point,
        rule=alarm.rule,
        kind=alarm.kind,
        severity=alarm.severity,
        text=alarm.text,
        is_on=is_on,
        ends_after_s=CALL_ENDS_AFTER_S if alarm.is_call else None,
    )
