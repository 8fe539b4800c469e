"""Rules every profile of the catalogue keeps; one test a file."""

import re
from collections import defaultdict
from functools import cache
from math import sin, tau
from pathlib import Path

import pytest

from contract.ids import is_id
from contract.telemetry import Point, Sample, Value
from device_profiles.catalogue import CATALOGUE, list_profiles, load_profile, load_profile_file, profile_files
from device_profiles.codec import ValueKind, encode_point, value_kind
from device_profiles.faults import UnknownProfileError
from device_profiles.model import AnyPoint, ContactRule, HeardDef, PointDef, Profile, ThresholdRule, Transport
from device_profiles.site import Device, PlacedDevice
from edge.rules import Judge

IDS = list_profiles()


@cache
def loaded(profile_id: str) -> Profile:
    return load_profile(profile_id)


ASKED = [profile_id for profile_id in IDS if loaded(profile_id).speaks is None]
SHIPPED = {
    "calectro/ug-3",
    "generic/weather-station",
    "generic/xy-md02",
    "waveshare/modbus-rtu-io-8ch",
    "zlan/zlan6842",
}
# Nobody has printed or logged a frame of these that we could find; their captures say that they were composed.
UNPROVEN = {"calectro/ug-3", "esp-safety/ipes-ir-uv", "zlan/zlan6842"}
KINDS_WANTED = {
    "panic-button", "smoke-detector", "climate-sensor", "wind-sensor", "rain-gauge", "soil-sensor", "weather-station",
    "relay-module", "light-sensor", "gas-sensor", "power-meter", "solar-charger", "ups", "door-contact",
    "flame-detector",
}  # fmt: skip


def test_the_catalogue_lists_every_file_in_it() -> None:
    assert set(IDS) >= SHIPPED
    assert len(IDS) == len(list(CATALOGUE.rglob("*.toml")))
    assert sorted(IDS) == IDS


def test_the_catalogue_has_the_trade_s_devices() -> None:
    assert len(ASKED) >= 25
    assert {loaded(profile_id).kind for profile_id in ASKED} >= KINDS_WANTED


@pytest.mark.parametrize("profile_id", sorted(set(ASKED) - UNPROVEN))
def test_a_profile_is_proved_by_bytes_of_its_maker_or_of_a_real_device(profile_id: str) -> None:
    assert any("composed by hand" not in capture.source.casefold() for capture in loaded(profile_id).capture)


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_names_its_documents_and_dates_no_test_that_was_not(profile_id: str) -> None:
    profile = loaded(profile_id)
    assert all(len(source) >= 10 for source in profile.sources)
    assert all(any(mark.isdigit() for mark in tested) for tested in profile.tested_on), "name firmware or date"


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_speaks_chinese_and_english(profile_id: str) -> None:
    profile = loaded(profile_id)
    texts = [profile.title, *(point.name for point in profile.points), *(rule.text for rule in profile.rule)]
    for text in texts:
        assert re.search(r"[\u4e00-\u9fff]|^[A-Z0-9 .]+$", text["zh"]), text
        assert not re.search(r"[\u4e00-\u9fff]", text["en"]), text


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_loads_without_a_fault_under_its_own_id(profile_id: str) -> None:
    assert loaded(profile_id).profile == profile_id


@pytest.mark.parametrize("profile_id", ASKED)
def test_a_profile_has_evidence_for_every_table_it_reads_often(profile_id: str) -> None:
    profile = loaded(profile_id)
    function = {"coil": 1, "discrete_input": 2, "holding": 3, "input": 4}
    captured = {
        bytes.fromhex(capture.request)[1 if capture.framing is Transport.RTU else 7] for capture in profile.capture
    }
    often = {function[point.table.value] for point in profile.point if point.every_s <= 10}
    assert often <= captured


@pytest.mark.parametrize("profile_id", IDS)
def test_a_panic_button_is_asked_ten_times_a_second_and_never_delayed(profile_id: str) -> None:
    profile = loaded(profile_id)
    points = {point.key: point for point in profile.points}
    for rule in profile.rule:
        if rule.alarm == "panic":
            assert isinstance(rule, ContactRule)
            assert rule.on_delay_s == 0
            assert all(points[key].every_s <= 0.1 for key in rule.points)


