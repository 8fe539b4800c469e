"""Presence in an async world: orders are on the disk before they are answered, all else soon after."""

import logging
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio import to_thread

from contract.ids import GATEWAY_DEVICE
from contract.tags import TagOrder
from contract.telemetry import Sample, Value
from device_profiles.site import Site
from edge.clock import Clock
from edge.errors import StoreFullError
from edge.presence.file import TagFile
from edge.presence.found import Found
from edge.presence.presence import Changes, Kept, Presence

log = logging.getLogger(__name__)

# What a sudden end costs at most: the place of an armed tag, or that its alarm was raised, which is raised again then.
KEEP_S = 1.0
RETRY_S = 10.0


class TagKeeper:
    """A presence with its file.

    Attributes:
        presence: pure; to be used in the loop only.
    """

    def __init__(
        self,
        presence: Presence,
        file: TagFile,
        *,
        clock: Clock,
        take: Callable[[Found], None],
        health_s: float = 10.0,
    ) -> None:
        """Wire it.

        Args:
            presence: made with what `file` had.
            file: see there.
            clock: says what time it is.
            take: told of what orders bring about; must not wait.
            health_s: how often it reports on itself, as the device "gateway".
        """
        self.presence = presence
        self._file = file
        self._clock = clock
        self._take = take
        self._health_s = health_s
        self._changes: Changes | None = None
        self._writing = anyio.Lock()

    async def order(self, order: TagOrder) -> Value:
        """Carry out an order of the cloud.

        Returns:
            How many tags are armed, or the version of the stolen list in force.

        Raises:
            TooManyTagsError, StolenListError: see there; nothing is changed then.
            StoreFullError: it is in force, and a restart would forget it.
        """
        found, value = self.presence.order(order, anyio.current_time(), self._clock.steady_us())
        if found:
            self._take(found)
        await self._keep()
        return value

    async def run(self) -> None:
        """Keep what changes and report what was counted, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_for_ever)
            tasks.start_soon(self._report_for_ever)

    async def _report_for_ever(self) -> None:
        while True:
            await anyio.sleep(self._health_s)
            # Where only alarm hosts speak there are no tags to report on.
            if self.presence.counts.sightings:
                at_us = self._clock.stamp(GATEWAY_DEVICE)
                self._take(Found((Sample(GATEWAY_DEVICE, at_us, self.presence.report()),)))

    async def _keep_for_ever(self) -> None:
        """Keep what changes; a disk that does not take it is tried again."""
        is_failing = False
        while True:
            await anyio.sleep(RETRY_S if is_failing else KEEP_S)
            try:
                await self._keep()
            except StoreFullError as error:
                log.log(logging.DEBUG if is_failing else logging.ERROR, "%s. %s", error, error.hint)
                is_failing = True
            else:
                is_failing = False

    async def _keep(self) -> None:
        """Put on the disk what has changed; what is not taken is kept for the next time.

        Raises:
            StoreFullError: see `TagFile.put`.
        """
        async with self._writing:
            self._changes = _merged(self._changes, self.presence.take_changes())
            if self._changes is not None:
                await to_thread.run_sync(self._file.put, self._changes)
                self._changes = None


def make_presence(site: Site, *, now: float, kept: Kept | None = None) -> Presence | None:
    """Make the presence of a site; None when none of its devices speaks by itself.

    Args:
        site: whole.
        now: monotonic seconds.
        kept: as of before a restart.
    """
    devices = [placed for placed_on_bus in site.devices.values() for placed in placed_on_bus]
    if not any(placed.profile.speaks for placed in devices):
        return None
    return Presence(site.file.presence, devices, now=now, kept=kept)


def make_tags(site: Site, *, clock: Clock, take: Callable[[Found], None], now: float) -> TagKeeper | None:
    """Make the presence of a site with its file, `<outbox>.tags`; None as with `make_presence`. Reads the disk.

    Args:
        site: whole.
        clock: says what time it is.
        take: see `TagKeeper`.
        now: monotonic seconds.
    """
    file = TagFile(tag_path(site))
    presence = make_presence(site, now=now, kept=file.load())
    health_s = site.file.gateway.health_s
    return None if presence is None else TagKeeper(presence, file, clock=clock, take=take, health_s=health_s)


def tag_path(site: Site) -> Path:
    """Tell where the file is."""
    outbox = site.path.parent / site.file.outbox.path
    return outbox.with_name(f"{outbox.name}.tags")


def _merged(old: Changes | None, new: Changes | None) -> Changes | None:
    if old is None or new is None:
        return old or new
    return Changes({**old.armed, **new.armed}, new.stolen or old.stolen)
