"""`langyan demo`: three simulated sites end to end, live."""

import signal
import sys
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from langyan.commands.common import fail
from langyan.demo.run import Options, Report, play
from langyan.demo.story import SHORTEST_S
from langyan.errors import LangyanError
from langyan.i18n import translate as _
from langyan.running import INTERRUPTED

app = typer.Typer()


@app.callback(invoke_without_command=True)
def demo(
    *,
    seconds: float = typer.Option(60.0, "--seconds", min=SHORTEST_S, max=86_400, help=_("How long the story lasts.")),
    live: bool = typer.Option(True, "--live/--no-live", help=_("Live screen, or a line for each scene.")),
    report: Path | None = typer.Option(None, "--report", help=_("Write the result as JSON."), metavar="FILE"),
    influx_port: int | None = typer.Option(
        None, "--influx-port", min=1, max=65_535, help=_("Port of InfluxDB; a free one if left out.")
    ),
    broker_port: int | None = typer.Option(
        None, "--broker-port", min=1, max=65_535, help=_("Port of mosquitto; a free one if left out.")
    ),
    keep: bool = typer.Option(False, "--keep", help=_("Leave the servers up until Ctrl-C.")),
    folder: Path | None = typer.Option(
        None, "--dir", help=_("Folder for data and logs; a temporary one, deleted at the end, if left out.")
    ),
) -> None:
    """Run three simulated sites on real mosquitto and InfluxDB, and count what arrived."""
    console = Console()
    if report is not None and (report.is_dir() or not report.parent.is_dir()):
        raise fail([_("{file} cannot be written; name a file in a folder that exists").format(file=report)], status=2)
    options = Options(
        seconds=seconds,
        live=live and sys.stdout.isatty(),
        keep=keep,
        folder=folder,
        influx_port=influx_port,
        broker_port=broker_port,
    )

    def tell(found: Report) -> None:
        console.print(_result(found))
        if report is not None:
            report.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")

    # Ended in order by these too: by itself SIGTERM would leave the temporary folder behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        found = play(options, console, on_report=tell)
    except (LangyanError, OSError) as error:
        raise fail([str(error)], status=1) from error
    except KeyboardInterrupt as error:
        raise fail([_("Stopped; nothing is left running.")], status=INTERRUPTED) from error
    raise typer.Exit(0 if found.is_good() else 1)


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 0 else _("not stored")


def _milliseconds(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds >= 0 else _("it did not sound")


def _result(found: Report) -> Table:
    table = Table(title=_("What was produced, and what is in the databases"), title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    took, trades = found.press_to_stored_ms, found.trades
    rows = (
        (_("readings produced by the simulated devices"), f"{found.produced}"),
        (_("readings stored in InfluxDB"), f"{found.stored}"),
        (_("lost"), f"{found.lost}"),
        (_("stored twice"), f"{found.duplicates}"),
        (_("alarms raised"), f"{found.alarms_raised}"),
        (_("alarms stored in the alarm database"), f"{found.alarms_stored}"),
        (_("press to stored, half of them within"), f"{took.p50:.0f} ms"),
        (_("press to stored, 99 of 100 within"), f"{took.p99:.0f} ms"),
        (_("press to stored, the slowest"), f"{took.max:.0f} ms"),
        (_("press to the duty officer's live stream, 99 of 100 within"), f"{found.press_to_desk_ms.p99:.0f} ms"),
        (_("messages to people on duty"), f"{found.told}"),
        (_("of them upwards, to the street and the town, because nobody acknowledged"), f"{found.told_upwards}"),
        (_("messages not sent"), f"{found.untold}"),
        (_("fires on the desk, of that many alarms of detectors"), f"{trades.fires} / {trades.fire_alarms}"),
        (_("stations on the trail of the stolen e-bike"), f"{trades.trail_stations}"),
        (_("visits of the night patrol, judged"), f"{trades.patrol_visits}"),
        (_("vehicles with a last position"), f"{trades.vehicles_seen}"),
        (_("press during the broker's absence to stored"), _seconds(found.outage_press_to_stored_ms)),
        (_("press during the broker's absence to siren"), _milliseconds(found.outage_press_to_siren_ms)),
    )
    for name, value in rows:
        table.add_row(name, value)
    table.caption = (
        _("Nothing lost, nothing stored twice.") if found.is_good() else _("SOMETHING IS WRONG: see the rows above.")
    )
    return table
