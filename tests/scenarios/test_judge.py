"""The judge, in time that is only a number: what is met, what fails, and when that is known."""

from collections import deque
from math import inf
from pathlib import Path

import pytest

from contract.alarms import Mode, Severity, Transition
from contract.telemetry import Point, Sample
from simulators.scenario.expecting import GatewayState
from simulators.scenario.judge import Judge, describe
from simulators.scenario.record import Loss, Record, SeenAlarm, SeenState, SeenValue
from simulators.scenario.verdict import Verdict
from simulators.scenario.world import Who
from tests.scenarios.rig import HEAD, alarm, record, scenario

EVENTS = """
[[at]]
id = "press"
t = 2
do = "press"
device = "buttons"
point = "button_1"
for_s = 1
"""
CLIMATE = Who("gw", "climate")


def judged(
    folder: Path, expect: str, seen: Record, now_s: float, *, slack: float = 1.0, head: str = HEAD
) -> Verdict | None:
    judge = Judge(scenario(folder, EVENTS + f"[[expect]]\n{expect}\n", head=head), slack=slack)
    judge.look(seen, now_s)
    return judge.verdicts.get(0)


def state(verdict: Verdict | None) -> bool | None:
    return None if verdict is None else verdict.is_met


RAISED = 'what = "raised"\ndevice = "buttons"\nalarm = "panic"\nafter = "press"\nwithin_s = 2'
DONE = {(0, False): 2.1}


@pytest.mark.parametrize(
    ("seen", "now_s", "met"),
    [
        (record(), 3.0, None),
        (record(done=DONE), 3.0, None),
        (record(done=DONE), 4.2, False),
        (record(alarm(3.0), done=DONE), 3.0, True),
        (record(alarm(4.2), done=DONE), 4.2, False),
        (record(alarm(1.0), done=DONE), 4.2, False),
        (record(alarm(3.0, device="lab"), done=DONE), 4.2, False),
        (record(alarm(3.0, kind="smoke"), done=DONE), 4.2, False),
        (record(alarm(3.0, transition=Transition.CLEARED), done=DONE), 4.2, False),
        (record(alarm(3.0, transition=Transition.RETRIGGERED), done=DONE), 4.2, False),
    ],
)
def test_an_alarm_must_come_after_its_event_and_in_time(
    seen: Record, now_s: float, tmp_path: Path, *, met: bool | None
) -> None:
    assert state(judged(tmp_path, RAISED, seen, now_s)) is met


def test_how_long_it_took_is_counted_from_its_event(tmp_path: Path) -> None:
    verdict = judged(tmp_path, RAISED, record(alarm(3.0), done=DONE), 3.0)
    assert verdict is not None
    assert verdict.took_s == 0.9
    assert verdict.render() == "after 0.90 s"


def test_a_failure_says_what_came_instead(tmp_path: Path) -> None:
    verdict = judged(tmp_path, RAISED, record(alarm(3.0, device="lab"), done=DONE), 9.0)
    assert verdict is not None
    assert verdict.render() == "did not come; came: gw/lab/button_1/panic raised"


def test_slack_stretches_what_must_come_and_not_what_must_not(tmp_path: Path) -> None:
    late = record(alarm(5.0), done=DONE)
    assert state(judged(tmp_path, RAISED, record(done=DONE), 5.0, slack=2)) is None
    assert state(judged(tmp_path, RAISED, late, 5.0, slack=2)) is True
    unwanted = RAISED.replace("raised", "not-raised")
    assert state(judged(tmp_path, unwanted, record(alarm(4.2), done=DONE), 4.2, slack=2)) is True


@pytest.mark.parametrize(
    ("more", "seen", "met"),
    [
        ('point = "button_1"', alarm(3), True),
        ('point = "button_2"', alarm(3), False),
        ('severity = "critical"', alarm(3), True),
        ('severity = "high"', alarm(3), False),
        ('severity = "high"', alarm(3, severity=Severity.HIGH), True),
        ('mode = "drill"', alarm(3), False),
        ('mode = "drill"', alarm(3, mode=Mode.DRILL), True),
        ('gateway = "gw"', alarm(3), True),
        ('device = "gw/buttons"', alarm(3), True),
        ('device = "gw/buttons"', alarm(3, gateway="other"), False),
        ('rule = "panic"', alarm(3), True),
        ('device = "gateway"', alarm(3, device="gateway"), True),
    ],
)
def test_which_alarm_is_meant(more: str, seen: SeenAlarm, tmp_path: Path, *, met: bool) -> None:
    device = "" if "device" in more else 'device = "buttons"\n'
    assert state(judged(tmp_path, f'what = "raised"\n{device}{more}', record(seen), inf)) is met


