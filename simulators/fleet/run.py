"""Runs a fleet: thousands of connections in one thread, by the readiness of their sockets and one heap of timers.

No task, stream or timer a connection: ten thousand of them have to fit beside broker and databases. Runs in whatever
thread it is called in.
"""

import errno
import heapq
import importlib.metadata
import math
import os
import resource
import secrets
import selectors
import socket
import time
from collections.abc import Callable
from enum import IntEnum

from simulators.fleet.content import Content
from simulators.fleet.files import make_room
from simulators.fleet.gateway import FleetGateway
from simulators.fleet.mqtt import MqttProtocolError
from simulators.fleet.plan import FleetError, Outcome, Plan, Progress, Tally, seeded

PROGRESS_EVERY_S = 1.0
# How soon a wish to stop is noticed.
LONGEST_WAIT_S = 0.1
CONNECT_LIMIT_S = 10.0
LEAVE_LIMIT_S = 5.0
# On top of what the ramp takes, for all to be up.
UP_LIMIT_S = 60.0
# A broker's queue of unaccepted connections is short (mosquitto's is 100); what does not fit waits a whole second.
MAX_CONNECTING = 64
# A broker that takes nothing has stalled; the gateway connects anew rather than fill the memory.
MAX_UNSENT_BYTES = 1024 * 1024
MAX_READ_BYTES = 65_536
TURN_S = 0.05


class Wish(IntEnum):
    """What whoever runs a fleet wants of it."""

    GO_ON = 0
    FINISH = 1
    """Read no more, wait for receipts, say good-bye."""
    ABANDON = 2
    """Leave at once."""


class _Member:
    """A gateway and its socket."""

    __slots__ = ("connect_by", "events", "gateway", "is_connecting", "scheduled_at", "socket")

    def __init__(self, gateway: FleetGateway) -> None:
        self.gateway = gateway
        self.socket: socket.socket | None = None
        self.is_connecting = False
        self.connect_by = math.inf
        self.events = 0
        self.scheduled_at = math.inf


