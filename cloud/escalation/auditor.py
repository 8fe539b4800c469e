"""The auditor's loop: looks at every open alarm again and again, and writes only when something is wrong."""

import logging
from collections.abc import Callable

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.escalation.audit import find_gaps, mend
from cloud.escalation.taking import rules_of
from cloud.settings import Settings

_log = logging.getLogger(__name__)


async def run_auditor(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Prove that each open live alarm has a next step or a reason not to, until cancelled; mend and say what has not.

    Args:
        database: waited for when it is away.
        settings: `[escalation]` and the time zone are used.
        clock: wall time.

    Raises:
        DatabaseRefusedError: what it found cannot be stored.
    """
    rules, limits = rules_of(settings), settings.escalation
    while True:
        found = await database.ask(lambda connection: find_gaps(connection, clock(), rules, limits))
        if found.gaps or found.lasts:
            for gap in found.gaps:
                _log.error("alarm %s: escalation %s %s", gap.alarm_id or "-", gap.kind, gap.why)
            await database.call(lambda connection: mend(connection, found, clock(), rules, limits))  # noqa: B023 - awaited here
        _log.debug("%d open alarms, %d gaps", found.alarms, len(found.gaps))
        await anyio.sleep(limits.audit_every_s)
