"""The ingest worker: telemetry into InfluxDB, births and deaths into the gateway table."""

import logging
from collections.abc import Callable
from functools import partial

import anyio
import anyio.lowlevel
from msgspec import json

from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.influx import open_writer
from cloud.influx.persistent import PersistentWriter
from cloud.ingest.core import Batch, interpret
from cloud.ingest.pace import Pace
from cloud.ingest.presence import keep_presence
from cloud.ingest.storing import Storing, Taken
from cloud.ingest.telling import Teller
from cloud.mqtt_worker import Message, MqttWorker
from cloud.service import serve
from cloud.settings import Settings, database_url
from cloud.state.writer import PresentWriter
from contract.limits import MAX_INFLATED_BYTES, MAX_PAYLOAD_BYTES
from contract.topics import CLOUD_READY, Channel, every

_log = logging.getLogger(__name__)
NAME = "ingest"
_WAIT_STEPS = 4
# A round ends when reading its messages took this long, however few they are.
_READ_LIMIT_S = 0.5
# What a refused message weighs against the batch limit, in bytes a line: a SenML record of one reading.
_BYTES_A_LINE = 64
# A packed one weighs what a batch unpacks to; a bomb unpacks to more, and the limit of time is for that.
_UNPACKED_RATIO = MAX_INFLATED_BYTES // MAX_PAYLOAD_BYTES
# Births are retained, so after each subscription all of a city's come at once, and nobody sends them again.
_PRESENCE_ROOM = 20_000


async def run_ingest(
    settings: Settings,
    *,
    stop: anyio.Event,
    ready: Callable[[], None] | None = None,
    counters: Counters | None = None,
) -> None:
    """Run until `stop`; then finish the batch in hand, at most 5 s, and say good-bye to the broker.

    Presence has a connection of its own: while InfluxDB is away the telemetry window is full and stays so, and a
    lost gateway must be seen all the same. How the worker does is a point of InfluxDB every ten seconds.

    Args:
        settings: as loaded.
        stop: set it to end.
        ready: called once, when both subscriptions are acknowledged for the first time.
        counters: to be read by the caller while it runs; the worker writes them.

    Raises:
        DatabaseRefusedError: the SQL database was made by a newer version.
        SettingsError: a secret is not in the environment.
    """
    counters = Counters() if counters is None else counters
    with Database(database_url(settings.database)) as raw_database:
        database = PersistentDatabase(raw_database, counters=counters)
        async with open_writer(settings.influx) as raw_writer:
            # Last, as `serve` lets go of them: a secret that is missing leaves nothing open.
            telemetry, presence = _connections(settings, counters)
            pace = Pace(anyio.current_time())
            storing = Storing(
                telemetry,
                PersistentWriter(raw_writer, counters=counters),
                database,
                counters=counters,
                dead_letter_limit=settings.database.dead_letters,
                observation_limit=settings.trades.observations,
                pace=pace,
            )
            teller = Teller(pace, counters=counters, waiting=lambda: telemetry.waiting + storing.in_hand)
            present = PresentWriter(raw_writer, batch_lines=settings.influx.batch_lines)
            jobs = [
                partial(_ingest, telemetry, storing, settings),
                partial(keep_presence, presence, database, settings, counters),
                partial(teller.run, present, raw_database, stop=stop),
            ]
            await serve(
                [telemetry, presence],
                jobs,
                database=database,
                stop=stop,
                ready=ready,
                counters=counters,
                log=_log,
            )


def _connections(settings: Settings, counters: Counters) -> tuple[MqttWorker, MqttWorker]:
    """Make the connection for telemetry and the one for presence; neither is connected yet."""
    telemetry = MqttWorker(
        settings.mqtt,
        name=NAME,
        filters=[every(Channel.TELEMETRY, group=NAME)],
        counters=counters,
        greeting=(CLOUD_READY, json.encode({"worker": NAME})),
    )
    # Births are retained, and retained messages do not reach shared subscriptions. Only what is dropped is counted
    # together: messages and reconnects stay those of the telemetry.
    presence = MqttWorker(
        settings.mqtt,
        name=f"{NAME}-presence",
        filters=[every(Channel.BIRTH)],
        counters=Counters(refused=counters.refused),
        room=_PRESENCE_ROOM,
    )
    return telemetry, presence


async def _ingest(worker: MqttWorker, storing: Storing, settings: Settings) -> None:
    """Take, store, answer, until the messages end."""
    while True:
        try:
            taken = await _gather(worker, settings)
        except anyio.EndOfStream:
            return
        await storing.store(taken)


async def _gather(worker: MqttWorker, settings: Settings) -> list[Taken]:
    """Wait for a message, then a moment for more, until a batch is full.

    Half of the window at most, so that the broker can fill the other half while this one is written. It sleeps
    in steps rather than waiting for the next message with a limit, because a wait that is cancelled in the
    moment a message arrives would lose it. After each message it lets others run: messages that arrive, the
    presence, and a stop, after which nothing more is waiting.

    Raises:
        EndOfStream: the worker takes nothing more.
    """
    influx, most = settings.influx, settings.mqtt.window // 2
    taken: list[Taken] = []
    lines, steps = 0, _WAIT_STEPS
    message = await worker.receive()
    started_s = anyio.current_time()
    read_s = 0.0
    while True:
        content = interpret(message, registry=settings.gateways, follow=settings.trades.follow)
        taken.append(Taken(message, content))
        lines += len(content.lines) if isinstance(content, Batch) else _weight(message)
        read_s += anyio.current_time() - started_s
        if lines >= influx.batch_lines or len(taken) >= most or read_s >= _READ_LIMIT_S:
            return taken
        await anyio.lowlevel.checkpoint()
        following = worker.receive_nowait()
        while following is None:
            if not steps:
                return taken
            steps -= 1
            await anyio.sleep(influx.batch_wait_ms / 1_000 / _WAIT_STEPS)
            following = worker.receive_nowait()
        message, started_s = following, anyio.current_time()


def _weight(message: Message) -> int:
    """Tell as how many lines a refused message counts; a packed one by what it unpacks to."""
    is_packed = any(key == "content-encoding" and text != "identity" for key, text in message.properties)
    size = len(message.payload) * (_UNPACKED_RATIO if is_packed else 1)
    return 1 + size // _BYTES_A_LINE
