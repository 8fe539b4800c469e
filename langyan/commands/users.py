"""`langyan cloud users`: who may sign in at the desk, for who administers its machine; straight into its database."""

import getpass
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import typer
from msgspec import UNSET
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from cloud.clock import now_us
from cloud.database import open_database
from cloud.desk.changes import Actor
from cloud.errors import CloudError
from cloud.people import store, tokens
from cloud.people.hidden import Hidden
from cloud.people.passwords import hash_password, random_password
from cloud.people.roles import Action, Role
from cloud.settings import load_settings
from contract.cloudevents import to_rfc3339
from langyan.commands.common import fail
from langyan.i18n import translate as _

app = typer.Typer(no_args_is_help=True, help=_("Users of the desk, their passwords and tokens."))

SETTINGS = typer.Option(
    ..., "--settings", "-s", envvar="LANGYAN_SETTINGS", help=_("The settings file of the alarm desk."),
    metavar="SETTINGS.toml",
)  # fmt: skip
NAME = typer.Argument(..., help=_("What the user signs in with."), metavar="NAME")
ROLE = typer.Option(None, "--role", help=_("What the user may do."))
AREA = typer.Option(None, "--area", help=_("Id of the area at the top of what the user sees."), metavar="AREA")
DISPLAY = typer.Option(None, "--display", help=_("The user's name for people."), metavar="TEXT")
CONTACT = typer.Option(None, "--contact", help=_("Id of the contact that the user is."), metavar="CONTACT")
LANGUAGE = typer.Option(None, "--language", help=_("Of pages and messages: en or zh."), metavar="LANGUAGE")
ASK = typer.Option(False, "--ask", help=_("Ask for the password; else a random one is printed, this once."))

ROLES = {
    Role.VIEWER: _("viewer"),
    Role.OPERATOR: _("operator"),
    Role.DISPATCHER: _("dispatcher"),
    Role.MANAGER: _("manager"),
    Role.ADMIN: _("admin"),
}
_DAY_US = 86_400 * 1_000_000
Result = TypeVar("Result")


@app.command("list", help=_("List all users."))
def list_(
    settings_file: Path = SETTINGS, *, as_json: bool = typer.Option(False, "--json", help=_("One JSON object a line."))
) -> None:
    """List users."""
    found = _do(settings_file, _all_users, reads=True)
    if as_json:
        for one in found:
            typer.echo(json.dumps(msgspec.to_builtins(one), ensure_ascii=False))
        return
    table = Table(_("name"), _("display"), _("role"), _("area"), _("state"))
    for one in found:
        table.add_row(one.name, one.display, ROLES[one.role], one.area or _("everything"), _state(one))
    Console().print(table)


@app.command(help=_("Make a user, who must choose a password of his own at the first login."))
def add(
    name: str = NAME,
    settings_file: Path = SETTINGS,
    *,
    role: Role = typer.Option(..., "--role", help=_("What the user may do.")),
    area: str | None = AREA,
    display: str | None = DISPLAY,
    contact: str | None = CONTACT,
    language: str | None = LANGUAGE,
    ask: bool = ASK,
    machine: bool = typer.Option(False, "--machine", help=_("For a program: no login, tokens only.")),
) -> None:
    """Make a user; without an area he sees everything."""
    new = store.NewUser(name, role, display or "", area, contact, language or "zh")
    password = random_password() if machine else _new_password(ask=ask)
    hashed = _hashed(password, name)
    work = partial(store.add_user, new=new, password=hashed, must_change=not machine, actor=_actor(), editor=None)
    made = _do(settings_file, partial(work, now_us=now_us()))
    typer.echo(_("{name}: {role} of {area}").format(name=made.name, role=ROLES[role], area=area or _("everything")))
    if not machine and not ask:
        _tell_once(_("Password (shown this once):"), password)


@app.command(help=_("Change a user's role, area or words; what is left out stays."))
def edit(
    name: str = NAME,
    settings_file: Path = SETTINGS,
    *,
    role: Role | None = ROLE,
    area: str | None = AREA,
    everything: bool = typer.Option(False, "--everything", help=_("The user sees everything.")),
    display: str | None = DISPLAY,
    contact: str | None = CONTACT,
    no_contact: bool = typer.Option(False, "--no-contact", help=_("The user is no contact.")),
    language: str | None = LANGUAGE,
    enable: bool = typer.Option(False, "--enable", help=_("Undo disable.")),
) -> None:
    """Change a user."""
    if (area and everything) or (contact and no_contact):
        raise fail([_("--area and --everything, --contact and --no-contact exclude each other")], status=2)
    changes = store.UserChanges(
        role=UNSET if role is None else role,
        area=None if everything else (area or UNSET),
        display=UNSET if display is None else display,
        contact=None if no_contact else (contact or UNSET),
        language=UNSET if language is None else language,
        disabled=False if enable else UNSET,
    )
    _change(settings_file, name, changes)


