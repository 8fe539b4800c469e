"""The loop that tells Grafana of alarms: it follows the history, and nothing ever waits for it."""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.desk.following import begin_here, has_changes
from cloud.errors import SettingsError
from cloud.grafana.annotation_store import READER, follow
from cloud.grafana.annotations import Annotator
from cloud.grafana.client import GrafanaClient
from cloud.grafana.errors import NotGrafanaError
from cloud.grafana.live import LiveStrip
from cloud.grafana.settings import Grafana
from cloud.settings import Settings, secret

_log = logging.getLogger(__name__)
POLL_S = 1.0
LIVE_POLL_S = 0.25
"""With a live strip, of which people expect that it is."""
GAP_S = 0.02
"""Between two readings: SQLite has one writer, and the desk is to have its turn."""
_MAX_ANSWER_BYTES = 1_048_576
_LIVE_TIMEOUT_S = 3.0


async def run_grafana(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Tell Grafana of alarms until cancelled; without an address, or with nothing to tell, do nothing.

    Any number of workers may run: one at a time tells.

    Args:
        database: of the desk; waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.

    Raises:
        SettingsError: the token's variable is not set, or the URL cannot be Grafana's.
        DatabaseRefusedError: the database cannot note what was told.
    """
    grafana = settings.grafana
    if not grafana.url or not (grafana.annotations or grafana.live):
        await anyio.sleep_forever()
    await database.call(partial(begin_here, name=READER))
    async with AsyncExitStack() as stack, anyio.create_task_group() as loops:
        strip: LiveStrip | None = None
        if grafana.live:
            asker = await stack.enter_async_context(_client(grafana, min(grafana.timeout_s, _LIVE_TIMEOUT_S)))
            strip = LiveStrip(asker, grafana.live, language=grafana.language)
            loops.start_soon(strip.run)
        if grafana.annotations:
            asker = await stack.enter_async_context(_client(grafana, grafana.timeout_s))
            annotator = Annotator(database, asker, timeout_s=grafana.timeout_s, clock=clock)
            loops.start_soon(annotator.run)
        await _follow(database, grafana, strip, clock)


def _client(grafana: Grafana, timeout_s: float) -> GrafanaClient:
    token = secret(grafana.token_env) if grafana.token_env else ""
    try:
        return GrafanaClient(grafana.url, token, timeout_s, max_answer_bytes=_MAX_ANSWER_BYTES)
    except NotGrafanaError as error:
        raise SettingsError("settings", "grafana.url", str(error)) from error


async def _follow(
    database: PersistentDatabase, grafana: Grafana, strip: LiveStrip | None, clock: Callable[[], int]
) -> None:
    while True:
        if not await database.ask(partial(has_changes, name=READER)):
            await anyio.sleep(POLL_S if strip is None else LIVE_POLL_S)
            continue
        at_us = clock()
        work = partial(follow, language=grafana.language, marks=grafana.annotations, now_us=at_us)
        _count, told = await database.call(work)
        if strip is not None:
            strip.show(told, now_us=at_us)
        await anyio.sleep(GAP_S)
