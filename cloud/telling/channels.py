"""Sending a message through a channel: apprise in a thread, with a hard limit and no secret in any log."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import anyio
import apprise
from apprise.plugins.base import NotifyBase

from cloud.errors import BadAddressError, CloudError, TellingError
from cloud.telling.hiding import hide
from cloud.telling.robots import post, robot_request
from cloud.telling.settings import Channel, Markup
from cloud.telling.templates import Message

ADDRESS = "{address}"
MESSAGE_ID = "{message_id}"
_Tasks = queue.Queue[Callable[[], None] | None]
# Threads of one channel that outlived their limit; with so many of them it sends nothing until one comes back.
MAX_ABANDONED = 8
_MAX_ERROR_CHARS = 300
_FORMATS = {
    Markup.TEXT: apprise.NotifyFormat.TEXT,
    Markup.MARKDOWN: apprise.NotifyFormat.MARKDOWN,
    Markup.HTML: apprise.NotifyFormat.HTML,
}


class Threads:
    """The threads in which one channel sends: each for itself, so that one that hangs holds up no other.

    A thread that has come back is used again: to begin one, whoever begins it waits until it runs, which is long where
    other threads are busy.

    Args:
        limit_s: after which a send is given up; its thread is left alone and counted.
        concurrency: sends at once.
    """

    def __init__(self, *, limit_s: float, concurrency: int) -> None:
        self._limit_s = limit_s
        self._most = concurrency + MAX_ABANDONED
        self._running = 0
        self._idle: list[_Tasks] = []
        self._is_closed = False

    @property
    def running(self) -> int:
        """Threads that have not come back, those given up included."""
        return self._running

    def close(self) -> None:
        """End the threads that have nothing to do, and the others when they come back; none is waited for."""
        self._is_closed = True
        for tasks in self._idle:
            tasks.put(None)
        self._idle.clear()

    async def run(self, work: Callable[[], None]) -> None:
        """Do `work` in a thread.

        Raises:
            TellingError: `work` raised it; it took too long; too many threads hang.
        """
        if self._running >= self._most:
            raise TellingError(f"{self._running} sends hang; none is begun before one of them comes back")
        loop, done, outcome = asyncio.get_running_loop(), anyio.Event(), _Outcome()
        tasks = self._idle.pop() if self._idle else _new_thread()
        self._running += 1

        def finish() -> None:
            self._running -= 1
            if self._is_closed:
                tasks.put(None)
            else:
                self._idle.append(tasks)
            done.set()

        tasks.put(partial(_run, work, outcome, loop, finish, tasks))
        with anyio.move_on_after(self._limit_s):
            await done.wait()
            if outcome.error is None:
                return
            if isinstance(outcome.error, CloudError):
                raise outcome.error
            # A fault of a library, set off by whatever a receiver answers; the desk outlives it.
            raise TellingError(f"the library failed: {type(outcome.error).__name__}") from outcome.error
        raise TellingError(f"no end after {self._limit_s:g} s")


class ChannelSender:
    """Sends through one channel.

    Args:
        channel: its settings.
        template: its apprise URL with `{address}` and maybe `{message_id}`; a secret.
        limit_s: hard limit of one send.
    """

    def __init__(self, channel: Channel, template: str, *, limit_s: float) -> None:
        self._channel = channel
        self._template = template
        self._limit_s = limit_s
        self.threads = Threads(limit_s=limit_s, concurrency=channel.concurrency)
        silence()

    def close(self) -> None:
        """Let its threads end; none is waited for."""
        self.threads.close()

    async def send(self, address: str, message: Message) -> None:
        """Send `message` to `address`.

        Raises:
            BadAddressError: the channel's URL with this address is none that apprise can use.
            TellingError: not sent, or nobody knows.
        """
        await self.threads.run(partial(self._send, address, message))

    def _send(self, address: str, message: Message) -> None:
        url = fill(self._template, address, message.id)
        said = _Said()
        logger = logging.getLogger("apprise")
        logger.addHandler(said)
        try:
            plugin = open_url(url, self._channel.name)
            request = robot_request(plugin, message, self._channel.markup)
            if request is not None:
                return post(request, timeout_s=self._limit_s)
            is_sent = plugin.notify(body=message.body, title=message.title, body_format=_FORMATS[self._channel.markup])
        finally:
            logger.removeHandler(said)
        if not is_sent:
            why = hide("; ".join(said.words), [url, self._template, address])
            raise TellingError(why[:_MAX_ERROR_CHARS] or "apprise did not say why")
        return None


class _Said(logging.Handler):
    """Keeps what apprise says in this thread, warnings and worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and len(self.words) < 8:  # noqa: PLR2004 - enough to see what was wrong
            self.words.append(record.getMessage()[:_MAX_ERROR_CHARS])


def warm_up() -> None:
    """Load apprise's plugins, which takes seconds on a small machine: not within the limit of the first message."""
    apprise.Apprise.instantiate("json://localhost")


def silence() -> None:
    """Keep what apprise and urllib3 write, which holds URLs and so keys, out of our logs."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    # Without any handler Python would write warnings to the standard error.
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    # Its DEBUG names every path.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def fill(template: str, address: str, message_id: str) -> str:
    """Put the address and the id of the message, which is hexadecimal, into a channel's URL, quoted."""
    return template.replace(MESSAGE_ID, message_id).replace(ADDRESS, quote(address, safe=""))


def open_url(url: str, channel: str) -> NotifyBase:
    """Let apprise read a URL.

    Raises:
        BadAddressError: it cannot, or the URL asks for TLS without verification.
    """
    plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if not isinstance(plugin, NotifyBase):
        raise BadAddressError(channel, "apprise can make nothing of its URL with this address")
    if not plugin.verify_certificate:
        raise BadAddressError(channel, "its URL says verify=no; certificates are always verified")
    return plugin


class _Outcome:
    """Keeps whatever ended the work in its block for the task that waits, as a future does."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.error = error
        return True


def _new_thread() -> _Tasks:
    # One task at a time, and the word that there are no more.
    tasks: _Tasks = queue.Queue(maxsize=2)
    # A thread of our own and not one of a pool: at the end of the process nobody waits for one that hangs.
    threading.Thread(target=_work, args=(tasks,), name="telling", daemon=True).start()
    return tasks


def _work(tasks: _Tasks) -> None:
    while (task := tasks.get()) is not None:
        task()


def _run(
    work: Callable[[], None],
    outcome: _Outcome,
    loop: asyncio.AbstractEventLoop,
    finish: Callable[[], None],
    tasks: _Tasks,
) -> None:
    with outcome:
        work()
    try:
        loop.call_soon_threadsafe(finish)
    except RuntimeError:
        # The loop is gone: nobody waits any more.
        tasks.put(None)
