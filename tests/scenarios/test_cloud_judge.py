"""What is expected of the cloud, judged by what was looked up there, in time that is only a number."""

from datetime import datetime, timedelta, timezone
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contract.alarms import Mode, Severity
from device_profiles.faults import ConfigError
from simulators.scenario.judge import Judge, describe
from simulators.scenario.loader import load_scenario
from simulators.scenario.record import Record, SeenAnswer, SeenOnDesk
from simulators.scenario.times import fill, has_places
from simulators.scenario.verdict import Verdict
from tests.scenarios.rig import EXPECT, HEAD, alarm, record, scenario, write

TRADES = HEAD.replace("length_s = 10", "length_s = 10\ntrades = true")


def row(device: str = "fire.1", kind: str = "fire", gateway: str = "cloud", **more: Any) -> SeenOnDesk:
    known = {"is_open": True, "is_suppressed": False} | more
    return SeenOnDesk(gateway, device, "point", "rule", kind, Severity.HIGH, Mode.LIVE, **known)


def seen(*rows: SeenOnDesk, at_s: float = inf, **more: Any) -> Record:
    return Record(desk=rows, desk_at_s=at_s, **more)


def judged(folder: Path, expect: str, what: Record, now_s: float, *, slack: float = 1.0) -> Verdict | None:
    judge = Judge(scenario(folder, expect, head=TRADES), slack=slack)
    judge.look(what, now_s)
    return judge.verdicts.get(0)


def is_met(folder: Path, expect: str, what: Record, now_s: float = inf, *, slack: float = 1.0) -> bool | None:
    verdict = judged(folder, f"[[expect]]\n{expect}\n", what, now_s, slack=slack)
    return None if verdict is None else verdict.is_met


ONE_FIRE = 'what = "on-desk"\ngateway = "cloud"\nalarm = "fire"\nexactly = 1'


@pytest.mark.parametrize(
    ("rows", "met"),
    [
        ([row()], True),
        ([], False),
        ([row(), row("fire.2")], False),
        ([row(), row("smoke", "smoke", "tower-1")], True),
        ([row(is_open=False)], True),
    ],
)
def test_so_many_stand_on_the_desk(rows: list[SeenOnDesk], *, met: bool, tmp_path: Path) -> None:
    assert is_met(tmp_path, ONE_FIRE, seen(*rows)) is met


@pytest.mark.parametrize(
    ("key", "one", "met"),
    [
        ("open = true", row(is_open=False), False),
        ("open = false", row(is_open=False), True),
        ("suppressed = true", row(), False),
        ("suppressed = true", row(is_suppressed=True), True),
        ("suppressed = false", row(is_suppressed=True), False),
    ],
)
def test_open_and_suppressed_are_told_apart(key: str, one: SeenOnDesk, *, met: bool, tmp_path: Path) -> None:
    assert is_met(tmp_path, f"{ONE_FIRE}\n{key}", seen(one)) is met


def test_a_second_one_fails_at_once_and_one_is_enough_only_at_the_end(tmp_path: Path) -> None:
    assert is_met(tmp_path, ONE_FIRE, seen(row(), row("fire.2"), at_s=3.0), 3.1) is False
    assert is_met(tmp_path, ONE_FIRE, seen(row(), at_s=3.0), 3.1) is None
    # What was looked up before the time is over says nothing of its end.
    assert is_met(tmp_path, ONE_FIRE, seen(row(), at_s=9.9), 10.1) is None
    assert is_met(tmp_path, ONE_FIRE, seen(row(), at_s=10.1), 10.2) is True
    assert is_met(tmp_path, ONE_FIRE, seen(at_s=10.1), 10.2, slack=2.0) is None


