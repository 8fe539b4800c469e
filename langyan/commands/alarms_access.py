"""`langyan alarms login` and `logout`: a password becomes a token that only this user can read."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from langyan.desk_client import Access, DeskClient, DeskError, access_file, keep_access, read_access
from langyan.i18n import translate as _

# What a terminal does with alarms; a token that is stolen edits no users.
_SCOPES = (
    "see-alarms",
    "see-numbers",
    "see-areas",
    "show",
    "acknowledge",
    "comment",
    "close",
    "reset",
    "shelve",
    "unshelve",
    "shelve-critical",
    "dispatch",
    "arrive",
    "see-bikes",
    "see-tracks",
    "see-owners",
    "arm-bikes",
    "watch-bikes",
    "edit-bikes",
)


def sign_in(url: str, *, user: str, ca: str, days: int, from_stdin: bool, environ: Mapping[str, str]) -> Path:
    """Sign in, make a token, sign out; the password is kept nowhere.

    Returns:
        The file in which the token is.

    Raises:
        DeskError: refused, or no answer.
    """
    if not url.startswith(("http://", "https://")):
        raise DeskError(_("{url}: it begins with https:// or http://").format(url=url), code="url")
    access = Access(url.rstrip("/"), ca=str(Path(ca).resolve()) if ca else "")
    name = user or typer.prompt(_("Name"))
    password = sys.stdin.readline().rstrip("\n") if from_stdin else typer.prompt(_("Password"), hide_input=True)
    with DeskClient(access) as desk:
        session = desk.post("/login", {"name": name, "password": password})
        csrf = {"X-CSRF-Token": session["csrf"]}
        if session["must_change"]:
            _change_password(desk, password, csrf, from_stdin=from_stdin)
            csrf = {"X-CSRF-Token": desk.get("/me")["csrf"]}
        scopes = [scope for scope in _SCOPES if scope in session["rights"]]
        asked = {"name": f"langyan alarms, {socket.gethostname()}"[:100], "scopes": scopes, "days": days}
        made = desk.post("/me/tokens", asked, headers=csrf)
        desk.post("/logout", headers=csrf)
    return keep_access(Access(access.url, made["token"], access.ca), environ)


def sign_out(environ: Mapping[str, str]) -> None:
    """Revoke the token and forget it, the latter in any case.

    Raises:
        DeskError: the desk could not be asked; the token there ends by its time.
    """
    access = read_access(environ)
    access_file(environ).unlink(missing_ok=True)
    with DeskClient(access) as desk:
        desk.post("/logout")


def _change_password(desk: DeskClient, password: str, csrf: Mapping[str, str], *, from_stdin: bool) -> None:
    """Choose a password of one's own, where somebody else has given the present one."""
    if from_stdin:
        new = sys.stdin.readline().rstrip("\n")
    else:
        typer.echo(_("Somebody else has given you this password. Choose your own."))
        new = typer.prompt(_("New password"), hide_input=True, confirmation_prompt=True)
    desk.post("/me/password", {"password": password, "new_password": new}, headers=csrf)
