"""A profile with a grammar, for tests to break and to feed."""

from pathlib import Path

from device_profiles.catalogue import load_profile, load_profile_file
from device_profiles.faults import ConfigError, Fault
from device_profiles.model import Profile
from device_profiles.speech.framing import Broken, Deframer, Framed
from device_profiles.speech.grammar import GrammarSpeech, make_grammar
from device_profiles.speech.layout import Frame
from device_profiles.speech.said import Moment, Said, Speaker

HEAD = """
profile = "acme/talker"
version = "1"
maker = "Acme"
model = "Talker"
title = { en = "Talker", zh = "主动设备" }
kind = "talker"
sources = ["Talker manual"]
"""

GOOD = (
    HEAD
    + """
[speaks]
language = "grammar"
carriers = ["serial"]

[speaks.frame]
kind = "delimited"
start = "7E"
end = "7F"
max_bytes = 64
escape = { byte = "7D", pairs = { "01" = "7D", "02" = "7E", "03" = "7F" } }
checksum = { kind = "crc16_modbus", from = 1, to = -3, at = -3, form = "little" }

[[speaks.message]]
key = "level"
source = "page 2"
starts = "7E 01"
address = "unit"
reply = "06"

[[speaks.message.field]]
key = "unit"
type = "u8"
at = 2

[[speaks.message.field]]
key = "level"
type = "s16"
at = 3
scale = 0.1
no_value = ["-32768"]
heard = "level"

[[speaks.message.field]]
key = "open"
type = "u8"
at = 5
bits = { first = 0 }
heard = "open"

[[speaks.message.field]]
key = "low"
type = "u8"
at = 5
bits = { first = 1 }

[[speaks.message.field]]
key = "mode"
type = "u8"
at = 6
values = { 0 = "idle", 1 = "run" }
heard = "mode"

[[speaks.message.report]]
field = "low"
on = ["1"]
off = ["0"]
rule = "battery"
point = "unit-{unit}"
alarm = "low-battery"
severity = "low"
text = { en = "Battery low: {label}", zh = "电池电量低：{label}" }
value = "level"

[[speaks.message]]
key = "hello"
source = "page 3"
starts = "7E 02"

[[heard]]
key = "level"
name = { en = "Level", zh = "液位" }
kind = "number"
unit = "m"
range = [-100, 100]
source = "page 2"

[[heard]]
key = "open"
name = { en = "Open", zh = "打开" }
kind = "state"
source = "page 2"

[[heard]]
key = "mode"
name = { en = "Mode", zh = "模式" }
kind = "word"
source = "page 2"
"""
)


def written(folder: Path, text: str) -> Path:
    path = folder / "acme" / "talker.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def loaded(folder: Path, text: str = GOOD) -> Profile:
    return load_profile_file(written(folder, text))


def faults_of(folder: Path, text: str) -> dict[str, Fault]:
    try:
        loaded(folder, text)
    except ConfigError as error:
        return {fault.key: fault for fault in error.faults}
    return {}


def frame_of(profile: Profile | str) -> Frame:
    found = load_profile(profile) if isinstance(profile, str) else profile
    assert found.speaks is not None
    assert found.speaks.frame is not None
    return found.speaks.frame


def speech_of(profile: Profile | str, *addresses: str) -> GrammarSpeech:
    """A conversation with devices of one profile: d0, d1, ... by address; without addresses whoever speaks."""
    found = load_profile(profile) if isinstance(profile, str) else profile
    speakers = [Speaker(device=f"d{number}", address=address) for number, address in enumerate(addresses or ("",))]
    return make_grammar(speakers, profiles={speaker.device: found for speaker in speakers})


def heard_by(speech: GrammarSpeech, data: bytes, now: float = 0.0) -> list[Said]:
    return speech.hear(data, Moment(now))


def frames_in(frame: Frame, *pieces: bytes) -> list[bytes]:
    """The good frames of a stream that comes in these pieces."""
    deframer = Deframer(frame)
    return [one.frame for piece in pieces for one in deframer.feed(piece) if isinstance(one, Framed)]


def broken_in(frame: Frame, data: bytes) -> list[str]:
    return [one.why for one in Deframer(frame).feed(data) if isinstance(one, Broken)]


def crc_by_division(data: bytes, start: int) -> int:
    """CRC-16, polynomial 0x8005, as plain division, most significant bit first, bits reflected in and out."""
    register = start
    for byte in data:
        register ^= int(f"{byte:08b}"[::-1], 2) << 8
        for _ in range(8):
            register = (register << 1) ^ (0x18005 if register & 0x8000 else 0)
    return int(f"{register & 0xFFFF:016b}"[::-1], 2)


def packed(body: bytes) -> bytes:
    """A frame of the talker, by other code than the package's own."""
    whole = body + crc_by_division(body, 0xFFFF).to_bytes(2, "little")
    for byte, code in ((0x7D, 1), (0x7E, 2), (0x7F, 3)):
        whole = whole.replace(bytes([byte]), bytes([0x7D, code]))
    return b"\x7e" + whole + b"\x7f"


LINES_PROFILE = (
    HEAD
    + """
[speaks]
language = "grammar"
carriers = ["serial"]

[speaks.frame]
kind = "delimited"
end = "0A"
trim = "0D"
encoding = "ascii"

[[speaks.message]]
key = "first"
source = "page 2"
fields = [3, 3]
where = [{ field = "kind", equals = ["A"] }]

[[speaks.message.field]]
key = "kind"
type = "word"
index = 0

[[speaks.message.field]]
key = "value"
type = "decimal"
index = 1
heard = "level"

[[speaks.message]]
key = "second"
source = "page 2"
fields = [3, 3]
where = [{ field = "sort", equals = ["B"] }]

[[speaks.message.field]]
key = "sort"
type = "word"
index = 0

[[speaks.message]]
key = "third"
source = "page 2"
fields = [2, 2]

[[speaks.message]]
key = "rest"
source = "page 2"
otherwise = true

[[heard]]
key = "level"
name = { en = "Level", zh = "液位" }
kind = "number"
unit = "m"
source = "page 2"
"""
)
