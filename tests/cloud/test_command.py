"""A command sent by the cloud to something that answers like a gateway."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.commands import Command, Outcome, Result, Write, decode_command, encode_result
from contract.telemetry import Value
from contract.topics import Channel, topic
from langyan.servers import Mosquitto, free_port
from tests.cloud.rig import T0_US, GatewayClient, eventually, fresh, write_settings

SETTINGS = """
[mqtt]
port = {port}

[influx]
version = 1

[database]
url = "sqlite:///cloud.db"
"""


@pytest.fixture
def gateway(mosquitto: Mosquitto) -> Iterator[GatewayClient]:
    name = fresh("g")
    with GatewayClient(mosquitto.port, name, also=(topic(name, Channel.COMMAND),)) as client:
        yield client


def start(folder: Path, port: int, *words: str) -> "subprocess.Popen[str]":
    settings = write_settings(folder / "cloud.toml", SETTINGS.format(port=port))
    line = [sys.executable, "-m", "langyan", "cloud", "command", *words, "--settings", str(settings)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def command_to(client: GatewayClient) -> Command:
    name = topic(client.gateway, Channel.COMMAND)
    eventually(lambda: any(one.topic == name for one in client.received))
    payload = next(one.payload for one in client.received if one.topic == name)
    return decode_command(payload, gateway=client.gateway)


@pytest.mark.parametrize(
    ("text", "value", "read_back"), [("true", True, "true"), ("12.5", 12.5, "12.5"), ("维护", "维护", '"维护"')]
)
def test_what_reads_back_is_printed(
    mosquitto: Mosquitto, gateway: GatewayClient, tmp_path: Path, text: str, value: Value, read_back: str
) -> None:
    with start(tmp_path, mosquitto.port, gateway.gateway, "io", "output_1", text) as process:
        command = command_to(gateway)
        assert command.order == Write("io", "output_1", value)
        gateway.send(Channel.RESULT, b"not a result")
        gateway.send(Channel.RESULT, encode_result(Result("another", gateway.gateway, Outcome.FAILED, T0_US)))
        gateway.send(Channel.RESULT, encode_result(Result(command.id, gateway.gateway, Outcome.DONE, T0_US, "", value)))
        out, err = process.communicate()
    assert (process.returncode, out) == (0, f"io/output_1 = {read_back}\n"), err


def test_a_refusal_is_told_with_its_reason(mosquitto: Mosquitto, gateway: GatewayClient, tmp_path: Path) -> None:
    with start(tmp_path, mosquitto.port, gateway.gateway, "io", "input_1", "1") as process:
        command = command_to(gateway)
        result = Result(command.id, gateway.gateway, Outcome.REFUSED, T0_US, "point input_1 may not be written")
        gateway.send(Channel.RESULT, encode_result(result))
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "refused: point input_1 may not be written\n")


def test_silence_ends_after_the_wait(mosquitto: Mosquitto, gateway: GatewayClient, tmp_path: Path) -> None:
    with start(tmp_path, mosquitto.port, gateway.gateway, "io", "output_1", "1", "--wait", "1") as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (3, f"{gateway.gateway} did not answer within 1 s\n")


@pytest.mark.parametrize(("words", "status"), [(("g", "i o", "p", "1"), 2), (("g/x", "io", "p", "1"), 2)])
def test_what_is_no_id_is_not_sent(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    with start(tmp_path, free_port(), *words) as process:
        _, err = process.communicate()
    assert process.returncode == status
    assert "is no id" in err


def test_a_broker_that_is_away_is_said(tmp_path: Path) -> None:
    with start(tmp_path, free_port(), "g", "io", "output_1", "1") as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert "did not take the command" in err
