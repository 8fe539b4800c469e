"""Every rule a profile must keep, broken once: the fault names the key and what is allowed."""

from pathlib import Path

import pytest

from device_profiles.catalogue import load_profile_file
from device_profiles.faults import ConfigError, Fault
from device_profiles.model import Profile

GOOD = """
profile = "acme/pm3"
version = "1"
maker = "Acme"
model = "PM3"
title = { en = "Meter", zh = "表" }
kind = "meter"
sources = ["PM3 manual"]
supervision_s = 60

[link]
transports = ["rtu"]
max_words = 60

[[block]]
table = "input"
address = 0
count = 8

[[point]]
key = "temperature"
name = { en = "Temperature", zh = "温度" }
table = "input"
address = 0
type = "s16"
unit = "Cel"
scale = 0.1
range = [-40, 85]
no_value = [-32768]
source = "page 3"
simulate = { start = 20.0, swing = 5.0 }

[[point]]
key = "energy"
name = { en = "Energy", zh = "电能" }
table = "input"
address = 2
type = "u32_high_first"
unit = "kWh"
source = "page 4"

[[point]]
key = "mode"
name = { en = "Mode", zh = "模式" }
table = "input"
address = 4
type = "u16"
values = { 0 = "idle", 1 = "run" }
source = "page 4"
simulate = { start = "idle" }

[[point]]
key = "door"
name = { en = "Door", zh = "门" }
table = "input"
address = 5
type = "u16"
bits = { first = 0 }
source = "page 4"

[[point]]
key = "level"
name = { en = "Level", zh = "液位" }
table = "input"
address = 5
type = "u16"
bits = { first = 1, count = 4 }
unit = "/"
source = "page 4"

[[point]]
key = "relay"
name = { en = "Relay", zh = "继电器" }
table = "coil"
address = 65535
type = "bit"
writable = true
source = "page 5"

[[rule]]
rule = "threshold"
key = "hot"
points = ["temperature"]
alarm = "temperature"
severity = "high"
text = { en = "Hot: {label}", zh = "过热：{label}" }
above = 60
deadband = 2

[[rule]]
rule = "contact"
key = "opened"
points = ["door"]
alarm = "tamper"
severity = "high"
text = { en = "Door open: {label}", zh = "门开：{label}" }

[[capture]]
framing = "rtu"
request = "01 04 00 00 00 01 31 CA"
reply = "01 04 02 00 C8 B8 A6"
readings = { temperature = 20.0 }
source = "page 6"

[[caveat]]
text = "None known."
source = "page 7"
"""


def load(folder: Path, text: str, *, name: str = "acme/pm3.toml") -> Profile:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return load_profile_file(path)


