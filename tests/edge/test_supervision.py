from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import Severity, Transition, decode_alarm, encode_alarm
from device_profiles.model import (
    Carrier,
    ContactRule,
    HeardDef,
    HeardKind,
    Language,
    Link,
    PointDef,
    PointType,
    Profile,
    Speaks,
    Table,
    Transport,
)
from device_profiles.site import Device, PlacedDevice
from edge.supervision import BUS_LOST, DEVICE_LOST, DeviceStanding, Supervisor

TEXT = {"en": "x", "zh": "x"}
EPOCH_US = 10**15


def place(name: str, bus: str = "bus", *, supervision_s: float = 60.0, panic: bool = False) -> PlacedDevice:
    point = PointDef(
        key="b", name=TEXT, table=Table.DISCRETE_INPUT, address=0, type=PointType.BIT, source="test", every_s=1.0
    )
    rules = (ContactRule("panic", ("b",), "panic", Severity.CRITICAL, TEXT),) if panic else ()
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        link=Link((Transport.RTU,)), point=(point,), supervision_s=supervision_s, rule=rules,
    )  # fmt: skip
    return PlacedDevice(Device(name, bus, "test/test", name=f"设备{name}"), profile, 1)


class Site:
    """A supervisor on a virtual clock: one second a step, every device asked once, then judged."""

    def __init__(self, *devices: PlacedDevice, active: Mapping[str, int] | None = None) -> None:
        self.names = [placed.device.id for placed in devices]
        self.now = 0.0
        self.supervisor = Supervisor("g", devices, self.now, active=active)

    def run(self, seconds: int, *, mute: str = "", down: str = "") -> list[tuple[float, str, str]]:
        """Let time pass; `mute` names devices of one letter, `down` a bus that cannot be opened."""
        said: list[tuple[float, str, str]] = []
        for _ in range(seconds):
            self.now += 1.0
            if down:
                self.supervisor.bus_down(down, self.now)
            for name in "" if down else self.names:
                (self.supervisor.missed if name in mute else self.supervisor.heard)(name, self.now)
            events = self.supervisor.tick(self.now, EPOCH_US + round(self.now * 1e6))
            said += [(self.now, event.device, event.transition.value) for event in events]
        return said

    def standings(self) -> dict[str, DeviceStanding]:
        return {state.device: state.standing for state in self.supervisor.states(self.now)}


def test_a_device_goes_and_comes_back() -> None:
    site = Site(place("a"), place("b"))
    assert site.standings() == {"a": DeviceStanding.UNKNOWN, "b": DeviceStanding.UNKNOWN}
    assert site.run(100) == []
    assert site.standings()["a"] is DeviceStanding.ONLINE
    assert site.run(59, mute="a") == []
    assert site.standings() == {"a": DeviceStanding.DEGRADED, "b": DeviceStanding.ONLINE}
    assert site.run(10, mute="a") == [(160.0, "a", "raised")]
    assert site.standings()["a"] is DeviceStanding.LOST
    assert site.run(2) == [(170.0, "a", "cleared")]
    assert site.standings()["a"] is DeviceStanding.ONLINE


def test_a_device_that_never_answers_is_lost_too() -> None:
    site = Site(place("a"), place("b"))
    assert site.run(59, mute="a") == []
    assert site.standings()["a"] is DeviceStanding.UNKNOWN
    assert site.run(1, mute="a") == [(60.0, "a", "raised")]


def test_the_age_of_the_last_answer_is_known() -> None:
    site = Site(place("a"), place("b"))
    assert [state.age_s for state in site.supervisor.states(0.0)] == [None, None]
    site.run(10)
    site.run(5, mute="a")
    assert [(state.device, state.bus, state.age_s) for state in site.supervisor.states(site.now)] == [
        ("a", "bus", 5.0),
        ("b", "bus", 0.0),
    ]


def test_silence_in_which_nobody_asked_is_not_held_against_it() -> None:
    site = Site(place("a"))
    site.run(10)
    site.now += 3600
    assert site.supervisor.tick(site.now, EPOCH_US) == []
    assert site.run(59, mute="a") == []
    assert site.run(1, mute="a") == [(3670.0, "a", "raised")]


def test_a_bus_that_goes_is_said_once_for_all_its_devices() -> None:
    site = Site(place("a", supervision_s=10), place("b"), place("c", "other"))
    site.run(100)
    assert site.run(100, mute="ab") == [(110.0, "gateway.bus", "raised")]
    assert site.standings() == {"a": DeviceStanding.LOST, "b": DeviceStanding.LOST, "c": DeviceStanding.ONLINE}
    assert site.run(100) == [(201.0, "gateway.bus", "cleared")]


