"""Outputs that rules switch: the latest word for each output is written until the device takes it."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import anyio

from edge.bus import Bus
from edge.errors import BadCommandError, EdgeError, NotWritableError, UnknownPointError
from edge.rules import Action
from edge.waker import Waker

log = logging.getLogger(__name__)

# A siren must sound although the first telegram was lost; its bus is not held up by trying once a second.
RETRY_S = 1.0
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
        """Write until `stop`; what waits then is written by the next run, if its alarm still stands."""
        async with anyio.create_task_group() as tasks:
            for bus in self._queues:
                tasks.start_soon(partial(self._serve, bus, self._queues[bus], self._wakers[bus]))
            await stop.wait()
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _serve(bus: Bus, queue: dict[Output, Action], waker: Waker) -> None:
        failed: Mapping[Output, Action] = {}
        while True:
            await waker.wait_until(anyio.current_time() + (RETRY_S if queue else IDLE_S))
            for output, action in list(queue.items()):
                is_news = failed.get(output) is not action
                if await _write(bus, action, is_news=is_news) and queue.get(output) is action:
                    del queue[output]
            failed = dict(queue)


async def _write(bus: Bus, action: Action, *, is_news: bool) -> bool:
    """Write one output; true when there is nothing more to do about it."""
    try:
        await bus.write(action.device, action.point, action.value)
    except (UnknownPointError, NotWritableError, BadCommandError) as error:
        log.error("%s is not switched: %s. %s", action.point, error, error.hint)  # noqa: TRY400 - the site file's fault
        return True
    except EdgeError as error:
        level = logging.WARNING if is_news else logging.DEBUG
        log.log(level, "device %s, %s: not switched yet: %s. %s", action.device, action.point, error, error.hint)
        return False
    log.info("device %s: %s is %s, for %s", action.device, action.point, action.value, action.reason)
    return True
