"""The beginning of a new profile: every key explained, nothing decided; `langyan profile check` names what is left."""

import os
from pathlib import Path

from device_profiles.catalogue import CATALOGUE, profile_place

SCHEMA_FILE = CATALOGUE.parent / "schemas" / "profile.schema.json"
"""The committed JSON Schema, for editors."""

_HEAD = """\
#:schema {schema}
# What it is, in a sentence; and what somebody who wires it must know first.
profile = "{profile}"
version = "1" # raise it whenever a point, a rule or the link changes
maker = ""
model = "" # as on the label
title = {{ en = "", zh = "" }}
kind = "" # panic-button, smoke-detector, climate-sensor, weather-station, ... : what the catalogue has, if it fits
supervision_s = 60 # silence after which the device counts as lost
tested_on = [] # real hardware and firmware that this file was tried on; empty says honestly: none
sources = [""] # the documents everything is taken from
"""
_ASKED = """
[link]
transports = ["rtu"] # rtu, tcp
unit = 1 # factory unit id
baud = 9600
parity = "N" # N, E, O
stop_bits = 1
timeout_s = 0.5 # how long an answer may take; a mute unit costs its line so much

# One such table for each value that somebody will look at.
[[point]]
key = "temperature" # snake case; the catalogue's own word where it has one, as one key has one unit everywhere
name = {{ en = "", zh = "" }}
table = "holding" # coil, discrete_input, input, holding: function 1, 2, 4, 3
address = 0 # as on the wire, from 0: what manuals call 40001 is 0 in holding
type = "s16" # bit, u16, s16, and two words: u32_high_first, s32_low_first, f32_high_first, ...
unit = "Cel" # SenML: V, A, W, Cel, %RH, m/s, ppm, ...; count or / where there is none; states have none
scale = 0.1 # value = raw x scale + offset
range = [-40, 85] # believable; outside there is no reading
every_s = 10 # buttons 0.1
source = "" # document and page that say so
simulate = {{ start = 20.0, swing = 5.0, period_s = 3600 }}
"""
_SPEAKS = """
[speaks]
language = "grammar" # grammar, or one that Langyan brings: dc09, jt808, eb_wand, mqtt_json
carriers = ["serial"] # serial, tcp_client (we connect), tcp_server (it connects), udp, mqtt
baud = 9600

# How a frame is found: delimited, counted (with a length) or fixed.
[speaks.frame]
kind = "delimited"
start = "24" # hexadecimal: $
end = "0D 0A"
encoding = "ascii" # the frames are text; leave it out for bytes
max_bytes = 256

# One such table for each kind of message: which frames are it, how they are cut, what they mean.
[[speaks.message]]
key = "climate"
source = "" # document and page that say so
starts = "TH," # behind the start bytes
fields = [1, 1] # how many follow, fewest and most, parted by commas

[[speaks.message.field]]
key = "temperature"
type = "decimal"
index = 0
heard = "temperature" # the point below that it fills

# One such table for each value that somebody will look at.
[[heard]]
key = "temperature" # snake case; the catalogue's own word where it has one, as one key has one unit everywhere
name = {{ en = "", zh = "" }}
kind = "number" # number, state, word
unit = "Cel" # SenML: V, A, W, Cel, %RH, m/s, ppm, ...; count or / where there is none
range = [-40, 85] # believable; outside there is no reading
source = "" # document and page that say so
"""
_RULE = """
# What is an alarm; leave it out where there is none. contact, threshold, rate, bits, stuck, missing, combination.
[[rule]]
rule = "threshold"
key = "overheat"
points = ["temperature"]
alarm = "temperature" # kind of alarm: panic, tamper, smoke, fault, ...
severity = "high" # critical, high, medium, low
text = {{ en = "Temperature too high: {{label}}", zh = "温度过高：{{label}}" }}
above = 55
deadband = 2
on_delay_s = 20

# Bytes that the maker printed or a real device sent, and every reading they give. Never made by yourself.
[[capture]]
"""
_ASKED_CAPTURE = """\
framing = "rtu" # rtu (with CRC), tcp (with MBAP header)
request = ""
reply = ""
"""
_SPOKEN_CAPTURE = """\
text = "" # as it came, with its end; bytes = "" where it is no text, as hexadecimal
"""
_END = """\
readings = {{ temperature = 0.0 }}
source = "" # document and page, or device and date

# One quirk a table; leave it out where none is known.
# [[caveat]]
# text = ""
# source = ""
"""


def new_profile(path: Path, *, is_speaking: bool) -> str:
    """Write the beginning of the profile that will stand at `path`, `<folder>/<maker>/<model>.toml`.

    Args:
        path: where it will stand.
        is_speaking: the device speaks by itself; nobody asks it.
    """
    asked, spoken = (_ASKED, _ASKED_CAPTURE), (_SPEAKS, _SPOKEN_CAPTURE)
    way, capture = spoken if is_speaking else asked
    template = _HEAD + way + _RULE + capture + _END
    return template.format(schema=_schema_for(path), profile=profile_place(path))


def _schema_for(path: Path) -> str:
    """Name the schema from a file: in the catalogue by the way there, elsewhere as a URL."""
    if path.absolute().is_relative_to(CATALOGUE):
        return os.path.relpath(SCHEMA_FILE, path.absolute().parent)
    return SCHEMA_FILE.as_uri()
