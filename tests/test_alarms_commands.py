"""`langyan alarms` against a desk's API in a thread: what one types, and what is said."""

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cloud.api.settings import Api
from cloud.clock import now_us
from cloud.database import open_database
from cloud.people.roles import Action, Role
from cloud.settings import DatabaseSettings, Settings
from langyan.commands import alarms_live
from langyan.commands.alarms import app
from langyan.desk_client import Access, DeskClient, DeskError, Event, access_file, read_access
from tests.cloud.api_process import serving
from tests.cloud.api_rig import PASSWORD, Rig

LIMIT_S = 20.0


class Desk:
    """A desk with its API, and a terminal.

    Attributes:
        rig: makes users and alarms.
        url: of the API.
        home: where the terminal's user keeps things.
    """

    def __init__(self, rig: Rig, url: str, home: Path) -> None:
        self.rig, self.url, self.home = rig, url, home
        self.token = ""

    def say(self, *words: str, stdin: str = "") -> Result:
        env = {"XDG_CONFIG_HOME": str(self.home), "COLUMNS": "200", "LANGYAN_LANG": "en"}
        if self.token:
            env |= {"LANGYAN_DESK_URL": self.url, "LANGYAN_DESK_TOKEN": self.token}
        return CliRunner().invoke(app, list(words), input=stdin, env=env)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for variable in ("LANGYAN_DESK_URL", "LANGYAN_DESK_TOKEN", "LANGYAN_DESK_CA"):
        monkeypatch.delenv(variable, raising=False)
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/desk.db"), api=Api(port=0))
    with open_database(settings.database) as database:
        rig = Rig(database, settings)
        rig.now_us = now_us()
        token = rig.add("wang", Role.DISPATCHER)
        with serving(settings) as (process, _portal):
            desk = Desk(rig, f"http://127.0.0.1:{process.port}", tmp_path / "config")
            desk.token = token
            yield desk


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("body", [b"<html>It works!</html>", '{"message": "网关错误"}'.encode("gbk"), b"[" * 100_000])
def test_a_page_of_some_other_server_is_no_answer(status: int, body: bytes) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    with DeskClient(Access("http://desk"), transport=page) as desk, pytest.raises(DeskError) as refused:
        desk.get("/alarms")
    assert refused.value.code == "foreign"


@pytest.mark.parametrize("body", ['{"url": "网"}'.encode("gbk"), b"[" * 100_000, b"{", b'{"url": 7}'])
def test_an_access_that_cannot_be_read_says_how_to_sign_in_again(tmp_path: Path, body: bytes) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = access_file(environ)
    path.parent.mkdir()
    path.write_bytes(body)
    with pytest.raises(DeskError, match="langyan alarms login URL"):
        read_access(environ)


