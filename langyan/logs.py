"""Log lines: plain on a terminal, logfmt elsewhere, with systemd's priorities under systemd; limited by cause.

The same trouble said a thousand times is one trouble: of each kind of line (logger, level and message before its
values are put in) only so many a minute are written, and then one line says how many more there were.
"""

import logging
import re
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TextIO

from msgspec import Struct

LINES_A_MINUTE = 20
MINUTE_S = 60.0
# Kinds of lines remembered; code has a few hundred, and a foreign library may make up more.
MAX_KINDS = 512
MAX_TEXT_CHARS = 8000
# A secret of fewer characters cannot be told from ordinary words.
SHORTEST_SECRET = 4
HIDDEN = "***"

PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Syslog priorities. Source: sd-daemon(3)."""

# A place for a value in a message. Source: printf-style formatting of Python.
_VALUE = re.compile(r"%(\([^)]*\))?[-#0 +]*[\d*]*(\.[\d*]+)?[hlL]?[a-zA-Z]")

Key = tuple[str, int, str]


class _Kind(Struct):
    began_at: float
    written: int = 0
    held_back: int = 0


class Limiter:
    """Decides which lines are written. Pure; the caller reads the clock."""

    def __init__(self, *, at_most: int = LINES_A_MINUTE) -> None:
        """`at_most`: lines of one kind a minute."""
        self._at_most = at_most
        self._kinds: OrderedDict[Key, _Kind] = OrderedDict()

    def lets_pass(self, key: Key, now: float) -> bool:
        """Tell whether a line of this kind may be written now; if not, it is counted."""
        kind = self._kinds.get(key)
        if kind is None or now - kind.began_at >= MINUTE_S:
            kind = self._kinds[key] = _Kind(now)
            if len(self._kinds) > MAX_KINDS:
                self._kinds.popitem(last=False)
        if kind.written >= self._at_most:
            kind.held_back += 1
            return False
        kind.written += 1
        return True

    def over(self, now: float) -> list[tuple[Key, int]]:
        """Take the kinds whose minute is over, with how many lines of each were held back."""
        ended = [(key, kind) for key, kind in self._kinds.items() if now - kind.began_at >= MINUTE_S]
        for key, _ in ended:
            del self._kinds[key]
        return [(key, kind.held_back) for key, kind in ended if kind.held_back]


class LimitedHandler(logging.Handler):
    """Writes formatted lines to a stream, limited by cause, without secrets."""

    def __init__(
        self,
        stream: TextIO,
        *,
        limiter: Limiter | None,
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limiter` None writes everything."""
        super().__init__()
        self._stream = stream
        self._limiter = limiter
        hidden = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        # As they are and as they are written; the longest first, as one may be part of another.
        self._secrets = sorted({*hidden, *map(_escape, hidden)}, key=len, reverse=True)
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless there were too many of its kind."""
        if self._limiter is not None:
            now = self._clock()
            self._sum_up(now)
            if not self._limiter.lets_pass((record.name, record.levelno, str(record.msg)), now):
                return
        self._write(record)

    def close(self) -> None:
        """Say what was held back until now."""
        if self._limiter is not None:
            self._sum_up(self._clock() + MINUTE_S)
        super().close()

    def _sum_up(self, now: float) -> None:
        assert self._limiter is not None  # noqa: S101 - both callers have looked
        for (name, level, template), count in self._limiter.over(now):
            kind = _VALUE.sub("...", template)
            self._write(logging.LogRecord(name, level, "", 0, "and %d more: %s", (count, kind), None))

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            for secret in self._secrets:
                line = line.replace(secret, HIDDEN)
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # A log that cannot be written must not end what it tells of.
            self.handleError(record)


class PlainFormatter(logging.Formatter):
    """Time, level, part, text: for people at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


class LogfmtFormatter(logging.Formatter):
    """`time=... level=warning part=edge.bus msg="..."`, one line each; for machines and `grep`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line."""
        fields = {"time": _time(record), **_fields(record)}
        return " ".join(f"{key}={_quote(value)}" for key, value in fields.items())


class JournalFormatter(logging.Formatter):
    """`<4>part=edge.bus msg="..."`: the journal adds the time, and takes the priority off the front."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line."""
        priority = next((number for level, number in PRIORITIES.items() if record.levelno >= level), 7)
        fields = _fields(record)
        del fields["level"]
        return f"<{priority}>" + " ".join(f"{key}={_quote(value)}" for key, value in fields.items())


def start_logging(*, verbose: bool, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
    """Log to standard error from now on, uncaught errors too.

    Args:
        verbose: every step, and every repeat.
        environ: tells whether systemd reads along.
        secrets: never to be written, wherever they come from.
    """
    handler = LimitedHandler(sys.stderr, limiter=None if verbose else Limiter(), secrets=secrets)
    handler.setFormatter(choose_formatter(environ, is_terminal=sys.stderr.isatty()))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    sys.excepthook = _log_uncaught


def choose_formatter(environ: Mapping[str, str], *, is_terminal: bool) -> logging.Formatter:
    """Choose by who reads: people, the journal, or a file."""
    if is_terminal:
        return PlainFormatter()
    # Set by systemd when standard error goes to the journal. Source: systemd.exec(5).
    return JournalFormatter() if "JOURNAL_STREAM" in environ else LogfmtFormatter()


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("langyan").critical("ended by an error of our own", exc_info=(kind, error, trace))


def _fields(record: logging.LogRecord) -> dict[str, str]:
    fields = {"level": record.levelname.lower(), "part": record.name, "msg": record.getMessage()[:MAX_TEXT_CHARS]}
    if record.exc_info:
        # The end says what it was.
        fields["trace"] = "".join(traceback.format_exception(*record.exc_info))[-MAX_TEXT_CHARS:]
    return fields


def _time(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _quote(text: str) -> str:
    """Put into quotes what has more than one word; nothing leaves its line."""
    if text and text.isprintable() and not set(text) & set(' "=\\'):
        return text
    return f'"{_escape(text)}"'


def _escape(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in escaped)
