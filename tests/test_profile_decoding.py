"""Bytes of a device that is asked, by its profile: frames, refusals, which read they answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.model import Capture, Profile
from langyan.profile_decoding import Reading, Refused, decode

ASKED = [profile for profile in map(load_profile, list_profiles()) if profile.speaks is None]
CAPTURES = [
    pytest.param(profile, capture, id=f"{profile.profile}-{number}")
    for profile in ASKED
    for number, capture in enumerate(profile.capture)
]
CLIMATE = load_profile("generic/xy-md02")
ANSWER = bytes.fromhex("01 04 04 01 31 02 22 2A CE")
ASKED_BY = bytes.fromhex("01 04 00 01 00 02 20 0B")


def refusal(profile: Profile, data: bytes, *, request: bytes = b"") -> str:
    (line,) = decode(profile, data, request=request)
    assert isinstance(line, Refused)
    return line.refused


@pytest.mark.parametrize(("profile", "capture"), CAPTURES)
def test_a_captured_answer_gives_its_readings(profile: Profile, capture: Capture) -> None:
    lines = decode(profile, bytes.fromhex(capture.reply), request=bytes.fromhex(capture.request))
    readings = {line.point: line.value for line in lines if isinstance(line, Reading)}
    assert readings == capture.readings


def test_without_its_request_an_answer_is_that_of_the_only_read_it_fits() -> None:
    assert decode(CLIMATE, ANSWER) == [
        Reading(point="temperature", value=30.5, unit="Cel"),
        Reading(point="humidity", value=54.6, unit="%RH"),
    ]


def test_an_answer_to_a_read_that_only_a_capture_shows_is_found_too() -> None:
    station = load_profile("generic/weather-station")
    lines = decode(station, bytes.fromhex("01 03 04 00 00 00 32 7B E6"))
    assert lines == [Reading(point="illuminance", value=50, unit="lx")]


def test_an_answer_that_fits_several_reads_is_not_guessed() -> None:
    meter, answer = load_profile("eastron/sdm630"), bytes.fromhex("01 04 04 43 66 33 34 1B 38")
    said = refusal(meter, answer)
    assert said.startswith("fits several reads: ")
    assert "input 70+2" in said
    (line,) = decode(meter, answer, request=bytes.fromhex("01 04 00 00 00 02 71 CB"))
    assert line == Reading(point="voltage_1", value=230.20001, unit="V")


def test_what_fits_no_read_says_which_there_are() -> None:
    assert "fits no read of the profile, which has input 1+2" in refusal(CLIMATE, bytes.fromhex("01 03 02 00 01 79 84"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("01 04 04 01 31 02 22 2A CF", "its CRC is 2a cf where the bytes give 2a ce"),
        ("01 04 04 01 31 02 22 2A CE 01", "is no frame"),
        # A zero behind a good frame leaves its check sum right.
        ("01 04 04 01 31 02 22 2A CE 00", "fits no read"),
        ("01 04", "the reply has 2 bytes"),
        ("", "the reply has 0 bytes"),
        ("01 84 02 C2 C1", "refuses function 4: exception 2, illegal data address"),
    ],
)
def test_what_is_no_answer_says_why(data: str, said: str) -> None:
    assert said in refusal(CLIMATE, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("request_hex", "said"),
    [
        ("01 04 00 01 00 01 60 0A", "does not fit its request: 6 bytes, the answer has 4"),
        ("01 03 00 01 00 02 95 CB", "does not fit its request: an answer to function 4"),
        ("02 04 00 01 00 02 20 38", "unit 1 answers, unit 2 was asked"),
        ("01 06 00 01 00 03 98 0B", "the request is no read"),
        ("01 04 00 01 00 02 20 0C", "the request is no frame"),
        ("01 04 00 40 00 02 70 1F", "no point of the profile lies in input 64+2"),
    ],
)
def test_a_request_that_cannot_have_been_it_says_why(request_hex: str, said: str) -> None:
    assert said in refusal(CLIMATE, ANSWER, request=bytes.fromhex(request_hex))


def test_a_value_that_cannot_be_believed_is_refused_beside_the_good_ones() -> None:
    wet = bytes.fromhex("01 03 04 27 10 00 C8 F0 D4")  # humidity 1000.0, temperature 20.0; made with pymodbus
    lines = decode(load_profile("renke/rs-ws-n01"), wet)
    assert lines == [
        Reading(point="temperature", value=20.0, unit="Cel"),
        Refused("no reading: out-of-range", point="humidity"),
    ]


def test_an_answer_over_modbus_tcp_is_known_by_its_header() -> None:
    module = load_profile("konnad/c2000-a2-sdd4040-ad1")
    lines = decode(module, bytes.fromhex("00 01 00 00 00 04 01 02 01 03"))
    assert [line.value for line in lines if isinstance(line, Reading)] == [False, False, True, True]


@given(st.binary(max_size=300), st.sampled_from([b"", ASKED_BY]), st.sampled_from(ASKED))
def test_nothing_that_comes_is_more_than_refused(data: bytes, request: bytes, profile: Profile) -> None:
    assert decode(profile, data, request=request)


@given(st.integers(0, len(ANSWER) * 8 - 1))
def test_one_wrong_bit_is_never_a_reading(place: int) -> None:
    damaged = bytearray(ANSWER)
    damaged[place // 8] ^= 1 << place % 8
    assert all(isinstance(line, Refused) for line in decode(CLIMATE, bytes(damaged)))
