from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from contract.telemetry import Value
from edge import switchboard
from edge.errors import LinkDownError, LinkTimeoutError, NotWritableError
from edge.rules import Action
from edge.switchboard import Switchboard


class FakeBus:
    """Takes writes to one device; fails as often as it is told to."""

    def __init__(self, device: str, *, fails: list[Exception] | None = None) -> None:
        self.written: list[tuple[str, Value]] = []
        self.tried = 0
        self._device = device
        self._fails = fails or []

    def has_device(self, device: str) -> bool:
        return device == self._device

    async def write(self, device: str, point: str, value: Value) -> Value:
        assert device == self._device
        self.tried += 1
        await anyio.lowlevel.checkpoint()
        if self._fails:
            raise self._fails.pop(0)
        self.written.append((point, value))
        return value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "RETRY_S", 0.001)


def switch(buses: list[FakeBus], actions: list[Action], *, until: Callable[[], bool]) -> None:
    async def main() -> None:
        board, stop = Switchboard(buses), anyio.Event()  # type: ignore[arg-type]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, stop)
            for action in actions:
                board.act(action)
            while not until():
                await anyio.lowlevel.checkpoint()
            stop.set()

    anyio.run(main)


def siren(value: bool, *, device: str = "one") -> Action:  # noqa: FBT001
    return Action(device, "siren", value, "g/one/button/panic")


def test_an_output_is_written_to_its_own_bus() -> None:
    one, two = FakeBus("one"), FakeBus("two")
    switch([one, two], [siren(True, device="two")], until=lambda: bool(two.written))
    assert (one.written, two.written) == ([], [("siren", True)])


def test_what_fails_is_tried_again_until_it_is_taken() -> None:
    bus = FakeBus("one", fails=[LinkDownError("away"), LinkDownError("away")])
    switch([bus], [siren(True)], until=lambda: bool(bus.written))
    assert bus.tried == 3


def test_only_the_latest_word_for_an_output_counts() -> None:
    bus = FakeBus("one")
    switch([bus], [siren(True), siren(False)], until=lambda: bool(bus.written))
    assert bus.written == [("siren", False)]


def test_a_bus_that_is_down_does_not_hold_up_the_others() -> None:
    down, up = FakeBus("one", fails=[LinkDownError("away")] * 10_000), FakeBus("two")
    switch([down, up], [siren(True), siren(True, device="two")], until=lambda: bool(up.written))
    assert up.written == [("siren", True)]


def test_a_siren_that_keeps_silent_is_asked_once_a_round_later_and_later_and_holds_up_nobody() -> None:
    class Bus(FakeBus):
        def has_device(self, device: str) -> bool:
            return device in ("dead", "alive")

        async def write(self, device: str, point: str, value: Value) -> Value:  # noqa: ARG002
            asked.append((anyio.current_time(), device))
            if device == "dead":
                raise LinkTimeoutError("no answer")
            return value

    asked: list[tuple[float, str]] = []

    async def main() -> None:
        board, stop = Switchboard([Bus("")]), anyio.Event()  # type: ignore[list-item]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.run, stop)
            for point in ("siren", "lamp", "horn"):
                board.act(Action("dead", point, True, "x"))
            while len(asked) < 4:
                await anyio.lowlevel.checkpoint()
            board.act(siren(True, device="alive"))
            while len(asked) < 6:
                await anyio.lowlevel.checkpoint()
            stop.set()

    anyio.run(main)
    times = [at for at, _ in asked]
    assert [device for _, device in asked] == ["dead"] * 4 + ["alive", "dead"]
    # Rests of two, four and eight times RETRY_S at least; a wait is never too short.
    assert [times[at + 1] - times[at] >= least for at, least in enumerate((0.002, 0.004, 0.008))] == [True] * 3


def test_what_can_never_be_written_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    bus = FakeBus("one", fails=[NotWritableError("not that one")])
    switch([bus], [siren(True)], until=lambda: bus.tried > 0 and "not switched" in caplog.text)
    assert bus.tried == 1


def test_a_device_of_no_bus_is_said(caplog: pytest.LogCaptureFixture) -> None:
    switch([FakeBus("one")], [siren(True, device="nobody")], until=lambda: True)
    assert "no bus has device nobody" in caplog.text
