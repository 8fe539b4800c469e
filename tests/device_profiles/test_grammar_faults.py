"""Every rule a declared grammar must keep, broken once: the fault names the key and what is wrong."""

from pathlib import Path

import pytest

from tests.device_profiles.grammar_rig import GOOD, HEAD, LINES_PROFILE, faults_of, loaded

FRAME = "speaks.frame"
LEVEL, HELLO = 'speaks.message[1] "level"', 'speaks.message[2] "hello"'
UNIT, DEPTH, OPEN, LOW, MODE = (
    f'{LEVEL}.field[{number}] "{key}"' for number, key in enumerate(("unit", "level", "open", "low", "mode"), start=1)
)
REPORT = f"{LEVEL}.report[1]"
CRC = 'checksum = { kind = "crc16_modbus", from = 1, to = -3, at = -3, form = "little" }'
ESCAPE = 'escape = { byte = "7D", pairs = { "01" = "7D", "02" = "7E", "03" = "7F" } }'

BROKEN = [
    # frames
    ('start = "7E"', 'start = "7g"', f"{FRAME}.start", '"7g" is not hexadecimal'),
    ('end = "7F"', 'end = ""', f"{FRAME}.end", "never ends"),
    ('end = "7F"', 'end = "7E 7F"', f"{FRAME}.end", "begins like the start"),
    ("max_bytes = 64", "max_bytes = 5000", f"{FRAME}.max_bytes", "<= 4096"),
    ("max_bytes = 64", "max_bytes = 4", f"{FRAME}.checksum.to", "in a frame of 4 bytes"),
    ("max_bytes = 64", 'max_bytes = 64\ntrim = "7E"', f"{FRAME}.trim", "take the start bytes away"),
    ('byte = "7D", pairs', 'byte = "7E", pairs', f"{FRAME}.escape.byte", "is a start or end byte too"),
    ('"02" = "7E"', '"7F" = "7E"', f"{FRAME}.escape.pairs.7F", "would end the frame"),
    ('"02" = "7E", ', "", f"{FRAME}.escape.pairs", "no escape for 7e"),
    ('"02" = "7E"', '"02" = "7D"', f"{FRAME}.escape.pairs.02", "two escapes"),
    ('"02" = "7E"', '"02 03" = "7E"', f"{FRAME}.escape.pairs.02 03", "is not one byte"),
    ("from = 1, to = -3, at = -3", "from = 1, to = -2, at = -3", f"{FRAME}.checksum.to", "not both inside"),
    ("from = 1, to = -3, at = -3", "from = 1, to = -3, at = 64", f"{FRAME}.checksum.to", "not both inside"),
    ("from = 1, to = -3, at = -3", "from = 5, to = 2, at = -3", f"{FRAME}.checksum.to", "not both inside"),
    ('kind = "crc16_modbus"', 'kind = "crc32"', f"{FRAME}.checksum.kind", 'cannot be "crc32"'),
    ('kind = "delimited"', 'kind = "silence"', f"{FRAME}.kind", "allowed: delimited, counted, fixed"),
    # the whole
    ('language = "grammar"', 'language = "dc09"', FRAME, "belongs to the language grammar"),
    ('carriers = ["serial"]', "carriers = []", "speaks.carriers", "is empty"),
    ('carriers = ["serial"]', 'carriers = ["serial", "serial"]', "speaks.carriers", "names one carrier twice"),
    ("[speaks]", '[link]\ntransports = ["rtu"]\n[speaks]', "speaks", "never both"),
    ("[[heard]]", '[[block]]\ntable = "input"\naddress = 0\ncount = 1\n[[heard]]', "block", "with [link]"),
    # messages
    ('starts = "7E 02"', 'starts = "7E"', f"{HELLO}.where", 'could be this message and "level"'),
    ('starts = "7E 02"', 'starts = "7E 01 05"', f"{HELLO}.where", 'could be this message and "level"'),
    ('key = "hello"', 'key = "level"', 'speaks.message[2] "level".key', "taken by another message"),
    ('starts = "7E 02"', 'starts = "start"', f"{HELLO}.starts", "is not hexadecimal"),
    ('starts = "7E 02"', 'starts = "7E 02"\nreply = "6"', f"{HELLO}.reply", "is not hexadecimal"),
    ('starts = "7E 02"', 'starts = "7E 02"\nfields = [1, 2]', f"{HELLO}.fields", "belongs to text"),
    ('source = "page 3"', 'source = " "', f"{HELLO}.source", "is empty"),
    ('address = "unit"', 'address = "uint"', f"{LEVEL}.address", 'no field "uint"'),
    ('address = "unit"', 'address = "open"', f"{LEVEL}.address", "gives a state"),
    ('address = "unit"', 'time = "unit"', f"{LEVEL}.time", "no field with a time"),
    ('address = "unit"', 'where = [{ field = "x", equals = ["1"] }]', f"{LEVEL}.where[1].field", 'no field "x"'),
    ('address = "unit"', 'where = [{ field = "unit", equals = [] }]', f"{LEVEL}.where[1].equals", "is empty"),
    ('address = "unit"', 'sighting = { tag = "unit" }', f"{LEVEL}.sighting.tag", "gives a number"),
    # fields
    ("at = 3\n", "at = 2\n", f"{DEPTH}.at", 'lies on field "unit"'),
    ("bits = { first = 1 }", "bits = { first = 0 }", f"{LOW}.at", 'lies on field "open"'),
    ("bits = { first = 1 }", "bits = { first = 8 }", f"{LOW}.bits", "has 8 bits"),
    ("at = 6\n", "at = 64\n", f"{MODE}.at", "it ends outside"),
    ("at = 6\n", "", f"{MODE}.at", "is missing: u8 needs it"),
    ("at = 6\n", "at = 6\nindex = 1\n", f"{MODE}.index", "has no meaning for u8"),
    ("at = 6\n", 'at = 6\nof = "unit"\n', f"{MODE}.of", "no field of bytes"),
    ('key = "low"\ntype = "u8"', 'key = "low"\ntype = "int"', f"{LOW}.type", "is cut from text"),
    ('key = "low"\ntype = "u8"', 'key = "low"\ntype = "bcd"', f"{LOW}.size", "is missing: bcd needs it"),
    ('key = "low"', 'key = "open"', f'{LEVEL}.field[4] "open".key', "taken by another field"),
    ("scale = 0.1", "scale = 0", f"{DEPTH}.scale", "out of limits"),
    ('heard = "mode"', 'heard = "mood"', f"{MODE}.heard", 'no point "mood"'),
    ('heard = "mode"', 'heard = "open"', f"{MODE}.heard", "is a state, the field gives a word"),
    ('heard = "mode"\n', "", 'heard[3] "mode".key', 'no message fills "mode"'),
    ('values = { 0 = "idle", 1 = "run" }', 'values = { 0 = "idle" }\nscale = 2', f"{MODE}.scale", "meaning for a word"),
    ('values = { 0 = "idle", 1 = "run" }', 'values = { 0 = "i" }\nhex_digits = 2', f"{MODE}.values", "only one of"),
    # reports
    ('on = ["1"]', "on = []", f"{REPORT}.on", "never raised"),
    ('off = ["0"]', 'off = ["1"]', f"{REPORT}.off", "raises it too"),
    ('field = "low"\n', "", f"{REPORT}.field", "is missing"),
    ('point = "unit-{unit}"', 'point = "unit-{u}"', f"{REPORT}.point", "is no placeholder"),
    ('point = "unit-{unit}"', 'point = "unit {unit}"', f"{REPORT}.point", "gives no id"),
    ('point = "unit-{unit}"', 'point = "unit-{"', f"{REPORT}.point", "braces do not match"),
    ('en = "Battery low: {label}"', 'en = "Battery low: {unit}"', f"{REPORT}.text.en", "is no placeholder"),
    ('en = "Battery low: {label}", ', "", f"{REPORT}.text.en", "is missing"),
    ('value = "level"', 'value = "depth"', f"{REPORT}.value", 'no field "depth"'),
    # heard points
    ('kind = "number"\nunit = "m"', 'kind = "number"', 'heard[1] "level".unit', "is missing: a number needs"),
    ('kind = "state"', 'kind = "state"\nunit = "m"', 'heard[2] "open".unit', "no meaning for a state"),
    ("range = [-100, 100]", "range = [100, -100]", 'heard[1] "level".range', "is not below"),
]  # fmt: skip


