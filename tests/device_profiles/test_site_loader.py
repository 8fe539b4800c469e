"""Loading a site: what a good one becomes, and every way a bad one is refused, all faults at once."""

from pathlib import Path

import pytest

from device_profiles.catalogue import load_profile, profile_files
from device_profiles.faults import ConfigError, Fault
from device_profiles.model import ThresholdRule
from device_profiles.site import RtuBus, Site
from device_profiles.site_loader import load_site

GOOD = """
[gateway]
id = "school-7"
site = "第七中学"

[uplink]
host = "broker.example"
username = "school-7"
password_env = "LANGYAN_PASSWORD"

[[bus]]
kind = "rtu"
id = "line-1"
port = "ttyUSB0"
baud = 19200
parity = "E"

[[bus]]
kind = "tcp"
id = "lan"
host = "192.0.2.10"

[[bus]]
kind = "rtu"
id = "spare"
port = "ttyUSB1"

[[device]]
id = "gate"
bus = "line-1"
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_3"]
labels = { button_1 = "门卫室" }
every_s = { button_3 = 0.5 }

[[device]]
id = "climate"
bus = "line-1"
profile = "generic/xy-md02"
unit = 2
simulate = { count_in = "humidity" }

  [[device.rule]]
  rule = "threshold"
  key = "overheat"
  points = ["temperature"]
  alarm = "temperature"
  severity = "medium"
  text = { en = "Warm: {label}", zh = "温度偏高：{label}" }
  above = 40

[[device]]
id = "weather"
bus = "line-1"
profile = "generic/weather-station"
unit = 3
use = ["temperature", "wind_speed"]

[[device]]
id = "dormitory"
bus = "lan"
profile = "zlan/zlan6842"
"""


def load(folder: Path, text: str, *, profiles: Path | None = None) -> Site:
    path = folder / "site.toml"
    path.write_text(text, "utf-8")
    return load_site(path, profiles=profiles)


def faults_of(folder: Path, text: str, *, profiles: Path | None = None) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, profiles=profiles)
    return caught.value.faults


def test_a_site_has_its_devices_by_bus_in_the_files_order(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD)
    assert {bus: [placed.device.id for placed in devices] for bus, devices in site.devices.items()} == {
        "line-1": ["gate", "climate", "weather"],
        "lan": ["dormitory"],
        "spare": [],
    }
    assert site.path == tmp_path / "site.toml"
    assert site.file.gateway.site == "第七中学"


def test_a_bus_may_run_at_other_settings_than_the_factorys(tmp_path: Path) -> None:
    bus = load(tmp_path, GOOD).file.bus[0]
    assert isinstance(bus, RtuBus)
    assert (bus.baud, bus.parity.value) == (19200, "E")


def test_a_unit_is_the_devices_or_else_the_profiles(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD)
    assert [placed.unit for placed in site.devices["line-1"]] == [1, 2, 3]


def test_points_are_narrowed_to_those_in_use_with_the_sites_periods(tmp_path: Path) -> None:
    gate = load(tmp_path, GOOD).devices["line-1"][0].profile
    assert [(point.key, point.every_s) for point in gate.point] == [("button_1", 0.1), ("button_3", 0.5)]


def test_a_rule_watches_only_points_in_use_and_goes_with_the_last(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD)
    gate, _, weather = (placed.profile for placed in site.devices["line-1"])
    assert [(rule.key, rule.points) for rule in gate.rule] == [("panic", ("button_1", "button_3"))]
    assert [rule.key for rule in weather.rule] == ["gale", "overheat"]


def test_a_rule_of_the_site_takes_the_place_of_the_profiles(tmp_path: Path) -> None:
    climate = load(tmp_path, GOOD).devices["line-1"][1].profile
    (rule,) = climate.rule
    assert isinstance(rule, ThresholdRule)
    assert (rule.key, rule.above, rule.severity.value) == ("overheat", 40.0, "medium")


def test_a_rule_of_the_site_with_a_new_key_is_added(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD.replace('key = "overheat"', 'key = "warm"'))
    assert [rule.key for rule in site.devices["line-1"][1].profile.rule] == ["overheat", "warm"]


def test_a_block_stays_while_one_of_its_points_is_in_use(tmp_path: Path) -> None:
    site = load(tmp_path, GOOD)
    assert site.devices["line-1"][2].profile.block == load_profile("generic/weather-station").block


def test_a_device_that_takes_all_has_the_profile_as_it_is(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).devices["lan"][0].profile == load_profile("zlan/zlan6842")


