"""`langyan cloud telling`: try a channel, read who was told what, let a web hook go on."""

import json
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cloud.clock import now_us
from cloud.database import open_database
from cloud.errors import CloudError, UnknownChannelError
from cloud.settings import Settings, load_settings, secret
from cloud.telling.channels import ChannelSender
from cloud.telling.history import enable as enable_hook
from cloud.telling.log import MAX_PAGE, LogEntry, LogFilter, list_deliveries
from cloud.telling.queue import Facts, Kind, State
from cloud.telling.settings import Channel
from cloud.telling.templates import Style, Told, render
from contract.alarms import Severity
from langyan.commands.alarm_words import moment
from langyan.commands.common import fail
from langyan.i18n import language
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True, help=_("Channels and web hooks: try them, and read who was told what."))

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
STATES = {
    State.PENDING: _("waiting"),
    State.SENDING: _("being sent"),
    State.SENT: _("sent"),
    State.FAILED: _("failed"),
}


@app.command("test", help=_("Send a test message, now, past the queue."))
def try_channel(
    channel: str = typer.Argument(..., help=_("Name of a channel of the settings."), metavar="CHANNEL"),
    address: str = typer.Argument(..., help=_("Where to: what the channel calls an address."), metavar="ADDRESS"),
    settings_file: Path = SETTINGS,
    *,
    in_language: str = typer.Option("", "--language", help=_("zh or en; else this terminal's.")),
) -> None:
    """Try a channel."""
    settings = _load(settings_file)
    chosen = next((one for one in settings.telling.channel if one.name == channel), None)
    try:
        if chosen is None:
            raise UnknownChannelError(channel)
        anyio.run(partial(_send_test, settings, chosen, address, in_language or language()))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    typer.echo(_("Sent. Ask whoever should have it whether it came."))


@app.command(help=_("List who was told what, the latest first."))
def log(
    settings_file: Path = SETTINGS,
    *,
    state: State | None = typer.Option(None, "--state", help=_("Only those that have come so far.")),
    channel: str | None = typer.Option(None, "--channel", help=_("Only of this channel; webhook:NAME for a web hook.")),
    contact: str | None = typer.Option(None, "--contact", help=_("Only to this contact, by its id.")),
    alarm: str | None = typer.Option(None, "--alarm", help=_("Only of this alarm, by its whole id.")),
    severity: Severity | None = typer.Option(None, "--severity", help=_("Only of this severity.")),
    limit: int = typer.Option(50, "--limit", min=1, max=MAX_PAGE, help=_("At most so many.")),
    as_json: bool = typer.Option(False, "--json", help=_("One JSON object a line.")),
) -> None:
    """Read the delivery log."""
    wanted = LogFilter(state=state, channel=channel, contact=contact, alarm_id=alarm, severity=severity)
    try:
        with open_database(_load(settings_file).database) as database:
            found = database.read(partial(list_deliveries, wanted=wanted, limit=limit))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    if as_json:
        for one in found:
            typer.echo(json.dumps(msgspec.to_builtins(one), ensure_ascii=False))
    else:
        Console().print(_table(found) if found else _("Nothing."))


@app.command(help=_("Let a web hook go on that had answered 410 Gone; it goes on where it stopped."))
def enable(
    name: str = typer.Argument(..., help=_("Name of a web hook of the settings."), metavar="NAME"),
    settings_file: Path = SETTINGS,
) -> None:
    """Enable a web hook."""
    try:
        with open_database(_load(settings_file).database) as database:
            database.run(partial(enable_hook, hook=name))
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
    typer.echo(_("Enabled: {name}").format(name=name))


async def _send_test(settings: Settings, channel: Channel, address: str, in_language: str) -> None:
    sender = ChannelSender(channel, secret(channel.url_env), limit_s=settings.telling.timeout_s)
    zone = ZoneInfo(settings.desk.timezone)
    style = Style(in_language, channel.markup, channel.short, channel.max_chars, zone)
    told = Told(Kind.TEST, Severity.LOW, Facts(raised_at_us=now_us(), text={"en": "Langyan", "zh": "狼烟"}))
    await sender.send(address, render(told, style))


def _load(path: Path) -> Settings:
    try:
        return load_settings(path)
    except CloudError as error:
        raise fail([str(error)], status=2) from error


def _table(found: list[LogEntry]) -> Table:
    columns = [_("Queued"), _("State"), _("Severity"), _("Why"), _("Channel"), _("Address"), _("Alarm"), _("Remark")]
    table = Table(*columns, box=None)
    for one in found:
        state = STATES[State(one.state)] if one.state in set(State) else one.state
        cells = [moment(one.created_us), state, one.severity, one.kind, one.channel, one.address]
        # Text from outside is no markup of the terminal.
        remark = one.error or one.held_why or ""
        table.add_row(*[cell.replace("[", r"\[") for cell in (*cells, one.alarm_id or "", remark)])
    return table
