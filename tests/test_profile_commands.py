"""`langyan profile`: the catalogue for people and programs, new profiles, and one real device tried."""

import json
import socket
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from typer.testing import CliRunner, Result

from device_profiles.catalogue import list_profiles, load_profile, load_profile_file, profile_files
from device_profiles.model import Profile
from device_profiles.site import RtuBus, TcpServerBus
from langyan.cli import make_app
from langyan.commands.profile import MAX_INPUT_BYTES
from langyan.profile_decoding import DecodedLine, Event, Reading, Refused
from langyan.profile_page import devices_page
from langyan.profile_skeleton import SCHEMA_FILE
from langyan.profile_trying import Asked, ask_once, keep_asking, listen
from tests.edge.peers import rtu_says, serial_peer
from tests.simulators.rig import device_toml, free_port, rtu_toml, serving, tcp_toml, wait_for

DEVICES = Path(__file__).parents[1] / "docs" / "devices.md"
GOOD = "01 04 04 01 31 02 22 2A CE"
GPS = "generic/nmea-gps"


def langyan(*words: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(make_app(["profile"]), ["profile", *map(str, words)], input=stdin)


@cache
def loaded() -> list[Profile]:
    return [load_profile(profile_id) for profile_id in list_profiles()]


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_LANG", "zh")


def test_the_page_of_devices_is_the_catalogue() -> None:
    wanted = devices_page(loaded())
    assert DEVICES.read_text("utf-8") == wanted, "run: scripts/generate"
    assert langyan("list", "--markdown").output == wanted


def test_a_list_names_every_profile() -> None:
    result = langyan("list")
    assert result.exit_code == 0
    assert all(profile_id in result.output for profile_id in list_profiles())


def test_a_list_for_programs_says_what_a_profile_is() -> None:
    entries = {entry["profile"]: entry for entry in json.loads(langyan("list", "--json").output)}
    assert sorted(entries) == list_profiles()
    buttons = entries["waveshare/modbus-rtu-io-8ch"]
    assert (buttons["kind"], buttons["speaks"], buttons["alarms"]) == ("panic-button", "rtu", ["panic"])
    assert (buttons["printed"], buttons["composed"], buttons["tested_on"]) == (1, 0, [])
    # A capture that was put together by hand is never counted as the maker's.
    assert (entries["zlan/zlan6842"]["printed"], entries["zlan/zlan6842"]["composed"]) == (0, 3)


def test_a_list_can_be_of_one_kind() -> None:
    entries = json.loads(langyan("list", "--json", "--kind", "rain-gauge").output)
    assert {entry["kind"] for entry in entries} == {"rain-gauge"}
    unknown = langyan("list", "--kind", "toaster")
    assert unknown.exit_code == 1
    assert "no device of kind toaster; there are: " in unknown.output


def test_a_faulty_profile_of_ones_own_is_told_and_hides_no_other(tmp_path: Path) -> None:
    bad = tmp_path / "acme" / "bad.toml"
    bad.parent.mkdir()
    bad.write_text('profile = "acme/bad"')
    result = langyan("list", "--profiles", tmp_path)
    assert result.exit_code == 2
    assert "generic/xy-md02" in result.output
    assert f"{bad}: title: is missing" in result.output


def test_a_profile_is_shown_with_its_quirks() -> None:
    result = langyan("show", "epever/tracer-b")
    assert result.exit_code == 0
    for words in ("Modbus RTU 115200 8N1, unit 1", "battery_voltage", "low-battery", "tried on: nothing yet"):
        assert words in result.output
    assert "captures: 3 by the maker or a device, 0 composed by hand" in result.output
    assert "! At night panel voltage falls" in result.output


@pytest.mark.usefixtures("chinese")
def test_a_profile_is_shown_in_the_language_of_the_terminal() -> None:
    assert "太阳能充电控制器" in langyan("show", "epever/tracer-b").output


def test_an_unknown_profile_names_what_is_near() -> None:
    result = langyan("show", "generic/xy-md20")
    assert result.exit_code == 2
    assert "did you mean generic/xy-md02" in result.output


def test_files_are_checked_and_every_fault_is_told(tmp_path: Path) -> None:
    good = profile_files()["generic/xy-md02"]
    assert "1 file(s) in order" in langyan("check", good).output
    bad = tmp_path / "generic" / "xy-md02.toml"
    bad.parent.mkdir()
    bad.write_text(good.read_text("utf-8").replace('"s16"', '"s17"').replace("54.6", "54.7"), "utf-8")
    result = langyan("check", good, bad, tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "did you mean s16" in result.output
    assert "none.toml: cannot be read" in result.output
    assert "fault(s)" in result.output


COMMON = {
    'maker = ""': 'maker = "Acme"',
    'model = ""': 'model = "TH-1"',
    'kind = ""': 'kind = "climate-sensor"',
    'title = { en = "", zh = "" }': 'title = { en = "Thermometer", zh = "温度计" }',
    'sources = [""]': 'sources = ["Manual"]',
    'name = { en = "", zh = "" }': 'name = { en = "Temperature", zh = "温度" }',
    'source = ""': 'source = "Manual, page 3"',
    "temperature = 0.0": "temperature = 12.1",
}
ASKED = {'request = ""': 'request = "01 03 00 00 00 01 84 0A"', 'reply = ""': 'reply = "01 03 02 00 79 79 A6"'}
SPOKEN = {'text = "" #': 'text = "$TH,12.1\\r\\n" #'}


@pytest.mark.parametrize(
    ("options", "words", "left"), [([], ASKED, "capture[1].request"), (["--speaks"], SPOKEN, "capture[1]")]
)
def test_a_new_profile_says_what_is_left_and_is_in_order_when_filled(
    options: Sequence[str], words: dict[str, str], left: str, tmp_path: Path
) -> None:
    written = langyan("new", "acme/th-1", "--into", tmp_path, *options)
    path = tmp_path / "acme" / "th-1.toml"
    assert (written.exit_code, path.exists()) == (0, True)
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == f"#:schema {SCHEMA_FILE.as_uri()}"
    assert SCHEMA_FILE.exists()
    checked = langyan("check", path)
    assert checked.exit_code == 2
    for key in ("maker", "model", "title.en", "kind", "sources", left):
        assert f": {key}" in checked.output, checked.output
    for empty, word in {**COMMON, **words}.items():
        assert empty in text
        text = text.replace(empty, word)
    path.write_text(text, "utf-8")
    assert langyan("check", path).exit_code == 0, langyan("check", path).output
    assert load_profile_file(path).points[0].unit == "Cel"
    assert "acme/th-1" in langyan("list", "--profiles", tmp_path).output


def test_a_profile_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    langyan("new", "acme/th-1", "--into", tmp_path)
    path = tmp_path / "acme" / "th-1.toml"
    path.write_text("precious")
    refused = langyan("new", "acme/th-1", "--into", tmp_path)
    assert (refused.exit_code, path.read_text()) == (1, "precious")
    assert "is there already" in refused.output


@pytest.mark.parametrize("profile_id", ["th-1", "acme/", "/etc", "../th", "acme/../th", "acme/.."])
def test_a_new_id_is_never_a_way_elsewhere(profile_id: str, tmp_path: Path) -> None:
    refused = langyan("new", profile_id, "--into", tmp_path / "own")
    assert refused.exit_code == 2
    assert "is no profile id" in refused.output
    assert list(tmp_path.rglob("*.toml")) == []


def test_bytes_are_decoded_into_one_object_a_line() -> None:
    result = langyan("decode", "generic/xy-md02", "--hex", GOOD)
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.output.splitlines()] == [
        {"point": "temperature", "value": 30.5, "unit": "Cel"},
        {"point": "humidity", "value": 54.6, "unit": "%RH"},
    ]


def test_raw_bytes_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "answer.bin"
    file.write_bytes(bytes.fromhex(GOOD))
    wanted = langyan("decode", "generic/xy-md02", "--hex", GOOD).output
    assert langyan("decode", "generic/xy-md02", file).output == wanted
    assert langyan("decode", "generic/xy-md02", stdin=bytes.fromhex(GOOD)).output == wanted


def test_refused_bytes_give_the_reason_and_exit_status_1() -> None:
    result = langyan("decode", "generic/xy-md02", "--hex", GOOD[:-1] + "F")
    assert result.exit_code == 1
    assert "its CRC is 2a cf where the bytes give 2a ce" in json.loads(result.output)["refused"]
    meter = langyan("decode", "eastron/sdm630", "--hex", "01 04 04 43 66 33 34 1B 38")
    assert (meter.exit_code, "fits several reads" in meter.output) == (1, True)
    told = langyan("decode", "eastron/sdm630", "--hex", "01 04 04 43 66 33 34 1B 38",
                   "--request", "01 04 00 00 00 02 71 CB")  # fmt: skip
    assert (told.exit_code, json.loads(told.output)["point"]) == (0, "voltage_1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hex", "zz"], "--hex is not hexadecimal"),
        (["--hex", GOOD, "--request", "0"], "--request is not hexadecimal"),
        (["--hex", GOOD, "some.bin"], "not from both"),
        (["missing.bin"], "missing.bin cannot be read"),
    ],
)
def test_what_cannot_be_decoded_at_all_is_said(words: Sequence[str], said: str) -> None:
    result = langyan("decode", "generic/xy-md02", *words)
    assert result.exit_code in (1, 2)
    assert said in result.output


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        file.truncate(MAX_INPUT_BYTES + 1)
    result = langyan("decode", "generic/xy-md02", huge)
    assert (result.exit_code, "more than 16 MiB" in result.output) == (1, True)


