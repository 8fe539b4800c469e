"""`langyan cloud users`, as the machine's administrator types it."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud.clock import now_us
from cloud.database import Database
from cloud.errors import LoginRefusedError, NotSignedInError
from cloud.people import passwords
from cloud.people.audit import list_audit
from cloud.people.login import log_in
from cloud.people.roles import Action, Role
from cloud.people.sessions import Lifetimes
from cloud.people.store import User, find_user
from cloud.people.tokens import authenticate_token
from langyan.commands.users import app
from tests.cloud.people_rig import CHEAP, GOOD, plant

Users = Callable[..., Result]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HASHER", CHEAP)
    monkeypatch.setenv("LANGYAN_LANG", "en")


@pytest.fixture
def users(tmp_path: Path, database: Database) -> Users:
    database.run(plant)
    settings = tmp_path / "cloud.toml"
    settings.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/cloud.db"\n', "utf-8")

    def run(*words: str, said: str = "", status: int = 0) -> Result:
        done = CliRunner().invoke(app, [*words, "--settings", str(settings)], input=said)
        assert done.exit_code == status, done.output
        return done

    return run


def found(database: Database, name: str) -> User:
    return database.read(partial(find_user, name=name))


def signs_in(database: Database, name: str, password: str) -> bool:
    try:
        log_in(database, name, password, origin="192.0.2.1", now_us=now_us(), lifetimes=Lifetimes())
    except LoginRefusedError:
        return False
    return True


def test_a_user_gets_a_random_password_that_is_shown_once(users: Users, database: Database) -> None:
    done = users("add", "wang", "--role", "dispatcher", "--area", "xihu", "--display", "王芳")
    assert "shown this once" in done.stderr
    password = done.stdout.splitlines()[-1]
    made = found(database, "wang")
    assert (made.role, made.area, made.display, made.must_change) == (Role.DISPATCHER, "xihu", "王芳", True)
    assert signs_in(database, "wang", password)
    assert password not in users("list").output
    assert database.read(list_audit)[-1].by.startswith("console ")


def test_a_password_may_be_asked_for_and_is_not_shown(users: Users, database: Database) -> None:
    done = users("add", "wang", "--role", "viewer", "--ask", said=f"{GOOD}\n{GOOD}\n")
    assert GOOD not in done.output
    assert signs_in(database, "wang", GOOD)
    done = users("add", "li", "--role", "viewer", "--ask", said="short\nshort\n", status=1)
    assert "fewer than 10" in done.stderr


def test_users_are_listed_for_people_and_programs(users: Users) -> None:
    users("add", "wang", "--role", "viewer", "--area", "hz")
    users("add", "root", "--role", "admin")
    table = users("list").stdout
    assert "everything" in table
    assert "must change" in table
    told = [json.loads(line) for line in users("list", "--json").stdout.splitlines()]
    assert [(one["name"], one["role"], one["area"]) for one in told] == [
        ("root", "admin", None),
        ("wang", "viewer", "hz"),
    ]
    assert "password" not in told[0]


def test_an_edit_changes_what_is_said_and_nothing_else(users: Users, database: Database) -> None:
    users("add", "wang", "--role", "viewer", "--area", "hz", "--contact", "wang-fang", "--display", "王芳")
    assert "operator of everything" in users("edit", "wang", "--role", "operator", "--everything").stdout
    users("edit", "wang", "--no-contact", "--language", "en")
    edited = found(database, "wang")
    assert (edited.role, edited.area, edited.contact, edited.language) == (Role.OPERATOR, None, None, "en")
    assert edited.display == "王芳"
    assert "exclude" in users("edit", "wang", "--area", "hz", "--everything", status=2).stderr
    assert "no area is called 'nowhere'" in users("edit", "wang", "--area", "nowhere", status=1).stderr


def test_who_is_disabled_gets_no_further_until_enabled(users: Users, database: Database) -> None:
    users("add", "wang", "--role", "viewer", "--ask", said=f"{GOOD}\n{GOOD}\n")
    assert "disabled" in users("disable", "wang").stdout
    assert not signs_in(database, "wang", GOOD)
    users("edit", "wang", "--enable")
    assert signs_in(database, "wang", GOOD)


def test_the_last_admin_cannot_be_disabled(users: Users) -> None:
    users("add", "root", "--role", "admin")
    done = users("disable", "root", status=1)
    assert "last admin" in done.stderr
    assert "another admin" in done.stderr


def test_a_new_password_replaces_the_old_one(users: Users, database: Database) -> None:
    old = users("add", "wang", "--role", "viewer").stdout.splitlines()[-1]
    new = users("password", "wang").stdout.strip()
    assert not signs_in(database, "wang", old)
    assert signs_in(database, "wang", new)


def test_a_program_has_a_token_and_no_password(users: Users, database: Database) -> None:
    done = users("add", "grafana", "--role", "viewer", "--machine")
    assert done.stdout.splitlines() == ["grafana: viewer of everything"]
    assert not found(database, "grafana").must_change
    words = ["token", "grafana", "--scope", "see-alarms", "--scope", "see-numbers", "--days", "30", "--for", "tables"]
    text = users(*words).stdout.strip()
    credential = database.read(partial(authenticate_token, text=text, now_us=now_us()))
    assert credential.person.token_scopes == frozenset({Action.SEE_ALARMS, Action.SEE_NUMBERS})
    listed = users("tokens", "grafana").stdout
    assert "tables" in listed
    assert text not in listed
    users("revoke", "grafana", text.split("_")[1])
    with pytest.raises(NotSignedInError):
        database.read(partial(authenticate_token, text=text, now_us=now_us()))
    assert "no token" in users("revoke", "grafana", "0123", status=1).stderr
    assert "not among those of a viewer" in users("token", "grafana", "--scope", "close", "--for", "x", status=1).stderr


def test_settings_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["list", "--settings", str(tmp_path / "none.toml")])
    assert done.exit_code == 1
    assert "none.toml" in done.stderr
