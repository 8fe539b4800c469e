"""The sites of the demo, written as site files: a school with many buses, two forest towers with one each."""

from pathlib import Path

from msgspec import Struct

from langyan.servers import free_port

SCHOOL = "school-demo"
TOWER = "tower-demo"
WEST_TOWER = "tower-west-demo"

_HEAD = """# Written by `langyan demo`; `langyan edge check` and `langyan sim devices` read it too.
[gateway]
id = "{gateway}"
site = "{site}"
name = "{name}"
health_s = 1

[uplink]
port = {broker_port}
# Never deflated here, so that mosquitto_sub shows what travels.
deflate_from_bytes = 1000000

[outbox]
path = "{gateway}-outbox.db"
"""

_SCHOOL = """
[[bus]]
id = "gate"
kind = "rtu"
port = "gate.tty"
baud = 9600

[[bus]]
id = "dormitory"
kind = "rtu"
port = "dormitory.tty"
baud = 9600

[[bus]]
id = "laboratory"
kind = "tcp"
host = "127.0.0.1"
port = {tcp_port}

# Hosts connect to the gateway by themselves, and repeat an alarm until it is on the gateway's disk.
[[bus]]
id = "hosts"
kind = "tcp_server"
host = "127.0.0.1"
port = {host_port}

# A reader hears the tags of bicycles. They are armed the whole day here.
[[bus]]
id = "bicycles"
kind = "tcp_server"
host = "127.0.0.1"
port = {reader_port}

# A bus of the school, and the cradle in which the night patrol's wand is read out.
[[bus]]
id = "road"
kind = "tcp_server"
host = "127.0.0.1"
port = {road_port}

[[bus]]
id = "cradle"
kind = "serial"
port = "cradle.tty"
baud = 115200

[[device]]
id = "school-bus"
name = "校车"
bus = "road"
address = "13912345678"
profile = "generic/jt808-2019"

[[device]]
id = "wand"
name = "巡更棒"
bus = "cradle"
address = "{machine}"
profile = "generic/eb-wand"

[[device]]
id = "gate-reader"
name = "校门读卡器"
bus = "bicycles"
address = "CCB97E7361A5"
profile = "ingics/igs"

[[device]]
id = "bicycle-shed"
name = "车棚"
bus = "bicycles"
address = "CCB97E7361A4"
profile = "ingics/igs"

[presence]
sightings = 1
utc_offset = "+08:00"

[[presence.tag]]
id = "{tag}"
name = "红色电动车 red e-bike"

[[presence.arming]]
from = 00:00:00
to = 23:59:59

[[device]]
id = "canteen-host"
name = "食堂报警主机"
bus = "hosts"
address = "00C001"
profile = "hengbo/hb-2050"
labels = {{ zone-001 = "食堂 canteen", zone-002 = "厨房 kitchen" }}

[[device]]
id = "gate-buttons"
name = "校门按钮"
bus = "gate"
unit = 1
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_2", "button_3", "output_1"]
labels = {{ button_1 = "校门 gate house", button_2 = "传达室 reception", button_3 = "值班室 duty room" }}

# The profile's rule, with a siren: the gateway switches it by itself.
[[device.rule]]
rule = "contact"
key = "panic"
points = ["button_1", "button_2", "button_3"]
alarm = "panic"
severity = "critical"
text = {{ en = "Panic button pressed: {{label}}", zh = "一键报警：{{label}}" }}
action = {{ point = "output_1", value = true, reset_value = false, for_s = 180 }}

[[device]]
id = "gate-climate"
bus = "gate"
unit = 11
profile = "generic/xy-md02"
every_s = {{ temperature = 2, humidity = 2 }}

[[device]]
id = "hall-climate"
bus = "gate"
unit = 12
profile = "generic/xy-md02"
every_s = {{ temperature = 2, humidity = 2 }}

[[device]]
id = "gate-smoke"
bus = "gate"
unit = 21
profile = "calectro/ug-3"

[[device]]
id = "dorm-buttons"
name = "宿舍按钮"
bus = "dormitory"
unit = 1
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_2"]
labels = {{ button_1 = "一号楼 house 1", button_2 = "二号楼 house 2" }}

[[device]]
id = "dorm-climate"
bus = "dormitory"
unit = 11
profile = "generic/xy-md02"
every_s = {{ temperature = 2, humidity = 2 }}

[[device]]
id = "dorm-smoke-1"
bus = "dormitory"
unit = 21
profile = "calectro/ug-3"

[[device]]
id = "dorm-smoke-2"
bus = "dormitory"
unit = 22
profile = "calectro/ug-3"
"""

_LABORATORY = """
[[device]]
id = "lab-{number}"
name = "实验室{number}"
bus = "laboratory"
unit = {number}
profile = "zlan/zlan6842"
use = ["button_1", "button_2", "analog_1", "analog_2", "analog_3"]
labels = {{ button_1 = "实验室 laboratory {number}", button_2 = "准备室 store room {number}" }}
every_s = {{ analog_1 = 0.5, analog_2 = 0.5, analog_3 = 0.5 }}
simulate = {{ count_in = "analog_3" }}
"""

