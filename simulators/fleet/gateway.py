"""One simulated gateway on the wire: births, batches, presses, receipts, sending again. Pure: no socket, no clock.

It keeps to docs/contract.md as the real one does: a window of batches without a receipt, alarms before readings, the
backlog after an outage, a will, the worker's word that it is ready. It has no disk: what waits is remembered by number
and time, and written again when it is sent.
"""

import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterator

from contract.alarms import Transition
from contract.errors import DecodeError
from contract.limits import MAX_SEQ_DIGITS
from contract.receipts import Verdict, decode_receipt
from contract.telemetry import Lane
from contract.topics import CLOUD_READY, Channel, topic
from simulators.fleet.content import Content
from simulators.fleet.mqtt import (
    REFUSED_FROM,
    Acknowledged,
    Connected,
    Event,
    HungUp,
    Login,
    MqttClient,
    Pong,
    Received,
    Subscribed,
)
from simulators.fleet.plan import Plan, Tally

# As the gateway itself has them: the window's default, and the room of alarms.
WINDOW = 8
ALARM_WINDOW = 8
# What a gateway keeps through an outage; at one batch in 30 s that is more than a day.
MAX_WAITING = 4096
MAX_STANDING = 8
PRESSED_FOR_S = 2.0
ANSWER_LIMIT_S = 20.0
LONGEST_SILENCE_S = 60.0
FIRST_RECONNECT_S, LONGEST_RECONNECT_S, REFUSED_RECONNECT_S = 0.25, 2.0, 60.0
READY_EVERY_S = 2.0
# Only a person can mend these: bad name or password, an access list (MQTT 5.0, table 3-1).
UNWELCOME = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})


class Flight:
    """A batch or an alarm event without a receipt; `again_at` is infinite while the broker has not taken it."""

    __slots__ = ("again_at", "at_us", "connection", "number", "raised_at_us", "reading", "sent_at", "sent_count")

    def __init__(self, number: int, *, reading: int, raised_at_us: int, at_us: int, connection: int) -> None:
        self.number = number
        self.reading = reading  # 0 is an alarm event
        self.raised_at_us = raised_at_us
        self.at_us = at_us
        self.connection = connection
        self.sent_at = self.again_at = math.inf
        self.sent_count = 0  # on this connection


