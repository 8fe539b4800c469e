"""Stolen lists and arming, sent to something that answers as a gateway with readers does."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Done

from contract.commands import Command, Outcome, Result, decode_command, encode_result
from contract.limits import MAX_PART_TAGS
from contract.tags import Arm, Disarm, StolenPart
from contract.topics import Channel, topic
from edge.errors import StolenListError
from edge.presence.stolen import StolenList
from langyan.commands.cloud import app
from langyan.servers import Mosquitto, free_port
from tests.cloud.rig import T0_US, GatewayClient, fresh, write_settings
from tests.cloud.test_command import SETTINGS

BIKE, OWNER = "CCB97E7361A4", "EAC653D3AA8E"


class Reader:
    """A gateway that hears tags: it takes lists, and tells of orders what a real one would.

    Attributes:
        orders: all that came.
    """

    def __init__(self, client: GatewayClient, stolen: StolenList) -> None:
        self.orders: list[Arm | Disarm | StolenPart] = []
        self._client, self._stolen = client, stolen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _answer(self) -> None:
        answered = 0
        name = topic(self._client.gateway, Channel.COMMAND)
        while not self._stop.wait(0.01):
            commands = [one.payload for one in self._client.received if one.topic == name]
            for payload in commands[answered:]:
                command = decode_command(payload, gateway=self._client.gateway)
                self._client.send(Channel.RESULT, encode_result(self._carry_out(command)))
            answered = len(commands)

    def _carry_out(self, command: Command) -> Result:
        order = command.order
        assert isinstance(order, Arm | Disarm | StolenPart)
        self.orders.append(order)
        if not isinstance(order, StolenPart):
            return Result(command.id, command.gateway, Outcome.DONE, T0_US, "", float(len(order.tags)))
        try:
            self._stolen.take(order)
        except StolenListError as error:
            return Result(command.id, command.gateway, Outcome.REFUSED, T0_US, str(error))
        return Result(command.id, command.gateway, Outcome.DONE, T0_US, "", float(self._stolen.version))


@pytest.fixture
def stolen() -> StolenList:
    return StolenList(1, {"OLD": "case 1"})


@pytest.fixture
def reader(mosquitto: Mosquitto, stolen: StolenList) -> Iterator[Reader]:
    name = fresh("g")
    with (
        GatewayClient(mosquitto.port, name, also=(topic(name, Channel.COMMAND),)) as client,
        Reader(client, stolen) as answering,
    ):
        yield answering


def run(folder: Path, port: int, *words: str, gateways: str = "") -> Done:
    settings = write_settings(folder / "cloud.toml", SETTINGS.format(port=port) + gateways)
    return CliRunner().invoke(app, [*words, "--settings", str(settings)])


def test_a_list_is_in_force_when_its_last_part_is_taken(
    mosquitto: Mosquitto, reader: Reader, stolen: StolenList, tmp_path: Path
) -> None:
    file = tmp_path / "stolen.csv"
    more = "".join(f"T{number},\n" for number in range(2 * MAX_PART_TAGS))
    file.write_text(f'Tag,Note\nccb97e7361a4,"案件 7, 红色"\n\n{more}', "utf-8-sig")
    gateway = reader._client.gateway
    done = run(tmp_path, mosquitto.port, "stolen", str(file), "--gateway", gateway, "--version", "8")
    assert (done.exit_code, done.stdout) == (0, f"{gateway}: version 8 is in force: 1001 stolen tags\n"), done.stderr
    assert len(reader.orders) == 3
    assert (stolen.version, stolen.notes[BIKE], len(stolen.notes)) == (8, "案件 7, 红色", 1001)


def test_a_difference_is_sent_where_it_fits_and_the_whole_list_where_not(
    mosquitto: Mosquitto, reader: Reader, stolen: StolenList, tmp_path: Path
) -> None:
    old, new, other = (tmp_path / name for name in ("old.csv", "new.csv", "other.csv"))
    old.write_text("OLD,case 1\n")
    new.write_text("OLD,case 1\nNEW,case 2\n")
    other.write_text("OTHER\n")
    gateway = reader._client.gateway
    for since, version in ((old, 2), (other, 3)):
        words = ("stolen", str(new), "-g", gateway, "--since", str(since), "--version", str(version))
        assert run(tmp_path, mosquitto.port, *words).exit_code == 0
    parts = [order for order in reader.orders if isinstance(order, StolenPart)]
    assert [(part.base is None, len(part.add)) for part in parts] == [(False, 1), (False, 2), (True, 2)]
    assert (stolen.version, stolen.notes) == (3, {"OLD": "case 1", "NEW": "case 2"})


def test_an_older_list_is_refused_with_the_version_in_force(
    mosquitto: Mosquitto, reader: Reader, stolen: StolenList, tmp_path: Path
) -> None:
    stolen.version = 9
    file = tmp_path / "stolen.csv"
    file.write_text("NEW\n")
    done = run(tmp_path, mosquitto.port, "stolen", str(file), "-g", reader._client.gateway, "--version", "8")
    assert done.exit_code == 1
    assert "version 9, which is in force" in done.stderr


def test_tags_are_armed_at_every_gateway_registered(mosquitto: Mosquitto, reader: Reader, tmp_path: Path) -> None:
    gateway = reader._client.gateway
    words = ("arm", BIKE.lower(), "T2", "--owner", OWNER)
    done = run(tmp_path, mosquitto.port, *words, gateways=f"[gateways.{gateway}]\n")
    assert (done.exit_code, done.stdout) == (0, f"{gateway}: 2 tags are armed\n"), done.stderr
    assert run(tmp_path, mosquitto.port, "disarm", BIKE, "--gateway", gateway).exit_code == 0
    assert reader.orders == [Arm((BIKE, "T2"), OWNER), Disarm((BIKE,))]


def test_of_many_gateways_each_is_told_and_the_silent_one_is_named(
    mosquitto: Mosquitto, reader: Reader, tmp_path: Path
) -> None:
    gateway = reader._client.gateway
    done = run(tmp_path, mosquitto.port, "arm", BIKE, "-g", "nobody", "-g", gateway, "--wait", "1")
    assert done.exit_code == 3
    assert done.stderr == "nobody: nobody did not answer within 1 s\n"
    assert done.stdout == f"{gateway}: 1 tags are armed\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T1\nno tag,x\n", "stolen.csv:2: 'no tag' is no tag"),
        ("A" * 61, "is no tag: 1 to 60"),
        ("".join(f"T{number}\n" for number in range(20_001)), "20001 stolen tags are too many: at most 20000"),
    ],
)
def test_a_list_with_a_fault_is_not_sent(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "stolen.csv"
    file.write_text(text)
    done = run(tmp_path, free_port(), "stolen", str(file), "-g", "g")
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stolen", "missing.csv", "-g", "g"), "missing.csv"),
        (("arm", "no tag", "-g", "g"), "'no tag' is no tag"),
        (("arm", "T1", "--owner", "no tag", "-g", "g"), "'no tag' is no tag"),
        (("arm", "T1", "-g", "g/x"), "is no id"),
        (("disarm", "T1"), "name gateways with --gateway"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, free_port(), *words)
    assert done.exit_code == 2
    assert said in done.stderr
