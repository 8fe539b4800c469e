"""Sends gateways their orders and the stolen list, and keeps what they answer."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import msgspec
from sqlalchemy import Connection

from cloud.answers import Refused, dead_letter
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import PersistentDatabase, dead_letters
from cloud.database.dead_letters import clean
from cloud.desk.shell import keep_running
from cloud.errors import DatabaseRefusedError
from cloud.intake import Registry, gateway_of, open_payload
from cloud.mqtt_worker import Message, MqttWorker
from cloud.orders import pushing, sending, stolen
from cloud.orders.bell import Bell
from cloud.orders.life import OrderState
from cloud.orders.pushing import Parts
from cloud.settings import Settings
from contract.commands import Command, Result, decode_result, encode_command
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_STRING_CHARS, MAX_WHY_CHARS
from contract.topics import Channel, topic

_log = logging.getLogger(__name__)
IDLE_S = 0.25
"""How often is looked for what is due when no answer has come."""
ROUND_S = 0.05
"""So long a push waits for the answers of more gateways: a round of many costs little more than a round of one."""
TIDY_S = 5.0
"""How often is looked for gateways that are new."""
_PRUNE_EVERY = 720
"""Old rows go every so many looks, which is an hour."""

Clock = Callable[[], int]
Taken = Result | Refused


async def run_orders(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, *, bell: Bell, clock: Clock = now_us
) -> None:
    """Send what is due until cancelled.

    Args:
        worker: publishes; while it is not connected nothing is taken.
        database: waited for when it is away.
        settings: bounds and patience; the registry.
        bell: rung by `keep_results`.
        clock: wall time, microseconds UTC.
    """

    async def send_orders(database: PersistentDatabase, settings: Settings) -> None:
        await _send_orders(worker, database, settings, bell, clock)

    async def push_stolen(database: PersistentDatabase, settings: Settings) -> None:
        await _push_stolen(worker, database, settings, bell, clock)

    async def tidy_orders(database: PersistentDatabase, settings: Settings) -> None:
        await _tidy(database, settings, clock)

    async with anyio.create_task_group() as loops:
        for loop in (send_orders, push_stolen, tidy_orders):
            loops.start_soon(keep_running, loop, database, settings)


async def keep_results(
    worker: MqttWorker,
    database: PersistentDatabase,
    settings: Settings,
    *,
    bell: Bell,
    counters: Counters,
    clock: Clock = now_us,
) -> None:
    """Keep every result until the messages end; acknowledged once it is committed.

    Args:
        worker: gives them.
        database: waited for when it is away.
        settings: the registry, bounds.
        bell: rung after each commit.
        counters: `stored` counts results, `refused` those that cannot be read.
        clock: wall time, microseconds UTC.
    """
    while True:
        try:
            messages = [await worker.receive()]
        except anyio.EndOfStream:
            return
        while len(messages) < settings.mqtt.window and (following := worker.receive_nowait()) is not None:
            messages.append(following)
        taken = [(message, interpret_result(message, registry=settings.gateways)) for message in messages]
        await _store(taken, database, settings, clock)
        for message, content in taken:
            if isinstance(content, Refused):
                counters.refused[content.refusal.value] += 1
            else:
                counters.stored += 1
            worker.ack(message)
        counters.lag_s = (clock() - messages[0].received_at_us) / 1e6
        bell.ring()


def interpret_result(message: Message, *, registry: Registry | None = None) -> Taken:
    """Read one result; its texts are cut to what the contract allows and the database takes. Pure."""
    try:
        gateway, payload = open_payload(message, channel=Channel.RESULT, registry=registry)
        result = decode_result(payload, gateway=gateway)
    except DecodeError as error:
        return Refused(error.refusal, error.why, gateway_of(message))
    value = clean(result.value, MAX_STRING_CHARS) if isinstance(result.value, str) else result.value
    return msgspec.structs.replace(result, reason=clean(result.reason, MAX_WHY_CHARS), value=value)


async def _store(
    taken: Sequence[tuple[Message, Taken]], database: PersistentDatabase, settings: Settings, clock: Clock
) -> None:
    try:
        await database.call(partial(_commit, taken=taken, settings=settings, clock=clock))
    except DatabaseRefusedError as error:
        if len(taken) > 1:
            # One of them spoils the commit: each alone, so that the others are kept.
            for one in taken:
                await _store([one], database, settings, clock)
            return
        message = taken[0][0]
        refused = Refused(Refusal.DATABASE, str(error), gateway_of(message))
        await database.call(partial(_commit, taken=[(message, refused)], settings=settings, clock=clock))


def _commit(
    connection: Connection, *, taken: Sequence[tuple[Message, Taken]], settings: Settings, clock: Clock
) -> None:
    at_us = clock()
    results = [content for _message, content in taken if isinstance(content, Result)]
    for result, state in sending.take_results(connection, results, settings.orders, now_us=at_us):
        if state in (OrderState.REFUSED, OrderState.FAILED):
            _log.warning("an order to %s is %s: %s", result.gateway, state.value, result.reason)
    for result, standing in pushing.take_results(connection, results, settings.orders, now_us=at_us):
        if standing.error:
            _log.log(
                logging.DEBUG if standing.failures > 1 else logging.WARNING,
                "the stolen list at %s: %s", result.gateway, standing.error,
            )  # fmt: skip
    letters = [dead_letter(message, content) for message, content in taken if isinstance(content, Refused)]
    dead_letters.keep(connection, letters, limit=settings.database.dead_letters)


async def _send_orders(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, bell: Bell, clock: Clock
) -> None:
    def look(connection: Connection) -> bool:
        return sending.has_due(connection, settings.orders, now_us=clock())

    def take(connection: Connection) -> list[sending.Sending]:
        return sending.take_due(connection, settings.orders, now_us=clock())

    while True:
        rings = bell.rings
        if not worker.is_connected or not await database.ask(look):
            await bell.wait(rings, IDLE_S)
            continue
        taken = await database.call(take)
        if unsent := [one.number for one in taken if not _publish(worker, one.command, clock)]:
            await database.call(partial(sending.note_unsent, numbers=unsent, now_us=clock()))
        if not taken or unsent:
            await bell.wait(rings, IDLE_S)


async def _push_stolen(
    worker: MqttWorker, database: PersistentDatabase, settings: Settings, bell: Bell, clock: Clock
) -> None:
    parts = Parts()

    def look(connection: Connection) -> bool:
        return pushing.has_due(connection, now_us=clock())

    def take(connection: Connection) -> list[pushing.PartSending]:
        return pushing.take_due(connection, settings.orders, parts, now_us=clock())

    while True:
        rings = bell.rings
        if not worker.is_connected or not await database.ask(look):
            await bell.wait(rings, IDLE_S)
            continue
        taken = await database.call(take)
        if unsent := [one.gateway for one in taken if not _publish(worker, one.command, clock)]:
            await database.call(partial(pushing.note_unsent, gateways=unsent, now_us=clock()))
        if not taken or unsent:
            await bell.wait(rings, IDLE_S)
        await anyio.sleep(ROUND_S)


def _publish(worker: MqttWorker, command: Command, clock: Clock) -> bool:
    return worker.publish(topic(command.gateway, Channel.COMMAND), encode_command(command, at_us=clock()))


async def _tidy(database: PersistentDatabase, settings: Settings, clock: Clock) -> None:
    """Give gateways that are new their row, and forget what is old."""
    registry = None if settings.gateways is None else frozenset(settings.gateways)
    looks = 0
    while True:
        targets = await database.ask(partial(pushing.find_targets, settings=settings.orders, registry=registry))
        if targets.new or targets.gone:
            await database.call(partial(pushing.note_targets, targets=targets, now_us=clock()))
        if looks % _PRUNE_EVERY == 0:
            while await database.call(partial(sending.prune, settings=settings.orders, now_us=clock())):
                pass
            await database.call(partial(stolen.prune, keep_days=settings.orders.keep_days, now_us=clock()))
        looks += 1
        await anyio.sleep(TIDY_S)