def test_signing_in_keeps_a_token_that_only_its_owner_reads_and_signing_out_revokes_it(desk: Desk) -> None:
    desk.token = ""
    assert "langyan alarms login URL" in desk.say("list").output
    wrong = desk.say("login", desk.url, "--user", "wang", "--password-stdin", stdin="no such password\n")
    assert (wrong.exit_code, wrong.output.strip()) == (1, "Name or password is wrong.")
    said = desk.say("login", desk.url, "--user", "wang", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert said.exit_code == 0, said.output
    kept = desk.home / "langyan" / "desk.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = json.loads(kept.read_text())["token"]
    assert token not in said.output
    assert desk.say("list").exit_code == 0
    assert desk.say("logout").exit_code == 0
    assert not kept.exists()
    desk.token = token
    assert "Say: langyan alarms login URL" in desk.say("list").output


def test_a_password_given_by_somebody_else_is_changed_at_the_first_login(desk: Desk) -> None:
    desk.token = ""
    desk.rig.add("li", Role.OPERATOR, must_change=True)
    words = f"{PASSWORD}\nstaple battery horse\n"
    said = desk.say("login", f"{desk.url}/", "--user", "li", "--password-stdin", stdin=words)
    assert said.exit_code == 0, said.output
    assert desk.say("list", "--json").exit_code == 0


def test_an_alarm_from_the_list_to_its_closing(desk: Desk) -> None:
    (alarm,) = desk.rig.raise_alarms()
    prefix = alarm.alarm_id[:8]
    assert "escalation: 0 of " in desk.say("show", prefix).output
    listed = desk.say("list")
    assert prefix in listed.output
    assert "active" in listed.output
    (row,) = [json.loads(line) for line in desk.say("list", "--json", "--unacknowledged").output.splitlines()]
    assert row["alarm_id"] == alarm.alarm_id
    assert "acknowledged by wang" in desk.say("ack", prefix, "--comment", "calling").output
    assert "sent, by wang" in desk.say("dispatch", prefix).output
    assert "says wang" in desk.say("arrive", prefix).output
    assert "written down" in desk.say("comment", prefix, "nobody here").output
    shown = desk.say("show", prefix).output
    assert "calling" in shown
    assert "nobody here" in shown
    assert "allowed now:" in shown
    assert "closed as accidental" in desk.say("close", prefix, "--code", "accidental", "-c", "leaned on it").output
    assert desk.say("list", "--json").output == ""
    assert json.loads(desk.say("list", "--json", "--state", "all").output)["closing_code"] == "accidental"


def test_what_the_desk_refuses_is_said_in_words_with_what_is_allowed(desk: Desk) -> None:
    (alarm,) = desk.rig.raise_alarms()
    desk.say("ack", alarm.alarm_id)
    twice = desk.say("ack", alarm.alarm_id)
    assert twice.exit_code == 1
    assert "Somebody else was first." in twice.output
    assert "wang was first, at " in twice.output
    assert "It is: acknowledged. Allowed now: dispatch, arrive, close" in twice.output
    assert "There is no such alarm in your area." in desk.say("ack", "ffffffff").output
    assert desk.say("ack", "not-an-id").exit_code == 2
    desk.token = desk.rig.narrow("wang", {Action.SEE_ALARMS})
    assert "does not allow this" in desk.say("reset", alarm.alarm_id).output


def test_a_source_is_shelved_listed_with_the_time_left_and_unshelved(desk: Desk) -> None:
    (alarm,) = desk.rig.raise_alarms()
    assert desk.say("shelve", alarm.alarm_id, "--for", "soon", "-c", "x").exit_code == 2
    shelved = desk.say("shelve", alarm.alarm_id, "--for", "2h", "-c", "being mended")
    assert "shelved until" in shelved.output, shelved.output
    line = desk.say("shelved").output
    assert alarm.source in line
    assert "1:59:" in line
    assert "silent under it: 1 open alarms, 0 of them critical" in desk.say("shelved").output
    assert "no longer shelved" in desk.say("unshelve", alarm.alarm_id).output
    assert desk.say("shelved", "--json").output == ""


def test_a_desk_that_is_away_is_said_in_a_sentence(tmp_path: Path) -> None:
    env = {"LANGYAN_DESK_URL": "http://127.0.0.1:9", "LANGYAN_DESK_TOKEN": "x", "LANGYAN_LANG": "en"}
    said = CliRunner().invoke(app, ["list"], env=env | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert said.exit_code == 1
    assert "http://127.0.0.1:9 cannot be reached" in said.output


class EndError(Exception):
    """Enough was watched."""


def test_watching_tells_what_happens_goes_on_where_it_was_and_marks_as_shown(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    class Cut(DeskClient):
        """Loses the connection after each event; raises when the third change is told."""

        def __init__(self, access: Access) -> None:
            super().__init__(access)
            self.asked: list[int | None] = []

        def follow(self, *, after: int | None = None) -> Iterator[Event]:
            if len(self.asked) == 4:
                raise EndError
            self.asked.append(after)
            if after is None:
                # Behind the stream's back, after its beginning is known.
                events = super().follow()
                yield next(events)
                events.close()  # type: ignore[attr-defined]
                desk.rig.raise_alarms(2)
                return
            for event in super().follow(after=after):
                if event.name == "change":
                    yield event
                    return

    with Cut(Access(desk.url, desk.token)) as client, pytest.raises(EndError):
        alarms_live.watch(client, as_json=True, console=Console())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # Told while the second came, or together with it.
    assert [one["what"] for one in told] == ["raised", "raised", "shown"]
    assert [one["alarm"]["device"] for one in told[:2]] == ["button-0", "button-1"]
    assert client.asked == [None, 0, 1, 2]


class Recording:
    """A desk that answers the first message when it is let, and writes down all."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.busy, self.go_on = threading.Event(), threading.Event()

    def post(self, path: str, body: dict[str, list[str]]) -> None:
        assert path == "/alarms/shown"
        self.told.append(body["alarm_ids"])
        self.busy.set()
        self.go_on.wait(LIMIT_S)


def test_what_gathers_while_a_message_is_on_its_way_goes_together() -> None:
    desk = Recording()
    with alarms_live.telling(cast("DeskClient", desk)) as teller:
        teller.tell("0")
        assert desk.busy.wait(LIMIT_S)
        for number in range(1, 1_201):
            teller.tell(str(number))
        desk.go_on.set()
    assert [len(some) for some in desk.told] == [1, 1_000, 200]
    assert [one for some in desk.told for one in some] == [str(number) for number in range(1_201)]


def test_what_the_desk_refuses_of_it_ends_the_watching() -> None:
    class Refusing(Recording):
        def post(self, _path: str, _body: dict[str, list[str]]) -> None:
            self.busy.set()
            raise DeskError("ended", code="not-signed-in")

    desk = Refusing()
    teller = alarms_live.Teller(cast("DeskClient", desk))
    teller.tell("0")
    teller.end()
    teller.run()
    with pytest.raises(DeskError, match="ended"):
        teller.tell("1")