def test_stored_means_stored(tmp_path: Path) -> None:
    head = HEAD.replace("length_s = 10", "length_s = 10\nstored = true")
    expect = 'what = "raised"\nstored = true\nwithin_s = 4'
    assert state(judged(tmp_path, expect, record(alarm(3)), 3.5, head=head)) is None
    assert state(judged(tmp_path, expect, record(alarm(3)), 4.5, head=head)) is False
    assert state(judged(tmp_path, expect, record(alarm(3, stored_at_s=3.2)), 3.5, head=head)) is True


@pytest.mark.parametrize(
    ("limits", "count", "now_s", "met"),
    [
        ("exactly = 2", 2, 5, None),
        ("exactly = 2", 2, 10.1, True),
        ("exactly = 2", 3, 5, False),
        ("exactly = 2", 1, 10.1, False),
        ("exactly = 0", 0, 10.1, True),
        ("at_least = 2", 2, 10.1, True),
        ("at_least = 2", 1, 10.1, False),
        ("at_most = 2", 0, 10.1, True),
        ("at_most = 2", 3, 5, False),
        ("at_least = 1\nat_most = 2", 2, 10.1, True),
    ],
)
def test_counting(limits: str, count: int, now_s: float, tmp_path: Path, *, met: bool | None) -> None:
    seen = record(*(alarm(1 + number) for number in range(count)))
    assert state(judged(tmp_path, f'what = "count"\nalarm = "panic"\n{limits}', seen, now_s)) is met


ORDER = 'what = "order"\nalarm = "panic"\ndevices = ["buttons", "lab"]'


@pytest.mark.parametrize(
    ("alarms", "now_s", "met"),
    [
        ((alarm(1), alarm(2, device="lab")), 3, True),
        ((alarm(2), alarm(1, device="lab")), 3, False),
        ((alarm(1), alarm(2, device="lab"), alarm(3)), 4, True),
        ((alarm(1),), 3, None),
        ((alarm(1),), 10.1, False),
    ],
)
def test_order(alarms: tuple[SeenAlarm, ...], now_s: float, tmp_path: Path, *, met: bool | None) -> None:
    assert state(judged(tmp_path, ORDER, record(*alarms), now_s)) is met


def values(*seen: tuple[float, float | bool | str]) -> Record:
    return Record(readings={(CLIMATE, "temperature"): deque(SeenValue(at_s, value) for at_s, value in seen)})


VALUE = 'what = "value"\ndevice = "climate"\npoint = "temperature"\n'


@pytest.mark.parametrize(
    ("more", "seen", "now_s", "met"),
    [
        ("lowest = 20", values((1, 10.0), (2, 21.0)), 3, True),
        ("lowest = 20", values((1, 10.0)), 3, None),
        ("lowest = 20", values((1, 10.0)), 10.1, False),
        ("highest = 20\nlowest = 10", values((1, 15.0)), 2, True),
        ("equals = 15", values((1, 15.0)), 2, True),
        ("equals = 15", values((1, 15.1)), 10.1, False),
        ("lowest = 5\nevery = true", values((1, 6.0), (2, 7.0)), 3, None),
        ("lowest = 5\nevery = true", values((1, 6.0), (2, 7.0)), 10.1, True),
        ("lowest = 5\nevery = true", values((1, 6.0), (2, 4.0)), 3, False),
        ("lowest = 5\nevery = true", values(), 10.1, False),
        ("lowest = 5\nwithin_s = 1", values((2, 6.0)), 3, False),
    ],
)
def test_values(more: str, seen: Record, now_s: float, tmp_path: Path, *, met: bool | None) -> None:
    assert state(judged(tmp_path, VALUE + more, seen, now_s)) is met


OUTPUT = 'what = "output"\ndevice = "buttons"\npoint = "output_1"\nequals = true\nafter = "press"\nwithin_s = 1'


