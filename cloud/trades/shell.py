"""The worker of the trades: judges what ingest keeps for them, and sends gateways their orders."""

import logging
from collections.abc import Callable
from functools import partial

import anyio
from msgspec import json

from cloud.bikes.worker import run_bikes
from cloud.counters import Counters
from cloud.database import Database, PersistentDatabase
from cloud.desk.shell import Loop, keep_running
from cloud.feed.measures import run_measures
from cloud.fire.detection_worker import run_detection
from cloud.fire.worker import run_fire
from cloud.grafana.worker import run_grafana
from cloud.mqtt_worker import MqttWorker
from cloud.orders.bell import Bell
from cloud.orders.worker import keep_results, run_orders
from cloud.patrols.worker import run_patrols
from cloud.service import serve
from cloud.settings import Settings, database_url
from cloud.state.worker import run_state
from cloud.vehicles.worker import run_vehicles
from contract.topics import CLOUD_READY, Channel, every

_log = logging.getLogger(__name__)
NAME = "trades"

LOOPS: tuple[Loop, ...] = (
    run_bikes,
    run_patrols,
    run_vehicles,
    run_fire,
    run_detection,
    run_measures,
    run_state,
    run_grafana,
)


async def run_trades(
    settings: Settings,
    *,
    stop: anyio.Event,
    ready: Callable[[], None] | None = None,
    counters: Counters | None = None,
) -> None:
    """Run until `stop`; then finish what is in hand, at most 5 s, and say good-bye to the broker.

    Args:
        settings: as loaded.
        stop: set it to end.
        ready: called once, when the subscription is acknowledged for the first time.
        counters: to be read by the caller while it runs; the worker writes them.

    Raises:
        DatabaseRefusedError: the database was made by a newer version.
        SettingsError: a secret is not in the environment.
    """
    counters = Counters() if counters is None else counters
    with Database(database_url(settings.database)) as raw_database:
        # Not before: `serve` lets go of it, and a secret that is missing leaves nothing open.
        worker = MqttWorker(
            settings.mqtt,
            name=NAME,
            filters=[every(Channel.RESULT, group=NAME)],
            counters=counters,
            greeting=(CLOUD_READY, json.encode({"worker": NAME})),
        )
        database = PersistentDatabase(raw_database, counters=counters)
        jobs = [partial(_work, worker, database, settings, counters)]
        await serve([worker], jobs, database=database, stop=stop, ready=ready, counters=counters, log=_log)


async def _work(worker: MqttWorker, database: PersistentDatabase, settings: Settings, counters: Counters) -> None:
    """Judge and send for as long as messages may come."""
    bell = Bell()
    async with anyio.create_task_group() as loops:
        for loop in LOOPS:
            loops.start_soon(keep_running, loop, database, settings)
        loops.start_soon(partial(run_orders, worker, database, settings, bell=bell))
        await keep_results(worker, database, settings, bell=bell, counters=counters)
        loops.cancel_scope.cancel()
