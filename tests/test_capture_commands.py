"""`langyan edge capture`, `langyan edge replay`: a simulated bus into a file, and what stands in it."""

from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from typer.testing import CliRunner, Result

from device_profiles.recording import read_recording
from device_profiles.site import RtuBus
from device_profiles.site_loader import load_site
from edge.capture import CaptureFileError, capture_handler
from edge.control import control_path, serve_control
from edge.line import Line, make_line
from langyan.cli import make_app
from langyan.commands.capture import _write
from tests.edge.peers import read
from tests.simulators.rig import device_toml, rtu_toml, serving

CLIMATE = device_toml("climate", "line", "generic/xy-md02", extra="every_s = { temperature = 0.2, humidity = 0.2 }")


def langyan(*words: str | Path) -> Result:
    return CliRunner().invoke(make_app([str(words[0])]), [str(word) for word in words])


def test_a_bus_is_polled_into_a_file_and_read_by_its_profiles(tmp_path: Path) -> None:
    site, out = tmp_path / "site.toml", tmp_path / "line.jsonl"
    with serving(tmp_path, rtu_toml(), CLIMATE) as (_, control):
        control.set("climate", "temperature", 21.5)
        recorded = langyan("edge", "capture", site, "--bus", "line", "--out", out, "--seconds", "1")
    assert recorded.exit_code == 0, recorded.output
    assert "polling the bus myself" in recorded.output
    assert f"bytes in {out}" in recorded.output
    recording = read_recording(out.read_bytes())
    assert (recording.heading.gateway, recording.heading.bus.id) == ("gw-test", "line")
    played = langyan("edge", "replay", out, "--site", site)
    assert played.exit_code == 0, played.output
    assert "climate temperature = 21.5" in played.output
    assert " 0 with a fault" in played.output
    assert "= 215 " in langyan("edge", "replay", out).output


def test_a_running_gateway_is_listened_to_and_keeps_its_port(tmp_path: Path) -> None:
    site_file, out = tmp_path / "site.toml", tmp_path / "line.jsonl"

    async def poll(line: Line) -> None:
        await line.open()
        try:
            while True:
                assert await read(line, 1000, timeout_s=1.0) == 2
        finally:
            line.close()

    with serving(tmp_path, rtu_toml(), CLIMATE):
        site = load_site(site_file)
        (bus,) = site.file.bus
        assert isinstance(bus, RtuBus)
        line = make_line(bus, folder=tmp_path)
        where = control_path(tmp_path / site.file.outbox.path)
        with anyio.from_thread.start_blocking_portal() as portal:
            handlers = {"capture": capture_handler(site, {"line": line})}
            serving_control, _ = portal.start_task(serve_control, where, handlers)
            polling = portal.start_task_soon(poll, line)
            recorded = langyan("edge", "capture", site_file, "-b", "line", "-o", out, "-s", "2")
            for task in (polling, serving_control):
                task.cancel()
    assert recorded.exit_code == 0, recorded.output
    assert "what the running gateway sends" in recorded.output
    played = langyan("edge", "replay", out)
    assert "read holding registers 1000+1" in played.output
    assert "illegal data address" in played.output


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    out.write_text("precious")
    with serving(tmp_path, rtu_toml(), CLIMATE):
        refused = langyan("edge", "capture", tmp_path / "site.toml", "--bus", "line", "--out", out)
    assert refused.exit_code == 1
    assert "is there already" in refused.output
    assert out.read_text() == "precious"


@pytest.mark.parametrize("words", [("edge", "replay"), ("sim", "replay")])
def test_what_is_no_recording_is_said(words: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    missing = langyan(*words, file)
    assert (missing.exit_code, "cannot be read" in missing.output) == (1, True)
    file.write_text("{}")
    refused = langyan(*words, file)
    assert (refused.exit_code, "line 1: not the heading of a recording" in refused.output) == (1, True)


def test_a_full_disk_is_said() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(CaptureFileError, match="/dev/full cannot be written: No space left"),
    ):
        _write(full, b"x")


def test_an_unknown_bus_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), CLIMATE):
        refused = langyan("edge", "capture", tmp_path / "site.toml", "--bus", "lime", "--out", tmp_path / "x")
    assert refused.exit_code == 1
    assert "there are line" in refused.output
    assert not (tmp_path / "x").exists()


def test_a_port_that_cannot_be_opened_leaves_no_empty_file_behind(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[gateway]\nid = "gw"\nsite = "bench"\n' + rtu_toml() + CLIMATE)
    refused = langyan("edge", "capture", site, "--bus", "line", "--out", tmp_path / "x")
    assert refused.exit_code == 1
    assert "cannot be opened" in refused.output
    assert not (tmp_path / "x").exists()


def test_profiles_of_ones_own_are_found(tmp_path: Path) -> None:
    own = tmp_path / "own" / "acme" / "th.toml"
    own.parent.mkdir(parents=True)
    catalogue = Path(__file__).parent.parent / "device_profiles" / "catalogue"
    own.write_text(
        (catalogue / "generic" / "xy-md02.toml").read_text("utf-8").replace('"generic/xy-md02"', '"acme/th"')
    )
    site = tmp_path / "site.toml"
    site.write_text('[gateway]\nid = "gw"\nsite = "bench"\n' + rtu_toml() + device_toml("th", "line", "acme/th"))
    assert langyan("edge", "check", site).exit_code == 2
    found = langyan("edge", "check", site, "--profiles", tmp_path / "own")
    assert found.exit_code == 0, found.output
