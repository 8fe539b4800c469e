"""A command to a gateway: published, and its result waited for."""

from functools import partial

import anyio

from cloud.clock import now_us
from cloud.counters import Counters
from cloud.errors import BrokerAwayError
from cloud.mqtt_worker import MqttWorker
from cloud.settings import Settings
from contract.commands import Command, Result, decode_result, encode_command
from contract.errors import DecodeError
from contract.topics import Channel, topic

NAME = "command"
# Beside the time the caller waits for the gateway.
CONNECT_LIMIT_S = 10.0


async def send_command(settings: Settings, command: Command, *, wait_s: float) -> Result | None:
    """Publish a command and wait for its result.

    Args:
        settings: where the broker is.
        command: see there; the gateway carries it out once, however often it comes.
        wait_s: for the result.

    Returns:
        None when no result came in time; the command may be carried out all the same until it expires.

    Raises:
        BrokerAwayError: the broker cannot be reached within `CONNECT_LIMIT_S`.
        SettingsError: a secret is not in the environment.
    """
    results = topic(command.gateway, Channel.RESULT)
    worker = MqttWorker(settings.mqtt, name=NAME, filters=[results], counters=Counters())
    found: Result | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            with anyio.move_on_after(CONNECT_LIMIT_S):
                await worker.ready.wait()
            payload = encode_command(command, at_us=now_us())
            is_sent = worker.ready.is_set() and worker.publish(topic(command.gateway, Channel.COMMAND), payload)
            if is_sent:
                with anyio.move_on_after(wait_s):
                    found = await _result(worker, command)
            worker.stop_receiving()
            tasks.cancel_scope.cancel()
    finally:
        worker.close()
    if not is_sent:
        where = f"{settings.mqtt.host}:{settings.mqtt.port}"
        raise BrokerAwayError(f"the broker at {where} did not take the command within {CONNECT_LIMIT_S:.0f} s")
    return found


async def _result(worker: MqttWorker, command: Command) -> Result:
    decode = partial(decode_result, gateway=command.gateway)
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