@pytest.mark.parametrize(
    ("said", "met"),
    [
        (("smoke at tower-2", "smoke at tower-3, smoke at tower-4"), True),
        (("smoke at tower-3", "smoke at tower-2", "smoke at tower-4"), False),
        (("smoke at tower-2, tower-3, tower-4",), False),
        ((), False),
    ],
)
def test_evidence_grows_in_its_order(said: tuple[str, ...], *, met: bool, tmp_path: Path) -> None:
    expect = (
        'what = "evidence"\nalarm = "fire"\ngateway = "cloud"\nat_least = 2\nsays = ["tower-2", "tower-3", "tower-4"]'
    )
    assert is_met(tmp_path, expect, seen(row(said=said))) is met
    assert is_met(tmp_path, expect, seen(row(said=said), at_s=1.0), 1.0) is (True if met else None)


TOUR = {"tours": [{"id": "t", "stops": [{"point": "gate", "verdict": {"word": "late"}}, {"point": "yard"}]}]}


@pytest.mark.parametrize(
    ("has", "met"),
    [
        ('has = [{ point = "gate", "verdict.word" = "late" }, { point = "yard" }]', True),
        ('has = [{ point = "yard" }, { point = "gate" }]', False),
        ('has = [{ point = "gate", "verdict.word" = "early" }]', False),
        ('has = [{ point = "gate", "verdict.none" = "late" }]', False),
        ('has = [{ id = "t" }]\nlacks = [{ point = "cellar" }]', True),
        ('has = [{ id = "t" }]\nlacks = [{ point = "yard" }]', False),
        ('lacks = [{ point = "cellar" }]', True),
    ],
)
def test_an_answer_has_objects_in_their_order(has: str, *, met: bool, tmp_path: Path) -> None:
    answers = {"/tours": SeenAnswer(1.0, TOUR)}
    assert is_met(tmp_path, f'what = "answer"\nget = "/tours"\n{has}', Record(answers=answers)) is met


def test_what_an_answer_lacks_it_must_lack_to_the_end(tmp_path: Path) -> None:
    expect = 'what = "answer"\nget = "/tours"\nlacks = [{ point = "cellar" }]'
    answers = {"/tours": SeenAnswer(1.0, TOUR)}
    assert is_met(tmp_path, expect, Record(answers=answers), 1.0) is None
    assert is_met(tmp_path, expect, Record(answers=answers), 10.1) is True


def test_no_answer_and_one_from_before_are_none(tmp_path: Path) -> None:
    expect = '[[at]]\nid = "then"\nt = 2\ndo = "mark"\n[[expect]]\nwhat = "answer"\nget = "/x"\n'
    expect += 'has = [{ a = 1 }]\nafter = "then"'
    done = {(0, False): 2.0}
    old = Record(done=done, answers={"/x": SeenAnswer(1.0, [{"a": 1}])})
    assert judged(tmp_path, expect, old, 3.0) is None
    refused = Record(done=done, answers={"/x": SeenAnswer(9.0, None, "not there")})
    verdict = judged(tmp_path, expect, refused, inf)
    assert verdict is not None
    assert (verdict.is_met, verdict.render()) == (False, "no answer: not there")


NOTHING_ELSE = '[[expect]]\nwhat = "nothing-else"\n[[expect]]\nwhat = "raised"\ndevice = "buttons"\nalarm = "panic"\n'


def test_nothing_else_is_told_at_the_end_of_wire_and_desk(tmp_path: Path) -> None:
    pressed = record(alarm(1.0))
    pressed.desk, pressed.desk_at_s = (row("buttons", "panic", "gw"),), 20.0
    assert judged(tmp_path, NOTHING_ELSE, pressed, 20.0) is None
    met = judged(tmp_path, NOTHING_ELSE, pressed, inf)
    assert met is not None
    assert met.is_met
    pressed.alarms.append(alarm(2.0, device="lab", kind="fault"))
    surprised = judged(tmp_path, NOTHING_ELSE, pressed, inf)
    assert surprised is not None
    assert "gw/lab/button_1/panic" in surprised.render()
    pressed.alarms.pop()
    pressed.desk = (*pressed.desk, row("tour.1", "missed"))
    surprised = judged(tmp_path, NOTHING_ELSE, pressed, inf)
    assert surprised is not None
    assert "cloud/tour.1" in surprised.render()


