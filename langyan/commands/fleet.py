"""`langyan sim fleet`: thousands of gateways straight to a broker, and what came of it."""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from langyan.commands.common import fail
from langyan.i18n import translate as _
from simulators.errors import SimulatorError
from simulators.fleet.plan import MAX_MISSED, Outcome, Plan, Progress
from simulators.fleet.run import Wish, run_fleet

PRINT_EVERY_S = 10.0
PHASES = {"connecting": _("connecting"), "reading": _("reading"), "settling": _("waiting for receipts")}


def fleet(
    *,
    gateways: int = typer.Option(..., "--gateways", "-g", help=_("How many gateways.")),
    devices: int = typer.Option(20, "--devices", "-d", help=_("Devices of each gateway.")),
    interval: float = typer.Option(30.0, "--interval", "-i", help=_("Each device is read once in so many seconds.")),
    seconds: float = typer.Option(0.0, "--seconds", "-s", help=_("For how long; 0 until Ctrl-C.")),
    broker: str = typer.Option("127.0.0.1:1883", "--broker", "-b", help=_("The MQTT broker.")),
    username: str | None = typer.Option(None, "--username", help=_("As whom to connect.")),
    password_env: str | None = typer.Option(None, "--password-env", help=_("Environment variable with the password.")),
    prefix: str = typer.Option("fleet", "--prefix", help=_("The gateways are called PREFIX-00001 and so on.")),
    seed: int = typer.Option(1, "--seed", help=_("Of values, jitter and presses.")),
    presses: float = typer.Option(0.0, "--presses", help=_("Presses of a button a minute, in the whole fleet.")),
    no_receipts: bool = typer.Option(
        False, "--no-receipts", help=_("Wait for no receipts, as no cloud is there: the broker's word is enough.")
    ),
    ramp: float = typer.Option(500.0, "--ramp", help=_("Connections begun in a second.")),
    settle: float = typer.Option(30.0, "--settle", help=_("How many seconds to wait for the last receipts.")),
    json_file: Path | None = typer.Option(None, "--json", dir_okay=False, help=_("Write what came of it to a file.")),
) -> None:
    """Run a fleet."""
    host, port = _address(broker)
    plan = _plan(
        gateways=gateways, devices=devices, interval_s=interval, seconds=seconds or math.inf, host=host, port=port,
        username=username, password=os.environ.get(password_env or "", None), prefix=prefix, seed=seed,
        presses_per_min=presses, waits_for_receipts=not no_receipts, ramp_per_s=ramp, settle_s=settle,
    )  # fmt: skip
    try:
        with _wishes() as wish, _progress() as tell:
            outcome = run_fleet(plan, wish=wish, on_progress=tell)
    except SimulatorError as error:
        raise fail([str(error)], status=1) from error
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
    Console().print(draw(outcome))
    for line in faults(outcome):
        typer.echo(line, err=True)
    if not outcome.is_good:
        raise typer.Exit(1)


def draw(outcome: Outcome) -> Table:
    """Draw what came of a fleet."""
    table = Table(show_header=False)
    for name, value in _rows(outcome):
        table.add_row(name, value)
    return table


def faults(outcome: Outcome) -> Iterator[str]:
    """Say in sentences what was not as asked."""
    if outcome.missed > MAX_MISSED:
        yield _("the asked rate was missed by {share} %; batches were made up to {late} ms late (p99)").format(
            share=f"{outcome.missed * 100:.1f}", late=f"{outcome.late_p99_ms:.0f}"
        )
    if outcome.lost:
        yield _("{count} readings and alarm events are not known to be stored: {waiting} without a receipt").format(
            count=outcome.lost, waiting=outcome.waiting
        )
    if outcome.why:
        yield outcome.why


def _rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    yield (
        _("gateways"),
        _("{count}, {devices} devices each, every {interval} s; connected within {time} s").format(
            count=outcome.gateways, devices=outcome.devices, interval=f"{outcome.interval_s:g}", time=outcome.connect_s
        ),
    )
    yield _("readings a second, asked"), f"{outcome.asked_per_s:.1f}"
    yield _("readings a second, done"), f"{outcome.done_per_s:.1f} ({-outcome.missed * 100:+.2f} %)"
    yield _("readings sent"), _("{sent} in {time} s").format(sent=outcome.sent, time=f"{outcome.seconds:g}")
    yield _("readings with a receipt"), str(outcome.settled)
    yield (
        _("refused, dropped, without a receipt"),
        f"{outcome.refused}, {outcome.dropped}, {outcome.waiting}",
    )
    yield _("batches made, sent again"), f"{outcome.batches}, {outcome.again}"
    yield _("receipt, p50 and p99"), f"{outcome.receipt_p50_ms:.1f} ms, {outcome.receipt_p99_ms:.1f} ms"
    if outcome.alarm_events:
        yield (
            _("alarm events made, with a receipt, sent again"),
            f"{outcome.alarm_events}, {outcome.alarms_settled}, {outcome.alarms_again}",
        )
        yield _("alarm receipt, p50 and p99"), f"{outcome.alarm_p50_ms:.1f} ms, {outcome.alarm_p99_ms:.1f} ms"
    yield (
        _("connections made, lost, turned away"),
        f"{outcome.connects}, {outcome.cuts}, {outcome.turned_away}",
    )
    yield (
        _("this process"),
        _("{cpu} s of processor time while reading, {memory} MiB").format(cpu=outcome.cpu_s, memory=outcome.rss_mib),
    )


def _plan(**fields: object) -> Plan:
    """Make the plan, checked.

    Raises:
        Exit: something is out of its range; says what.
    """
    try:
        return msgspec.convert({name: value for name, value in fields.items() if value is not None}, Plan)
    except msgspec.ValidationError as error:
        raise fail([_("this fleet cannot be: {why}").format(why=error)], status=2) from error


def _address(broker: str) -> tuple[str, int]:
    host, colon, port = broker.rpartition(":")
    if not colon:
        return broker, 1883
    if not port.isdecimal() or not host:
        raise fail([_("{broker} is no broker: host or host:port").format(broker=repr(broker))], status=2)
    return host.strip("[]"), int(port)


@contextmanager
def _wishes() -> Iterator[Callable[[], Wish]]:
    """Count Ctrl-C: the first ends the readings, the second everything."""
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: Wish(min(len(caught), Wish.ABANDON))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show progress: one line that changes on a terminal, else a line now and then."""
    is_terminal = sys.stderr.isatty()
    printed = ("", -math.inf)

    def tell(progress: Progress) -> None:
        nonlocal printed
        line = _("{phase}, {time} s: {up} gateways up, {sent} batches sent, {settled} settled, {waiting} wait").format(
            phase=PHASES[progress.phase], time=f"{progress.elapsed_s:.0f}", up=progress.up, sent=progress.sent,
            settled=progress.settled, waiting=progress.waiting,
        )  # fmt: skip
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        elif printed[0] != progress.phase or progress.elapsed_s - printed[1] >= PRINT_EVERY_S:
            printed = (progress.phase, progress.elapsed_s)
            sys.stderr.write(f"{line}\n")

    try:
        yield tell
    finally:
        if is_terminal:
            sys.stderr.write("\n")
