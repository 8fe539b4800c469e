"""What the scenario tests share: a small scenario as text, and records made by hand."""

from pathlib import Path

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from simulators.scenario.loader import Scenario, load_scenario
from simulators.scenario.record import Record, SeenAlarm

SITE = """
[gateway]
id = "{gateway}"
site = "bench"

[[bus]]
id = "line"
kind = "rtu"
port = "/dev/ttyUSB0"

[[bus]]
id = "net"
kind = "tcp"
host = "192.168.1.50"

[[device]]
id = "buttons"
bus = "line"
unit = 1
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_2", "output_1"]

[[device]]
id = "climate"
bus = "line"
unit = 11
profile = "generic/xy-md02"

[[device]]
id = "lab"
bus = "net"
unit = 1
profile = "zlan/zlan6842"
use = ["button_1", "analog_1", "analog_3"]
simulate = {{ count_in = "analog_3" }}
"""

HEAD = """
[scenario]
name = "test"
length_s = 10
begins = "07:00"

[[site]]
file = "site.toml"
"""

EXPECT = """
[[expect]]
what = "raised"
device = "buttons"
alarm = "panic"
"""


def write(folder: Path, text: str, *, head: str = HEAD) -> Path:
    (folder / "site.toml").write_text(SITE.format(gateway="gw"), encoding="utf-8")
    path = folder / "scenario.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


def scenario(folder: Path, text: str, *, head: str = HEAD) -> Scenario:
    return load_scenario(write(folder, text, head=head))


def alarm(
    at_s: float,
    device: str = "buttons",
    point: str = "button_1",
    kind: str = "panic",
    transition: Transition = Transition.RAISED,
    *,
    gateway: str = "gw",
    mode: Mode = Mode.LIVE,
    severity: Severity = Severity.CRITICAL,
    stored_at_s: float | None = None,
) -> SeenAlarm:
    at_us = 1_700_000_000_000_000 + round(at_s * 1e6)
    event = AlarmEvent(gateway, device, point, "panic", transition, at_us, at_us, kind, severity, mode=mode)
    return SeenAlarm(at_s, event, stored_at_s)


def record(*alarms: SeenAlarm, done: dict[tuple[int, bool], float] | None = None) -> Record:
    return Record(done=done or {}, alarms=list(alarms))
