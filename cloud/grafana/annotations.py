"""Tells Grafana what is to be marked on trends: a new annotation when an alarm is raised, its end when it is over.

Never twice: before a new one is asked for, the row says so; whoever finds that word without an answer waits until no
request can be under way, and looks for the alarm's tag before asking again. Where it was asked for twice all the same,
one that turned up late is found by the tag and taken away.
"""

import logging
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import anyio

from cloud.backoff import Outage
from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.grafana.annotation_store import Job, Outcome, claim, has_due, note, prune
from cloud.grafana.breaker import Breaker
from cloud.grafana.errors import (
    GrafanaAwayError,
    GrafanaError,
    GrafanaMissingError,
    GrafanaRefusedError,
    GrafanaRightsError,
    GrafanaTokenError,
    NotGrafanaError,
)
from cloud.grafana.marks import found_ids, new_id, patch_body, post_body, search_params

_log = logging.getLogger(__name__)
PATH = "/api/annotations"
POLL_S = 1.0
AT_ONCE = 20
"""Jobs taken in one transaction; some requests under way at once, and one alone while Grafana was away."""
_REQUESTS_AT_ONCE = 4
_LONGEST_WAIT_US = 3_600_000_000
_PRUNE_EVERY_US = 600_000_000
_MAX_ERROR_CHARS = 300
# Nothing of one alarm's: nobody is told anything until a person has mended it.
_FOR_PEOPLE = (GrafanaTokenError, GrafanaRightsError, GrafanaMissingError, NotGrafanaError)


class Asker(Protocol):
    """What is needed of `cloud.grafana.client.GrafanaClient`."""

    async def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str | list[str]] | None = None
    ) -> Any:
        """Ask once."""


