"""The vehicle terminals and wands of the catalogue: their captures through the conversation, their points spoken."""

import pytest

from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.model import Carrier, Language
from device_profiles.speech.jt808 import make_jt808
from device_profiles.speech.jt808_location import read_location
from device_profiles.speech.making import make_shared, make_speech
from device_profiles.speech.said import Moment, Speaker
from simulators.talkers.eb_wand import EbWandTalker

VEHICLES = [one for one in list_profiles() if load_profile(one).kind == "vehicle-terminal"]
CAPTURES = [(one, number) for one in VEHICLES for number in range(len(load_profile(one).capture))]


def test_terminals_of_both_headers_and_of_several_makers_are_there() -> None:
    assert {"generic/jt808-2013", "generic/jt808-2019", "huabao/hb-r03gbd", "bsj/a6-bd"} <= set(VEHICLES)
    assert len(CAPTURES) >= 12


@pytest.mark.parametrize(("profile_id", "number"), CAPTURES)
def test_a_capture_gives_what_is_written_beside_it(profile_id: str, number: int) -> None:
    profile = load_profile(profile_id)
    capture = profile.capture[number]
    speech = make_jt808([Speaker(device="d", address=capture.address)], profiles={"d": profile})
    said = speech.hear(bytes.fromhex(capture.bytes), Moment(0.0))
    assert [one.refused for one in said] == [""]
    (heard,) = said[0].heard
    assert heard.address == capture.address
    assert dict(heard.values) == capture.readings
    assert [(one.point, one.rule, one.is_on) for one in heard.reports] == [
        (one.point, one.rule, one.is_on) for one in capture.reports
    ]
    assert (heard.at_us is None) == (capture.said_at is None)
    assert capture.said_at is None or heard.at_us == capture.said_at * 1_000_000


@pytest.mark.parametrize("profile_id", VEHICLES)
def test_every_point_of_a_terminal_is_one_that_is_spoken(profile_id: str) -> None:
    extras = "0104000000010202000103020001040200012504000000012A0200012B0400000001300101310101"
    location = read_location(bytes(7) + b"\x02" + bytes(14) + bytes.fromhex("261122120000") + bytes.fromhex(extras))
    assert location is not None
    spoken = {key for key, _ in location.values} | {"terminal_model", "terminal_id"}
    profile = load_profile(profile_id)
    assert {point.key for point in profile.heard} <= spoken
    assert profile.speaks is not None
    assert Carrier.TCP_SERVER in profile.speaks.carriers


def test_every_point_of_a_wand_is_one_that_is_spoken() -> None:
    profile = load_profile("generic/eb-wand")
    wand = EbWandTalker("", wall_us=lambda: 1_795_348_800_000_000)
    wand.press("card", 0.0)
    wand.press("hit", 0.0)
    speech = make_speech(Language.EB_WAND, [Speaker(device="d")], {"d": profile}, make_shared(Language.EB_WAND))
    moment, spoken = Moment(0.0, 1_795_348_800_000_000), set()
    said = speech.open(moment)
    while said:
        data = b"".join(wand.hear(one.send, 0.0) for one in said)
        spoken |= {key for one in said for heard in one.heard for key, _ in heard.values}
        said = speech.hear(data, moment) if data else []
    assert spoken == {point.key for point in profile.heard}


def test_conversations_of_a_bus_share_what_they_remember() -> None:
    assert make_shared(Language.JT808) is not None
    assert make_shared(Language.EB_WAND) is not None