def test_who_expects_none_does_not_allow_one(tmp_path: Path) -> None:
    none = NOTHING_ELSE + '[[expect]]\nwhat = "on-desk"\nalarm = "missed"\ngateway = "cloud"\nexactly = 0\n'
    verdict = judged(tmp_path, none, seen(row("tour.1", "missed")), inf)
    assert verdict is not None
    assert not verdict.is_met


BEGIN = datetime(2026, 11, 23, 23, 59, 50, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{begin}", "23:59:50"),
        ("{begin+00:00:20} {day+00:00:20}", "00:00:10 2026-11-24"),
        ("{begin-01:00:00},{day}", "22:59:50,2026-11-23"),
        ("{beginning} {begin+20} {day", "{beginning} {begin+20} {day"),
    ],
)
def test_times_of_the_beginning_are_written_out(text: str, filled: str) -> None:
    assert fill(text, BEGIN) == filled
    assert has_places(text) is (text != filled)


def test_the_seconds_after_the_beginning_pass_while_clocks_are_changed() -> None:
    # At three the clocks of Berlin go back to two.
    begin = datetime(2026, 10, 25, 2, 59, 50, tzinfo=ZoneInfo("Europe/Berlin"))
    assert fill("{begin+00:00:20}", begin) == "02:00:10"


def faults(folder: Path, text: str, *, head: str = HEAD) -> str:
    with pytest.raises(ConfigError) as caught:
        load_scenario(write(folder, text, head=head))
    return "\n".join(map(str, caught.value.faults))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cloud.desk]\nlate_after_s = 5\n" + EXPECT, "stored = true"),
        ('[[prepare]]\nwords = ["areas"]\n' + EXPECT, "stored = true"),
        ('[[at]]\nt = 1\ndo = "langyan"\nwords = ["alarms"]\n' + EXPECT, "stored = true"),
        ('[[expect]]\nwhat = "nothing-else"\n', "stored = true"),
        ('[[expect]]\nwhat = "on-desk"\nexactly = 1\n', "stored = true"),
        ('[[expect]]\nwhat = "raised"\ngateway = "cloud"\n', "stored = true"),
        ('[[expect]]\nwhat = "answer"\nget = "/alarms"\nhas = [{ a = 1 }]\n', "trades = true"),
    ],
)
def test_what_wants_a_cloud_is_refused_without(text: str, said: str, tmp_path: Path) -> None:
    assert said in faults(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[expect]]\nwhat = "answer"\nget = "/alarms"\n', "give has or lacks"),
        ('[[expect]]\nwhat = "answer"\nget = "alarms"\nhas = [{ a = 1 }]\n', "get"),
        ('[[expect]]\nwhat = "on-desk"\nalarm = "fire"\ngateway = "cloud"\n', "exactly, at_least or at_most"),
        ('[[expect]]\nwhat = "evidence"\nalarm = "fire"\n', "nothing here raises"),
        ('[[file]]\nname = "a"\n' + EXPECT, "exactly one of file and text"),
        ('[[file]]\nname = "a"\nfile = "b"\n' + EXPECT, "cannot be read"),
        ('[[file]]\nname = "../a"\ntext = ""\n' + EXPECT, "name"),
        ('[[file]]\nname = "cloud.toml"\ntext = ""\n' + EXPECT, "is taken"),
        ("[[prepare]]\nwords = []\n" + EXPECT, "words"),
    ],
)
def test_faults_of_files_commands_and_questions_are_told(text: str, said: str, tmp_path: Path) -> None:
    assert said in faults(tmp_path, text, head=TRADES)


def test_files_are_read_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "plans.csv").write_text("{begin}", "utf-8")
    text = '[[file]]\nname = "p/plans.csv"\nfile = "plans.csv"\n[[file]]\nname = "a"\ntext = "b"\n' + EXPECT
    assert scenario(tmp_path, text, head=TRADES).files == {"p/plans.csv": "{begin}", "a": "b"}


def test_expectations_are_described_in_the_words_of_the_file(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, f"[[expect]]\n{ONE_FIRE}\nwithin_s = 3\n", head=TRADES)
    (expected,) = loaded.file.expect
    assert describe(expected) == "on-desk cloud fire exactly = 1 within 3 s"