_TOWER = """
[[bus]]
id = "mast"
kind = "rtu"
port = "mast.tty"
baud = 9600

[[device]]
id = "weather"
name = "气象站"
bus = "mast"
unit = 1
profile = "generic/weather-station"
every_s = { wind_speed = 1 }
simulate = { count_in = "illuminance" }

[[device]]
id = "crown-climate"
name = "树冠"
bus = "mast"
unit = 11
profile = "generic/xy-md02"
every_s = { temperature = 0.5, humidity = 0.5 }

[[device.rule]]
rule = "threshold"
key = "overheat"
points = ["temperature"]
alarm = "heat"
severity = "critical"
text = { en = "Heat in the crowns: {label}", zh = "树冠高温：{label}" }
above = 55
deadband = 5
on_delay_s = 0.5

[[device]]
id = "ground-climate"
name = "林地"
bus = "mast"
unit = 12
profile = "generic/xy-md02"
every_s = { temperature = 2, humidity = 2 }

[[device]]
id = "smoke-north"
name = "北侧烟感"
bus = "mast"
unit = 21
profile = "calectro/ug-3"

[[device]]
id = "smoke-south"
name = "南侧烟感"
bus = "mast"
unit = 22
profile = "calectro/ug-3"

[[device]]
id = "hut-button"
name = "护林站按钮"
bus = "mast"
unit = 2
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1"]
labels = { button_1 = "护林站 ranger hut" }
"""


_WEST_TOWER = """
[[bus]]
id = "mast"
kind = "rtu"
port = "west-mast.tty"
baud = 9600

[[device]]
id = "smoke-west"
name = "西塔烟感"
bus = "mast"
unit = 21
profile = "calectro/ug-3"

[[device]]
id = "west-climate"
name = "西塔气候"
bus = "mast"
unit = 11
profile = "generic/xy-md02"
every_s = { temperature = 2, humidity = 2 }
"""


class Push(Struct, frozen=True):
    """A button or contact that the story may push: where, and how people call it."""

    gateway: str
    device: str
    point: str


BUTTONS = (
    Push(SCHOOL, "gate-buttons", "button_1"),
    Push(SCHOOL, "lab-1", "button_1"),
    Push(SCHOOL, "dorm-buttons", "button_1"),
    Push(SCHOOL, "canteen-host", "zone-001"),
    Push(SCHOOL, "gate-buttons", "button_2"),
    Push(SCHOOL, "lab-2", "button_2"),
    Push(TOWER, "hut-button", "button_1"),
    Push(SCHOOL, "dorm-buttons", "button_2"),
    Push(SCHOOL, "lab-3", "button_1"),
    Push(SCHOOL, "lab-4", "button_2"),
)
"""Buttons of the walk test, in the order they are pressed."""

DUTY_ROOM = Push(SCHOOL, "gate-buttons", "button_3")
"""The button that is pressed while the broker is gone."""

SIREN = Push(SCHOOL, "gate-buttons", "output_1")
"""What sounds while one of the buttons beside it is pressed; a write reads it back, which is no reading."""

NUMBERED = {
    SCHOOL: {f"lab-{number}": "analog_3" for number in range(1, 5)},
    TOWER: {"weather": "illuminance"},
}
"""By gateway and device, the point that numbers its readings (`count_in` above)."""

TAG = "EAC653D3AA8C"
BICYCLE = Push(SCHOOL, "bicycle-shed", f"tag-{TAG}")
"""The tag of a bicycle that somebody moves although it is armed."""
AT_THE_GATE = Push(SCHOOL, "gate-reader", f"tag-{TAG}")
"""The same tag, where it is heard next."""

BUS = Push(SCHOOL, "school-bus", "latitude")
WAND = Push(SCHOOL, "wand", "docked")
MACHINE = "0102030401"
"""Of the wand: which one it is."""
CARDS = {"gate": "1A2B3C4D01", "kitchen": "1A2B3C4D02", "dormitory": "1A2B3C4D03"}
"""What the wand reads at the points of the night patrol."""

TOWER_SMOKE = Push(TOWER, "smoke-north", "smoke")
TOWER_HEAT = Push(TOWER, "crown-climate", "temperature")
WEST_SMOKE = Push(WEST_TOWER, "smoke-west", "smoke")
"""The second tower, downwind of the first, sees the same fire some seconds later."""


def write_sites(folder: Path, broker_port: int) -> dict[str, Path]:
    """Write the site files into `folder`; returns them by gateway id."""
    school = _HEAD.format(gateway=SCHOOL, site="示范学校", name="School gateway", broker_port=broker_port)
    ports = {f"{name}_port": free_port() for name in ("tcp", "host", "reader", "road")}
    school += _SCHOOL.format(machine=MACHINE, tag=TAG, **ports) + "".join(
        _LABORATORY.format(number=number) for number in range(1, 5)
    )
    tower = _HEAD.format(gateway=TOWER, site="示范林场", name="Tower gateway", broker_port=broker_port) + _TOWER
    west = _HEAD.format(gateway=WEST_TOWER, site="示范林场", name="West tower gateway", broker_port=broker_port)
    texts = {SCHOOL: school, TOWER: tower, WEST_TOWER: west + _WEST_TOWER}
    files = {gateway: folder / f"{gateway.removesuffix('-demo')}.toml" for gateway in texts}
    for gateway, text in texts.items():
        files[gateway].write_text(text, encoding="utf-8")
    return files
