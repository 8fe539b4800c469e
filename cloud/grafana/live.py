"""Grafana Live: each change of an alarm to whoever looks at a dashboard just now, within a second.

Live keeps nothing: what cannot be pushed now is not pushed later, and nothing waits for it. The wall itself asks
InfluxDB; this is for a strip beside it.

Source: "Set up Grafana Live" and "Grafana Live HTTP push", Grafana 12. Of several lines of one measurement in a request
only the last is shown, and fields that come and go break the stream: one line a request, always with the same fields.
"""

import logging
from collections.abc import Iterable

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from cloud.backoff import Outage
from cloud.grafana.annotation_store import Told
from cloud.grafana.annotations import Asker
from cloud.grafana.breaker import Breaker
from cloud.grafana.errors import GrafanaAwayError, GrafanaError
from cloud.grafana.marks import told_text
from cloud.influx.lines import field_value
from cloud.influx.schema import LEVELS

_log = logging.getLogger(__name__)
MEASUREMENT = "alarm"
"""The channel is `stream/<stream>/alarm`."""
MOST_WAITING = 32
"""Lines; what comes while so many wait is not shown. In a storm a strip cannot be read anyhow."""
FRESH_US = 30_000_000
"""What happened earlier is no news, and what happens later is a clock that is wrong."""


def live_line(told: Told, *, language: str) -> bytes:
    """Write a change as line protocol, all of it fields, the time in nanoseconds.

    Fields: `alarm_id`, `what` (raised, acknowledged, ...), `level` and `severity` (4 critical to 1 low), `kind`,
    `text`, `site`, `device`, `state`, `mode`.
    """
    alarm, names = told.alarm, told.names
    words = {
        "alarm_id": alarm.alarm_id,
        "what": told.what,
        "level": alarm.severity.value,
        "kind": alarm.kind,
        "text": told_text(alarm, language),
        "site": names.site or alarm.site or "",
        "device": names.device or f"{alarm.gateway}/{alarm.device}",
        "state": alarm.state.value,
        "mode": alarm.mode.value,
    }
    fields = [f"{name}={field_value(word)}" for name, word in words.items()]
    fields.append(f"severity={LEVELS[alarm.severity.value]}i")
    return f"{MEASUREMENT} {','.join(fields)} {told.at_us * 1_000}".encode()


class LiveStrip:
    """Pushes what is handed to it, as long as that is quick.

    Args:
        grafana: asks it, with a short limit.
        stream: of Live.
        language: of the texts.
        breaker: nothing is tried while it is open.
    """

    def __init__(self, grafana: Asker, stream: str, *, language: str, breaker: Breaker | None = None) -> None:
        self._grafana = grafana
        self._path = f"/api/live/push/{stream}"
        self._language = language
        self._breaker = breaker or Breaker(longest_s=60.0)
        self._outage = Outage(_log, "Grafana Live")
        made: tuple[MemoryObjectSendStream[bytes], MemoryObjectReceiveStream[bytes]]
        made = anyio.create_memory_object_stream[bytes](MOST_WAITING)
        self._outbox, self._inbox = made

    @property
    def waiting(self) -> int:
        """How many lines wait."""
        return self._inbox.statistics().current_buffer_used

    def close(self) -> None:
        """Let go of what waits; `run` does it too."""
        self._inbox.close()
        self._outbox.close()

    def show(self, told: Iterable[Told], *, now_us: int) -> None:
        """Hand over what is news; what finds no room is left out."""
        if self._breaker.wait_s(anyio.current_time()) > 0:
            return
        for one in told:
            # What was stored after the clock was read lies a little ahead.
            if abs(now_us - one.at_us) >= FRESH_US:
                continue
            try:
                self._outbox.send_nowait(live_line(one, language=self._language))
            except anyio.WouldBlock:
                return

    async def run(self) -> None:
        """Push until cancelled."""
        async with self._inbox, self._outbox:
            async for line in self._inbox:
                await self._push(line)

    async def _push(self, line: bytes) -> None:
        now_s = anyio.current_time()
        if self._breaker.wait_s(now_s) > 0:
            return
        try:
            await self._grafana.request("POST", self._path, line)
        except GrafanaError as error:
            is_away = isinstance(error, GrafanaAwayError)
            after_s = error.retry_after_s if isinstance(error, GrafanaAwayError) else None
            wait_s = self._breaker.failed(now_s, retry_after_s=after_s, for_people=not is_away)
            self._outage.failed(error, now_s=now_s, wait_s=wait_s)
        else:
            self._breaker.worked()
            self._outage.over(now_s=now_s)
