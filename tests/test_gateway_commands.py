"""`langyan edge status` and `walktest` against a gateway that is only its control socket."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
import typer
from anyio.from_thread import BlockingPortal
from typer.testing import CliRunner, Result

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from edge.control import Handler, Message, serve_control
from edge.status import encode_snapshot
from edge.walktest import WalkTests
from langyan.commands import status as status_command
from langyan.commands import walktest as walktest_command
from tests.edge.status_rig import EXAMPLE, School

SOURCES = [f"school-17/gate-buttons/button_{number}/panic" for number in (1, 2, 3)] + [
    f"school-17/dorm-buttons/button_{number}/panic" for number in (1, 2)
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    text = EXAMPLE.read_text("utf-8").replace("/var/lib/langyan/outbox.db", str(tmp_path / "outbox.db"))
    path = tmp_path / "site.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LANGYAN_LANG", "en")


@contextmanager
def gateway(folder: Path, handlers: dict[str, Handler]) -> Iterator[BlockingPortal]:
    """Serve the control socket in a thread of its own."""
    with anyio.from_thread.start_blocking_portal() as portal:
        task, _ = portal.start_task(lambda *, task_status: serve_control(
            folder / "outbox.db.sock", handlers, task_status=task_status
        ))  # fmt: skip
        yield portal
        task.cancel()


def run(command: str, *words: str) -> Result:
    app = typer.Typer()
    app.command("status")(status_command.status)
    app.command("walktest")(walktest_command.walktest)
    return CliRunner().invoke(app, [command, *words])


def well(built: School) -> School:
    built.health.uplink.is_up, built.health.uplink.now.connected_at = True, 1.0
    built.health.clock.is_trusted, built.health.clock.source = True, "cloud"
    built.run(60)
    built.health.uplink.now.receipt_at = built.now
    return built


def status_of(built: School) -> dict[str, Handler]:
    async def handle(_: Message) -> Message:
        return encode_snapshot(built.board.snapshot(built.now))

    return {"status": handle}


def test_a_gateway_that_is_well(site: Path) -> None:
    with gateway(site.parent, status_of(well(School()))):
        said = run("status", str(site))
    assert said.exit_code == 0, said.output
    assert "All is well." in said.output
    assert re.search(r"canteen-smoke 食堂烟感 +│ 21 +│ online +│ 0.0 s ago +│ 100 % / \d+ ", said.output)
    assert "from cloud, within 0 ms" in said.output


def test_a_gateway_that_is_not_says_what_and_what_to_try(site: Path) -> None:
    built = well(School())
    built.run(130, mute=("weather",))
    built.health.uplink.is_up = False
    built.health.uplink.now.error = "[Errno 111] Connection refused"
    with gateway(site.parent, status_of(built)):
        said = run("status", str(site))
        line = run("status", str(site), "--json")
    assert said.exit_code == line.exit_code == 1
    assert "■ The broker mqtt.example.org:1883 cannot be reached: [Errno 111] Connection refused" in said.output
    assert "→ Check uplink.host" in said.output
    assert "lost" in said.output
    told = json.loads(line.output)
    assert told["running"] is True
    assert {advice["key"] for advice in told["advice"]} >= {"broker-unreachable"}
    assert told["gateway"] == "school-17"


def test_it_speaks_chinese(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_LANG", "zh")
    with gateway(site.parent, status_of(well(School()))):
        said = run("status", str(site))
    assert "一切正常" in said.output


def test_where_no_gateway_runs_it_says_so_and_what_to_try(site: Path) -> None:
    said = run("status", str(site))
    assert said.exit_code == 2
    assert "No gateway runs on this site file." in said.output
    assert "it has never run" in said.output
    assert "langyan edge run" in said.output
    (site.parent / "outbox.db").write_bytes(b"x" * 3 * 1024 * 1024)
    assert "takes 3.0 MiB" in run("status", str(site)).output
    told = json.loads(run("status", str(site), "--json").output)
    assert (told["running"], told["outbox_bytes"]) == (False, 3 * 1024 * 1024)


def test_a_gateway_of_another_version_is_said(site: Path) -> None:
    async def other(_: Message) -> Message:
        return {"hello": 1}

    with gateway(site.parent, {"status": other}):
        said = run("status", str(site))
    assert said.exit_code == 2
    assert "of another version" in said.output


def test_whoever_reads_only_the_first_line_leaves_no_traceback(site: Path) -> None:
    argv = [sys.executable, "-m", "langyan", "edge", "status", str(site), "--watch", "--json"]
    with (
        gateway(site.parent, status_of(well(School()))),
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert json.loads(watching.stdout.readline())["running"] is True
        watching.stdout.close()
        assert watching.stderr.read() == ""
        assert watching.wait() == 0


def test_a_site_file_with_faults_is_status_2(site: Path) -> None:
    site.write_text("[gateway]\n")
    said = run("status", str(site))
    assert said.exit_code == 2
    assert "fault(s)" in said.output


def event(source: str, transition: Transition = Transition.RAISED) -> AlarmEvent:
    gateway_id, device, point, rule = source.split("/")
    return AlarmEvent(
        gateway_id, device, point, rule, transition, 5, 5, "panic", Severity.CRITICAL, mode=Mode.TEST
    )  # fmt: skip


class Presses:
    """A gateway's walk test in which a few more buttons are pressed and stored with every question."""

    def __init__(self, *, stored: int, held: tuple[str, ...] = ()) -> None:
        self.modes: list[str] = []
        self.held = held
        school = School()
        self.tests = WalkTests(
            "school-17",
            [placed for devices in school.site.devices.values() for placed in devices],
            set_mode=lambda mode, _devices, _for_s: self.modes.append(mode.value),
        )
        self.left = SOURCES[:stored]

    async def handle(self, request: Message) -> Message:
        if request.get("action") == "state":
            for source in self.left[:2]:
                self.tests.pressed(event(source))
                self.tests.sent(event(source))
                self.tests.stored(event(source))
                if source not in self.held:
                    self.tests.pressed(event(source, Transition.CLEARED))
            self.left = self.left[2:]
        return await self.tests.handle(request)