def test_the_profile_that_is_broken_here_is_good(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD).speaks is not None
    assert loaded(tmp_path, LINES_PROFILE).speaks is not None


@pytest.mark.parametrize(("good", "bad", "key", "said"), BROKEN, ids=[f"{row[2]}-{row[3][:20]}" for row in BROKEN])
def test_a_broken_rule_is_a_fault_at_its_key(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert GOOD.count(good) >= 1
    faults = faults_of(tmp_path, GOOD.replace(good, bad, 1))
    assert key in faults, [str(fault) for fault in faults.values()]
    assert said in str(faults[key])


FIXED = '[speaks.frame]\nkind = "fixed"\nsizes = { "7E 01" = 9, "7E 02" = 5 }\n'
COUNTED = '[speaks.frame]\nkind = "counted"\nstart = "7E"\nat = 2\nadds = 5\n'
OTHER_FRAMES = [
    (FIXED.replace('"7E 02" = 5', '"7E" = 5'), f"{FRAME}.sizes", "different lengths"),
    (FIXED.replace('"7E 02" = 5', '"" = 5'), f"{FRAME}.sizes.", "is empty"),
    (FIXED.replace('"7E 02" = 5', '"7E 02" = 2\nend = "7F"').replace("}", ""), "", "not TOML"),
    (FIXED.replace("= 5 }", '= 2 }\nend = "7F"'), f"{FRAME}.sizes.7E 02", "no room for start and end"),
    (FIXED.replace('"7E 01" = 9', '"7E 01" = 6'), f"{MODE}.at", "it ends outside: the frame has 6 bytes"),
    (FIXED.replace('"7E 02" = 5', '"7E 03" = 5'), f"{HELLO}.starts", "no frame begins like that"),
    (
        FIXED + 'checksum = { kind = "xor", from = 0, to = 8, at = 8 }\n',
        f"{FRAME}.checksum.to",
        "in a frame of 5 bytes",
    ),
    (FIXED + "max_bytes = 8\n", f"{FRAME}.max_bytes", "less than the 9 bytes"),
    (COUNTED.replace('"7E"', '""'), f"{FRAME}.start", "is empty"),
    (COUNTED.replace("at = 2", "at = 0"), f"{FRAME}.at", "inside the 1 start bytes"),
    (COUNTED + "max_bytes = 4\n", f"{FRAME}.adds", "no length gives a frame"),
    ('[speaks.frame]\nkind = "delimited"\nstart = "7E"\nend = "7E"\n', f"{FRAME}.end", "without a checksum"),
]


@pytest.mark.parametrize(("frame", "key", "said"), OTHER_FRAMES, ids=[row[2] for row in OTHER_FRAMES])
def test_other_frames_keep_their_rules(tmp_path: Path, frame: str, key: str, said: str) -> None:
    before, _, after = GOOD.partition("[speaks.frame]")
    faults = faults_of(tmp_path, before + frame + "\n" + after[after.index("[[speaks.message]]") :])
    assert key in faults, [str(fault) for fault in faults.values()]
    assert said in str(faults[key])


LINES_BROKEN = [
    ('where = [{ field = "kind", equals = ["A"] }]', "", 'speaks.message[2] "second".where', 'message and "first"'),
    ('equals = ["A"]', 'equals = ["A", "B"]', 'speaks.message[2] "second".where', 'message and "first"'),
    ("fields = [3, 3]", "fields = [2, 3]", 'speaks.message[3] "third".where', 'message and "first"'),
    ("otherwise = true", "", 'speaks.message[4] "rest".where', 'could be this message and "'),
    ("index = 1\n", "index = 5\n", 'speaks.message[1] "first".field[2] "value".index', "past the last, 2"),
    ("fields = [3, 3]", "fields = [3, 2]", 'speaks.message[1] "first".fields', "fewest and most"),
    ("otherwise = true", "otherwise = true\nrest = true", 'speaks.message[4] "rest".rest', "needs fields"),
    ('type = "decimal"', 'type = "u8"', 'speaks.message[1] "first".field[2] "value".of', "name the field of bytes"),
    ('type = "decimal"', 'type = "nmea_time"', 'speaks.message[1] "first".field[2] "value".date', "needs it"),
    ('key = "third"', 'key = "third"\notherwise = true', 'speaks.message[4] "rest".otherwise', "is that already"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "key", "said"), LINES_BROKEN, ids=[row[3] for row in LINES_BROKEN])
def test_messages_of_text_are_told_apart(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert LINES_PROFILE.count(good) >= 1
    faults = faults_of(tmp_path, LINES_PROFILE.replace(good, bad, 1))
    assert key in faults, [str(fault) for fault in faults.values()]
    assert said in str(faults[key])


def test_a_profile_neither_asks_nor_listens(tmp_path: Path) -> None:
    assert "is missing: a profile has [link]" in str(faults_of(tmp_path, HEAD)["link"])


CAPTURE = """
[[capture]]
bytes = "7E 01 07 00 D7 03 01 C5 02 7F"
address = "7"
readings = { level = 21.5, open = true, mode = "run" }
reports = [{ point = "unit-7", rule = "battery" }]
source = "page 9"
"""
CAPTURES_BROKEN = [
    ("00 D7", "00 D8", "bytes", "is refused: the checksum"),
    ("7E 01 07", "01 07", "bytes", "gives nothing"),
    ("level = 21.5", "level = 21.6", "readings.level", "21.6 is not what the captured bytes give, 21.5"),
    (", open = true", "", "readings.open", "is missing"),
    ("open = true", "open = true, depth = 1.0", "readings.depth", "no reading here"),
    ('address = "7"', 'address = "8"', "address", 'give "7"'),
    ('rule = "battery"', 'rule = "battery", is_on = false', "reports", "is_on = true"),
    ('source = "page 9"', 'source = "page 9"\nsightings = [{ tag = "x" }]', "sightings", "give []"),
    ('source = "page 9"', 'source = "page 9"\nsaid_at = 5', "said_at", "give -"),
    ('source = "page 9"', 'source = "page 9"\ntext = "x"', "bytes", "exactly one of bytes and text"),
    ('source = "page 9"', 'source = "page 9"\nframing = "rtu"', "framing", "with [link]"),
    ('source = "page 9"', 'source = ""', "source", "is empty"),
    ("7E 01 07", "7Z 01 07", "bytes", "is not hexadecimal"),
]


def test_a_true_capture_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD + CAPTURE) == {}


@pytest.mark.parametrize(("good", "bad", "key", "said"), CAPTURES_BROKEN, ids=[row[3] for row in CAPTURES_BROKEN])
def test_a_capture_that_lies_is_a_fault(tmp_path: Path, good: str, bad: str, key: str, said: str) -> None:
    assert CAPTURE.count(good) == 1
    faults = faults_of(tmp_path, GOOD + CAPTURE.replace(good, bad))
    assert f"capture[1].{key}" in faults, [str(fault) for fault in faults.values()]
    assert said in str(faults[f"capture[1].{key}"])