def spoken_capture() -> tuple[Profile, bytes]:
    profile = load_profile(GPS)
    capture = next(capture for capture in profile.capture if capture.text)
    return profile, capture.text.encode() + b"\r\n"


def test_what_a_device_says_by_itself_is_decoded_through_its_conversation() -> None:
    _, said = spoken_capture()
    result = langyan("decode", GPS, stdin=said)
    points = {json.loads(line).get("point") for line in result.output.splitlines()}
    assert result.exit_code == 0, result.output
    assert {"latitude", "longitude"} <= points
    damaged = langyan("decode", GPS, stdin=said.replace(b",", b";", 1))
    assert damaged.exit_code == 1
    assert "refused" in damaged.output
    asked = langyan("decode", GPS, "--hex", "00", "--request", "00")
    assert (asked.exit_code, "there is no request" in asked.output) == (2, True)


@pytest.mark.parametrize("way", ["serial", "tcp"])
def test_a_device_is_asked_once(way: str, tmp_path: Path) -> None:
    tcp = free_port()
    line = rtu_toml() if way == "serial" else tcp_toml("line", port=tcp)
    profile = "generic/xy-md02" if way == "serial" else "zlan/zlan6842"
    reach = ["--port", str(tmp_path / "tty-line"), "--baud", "115200"] if way == "serial" else ["--host", "127.0.0.1",
             "--tcp-port", str(tcp)]  # fmt: skip
    point, value = ("temperature", 21.5) if way == "serial" else ("button_3", True)
    with serving(tmp_path, line, device_toml("one", "line", profile)) as (_, control):
        control.set("one", point, value)
        shown = langyan("try", profile, *reach)
        listed = langyan("try", profile, *reach, "--json")
    assert shown.exit_code == 0, shown.output
    assert f"{point} " in shown.output
    assert " values in " in shown.output
    assert {"point": point, "value": value} in [
        {key: line[key] for key in ("point", "value")} for line in map(json.loads, listed.output.splitlines())
    ]


