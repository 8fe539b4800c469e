"""Every kind of rule, written as it should be, and each of its own rules broken once."""

from pathlib import Path

import pytest

from device_profiles.faults import ConfigError
from device_profiles.model import BitsRule, CombinationRule, MissingRule, Polls
from tests.device_profiles import test_profile_faults as profiles
from tests.device_profiles import test_site_loader as sites

RULES = """
[[rule]]
rule = "rate"
key = "rising"
points = ["temperature"]
alarm = "fire"
severity = "high"
text = { en = "Rising: {label}", zh = "骤升：{label}" }
rises = 8
within_s = 60
deadband = 1
only_combined = true

[[rule]]
rule = "stuck"
key = "dead"
points = ["temperature", "mode"]
alarm = "fault"
severity = "low"
text = { en = "Dead: {label}", zh = "失效：{label}" }
for_s = 3600

[[rule]]
rule = "missing"
key = "gone"
points = ["energy"]
alarm = "fault"
severity = "low"
text = { en = "Gone: {label}", zh = "缺数：{label}" }
for_s = 120

[[rule]]
rule = "bits"
key = "state"
points = ["level"]
alarm = "fault"
severity = "low"
text = { en = "{label}: {flag}", zh = "{label}：{flag}" }
  [[rule.flag]]
  key = "battery"
  bit = 2
  text = { en = "battery flat", zh = "电池亏电" }
  [[rule.flag]]
  key = "case"
  bit = 3
  text = { en = "case open", zh = "机箱打开" }
  alarm = "tamper"
  severity = "high"

[[rule]]
rule = "contact"
key = "ajar"
points = ["door"]
alarm = "door"
severity = "low"
text = { en = "Ajar: {label}", zh = "虚掩：{label}" }
polls = { seen = 2, of = 3 }
latching = true
action = { point = "relay", value = true, reset_value = false, for_s = 30 }

[[rule]]
rule = "combination"
key = "fire"
alarm = "fire"
severity = "critical"
text = { en = "Fire: {label}", zh = "火警：{label}" }
all_of = ["rising", "door/ajar", "state.battery"]
within_s = 30
"""

GOOD = profiles.GOOD.replace("\n[[capture]]", f"{RULES}\n[[capture]]", 1)

