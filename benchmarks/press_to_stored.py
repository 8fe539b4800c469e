"""From a press to the alarm database: buttons polled every 100 ms, real broker, real databases.

A press is a change of a simulated input at a random moment of the poll; stored is the cloud's clock after the
commit, as its receipt says. Everything runs on one machine and one clock.
"""

import random
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from langyan.demo.latency import Spread, press_to_stored_ms, spread
from langyan.demo.run import sleep_until
from langyan.demo.sites import Push
from langyan.demo.stage import Stage
from langyan.demo.story import Pressed
from langyan.servers import free_port, wait_until

GATEWAY = "bench"
PRESSES = 200
TARGET_P99_MS = 300.0

SITE = """
[gateway]
id = "bench"
site = "bench"
[uplink]
port = {broker_port}
[[bus]]
id = "lan"
kind = "tcp"
host = "127.0.0.1"
port = {tcp_port}
[[bus]]
id = "line"
kind = "rtu"
port = "line.tty"
baud = 9600
[[device]]
id = "lan-buttons"
bus = "lan"
unit = 1
profile = "zlan/zlan6842"
use = ["button_1", "button_2", "button_3", "button_4", "analog_1", "analog_2"]
every_s = {{ analog_1 = 0.5, analog_2 = 0.5 }}
[[device]]
id = "line-buttons"
bus = "line"
unit = 1
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_2", "button_3", "button_4"]
[[device]]
id = "line-climate"
bus = "line"
unit = 2
profile = "generic/xy-md02"
every_s = {{ temperature = 0.5, humidity = 0.5 }}
"""


class PressToStored(Struct, frozen=True):
    """Milliseconds over all presses, and by the bus that the button is on."""

    presses: int
    stored: int
    target_p99_ms: float
    all: Spread
    modbus_tcp: Spread
    modbus_rtu_9600: Spread


def measure(presses: int = PRESSES) -> PressToStored:
    """Press, wait until stored, release; again and again."""
    with TemporaryDirectory(prefix="langyan-bench-") as folder, Stage(Path(folder), _write_site) as stage:
        made = [_press(stage, number) for number in range(presses)]
        seen = stage.observer.alarms()
    took = [(press.push.device, press_to_stored_ms(press, seen)) for press in made]
    known = [(device, ms) for device, ms in took if ms is not None]
    return PressToStored(
        presses=presses,
        stored=len(known),
        target_p99_ms=TARGET_P99_MS,
        all=spread([ms for _, ms in known]),
        modbus_tcp=spread([ms for device, ms in known if device == "lan-buttons"]),
        modbus_rtu_9600=spread([ms for device, ms in known if device == "line-buttons"]),
    )


def _press(stage: Stage, number: int) -> Pressed:
    dice = random.Random(number)  # noqa: S311 - the moment of a press, not a secret
    push = Push(GATEWAY, ("lan-buttons", "line-buttons")[number % 2], f"button_{number // 2 % 4 + 1}")
    sleep_until(time.monotonic() + dice.uniform(0.0, 0.1))
    control = stage.controls[GATEWAY]
    press = Pressed(push, control.press(push.device, push.point))
    wait_until(partial(_is_stored, stage, press), 30.0, every_s=0.01)
    released_at = len(stage.observer.alarms())
    control.release(push.device, push.point)
    # The next press of this button must find it released by the gateway too.
    wait_until(lambda: len(stage.observer.alarms()) > released_at, 30.0, every_s=0.01)
    return press


def _is_stored(stage: Stage, press: Pressed) -> bool:
    return press_to_stored_ms(press, stage.observer.alarms()) is not None


def _write_site(folder: Path, broker_port: int) -> dict[str, Path]:
    path = folder / "site.toml"
    path.write_text(SITE.format(broker_port=broker_port, tcp_port=free_port()), encoding="utf-8")
    return {GATEWAY: path}
