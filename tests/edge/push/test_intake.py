"""What devices have said reaches its place: times that can be believed, values in range, refusals for the staff."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import HeardDef, HeardKind
from device_profiles.site import PlacedDevice
from device_profiles.speech.said import Heard, Moment, Said
from edge.push.intake import MAX_REASONS, OLDEST_US, is_believable
from edge.push.seldom import MAX_KEYS, Seldom
from tests.edge.outbox_rig import NOON, SECOND, Machine, open_outbox
from tests.edge.push.rig import TEXT, Scene, kept_events, kept_samples, place, report


def tell(folder: Path, devices: list[PlacedDevice], story: Callable[[Scene, Machine], None]) -> Scene:
    found: list[Scene] = []
    machine = Machine()

    async def main() -> None:
        with open_outbox(folder, machine) as outbox:
            scene = Scene(outbox, devices)
            found.append(scene)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(scene.keeper.run)
                story(scene, machine)
                scene.keeper.close()

    anyio.run(main)
    return found[0]


def heard(address: str = "a", *, at_us: int | None = None, t: float | bool | str = 1.0) -> Heard:
    return Heard(address=address, values=(("t", t),), at_us=at_us)


def test_a_devices_own_time_is_taken_when_it_can_be_right(tmp_path: Path) -> None:
    hour_us = 3600 * SECOND

    def story(scene: Scene, machine: Machine) -> None:
        del machine
        for ago_us in (OLDEST_US + 1, OLDEST_US, hour_us, hour_us, 2 * hour_us, -SECOND):
            assert scene.intake.take(heard(at_us=NOON - ago_us), Moment(0.0, NOON))

    tell(tmp_path, [place("a")], story)
    # What is too old or of the future is now; what was told with one time is set apart; a backlog keeps its times.
    times = [one.at_us - NOON for one in kept_samples(tmp_path)]
    assert [round(at / SECOND) for at in times] == [0, -31 * 86_400, -3600, -3600, -7200, 0]
    assert times[1:5] == [-OLDEST_US, -hour_us, -hour_us + 2, -2 * hour_us]
    assert len(set(times)) == 6


def test_alarms_of_a_device_never_go_back(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        for number, ago_s in enumerate((7200, 3600, 5, 10, 0)):
            machine.run_for(1)
            told = Heard(address="a", reports=(report(f"zone-{number}"),), at_us=machine.wall_us - ago_s * SECOND)
            scene.intake.take(told, Moment(0.0, machine.wall_us))

    tell(tmp_path, [place("a")], story)
    times = [event.at_us - NOON for event in kept_events(tmp_path)]
    assert [round(at / SECOND) for at in times] == [-7199, -3598, -2, -2, 5]
    assert times == sorted(set(times))


def test_while_nobody_knows_the_time_it_is_now(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        scene.intake.take(heard(at_us=NOON - 3600 * SECOND), Moment(0.0, None))

    tell(tmp_path, [place("a")], story)
    assert [one.at_us for one in kept_samples(tmp_path)] == [NOON]


def test_values_out_of_range_or_of_another_kind_are_counted_and_not_kept(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        for t in (-40.1, 80.1, float("nan"), float("inf"), True, "warm", 80.0):
            scene.intake.take(heard(t=t), Moment(0.0, None))
        scene.intake.take(Heard(address="a", values=(("unknown", 1.0),)), Moment(0.0, None))

    scene = tell(tmp_path, [place("a")], story)
    assert scene.health.bad_values == 6
    assert [one.points[0].value for one in kept_samples(tmp_path)] == [80.0]


def test_a_device_that_is_alone_needs_no_name(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        assert scene.intake.take(heard(""), Moment(0.0, None))
        assert scene.intake.take(heard("anything"), Moment(0.0, None))

    tell(tmp_path, [place("a", "")], story)


def test_one_that_has_a_name_is_not_taken_for_another(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        assert scene.intake.take(heard(""), Moment(0.0, None))
        assert scene.intake.take(heard("7F01"), Moment(0.0, None))
        assert not scene.intake.take(heard("7F02"), Moment(0.0, None))

    scene = tell(tmp_path, [place("a", "7F01")], story)
    assert (scene.push.strangers, scene.push.now.stranger) == (1, "7F02")


def test_the_staff_is_told_once_of_each_reason_and_device(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        for number in range(100):
            said = Said(refused=f"sequence {number} was repeated", is_staff_told=True, heard=(heard("a"),))
            scene.intake.refuse(said, Moment(float(number) / 10, None))
        scene.intake.refuse(Said(refused="wrong key", is_staff_told=True, heard=(heard("a"),)), Moment(9.0, None))
        scene.intake.refuse(Said(refused="wrong key", is_staff_told=True), Moment(9.0, None))
        scene.intake.refuse(Said(refused="broken checksum"), Moment(9.0, None))

    scene = tell(tmp_path, [place("a"), place("b")], story)
    assert sorted(event.source for event in scene.noted) == [
        "g/a/protocol/refused.sequence-was-repeated", "g/a/protocol/refused.wrong-key",
        "g/gateway.line/protocol/refused.wrong-key",
    ]  # fmt: skip
    assert {event.kind for event in scene.noted} == {"message-refused"}
    assert (scene.push.refused, scene.push.now.refusal) == (103, "broken checksum")


def test_reasons_and_strangers_that_are_new_each_time_fill_neither_log_nor_alarm_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        del machine
        for number in range(2000):
            name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
            said = Said(refused=f"no such account {name}", is_staff_told=True)
            scene.intake.refuse(said, Moment(0.0, None))
            scene.intake.take(heard(f"stranger-{number}"), Moment(0.0, None))

    scene = tell(tmp_path, [place("a"), place("b")], story)
    assert (scene.push.refused, scene.push.strangers) == (2000, 2000)
    assert len(scene.noted) <= MAX_REASONS + 1
    assert sum(record.name == "edge.push.intake" for record in caplog.records) <= MAX_REASONS + 2


@pytest.mark.parametrize(
    ("kind", "value", "is_good"),
    [
        (HeardKind.STATE, True, True), (HeardKind.STATE, 1.0, False), (HeardKind.WORD, "x" * 1024, True),
        (HeardKind.WORD, "x" * 1025, False), (HeardKind.WORD, 1.0, False), (HeardKind.NUMBER, "1", False),
    ],
)  # fmt: skip
def test_a_value_is_of_its_kind(kind: HeardKind, value: float | bool | str, is_good: bool) -> None:  # noqa: FBT001
    assert is_believable(HeardDef(key="t", name=TEXT, kind=kind, source="test"), value) is is_good


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0.0, 10.0)), max_size=300))
def test_nothing_is_said_twice_within_its_time(turns: list[tuple[int, float]]) -> None:
    seldom, now, said = Seldom(60.0), 0.0, dict[int, float]()
    for key, rest_s in turns:
        now += rest_s
        if seldom.is_due(key, now):
            assert len(said) >= MAX_KEYS or now - said.get(key, -60.0) >= 60.0
            said[key] = now
        else:
            assert now - said[key] < 60.0


def test_an_alarm_of_before_the_machine_was_switched_on_ends_as_itself(tmp_path: Path) -> None:
    def story(scene: Scene, machine: Machine) -> None:
        began_us = machine.wall_us - 7200 * SECOND
        begins, ends = (report("zone-1", is_on=is_on) for is_on in (True, False))
        scene.intake.take(Heard(address="a", reports=(begins,), at_us=began_us), Moment(0.0, machine.wall_us))
        machine.run_for(5)
        scene.intake.take(Heard(address="a", reports=(ends,)), Moment(5.0, machine.wall_us))

    tell(tmp_path, [place("a")], story)
    began, ended = kept_events(tmp_path)
    assert (began.at_us - NOON, ended.at_us - NOON) == (-7200 * SECOND, 5 * SECOND)
    assert (began.source, began.raised_at_us) == (ended.source, ended.raised_at_us)
