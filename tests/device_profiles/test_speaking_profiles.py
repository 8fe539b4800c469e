"""The catalogue's profiles with a grammar: every capture in pieces, foreign peers, and bytes that are none."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import NMEAMessage, NMEAReader

from contract.telemetry import Value
from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.model import Capture, Language, Profile
from device_profiles.speech.framing import Framed
from device_profiles.speech.grammar import MAX_REPEATS
from device_profiles.speech.said import Moment, Said, Speech
from tests.device_profiles.grammar_rig import heard_by, speech_of

PROFILES = {
    profile.profile: profile
    for profile in map(load_profile, list_profiles())
    if profile.speaks is not None and profile.speaks.language is Language.GRAMMAR
}
CAPTURES = [
    pytest.param(profile, capture, id=f"{profile.profile}-{number}")
    for profile in PROFILES.values()
    for number, capture in enumerate(profile.capture, start=1)
]


def bytes_of(capture: Capture) -> bytes:
    return bytes.fromhex(capture.bytes) if capture.bytes else capture.text.encode()


def goods_of(profile: Profile) -> list[bytes]:
    return [bytes_of(capture) for capture in profile.capture]


def test_the_catalogue_has_devices_that_speak_by_themselves() -> None:
    assert set(PROFILES) >= {
        "alarmdecoder/ad2", "generic/nmea-gps", "generic/rdm6300", "gill/windsonic", "ingics/igs", "nova/sds011",
        "plantower/pms5003", "scantech/rft500", "sonoff/rf-bridge",
    }  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_proved_by_a_capture(name: str) -> None:
    assert PROFILES[name].capture


@pytest.mark.parametrize(("profile", "capture"), CAPTURES)
def test_a_capture_gives_the_same_whole_byte_by_byte_and_among_others(profile: Profile, capture: Capture) -> None:
    data = bytes_of(capture)
    whole = heard_by(speech_of(profile), data)
    assert whole
    assert not any(said.refused for said in whole)
    one_by_one = speech_of(profile)
    assert [said for byte in data for said in heard_by(one_by_one, bytes([byte]))] == whole
    for cut in range(1, len(data)):
        speech = speech_of(profile)
        assert [*heard_by(speech, data[:cut]), *heard_by(speech, data[cut:])] == whole
    for other in goods_of(profile):
        if other != data:
            assert heard_by(speech_of(profile), other + data)[-len(whole) :] == whole


def fed(speech: Speech, data: bytes, now: float) -> list[Said]:
    """Fed in pieces, the clock moving on by a day at the end: whatever waited is given up."""
    said = [one for at in range(0, len(data), 700) for one in speech.hear(data[at : at + 700], Moment(now))]
    return said + speech.tick(Moment(now + 86_400.0))


@pytest.mark.parametrize("name", PROFILES)
def test_random_bytes_raise_nothing_and_the_next_good_frame_is_read(name: str) -> None:
    random, profile = Random(7), PROFILES[name]  # noqa: S311 - noise, not a secret
    speech = speech_of(profile)
    fed(speech, random.randbytes(50_000), 0.0)
    for number, good in enumerate(goods_of(profile)):
        at = 200_000.0 * (number + 1)
        fed(speech, random.randbytes(500), at)
        assert speech.hear(good, Moment(at + 90_000.0)) == heard_by(speech_of(profile), good)
    assert len(speech._deframer._rest) == 0
    assert len(speech._repeats) <= MAX_REPEATS


@pytest.mark.parametrize("name", PROFILES)
def test_mutated_frames_raise_nothing_and_the_next_good_frame_is_read(name: str) -> None:
    random, profile = Random(8), PROFILES[name]  # noqa: S311 - noise, not a secret
    speech, goods = speech_of(profile), goods_of(profile)
    for number in range(200):
        bad = mutated(random, random.choice(goods))
        good = random.choice(goods)
        at = 200_000.0 * number
        fed(speech, bad, at)
        assert speech.hear(good, Moment(at + 90_000.0)) == heard_by(speech_of(profile), good)


def mutated(random: Random, good: bytes) -> bytes:
    data = bytearray(good)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data)) if data else 0
        match random.randrange(4):
            case 0 if data:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at:at] = random.randbytes(random.randrange(1, 4))
            case 2:
                del data[at : at + random.randrange(1, 6)]
            case _:
                data[at:at] = data[: random.randrange(len(data) + 1)]
    return bytes(data)


def test_every_event_bit_of_a_tag_is_told() -> None:
    """Bits of byte 6, by igsparser/msd.py; the first iBS01 and iBS02 to iBS05 between them have them all."""
    told: dict[int, tuple[set[str], bool | None, bool | None]] = {}
    for bit in range(7):
        code, subtype = ("83BC", "16") if bit == 3 else ("83BC", "02") if bit > 3 else ("80BC", "FF")
        line = (
            f"$GPRP,EAC653D3AA8E,CCB97E7361A4,-44,02010612FF0D00{code}2901{1 << bit:02X}AAAAFFFF0000{subtype}000000\r\n"
        )
        (said,) = heard_by(speech_of("ingics/igs"), line.encode())
        (heard,) = said.heard
        (tag,) = heard.sightings
        told[bit] = ({report.rule for report in heard.reports}, tag.is_pressed, tag.is_moving)
    assert told == {
        0: (set(), True, False),
        1: (set(), False, True),
        2: ({"hall"}, False, False),
        3: ({"fall"}, False, False),
        4: ({"pir"}, False, None),
        5: ({"infrared"}, False, None),
        6: ({"input"}, False, None),
    }


@pytest.mark.parametrize(
    ("line", "reports"),
    [
        ("!LRR:008,1,CID_1441,ff", []),
        ("!LRR:005,1,CID_1100,10", [("zone-005", "fire", True)]),  # the report code replaces the last two digits
        ("!LRR:005,1,CID_3110,00", [("zone-005", "fire", False)]),
        ("!LRR:005,1,CID_1130,ff", [("zone-005", "burglary", True)]),
        ("!EXP:07,01,00", [("exp-7-1", "open", False)]),
    ],
)
def test_panel_events_by_contact_id(line: str, reports: list[tuple[str, str, bool]]) -> None:
    (said,) = heard_by(speech_of("alarmdecoder/ad2"), f"{line}\r\n".encode())
    assert [(report.point, report.rule, report.is_on) for report in said.heard[0].reports] == reports


@pytest.mark.parametrize(
    ("status", "on"),
    [("80", "loop-1"), ("20", "loop-2"), ("10", "loop-3"), ("40", "loop-4"), ("02", "battery"), ("04", "")],
)
def test_bits_of_a_radio_detector(status: str, on: str) -> None:
    (said,) = heard_by(speech_of("alarmdecoder/ad2"), f"!RFX:0180036,{status}\r\n".encode())
    assert {report.rule for report in said.heard[0].reports if report.is_on} == ({on} if on else set())


def readings(data: bytes) -> tuple[dict[str, Value], int | None]:
    (said,) = heard_by(speech_of("generic/nmea-gps"), data)
    return dict(said.heard[0].values), said.heard[0].at_us


LATITUDE, LONGITUDE = st.floats(-89.9999, 89.9999), st.floats(-179.9999, 179.9999)
TALKER = st.sampled_from(["GP", "GN", "GL", "GB", "BD"])


@given(
    talker=TALKER,
    lat=LATITUDE,
    lon=LONGITUDE,
    knots=st.floats(0, 300),
    course=st.floats(0, 359),
    is_fixed=st.booleans(),
)
def test_positions_of_a_foreign_sender(
    *, talker: str, lat: float, lon: float, knots: float, course: float, is_fixed: bool
) -> None:
    sentence = NMEAMessage(
        talker, "RMC", 0, lat=lat, NS="N" if lat >= 0 else "S", lon=lon, EW="E" if lon >= 0 else "W",
        spd=round(knots, 3), cog=round(course, 2), status="A" if is_fixed else "V", posMode="A",
    ).serialize()  # fmt: skip
    theirs = NMEAReader.parse(sentence)
    ours, at_us = readings(sentence)
    assert ours["fix"] is is_fixed
    if not is_fixed:
        assert ours == {"fix": False}
        return
    assert ours["latitude"] == pytest.approx(theirs.lat, abs=1e-6)
    assert ours["longitude"] == pytest.approx(theirs.lon, abs=1e-6)
    assert ours["speed"] == pytest.approx(theirs.spd * 1852 / 3600, rel=1e-5, abs=1e-9)
    assert ours["course"] == pytest.approx(theirs.cog)
    assert at_us is not None


@pytest.mark.parametrize("quality", range(9))
def test_only_measured_positions_are_taken_from_a_foreign_sender(quality: int) -> None:
    sentence = NMEAMessage(
        "GN", "GGA", 0, lat=31.5, NS="N", lon=121.25, EW="E", quality=quality, numSV=9, HDOP=0.9, alt=12.5, sep=8.0
    ).serialize()
    ours, _ = readings(sentence)
    is_fixed = 1 <= quality <= 5
    assert ours["fix"] is is_fixed
    assert ours["satellites"] == 9
    assert ("latitude" in ours) is is_fixed
    if is_fixed:
        assert (ours["latitude"], ours["longitude"], ours["altitude"]) == (31.5, 121.25, 12.5)


def test_the_framing_agrees_with_the_foreign_reader_on_what_is_broken() -> None:
    speech = speech_of("generic/nmea-gps")
    good = b"$GNGLL,5327.03942,N,00214.42462,W,103607.00,A,A*68\r\n"
    assert isinstance(speech._deframer.feed(good)[0], Framed)
    for at in range(1, len(good) - 5):
        spoilt = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert not any(isinstance(one, Framed) for one in speech._deframer.feed(spoilt))
        speech._deframer.give_up()
