"""The demo's duty officer: watches the live stream through the API as anybody would, acknowledges, sends, closes."""

import threading
import time
from typing import Any, Self

from msgspec import Struct, structs

from langyan.desk_client import Access, DeskClient, DeskError

ACKNOWLEDGE_AFTER_S = 1.5
_TICK_S = 0.1
_MAX_ALARMS = 100_000


class Held(Struct, frozen=True):
    """One alarm as the officer sees it.

    Attributes:
        seen_us: when its raise came out of the live stream here, wall time.
        escalated: steps of its plan that were taken.
    """

    alarm_id: str
    source: str
    stage: str
    state: str
    raised_at_us: int
    seen_us: int
    acknowledged_at_us: int | None = None
    escalated: int = 0
    is_open: bool = True


class DutyOfficer:
    """Works in two threads of his own until the end of the block; other threads read what he sees.

    Args:
        access: to the API.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._presses_us: list[tuple[str, int, int]] = []
        self._attends = True
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"duty-{work.__name__}", daemon=True)
            for work in (self._watch, self._acknowledge)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._threads[1].join()

    def attend(self, *, attends: bool) -> None:
        """Sit down at the desk, or leave it."""
        self._attends = attends

    def alarms(self) -> dict[str, Held]:
        """The latest alarm of each source."""
        with self._lock:
            return {one.source: one for one in self._held.values()}

    def triggers(self) -> list[tuple[str, int, int]]:
        """Each trigger that came out of the stream: source, moment of the press, moment of its arrival here."""
        with self._lock:
            return list(self._presses_us)

    def send_somebody(self, source: str) -> None:
        """Dispatch a patrol to the alarm of a source."""
        self._act(source, "dispatch", {"comment": "patrol 3"})

    def close_all(self) -> int:
        """Close whatever is open; returns how many."""
        held = [one for one in self.alarms().values() if one.is_open]
        for one in held:
            self._act(one.source, "close", {"code": "drill", "comment": "demo"})
        return len(held)

    def _act(self, source: str, action: str, body: dict[str, Any]) -> bool:
        held = self.alarms().get(source)
        if held is None:
            return False
        try:
            with DeskClient(self._access) as desk:
                desk.post(f"/alarms/{held.alarm_id}/{action}", body)
        except DeskError:
            # Somebody or something was first, or the desk is away: the stream tells.
            return False
        return True

    def _watch(self) -> None:
        after = 0
        while not self._over.is_set():
            try:
                with DeskClient(self._access) as desk:
                    for event in desk.follow(after=after):
                        after = event.number or after
                        self._note(event.data)
                        if self._over.is_set():
                            return
            except DeskError:
                self._over.wait(0.5)

    def _note(self, data: dict[str, Any]) -> None:
        alarm, what = data.get("alarm"), data.get("what")
        if not alarm:
            return
        now_us = time.time_ns() // 1_000
        alarm_id = alarm["alarm_id"]
        with self._lock:
            before = self._held.get(alarm_id)
            if before is None and len(self._held) >= _MAX_ALARMS:
                return
            new = Held(
                alarm_id=alarm_id,
                source=alarm["source"],
                stage=alarm["stage"],
                state=alarm["state"],
                raised_at_us=alarm["raised_at_us"],
                seen_us=before.seen_us if before else now_us,
                acknowledged_at_us=alarm["acknowledged_at_us"],
                escalated=before.escalated if before else 0,
                is_open=alarm["is_open"],
            )
            if what == "escalated":
                new = structs.replace(new, escalated=new.escalated + 1)
            if what in ("raised", "retriggered"):
                self._presses_us.append((new.source, alarm["last_raised_at_us"], now_us))
            self._held[alarm_id] = new

    def _acknowledge(self) -> None:
        while not self._over.wait(_TICK_S):
            if not self._attends:
                continue
            late_us = time.time_ns() // 1_000 - int(ACKNOWLEDGE_AFTER_S * 1e6)
            for one in self.alarms().values():
                if one.is_open and one.acknowledged_at_us is None and one.seen_us < late_us:
                    self._act(one.source, "acknowledge", {})