def test_a_port_that_is_gone_is_a_bus_that_is_gone() -> None:
    site = Site(place("a"), place("b"))
    site.run(100)
    assert site.run(100, down="bus") == [(160.0, "gateway.bus", "raised")]
    assert site.run(1) == [(201.0, "gateway.bus", "cleared")]


def test_a_port_that_was_never_there_is_said() -> None:
    assert Site(place("a"), place("b")).run(61, down="bus") == [(60.0, "gateway.bus", "raised")]


def test_a_port_without_devices_is_nobodys_loss() -> None:
    assert Site(place("a")).run(100, down="empty") == []


def test_when_the_bus_is_back_a_device_that_is_not_has_its_own_time() -> None:
    site = Site(place("a"), place("b"))
    site.run(100, mute="ab")
    assert site.run(70, mute="b") == [(101.0, "gateway.bus", "cleared"), (161.0, "b", "raised")]


def test_a_loss_said_before_its_line_went_stands_until_the_device_is_back() -> None:
    site = Site(place("a"), place("b"))
    site.run(10)
    assert site.run(100, mute="a") == [(70.0, "a", "raised")]
    assert site.run(100, mute="ab") == [(111.0, "gateway.bus", "raised")]
    assert site.run(100, mute="a") == [(211.0, "gateway.bus", "cleared")]
    assert site.run(1) == [(311.0, "a", "cleared")]


def test_of_a_bus_with_one_device_the_device_is_said() -> None:
    assert Site(place("a")).run(61, down="bus") == [(60.0, "a", "raised")]


@pytest.mark.parametrize(("source", "name"), [("g/a/supervision/supervision", "a"),
                                              ("g/gateway.bus/supervision/supervision", "gateway.bus")])  # fmt: skip
def test_a_loss_that_stood_at_a_restart_is_neither_said_again_nor_forgotten(source: str, name: str) -> None:
    site = Site(place("a"), place("b"), active={source: EPOCH_US - 5})
    mute = "a" if name == "a" else "ab"
    assert site.standings()["a"] is DeviceStanding.LOST
    assert site.run(1000, mute=mute) == []
    site.supervisor.heard("a", site.now)
    site.supervisor.heard("b", site.now)
    (event,) = site.supervisor.tick(site.now, EPOCH_US)
    assert (event.device, event.transition, event.raised_at_us) == (name, Transition.CLEARED, EPOCH_US - 5)


def test_a_loss_of_before_a_reboot_ends_when_the_device_is_back_and_not_when_it_was_lost() -> None:
    site, uptime_us = Site(place("a"), active={"g/a/supervision/supervision": EPOCH_US}), 12_000_000
    site.supervisor.heard("a", site.now + 1)
    (event,) = site.supervisor.tick(site.now + 1, uptime_us)
    assert (event.transition, event.raised_at_us, event.at_us) == (Transition.CLEARED, EPOCH_US, uptime_us)


def test_the_events_are_alarms_with_the_names_of_the_place() -> None:
    supervisor = Supervisor("g", [place("a", panic=True), place("b", "two"), place("c", "two")], 0.0)
    for device in "abc":
        supervisor.missed(device, 1.0)
    first, second = supervisor.tick(100.0, EPOCH_US)
    assert (first.source, first.kind, first.severity) == ("g/a/supervision/supervision", DEVICE_LOST, "critical")
    assert first.text == {"en": "No answer from 设备a", "zh": "设备a无应答"}
    assert (second.source, second.kind, second.severity) == (
        "g/gateway.two/supervision/supervision", BUS_LOST, "high",
    )  # fmt: skip
    assert second.text["en"] == "No device answers on line two"
    assert [decode_alarm(encode_alarm(event), gateway="g") for event in (first, second)] == [first, second]


STEPS = st.lists(st.tuples(st.integers(1, 40), st.sets(st.sampled_from("abcd")), st.sampled_from(["", "bus"])))


@given(STEPS)
def test_whatever_happens_raises_and_clears_alternate_and_all_ends_well(
    steps: list[tuple[int, set[str], str]],
) -> None:
    devices = [place("a", supervision_s=10), place("b"), place("c", "two"), place("d", "two", supervision_s=20)]
    site = Site(*devices)
    standing: set[str] = set()
    for seconds, mute, down in [*steps, (1, set(), "")]:
        for _, device, transition in site.run(seconds, mute="".join(mute), down=down):
            assert (transition == "raised") is (device not in standing)
            standing ^= {device}
        lost = {device for device, state in site.standings().items() if state is DeviceStanding.LOST}
        assert standing & set("abcd") <= lost
    assert standing == set()