class FleetGateway:
    """One gateway. The caller connects it, feeds it, ticks it at `next_at`, and sends `client.out`.

    Attributes:
        client: its present connection; None while there is none.
        is_up: connected, subscribed, born.
        connect_at: when it wants to be connected, monotonic seconds; infinite while it is.
    """

    __slots__ = (
        "_alarms", "_asked_at", "_clears", "_connections", "_content", "_keepalive_s", "_last_us", "_made", "_name",
        "_number", "_numbers", "_packets", "_pause_s", "_ping_at", "_plan", "_random", "_read_at", "_ready_at",
        "_receive_max", "_tally", "_under_way", "_unsent", "_wall_us", "client", "connect_at", "is_up",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        plan: Plan,
        *,
        content: Content,
        tally: Tally,
        chance: random.Random,
        wall_us: Callable[[], int],
    ) -> None:
        """Prepare gateway `number`, from 1; nothing is said yet."""
        self._number, self._name = number, plan.gateway_id(number)
        self._plan, self._content, self._tally, self._random, self._wall_us = plan, content, tally, chance, wall_us
        self.client: MqttClient | None = None
        self.is_up = False
        self.connect_at = 0.0
        self._pause_s = FIRST_RECONNECT_S
        self._connections = self._made = self._numbers = self._last_us = 0
        self._receive_max, self._keepalive_s = 0, float(plan.keepalive_s)
        self._asked_at = self._ping_at = self._read_at = math.inf
        self._ready_at = -math.inf
        self._alarms: list[Flight] = []
        self._clears: list[tuple[float, int]] = []
        self._unsent: deque[Flight] = deque()
        self._under_way: dict[int, Flight] = {}
        self._packets: dict[int, Flight | None] = {}

    @property
    def made(self) -> int:
        """The number of its last batch."""
        return self._made

    def opened(self, now: float) -> None:
        """The connection is there: introduce oneself."""
        will = self._content.death(self._name, reason="lost")
        plan = self._plan
        self.client = MqttClient()
        self.connect_at = math.inf
        self._asked_at = now
        self.client.connect(Login(f"langyan-{self._name}", plan.keepalive_s, will, plan.username, plan.password))

    def closed(self, now: float, *, is_refused: bool = False) -> None:
        """The connection is lost, or did not come about; what was under way will be sent again."""
        if self.is_up:
            self._tally.up -= 1
            self._tally.cuts += 1
        self.client, self.is_up = None, False
        self._asked_at = self._ping_at = math.inf
        self._packets.clear()
        flights, self._under_way = self._under_way, {}
        for flight in flights.values():
            flight.sent_count = 0
        self._alarms[:0] = [flight for flight in flights.values() if not flight.reading]
        self._unsent.extendleft(flight for flight in reversed(flights.values()) if flight.reading)
        pause_s = REFUSED_RECONNECT_S if is_refused else self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_RECONNECT_S)
        self.connect_at = now + pause_s * self._random.uniform(0.5, 1.0)

    def read_from(self, start: float) -> None:
        """Begin to read the devices, spread over the interval like the other gateways."""
        self._read_at = start + self._plan.phase_s(self._number)

    def read_no_more(self) -> None:
        """Make no further batch; what waits is still sent."""
        self._read_at = math.inf

    def press(self, now: float) -> None:
        """Press the button of the first device; it is let go by itself. More than a few at once are passed over."""
        if len(self._clears) < MAX_STANDING and len(self._alarms) < MAX_WAITING:
            at_us = self._new_us()
            self._tally.pressed += 2
            self._alarms.append(self._flight(reading=0, raised_at_us=at_us, at_us=at_us))
            self._clears.append((now + PRESSED_FOR_S, at_us))
            self._send(now)

    def say_goodbye(self) -> None:
        """Leave in order; nothing is said after that."""
        if self.client is not None and self.is_up:
            self.client.publish(self._content.death(self._name, reason="stopped"))
            self.client.disconnect()
            self.is_up = False
            self._tally.up -= 1

    def next_at(self) -> float:
        """Tell when `tick` is wanted; `connect_at` is besides."""
        at = min(self._read_at, self._ping_at, self._asked_at + ANSWER_LIMIT_S)
        if self._clears:
            at = min(at, self._clears[0][0])
        if self._under_way:
            at = min(at, *(flight.again_at for flight in self._under_way.values()))
        return at

    def tick(self, now: float) -> bool:
        """Do what is due; False when the broker has been silent for too long and is to be left."""
        while self._read_at <= now:
            self._read(now)
        while self._clears and self._clears[0][0] <= now:
            _, raised_at_us = self._clears.pop(0)
            self._alarms.append(self._flight(reading=0, raised_at_us=raised_at_us, at_us=self._new_us()))
        if self.client is None:
            return True
        if self._asked_at + ANSWER_LIMIT_S <= now:
            return False
        self._send(now)
        if self._ping_at <= now:
            self.client.ping()
            self._asked_at = min(self._asked_at, now)
            self._ping_at = now + self._keepalive_s / 2
        return True

    def hear(self, data: bytes, now: float) -> bool:
        """Take what came; False when the broker ends the connection or turns us away.

        Raises:
            MqttProtocolError: it is not MQTT 5.
        """
        if self.client is None:
            return False
        # Whatever comes shows that the broker is there.
        self._asked_at = math.inf
        for event in self.client.feed(data):
            if not self._take(event, now):
                return False
        if self.is_up:
            self._send(now)
        return True

    def _take(self, event: Event, now: float) -> bool:
        if isinstance(event, Received):
            self._take_message(event, now)
        elif isinstance(event, Acknowledged):
            self._take_acknowledgement(event, now)
        elif isinstance(event, Connected):
            return self._take_connected(event, now)
        elif isinstance(event, Subscribed):
            return self._take_subscribed(event, now)
        elif isinstance(event, HungUp):
            self._tally.why = f"the broker hung up with code {event.code:#04x}"
            return False
        return isinstance(event, Pong) or self.client is not None

    def _take_connected(self, event: Connected, now: float) -> bool:
        if event.code or self.client is None:
            self._tally.turned_away += 1
            self._tally.is_unwelcome = self._tally.is_unwelcome or event.code in UNWELCOME
            self._tally.why = f"the broker turned {self._name} away with code {event.code:#04x}"
            return False
        self._connections += 1
        self._receive_max = event.receive_max
        if event.keepalive_s is not None:
            self._keepalive_s = float(event.keepalive_s)
        self._ping_at, self._asked_at = now + self._keepalive_s / 2, now
        channels = (Channel.RECEIPT, Channel.COMMAND) if self._plan.waits_for_receipts else (Channel.COMMAND,)
        self.client.subscribe([*(topic(self._name, channel) for channel in channels), CLOUD_READY])
        return True

    def _take_subscribed(self, event: Subscribed, now: float) -> bool:
        if event.code >= REFUSED_FROM or self.client is None:
            self._tally.why = f"the broker refuses the subscriptions of {self._name} with code {event.code:#04x}"
            self._tally.is_unwelcome = True
            return False
        correlation = f"birth:{self._connections}".encode() if self._plan.waits_for_receipts else None
        birth = self._content.birth(self._name, at_us=self._wall_us(), correlation=correlation)
        self._packets[self.client.publish(birth)] = None
        self._asked_at = now
        return True

    def _take_acknowledgement(self, event: Acknowledged, now: float) -> None:
        if event.packet not in self._packets:
            return
        flight = self._packets.pop(event.packet)
        if event.code >= REFUSED_FROM:
            self._tally.broker_refused += 1
            self._tally.why = f"the broker does not take a message of {self._name}: code {event.code:#04x}"
        if flight is None:
            self.is_up = True
            self._tally.up += 1
            self._tally.connects += 1
            if not self._plan.waits_for_receipts:
                self._pause_s = FIRST_RECONNECT_S
        elif flight.number in self._under_way:
            if self._plan.waits_for_receipts or event.code >= REFUSED_FROM:
                first_s = self._plan.resend_s if flight.reading else self._plan.alarm_resend_s
                patience_s = min(first_s * 2.0 ** min(flight.sent_count - 1, 20), LONGEST_SILENCE_S)
                flight.again_at = now + patience_s * self._random.uniform(0.9, 1.2)
            else:
                self._settle(flight, now)

    def _take_message(self, message: Received, now: float) -> None:
        if message.topic == CLOUD_READY:
            self._take_ready(message.payload, now)
            return
        boot, _, digits = message.correlation.decode("ascii", "replace").partition(":")
        if boot != self._content.boot or not digits.isdecimal() or len(digits) > MAX_SEQ_DIGITS:
            return
        flight = self._under_way.get(int(digits))
        if flight is None:
            return
        try:
            receipt = decode_receipt(message.payload)
        except DecodeError as error:
            self._tally.why = f"a receipt cannot be read: {error}"
            return
        self._pause_s = FIRST_RECONNECT_S
        if receipt.verdict is Verdict.REFUSED:
            self._tally.why = f"the cloud refused a message of {self._name}: {receipt.reason}"
        self._settle(flight, now, is_refused=receipt.verdict is Verdict.REFUSED)

    def _take_ready(self, payload: bytes, now: float) -> None:
        """A worker has just subscribed: what it is for, and the broker has, goes again."""
        if now - self._ready_at < READY_EVERY_S:
            return
        self._ready_at = now
        worker = _worker(payload)
        for flight in self._under_way.values():
            if flight.again_at != math.inf and worker != ("desk" if flight.reading else "ingest"):
                flight.again_at, flight.sent_count = now, 1

    def _settle(self, flight: Flight, now: float, *, is_refused: bool = False) -> None:
        del self._under_way[flight.number]
        tally = self._tally
        if flight.reading:
            tally.refused += is_refused
            tally.settled += not is_refused
            tally.receipts.add(now - flight.sent_at)
        else:
            tally.alarms_refused += is_refused
            tally.alarms_settled += not is_refused
            tally.alarm_receipts.add(now - flight.sent_at)

    def _read(self, now: float) -> None:
        """Read all devices once: a batch."""
        self._tally.late.add(now - self._read_at)
        self._read_at += self._plan.interval_s
        self._made += 1
        self._tally.made += 1
        at_us = self._new_us()
        self._unsent.append(self._flight(reading=self._made, raised_at_us=0, at_us=at_us))
        if len(self._unsent) > MAX_WAITING:
            self._unsent.popleft()
            self._tally.dropped += 1

    def _new_us(self) -> int:
        """The wall time, never the same twice: a device has one sample of one time, a source one alarm."""
        self._last_us = max(self._wall_us(), self._last_us + 1)
        return self._last_us

    def _flight(self, *, reading: int, raised_at_us: int, at_us: int) -> Flight:
        self._numbers += 1
        # What is made while there is no connection is backlog on the next.
        connection = self._connections if self.is_up else -1
        return Flight(self._numbers, reading=reading, raised_at_us=raised_at_us, at_us=at_us, connection=connection)

    def _send(self, now: float) -> None:
        """Send what may leave: what goes again first, then alarms, then readings."""
        if not self.is_up:
            return
        for flight in self._overdue(now):
            self._publish(flight, now)
        under_way = len(self._under_way)
        readings = sum(flight.reading > 0 for flight in self._under_way.values())
        while self._alarms and under_way - readings < ALARM_WINDOW and self._has_room():
            self._publish(self._alarms.pop(0), now)
            under_way += 1
        while self._unsent and readings < WINDOW and self._has_room():
            self._publish(self._unsent.popleft(), now)
            readings += 1

    def _overdue(self, now: float) -> Iterator[Flight]:
        late = [flight for flight in self._under_way.values() if flight.again_at <= now]
        for flight in sorted(late, key=lambda flight: (flight.reading > 0, flight.number)):
            if self._has_room():
                yield flight

    def _has_room(self) -> bool:
        return len(self._packets) < self._receive_max

    def _publish(self, flight: Flight, now: float) -> None:
        assert self.client is not None, "only a gateway that is up sends"  # noqa: S101
        content, name, is_first = self._content, self._name, flight.sent_at == math.inf
        correlation = f"{content.boot}:{flight.number}".encode() if self._plan.waits_for_receipts else None
        if flight.reading:
            lane = Lane.LIVE if flight.connection == self._connections else Lane.BACKFILL
            message = content.batch(
                self._number, name, number=flight.reading, at_us=flight.at_us, lane=lane, correlation=correlation
            )
            self._tally.sent += is_first
            self._tally.again += not is_first
        else:
            is_raise = flight.at_us == flight.raised_at_us
            message = content.alarm(
                name,
                Transition.RAISED if is_raise else Transition.CLEARED,
                raised_at_us=flight.raised_at_us,
                at_us=flight.at_us,
                correlation=correlation,
            )
            self._tally.alarms_sent += is_first
            self._tally.alarms_again += not is_first
        if is_first:
            flight.sent_at = now
        flight.sent_count += 1
        flight.again_at = math.inf
        self._under_way[flight.number] = flight
        self._packets[self.client.publish(message)] = flight
        self._ping_at = now + self._keepalive_s / 2
        self._asked_at = min(self._asked_at, now)


def _worker(payload: bytes) -> str:
    """Read which worker says that it is ready; "" when it does not say."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    name = said.get("worker", "") if isinstance(said, dict) else ""
    return name if isinstance(name, str) else ""
