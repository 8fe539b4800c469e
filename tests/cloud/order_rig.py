"""Gateways as rows, a wire without a broker, and a clock: what tests of orders and of the stolen list stand on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert

from cloud.database import Database
from cloud.database.tables import gateway
from cloud.orders import pushing, sending
from cloud.orders.pushing import Parts
from cloud.orders.settings import Orders
from contract.commands import Command, Outcome, Result, decode_command, encode_command
from contract.limits import MAX_COMMAND_AHEAD_US
from contract.tags import StolenPart
from edge.errors import StolenListError
from edge.presence.stolen import StolenList

SECOND_US = 1_000_000
T0_US = 1_700_000_000 * SECOND_US


def put_gateway(connection: Connection, name: str, *, online: bool = True, since_us: int = 1) -> None:
    connection.execute(delete(gateway).where(gateway.c.id == name))
    texts = {"boot": "b", "version": "", "site": "", "name": "", "reason": ""}
    row = texts | {"id": name, "online": online, "since_us": since_us, "inventory": []}
    connection.execute(insert(gateway).values(row))


@dataclass
class Site:
    """A gateway that hears tags: carries a command out once, and knows what it has answered."""

    name: str
    stolen: StolenList = field(default_factory=StolenList)
    known: dict[str, Result] = field(default_factory=dict)
    parts: int = 0

    def take(self, command: Command, now_us: int) -> Result:
        if command.id not in self.known:
            self.known[command.id] = self._carry_out(command, now_us)
        return self.known[command.id]

    def _carry_out(self, command: Command, now_us: int) -> Result:
        assert now_us < command.expires_at_us <= now_us + MAX_COMMAND_AHEAD_US
        if not isinstance(command.order, StolenPart):
            return Result(command.id, self.name, Outcome.DONE, now_us)
        self.parts += 1
        try:
            self.stolen.take(command.order)
        except StolenListError as error:
            return Result(command.id, self.name, Outcome.REFUSED, now_us, str(error))
        return Result(command.id, self.name, Outcome.DONE, now_us, "", float(self.stolen.version))


class Wire:
    """What workers do, without broker and loop."""

    def __init__(self, database: Database, settings: Orders | None = None) -> None:
        self.database = database
        self.settings = settings or Orders()
        self.now_us = T0_US
        self.parts = [Parts(), Parts()]

    def gateway(self, name: str, *, online: bool = True, since_us: int = 1) -> None:
        self.database.run(partial(put_gateway, name=name, online=online, since_us=since_us))

    def send(self) -> list[Command]:
        """Send orders as a worker does; all that is given goes over the wire as bytes."""
        work = partial(sending.take_due, settings=self.settings, now_us=self.now_us)
        if not self.database.read(partial(sending.has_due, settings=self.settings, now_us=self.now_us)):
            return []
        return [self._wired(one.command) for one in self.database.run(work)]

    def push(self, worker: int = 0) -> list[Command]:
        """Send parts of the stolen list as a worker does."""
        if not self.database.read(partial(pushing.has_due, now_us=self.now_us)):
            return []
        take = partial(pushing.take_due, settings=self.settings, parts=self.parts[worker], now_us=self.now_us)
        return [self._wired(one.command) for one in self.database.run(take)]

    def hear(self, *results: Result) -> None:
        """Keep answers as a worker does."""

        def work(connection: Connection) -> None:
            sending.take_results(connection, results, self.settings, now_us=self.now_us)
            pushing.take_results(connection, results, self.settings, now_us=self.now_us)

        self.database.run(work)

    def answer(self, command: Command, outcome: Outcome = Outcome.DONE, reason: str = "") -> None:
        self.hear(Result(command.id, command.gateway, outcome, self.now_us, reason))

    def note_targets(self, registry: frozenset[str] | None = None) -> None:
        def work(connection: Connection) -> None:
            targets = pushing.find_targets(connection, self.settings, registry)
            pushing.note_targets(connection, targets, now_us=self.now_us)

        self.database.run(work)

    def run(self, work: Callable[[Connection], object]) -> None:
        self.database.run(work)

    def wait(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND_US)

    def with_settings(self, **changes: object) -> None:
        self.settings = replace(self.settings, **changes)

    def _wired(self, command: Command) -> Command:
        return decode_command(encode_command(command, at_us=self.now_us), gateway=command.gateway)