class Annotator:
    """One worker's part in it; of several, one at a time has the lease.

    Args:
        database: of the desk, migrated.
        grafana: asks it.
        timeout_s: of one request.
        clock: the wall time, microseconds UTC.
        breaker: opens when Grafana is away, or refuses us as a whole.
    """

    def __init__(
        self,
        database: PersistentDatabase,
        grafana: Asker,
        *,
        timeout_s: float,
        clock: Callable[[], int] = now_us,
        breaker: Breaker | None = None,
    ) -> None:
        self._database = database
        self._grafana = grafana
        self._clock = clock
        self._breaker = breaker or Breaker()
        self._outage = Outage(_log, "Grafana's annotations")
        self._holder = uuid.uuid4().hex
        # Nothing new is asked for later than this after it was claimed, so that all is over when the lease is.
        self._begin_within_us = round(3 * timeout_s * 1e6)
        self._lease_s = 4 * timeout_s + 10
        self._pruned_us = 0
        self._trouble: GrafanaError | None = None

    @property
    def settle_us(self) -> int:
        """After so long no request of whoever asked is under way any more."""
        return round(self._lease_s * 1e6)

    async def run(self) -> None:
        """Tell Grafana for ever; ends by being cancelled."""
        while True:
            wait_s = self._breaker.wait_s(anyio.current_time())
            if wait_s > 0:
                await anyio.sleep(wait_s)
            elif not await self.tell_some():
                await anyio.sleep(POLL_S)

    async def tell_some(self) -> int:
        """Do some of what is due now, and note it; returns how many jobs were begun."""
        at_us = self._clock()
        if not 0 <= at_us - self._pruned_us < _PRUNE_EVERY_US:
            await self._database.call(partial(prune, now_us=at_us))
            self._pruned_us = at_us
        if not await self._database.ask(partial(has_due, now_us=at_us)):
            return 0
        limit = AT_ONCE if self._breaker.is_closed else 1
        work = partial(claim, holder=self._holder, now_us=at_us, lease_s=self._lease_s, limit=limit)
        jobs = await self._database.call(work)
        if not jobs:
            return 0
        outcomes = await self._tell_all(jobs, at_us)
        await self._database.call(partial(note, outcomes=outcomes, now_us=self._clock(), settle_us=self.settle_us))
        self._judge()
        return sum(one.is_begun for one in outcomes)

    async def _tell_all(self, jobs: list[Job], claimed_us: int) -> list[Outcome]:
        waiting, outcomes = deque(jobs), list[Outcome]()
        self._trouble = None

        async def work_off() -> None:
            while waiting:
                job = waiting.popleft()
                outcomes.append(await self._tell(job, claimed_us))

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_REQUESTS_AT_ONCE, len(jobs))):
                tasks.start_soon(work_off)
        return outcomes

    async def _tell(self, job: Job, claimed_us: int) -> Outcome:
        if self._trouble is not None or not 0 <= self._clock() - claimed_us < self._begin_within_us:
            return Outcome(job, job.annotation_id, is_begun=False)
        try:
            return await (self._make(job) if job.annotation_id is None else self._mend(job, job.annotation_id))
        except GrafanaAwayError as error:
            self._trouble = error
            # A question that Grafana cannot answer does not stand in the way of the others for long.
            wait_us = min(self.settle_us << min(job.tries, 8), _LONGEST_WAIT_US)
            return Outcome(job, job.annotation_id, is_lost=job.annotation_id is None, wait_us=wait_us)
        except _FOR_PEOPLE as error:
            self._trouble = error
            # What a page answers has perhaps reached Grafana all the same.
            is_lost = job.was_asked or (job.annotation_id is None and isinstance(error, NotGrafanaError))
            return Outcome(job, job.annotation_id, is_lost=is_lost, wait_us=self.settle_us if is_lost else 0)
        except GrafanaRefusedError as error:
            _log.warning("alarm %s is not marked in Grafana: %s", job.alarm_id, error)
            return Outcome(job, job.annotation_id, is_told=True, error=str(error)[:_MAX_ERROR_CHARS])

    async def _make(self, job: Job) -> Outcome:
        """Make a new one, unless it is there."""
        if job.was_asked and (ids := await self._look(job)):
            # How it stands there is not known: it is mended in its turn.
            return Outcome(job, await self._keep_one(ids, ids[0]), is_sole=True)
        made = new_id(await self._grafana.request("POST", PATH, post_body(job.mark)))
        # It says that it has done it, and not what: the tag will tell.
        return Outcome(job, made, is_told=made is not None, is_lost=made is None, wait_us=self.settle_us)

    async def _mend(self, job: Job, annotation_id: int) -> Outcome:
        """Change the one that is there; take away what is there twice."""
        is_sole = job.asked > 1
        if is_sole and (ids := await self._look(job)):
            annotation_id = await self._keep_one(ids, annotation_id)
        if job.is_told and annotation_id == job.annotation_id:
            return Outcome(job, annotation_id, is_told=True, is_sole=is_sole)
        try:
            await self._grafana.request("PATCH", f"{PATH}/{annotation_id}", patch_body(job.mark))
        except (GrafanaMissingError, GrafanaRightsError):
            # What somebody has deleted is "missing" to some versions and "forbidden" to others.
            if annotation_id in await self._look(job):
                raise
            _log.info("the annotation of alarm %s was deleted in Grafana, and stays so", job.alarm_id)
        return Outcome(job, annotation_id, is_told=True, is_sole=is_sole)

    async def _look(self, job: Job) -> list[int]:
        return found_ids(await self._grafana.request("GET", PATH, params=search_params(job.alarm_id)), job.alarm_id)

    async def _keep_one(self, ids: list[int], wanted: int) -> int:
        """Delete all but one of an alarm's; the one that we know, or else the first."""
        kept = wanted if wanted in ids else ids[0]
        for one in ids:
            if one != kept:
                await self._grafana.request("DELETE", f"{PATH}/{one}")
        return kept

    def _judge(self) -> None:
        """Open or close the circuit by how it went."""
        now_s, error = anyio.current_time(), self._trouble
        if error is None:
            self._breaker.worked()
            self._outage.over(now_s=now_s)
            return
        after_s = error.retry_after_s if isinstance(error, GrafanaAwayError) else None
        for_people = isinstance(error, _FOR_PEOPLE)
        wait_s = self._breaker.failed(now_s, retry_after_s=after_s, for_people=for_people)
        self._outage.failed(error, now_s=now_s, wait_s=wait_s)