def faults_of(folder: Path, text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value.faults


def test_the_profile_these_tests_break_is_good(tmp_path: Path) -> None:
    profile = load(tmp_path, GOOD)
    assert [point.key for point in profile.point] == ["temperature", "energy", "mode", "door", "level", "relay"]


SECOND_HOT = """
[[rule]]
rule = "threshold"
key = "hot"
points = ["temperature"]
alarm = "temperature"
severity = "low"
text = { en = "Warm", zh = "温热" }
above = 40
"""

BROKEN = [
    # identity
    (
        'profile = "acme/pm3"',
        'profile = "acme/pm4"',
        "profile",
        '"acme/pm4" is not the file\'s place; allowed: "acme/pm3"',
    ),
    ('maker = "Acme"', 'maker = " "', "maker", "is empty"),
    ('zh = "表"', 'zh = ""', "title.zh", "is missing: texts are written in en, zh"),
    ('sources = ["PM3 manual"]', "sources = []", "sources", "is empty: name the documents"),
    (
        "supervision_s = 60",
        "supervision_s = 10",
        "supervision_s",
        "not longer than the shortest reading period, 10.0 s",
    ),
    ('kind = "meter"', 'kind = "a meter"', "kind", '"a meter" is no id'),
    ('text = "None known."', 'text = ""', "caveat[1].text", "is empty"),
    # link
    ('transports = ["rtu"]', 'transports = ["rut"]', "link.transports[1]", 'cannot be "rut"; did you mean rtu?'),
    ('transports = ["rtu"]', 'transports = ["rtu", "rtu"]', "link.transports", "names one transport twice"),
    ("max_words = 60", "max_words = 126", "link.max_words", "126 is out of limits: >= 1, <= 125"),
    # refused stretches
    ("[[block]]", "[[refused]]", "refused[1]", "could then never be read"),
    (
        "[[block]]",
        '[[refused]]\ntable = "input"\naddress = 7\ncount = 1\n[[block]]',
        "refused[1]",
        "lies on the block",
    ),
    # blocks
    ("count = 8", "count = 3", "block[1]", 'cuts point "energy" apart'),
    ("count = 8", "count = 61", "block[1].count", "61 is more than the device answers at once, 60"),
    ("address = 0\ncount = 8", "address = 65530\ncount = 8", "block[1].count", "ends at 65537"),
    ("address = 0\ncount = 8", "address = 100\ncount = 8", "block[1]", "holds no point"),
    (
        "[[block]]",
        '[[block]]\ntable = "input"\naddress = 4\ncount = 2\n[[block]]',
        "block[2]",
        "lies on the block in line 15",
    ),
    # keys and names
    ('key = "mode"', 'key = "energy"', 'point[3] "energy".key', '"energy" is taken by the point in line 34'),
    ('key = "mode"', 'key = "opMode"', 'point[3] "opMode".key', "is not snake case"),
    ('key = "mode"', 'key = "op.mode"', 'point[3] "op.mode".key', "is not snake case"),
    ('key = "mode"', 'key = "op mode"', 'point[3] "op mode".key', "is no id"),
    ('zh = "模式"', 'de = "Modus"', 'point[3] "mode".name.zh', "is missing: texts are written in en, zh"),
    ('source = "page 3"', 'source = ""', 'point[1] "temperature".source', "is empty"),
    ('source = "page 3"\n', "", 'point[1] "temperature".source', "is missing"),
    # tables, types, addresses
    (
        'type = "u16"\nvalues',
        'type = "bit"\nvalues',
        'point[3] "mode".type',
        "cannot be bit in table input; allowed: u16, s16",
    ),
    ('type = "bit"', 'type = "u16"', 'point[6] "relay".type', "cannot be u16 in table coil; allowed: bit"),
    ('type = "s16"', 'type = "i16"', 'point[1] "temperature".type', 'cannot be "i16"; did you mean'),
    ("address = 65535", "address = 65536", 'point[6] "relay".address', "65536 is out of limits: >= 0, <= 65535"),
    ("address = 2\n", "address = 65535\n", 'point[2] "energy".address', "ends at 65536, past the last address"),
    ('table = "coil"', 'table = "discrete_input"', 'point[6] "relay".writable', "allowed: coil, holding"),
    ("address = 2\n", "address = 3\n", 'point[3] "mode".address', 'lies on point "energy"'),
    (
        "bits = { first = 1, count = 4 }",
        "bits = { first = 0, count = 4 }",
        'point[5] "level".address',
        'lies on point "door"',
    ),
    ("bits = { first = 1, count = 4 }\n", "", 'point[5] "level".address', 'lies on point "door"'),
    # bit fields
    (
        "bits = { first = 1, count = 4 }",
        "bits = { first = 13, count = 4 }",
        'point[5] "level".bits',
        "bits 13 to 16 leave the word; allowed: 0 to 15",
    ),
    (
        'type = "u32_high_first"',
        'type = "f32_high_first"\nbits = { first = 0, count = 2 }',
        'point[2] "energy".bits',
        "f32_high_first has no bit fields",
    ),
    (
        "bits = { first = 0 }",
        "bits = { first = 0 }\nscale = 0.5",
        'point[4] "door".scale',
        "has no meaning for a state",
    ),
    ("bits = { first = 0 }", 'bits = { first = 0 }\nunit = "V"', 'point[4] "door".unit', "has no meaning for a state"),
    # numbers
    (
        'unit = "Cel"',
        'unit = "°C"',
        'point[1] "temperature".unit',
        '"°C" is no SenML unit; did you mean Cel? Allowed: %, %EL',
    ),
    ('unit = "Cel"', 'unit = "cel"', 'point[1] "temperature".unit', '"cel" is no SenML unit; did you mean Cel'),
    ('unit = "Cel"\n', "", 'point[1] "temperature".unit', "is missing: a number needs a SenML unit"),
    (
        "range = [-40, 85]",
        "range = [85, -40]",
        'point[1] "temperature".range',
        "the low end 85.0 is not below the high end -40.0",
    ),
    ("range = [-40, 85]", "range = [-40, nan]", 'point[1] "temperature".range', "nan is not a finite number"),
    ("scale = 0.1", "scale = 0", 'point[1] "temperature".scale', "0.0 is out of limits: 1e-12 to 1e12"),
    ("scale = 0.1", "scale = 0.1\noffset = 1e13", 'point[1] "temperature".offset', "out of limits: -1e12 to 1e12"),
    (
        "scale = 0.1",
        "scale = 0.1\ninvert = true",
        'point[1] "temperature".invert',
        "has no meaning for a number; only for one bit",
    ),
    (
        "no_value = [-32768]",
        "no_value = [0x8000]",
        'point[1] "temperature".no_value',
        "32768 is no raw s16: -32768 to 32767",
    ),
    ('type = "bit"', 'type = "bit"\nno_value = [1]', 'point[6] "relay".no_value', "a bit has no code"),
    # words
    ('0 = "idle"', 'a = "idle"', 'point[3] "mode".values.a', '"a" is no raw u16: 0 to 65535'),
    ('0 = "idle"', '65536 = "idle"', 'point[3] "mode".values.65536', '"65536" is no raw u16: 0 to 65535'),
    ('0 = "idle"', '00 = "idle"', 'point[3] "mode".values.00', '"00" is no raw u16'),
    ("values = {", 'unit = "V"\nvalues = {', 'point[3] "mode".unit', "has no meaning for a word; only for numbers"),
    (
        "values = {",
        "range = [0, 1]\nvalues = {",
        'point[3] "mode".range',
        "has no meaning for a word; only for numbers",
    ),
    (
        'type = "bit"',
        'type = "bit"\nvalues = { 0 = "x" }',
        'point[6] "relay".values',
        "a bit is true or false and has no words",
    ),
    # simulation
    (
        "start = 20.0, swing = 5.0",
        "start = 80.0, swing = 6.0",
        'point[1] "temperature".simulate',
        "would read back as out-of-range",
    ),
    (
        "start = 20.0, swing = 5.0",
        "start = true",
        'point[1] "temperature".simulate.start',
        "cannot be true: the point gives a number",
    ),
    ('start = "idle"', 'start = "stop"', 'point[3] "mode".simulate', '"stop" is none of idle, run'),
    (
        "bits = { first = 0 }",
        "bits = { first = 0 }\nsimulate = { start = false, swing = 1.0 }",
        'point[4] "door".simulate.swing',
        "has no meaning for a state",
    ),
    # rules
    (
        'points = ["temperature"]',
        'points = ["temprature"]',
        'rule[1] "hot".points',
        'no point "temprature"; did you mean temperature?',
    ),
    ('points = ["temperature"]', "points = []", 'rule[1] "hot".points', "is empty; points: temperature, energy"),
    (
        'points = ["temperature"]',
        'points = ["mode"]',
        'rule[1] "hot".points',
        '"mode" gives a word, the rule needs a number; points that do: temperature, energy, level',
    ),
    (
        'points = ["door"]',
        'points = ["energy"]',
        'rule[2] "opened".points',
        "gives a number, the rule needs a state; points that do: door, relay",
    ),
    ('points = ["door"]', 'points = ["door", "door"]', 'rule[2] "opened".points', 'names "door" twice'),
    ("above = 60", "", 'rule[1] "hot".above', "exactly one of above and below"),
    ("above = 60", "above = 60\nbelow = 5", 'rule[1] "hot".above', "exactly one of above and below"),
    ("above = 60", "above = 90", 'rule[1] "hot".above', '90.0 is never passed: "temperature" reads -40.0 to 85.0'),
    ("deadband = 2", "deadband = 101", 'rule[1] "hot".deadband', "the alarm never clears: that takes -41.0"),
    ("deadband = 2", "deadband = -1", 'rule[1] "hot".deadband', "-1 is out of limits: >= 0"),
    (
        'alarm = "tamper"',
        'alarm = "tamper"\non_delay_s = 1',
        'rule[2] "opened".on_delay_s',
        "a tamper alarm is never held back; allowed: 0",
    ),
    (
        'alarm = "tamper"',
        'alarm = "panic"\non_delay_s = 0.1',
        'rule[2] "opened".on_delay_s',
        "a panic alarm is never held back; allowed: 0",
    ),
    (
        'severity = "high"\ntext = { en = "Hot',
        'severity = "hihg"\ntext = { en = "Hot',
        'rule[1] "hot".severity',
        "Allowed: critical, high, medium, low",
    ),
    ('rule = "contact"', 'rule = "kontakt"', 'rule[2] "opened".rule', "Allowed: contact, threshold"),
    (
        'zh = "过热：{label}"',
        'zh = "过热：{lable}"',
        'rule[1] "hot".text.zh',
        '"lable" is no placeholder; allowed: {label}',
    ),
    ('zh = "过热：{label}"', 'zh = "过热：{label"', 'rule[1] "hot".text.zh', "braces do not match"),
    (', zh = "过热：{label}"', "", 'rule[1] "hot".text.zh', "is missing: texts are written in en, zh"),
    (
        '[[rule]]\nrule = "contact"',
        SECOND_HOT + '[[rule]]\nrule = "contact"',
        'rule[2] "hot".key',
        '"hot" watches point "temperature" in line',
    ),
    # captures
    ("B8 A6", "B8 A7", "capture[1].reply", "CRC is b8 a7, the bytes give b8 a6"),
    ("31 CA", "31 CB", "capture[1].request", "no captured frame: CRC is 31 cb"),
    ("01 04 02 00 C8 B8 A6", "01 04 zz", "capture[1].reply", "is not hexadecimal"),
    ("01 04 02 00 C8 B8 A6", "01 84 02 C2 C1", "capture[1].reply", "is not function 4 with 2 bytes of data"),
    ("01 04 00 00 00 01 31 CA", "01 06 00 00 00 01 48 0A", "capture[1].request", "is no read request"),
    ('framing = "rtu"', 'framing = "tcp"', "capture[1].framing", "cannot be tcp; allowed: rtu"),
    (
        "readings = { temperature = 20.0 }",
        "readings = { temperature = 20.1 }",
        "capture[1].readings.temperature",
        "20.1 is not what the captured bytes give, 20.0",
    ),
    (
        "readings = { temperature = 20.0 }",
        "readings = {}",
        "capture[1].readings.temperature",
        "is missing: the captured bytes give 20.0",
    ),
    (
        "readings = { temperature = 20.0 }",
        'readings = { temperature = 20.0, mode = "run" }',
        "capture[1].readings.mode",
        "give no reading here; they give: temperature",
    ),
    ('source = "page 6"', 'source = ""', "capture[1].source", "is empty"),
]


@pytest.mark.parametrize(("good", "bad", "key", "said"), BROKEN, ids=[f"{row[2]}-{row[3][:24]}" for row in BROKEN])
def test_a_broken_rule_is_a_fault_at_its_key(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert GOOD.count(good) >= 1
    text = GOOD.replace(good, bad, 1)
    faults = {fault.key: str(fault) for fault in faults_of(tmp_path, text)}
    assert key in faults
    assert said in faults[key]
    assert faults[key].startswith(str(tmp_path / "acme/pm3.toml") + ":")


ALONE = {
    "title.zh",
    "link.transports[1]",
    'point[1] "temperature".unit',
    'point[1] "temperature".range',
    'rule[1] "hot".points',
    'rule[1] "hot".above',
    "capture[1].reply",
}


@pytest.mark.parametrize(("good", "bad", "key", "said"), [row for row in BROKEN if row[2] in ALONE])
def test_one_mistake_is_one_fault_and_no_flood(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    faults = faults_of(tmp_path, GOOD.replace(good, bad, 1))
    assert [fault.key for fault in faults] == [key]
    assert said in str(faults[0])


def test_mistakes_of_form_and_of_meaning_are_all_listed_by_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace('version = "1"\n', "")
        .replace('unit = "Cel"', 'unit = "C°"')
        .replace('key = "mode"', 'key = "Mode"')
        .replace('type = "bit"', 'typ = "bit"')
        .replace("above = 60", "above = 600")
        .replace('points = ["door"]', 'points = ["dor"]')
        .replace("B8 A6", "B8 A7")
    )
    faults = faults_of(tmp_path, text)
    assert [fault.key for fault in faults] == [
        "version",
        'point[1] "temperature".unit',
        'point[3] "Mode".key',
        'point[6] "relay".type',
        'point[6] "relay".typ',
        'rule[1] "hot".above',
        'rule[2] "opened".points',
    ]
    lines = [fault.line or 0 for fault in faults]
    assert lines == sorted(lines)


def test_a_rule_on_a_point_that_has_faults_is_not_blamed_for_them(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, GOOD.replace('type = "s16"', 'type = "i16"'))
    assert [fault.key for fault in faults] == ['point[1] "temperature".type']


@pytest.mark.parametrize("name", ["Acme/pm3.toml", "acme/PM3.toml", "ac me/pm3.toml"])
def test_the_place_of_a_profile_is_in_small_letters(tmp_path: Path, name: str) -> None:
    place = name.removesuffix(".toml")
    with pytest.raises(ConfigError, match="folder and file are ids in small letters"):
        load(tmp_path, GOOD.replace('profile = "acme/pm3"', f'profile = "{place}"'), name=name)


def test_a_profile_without_points_is_no_profile(tmp_path: Path) -> None:
    head = GOOD.partition("[[block]]")[0]
    assert [fault.key for fault in faults_of(tmp_path, head)] == ["point"]
    assert [fault.key for fault in faults_of(tmp_path, f"point = []\n{head}")] == ["point"]
