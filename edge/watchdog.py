"""The watchdog: systemd ends and restarts a gateway in which a part no longer makes progress.

Progress, not success: a bus whose devices are mute turns, an uplink without a broker tries again. What stands still is
a bug or a broken kernel driver, and nobody stands beside the cabinet. Source of the messages: sd_notify(3).
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping

import anyio
from msgspec import Struct

log = logging.getLogger(__name__)

# How often the parts are looked at, and the event loop's lag is measured.
LOOK_EVERY_S = 1.0


class Mark(Struct, frozen=True):
    """One part's progress.

    Attributes:
        at: tells when it last made a step, monotonic seconds; 0 before its first.
        limit_s: longest time that a step may take.
    """

    at: Callable[[], float]
    limit_s: float


class Watchdog:
    """Tells which parts stand still. Pure."""

    def __init__(self, marks: Mapping[str, Mark], *, now: float) -> None:
        """Take the parts by name; one without a first step is counted from `now`."""
        self._marks = marks
        self._started_at = now

    def stalled(self, now: float) -> list[str]:
        """Name the parts whose last step is longer ago than they may take."""
        return [name for name, mark in self._marks.items() if now - max(mark.at(), self._started_at) > mark.limit_s]


class Notifier:
    """Tells systemd how the service stands; says nothing where there is no systemd.

    Attributes:
        watchdog_s: systemd ends the process when it hears nothing for so long; None: it does not look.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environ)

    def ready(self) -> None:
        """The service is up."""
        self._say("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._say("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        """All parts make progress."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends in order."""
        self._say("STOPPING=1")

    def _say(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)
            try:
                out.sendto(message.encode(), self._address)
            except OSError as error:
                log.debug("systemd does not listen at %s: %s", self._address, error)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    # The variables are inherited; they are meant for one process.
    if not microseconds.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6 or None


async def keep_watch(
    watchdog: Watchdog, notifier: Notifier, *, status: Callable[[], str], note_lag: Callable[[float], None]
) -> None:
    """Feed systemd's watchdog while every part makes progress, until cancelled; say what stands still.

    Args:
        watchdog: the parts.
        notifier: the way to systemd.
        status: makes the line for `systemctl status`.
        note_lag: told how many seconds late the event loop was, once a second.
    """
    known: list[str] = []
    said = ""
    while True:
        due = anyio.current_time() + LOOK_EVERY_S
        await anyio.sleep_until(due)
        now = anyio.current_time()
        note_lag(now - due)
        stalled = watchdog.stalled(now)
        if stalled and stalled != known:
            log.error("no progress: %s; the watchdog is not fed", ", ".join(stalled))
        known = stalled
        if not stalled:
            notifier.alive()
        line = status()
        if line != said:
            notifier.status(line)
            said = line