BROKEN = [
    ('site = "第七中学"', 'site = ""', "gateway.site", "is empty"),
    ('id = "school-7"', 'id = "school 7"', "gateway.id", '"school 7" is no id'),
    ('host = "broker.example"', "prot = 1883", "uplink.prot", "did you mean port? Allowed: alarm_resend_s"),
    ('"LANGYAN_PASSWORD"', '"s3cret!"', "uplink.password_env", "the password itself does not belong here"),
    ('username = "school-7"\n', "", "uplink.username", "a password needs a username"),
    ("[uplink]", '[outbox]\npath = ""\n[uplink]', "outbox.path", "is empty"),
    ("[uplink]", "[outbox]\nmax_bytes = 1\n[uplink]", "outbox.max_bytes", "1 is out of limits: >= 65536"),
    # buses
    ('id = "lan"', 'id = "line-1"', 'bus[2] "line-1".id', '"line-1" is taken by the bus in line 13'),
    ('port = "ttyUSB1"', 'port = "./ttyUSB0"', 'bus[3] "spare".port', 'is taken by bus "line-1"'),
    ('port = "ttyUSB1"', 'port = ""', 'bus[3] "spare".port', "is empty"),
    ('kind = "tcp"', 'kind = "pigeon"', 'bus[2] "lan".kind', 'cannot be "pigeon"; allowed: rtu, tcp'),
    ("baud = 19200", "baud = 110", 'bus[1] "line-1".baud', "110 is out of limits: >= 300, <= 4e+06"),
    (
        '[[bus]]\nkind = "rtu"\nid = "spare"\nport = "ttyUSB1"',
        '[[bus]]\nkind = "tcp"\nid = "spare"\nhost = "192.0.2.10"',
        'bus[3] "spare".host',
        '192.0.2.10:502 is taken by bus "lan"; several devices share one bus',
    ),
    # devices
    ('id = "climate"', 'id = "gate"', 'device[2] "gate".id', '"gate" is taken by the device in line 29'),
    ('id = "climate"', 'id = "gateway"', 'device[2] "gateway".id', "is the gateway's own"),
    ('id = "climate"', 'id = "gateway.line-1"', 'device[2] "gateway.line-1".id', "is the gateway's own"),
    (
        'bus = "lan"',
        'bus = "lan1"',
        'device[4] "dormitory".bus',
        'no bus "lan1"; did you mean lan, line-1? Buses: lan, line-1, spare',
    ),
    (
        'bus = "lan"',
        'bus = "line-1"\nunit = 2',
        'device[4] "dormitory".unit',
        'unit 2 on bus "line-1" is taken by device "climate"',
    ),
    ("unit = 2\n", "", 'device[2] "climate".unit', 'unit 1 on bus "line-1" is taken by device "gate"'),
    ("unit = 2\n", "unit = 0\n", 'device[2] "climate".unit', "0 is out of limits: >= 1, <= 255"),
    (
        '"generic/xy-md02"',
        '"generic/xy-md2"',
        'device[2] "climate".profile',
        "did you mean generic/xy-md02",
    ),
    ('"generic/xy-md02"', '"../site"', 'device[2] "climate".profile', 'no profile "../site"'),
    (
        'bus = "line-1"\nprofile = "generic/xy-md02"',
        'bus = "lan"\nprofile = "generic/xy-md02"',
        'device[2] "climate".bus',
        'bus "lan" is tcp, profile "generic/xy-md02" speaks rtu',
    ),
    (
        '["button_1", "button_3"]',
        '["button_1", "botton_3"]',
        'device[1] "gate".use',
        'no point "botton_3"; did you mean button_',
    ),
    ('["button_1", "button_3"]', '["button_1", "button_1"]', 'device[1] "gate".use', 'names "button_1" twice'),
    ('["button_1", "button_3"]', "[]", 'device[1] "gate".use', "is empty; points: button_1"),
    (
        '["button_1", "button_3"]',
        '["output_1"]',
        'device[1] "gate".every_s',
        "no point in use is read within the 10.0 s",
    ),
    (
        "{ button_3 = 0.5 }",
        "{ button_9 = 0.5 }",
        'device[1] "gate".every_s.button_9',
        'no point "button_9"; did you mean',
    ),
    ("{ button_3 = 0.5 }", "{ button_3 = 0 }", 'device[1] "gate".every_s.button_3', "0 is out of limits: >= 0.01"),
    ('{ button_1 = "门卫室" }', '{ buton_1 = "门卫室" }', 'device[1] "gate".labels.buton_1', 'no point "buton_1"'),
    (
        'count_in = "humidity"',
        'count_in = "humid"',
        'device[2] "climate".simulate.count_in',
        'no point "humid"; did you mean humidity?',
    ),
    (
        '[[device]]\nid = "climate"',
        'simulate = { count_in = "button_1" }\n[[device]]\nid = "climate"',
        'device[1] "gate".simulate.count_in',
        '"button_1" cannot count: that takes a whole number in registers; points that do: -',
    ),
    # rules of the site
    (
        'points = ["temperature"]',
        'points = ["temprature"]',
        'device[2] "climate".rule[1] "overheat".points',
        'no point "temprature"; did you mean temperature?',
    ),
    ("above = 40", "above = 400", 'device[2] "climate".rule[1] "overheat".above', "400.0 is never passed"),
    ("above = 40", "", 'device[2] "climate".rule[1] "overheat".above', "exactly one of above and below"),
    (
        'rule = "threshold"',
        'rule = "contact"',
        'device[2] "climate".rule[1] "overheat".above',
        "unknown key; allowed: action, alarm, alarm_when, key",
    ),
    (
        'alarm = "temperature"',
        'alarm = "panic"\n  on_delay_s = 2',
        'device[2] "climate".rule[1] "overheat".on_delay_s',
        "a panic alarm is never held back",
    ),
    (', zh = "温度偏高：{label}"', "", 'device[2] "climate".rule[1] "overheat".text.zh', "texts are written in en, zh"),
]


