"""Every way the presence of a site file is refused."""

from pathlib import Path

import pytest

from device_profiles.faults import ConfigError
from device_profiles.site import Arming, KnownTag, Weekday
from device_profiles.site_loader import load_site

PROFILE = """
profile = "test/reader"
version = "1"
maker = "t"
model = "t"
title = { en = "reader", zh = "读写器" }
kind = "tag_reader"
sources = ["test"]

[speaks]
language = "dc09"
carriers = ["tcp_server"]
"""
SITE = """
[gateway]
id = "g"
site = "school"

[[bus]]
kind = "tcp_server"
id = "readers"
port = 7001

[[device]]
id = "north"
bus = "readers"
profile = "test/reader"
address = "1"

[[device]]
id = "south"
bus = "readers"
profile = "test/reader"
address = "2"

[[bus]]
kind = "rtu"
id = "line"
port = "ttyUSB0"

[[device]]
id = "door"
bus = "line"
profile = "generic/door-contact"
"""
GOOD = """
[presence]
left_after_s = 60
low_battery_v = 2.4
utc_offset = "+08:00"

[[presence.station]]
readers = ["south", "north"]
name = "school gate"

[[presence.tag]]
id = "CCB97E7361A4"
owner = "EAC653D3AA8E"

[[presence.arming]]
from = 22:00:00
to = 06:00:00
days = ["mon", "sun"]
"""


def check(folder: Path, presence: str) -> list[str]:
    """Load a site with this presence; give what is wrong with it."""
    profiles = folder / "profiles" / "test"
    profiles.mkdir(parents=True)
    (profiles / "reader.toml").write_text(PROFILE, "utf-8")
    path = folder / "site.toml"
    path.write_text(SITE + presence, "utf-8")
    try:
        site = load_site(path, profiles=folder / "profiles")
    except ConfigError as error:
        return [f"{fault.key}: {fault.text.format(**fault.args)}" for fault in error.faults]
    settings = site.file.presence
    assert presence == "" or settings.tag == (KnownTag("CCB97E7361A4", owner="EAC653D3AA8E"),)
    assert presence == "" or isinstance(settings.arming[0], Arming)
    assert presence == "" or settings.arming[0].days == (Weekday.MON, Weekday.SUN)
    return []


@pytest.mark.parametrize("presence", ["", GOOD])
def test_a_good_one(tmp_path: Path, presence: str) -> None:
    assert check(tmp_path, presence) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["south", "north"]', "[]", "station[1].readers: is empty; devices that speak by themselves: north, south"),
        ('["south", "north"]', '["south", "south"]', 'presence.station[1].readers: "south" is in the station of line'),
        ('["south", "north"]', '["door"]', '"door" does not speak by itself; devices that do: north, south'),
        ('["south", "north"]', '["sout"]', 'no device "sout"; did you mean south?'),
        ('["south", "north"]', '["xyz"]', 'no device "xyz"; devices that speak by themselves: north, south'),
        ('id = "CCB97E7361A4"', 'id = "ccb97e7361a4"', '"ccb97e7361a4" never comes: tags are written in capitals'),
        ('owner = "EAC653D3AA8E"', 'owner = "eac6"', '"eac6" never comes'),
        ('owner = "EAC653D3AA8E"', 'owner = "CCB97E7361A4"', "owner: is the tag itself"),
        ('id = "CCB97E7361A4"', f'id = "{"A" * 61}"', "is no id: 1 to 60 of"),
        ("[[presence.arming]]", '[[presence.tag]]\nid = "CCB97E7361A4"\n[[presence.arming]]', "stands in line"),
        ('utc_offset = "+08:00"', "", "presence.utc_offset: is missing: hours of arming are local time"),
        ('utc_offset = "+08:00"', 'utc_offset = "CST"', "presence.utc_offset: cannot be"),
        ("to = 06:00:00", "to = 22:00:00", "to: is the same as from: no time at all"),
        ("from = 22:00:00", 'from = "22:00:00+08:00"', "from: is local time without a zone"),
        ('days = ["mon", "sun"]', "days = []", "days: is empty; leave it out to mean all"),
        ('days = ["mon", "sun"]', 'days = ["monday"]', "cannot be"),
        ('days = ["mon", "sun"]', 'tags = ["abc"]', 'tags: "abc" never comes'),
        ("left_after_s = 60", "left_after_s = 0", "presence.left_after_s: 0 is out of limits"),
        ("left_after_s = 60", "leaves_after_s = 0", "presence.leaves_after_s: unknown key; did you mean left_after_s"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    faults = check(tmp_path, GOOD.replace(old, new))
    assert any(said in fault for fault in faults), faults
