"""A fleet on a real broker, with a stand-in for the cloud that answers receipts."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from benchmarks.receiver import Receiver
from contract.presence import Birth, Death, decode_presence
from contract.topics import Channel
from langyan.cli import make_app
from langyan.servers import Mosquitto, free_port
from simulators.fleet import files
from simulators.fleet.plan import FleetError, Outcome, Plan, Progress
from simulators.fleet.run import Wish, run_fleet


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@contextmanager
def cloud(port: int) -> Iterator[Receiver]:
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.close()


def plan(port: int, **more: object) -> Plan:
    fields: dict[str, object] = {
        "gateways": 40, "devices": 3, "interval_s": 0.25, "port": port, "ramp_per_s": 5000.0, "resend_s": 0.3,
        "alarm_resend_s": 0.3, "settle_s": 20.0,
    }  # fmt: skip
    return Plan(**{**fields, **more})  # type: ignore[arg-type]


def numbers_in(receiver: Receiver) -> Counter[tuple[str, str, int]]:
    """How often each number of each device has arrived."""
    return Counter(
        (arrived.gateway, sample.device, int(sample.points[0].value))
        for arrived in receiver.drain()
        if arrived.channel is Channel.TELEMETRY
        for sample in arrived.samples()
    )


def wanted(asked: Plan, outcome: Outcome) -> set[tuple[str, str, int]]:
    return {
        (asked.gateway_id(gateway), f"device-{device:04d}", number)
        for gateway, last in enumerate(outcome.made_by, start=1)
        for device in range(1, asked.devices + 1)
        for number in range(1, last + 1)
    }


def test_all_readings_of_all_gateways_arrive_and_get_their_receipts(broker: Mosquitto) -> None:
    asked = plan(broker.port, seconds=1.5, presses_per_min=600.0)
    with cloud(broker.port) as receiver:
        outcome = run_fleet(asked)
        arrived = list(receiver.drain())
    made = sum(outcome.made_by)
    assert outcome.lost == 0
    assert outcome.settled == outcome.sent == made * 9 == outcome.batches * 9
    assert outcome.alarms_settled == outcome.alarm_events > 0
    assert outcome.connects == 40
    batches = [one for one in arrived if one.channel is Channel.TELEMETRY]
    # On a busy machine a receipt may be late, and its batch come again.
    samples = {(one.gateway, sample.device, int(sample.points[0].value)) for one in batches for sample in one.samples()}
    assert len(samples) == made * 3
    assert {(device, number) for _gateway, device, number in samples} == {
        (f"device-{device:04d}", number) for device in (1, 2, 3) for number in range(1, max(outcome.made_by) + 1)
    }
    alarms = [one.alarm() for one in arrived if one.channel is Channel.ALARM]
    assert len(alarms) == outcome.alarm_events
    presence = [decode_presence(one.payload, gateway=one.gateway) for one in arrived if one.channel is Channel.BIRTH]
    births = {said.gateway for said in presence if isinstance(said, Birth)}
    assert births == {asked.gateway_id(number) for number in range(1, 41)}


def test_the_good_byes_are_retained(broker: Mosquitto) -> None:
    run_fleet(plan(broker.port, seconds=0.1, waits_for_receipts=False, prefix="leaving"))
    with cloud(broker.port) as receiver:
        seen: dict[str, object] = {}
        deadline = threading.Event()
        while len(seen) < 40:
            assert not deadline.wait(0.01)
            for one in receiver.drain():
                if one.gateway.startswith("leaving") and one.channel is Channel.BIRTH:
                    seen[one.gateway] = decode_presence(one.payload, gateway=one.gateway)
    assert {type(said) for said in seen.values()} == {Death}
    assert {getattr(said, "reason", "") for said in seen.values()} == {"stopped"}


def test_nothing_is_lost_when_the_broker_is_killed_and_comes_back(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, cloud(broker.port) as receiver:
        # No more than a busy machine can do: whatever could not be handed over in time is counted as lost.
        asked = plan(broker.port, presses_per_min=300.0, interval_s=1.0)
        wish, states = [Wish.GO_ON], [Progress(phase="", elapsed_s=0, up=0, sent=0, settled=0, waiting=0)]
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_fleet, asked, wish=lambda: wish[0], on_progress=states.append)
            wait_for(lambda: states[-1].settled > 100)
            broker.kill()
            wait_for(lambda: states[-1].up == 0 and states[-1].waiting > 100)
            broker.start()
            wait_for(lambda: states[-1].up == 40 and states[-1].settled > 400)
            wish[0] = Wish.FINISH
            outcome = running.result(50)
        arrived = numbers_in(receiver)
    assert outcome.lost == 0
    assert outcome.cuts == 40
    assert outcome.connects == 80
    assert set(arrived) == wanted(asked, outcome)


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true")


def test_without_a_cloud_everything_waits_and_says_so(broker: Mosquitto) -> None:
    outcome = run_fleet(plan(broker.port, seconds=0.3, settle_s=0.1))
    assert outcome.waiting == outcome.sent > 0
    assert outcome.lost > 0
    assert not outcome.is_good


def test_a_fleet_without_a_broker_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.fleet.run.UP_LIMIT_S", 0.3)
    port = free_port()
    with pytest.raises(FleetError, match=f"0 of 40 gateways are connected to the broker at 127.0.0.1:{port}.*refused"):
        run_fleet(plan(port))
    with pytest.raises(FleetError, match=r"nobody\.invalid:1 cannot be found"):
        run_fleet(plan(1, host="nobody.invalid"))


def test_a_broker_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.fleet.run.CONNECT_LIMIT_S", 0.1)
    monkeypatch.setattr("simulators.fleet.run.UP_LIMIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as others:
        # The queue of a server that accepts nobody is full after the first: who comes then hears nothing.
        for _ in range(2):
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(server.getsockname())
        with pytest.raises(FleetError, match=r"0 of 2 gateways.*timed out"):
            run_fleet(plan(server.getsockname()[1], gateways=2))


def test_a_broker_that_does_not_let_us_in_ends_it_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x20\x03\x00\x87\x00")
                connection.recv(4096)

        refusing = pool.submit(refuse)
        with pytest.raises(FleetError, match="0x87; check name, password and access list"):
            run_fleet(plan(server.getsockname()[1], gateways=1))
        refusing.result(10)


def test_too_few_open_files_are_said_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1000))
    with pytest.raises(FleetError, match=r"2000 connections take 2064 open files.*LimitNOFILE=2064"):
        run_fleet(plan(1, gateways=2000))


def test_the_soft_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 5000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    files.make_room(20)
    assert raised == []
    files.make_room(2000)
    assert raised == [(2064, 5000)]


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(make_app(["sim"]), ["sim", "fleet", *words], env={"LANGYAN_LANG": "en"})
    return result.exit_code, result.output


def test_the_command_prints_a_table_and_writes_json(broker: Mosquitto, tmp_path: Path) -> None:
    place = tmp_path / "fleet.json"
    status, said = call(
        "--gateways", "5", "--devices", "2", "--interval", "0.2", "--seconds", "1", "--no-receipts", "--seed", "7",
        "--broker", f"127.0.0.1:{broker.port}", "--json", str(place),
    )  # fmt: skip
    assert status == 0, said
    outcome = msgspec.json.decode(place.read_bytes(), type=Outcome)
    assert (outcome.gateways, outcome.devices, outcome.waiting) == (5, 2, 0)
    assert outcome.asked == 25 * 6
    assert f"{outcome.asked_per_s:.1f}" in said
    assert f"{outcome.rss_mib} MiB" in said


def test_ctrl_c_ends_the_readings_and_waits_for_their_receipts(broker: Mosquitto) -> None:
    words = ["--gateways", "3", "--interval", "0.1", "--no-receipts", "--broker", f"127.0.0.1:{broker.port}"]
    environ = os.environ | {"LANGYAN_LANG": "en"}
    with subprocess.Popen(
        [sys.executable, "-m", "langyan", "sim", "fleet", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert any(line.startswith("reading") for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "readings with a receipt" in said


def test_the_command_fails_when_something_is_not_known_to_be_stored(broker: Mosquitto) -> None:
    status, said = call(
        "--gateways",
        "2",
        "--interval",
        "0.1",
        "--seconds",
        "0.3",
        "--settle",
        "0",
        "--broker",
        f"127.0.0.1:{broker.port}",
    )
    assert status == 1
    assert "not known to be stored" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--gateways", "0"], "gateways"),
        (["--gateways", "1", "--devices", "7000"], "devices"),
        (["--gateways", "1", "--broker", "host:x"], "host:port"),
        (["--gateways", "1", "--prefix", "a/b"], "prefix"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(words: list[str], why: str) -> None:
    status, said = call(*words)
    assert status == 2
    assert why in said


def test_a_missed_rate_is_not_good() -> None:
    fields = dict.fromkeys(Outcome.__struct_fields__, 0)
    good = Outcome(**{**fields, "asked_per_s": 100.0, "done_per_s": 98.0})  # type: ignore[arg-type]
    bad = Outcome(**{**fields, "asked_per_s": 100.0, "done_per_s": 97.9})  # type: ignore[arg-type]
    assert (good.is_good, bad.is_good) == (True, False)
