"""A serial port that is not there, vanishes and comes back; units that fall silent; noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from langyan.demo.stage import Stage
from langyan.servers import Langyan, wait_until
from simulators.control_client import Control
from tests.end_to_end.rig import LONG_S

pytestmark = pytest.mark.timeout(180)

GATEWAY = "line-gateway"

SITE = """
[gateway]
id = "line-gateway"
site = "bench"
health_s = 0.2
[uplink]
port = {broker_port}
[[bus]]
id = "line"
kind = "rtu"
port = "line.tty"
[[device]]
id = "buttons"
bus = "line"
unit = 1
profile = "waveshare/modbus-rtu-io-8ch"
use = ["button_1", "button_2"]
[[device]]
id = "climate"
bus = "line"
unit = 2
profile = "generic/xy-md02"
every_s = {{ temperature = 0.2, humidity = 0.2 }}
"""


def write_site(folder: Path, broker_port: int) -> dict[str, Path]:
    path = folder / "site.toml"
    path.write_text(SITE.format(broker_port=broker_port), encoding="utf-8")
    return {GATEWAY: path}


class Line:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateway: Langyan = stage.gateways[GATEWAY]
        self.control: Control = stage.controls[GATEWAY]

    def health(self, point: str) -> float:
        view = self.stage.observer.gateways().get(GATEWAY)
        value = view.health.get("gateway.line", {}).get(point, 0.0) if view else 0.0
        assert not isinstance(value, str)
        return float(value)

    def wait(self, what: str, at_least: float) -> None:
        assert wait_until(lambda: self.health(what) >= at_least, LONG_S), (what, self.gateway.log.read_text()[-1500:])

    def wait_for_more_answers(self, count: int = 10) -> None:
        self.wait("answers", self.health("answers") + count)

    def said(self, words: str) -> int:
        return sum(words in line for line in self.gateway.log.read_text().splitlines())


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with _open(tmp_path) as one:
        one.wait_for_more_answers()
        yield one


@contextmanager
def _open(folder: Path) -> Iterator[Line]:
    with Stage(folder, write_site) as stage:
        yield Line(stage)


def test_a_port_that_vanishes_is_said_once_and_is_back_by_itself(line: Line) -> None:
    line.control.unplug("line")
    assert wait_until(lambda: line.said("level=warning") == 1, LONG_S)
    # A few tries later it has still been said only once.
    assert wait_until(lambda: line.health("is_up") == 0.0, LONG_S)
    line.control.plug("line")
    line.wait_for_more_answers()
    assert line.said("level=warning") == 1, line.gateway.log.read_text()
    assert line.said("bus line: back") == 1
    assert line.gateway.pid is not None


def test_a_port_that_is_not_there_yet_is_waited_for(line: Line) -> None:
    line.gateway.stop()
    line.control.unplug("line")
    line.gateway.start(wait=False)
    assert wait_until(lambda: line.said("cannot be opened") == 1, LONG_S)
    line.control.plug("line")
    line.wait_for_more_answers()
    assert line.said("cannot be opened") == 1


def test_a_mute_unit_is_said_once_and_the_others_go_on(line: Line) -> None:
    line.control.mute("climate")
    line.wait("mute_units", 1)
    line.wait_for_more_answers(20)
    line.control.unmute("climate")
    assert wait_until(lambda: line.health("mute_units") == 0, LONG_S)
    assert line.said("device climate is mute") == 1
    assert line.said("device climate answers again") == 1
    assert line.said("device buttons is mute") == 0


def test_noise_is_survived_and_counted(line: Line) -> None:
    line.control.noise("line", rate=0.3)
    line.wait("frame_errors", 3)
    line.control.noise("line", rate=0.0)
    line.wait_for_more_answers(30)
    assert line.gateway.pid is not None
