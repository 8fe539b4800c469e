"""Simulated devices with a grammar: what they say is understood, though they share no code with what reads it."""

from collections.abc import Iterator

import pytest

from contract.telemetry import Value
from device_profiles.catalogue import load_profile
from device_profiles.site import Device, PlacedDevice
from device_profiles.speech.decoding import decode_bytes
from device_profiles.speech.said import Heard
from simulators.errors import SimulatorError
from simulators.talkers import grammar
from simulators.talkers.lines import LineTalker

WALL_US = 1_800_000_000_000_000


def talker_of(profile: str, *, address: str = "", seed: int = 1) -> LineTalker:
    device = Device(id="d", bus="b", profile=profile, address=address)
    placed = PlacedDevice(device, load_profile(profile), 1)
    return grammar.make_talker(placed, secret=b"", seed=seed, wall_us=lambda: WALL_US)


def understood(profile: str, data: bytes) -> list[Heard]:
    said = decode_bytes(load_profile(profile), data)
    assert [one.refused for one in said if one.refused] == []
    return [heard for one in said for heard in one.heard]


def values_of(heard: list[Heard]) -> dict[str, Value]:
    return {key: value for one in heard for key, value in one.values}


def turns(talker: LineTalker, count: int) -> Iterator[bytes]:
    talker.open(0.0)
    for _ in range(count):
        at = talker.next_at()
        assert at is not None
        assert talker.speak(at - 0.01) == b""
        yield talker.speak(at)


MEASURING = {
    "gill/windsonic": {"wind_speed": 12.5, "wind_direction": 270.0},
    "nova/sds011": {"pm2_5": 35.4, "pm10": 300.1},
    "plantower/pms5003": {"pm1": 3.0, "pm2_5": 35.0, "pm10": 300.0},
    "generic/nmea-gps": {"latitude": -31.5, "longitude": 121.25, "course": 90.0, "altitude": 12.5},
}


@pytest.mark.parametrize("profile", MEASURING)
def test_a_held_value_is_heard_and_others_stay_believable(profile: str) -> None:
    talker = talker_of(profile)
    ranges = {point.key: point.range for point in load_profile(profile).heard}
    for said in turns(talker, 20):
        found = values_of(understood(profile, said))
        assert set(found) >= set(MEASURING[profile])
        for key, value in found.items():
            low, high = ranges[key] or (0.0, 0.0)
            assert isinstance(value, bool) or low <= float(value) <= high
    for key, value in MEASURING[profile].items():
        talker.set(key, value, 100.0)
    found = values_of(understood(profile, next(turns(talker, 1))))
    assert {key: found[key] for key in MEASURING[profile]} == pytest.approx(MEASURING[profile])


def test_a_receiver_loses_its_fix() -> None:
    talker = talker_of("generic/nmea-gps")
    talker.set("fix", False, 0.0)
    assert values_of(understood("generic/nmea-gps", next(turns(talker, 1)))) == {"fix": False, "satellites": 0.0}


@pytest.mark.parametrize(("profile", "tag"), [("ingics/igs", "EAC653D3AA8C"), ("scantech/rft500", "123456")])
def test_a_tag_comes_moves_and_goes(profile: str, tag: str) -> None:
    talker = talker_of(profile)
    talker.set(f"tag-{tag}", 60.0 if "scantech" in profile else -60.0, 0.0)
    if "ingics" in profile:
        talker.set(f"tag-{tag}.moving", True, 0.0)
        talker.set(f"tag-{tag}.battery", 2.97, 0.0)
    seen = [one for heard in understood(profile, next(turns(talker, 1))) for one in heard.sightings]
    assert [(one.tag, abs(one.rssi or 0)) for one in seen] == [(tag, 60.0)]
    assert (seen[0].is_moving, seen[0].battery_v) == ((True, 2.97) if "ingics" in profile else (None, None))
    (pressed,) = understood(profile, talker.press(f"tag-{tag}", 1.0))
    assert pressed.sightings[0].is_pressed
    talker.set(f"tag-{tag}", False, 2.0)
    assert [one for heard in understood(profile, next(turns(talker, 1))) for one in heard.sightings] == []


def test_a_wristband_is_taken_off_and_its_battery_is_low() -> None:
    talker = talker_of("scantech/rft500", address="000042")
    talker.set("tag-123456", 60.0, 0.0)
    talker.set("tag-123456.off", True, 0.0)
    talker.set("tag-123456.low", True, 0.0)
    (heard,) = understood("scantech/rft500", next(turns(talker, 1)))
    assert (heard.address, heard.sightings[0].is_low) == ("000042", True)
    assert [(report.rule, report.is_on) for report in heard.reports] == [("taken-off", True)]


def test_a_card_is_said_again_and_again_and_heard_once() -> None:
    (heard,) = understood("generic/rdm6300", talker_of("generic/rdm6300").press("tag-010063E9AE", 0.0))
    assert [one.tag for one in heard.sightings] == ["010063E9AE"]


def test_a_radio_button_repeats_itself_and_is_heard_once() -> None:
    (heard,) = understood("sonoff/rf-bridge", talker_of("sonoff/rf-bridge", address="d0035").press("key-8", 0.0))
    assert (heard.address, [report.point for report in heard.reports]) == ("D0035", ["key-8"])


def test_a_panel_says_its_flags_and_a_panic() -> None:
    talker = talker_of("alarmdecoder/ad2")
    found = values_of(understood("alarmdecoder/ad2", talker.set("fire", True, 0.0)))
    assert (found["fire"], found["ready"], found["mains_power"], found["battery_low"]) == (True, True, True, False)
    (heard,) = understood("alarmdecoder/ad2", talker.press("zone-099", 0.0))
    assert [(report.point, report.kind) for report in heard.reports] == [("zone-099", "panic")]


@pytest.mark.parametrize("profile", sorted(grammar._MADE_BY))
def test_what_a_device_has_not_is_refused(profile: str) -> None:
    talker = talker_of(profile)
    with pytest.raises(SimulatorError):
        talker.press("nothing", 0.0)
    with pytest.raises(SimulatorError):
        talker.set("nothing", 1.0, 0.0)
    assert talker.hear(b"\x00", 0.0) == b""


def test_the_same_seed_makes_the_same_device() -> None:
    first, second, other = ([*turns(talker_of("gill/windsonic", seed=seed), 5)] for seed in (1, 1, 2))
    assert first == second != other


def test_missed_turns_are_not_said_after_all() -> None:
    talker = talker_of("gill/windsonic")
    talker.open(0.0)
    assert talker.speak(1000.0).count(b"\x02") == 1
    assert 1000.0 < (talker.next_at() or 0.0) <= 1001.0


def test_a_profile_that_nobody_simulates_is_refused() -> None:
    with pytest.raises(SimulatorError, match="generic/xy-md02 is not simulated"):
        talker_of("generic/xy-md02")
