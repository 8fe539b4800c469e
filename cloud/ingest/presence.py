"""Births and deaths: from their retained messages into the gateway table."""

from functools import partial

import anyio

from cloud.answers import Refused, dead_letter
from cloud.counters import Counters
from cloud.database import PersistentDatabase, dead_letters
from cloud.database.gateways import note_presence
from cloud.errors import DatabaseRefusedError
from cloud.intake import Registry, gateway_of, open_payload
from cloud.mqtt_worker import Message, MqttWorker
from cloud.settings import Settings
from contract.errors import DecodeError, Refusal
from contract.presence import Birth, Death, decode_presence
from contract.topics import Channel


def interpret_presence(message: Message, *, registry: Registry | None = None) -> Birth | Death | Refused:
    """Read one birth or death. Pure."""
    try:
        gateway, payload = open_payload(message, channel=Channel.BIRTH, registry=registry)
        return decode_presence(payload, gateway=gateway)
    except DecodeError as error:
        return Refused(error.refusal, error.why, gateway_of(message))


async def keep_presence(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, counters: Counters
) -> None:
    """Note every birth and death until the messages end; they have no receipts, being retained."""
    while True:
        try:
            message = await worker.receive()
        except anyio.EndOfStream:
            return
        # An empty message takes a retained one away: the gateway was removed on purpose.
        if message.payload:
            await _keep(message, database, settings, counters)
        worker.ack(message)


async def _keep(message: Message, database: PersistentDatabase, settings: Settings, counters: Counters) -> None:
    content = interpret_presence(message, registry=settings.gateways)
    if not isinstance(content, Refused):
        registered = settings.gateways[content.gateway] if settings.gateways is not None else None
        note = partial(note_presence, message=content, received_at_us=message.received_at_us, registered=registered)
        try:
            await database.call(note)
        except DatabaseRefusedError as error:
            content = Refused(Refusal.DATABASE, str(error), content.gateway)
        else:
            return
    letters = [dead_letter(message, content)]
    await database.call(partial(dead_letters.keep, letters=letters, limit=settings.database.dead_letters))
    counters.refused[content.refusal.value] += 1
