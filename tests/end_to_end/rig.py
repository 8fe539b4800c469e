"""One small site on real servers, for faults: everything a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

from cloud.desk.core import Alarm
from cloud.desk.operations import list_alarms
from contract.alarms import Transition
from langyan.demo.counting import Balance, balance, query, stored_numbers
from langyan.demo.stage import DATABASE, Stage
from langyan.servers import free_port, wait_until
from simulators.control_client import Control

GATEWAY = "test-gateway"
DEVICE = "lab-1"
NUMBER = "analog_3"
LONG_S = 90.0

SITE = """
[gateway]
id = "{gateway}"
site = "测试 site"
health_s = 0.5

[uplink]
port = {broker_port}
deflate_from_bytes = {deflate_from_bytes}

[[bus]]
id = "lan"
kind = "tcp"
host = "127.0.0.1"
port = {tcp_port}

[[device]]
id = "lab-1"
bus = "lan"
unit = 1
profile = "zlan/zlan6842"
use = ["button_1", "button_2", "analog_1", "analog_3"]
every_s = {{ analog_1 = 0.1, analog_3 = 0.1 }}
simulate = {{ count_in = "analog_3" }}

[[device]]
id = "lab-2"
bus = "lan"
unit = 2
profile = "zlan/zlan6842"
use = ["button_1", "analog_1", "analog_3"]
every_s = {{ analog_1 = 0.5, analog_3 = 0.5 }}
simulate = {{ count_in = "analog_3" }}
"""


def write_site(folder: Path, broker_port: int, *, deflate_from_bytes: int) -> dict[str, Path]:
    path = folder / "site.toml"
    text = SITE.format(
        gateway=GATEWAY, broker_port=broker_port, tcp_port=free_port(), deflate_from_bytes=deflate_from_bytes
    )
    path.write_text(text, encoding="utf-8")
    return {GATEWAY: path}


class Rig:
    """The stage of one site, with the questions that tests ask."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateway = stage.gateways[GATEWAY]
        self.control: Control = stage.controls[GATEWAY]

    def numbers(self, device: str = DEVICE) -> list[int]:
        """The stored numbers of a device's answers, oldest first, as the raw register had them."""
        values = stored_numbers(self.stage.influx.url, DATABASE, GATEWAY, device, NUMBER)
        return [round(float(value) * 1024 / 100) for value in values]

    def has_database(self) -> bool:
        """Whether ingest has made the database: it does so before its first write."""
        return any([DATABASE] in series.values for series in query(self.stage.influx.url, DATABASE, "SHOW DATABASES"))

    def wait_for_more(self, count: int = 10) -> None:
        """Wait until `count` further answers are in InfluxDB."""
        before = len(self.numbers())
        self.wait(lambda: len(self.numbers()) >= before + count)

    def wait_for_answers(self, count: int) -> None:
        """Wait until the simulated devices have answered `count` more times, stored or not."""
        before = self.control.stats().totals.answers
        self.wait(lambda: self.control.stats().totals.answers >= before + count)

    def wait(self, condition: Callable[[], bool], limit_s: float = LONG_S) -> None:
        assert wait_until(condition, limit_s, every_s=0.05), f"did not happen within {limit_s} s"

    def alarms(self) -> list[Alarm]:
        with self.stage.open_alarms() as database:
            return list_alarms(database, state="all", limit=10_000)

    def has_stored_raises(self, count: int) -> bool:
        return sum(alarm.triggers for alarm in self.alarms()) == count

    def has_seen_raises(self, count: int) -> bool:
        raised = [seen for seen in self.stage.observer.alarms() if seen.event.transition is Transition.RAISED]
        return len(raised) >= count

    def is_all_clear(self) -> bool:
        return all(alarm.cleared_at_us is not None for alarm in self.alarms())

    def press(self, point: str = "button_1", device: str = DEVICE) -> int:
        return self.control.press(device, point)

    def release(self, point: str = "button_1", device: str = DEVICE) -> None:
        self.control.release(device, point)

    def restart_gateway(self) -> None:
        """Start the gateway again and wait for its new birth."""
        self.wait(lambda: not self.stage.observer.is_alive(GATEWAY))
        self.gateway.start()

    def balance(self) -> Balance:
        """Stop the gateway in order and compare what was produced with what is stored."""
        self.gateway.stop()
        assert self.gateway.status == 0, self.gateway.log.read_text()[-2000:]
        numbered = {GATEWAY: {DEVICE: NUMBER, "lab-2": NUMBER}}
        stats = {GATEWAY: self.control.stats()}
        return balance(self.stage.influx.url, DATABASE, stats=stats, numbered=numbered)

    def assert_all_stored_once(self) -> None:
        found = self.balance()
        assert found.produced > 100
        assert (found.lost, found.duplicates) == (0, 0), found
        numbers = self.numbers()
        assert all(later == (earlier + 1) % 1025 for earlier, later in pairwise(numbers))


@contextmanager
def open_rig(folder: Path, *, deflate_from_bytes: int = 1024) -> Iterator[Rig]:
    with Stage(folder, partial(write_site, deflate_from_bytes=deflate_from_bytes)) as stage:
        rig = Rig(stage)
        rig.wait(rig.has_database)
        rig.wait_for_more(5)
        yield rig
