"""Commands from the cloud, over a real broker: each is done once, in time, and answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import anyio
import pytest

from contract.commands import Command, Outcome, Result, Write, decode_result, encode_command
from contract.presence import Birth
from contract.telemetry import Value
from contract.topics import Channel, topic
from device_profiles.site import Uplink
from edge.broker import Link
from edge.errors import EdgeError, LinkTimeoutError, NotTakenError, NotWritableError, WriteExpiredError
from edge.health import StoreHealth, UplinkHealth
from edge.remote import MAX_QUEUED, MAX_UNDER_WAY, RemoteCommands
from edge.store import Store
from edge.uplink import UplinkSender
from langyan.servers import Mosquitto
from tests.edge.outbox_rig import NOON, SECOND, Machine, open_outbox

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


class Scene:
    """A gateway whose commands a test carries out, and a cloud that sends them."""

    def __init__(self, gateway: str, client: aiomqtt.Client, machine: Machine) -> None:
        self.gateway, self.client, self.machine = gateway, client, machine
        self.done: list[Command] = []
        self.fault: EdgeError | None = None
        self.may_go = anyio.Event()
        self.may_go.set()

    async def carry_out(self, command: Command) -> Value | None:
        self.done.append(command)
        await self.may_go.wait()
        if self.fault is not None:
            raise self.fault
        assert isinstance(command.order, Write)
        return command.order.value

    async def send(self, number: int = 1, *, in_s: float = 60.0, retain: bool = False) -> None:
        expires_at_us = self.machine.wall_us + round(in_s * SECOND)
        command = Command(f"c{number}", self.gateway, Write("io", "out", value=True), expires_at_us, "tester")
        await self.publish(encode_command(command, at_us=NOON), retain=retain)

    async def publish(self, payload: bytes, *, retain: bool = False) -> None:
        await self.client.publish(topic(self.gateway, Channel.COMMAND), payload, qos=1, retain=retain)

    async def result(self) -> Result:
        message = await anext(aiter(self.client.messages))
        return decode_result(bytes(message.payload), gateway=self.gateway)


@asynccontextmanager
async def _open(broker: Mosquitto, folder: Path, machine: Machine) -> AsyncIterator[Scene]:
    gateway = folder.name.replace("_", "-")[:40]
    health = UplinkHealth()
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(topic(gateway, Channel.RESULT), qos=1)
        scene = Scene(gateway, client, machine)
        with open_outbox(folder, machine) as outbox:
            commands = RemoteCommands(gateway, clock=outbox.clock, on_command=scene.carry_out)
            sender = UplinkSender(
                Link(Uplink(port=broker.port), None, gateway), Store(outbox, health=StoreHealth()),
                birth=Birth(gateway, "boot", "0", "site", NOON), health=health, commands=commands,
            )  # fmt: skip
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sender.run)
                tasks.start_soon(commands.run)
                while not health.is_up:  # noqa: ASYNC110 - the health rings no bell
                    await anyio.sleep(0.01)
                yield scene
                tasks.cancel_scope.cancel()


def play(
    broker: Mosquitto, folder: Path, story: Callable[[Scene], Awaitable[None]], *, machine: Machine | None = None
) -> None:
    async def main() -> None:
        with anyio.fail_after(LIMIT_S):
            async with _open(broker, folder, machine or Machine()) as scene:
                await story(scene)

    anyio.run(main)


def test_a_command_is_carried_out_and_answered_with_what_reads_back(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.send()
        result = await scene.result()
        assert (result.id, result.outcome, result.value) == ("c1", Outcome.DONE, True)
        assert scene.done[0].by == "tester"

    play(broker, tmp_path, story)


def test_a_repeat_is_answered_and_not_done_again(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.send()
        first = await scene.result()
        await scene.send()
        assert await scene.result() == first
        scene.may_go = anyio.Event()
        await scene.send(2)
        await scene.send(2)
        scene.may_go.set()
        assert (await scene.result()).id == "c2"
        assert len(scene.done) == 2

    play(broker, tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (NotWritableError("point x"), Outcome.REFUSED),
        (WriteExpiredError("bus b"), Outcome.EXPIRED),
        (NotTakenError("reads back false"), Outcome.FAILED),
        (LinkTimeoutError("no answer"), Outcome.FAILED),
    ],
)
def test_what_is_not_done_is_answered_with_the_reason(
    broker: Mosquitto, tmp_path: Path, fault: EdgeError, outcome: Outcome
) -> None:
    async def story(scene: Scene) -> None:
        scene.fault = fault
        await scene.send()
        result = await scene.result()
        assert result.outcome is outcome
        assert str(fault) in result.reason
        assert fault.hint in result.reason

    play(broker, tmp_path, story)


def test_what_comes_too_late_or_for_too_far_ahead_is_not_done(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.send(1, in_s=-1.0)
        assert (await scene.result()).outcome is Outcome.EXPIRED
        await scene.send(2, in_s=3700.0)
        assert (await scene.result()).outcome is Outcome.REFUSED
        assert scene.done == []

    play(broker, tmp_path, story)


def test_a_gateway_that_does_not_know_the_time_does_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.send()
        result = await scene.result()
        assert (result.outcome, scene.done) == (Outcome.REFUSED, [])
        assert "does not know the time" in result.reason

    play(broker, tmp_path, story, machine=Machine(kernel_error_us=None))


def test_a_flood_is_bounded_and_every_command_is_answered(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.may_go = anyio.Event()
        many = MAX_UNDER_WAY + MAX_QUEUED + 10
        for number in range(many):
            await scene.send(number)
        refused = [await scene.result() for _ in range(10)]
        assert {result.outcome for result in refused} == {Outcome.REFUSED}
        assert len(scene.done) == MAX_UNDER_WAY
        scene.may_go.set()
        done = [await scene.result() for _ in range(many - 10)]
        assert {result.outcome for result in done} == {Outcome.DONE}
        assert len({result.id for result in (*refused, *done)}) == many

    play(broker, tmp_path, story)


def test_hostile_commands_change_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for payload in (b"", b"\xff" * 50, b"null", b"[" * 50_000, b'{"specversion":"1.0"}'):
            await scene.publish(payload)
        await scene.send()
        assert (await scene.result()).id == "c1"

    play(broker, tmp_path, story)


def test_a_command_that_the_broker_kept_is_nobody_s_wish_any_more(broker: Mosquitto, tmp_path: Path) -> None:
    gateway = tmp_path.name.replace("_", "-")[:40]
    stale = Command("stale", gateway, Write("io", "out", value=True), NOON + 60 * SECOND)

    async def keep() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            payload = encode_command(stale, at_us=NOON)
            await client.publish(topic(gateway, Channel.COMMAND), payload, qos=1, retain=True)

    async def story(scene: Scene) -> None:
        await scene.send(2)
        assert (await scene.result()).id == "c2"
        assert [command.id for command in scene.done] == ["c2"]

    anyio.run(keep)
    play(broker, tmp_path, story)
