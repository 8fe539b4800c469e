"""`langyan alarms`: what a duty officer does at the desk, from a terminal, over the desk's API."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console

from cloud.desk.core import ClosingCode
from contract.alarms import Mode, Severity
from langyan.commands import alarms_access, alarms_live
from langyan.commands.alarm_words import (
    ACTIONS,
    alarm_table,
    change_line,
    complaint,
    escalation_line,
    moment,
    place_of,
    span,
    state_of,
    text_of,
)
from langyan.commands.common import fail
from langyan.commands.report import report
from langyan.desk_client import DeskClient, DeskError, read_access
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True)
app.command(help=_("An area's months in numbers, against the limits; on paper and for spreadsheets too."))(report)

ALARM = typer.Argument(..., help=_("The alarm's id, or as much of its beginning as is unique."), metavar="ALARM")
ALARMS = typer.Argument(..., help=_("The alarms' ids, or their beginnings."), metavar="ALARM...")
COMMENT = typer.Option("", "--comment", "-c", help=_("What was found and done; it stands in the history."))
AS_JSON = typer.Option(False, "--json", help=_("One JSON object a line."))
AREA = typer.Option(None, "--area", help=_("Only this area, by its id, and all below it."))
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Which(StrEnum):
    """Which alarms are listed."""

    OPEN = "open"
    ALL = "all"


@app.command(help=_("Sign in at a desk and keep a token for this machine's user."))
def login(
    url: str = typer.Argument(..., help=_("Where the desk is: https://desk.example.org:8443"), metavar="URL"),
    *,
    user: str = typer.Option("", "--user", "-u", help=_("Your name at the desk; asked when left out.")),
    ca: str = typer.Option("", "--ca", help=_("PEM file of the authority that signed the desk's certificate.")),
    days: int = typer.Option(30, "--days", min=1, max=365, help=_("How long the token is good for.")),
    password_stdin: bool = typer.Option(
        False, "--password-stdin", help=_("Read the password from standard input, as its first line.")
    ),
) -> None:
    """Sign in."""
    with _complaining():
        path = alarms_access.sign_in(url, user=user, ca=ca, days=days, from_stdin=password_stdin, environ=os.environ)
    typer.echo(_("Signed in. The token is kept in {path}").format(path=path))


@app.command(help=_("Take this machine's token back, and forget it."))
def logout() -> None:
    """Sign out."""
    with _complaining():
        alarms_access.sign_out(os.environ)
    typer.echo(_("Signed out."))


@app.command("list", help=_("List alarms: the open ones, or all, the latest first."))
def list_(
    *,
    state: Which = typer.Option(Which.OPEN, "--state", help=_("Which alarms.")),
    mode: Mode | None = typer.Option(None, "--mode", help=_("Only alarms raised in this mode; all when left out.")),
    severity: list[Severity] = typer.Option([], "--severity", help=_("Only of this severity; may be given again.")),
    kind: str | None = typer.Option(None, "--kind", help=_("Only of this kind: panic, fire, ...")),
    area: str | None = AREA,
    site: str | None = typer.Option(None, "--site", help=_("Only of this site, by its id.")),
    gateway: str | None = typer.Option(None, "--gateway", help=_("Only of this gateway.")),
    unacknowledged: bool = typer.Option(False, "--unacknowledged", help=_("Only those that nobody has acknowledged.")),
    limit: int = typer.Option(50, "--limit", min=1, max=1_000, help=_("At most so many.")),
    as_json: bool = AS_JSON,
) -> None:
    """List alarms."""
    wanted: dict[str, Any] = {
        "state": state.value,
        "mode": mode and mode.value,
        "severity": [one.value for one in severity] or None,
        "kind": kind,
        "area": area,
        "site": site,
        "gateway": gateway,
        "acknowledged": False if unacknowledged else None,
        "limit": limit,
    }
    with _desk() as desk:
        page = desk.get("/alarms", **wanted)
    if as_json:
        _print_json(page["alarms"])
        return
    Console().print(alarm_table(page["alarms"]))
    if page["flood_since_us"] is not None:
        since = moment(page["flood_since_us"])
        typer.echo(_("Flood since {moment} UTC: ten new alarms or more within ten minutes.").format(moment=since))
    if page["next"]:
        typer.echo(_("There are more; --limit shows up to 1000."))


@app.command(help=_("Show one alarm and everything that has happened to it."))
def show(alarm: str = ALARM, *, as_json: bool = AS_JSON) -> None:
    """Show one alarm."""
    with _desk() as desk:
        found = desk.get(f"/alarms/{_id(alarm)}/history")
    if as_json:
        _print_json([found])
        return
    one = found["alarm"]
    typer.echo(f"{one['alarm_id']}  {text_of(one)}")
    typer.echo(f"{place_of(one)}  {one['source']}")
    typer.echo(
        _("state: {state}; pressed {moment} UTC").format(state=state_of(one), moment=moment(one["raised_at_us"]))
    )
    if one["is_open"]:
        allowed = ", ".join(ACTIONS.get(action, action) for action in one["allowed"])
        typer.echo(_("allowed now: {allowed}").format(allowed=allowed))
    if found["escalation"] is not None:
        typer.echo(escalation_line(found["escalation"]))
    for change in found["changes"]:
        typer.echo(change_line(change))


@app.command(help=_("Show changes as they happen, until interrupted; goes on by itself after an outage."))
def watch(*, as_json: bool = AS_JSON) -> None:
    """Follow the live stream."""
    with _desk() as desk:
        alarms_live.watch(desk, as_json=as_json, console=Console())


@app.command(help=_("Acknowledge alarms: somebody has seen them and acts."))
def ack(alarms: list[str] = ALARMS, *, comment: str = COMMENT) -> None:
    """Acknowledge."""
    for alarm in alarms:
        seen = _act(alarm, "acknowledge", comment=comment)
        typer.echo(_("{alarm} acknowledged by {by}").format(alarm=seen["alarm_id"], by=seen["acknowledged_by"]))


@app.command(help=_("Note that somebody has been sent."))
def dispatch(alarm: str = ALARM, *, comment: str = COMMENT) -> None:
    """Dispatch."""
    sent = _act(alarm, "dispatch", comment=comment)
    typer.echo(_("{alarm}: somebody was sent, by {by}").format(alarm=sent["alarm_id"], by=sent["dispatched_by"]))


@app.command(help=_("Note that somebody is there."))
def arrive(alarm: str = ALARM, *, comment: str = COMMENT) -> None:
    """Arrive."""
    there = _act(alarm, "arrive", comment=comment)
    typer.echo(_("{alarm}: somebody is there, says {by}").format(alarm=there["alarm_id"], by=there["arrived_by"]))


@app.command(help=_("Close an alarm with what it turned out to be."))
def close(
    alarm: str = ALARM,
    *,
    code: ClosingCode = typer.Option(..., "--code", help=_("What it turned out to be.")),
    comment: str = COMMENT,
) -> None:
    """Close."""
    closed = _act(alarm, "close", comment=comment, code=code.value)
    typer.echo(_("{alarm} closed as {code}").format(alarm=closed["alarm_id"], code=code.value))


@app.command(help=_("Write a comment into an alarm's history."))
def comment(alarm: str = ALARM, text: str = typer.Argument(..., help=_("The comment."), metavar="TEXT")) -> None:
    """Comment."""
    said = _act(alarm, "comment", comment=text)
    typer.echo(_("{alarm}: written down").format(alarm=said["alarm_id"]))


@app.command(help=_("Reset a latched alarm whose condition is over."))
def reset(alarm: str = ALARM, *, comment: str = COMMENT) -> None:
    """Reset."""
    done = _act(alarm, "reset", comment=comment)
    typer.echo(_("{alarm} reset").format(alarm=done["alarm_id"]))


@app.command(help=_("Silence an alarm's source for a time; it is told again when the time is over."))
def shelve(
    alarm: str = ALARM,
    *,
    for_: str = typer.Option(..., "--for", help=_("How long, as 90s, 30m, 2h or 1d.")),
    comment: str = typer.Option(..., "--comment", "-c", help=_("Why; it stands in the history.")),
) -> None:
    """Shelve."""
    shelved = _act(alarm, "shelve", comment=comment, for_s=_seconds(for_))
    until = moment(shelved["shelved_until_us"])
    typer.echo(_("{alarm} shelved until {moment} UTC").format(alarm=shelved["alarm_id"], moment=until))


@app.command(help=_("Let a shelved alarm be heard again."))
def unshelve(alarm: str = ALARM, *, comment: str = COMMENT) -> None:
    """Unshelve."""
    heard = _act(alarm, "unshelve", comment=comment)
    typer.echo(_("{alarm} is no longer shelved").format(alarm=heard["alarm_id"]))


@app.command(help=_("List what is shelved, out of service or suppressed, and for how long."))
def shelved(*, as_json: bool = AS_JSON) -> None:
    """List controls."""
    with _desk() as desk:
        found = desk.get("/controls")["controls"]
    if as_json:
        _print_json(found)
        return
    for one in found:
        left = "-" if one["remaining_s"] is None else span(one["remaining_s"])
        typer.echo(f"{one['kind']:<14} {left:>10}  {one['target']}  {one['by']}: {one['why']}")
        if one["silenced"]:
            count = _("  silent under it: {alarms} open alarms, {critical} of them critical")
            words = count.format(alarms=one["silenced"], critical=one["silenced_critical"])
            Console().print(words, style="bold red" if one["silenced_critical"] else "", highlight=False)


def _act(alarm: str, action: str, **body: Any) -> Any:
    with _desk() as desk:
        return desk.post(f"/alarms/{_id(alarm)}/{action}", body)


def _id(alarm: str) -> str:
    """Check an id before it becomes part of a path."""
    wanted = alarm.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{4,24}", wanted):
        raise fail([_("{text} is no alarm's id: 4 to 24 of 0-9 a-f").format(text=repr(alarm))], status=2)
    return wanted


def _seconds(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise fail([_("{text} is no span of time: 90s, 30m, 2h or 1d").format(text=repr(text))], status=2)
    return int(found[1]) * _SECONDS[found[2]]


def _print_json(rows: list[Any]) -> None:
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


@contextmanager
def _desk() -> Iterator[DeskClient]:
    with _complaining(), DeskClient(read_access(os.environ)) as desk:
        yield desk


@contextmanager
def _complaining() -> Iterator[None]:
    """Say in words what the desk refused; status 1."""
    try:
        yield
    except DeskError as error:
        raise fail(complaint(error), status=1) from error