@given(st.integers(1, 200), st.sampled_from([5.0, 10.0, 60.0]))
def test_nobody_is_lost_before_its_time_and_everybody_is_at_it(silent_s: int, supervision_s: float) -> None:
    site = Site(place("a", supervision_s=supervision_s), place("b", supervision_s=supervision_s))
    site.run(5)
    raised = site.run(silent_s, mute="a")
    assert bool(raised) is (silent_s >= supervision_s)
    assert all(event == (5.0 + supervision_s, "a", "raised") for event in raised)


def test_events_never_end_before_they_began() -> None:
    supervisor = Supervisor("g", [place("a")], 0.0)
    supervisor.missed("a", 1.0)
    (raised,) = supervisor.tick(100.0, EPOCH_US)
    supervisor.heard("a", 101.0)
    (cleared,) = supervisor.tick(102.0, EPOCH_US - 1000)
    assert (raised.at_us, cleared.at_us, cleared.event_id) == (EPOCH_US, EPOCH_US, f"{raised.alarm_id}-cleared")


def speaker(name: str, *, supervision_s: float) -> PlacedDevice:
    heard = HeardDef(key="t", name=TEXT, kind=HeardKind.NUMBER, source="test")
    profile = Profile(
        profile="test/test", version="1", maker="t", model="t", title=TEXT, kind="test", sources=("test",),
        speaks=Speaks(Language.GRAMMAR, (Carrier.SERIAL,)), heard=(heard,), supervision_s=supervision_s,
    )  # fmt: skip
    return PlacedDevice(Device(name, "bus", "test/test", address=name), profile, 1)


def listen(site: Site, seconds: int, *, says: str = "", every: int = 1) -> list[tuple[float, str, str]]:
    """Let time pass on a line that is open; `says` names who speaks."""
    said: list[tuple[float, str, str]] = []
    for second in range(seconds):
        site.now += 1.0
        for name in says if second % every == 0 else "":
            site.supervisor.heard(name, site.now)
        events = site.supervisor.tick(site.now, EPOCH_US + round(site.now * 1e6))
        said += [(site.now, event.device, event.transition.value) for event in events]
    return said


def test_a_device_that_speaks_by_itself_is_lost_by_its_silence() -> None:
    site = Site(speaker("a", supervision_s=60), speaker("b", supervision_s=60))
    assert listen(site, 100, says="ab", every=10) == []
    assert listen(site, 100, says="b") == [(151.0, "a", "raised")]
    assert site.standings() == {"a": DeviceStanding.LOST, "b": DeviceStanding.ONLINE}
    assert listen(site, 1, says="ab") == [(201.0, "a", "cleared")]


def test_one_that_never_spoke_is_lost_too_and_all_of_a_line_are_the_line() -> None:
    assert listen(Site(speaker("a", supervision_s=60)), 100) == [(60.0, "a", "raised")]
    both = Site(speaker("a", supervision_s=60), speaker("b", supervision_s=60))
    assert listen(both, 100) == [(60.0, "gateway.bus", "raised")]


def test_one_that_need_not_speak_is_lost_only_with_its_line() -> None:
    site = Site(speaker("a", supervision_s=0))
    assert listen(site, 100_000 // 100) == []
    for _ in range(59):
        site.now += 1.0
        site.supervisor.bus_down("bus", site.now)
        assert listen(site, 0) == []
    assert listen(site, 10) == [(1061.0, "a", "raised")]
    site.supervisor.bus_up("bus", site.now)
    assert [transition for _, _, transition in listen(site, 3)] == ["cleared"]


def test_silence_in_which_nobody_listened_is_not_held_against_a_device() -> None:
    site = Site(speaker("a", supervision_s=60))
    listen(site, 1, says="a")
    listen(site, 50)
    site.supervisor.not_listening("bus", site.now)
    assert listen(site, 59) == []
    assert listen(site, 1) == [(111.0, "a", "raised")]


def test_a_line_that_is_back_gives_its_devices_their_time() -> None:
    site = Site(speaker("a", supervision_s=60))
    listen(site, 1, says="a")
    site.supervisor.bus_down("bus", site.now + 0.5)
    assert listen(site, 30) == []
    assert site.standings()["a"] is DeviceStanding.DEGRADED
    site.supervisor.bus_up("bus", site.now)
    assert listen(site, 59) == []
    assert listen(site, 1) == [(91.0, "a", "raised")]
