"""A scenario that names what does not exist is refused with every fault at its line; a good one is understood."""

import re
from pathlib import Path

import pytest

from device_profiles.faults import ConfigError
from edge import own_alarms, supervision
from edge.rules import making
from simulators.scenario import world
from simulators.scenario.loader import load_scenario, shipped
from simulators.scenario.model import BrokerAway, Press
from tests.scenarios.rig import EXPECT, HEAD, SITE, scenario, write


def faults(folder: Path, text: str, *, head: str = HEAD) -> list[str]:
    path = write(folder, text, head=head)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    return [re.sub(r"^.*/(\w+\.toml)", r"\1", str(fault)) for fault in caught.value.faults]


def at(line: str) -> str:
    return f"[[at]]\nt = 1\n{line}\n{EXPECT}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (at('do = "press"\ndevice = "button"\npoint = "button_1"'), "no device"),
        (at('do = "press"\ndevice = "buttons"\npoint = "button_9"'), "no point"),
        (at('do = "press"\ndevice = "climate"\npoint = "temperature"'), "is no button or contact"),
        (at('do = "press"\ndevice = "gw2/buttons"\npoint = "button_1"'), "no device"),
        (at('do = "set"\ndevice = "climate"\npoint = "temperature"\nvalue = "hot"'), "cannot be"),
        (at('do = "set"\ndevice = "lab"\npoint = "analog_3"\nvalue = 1'), "numbers the answers"),
        (at('do = "stick"\ndevice = "climate"\npoint = "wetness"'), "no point"),
        (at('do = "noise"\nbus = "lime"\nrate = 0.5'), "no bus"),
        (at('do = "noise"\nbus = "net"\nrate = 0.5'), "serial line"),
        (at('do = "noise"\nbus = "line"\nrate = 1.5'), "out of limits"),
        (at('do = "wrong-crc"\ndevice = "lab"'), "serial line"),
        (at('do = "unplug"\nbus = "cable"'), "no bus"),
        (at('do = "clock"\ndevice = "climate"\noff_s = 60'), "tells no time"),
        (at('do = "arm"\ntags = ["AA"]\ngateway = "other"'), "no gateway"),
        ('[[expect]]\nwhat = "tag"\ntag = "AA"\nstate = "gone"\n', "allowed: present"),
        ('[[expect]]\nwhat = "tag"\ntag = "AA"\nstate = "left"\ndevice = "bell"\n', "no device"),
        (at('do = "power-cut"\ngateway = "other"'), "no gateway"),
        (at('do = "mode"\nmode = "party"'), "allowed: live, test, drill"),
        (at('do = "mode"\nmode = "drill"\ndevices = ["bell"]'), "no device"),
        (at('do = "earthquake"'), "allowed: press"),
        ('[[at]]\nt = 11\ndo = "broker-away"\n' + EXPECT, "is not within the scenario"),
        ('[[at]]\nt = "06:59"\ndo = "broker-away"\n' + EXPECT, "is not within the scenario"),
        ('[[at]]\nt = "quarter past"\ndo = "broker-away"\n' + EXPECT, "is no time of day"),
        ('[[at]]\nt = 1\nid = "a"\ndo = "broker-away"\n' * 2 + EXPECT, "is taken by the one in line"),
        ('[[drive]]\ndevice = "climate"\nsignal = "weather"\n' + EXPECT, "no signal"),
        ('[[signal]]\nsignal = "sunshine"\nid = "s"\n' + EXPECT, "allowed: constant, day"),
        ('[[signal]]\nsignal = "walk"\nid = "s"\nstart = 1\nstep = 1\nlowest = 5\nhighest = 2\n' + EXPECT, "above"),
        ('[[signal]]\nsignal = "tag"\nid = "s"\nroute = []\n' + EXPECT, "is empty"),
        ('[[signal]]\nsignal = "fire"\nid = "s"\nfrom_m = [0, 0]\nweather = "w"\n' + EXPECT, "no weather"),
        ('[[signal]]\nsignal = "patrol"\nid = "s"\npoints = 3\nevery_s = 1\nmissed = [4]\n' + EXPECT, "no point 4"),
        ('[[expect]]\nwhat = "raised"\ndevice = "bell"\n', "no device"),
        ('[[expect]]\nwhat = "raised"\ndevice = "buttons"\nalarm = "panics"\n', "nothing here raises"),
        ('[[expect]]\nwhat = "raised"\ndevice = "buttons"\nrule = "panics"\n', "no rule"),
        ('[[expect]]\nwhat = "raised"\ndevice = "buttons"\npoint = "button_7"\n', "no point"),
        ('[[expect]]\nwhat = "raised"\nalarm = "volcano"\n', "nothing here raises"),
        ('[[expect]]\nwhat = "raised"\nafter = "dawn"\n', "no event"),
        ('[[expect]]\nwhat = "raised"\nseverity = "extreme"\n', "allowed: critical"),
        ('[[expect]]\nwhat = "raised"\nstored = true\n', "stored = true in [scenario]"),
        ('[[expect]]\nwhat = "raised"\ngateway = "other"\n', "no gateway"),
        ('[[expect]]\nwhat = "count"\nalarm = "panic"\n', "exactly, at_least or at_most"),
        ('[[expect]]\nwhat = "order"\nalarm = "panic"\ndevices = ["buttons"]\n', "no order"),
        ('[[expect]]\nwhat = "order"\nalarm = "panic"\ndevices = ["buttons", "bell"]\n', "no device"),
        ('[[expect]]\nwhat = "nothing-lost"\ndevice = "bell"\n', "no device"),
        ('[[expect]]\nwhat = "value"\ndevice = "climate"\npoint = "humid"\nlowest = 1\n', "no point"),
        ('[[expect]]\nwhat = "value"\ndevice = "climate"\npoint = "humidity"\n', "lowest, highest or equals"),
        ('[[expect]]\nwhat = "gateway"\nstate = "asleep"\n', "allowed: born"),
        ('[[expect]]\nwhat = "miracle"\n', "allowed: raised"),
        ("expect = []\n", "is empty"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused(text: str, said: str, tmp_path: Path) -> None:
    # What stands before the first table must.
    head = text + HEAD if text.startswith("expect") else HEAD
    (fault,) = faults(tmp_path, "" if text.startswith("expect") else text, head=head)
    assert said in fault
    assert re.match(r"scenario\.toml:\d+: \w+", fault), fault


def drive(more: str, *, signal: str = "weather") -> str:
    return f'[[signal]]\nsignal = "{signal}"\nid = "s"\n[[drive]]\nsignal = "s"\n{more}\n{EXPECT}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (drive('device = "climate"\npoint = "temperature"\npart = "warmth"'), "has no part"),
        (drive('device = "buttons"'), "no point of"),
        (drive('device = "buttons"\npoint = "button_1"'), "has several parts"),
        (drive('device = "buttons"\npoint = "button_1"\npart = "rain"'), "is a state, part"),
        (drive('device = "lab"\npoint = "analog_3"\npart = "rain"'), "numbers the answers"),
    ],
)
def test_a_signal_and_what_it_drives_must_fit(text: str, said: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, text)
    assert said in fault


