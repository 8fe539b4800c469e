"""The desk's page of one alarm: seen and acknowledged by who signs in there, and by nobody else."""

import re

import httpx
import pytest
from sqlalchemy import Connection

from cloud.api.queries import history_of
from cloud.database import Database
from cloud.desk.changes import Actor, What
from cloud.desk.core import Alarm
from cloud.desk.operations import acknowledge
from cloud.people.roles import Action, Role
from tests.cloud.api_rig import NOW_US, PASSWORD, Rig, insecure

pytestmark = pytest.mark.anyio
FROM_GRAFANA = {"Sec-Fetch-Site": "cross-site"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def rig(desk_database: Database) -> Rig:
    return Rig(desk_database, insecure(public_url="http://desk"))


@pytest.fixture
def lite(database: Database) -> Rig:
    return Rig(database)


def place(alarm: Alarm) -> str:
    return f"/alarms/{alarm.alarm_id}"


def hidden(page: httpx.Response) -> dict[str, str]:
    """Read the form's hidden fields as a browser does."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


async def sign_in(client: httpx.AsyncClient, alarm: Alarm, name: str, password: str = PASSWORD) -> httpx.Response:
    said = {"name": name, "password": password}
    return await client.post(f"{place(alarm)}/sign-in", data=said, follow_redirects=True)


def acknowledged_by(rig: Rig, alarm: Alarm) -> list[tuple[str, str]]:
    def read(connection: Connection) -> list[tuple[str, str]]:
        rows = connection.execute(history_of(alarm.alarm_id)).mappings()
        return [(row["by"], row["origin"]) for row in rows if row["what"] == "acknowledged"]

    return rig.database.read(read)


async def test_who_signs_in_sees_the_alarm_and_acknowledges_it_in_his_name(rig: Rig) -> None:
    (alarm,) = rig.raise_alarms()
    rig.add("wang", Role.OPERATOR, "east")
    async with rig.client(headers={"Accept-Language": "zh-CN"}) as browser:
        asked = await browser.get(place(alarm))
        assert asked.status_code == 401
        assert "紧急按钮" not in asked.text
        assert 'type="password"' in asked.text
        seen = await sign_in(browser, alarm, "wang")
        assert (seen.status_code, seen.url.path) == (200, place(alarm))
        assert "紧急按钮" in seen.text
        assert "以 wang 的名义确认" in seen.text
        assert acknowledged_by(rig, alarm) == []
        done = await browser.post(place(alarm), data=hidden(seen))
        assert "<form" not in done.text
        assert acknowledged_by(rig, alarm) == [("wang", "203.0.113.7")]
        assert "<form" not in (await browser.get(place(alarm))).text


async def test_a_browser_that_comes_from_grafana_brings_its_session_on_the_second_step(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    lite.add("wang", Role.OPERATOR, "east")
    async with lite.client(headers=FROM_GRAFANA) as browser:
        # Its cookie is kept back, as of any page of another site.
        first = await browser.get(place(alarm))
        (target,) = re.findall(r'content="0; url=([^"]+)"', first.text)
        assert (first.status_code, target) == (200, "?again=1")
        assert "password" not in first.text
    async with lite.client() as browser:
        await sign_in(browser, alarm, "wang")
        second = await browser.get(place(alarm) + target)
        assert "Acknowledge as wang" in second.text
    async with lite.client(headers=FROM_GRAFANA) as browser:
        assert 'type="password"' in (await browser.get(place(alarm) + target)).text


async def test_a_form_of_another_page_does_nothing(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    lite.add("wang", Role.OPERATOR, "east")
    async with lite.client() as browser:
        seen = await sign_in(browser, alarm, "wang")
        good = hidden(seen)
        for said, headers in (
            ({}, {}),
            ({**good, "csrf": "guessed"}, {}),
            (good, FROM_GRAFANA),
            (good, {"Sec-Fetch-Site": "same-site"}),
        ):
            answer = await browser.post(place(alarm), data=said, headers=headers)
            assert answer.status_code == 403, (said, headers)
        for body in ("a=b" * 4 + "&a=b" * 20, "%ff=\xff"):
            answer = await browser.post(place(alarm), content=body.encode("latin-1"), headers=FORM)
            assert answer.status_code == 403
        assert (await browser.post(place(alarm), json=good)).status_code == 403
        assert (await browser.post(f"{place(alarm)}/sign-in", json={"name": "wang"})).status_code == 403
    async with lite.client() as stranger:
        assert (await stranger.post(place(alarm), data=good)).status_code == 401
    assert acknowledged_by(lite, alarm) == []


async def test_who_is_second_reads_who_was_first_and_a_new_press_must_be_seen(rig: Rig) -> None:
    first, second = rig.raise_alarms(2)
    rig.add("wang", Role.OPERATOR, "east")
    async with rig.client() as browser:
        seen = hidden(await sign_in(browser, first, "wang"))
        rig.database.run(
            lambda connection: acknowledge(connection, first.alarm_id, actor=Actor("li", "desk"), now_us=NOW_US)
        )
        late = await browser.post(place(first), data=seen)
        assert "li · 2026-09-21 22:13:20 CST" in late.text
        assert "Somebody was first" in late.text
        seen = hidden(await browser.get(place(second)))
        rig.change(second, What.RETRIGGERED, triggers=2)
        pressed = await browser.post(place(second), data=seen)
        assert "triggered again" in pressed.text
        assert acknowledged_by(rig, second) == []
        await browser.post(place(second), data=hidden(pressed))
        assert acknowledged_by(rig, second) == [("wang", "203.0.113.7")]


async def test_role_and_area_hold_on_the_page_as_well(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    for name, role, half in (("viewer", Role.VIEWER, "east"), ("far", Role.OPERATOR, "west")):
        lite.add(name, role, half)
    lite.add("fresh", Role.OPERATOR, "east", must_change=True)
    async with lite.client() as browser:
        looked = await sign_in(browser, alarm, "viewer")
        assert "Panic button" in looked.text
        assert "<form" not in looked.text
        csrf = (await browser.get("/api/v1/me")).json()["csrf"]
        assert "is for others" in (await browser.post(place(alarm), data={"csrf": csrf})).text
    async with lite.client() as browser:
        far = await sign_in(browser, alarm, "far")
        assert (far.status_code, "Panic button" in far.text) == (404, False)
    async with lite.client() as browser:
        fresh = await sign_in(browser, alarm, "fresh")
        assert (fresh.status_code, "Panic button" in fresh.text) == (403, False)
    assert acknowledged_by(lite, alarm) == []


async def test_a_token_for_something_else_shows_no_alarm(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    lite.add("wang", Role.OPERATOR, "east")
    for scopes, status in (({Action.SEE_NUMBERS, Action.ACKNOWLEDGE}, 404), ({Action.SEE_ALARMS}, 200)):
        async with lite.client(lite.narrow("wang", scopes)) as program:
            for answer in (await program.get(place(alarm)), await program.post(place(alarm), data={"a": "b"})):
                assert (answer.status_code, "Panic button" in answer.text) == (status, status == 200)
    assert acknowledged_by(lite, alarm) == []


async def test_a_number_of_thousands_of_digits_is_none(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    lite.add("wang", Role.OPERATOR, "east")
    async with lite.client() as browser:
        seen = hidden(await sign_in(browser, alarm, "wang"))
        answer = await browser.post(place(alarm), data={**seen, "seen_triggers": "9" * 5_000})
    assert answer.status_code == 200


async def test_wrong_passwords_are_told_and_have_to_wait(lite: Rig) -> None:
    (alarm,) = lite.raise_alarms()
    lite.add("wang", Role.OPERATOR, "east")
    async with lite.client() as browser:
        answers = [await sign_in(browser, alarm, "wang", "wrong password") for _ in range(7)]
    assert answers[0].status_code == 401
    assert "Name or password is wrong" in answers[0].text
    assert 'type="password"' in answers[0].text
    assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "1")


async def test_an_address_that_is_no_alarms_stays_in_its_page(lite: Rig) -> None:
    lite.add("wang", Role.OPERATOR, "east")
    (alarm,) = lite.raise_alarms()
    async with lite.client() as browser:
        await sign_in(browser, alarm, "wang")
        for odd in ("%22%3E%3Cscript%3E", "x" * 3_000, "ffffffffffffffffffffffff", "%00", "%E6%8A%A5%E8%AD%A6"):
            answer = await browser.get(f"/alarms/{odd}")
            assert answer.status_code == 404, odd
            assert "<script" not in answer.text
    async with lite.client() as stranger:
        asked = await stranger.get("/alarms/%22%3E%3Cscript%3E")
        assert 'action="/alarms/c/sign-in"' in asked.text
        policy = asked.headers["content-security-policy"]
    assert "script" not in policy
    assert "form-action 'self'" in policy