@pytest.mark.parametrize(("good", "bad", "key", "said"), BROKEN, ids=[f"{row[2]}-{row[3][:24]}" for row in BROKEN])
def test_a_broken_rule_is_a_fault_at_its_key_and_line(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert GOOD.count(good) >= 1
    text = GOOD.replace(good, bad, 1)
    faults = {fault.key: fault for fault in faults_of(tmp_path, text)}
    assert key in faults
    assert said in str(faults[key])
    assert str(faults[key]).startswith(f"{tmp_path / 'site.toml'}:{faults[key].line}: ")
    touched = range(len(GOOD.partition(good)[0].splitlines()) - 8, len(text.splitlines()) + 1)
    assert faults[key].line in touched


def test_a_rule_of_the_site_may_watch_only_points_in_use(tmp_path: Path) -> None:
    rule = GOOD.partition("  [[device.rule]]")[2].partition("[[device]]")[0]
    rule = rule.replace('points = ["temperature"]', 'points = ["humidity"]')
    faults = faults_of(
        tmp_path, GOOD.replace('use = ["temperature", "wind_speed"]', f'use = ["wind_speed"]\n[[device.rule]]{rule}')
    )
    assert [fault.key for fault in faults] == ['device[3] "weather".rule[1] "overheat".points']
    assert "points: wind_speed" in str(faults[0])


def test_what_counts_must_be_in_use(tmp_path: Path) -> None:
    text = GOOD.replace(
        'use = ["temperature", "wind_speed"]', 'use = ["temperature"]\nsimulate = { count_in = "rain" }'
    )
    (fault,) = faults_of(tmp_path, text)
    assert str(fault).endswith('count_in: no point "rain"; points: temperature')


def test_a_site_without_a_bus_or_device_table_is_refused(tmp_path: Path) -> None:
    head = GOOD.partition("[[bus]]")[0]
    assert [fault.key for fault in faults_of(tmp_path, head)] == ["bus", "device"]
    empty = faults_of(tmp_path, f"bus = []\ndevice = []\n{head}")
    assert [str(fault).partition(": ")[2] for fault in empty] == ["bus: is empty: a site has at least one bus"]


def test_a_fault_of_a_bus_is_not_reported_again_for_its_devices(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, GOOD.replace('port = "ttyUSB0"\n', ""))
    assert [fault.key for fault in faults] == ['bus[1] "line-1".port']


def test_all_faults_of_the_site_and_of_its_profiles_come_in_one_error(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    own = folder / "generic" / "xy-md02.toml"
    own.parent.mkdir(parents=True)
    text = profile_files()["generic/xy-md02"].read_text("utf-8")
    own.write_text(text.replace('unit = "Cel"', 'unit = "C°"').replace('version = "1"\n', ""), "utf-8")
    site = (
        GOOD.replace('site = "第七中学"', "")
        .replace('id = "dormitory"', 'id = "climate"')
        .replace("button_3 = 0.5", "button_x = 0.5")
        .replace('profile = "generic/weather-station"', 'profile = "generic/weather"')
        + '[[device]]\nid = "second"\nbus = "nowhere"\nprofile = "generic/xy-md02"\nunit = 9\n'
    )
    faults = faults_of(tmp_path, site, profiles=folder)
    found = [(Path(fault.file).name, fault.key) for fault in faults]
    assert found == [
        ("site.toml", "gateway.site"),
        ("site.toml", 'device[1] "gate".every_s.button_x'),
        ("site.toml", 'device[3] "weather".profile'),
        ("site.toml", 'device[4] "climate".id'),
        ("site.toml", 'device[5] "second".bus'),
        ("xy-md02.toml", "version"),
        ("xy-md02.toml", 'point[1] "temperature".unit'),
    ]


def test_a_folder_of_ones_own_profiles_is_searched_first(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    own = folder / "generic" / "xy-md02.toml"
    own.parent.mkdir(parents=True)
    text = profile_files()["generic/xy-md02"].read_text("utf-8")
    own.write_text(text.replace('version = "1"', 'version = "own"'), "utf-8")
    site = load(tmp_path, GOOD, profiles=folder)
    assert [placed.profile.version for placed in site.devices["line-1"]] == ["1", "own", "1"]


def test_a_site_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_site(tmp_path / "none.toml")
