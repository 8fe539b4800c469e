"""Heard points are points: rules watch them, a site narrows and labels them; only what needs a register is refused."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from contract.alarms import Severity, Transition
from contract.telemetry import Point, Sample, Value
from device_profiles.catalogue import load_profile
from device_profiles.faults import ConfigError
from device_profiles.model import ContactRule, MissingRule, Profile
from device_profiles.site import Device, PlacedDevice
from device_profiles.site_loader import load_site, narrow_profile
from edge.rules import Judge
from tests.device_profiles.grammar_rig import GOOD, faults_of

US = 1_000_000
TEXT = {"en": "{label}", "zh": "{label}"}
FIRE = "alarmdecoder/ad2"


def judge_of(profile: Profile) -> Judge:
    return Judge("g", [PlacedDevice(Device("d", "bus", profile.profile), profile, 1)], active={})


def fed(judge: Judge, key: str, value: Value, at_s: float) -> list[tuple[str, Transition]]:
    judged = judge.feed(Sample("d", int(at_s * US), (Point(key, value),)), at_s)
    return [(f"{event.point}/{event.rule}", event.transition) for event in judged.events]


def ticked(judge: Judge, at_s: float) -> list[tuple[str, Transition]]:
    events = judge.tick(at_s, int(at_s * US)).events
    return [(f"{event.point}/{event.rule}", event.transition) for event in events]


def test_a_rule_raises_and_clears_what_was_heard() -> None:
    judge = judge_of(load_profile(FIRE))
    assert fed(judge, "fire", False, 1) == []
    assert fed(judge, "fire", True, 2) == [("fire/fire", Transition.RAISED)]
    assert fed(judge, "fire", False, 3) == [("fire/fire", Transition.CLEARED)]


def test_what_was_heard_once_holds_until_the_device_counts_as_lost() -> None:
    """It speaks of changes: after the last word nothing more comes, and the off-delay runs out all the same."""
    rule = ContactRule(key="fire", points=("fire",), alarm="fire", severity=Severity.HIGH, text=TEXT, off_delay_s=30)
    profile = replace(load_profile(FIRE), rule=(rule,))
    judge = judge_of(profile)
    fed(judge, "fire", True, 1)
    fed(judge, "fire", False, 2)
    assert ticked(judge, 31) == []
    assert ticked(judge, 33) == [("fire/fire", Transition.CLEARED)]


def test_a_heard_point_can_be_missing() -> None:
    rule = MissingRule(key="silent", points=("fire",), alarm="fault", severity=Severity.LOW, text=TEXT, for_s=60)
    judge = judge_of(replace(load_profile(FIRE), rule=(rule,)))
    assert fed(judge, "fire", False, 1) == []
    assert ticked(judge, 30) == []
    assert ticked(judge, 62) == [("fire/silent", Transition.RAISED)]


def test_a_site_keeps_the_heard_points_that_it_uses() -> None:
    profile = load_profile(FIRE)
    narrow = narrow_profile(profile, Device("d", "bus", FIRE, use=("fire", "ready")))
    assert [point.key for point in narrow.points] == ["ready", "fire"]
    assert [rule.key for rule in narrow.rule] == ["fire"]


RULE = """
[[rule]]
rule = "{kind}"
key = "r"
points = ["{point}"]
alarm = "fault"
severity = "low"
text = {{ en = "{{label}}", zh = "{{label}}" }}
{more}
"""


@pytest.mark.parametrize(
    ("kind", "point", "more", "key", "said"),
    [
        ("bits", "level", "mask = 1", "points", "it has no raw number"),
        ("contact", "level", "", "points", "gives a number, the rule needs a state"),
        ("threshold", "level", "above = 200", "above", "is never passed"),
        ("contact", "door", "", "points", 'no point "door"'),
        ("contact", "open", 'action = { point = "mode", value = "run" }', "action.point", "cannot be written"),
    ],
)
def test_a_rule_that_a_heard_point_cannot_serve(
    *, tmp_path: Path, kind: str, point: str, more: str, key: str, said: str
) -> None:
    faults = faults_of(tmp_path, GOOD + RULE.format(kind=kind, point=point, more=more))
    assert said in str(faults[f'rule[1] "r".{key}'])


@pytest.mark.parametrize(
    ("kind", "more"), [("rate", "rises = 1\nwithin_s = 0.5"), ("stuck", "for_s = 10"), ("missing", "for_s = 1")]
)
def test_rules_that_need_time_need_no_reading_period(tmp_path: Path, kind: str, more: str) -> None:
    assert faults_of(tmp_path, GOOD + RULE.format(kind=kind, point="level", more=more)) == {}


SITE = """
[gateway]
id = "g"
site = "s"

[[bus]]
id = "panel"
kind = "serial"
port = "/dev/ttyUSB0"
baud = 115200

[[device]]
id = "host"
bus = "panel"
profile = "alarmdecoder/ad2"
labels = { fire = "hall", "zone-099" = "office" }
"""


def site_faults(folder: Path, text: str) -> str:
    path = folder / "site.toml"
    path.write_text(text, "utf-8")
    try:
        load_site(path)
    except ConfigError as error:
        return str(error)
    return ""


def test_zones_that_no_profile_lists_may_have_labels(tmp_path: Path) -> None:
    assert site_faults(tmp_path, SITE) == ""


def test_nobody_reads_a_heard_point_more_often(tmp_path: Path) -> None:
    assert "nobody asks them how often" in site_faults(tmp_path, SITE + "every_s = { fire = 1 }\n")
    assert 'no point "fier"' in site_faults(tmp_path, SITE + 'use = ["fier"]\n')
