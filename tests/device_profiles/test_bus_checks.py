"""Buses on which devices speak by themselves: a good site, and every way a bad one is refused at its key."""

from pathlib import Path

import pytest

from device_profiles.site import Device, MqttBus, SerialBus, TcpServerBus, UdpBus, carrier_of, where_of
from tests.device_profiles.test_site_loader import faults_of, load

GOOD = """
[gateway]
id = "school-7"
site = "第七中学"
metrics_port = 9200

[[bus]]
id = "modbus"
kind = "tcp"
host = "192.0.2.10"

[[bus]]
id = "hosts"
kind = "tcp_server"
port = 7700

[[bus]]
id = "radio"
kind = "udp"
port = 7700

[[bus]]
id = "gps"
kind = "serial"
port = "ttyUSB0"

[[bus]]
id = "zigbee"
kind = "mqtt"

[[bus]]
id = "more-zigbee"
kind = "mqtt"

[[device]]
id = "dormitory"
bus = "modbus"
profile = "zlan/zlan6842"

[[device]]
id = "canteen"
bus = "hosts"
address = "1234"
profile = "generic/sia-dc09"
secret_env = "CANTEEN_KEY"
labels = { zone-007 = "食堂" }

[[device]]
id = "library"
bus = "hosts"
address = "5678"
profile = "generic/sia-dc09"

[[device]]
id = "hut"
bus = "radio"
profile = "generic/sia-dc09"

[[device]]
id = "position"
bus = "gps"
profile = "generic/nmea-gps"

[[device]]
id = "door"
bus = "zigbee"
address = "door"
profile = "aqara/mccgq11lm"

[[device]]
id = "window"
bus = "more-zigbee"
address = "window"
profile = "aqara/mccgq11lm"
"""


def test_a_site_with_devices_that_speak_is_in_order(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD)
    kinds = {bus.id: type(bus) for bus in site.file.bus}
    assert (kinds["hosts"], kinds["radio"], kinds["gps"], kinds["zigbee"]) == (TcpServerBus, UdpBus, SerialBus, MqttBus)
    assert [placed.device.id for placed in site.devices["hosts"]] == ["canteen", "library"]
    assert isinstance(site.devices["hosts"][0].device, Device)
    where = {bus.id: where_of(bus) for bus in site.file.bus}
    assert where["gps"] == "ttyUSB0"
    assert where["hosts"] == "0.0.0.0:7700"
    assert {carrier_of(bus).value for bus in site.file.bus if isinstance(bus, SerialBus | UdpBus)} == {"serial", "udp"}


FAULTS = [
    ('bus = "hosts"\naddress = "5678"', 'bus = "hosts"', 'device[3] "library".address', "each is known by its address"),
    ('address = "5678"', 'address = "1234"', 'device[3] "library".address', 'is taken by device "canteen"'),
    ('address = "5678"', 'address = "5678"\nunit = 3', 'device[3] "library".unit', "has an address, and no unit"),
    (
        'address = "5678"', 'address = "5678"\nevery_s = { arming = 5 }', 'device[3] "library".every_s',
        "nobody asks them how often",
    ),
    ('bus = "modbus"', 'bus = "modbus"\naddress = "9"', 'device[1] "dormitory".address', "has a unit, and no address"),
    ('bus = "modbus"', 'bus = "modbus"\nsecret_env = "K"', 'device[1] "dormitory".secret_env', "which has no keys"),
    ('"CANTEEN_KEY"', '"0123456789abcdef-"', 'device[2] "canteen".secret_env', "is no name of an environment variable"),
    ('bus = "gps"', 'bus = "modbus"', 'device[5] "position".bus', "speaks by itself; buses for it: serial"),
    ('bus = "modbus"', 'bus = "radio"', 'device[1] "dormitory".bus', "is asked by Modbus"),
    ('bus = "zigbee"', 'bus = "radio"', 'device[6] "door".bus', "is udp, profile"),
    ('bus = "radio"\n', 'bus = "hosts"\naddress = "9"\n', 'bus[3] "radio".id', "no device speaks on bus"),
    (
        '[[device]]\nid = "door"',
        '[[device]]\nid = "wind"\nbus = "gps"\naddress = "w"\nprofile = "gill/windsonic"\n\n[[device]]\nid = "door"',
        'device[6] "wind".profile', "does not speak as device",
    ),
    ('kind = "udp"\nport = 7700', 'kind = "tcp_server"\nport = 7700', 'bus[3] "radio".port', 'is taken by "hosts"'),
    (
        'kind = "udp"\nport = 7700', 'kind = "tcp_server"\nport = 7700\nhost = "127.0.0.1"', 'bus[3] "radio".port',
        'is taken by "hosts"',
    ),
    ('kind = "tcp_server"\nport = 7700', 'kind = "tcp_server"\nport = 9200', 'bus[2] "hosts".port', "metrics_port"),
    ('kind = "mqtt"\n\n[[bus]]', 'kind = "mqtt"\nusername = "x"\npassword_env = "no!"\n\n[[bus]]',
     'bus[5] "zigbee".password_env', "is no name of an environment variable"),
    ('kind = "mqtt"\n\n[[bus]]', 'kind = "mqtt"\npassword_env = "SECRET"\n\n[[bus]]', 'bus[5] "zigbee".username',
     "a password needs a username"),
    ('port = "ttyUSB0"', 'port = " "', 'bus[4] "gps".port', "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "words"), FAULTS, ids=[fault[3][:40] for fault in FAULTS])
def test_a_broken_rule_is_a_fault_at_its_key(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    assert old in GOOD
    found = {fault.key: str(fault) for fault in faults_of(tmp_path, GOOD.replace(old, new, 1))}
    assert key in found, found
    assert words in found[key]


def test_a_serial_port_is_one_bus_be_it_asked_or_listened_to(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "tcp"\nhost = "192.0.2.10"', 'kind = "rtu"\nport = "./ttyUSB0"')
    text = text.replace("zlan/zlan6842", "generic/xy-md02")
    (fault,) = faults_of(tmp_path, text)
    assert fault.key == 'bus[4] "gps".port'


def test_listeners_on_different_addresses_may_share_a_port(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "tcp_server"\nport = 7700', 'kind = "tcp_server"\nport = 7700\nhost = "10.0.0.1"')
    text = text.replace('kind = "udp"\nport = 7700', 'kind = "tcp_server"\nport = 7700\nhost = "10.0.0.2"')
    load(tmp_path, text)
