"""Sending a message through a channel: apprise in a thread, with a hard limit and no secret in any log."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import anyio
import apprise
from apprise.plugins.base import NotifyBase

from cloud.errors import BadAddressError, CloudError, TellingError
from cloud.telling.robots import post, robot_request
from cloud.telling.settings import Channel, Markup
from cloud.telling.templates import Message

ADDRESS = "{address}"
# Threads of one channel that outlived their limit; with so many of them it sends nothing until one comes back.
MAX_ABANDONED = 8
_MAX_ERROR_CHARS = 300
# Shorter parts of a URL are words like "to" or "25", and would black out what an error says.
_MIN_SECRET_CHARS = 4
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_FORMATS = {
    Markup.TEXT: apprise.NotifyFormat.TEXT,
    Markup.MARKDOWN: apprise.NotifyFormat.MARKDOWN,
    Markup.HTML: apprise.NotifyFormat.HTML,
}


class Threads:
    """The threads in which one channel sends: each for itself, so that one that hangs holds up no other.

    Args:
        limit_s: after which a send is given up; its thread is left alone and counted.
        concurrency: sends at once.
    """

    def __init__(self, *, limit_s: float, concurrency: int) -> None:
        self._limit_s = limit_s
        self._most = concurrency + MAX_ABANDONED
        self._running = 0

    @property
    def running(self) -> int:
        """Threads that have not come back, those given up included."""
        return self._running

    async def run(self, work: Callable[[], None]) -> None:
        """Do `work` in a thread.

        Raises:
            TellingError: `work` raised it; it took too long; too many threads hang.
        """
        if self._running >= self._most:
            raise TellingError(f"{self._running} sends hang; none is begun before one of them comes back")
        loop, done, outcome = asyncio.get_running_loop(), anyio.Event(), _Outcome()
        self._running += 1

        def finish() -> None:
            self._running -= 1
            done.set()

        # A thread of our own and not one of a pool: at the end of the process nobody waits for one that hangs.
        threading.Thread(target=partial(_run, work, outcome, loop, finish), name="telling", daemon=True).start()
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
        template: its apprise URL with `{address}`; a secret.
        limit_s: hard limit of one send.
    """

    def __init__(self, channel: Channel, template: str, *, limit_s: float) -> None:
        self._channel = channel
        self._template = template
        self._limit_s = limit_s
        self.threads = Threads(limit_s=limit_s, concurrency=channel.concurrency)
        silence()

    async def send(self, address: str, message: Message) -> None:
        """Send `message` to `address`.

        Raises:
            BadAddressError: the channel's URL with this address is none that apprise can use.
            TellingError: not sent, or nobody knows.
        """
        await self.threads.run(partial(self._send, address, message))

    def _send(self, address: str, message: Message) -> None:
        url = fill(self._template, address)
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


def fill(template: str, address: str) -> str:
    """Put an address into a channel's URL, quoted."""
    return template.replace(ADDRESS, quote(address, safe=""))


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


def hide(words: str, secrets: list[str]) -> str:
    """Black out URLs, and every part of them, in what a library says."""
    hidden = _URL.sub("***", words)
    for part in sorted({part for url in secrets for part in _parts(url)}, key=len, reverse=True):
        hidden = hidden.replace(part, "***")
    return hidden


def _parts(url: str) -> set[str]:
    # A URL that cannot be taken apart is hidden whole.
    try:
        split = urlsplit(url)
    except ValueError:
        return {url}
    user, _, host = split.netloc.rpartition("@")
    parts = {url, user, *user.split(":"), *split.path.split("/"), *(value for _, value in parse_qsl(split.query))}
    # Robots have their key where others have the host.
    parts |= {host}
    return {form for part in parts for form in (part, unquote(part)) if len(form) >= _MIN_SECRET_CHARS}


class _Outcome:
    """Keeps whatever ended the work in its block for the task that waits, as a future does."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.error = error
        return True


def _run(
    work: Callable[[], None], outcome: _Outcome, loop: asyncio.AbstractEventLoop, finish: Callable[[], None]
) -> None:
    with outcome:
        work()
    # The loop may be gone by now: nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(finish)