def test_every_device_that_is_asked_answers_as_its_profile_simulates_it(tmp_path: Path) -> None:
    """Plan, line and decoder of the gateway against the simulators' own encoder, all on one line."""
    asked = [profile for profile in loaded() if profile.speaks is None]
    devices = [device_toml(f"d{unit}", "line", one.profile, unit=unit) for unit, one in enumerate(asked, 1)]
    bus = RtuBus("line", str(tmp_path / "tty-line"), 115_200)
    with serving(tmp_path, rtu_toml(), *devices):
        for unit, profile in enumerate(asked, 1):
            lines = anyio.run(partial(ask_once, profile, bus, unit=unit)).lines
            assert [line for line in lines if isinstance(line, Refused)] == [], profile.profile
            assert {line.point for line in lines if isinstance(line, Reading)} == {one.key for one in profile.point}


def test_a_mute_device_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    with serving(tmp_path, rtu_toml(), device_toml("one", "line", "generic/xy-md02")) as (_, control):
        control.mute("one")
        result = langyan("try", "generic/xy-md02", "--port", tmp_path / "tty-line", "--baud", "115200")
    assert result.exit_code == 1
    assert "! input 1+2: " in result.output
    assert "Check power, unit id, baud" in result.output


def test_a_device_is_asked_until_it_is_enough() -> None:
    rounds: list[Asked] = []

    async def ask(bus: RtuBus) -> None:
        stop = anyio.Event()

        def tell(asked: Asked) -> None:
            rounds.append(asked)
            if len(rounds) == 3:
                stop.set()

        with anyio.fail_after(15):
            await keep_asking(load_profile("xunchip/xm9505"), bus, unit=1, every_s=0.01, tell=tell, stop=stop)

    with serial_peer(lambda _: [(0.0, rtu_says(1, 536))]) as bus:
        anyio.run(ask, bus)
    assert [asked.lines for asked in rounds] == [(Reading(point="rain", value=53.6, unit="mm"),)] * 3


