"""The frame of a worker process: database first, then the broker, then the work; and back in that order."""

import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio

from cloud.counters import Counters, log_counters
from cloud.database import PersistentDatabase
from cloud.mqtt_worker import MqttWorker

# After `stop`, for the batch in hand; what is not done by then was not acknowledged, and comes again.
STOP_LIMIT_S = 5.0

Job = Callable[[], Coroutine[Any, Any, None]]


async def serve(
    workers: Sequence[MqttWorker],
    jobs: Sequence[Job],
    *,
    database: PersistentDatabase,
    stop: anyio.Event,
    ready: Callable[[], None] | None,
    counters: Counters,
    log: logging.Logger,
) -> None:
    """Run until `stop`; then let the jobs finish what is in hand, at most 5 s, and leave the broker.

    Args:
        workers: kept connected while the jobs run.
        jobs: each ends by itself when its worker's messages end.
        database: migrated before anything is taken.
        stop: set by the caller to end.
        ready: called once, when every worker's subscription is acknowledged for the first time.
        counters: logged every 60 s.
        log: where to.

    Raises:
        DatabaseRefusedError: the database was made by a newer version.
    """
    with contextlib.ExitStack() as streams:
        for worker in workers:
            streams.callback(worker.close)
        if await database.migrate(stop):
            await _serve(workers, jobs, stop=stop, ready=ready, counters=counters, log=log)


async def _serve(
    workers: Sequence[MqttWorker],
    jobs: Sequence[Job],
    *,
    stop: anyio.Event,
    ready: Callable[[], None] | None,
    counters: Counters,
    log: logging.Logger,
) -> None:
    # What the jobs use stands outside them: they end first, and their last receipts still go out.
    async with anyio.create_task_group() as links:
        for worker in workers:
            links.start_soon(worker.run)
        links.start_soon(log_counters, log, counters)
        links.start_soon(_tell_ready, workers, ready)
        async with anyio.create_task_group() as work:
            for job in jobs:
                work.start_soon(job)
            await stop.wait()
            for worker in workers:
                worker.stop_receiving()
            work.cancel_scope.deadline = anyio.current_time() + STOP_LIMIT_S
        links.cancel_scope.cancel()


async def _tell_ready(workers: Sequence[MqttWorker], ready: Callable[[], None] | None) -> None:
    for worker in workers:
        await worker.ready.wait()
    if ready is not None:
        ready()