@app.command(help=_("Take a user's access away at once: sessions and tokens end; his name stays in the history."))
def disable(name: str = NAME, settings_file: Path = SETTINGS) -> None:
    """Disable a user."""
    _change(settings_file, name, store.UserChanges(disabled=True))


@app.command(help=_("Give a user a new password; sessions, tokens and waits after failed logins end."))
def password(name: str = NAME, settings_file: Path = SETTINGS, *, ask: bool = ASK) -> None:
    """Give a password, which must be changed at the next login."""
    given = _new_password(ask=ask)
    work = partial(store.give_password, name=name, password=_hashed(given, name), must_change=True, actor=_actor())
    _do(settings_file, partial(work, editor=None, now_us=now_us()))
    if not ask:
        _tell_once(_("Password (shown this once):"), given)


@app.command(help=_("Make an API token for a user, printed this once."))
def token(
    name: str = NAME,
    settings_file: Path = SETTINGS,
    *,
    scope: list[Action] = typer.Option(..., "--scope", help=_("What it is for; may be repeated.")),
    days: int = typer.Option(90, "--days", min=1, max=366, help=_("How long it lasts.")),
    purpose: str = typer.Option(..., "--for", help=_("Who or what uses it."), metavar="TEXT"),
) -> None:
    """Make a token."""
    at_us = now_us()

    def work(connection: Connection) -> tokens.NewToken:
        # Whoever administers the machine need not wait for the user's own password.
        owner = msgspec.structs.replace(store.find_person(connection, name), must_change=False)
        end_us = at_us + days * _DAY_US
        made = partial(tokens.make_token, connection, owner, name=purpose, scopes=scope, expires_at_us=end_us)
        return made(actor=_actor(), now_us=at_us)

    made = _do(settings_file, work)
    until = to_rfc3339(made.token.expires_us)
    _tell_once(_("Token {id}, until {until} (shown this once):").format(id=made.token.id, until=until), made.text)


@app.command("tokens", help=_("List a user's tokens, never the tokens themselves."))
def tokens_(name: str = NAME, settings_file: Path = SETTINGS) -> None:
    """List tokens."""
    found = _do(settings_file, lambda c: tokens.list_tokens(c, store.find_user(c, name).name), reads=True)
    table = Table(_("id"), _("for"), _("scopes"), _("until"), _("last used"))
    for one in found:
        used = _("never") if one.used_us is None else to_rfc3339(one.used_us)
        table.add_row(one.id, one.name, " ".join(one.scopes), to_rfc3339(one.expires_us), used)
    Console().print(table)


@app.command(help=_("End one token of a user."))
def revoke(
    name: str = NAME,
    token_id: str = typer.Argument(..., help=_("Id of the token."), metavar="TOKEN"),
    settings_file: Path = SETTINGS,
) -> None:
    """Revoke a token."""
    work = partial(tokens.revoke_token, name=name.strip().lower(), token_id=token_id, actor=_actor(), now_us=now_us())
    _do(settings_file, work)
    typer.echo(_("revoked"))


def _change(settings_file: Path, name: str, changes: store.UserChanges) -> None:
    work = partial(store.edit_user, name=name, changes=changes, actor=_actor(), editor=None, now_us=now_us())
    one = _do(settings_file, work)
    area = one.area or _("everything")
    line = _("{name}: {role} of {area}, {state}")
    typer.echo(line.format(name=one.name, role=ROLES[one.role], area=area, state=_state(one)))


def _all_users(connection: Connection) -> list[store.User]:
    """Read every page."""
    found: list[store.User] = []
    while page := store.list_users(connection, after=found[-1].name if found else "", limit=store.MAX_PAGE):
        found += page
    return found


def _state(one: store.User) -> str:
    if one.disabled:
        return _("disabled")
    return _("must change the password") if one.must_change else _("enabled")


def _new_password(*, ask: bool) -> Hidden[str]:
    if not ask:
        return random_password()
    return Hidden(typer.prompt(_("New password"), hide_input=True, confirmation_prompt=True))


def _hashed(password: Hidden[str], name: str) -> Hidden[str]:
    try:
        return hash_password(password.value, name=name)
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error


def _tell_once(line: str, secret: Hidden[str]) -> None:
    """Print what is kept nowhere: the words to standard error, so that a script reads the secret alone."""
    typer.echo(line, err=True)
    typer.echo(secret.value)


def _actor() -> Actor:
    return Actor(f"{store.CONSOLE} {getpass.getuser()}", store.CONSOLE)


def _do(settings_file: Path, work: Callable[[Connection], Result], *, reads: bool = False) -> Result:
    """Do `work` in one transaction of the settings' database; one that only `reads` holds up no alarm.

    Raises:
        Exit: with status 1 after what was wrong, which has been told, and what to do.
    """
    try:
        with open_database(load_settings(settings_file, database_only=True).database) as database:
            return database.read(work) if reads else database.run(work)
    except CloudError as error:
        raise fail([str(error), _(error.hint)], status=1) from error