@pytest.mark.parametrize(
    ("changes", "now_s", "met"),
    [
        ([], 2.5, None),
        ([], 3.2, False),
        ([(0.0, False), (2.5, True)], 2.6, True),
        ([(0.0, False), (3.5, True)], 3.6, False),
        ([(0.0, True)], 2.2, True),
        ([(0.0, True), (1.0, False)], 3.2, False),
    ],
)
def test_outputs(changes: list[tuple[float, bool]], now_s: float, tmp_path: Path, *, met: bool | None) -> None:
    seen = record(done=DONE)
    for at_s, value in changes:
        seen.note_output(Who("gw", "buttons"), "output_1", value, at_s)
        seen.note_output(Who("gw", "buttons"), "output_1", value, at_s + 0.1)
    assert len(seen.outputs.get((Who("gw", "buttons"), "output_1"), [])) == len(changes)
    assert state(judged(tmp_path, OUTPUT, seen, now_s)) is met


def test_gateways(tmp_path: Path) -> None:
    seen = Record(states=[SeenState(0.0, "gw", GatewayState.BORN), SeenState(3.0, "gw", GatewayState.LOST)])
    assert state(judged(tmp_path, 'what = "gateway"\nstate = "lost"', seen, 4)) is True
    assert state(judged(tmp_path, 'what = "gateway"\nstate = "stopped"', seen, 4)) is None
    assert state(judged(tmp_path, 'what = "gateway"\nstate = "stopped"', seen, 10.1)) is False


@pytest.mark.parametrize(
    ("losses", "more", "met"),
    [
        ({CLIMATE: Loss(100, 0, 0)}, "", True),
        ({CLIMATE: Loss(100, 1, 0)}, "", False),
        ({CLIMATE: Loss(100, 0, 1)}, "", False),
        ({CLIMATE: Loss(0, 0, 0)}, "", False),
        ({CLIMATE: Loss(100, 5, 0)}, "at_most = 5", True),
        ({CLIMATE: Loss(100, 6, 0)}, "at_most = 5", False),
        ({CLIMATE: Loss(9, 0, 0), Who("gw", "lab"): Loss(9, 3, 0)}, 'device = "climate"', True),
        ({CLIMATE: Loss(9, 0, 0), Who("gw", "lab"): Loss(9, 3, 0)}, "", False),
    ],
)
def test_losses_are_judged_at_the_end(losses: dict[Who, Loss], more: str, tmp_path: Path, *, met: bool) -> None:
    judge = Judge(scenario(tmp_path, f'[[expect]]\nwhat = "nothing-lost"\n{more}\n'))
    assert judge.look(Record(), 3.0), "nothing but the count is left to wait for"
    assert judge.verdicts == {}
    assert judge.close(Record(losses=losses))[0].is_met is met


def test_what_never_had_its_event_fails_at_the_end(tmp_path: Path) -> None:
    judge = Judge(scenario(tmp_path, EVENTS + f"[[expect]]\n{RAISED}\n"))
    assert not judge.look(record(), 100.0)
    assert judge.close(record())[0].render() == "press never happened"


def test_an_expectation_is_described_in_the_words_of_the_file(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, EVENTS + f'[[expect]]\n{RAISED}\nseverity = "critical"\n')
    assert describe(loaded.file.expect[0]) == "raised buttons panic severity = critical within 2 s after press"


def test_what_a_station_says_of_a_tag(tmp_path: Path) -> None:
    seen = Record()
    points = (Point("tag", "EAC653D3AA8C"), Point("presence", "present"), Point("rssi", -60.0, "dBm"))
    seen.note_samples("gw", [Sample("lab", 1, points)], 1.0)
    seen.note_samples("gw", [Sample("lab", 2, (points[0], Point("presence", "alive")))], 2.0)
    expect = 'what = "tag"\ntag = "EAC653D3AA8C"\ndevice = "lab"\n'
    assert state(judged(tmp_path, expect + 'state = "present"', seen, 2)) is True
    assert state(judged(tmp_path, expect + 'state = "left"', seen, 2)) is None
    assert state(judged(tmp_path, expect + 'state = "left"', seen, 10.1)) is False
    assert state(judged(tmp_path, expect.replace("lab", "buttons") + 'state = "present"', seen, 10.1)) is False
    assert [tag.state for tag in seen.tags] == ["present"]
