"""Plays one scenario: sets the stage, does what the timeline says, judges what arrives."""

import shutil
import tempfile
import time
from collections import deque
from functools import partial
from pathlib import Path

from msgspec import structs
from msgspec.structs import replace

from cloud.errors import CloudError
from contract.telemetry import Value
from edge.errors import EdgeError
from langyan.errors import LangyanError
from langyan.i18n import translate as _
from langyan.scenario.acting import Actor
from langyan.scenario.clock import StoryClock
from langyan.scenario.cloud import CloudWishes
from langyan.scenario.report import Report, Wishes, make_report
from langyan.scenario.stage import Sources, Stage
from simulators.errors import SimulatorError
from simulators.scenario import expecting
from simulators.scenario.judge import Judge
from simulators.scenario.loader import Driven, Scenario
from simulators.scenario.record import MAX_SEEN, Record
from simulators.scenario.world import Who
from simulators.signals.moving import TagRide
from simulators.signals.plain import Counter
from simulators.signals.signal import Moment

# Outputs of simulated devices are looked at this often, and talkers are told their signals.
LOOK_S = 0.1


def play(scenario: Scenario, folder: Path, *, slack: float = 1.0, profiles: Path | None = None) -> Report:
    """Play a scenario to its end.

    Args:
        scenario: a checked one.
        folder: an empty one for data and logs.
        slack: what must happen within a time may take so many times as long, for a slow machine.
        profiles: folder with profiles of one's own.

    Raises:
        ServerError: a server is missing or does not come up.
        StageError, SimulatorError, EdgeError: a part did not do what it was asked.
    """
    started = time.monotonic()
    clock, record = StoryClock(scenario.file.scenario.speed), Record()
    _watch(scenario, record)
    stage = Stage(
        folder,
        scenario.world.sites,
        clock=clock,
        record=record,
        sources=_sources(scenario, clock),
        cloud=_cloud(scenario),
        profiles=profiles,
    )
    judge = Judge(scenario, slack=slack)
    with stage:
        stage.begin()
        _play_on(scenario, stage, judge)
        losses = stage.settle()
        with stage.eyes.lock:
            record.losses = losses
            verdicts = judge.close(record)
    return make_report(scenario, record, verdicts, took_s=time.monotonic() - started)


def play_safely(scenario: Scenario, wishes: Wishes) -> Report:
    """Play a scenario in a folder of its own; what keeps it from its end is in the report."""
    name, seed = scenario.file.scenario.name, scenario.file.scenario.seed
    nothing = Report(name, str(scenario.path), seed)
    folder = Path(tempfile.mkdtemp(prefix="langyan-sim-")) if wishes.keep is None else wishes.keep / name
    try:
        if wishes.keep is not None and folder.exists() and any(folder.iterdir()):
            text = _("{folder} is not empty; an older run in it would be counted too. Give a new folder.")
            return replace(nothing, error=text.format(folder=folder))
        return play(scenario, folder.resolve(), slack=wishes.slack, profiles=wishes.profiles)
    except (LangyanError, SimulatorError, EdgeError, CloudError, OSError) as error:
        return replace(nothing, error=str(error))
    finally:
        if wishes.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _play_on(scenario: Scenario, stage: Stage, judge: Judge) -> None:
    """Do every step at its time, until the length is over and nothing is left to wait for."""
    actor, left = Actor(stage, scenario.world), deque(scenario.steps)
    talkers = _Talkers(scenario, stage)
    outputs = _outputs(scenario)
    length_s = scenario.file.scenario.length_s
    is_decided, look_at = False, 0.0
    while (now_s := stage.clock.now_s()) < length_s or not is_decided:
        while left and left[0].t_s <= now_s:
            step = left.popleft()
            # Noted before it is done: what it brings about may arrive while it is being done.
            stage.record.done[step.number, step.is_end] = stage.clock.now_s()
            actor.act(step)
        if now_s >= look_at:
            look_at = now_s + LOOK_S
            talkers.tell(now_s)
            for who, point in outputs:
                _look(stage, who, point)
        with stage.eyes.lock:
            is_decided = judge.look(stage.record, stage.clock.now_s())
        stage.check()
        next_at = min(left[0].t_s if left else look_at, look_at)
        stage.eyes.wait(max(0.0, next_at - stage.clock.now_s()))