@pytest.mark.parametrize(
    ("profile", "words", "said"),
    [
        ("generic/xy-md02", [], "name --port, or --host"),
        ("generic/xy-md02", ["--listen", "5000"], "name --port, or --host"),
        ("generic/xy-md02", ["--host", "h"], "a serial server has no usual port"),
        ("generic/sia-dc09", ["--port", "/dev/null"], "speaks over tcp_server, udp"),
        ("generic/sia-dc09", ["--listen", "5000", "--secret-env", "LANGYAN_NO_SUCH"], "LANGYAN_NO_SUCH is not set"),
        ("generic/xy-md02", ["--port", "/dev/null-no-such"], "cannot be opened"),
    ],
)
def test_a_way_that_leads_nowhere_is_said(profile: str, words: Sequence[str], said: str) -> None:
    result = langyan("try", profile, *words)
    assert result.exit_code in (1, 2)
    assert said in result.output


def test_a_device_that_connects_is_listened_to_and_never_acknowledged() -> None:
    profile, port, told = load_profile("generic/sia-dc09"), free_port(), list[DecodedLine]()
    frame = next(capture.text.encode() for capture in profile.capture if capture.text)
    with anyio.from_thread.start_blocking_portal() as portal:
        stop = portal.call(anyio.Event)
        bus = TcpServerBus("try", port, "127.0.0.1")
        listening = portal.start_task_soon(
            lambda: listen(profile, bus, address="", secret=b"", tell=told.append, stop=stop)
        )
        with connected(port) as device:
            device.sendall(frame)
            wait_for(lambda: bool(told), "what it said")
            portal.call(stop.set)
            listening.result(15)
            # The line is closed, and nothing ever came back.
            assert device.recv(1) == b""
    assert any(isinstance(line, Event) and line.rule == "e120" for line in told), told


def connected(port: int) -> socket.socket:
    found: list[socket.socket] = []

    def connect() -> bool:
        try:
            found.append(socket.create_connection(("127.0.0.1", port), timeout=1.0))
        except ConnectionRefusedError:
            return False
        return True

    wait_for(connect, "the listener")
    return found[0]
