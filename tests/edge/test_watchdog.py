import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from edge import watchdog as module
from edge.watchdog import Mark, Notifier, Watchdog, keep_watch


@pytest.mark.parametrize(
    ("marks", "now", "stalled"),
    [
        ({"bus": (100.0, 10.0)}, 110.0, []),
        ({"bus": (100.0, 10.0)}, 110.1, ["bus"]),
        ({"bus": (0.0, 10.0)}, 59.0, []),
        ({"bus": (0.0, 10.0)}, 61.0, ["bus"]),
        ({"bus": (100.0, 10.0), "keeper": (95.0, 30.0), "uplink": (80.0, 20.0)}, 111.0, ["bus", "uplink"]),
        ({}, 1e9, []),
    ],
)
def test_what_stands_still_is_named(marks: dict[str, tuple[float, float]], now: float, stalled: list[str]) -> None:
    watchdog = Watchdog({name: Mark(partial(float, at), limit) for name, (at, limit) in marks.items()}, now=50.0)
    assert watchdog.stalled(now) == stalled


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def heard(listener: socket.socket) -> str:
    return listener.recv(1000).decode()


def test_systemd_is_told_in_its_words(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    notifier.ready()
    notifier.status("two\nlines")
    notifier.alive()
    notifier.stopping()
    assert [heard(systemd) for _ in range(4)] == ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]


def test_an_address_of_the_abstract_namespace() -> None:
    name = f"langyan-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard(listener) == "READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_how_long_systemd_waits(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_s == seconds


def test_it_is_fed_while_all_goes_on_and_no_longer(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    lags: list[float] = []

    async def main() -> list[str]:
        at = [anyio.current_time()]
        watchdog = Watchdog({"bus gate": Mark(lambda: at[0], 1000.0)}, now=0.0)
        notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
        said: list[str] = []

        async def hear(count: int) -> None:
            said.extend([await anyio.to_thread.run_sync(heard, systemd) for _ in range(count)])

        async with anyio.create_task_group() as tasks:
            line = "2 of 2 buses up"
            tasks.start_soon(lambda: keep_watch(watchdog, notifier, status=lambda: line, note_lag=lags.append))
            await hear(4)
            at[0], line = anyio.current_time() - 1001.0, "stalled"
            while said[-1] != "STATUS=stalled":
                await hear(1)
            tasks.cancel_scope.cancel()
        return said

    said = anyio.run(main)
    assert said[:4] == ["WATCHDOG=1", "STATUS=2 of 2 buses up", "WATCHDOG=1", "WATCHDOG=1"]
    assert [record.getMessage() for record in caplog.records] == ["no progress: bus gate; the watchdog is not fed"]
    assert all(lag >= 0.0 for lag in lags)