BROKEN = [
    (
        "within_s = 60",
        "within_s = 10",
        'rule[3] "rising".within_s',
        '10.0 s is not longer than the reading period of "tem',
    ),
    ("within_s = 60", "", 'rule[3] "rising".within_s', "is missing"),
    ("rises = 8", "", 'rule[3] "rising".rises', "exactly one of rises and falls must be given"),
    ("rises = 8", "rises = 8\nfalls = 8", 'rule[3] "rising".rises', "exactly one of rises and falls must be given"),
    ("rises = 8", "rises = 0", 'rule[3] "rising".rises', "out of limits: > 0"),
    ("deadband = 1\n", "deadband = 8\n", 'rule[3] "rising".deadband', "8.0 is no less than the change itself, 8.0"),
    (
        'alarm = "fire"\nseverity = "high"',
        'alarm = "panic"\nseverity = "high"',
        'rule[3] "rising".alarm',
        "a panic alarm comes",
    ),
    (
        "for_s = 3600",
        "for_s = 3600\ntolerance = 1",
        'rule[4] "dead".points',
        '"mode" gives a word, the rule needs a number',
    ),
    (
        "for_s = 120",
        "for_s = 5",
        'rule[5] "gone".for_s',
        '5.0 s is not longer than the reading period of "energy", 10.0 s',
    ),
    ('points = ["level"]', 'points = ["temperature"]', 'rule[6] "state".points', '"temperature" is no raw number'),
    ('points = ["level"]', 'points = ["door"]', 'rule[6] "state".points', "gives a state, the rule needs a number"),
    ("bit = 3", "bit = 4", 'rule[6] "state".flag', 'bit 4 leaves "level", which has 4 bits'),
    ("bit = 3", "bit = 2", 'rule[6] "state".flag[2] "case".bit', 'bit 2 is taken by flag "battery"'),
    ('key = "case"', 'key = "battery"', 'rule[6] "state".key', '"state.battery" watches point "level" in line'),
    ('key = "case"', f'key = "{"c" * 60}"', 'rule[6] "state".key', "is too long for an id"),
    ('zh = "机箱打开"', 'zh = ""', 'rule[6] "state".flag[2] "case".text.zh', "texts are written in en, zh"),
    (
        'en = "case open"',
        'en = "{label}"',
        'rule[6] "state".flag[2] "case".text.en',
        '"label" is no placeholder; allowed: -',
    ),
    (
        '{ en = "Gone: {label}"',
        '{ en = "{flag}"',
        'rule[5] "gone".text.en',
        '"flag" is no placeholder; allowed: {label}',
    ),
    ('points = ["level"]', 'points = ["level"]\nmask = 1', 'rule[6] "state".mask', "exactly one of mask and flag"),
    (
        'points = ["level"]',
        'points = ["level"]\non_delay_s = 1',
        'rule[6] "state".on_delay_s',
        "a tamper alarm is never held back",
    ),
    ("polls = { seen = 2, of = 3 }", "polls = { seen = 4, of = 3 }", 'rule[7] "ajar".polls', "4 of 3 readings"),
    ('alarm = "door"', 'alarm = "panic"', 'rule[7] "ajar".polls', "a panic alarm is never held back; allowed: 1"),
    ('{ point = "relay"', '{ point = "rely"', 'rule[7] "ajar".action.point', 'no point "rely"; did you mean relay?'),
    (
        '{ point = "relay"',
        '{ point = "mode"',
        'rule[7] "ajar".action.point',
        '"mode" cannot be written; points that can: relay',
    ),
    (
        '["door"]\nalarm = "door"',
        '["relay"]\nalarm = "door"',
        'rule[7] "ajar".action.point',
        '"relay" is watched by this',
    ),
    (
        '{ point = "relay"',
        '{ device = "x", point = "relay"',
        'rule[7] "ajar".action.device',
        "a profile knows no other device",
    ),
    ("value = true, reset", "value = 2, reset", 'rule[7] "ajar".action.value', "is not true or false"),
    ("reset_value = false", 'reset_value = "off"', 'rule[7] "ajar".action.reset_value', "is not true or false"),
    ("reset_value = false, ", "", 'rule[7] "ajar".action.for_s', "needs reset_value"),
    ('all_of = ["rising", ', 'all_of = ["risng", ', 'rule[8] "fire".all_of', 'no rule "risng"; did you mean rising?'),
    ('all_of = ["rising", ', 'all_of = ["fire", ', 'rule[8] "fire".all_of', 'no rule "fire"'),
    ('all_of = ["rising", ', 'all_of = ["state.battery", ', 'rule[8] "fire".all_of', 'names "state.battery" twice'),
    (
        'all_of = ["rising", ',
        'any_of = ["gone"]\nall_of = ["rising", ',
        'rule[8] "fire".all_of',
        "exactly one of all_of and any_of",
    ),
    (
        'alarm = "fire"\nseverity = "critical"',
        'alarm = "panic"\nseverity = "critical"',
        'rule[8] "fire".alarm',
        "never a panic alarm",
    ),
]


def test_every_kind_of_rule_can_be_written(tmp_path: Path) -> None:
    rules = {rule.key: rule for rule in profiles.load(tmp_path, GOOD).rule}
    assert isinstance(rules["state"], BitsRule)
    assert [flag.bit for flag in rules["state"].flag] == [2, 3]
    assert isinstance(rules["fire"], CombinationRule)
    assert rules["fire"].members == ("rising", "door/ajar", "state.battery")
    assert getattr(rules["ajar"], "polls", None) == Polls(2, 3)
    assert rules["ajar"].action is not None
    assert isinstance(rules["gone"], MissingRule)


