"""Commands to a gateway: published one after the other, and the result of each waited for."""

from collections.abc import Iterable
from functools import partial

import anyio

from cloud.clock import now_us
from cloud.counters import Counters
from cloud.errors import BrokerAwayError
from cloud.mqtt_worker import MqttWorker
from cloud.settings import Settings
from contract.commands import Command, Outcome, Result, decode_result, encode_command
from contract.errors import DecodeError
from contract.topics import Channel, topic

NAME = "command"
# Beside the time the caller waits for the gateway.
CONNECT_LIMIT_S = 10.0


async def send_commands(
    settings: Settings, gateway: str, commands: Iterable[Command], *, wait_s: float
) -> list[Result]:
    """Publish commands to one gateway, each when the one before is done.

    Args:
        settings: where the broker is.
        gateway: all are for it.
        commands: taken one by one, so that each may count its time from when it is sent; the gateway carries each out
            once, however often it comes.
        wait_s: for each result.

    Returns:
        The results in their order: up to the first that is not "done", or the first for which none came in time; that
        one may be carried out all the same until it expires.

    Raises:
        BrokerAwayError: the broker cannot be reached within `CONNECT_LIMIT_S`, or no longer.
        SettingsError: a secret is not in the environment.
    """
    worker = MqttWorker(settings.mqtt, name=NAME, filters=[topic(gateway, Channel.RESULT)], counters=Counters())
    found: list[Result] = []
    is_sent = True
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            with anyio.move_on_after(CONNECT_LIMIT_S):
                await worker.ready.wait()
            for command in commands:
                payload = encode_command(command, at_us=now_us())
                is_sent = worker.ready.is_set() and worker.publish(topic(gateway, Channel.COMMAND), payload)
                result = await _result(worker, command, wait_s) if is_sent else None
                if result is not None:
                    found.append(result)
                if result is None or result.outcome is not Outcome.DONE:
                    break
            worker.stop_receiving()
            tasks.cancel_scope.cancel()
    finally:
        worker.close()
    if not is_sent:
        where = f"{settings.mqtt.host}:{settings.mqtt.port}"
        raise BrokerAwayError(f"the broker at {where} did not take the command within {CONNECT_LIMIT_S:.0f} s")
    return found


async def _result(worker: MqttWorker, command: Command, wait_s: float) -> Result | None:
    """Wait for the result of a command; None when none came in time."""
    decode = partial(decode_result, gateway=command.gateway)
    with anyio.move_on_after(wait_s):
        while True:
            message = await worker.receive()
            worker.ack(message)
            try:
                result = decode(message.payload)
            except DecodeError:
                # Somebody else's; ours is still to come.
                continue
            if result.id == command.id:
                return result
    return None