def test_all_faults_are_told_at_once_by_line(tmp_path: Path) -> None:
    text = (
        at('do = "press"\ndevice = "nobody"\npoint = "x"') + '[[expect]]\nwhat = "raised"\nalarm = "volcano"\nx = 1\n'
    )
    found = faults(tmp_path, text)
    lines = [int(fault.split(":")[1]) for fault in found]
    assert len(found) == 3
    assert lines == sorted(lines)


def test_the_faults_of_a_site_are_told_as_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, EXPECT)
    (tmp_path / "site.toml").write_text(SITE.format(gateway="gw").replace('bus = "net"', 'bus = "nt"'), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    (fault,) = caught.value.faults
    assert fault.file.endswith("site.toml")
    assert "no bus" in str(fault)


def test_a_site_written_in_the_scenario_tells_the_scenarios_lines(tmp_path: Path) -> None:
    site = SITE.format(gateway="gw").replace('bus = "net"', 'bus = "nt"')
    head = f"[scenario]\nname = \"test\"\nlength_s = 5\n[[site]]\ntoml = '''{site}'''\n"
    (fault,) = faults(tmp_path, EXPECT, head=head)
    line = next(number for number, text in enumerate((head + EXPECT).splitlines(), 1) if text == 'bus = "nt"')
    assert fault.startswith(f"scenario.toml:{line}: site[1].toml: device[3]")


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("[[site]]", "exactly one of file and toml"),
        ('[[site]]\nfile = "site.toml"\ntoml = "x"', "exactly one of file and toml"),
        ('[[site]]\nfile = "nowhere.toml"', "cannot be read"),
        ('[[site]]\nfile = "site.toml"\n' * 2, "is there twice"),
    ],
)
def test_a_site_must_be_there_once(site: str, said: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, EXPECT, head=f'[scenario]\nname = "test"\nlength_s = 5\n{site}\n')
    assert said in fault


