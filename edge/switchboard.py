"""Outputs that rules switch: the latest word for each output is written until the device takes it."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import anyio

from edge.bus import Bus
from edge.errors import (
    BadCommandError,
    EdgeError,
    FrameError,
    LinkDownError,
    LinkTimeoutError,
    NotWritableError,
    UnknownPointError,
)
from edge.rules import Action
from edge.waker import Waker

log = logging.getLogger(__name__)

# A siren must sound although the first telegram was lost; but one that is dead must not cost its line much: every
# further try is a timeout, so the rests grow. A line that is down costs nothing.
RETRY_S = 1.0
LONGEST_RETRY_S = 15.0
IDLE_S = 3600.0
Output = tuple[str, str]


class Switchboard:
    """What waits to be switched, a queue a bus: one that is down must not hold up the siren on another."""

    def __init__(self, buses: Sequence[Bus]) -> None:
        """Wire it to the buses."""
        self._queues = {bus: dict[Output, Action]() for bus in buses}
        self._wakers = {bus: Waker() for bus in buses}

    def act(self, action: Action) -> None:
        """Have an output written; what waited for the same output is not written any more."""
        bus = next((bus for bus in self._queues if bus.has_device(action.device)), None)
        if bus is None:
            log.error("no bus has device %s: %s is not switched", action.device, action.point)
            return
        self._queues[bus][action.device, action.point] = action
        self._wakers[bus].wake()

    async def run(self, stop: anyio.Event) -> None:
        """Write until `stop`; the next run switches what its alarms want then."""
        async with anyio.create_task_group() as tasks:
            for bus in self._queues:
                tasks.start_soon(partial(self._serve, bus, self._queues[bus], self._wakers[bus]))
            await stop.wait()
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _serve(bus: Bus, queue: dict[Output, Action], waker: Waker) -> None:
        failed: Mapping[Output, Action] = {}
        rest_s = RETRY_S
        while True:
            if await waker.wait_until(anyio.current_time() + (rest_s if queue else IDLE_S)):
                rest_s = RETRY_S
            silent: set[str] = set()
            is_costly = False
            # What was not tried yet is not kept waiting by what fails, and who keeps silent is asked once a round.
            for output, action in sorted(queue.items(), key=lambda item: failed.get(item[0]) is item[1]):
                if action.device in silent:
                    continue
                error = await _write(bus, action, is_news=failed.get(output) is not action)
                if error is None and queue.get(output) is action:
                    del queue[output]
                is_costly = is_costly or not (error is None or isinstance(error, LinkDownError))
                if isinstance(error, LinkTimeoutError | FrameError):
                    silent.add(action.device)
            rest_s = min(2 * rest_s, LONGEST_RETRY_S) if is_costly else RETRY_S
            failed = dict(queue)


async def _write(bus: Bus, action: Action, *, is_news: bool) -> EdgeError | None:
    """Write one output; None when there is nothing more to do about it."""
    try:
        await bus.write(action.device, action.point, action.value)
    except (UnknownPointError, NotWritableError, BadCommandError) as error:
        log.error("%s is not switched: %s. %s", action.point, error, error.hint)  # noqa: TRY400 - the site file's fault
        return None
    except EdgeError as error:
        level = logging.WARNING if is_news else logging.DEBUG
        log.log(level, "device %s, %s: not switched yet: %s. %s", action.device, action.point, error, error.hint)
        return error
    log.info("device %s: %s is %s, for %s", action.device, action.point, action.value, action.reason)
    return None