def test_a_walk_test_ends_when_every_press_is_stored_and_leaves_its_record(site: Path) -> None:
    presses, out = Presses(stored=5), site.parent / "record.json"
    with gateway(site.parent, {"walktest": presses.handle}):
        said = run("walktest", str(site), "--out", str(out), "--by", "王芳")
    assert said.exit_code == 0, said.output
    assert "5 of 5 buttons stored" in said.output
    headings, *rows = re.findall(r"^[┃│] (.*) [┃│]$", said.output, re.MULTILINE)
    assert re.split(r" +┃ +", headings)[-3:] == ["result", "sent after", "stored after"]
    assert all(len(re.split(r" +│ +", row)) == 6 for row in rows)
    assert presses.modes == ["test", "live"]
    record = json.loads(out.read_text("utf-8"))
    assert (record["by"], record["site"], record["is_complete"]) == ("王芳", "第十七小学", True)
    assert [button["result"] for button in record["buttons"]] == ["stored"] * 5
    assert all(button["stored_ms"] >= 0 and button["pressed_at"] for button in record["buttons"])
    page = (site.parent / "record.md").read_text("utf-8")
    assert "5 of 5 buttons stored" in page
    assert re.search(r"\| 校门 gate house \| gate-buttons \| button_1 \| 20\S+Z \| \d+ ms \| stored \|", page)


def test_a_button_that_is_still_held_keeps_the_test_open_and_is_named(site: Path) -> None:
    presses = Presses(stored=5, held=(SOURCES[0],))
    asked = 0

    async def handle(request: Message) -> Message:
        nonlocal asked
        asked += 1
        if asked == 6:
            # Everything is stored since two questions.
            assert presses.modes == ["test"]
            os.kill(os.getpid(), signal.SIGINT)
        return await presses.handle(request)

    with gateway(site.parent, {"walktest": handle}):
        said = run("walktest", str(site))
    assert "Release or reset: 校门 gate house" in said.output
    assert "REAL ALARMS now, as they are still pressed: 校门 gate house" in said.output
    assert said.exit_code == 0


def test_a_button_that_was_not_pressed_is_in_the_record(site: Path) -> None:
    presses, out = Presses(stored=3), site.parent / "record.json"

    async def handle(request: Message) -> Message:
        if request.get("action") == "state" and not presses.left:
            # As a gateway does that is stopped in the middle.
            raise anyio.BrokenResourceError
        return await presses.handle(request)

    with gateway(site.parent, {"walktest": handle}):
        said = run("walktest", str(site), "--out", str(out))
    assert said.exit_code == 1
    record = json.loads(out.read_text("utf-8"))
    assert record["is_complete"] is False
    assert [button["result"] for button in record["buttons"]] == ["stored"] * 3 + ["waiting"] * 2
    assert "not pressed" in (site.parent / "record.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "why", "code"),
    [
        (("--devices", "weather"), "no buttons on weather", 1),
        (("--out", "no/such/folder/record.json"), "there is no such folder", 2),
    ],
)
def test_what_cannot_begin_is_said(site: Path, words: tuple[str, ...], why: str, code: int) -> None:
    presses = Presses(stored=0)
    with gateway(site.parent, {"walktest": presses.handle}):
        said = run("walktest", str(site), *words)
    assert why in said.output
    assert said.exit_code == code
    assert presses.modes == []


def test_without_a_gateway_no_walk_test_begins(site: Path) -> None:
    assert run("walktest", str(site)).exit_code == 2