TWO = (
    '[scenario]\nname = "t"\nlength_s = 5\n[[site]]\nfile = "site.toml"\n[[site]]\nfile = "site.toml"\ngateway = "b"\n'
)


def test_a_name_of_several_sites_wants_its_gateway(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, EXPECT, head=TWO)
    assert "write one of gw/buttons, b/buttons" in fault
    (fault,) = faults(tmp_path, '[[at]]\nt = 1\ndo = "power-cut"\n[[expect]]\nwhat = "nothing-lost"\n', head=TWO)
    assert "there are several gateways: gw, b" in fault
    loaded = scenario(tmp_path, '[[expect]]\nwhat = "raised"\ndevice = "b/buttons"\n', head=TWO)
    assert list(loaded.world.sites) == ["gw", "b"]


def test_what_lasts_begins_and_ends_and_times_of_day_are_seconds(tmp_path: Path) -> None:
    head = HEAD.replace('begins = "07:00"', 'begins = "23:00"\nspeed = 1800')
    text = """
[[at]]
t = "01:00"
do = "broker-away"
for_s = 2
[[at]]
id = "press"
t = 5
do = "press"
device = "buttons"
point = "button_1"
for_s = 1
[[expect]]
what = "raised"
after = "press.end"
"""
    loaded = scenario(tmp_path, text, head=head)
    assert [(step.t_s, type(step.action), step.is_end) for step in loaded.steps] == [
        (4.0, BrokerAway, False),
        (5.0, Press, False),
        (6.0, BrokerAway, True),
        (6.0, Press, True),
    ]
    assert loaded.events == {"press": (1, False), "press.end": (1, True)}
    assert loaded.begins_s == 23 * 3600


def test_a_drive_without_a_point_moves_every_point_of_a_parts_name(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, drive('device = "climate"\nat_m = [5, 6]'))
    assert [(one.who.name, one.point, one.part, one.at_m) for one in loaded.driven] == [
        ("climate", "temperature", "temperature", (5.0, 6.0)),
        ("climate", "humidity", "humidity", (5.0, 6.0)),
    ]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_is_in_order(name: str) -> None:
    loaded = load_scenario(shipped()[name])
    assert loaded.file.scenario.name == name
    assert set(loaded.file.scenario.title) == {"en", "zh"}
    assert None not in loaded.lines


def test_the_gateways_own_alarms_are_known() -> None:
    own = {supervision.BUS_LOST, making.HOLD_UP_VERIFIED, *own_alarms.KINDS}
    assert own <= set(world.GATEWAY_ALARMS)
    assert supervision.DEVICE_LOST in world.DEVICE_ALARMS
    assert world.SUPERVISION == supervision.SUPERVISION


READERS = """
[scenario]
name = "readers"
length_s = 5
[[site]]
toml = '''
[gateway]
id = "gw"
site = "x"
[[bus]]
id = "readers"
kind = "tcp_server"
port = 8080
[[device]]
id = "gate"
bus = "readers"
address = "CCB97E7361A4"
profile = "ingics/igs"
'''
[[signal]]
signal = "tag"
id = "EAC653D3AA8C"
route = [[0, 0]]
[[drive]]
device = "gate"
signal = "EAC653D3AA8C"
"""


def test_a_reader_of_tags_hears_the_tag_that_drives_it(tmp_path: Path) -> None:
    text = at('do = "clock"\ndevice = "gate"\noff_s = -5').replace('device = "buttons"', 'device = "gate"')
    loaded = scenario(tmp_path, text, head=READERS)
    assert [one.point for one in loaded.driven] == ["tag-EAC653D3AA8C", "tag-EAC653D3AA8C.moving"]


@pytest.mark.parametrize("do", ['"reboot"\n', '"stick"\npoint = "x"\n'])
def test_what_is_for_devices_that_are_asked_is_refused_for_others(do: str, tmp_path: Path) -> None:
    text = f'[[at]]\nt = 1\ndo = {do}device = "gate"\n[[expect]]\nwhat = "raised"\n'
    (fault,) = faults(tmp_path, text, head=READERS)
    assert "speaks by itself" in fault