@pytest.mark.parametrize(("good", "bad", "key", "said"), BROKEN, ids=[f"{row[2]}-{row[3][:24]}" for row in BROKEN])
def test_a_broken_rule_is_a_fault_at_its_key(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert GOOD.count(good) >= 1
    faults = {fault.key: str(fault) for fault in profiles.faults_of(tmp_path, GOOD.replace(good, bad, 1))}
    assert key in faults
    assert said in faults[key]


SITE = """
[[device.rule]]
rule = "contact"
key = "loud"
points = ["button_1"]
alarm = "panic"
severity = "critical"
text = { en = "Panic: {label}", zh = "报警：{label}" }
action = { device = "dormitory", point = "output_1", value = true, reset_value = false }

[[rule]]
rule = "combination"
key = "school"
alarm = "panic-many"
severity = "critical"
text = { en = "Several buttons: {label}", zh = "多处报警：{label}" }
all_of = ["gate/panic", "dormitory/button_1/panic"]
within_s = 60
action = { device = "dormitory", point = "output_2", value = true }

[[drill]]
from = 2026-05-12T10:00:00+08:00
to = 2026-05-12T11:00:00+08:00
devices = ["gate"]
note = "5.12"
"""

GOOD_SITE = sites.GOOD.replace(
    'id = "dormitory"\nbus = "lan"',
    f'id = "hut"\nbus = "lan"\nunit = 9\nprofile = "zlan/zlan6842"\n{SITE}\n[[device]]\nid = "dormitory"\nbus = "lan"',
)

BROKEN_SITE = [
    (
        'device = "dormitory", point = "output_1"',
        'device = "dormitry", point = "output_1"',
        "action.device",
        'no device "dormitry"',
    ),
    ('point = "output_1"', 'point = "button_1"', "action.point", '"button_1" cannot be written'),
    ('"gate/panic"', '"gate/panik"', "all_of", 'no rule "gate/panik"; did you mean gate/panic'),
    ('"gate/panic"', '"gate/button_2/panic"', "all_of", 'no rule "gate/button_2/panic"'),
    (
        'device = "dormitory", point = "output_2"',
        'point = "output_2"',
        "action.device",
        "is missing; devices: gate, climate",
    ),
    ("from = 2026-05-12T10:00:00+08:00", "from = 2026-05-12T10:00:00", "drill[1].from", "needs a time zone"),
    ("to = 2026-05-12T11:00:00+08:00", "to = 2026-05-12T10:00:00+08:00", "drill[1].to", "a drill ends after it begins"),
    ("to = 2026-05-12T11:00:00+08:00", "to = 2026-05-14T11:00:00+08:00", "drill[1].to", "within 24 hours"),
    ("to = 2026-05-12T11:00:00+08:00", "to = 11", "drill[1].to", "cannot be 11"),
    ('devices = ["gate"]', 'devices = ["gat"]', "drill[1].devices", 'no device "gat"'),
    ('devices = ["gate"]', "devices = []", "drill[1].devices", "is empty; devices: gate"),
]


def test_a_site_has_combinations_across_devices_and_drills(tmp_path: Path) -> None:
    site = sites.load(tmp_path, GOOD_SITE)
    assert [rule.members for rule in site.file.rule] == [("gate/panic", "dormitory/button_1/panic")]
    (drill,) = site.file.drill
    assert (drill.ends - drill.begins).total_seconds() == 3600
    assert (drill.devices, drill.note) == (("gate",), "5.12")


@pytest.mark.parametrize(("good", "bad", "key", "said"), BROKEN_SITE, ids=[row[3] for row in BROKEN_SITE])
def test_a_broken_rule_of_a_site_is_a_fault(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert GOOD_SITE.count(good) == 1
    faults = sites.faults_of(tmp_path, GOOD_SITE.replace(good, bad))
    (fault,) = (fault for fault in faults if fault.key.endswith(key))
    assert said in str(fault)


OWN = 'id = "own"\nbus = "line-1"\nunit = 7\nprofile = "acme/pm3"\n'


def own_site(tmp_path: Path, wishes: str) -> list[str]:
    """A device of the profile above, with these wishes; its rules, or what is wrong."""
    profile = tmp_path / "acme" / "pm3.toml"
    profile.parent.mkdir()
    profile.write_text(GOOD, "utf-8")
    text = f"{sites.GOOD}\n[[device]]\n{OWN}{wishes}"
    try:
        site = sites.load(tmp_path, text, profiles=tmp_path)
    except ConfigError as error:
        return [str(fault).partition(": ")[2] for fault in error.faults]
    return [rule.key for rule in site.devices["line-1"][-1].profile.rule]


@pytest.mark.parametrize(
    ("wishes", "result"),
    [
        ("", ["hot", "opened", "rising", "dead", "gone", "state", "ajar", "fire"]),
        ('use = ["energy"]', ["gone"]),
        ('use = ["temperature", "level"]', ["hot", "rising", "dead", "state"]),
        (
            'use = ["door", "energy"]',
            ['device[5] "own".use: leaves out "relay", which rule "ajar" of the profile switches'],
        ),
        (
            "every_s = { energy = 300 }",
            ['device[5] "own".every_s.energy: 300.0 s is not shorter than the 120.0 s that rule "gone" needs'],
        ),
    ],
)
def test_what_a_site_leaves_of_the_rules(tmp_path: Path, wishes: str, result: list[str]) -> None:
    assert own_site(tmp_path, wishes) == result


def test_a_combination_of_any_keeps_what_is_left(tmp_path: Path) -> None:
    wishes = 'use = ["energy", "level"]\n[[device.rule]]\nrule = "combination"\nkey = "fire"\nalarm = "x"\n'
    wishes += 'severity = "low"\ntext = { en = "x", zh = "x" }\nany_of = ["gone", "state.case"]\n'
    assert own_site(tmp_path, wishes) == ["gone", "state", "fire"]
    (tmp_path / "acme" / "pm3.toml").unlink()
    (tmp_path / "acme").rmdir()
    (fault,) = own_site(tmp_path, wishes.replace('"state.case"', '"dead"'))
    assert fault.startswith('device[5] "own".rule[1] "fire".any_of: no rule "dead"')