def run_fleet(
    plan: Plan,
    *,
    wish: Callable[[], Wish] = lambda: Wish.GO_ON,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Outcome:
    """Connect all gateways, read for `plan.seconds` or until asked to finish, wait for receipts, and leave.

    Args:
        plan: what is asked for.
        wish: asked ten times a second.
        on_progress: told once a second.

    Raises:
        FleetError: the plan cannot be run here: too few file descriptors, no broker there, or one that refuses us.
    """
    make_room(plan.gateways)
    return _Fleet(plan, wish, on_progress).run()


class _Fleet:
    def __init__(self, plan: Plan, wish: Callable[[], Wish], on_progress: Callable[[Progress], None]) -> None:
        self._plan, self._wish, self._on_progress = plan, wish, on_progress
        self._family, self._address = _resolve(plan)
        self._tally, self._random = Tally(), seeded(plan)
        content = Content(plan, boot=secrets.token_hex(4), version=importlib.metadata.version("langyan"))
        self._members = [
            _Member(FleetGateway(
                number, plan, content=content, tally=self._tally, chance=self._random, wall_us=_wall_us
            ))
            for number in range(1, plan.gateways + 1)
        ]  # fmt: skip
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int]] = []
        self._connects: list[tuple[float, int]] = [(0.0, place) for place in range(plan.gateways)]
        self._connecting = 0
        self._free_at = 0.0
        self._press_at = math.inf
        self._began_at_us = 0
        self._is_leaving = False
        self._phase, self._phase_at, self._told_at = "connecting", time.monotonic(), -math.inf

    def run(self) -> Outcome:
        try:
            connect_s = self._connect_all()
            began, cpu_s = time.monotonic(), time.process_time()
            seconds = self._read(began)
            asked, sent, cpu_s = self._plan.batches_due(seconds), self._tally.sent, time.process_time() - cpu_s
            self._settle()
            outcome = self._outcome(connect_s, seconds, asked, sent, cpu_s)
            self._leave()
            return outcome
        finally:
            for member in self._members:
                if member.socket is not None:
                    member.socket.close()
            self._selector.close()

    def _connect_all(self) -> float:
        """Connect them at the ramp's pace, and return how long it took."""
        began = time.monotonic()
        limit = began + self._plan.gateways / self._plan.ramp_per_s + UP_LIMIT_S
        while self._tally.up < self._plan.gateways:
            now = self._turn()
            if self._tally.is_unwelcome:
                raise FleetError(f"{self._tally.why}; check name, password and access list of {self._where}")
            if now > limit or self._wish() is not Wish.GO_ON:
                why = f" (last: {self._tally.why})" if self._tally.why else ""
                raise FleetError(
                    f"{self._tally.up} of {self._plan.gateways} gateways are connected to {self._where} after "
                    f"{now - began:.0f} s{why}; check that it runs, and how many connections it takes "
                    "(its own open files: LimitNOFILE)"
                )
        return time.monotonic() - began

    def _read(self, began: float) -> float:
        """Let the devices be read; returns for how long."""
        self._begin_phase("reading")
        self._began_at_us = _wall_us()
        for place, member in enumerate(self._members):
            member.gateway.read_from(began)
            self._schedule(place)
        self._press_at = self._next_press(began)
        until = began + self._plan.seconds
        now = began
        while now < until and self._wish() is Wish.GO_ON:
            now = self._turn(until)
        self._press_at = math.inf
        for member in self._members:
            member.gateway.read_no_more()
        return min(now, until) - began

    def _settle(self) -> None:
        """Wait for the last receipts."""
        self._begin_phase("settling")
        limit = time.monotonic() + self._plan.settle_s
        while time.monotonic() < limit and self._wish() is not Wish.ABANDON:
            if not self._tally.waiting and not self._tally.alarms_waiting:
                return
            self._turn()

    def _leave(self) -> None:
        """Say good-bye, and wait until the broker has hung up: it might else take a connection for lost."""
        self._is_leaving = True
        for place, member in enumerate(self._members):
            member.gateway.say_goodbye()
            self._flush(place, time.monotonic())
        limit = time.monotonic() + LEAVE_LIMIT_S
        while any(member.socket is not None for member in self._members) and self._turn(limit) < limit:
            pass

    def _turn(self, until: float = math.inf) -> float:
        """Do all that is due, wait for what comes next, and take it; returns the time."""
        now = time.monotonic()
        at = min(self._timers[0][0] if self._timers else math.inf, self._connect_next(now), self._press_at, until)
        for key, events in self._selector.select(max(0.0, min(at - now, LONGEST_WAIT_S))):
            self._take(key.data, events)
        now = time.monotonic()
        deadline = now + TURN_S
        while self._timers and self._timers[0][0] <= now < min(deadline, until):
            at, place = heapq.heappop(self._timers)
            member = self._members[place]
            if at == member.scheduled_at:
                member.scheduled_at = math.inf
                is_good = member.gateway.tick(now)
                if now >= member.connect_by:
                    self._tally.why, is_good = os.strerror(errno.ETIMEDOUT).lower(), False
                if not is_good:
                    self._cut(place, now)
                self._flush(place, now)
            now = time.monotonic()
        while self._press_at <= now:
            place = self._random.randrange(len(self._members))
            self._members[place].gateway.press(now)
            self._flush(place, now)
            self._press_at = self._next_press(self._press_at)
        if now - self._told_at >= PROGRESS_EVERY_S:
            self._tell(now)
        return now

    def _take(self, place: int, events: int) -> None:
        """Take what one socket has to say."""
        member, now = self._members[place], time.monotonic()
        if member.socket is None:
            return
        if member.is_connecting:
            self._connected(place, now)
        elif events & selectors.EVENT_READ:
            try:
                data = member.socket.recv(MAX_READ_BYTES)
                is_good = bool(data) and member.gateway.hear(data, now)
            except BlockingIOError:
                return
            except (OSError, MqttProtocolError) as error:
                self._tally.why, is_good = str(error), False
            if not is_good:
                self._cut(place, now)
        self._flush(place, now)

    def _connect_next(self, now: float) -> float:
        """Begin the connections that are due, at the ramp's pace; returns when the next will be."""
        while self._connects and not self._is_leaving:
            if self._connecting >= MAX_CONNECTING:
                return math.inf
            at = max(self._connects[0][0], self._free_at)
            if at > now:
                return at
            _, place = heapq.heappop(self._connects)
            self._free_at = max(self._free_at + 1.0 / self._plan.ramp_per_s, now - TURN_S)
            self._open(place, now)
        return math.inf

    def _open(self, place: int, now: float) -> None:
        member = self._members[place]
        member.socket = opened = socket.socket(self._family, socket.SOCK_STREAM)
        opened.setblocking(False)
        # As the gateway: no packet waits for the acknowledgement of the one before it.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member.is_connecting, self._connecting = True, self._connecting + 1
        member.events = selectors.EVENT_WRITE
        self._selector.register(opened, member.events, place)
        member.connect_by = now + CONNECT_LIMIT_S
        self._schedule(place)
        try:
            opened.connect(self._address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._tally.why = str(error.strerror).lower()
            self._cut(place, now)

    def _connected(self, place: int, now: float) -> None:
        """The connection has come about, or not."""
        member = self._members[place]
        assert member.socket is not None, "only what has a socket connects"  # noqa: S101
        error = member.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._tally.why = os.strerror(error).lower()
            self._cut(place, now)
            return
        member.is_connecting, self._connecting = False, self._connecting - 1
        member.connect_by = math.inf
        member.gateway.opened(now)

    def _cut(self, place: int, now: float) -> None:
        """Let the connection go; another is opened when the gateway wants it."""
        member = self._members[place]
        if member.socket is not None:
            self._selector.unregister(member.socket)
            member.socket.close()
            member.socket = None
        self._connecting -= member.is_connecting
        member.is_connecting, member.connect_by = False, math.inf
        member.gateway.closed(now, is_refused=self._tally.is_unwelcome)
        heapq.heappush(self._connects, (member.gateway.connect_at, place))

    def _flush(self, place: int, now: float) -> None:
        """Send what the gateway has to say, ask for the socket's readiness, and set its timer."""
        member = self._members[place]
        if member.socket is not None and not member.is_connecting and not self._write(member):
            self._cut(place, now)
        if member.socket is not None and not member.is_connecting:
            waits = member.gateway.client is not None and bool(member.gateway.client.out)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if waits else 0)
            if wanted != member.events:
                member.events = wanted
                self._selector.modify(member.socket, wanted, place)
        self._schedule(place)

    def _write(self, member: _Member) -> bool:
        client = member.gateway.client
        if client is None or member.socket is None or not client.out:
            return True
        try:
            sent = member.socket.send(client.out)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._tally.why = str(error)
            return False
        del client.out[:sent]
        return len(client.out) <= MAX_UNSENT_BYTES

    def _schedule(self, place: int) -> None:
        """Set the timer of a member; one that rings too early is set anew then."""
        member = self._members[place]
        at = min(member.gateway.next_at(), member.connect_by)
        if at < member.scheduled_at:
            member.scheduled_at = at
            heapq.heappush(self._timers, (at, place))

    def _next_press(self, now: float) -> float:
        per_min = self._plan.presses_per_min
        return now + self._random.expovariate(per_min / 60.0) if per_min else math.inf

    @property
    def _where(self) -> str:
        return f"the broker at {self._plan.host}:{self._plan.port}"

    def _begin_phase(self, phase: str) -> None:
        self._phase, self._phase_at, self._told_at = phase, time.monotonic(), -math.inf

    def _tell(self, now: float) -> None:
        self._told_at = now
        tally = self._tally
        self._on_progress(
            Progress(
                phase=self._phase, elapsed_s=now - self._phase_at, up=tally.up, sent=tally.sent, settled=tally.settled,
                waiting=tally.waiting,
            )
        )  # fmt: skip

    def _outcome(self, connect_s: float, seconds: float, asked: int, sent: int, cpu_s: float) -> Outcome:
        plan, tally = self._plan, self._tally
        per_batch = plan.readings_per_batch
        return Outcome(
            gateways=plan.gateways,
            devices=plan.devices,
            interval_s=plan.interval_s,
            connect_s=round(connect_s, 2),
            seconds=round(seconds, 2),
            asked_per_s=round(asked * per_batch / seconds, 2),
            done_per_s=round(sent * per_batch / seconds, 2),
            asked=asked * per_batch,
            sent=tally.sent * per_batch,
            settled=tally.settled * per_batch,
            refused=tally.refused * per_batch,
            dropped=tally.dropped * per_batch,
            waiting=tally.waiting * per_batch,
            batches=tally.made,
            again=tally.again,
            receipt_p50_ms=_ms(tally.receipts.percentile(0.5)),
            receipt_p99_ms=_ms(tally.receipts.percentile(0.99)),
            late_p99_ms=_ms(tally.late.percentile(0.99)),
            alarm_events=tally.pressed,
            alarms_settled=tally.alarms_settled,
            alarms_again=tally.alarms_again,
            alarm_p50_ms=_ms(tally.alarm_receipts.percentile(0.5)),
            alarm_p99_ms=_ms(tally.alarm_receipts.percentile(0.99)),
            connects=tally.connects,
            cuts=tally.cuts,
            turned_away=tally.turned_away,
            cpu_s=round(cpu_s, 2),
            # ru_maxrss is in KiB (getrusage(2)).
            rss_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            why=tally.why,
            began_at_us=self._began_at_us,
            made_by=tuple(member.gateway.made for member in self._members),
        )


def _resolve(plan: Plan) -> tuple[int, tuple[str, int]]:
    """Look the broker up, once for all gateways."""
    try:
        found = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FleetError(f"the broker {plan.host}:{plan.port} cannot be found: {error.strerror}") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _wall_us() -> int:
    return time.time_ns() // 1000


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