def simulated(point: PointDef, at_s: float) -> Value:
    start, swing = point.simulate.start, point.simulate.swing
    return start + swing * sin(tau * at_s / point.simulate.period_s) if isinstance(start, float) else start


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_at_rest_raises_nothing_in_three_hours(profile_id: str) -> None:
    profile = loaded(profile_id)
    judge = Judge("g", [PlacedDevice(Device("d", "bus", profile_id), profile, 1)], active={})
    for at_s in range(0, 10_800, 5):
        points = tuple(Point(point.key, simulated(point, at_s)) for point in profile.point)
        assert not judge.feed(Sample("d", at_s * 1_000_000, points), at_s)
        assert not judge.tick(at_s, at_s * 1_000_000)


@pytest.mark.parametrize("profile_id", IDS)
def test_every_point_can_be_simulated_as_its_own_kind_of_value(profile_id: str) -> None:
    right = {ValueKind.NUMBER: float, ValueKind.STATE: bool, ValueKind.WORD: str}
    for point in loaded(profile_id).point:
        assert isinstance(point.simulate.start, right[value_kind(point)])
        assert len(encode_point(point, point.simulate.start)) == point.type.words


@pytest.mark.parametrize("profile_id", IDS)
def test_ids_of_a_profile_are_ids_on_the_wire(profile_id: str) -> None:
    profile = loaded(profile_id)
    assert all(is_id(point.key) and "." not in point.key for point in profile.points)
    assert all(is_id(rule.key) and is_id(rule.alarm) for rule in profile.rule)
    assert is_id(profile.kind)


@pytest.mark.parametrize("profile_id", IDS)
def test_a_threshold_has_a_deadband_so_that_it_cannot_flutter(profile_id: str) -> None:
    for rule in loaded(profile_id).rule:
        if isinstance(rule, ThresholdRule):
            assert rule.deadband > 0


@pytest.mark.parametrize("profile_id", IDS)
def test_a_profile_names_no_machine_of_ours(profile_id: str) -> None:
    text = profile_files()[profile_id].read_text("utf-8")
    assert not re.search(r"/(work|home|tmp|root)/|localhost|\b10\.\d+\.\d+\.\d+", text)


def kind_of(point: AnyPoint) -> ValueKind:
    return ValueKind(point.kind.value) if isinstance(point, HeardDef) else value_kind(point)


def test_one_key_has_one_kind_of_value_and_one_unit_in_the_whole_catalogue() -> None:
    found: dict[str, set[tuple[ValueKind, str | None]]] = defaultdict(set)
    for profile_id in IDS:
        for point in loaded(profile_id).points:
            found[point.key].add((kind_of(point), point.unit))
    assert {key: kinds for key, kinds in found.items() if len(kinds) > 1} == {}


def test_an_unknown_profile_names_what_is_near() -> None:
    with pytest.raises(UnknownProfileError) as caught:
        load_profile("waveshare/modbus-rtu-io-8hc")
    assert "did you mean waveshare/modbus-rtu-io-8ch" in str(caught.value)


@pytest.mark.parametrize("profile_id", ["../model", "", "generic", "generic/../generic/xy-md02", "/etc/passwd"])
def test_an_id_is_never_a_path(profile_id: str) -> None:
    with pytest.raises(UnknownProfileError):
        load_profile(profile_id)


def test_a_folder_of_ones_own_is_searched_first(tmp_path: Path) -> None:
    shipped = profile_files()["generic/xy-md02"].read_text("utf-8")
    own = tmp_path / "generic" / "xy-md02.toml"
    own.parent.mkdir()
    own.write_text(shipped.replace('version = "1"', 'version = "own"'), "utf-8")
    assert load_profile("generic/xy-md02", extra=tmp_path).version == "own"
    assert load_profile("generic/xy-md02").version == "1"
    assert load_profile("calectro/ug-3", extra=tmp_path).maker == "Calectro"
    assert load_profile_file(own).version == "own"