def _cloud(scenario: Scenario) -> CloudWishes | None:
    """Tell what the scenario wants of the cloud."""
    if not scenario.file.scenario.is_stored:
        return None
    asks = {expected.get for expected in scenario.file.expect if isinstance(expected, expecting.Answer)}
    return CloudWishes(
        trades=scenario.file.scenario.trades,
        settings=scenario.file.cloud,
        files=scenario.files,
        prepare=tuple(prepare.words for prepare in scenario.file.prepare),
        asks=tuple(sorted(asks)),
    )


def _watch(scenario: Scenario, record: Record) -> None:
    for expected in scenario.file.expect:
        if isinstance(expected, expecting.ValueIs):
            (who,) = scenario.world.devices(expected.device)
            record.readings[who, expected.point] = deque(maxlen=MAX_SEEN)


def _outputs(scenario: Scenario) -> set[tuple[Who, str]]:
    asked = [expected for expected in scenario.file.expect if isinstance(expected, expecting.OutputIs)]
    return {(who, expected.point) for expected in asked for who in scenario.world.devices(expected.device)}


def _look(stage: Stage, who: Who, key: str) -> None:
    devices = stage.controls[who.gateway].describe().devices
    points = (point for device in devices if device.id == who.name for point in device.points)
    for point in points:
        if point.key == key and point.value is not None:
            stage.record.note_output(who, key, point.value, stage.clock.now_s())


def _sources(scenario: Scenario, clock: StoryClock) -> Sources:
    """Make what drives the points of devices that are asked."""
    found: dict[str, dict[tuple[str, str], partial[Value]]] = {}
    for driven in scenario.driven:
        if scenario.world.is_polled(driven.who):
            source = partial(_value, scenario, clock, driven)
            found.setdefault(driven.who.gateway, {})[driven.who.name, driven.point] = source
    return found


def _value(scenario: Scenario, clock: StoryClock, driven: Driven, age_s: float) -> Value:
    signal, story_s = scenario.signals[driven.signal], clock.story_s()
    if isinstance(signal, Counter):
        # It is in the device: a reboot begins it anew.
        story_s = min(story_s, age_s * clock.speed)
    seed, begins_s = scenario.file.scenario.seed, scenario.begins_s
    return signal.value(driven.part, Moment(story_s, begins_s, driven.at_m, seed, scenario.signals))


class _Talkers:
    """Tells devices that speak by themselves what their signals say, at each change."""

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self._scenario, self._stage = scenario, stage
        self._driven = [one for one in scenario.driven if not scenario.world.is_polled(one.who)]
        self._told: dict[Driven, Value] = {}

    def tell(self, now_s: float) -> None:
        for driven in self._driven:
            value = self._value(driven, now_s)
            if value is not None and self._told.get(driven) != value:
                self._told[driven] = value
                self._stage.controls[driven.who.gateway].set(driven.who.name, driven.point, value)

    def _value(self, driven: Driven, now_s: float) -> Value | None:
        """Give what a signal says; of a tag its level while the reader hears it, false when not, and then no more."""
        value = _value(self._scenario, self._stage.clock, driven, now_s)
        if not isinstance(self._scenario.signals[driven.signal], TagRide):
            return value
        is_heard = _value(self._scenario, self._stage.clock, structs.replace(driven, part="heard"), now_s) is True
        if driven.part == "rssi":
            return float(round(float(value))) if is_heard else False
        if not is_heard:
            self._told.pop(driven, None)
            return None
        return value
